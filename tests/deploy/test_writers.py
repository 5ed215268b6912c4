"""`deploy/aws/writers stop`: services, scaling, schedules and running sweeps, and all of it back again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.support.aws import REGION, aws_environment, start_moto
from tests.support.service import ROOT

TEMPLATE = json.loads((ROOT / "deploy/aws/cloudformation/service.json").read_text())["Resources"]


@pytest.fixture
def aws() -> Iterator[str]:
    with start_moto() as url:
        yield url


def client(name: str, url: str) -> Any:
    return boto3.client(
        name,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def writers(url: str, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "deploy/aws/writers"), what],
        env=os.environ | aws_environment(url) | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def stand_up(url: str, *, transcribes: bool) -> None:
    """Make what the service stack makes, as far as it starts tasks, by the names of its template."""
    ecs, scheduler = client("ecs", url), client("scheduler", url)
    cluster = ecs.create_cluster(clusterName=TEMPLATE["Cluster"]["Properties"]["ClusterName"])["cluster"]
    container = [{"name": "main", "image": "x", "memory": 128}]
    services = [("WebService", 2), ("EventsService", 1)]
    services += [("TranscriptionsService", 1)] if transcribes else []
    for family in ("panzoto-web", "panzoto-events", "panzoto-sweep", "panzoto-transcriptions"):
        ecs.register_task_definition(family=family, containerDefinitions=container)
    for name, count in services:
        service = TEMPLATE[name]["Properties"]["ServiceName"]
        ecs.create_service(cluster="panzoto", serviceName=service, taskDefinition=service, desiredCount=count)
    scaled = [("ScalableWeb", "panzoto-web", 2)]
    scaled += [("ScalableTranscriptions", "panzoto-transcriptions", 1)] if transcribes else []
    for name, service, least in scaled:
        client("application-autoscaling", url).register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/panzoto/{service}",
            ScalableDimension=TEMPLATE[name]["Properties"]["ScalableDimension"],
            MinCapacity=least,
            MaxCapacity=8,
        )
    for name, target in (("SweepAccounts", cluster["clusterArn"]), ("of-somebody-else", "arn:aws:sqs:::x")):
        scheduler.create_schedule(
            Name=name,
            Description=f"kept: {name}",
            ScheduleExpression="cron(10 3 * * ? *)",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
            Target={"Arn": target, "RoleArn": "arn:aws:iam::123456789012:role/x", "Input": "{}"},
        )


def state(url: str) -> dict[str, Any]:
    ecs, scheduler = client("ecs", url), client("scheduler", url)
    names = ["panzoto-web", "panzoto-events", "panzoto-transcriptions"]
    services = ecs.describe_services(cluster="panzoto", services=names)
    targets = client("application-autoscaling", url).describe_scalable_targets(ServiceNamespace="ecs")[
        "ScalableTargets"
    ]
    schedules = {
        one["Name"]: scheduler.get_schedule(Name=one["Name"])
        for one in scheduler.list_schedules()["Schedules"]
    }
    return {
        "tasks": {one["serviceName"]: one["desiredCount"] for one in services["services"]},
        "suspended": [one.get("SuspendedState", {}).get("DynamicScalingOutSuspended") for one in targets],
        "capacity": [(one["MinCapacity"], one["MaxCapacity"]) for one in targets],
        "schedules": {name: one["State"] for name, one in schedules.items()},
        "kept": [(one["Description"], one["Target"]["Input"]) for one in schedules.values()],
    }


@pytest.mark.parametrize("transcribes", [True, False])
def test_everything_that_writes_stops_and_starts_again(aws: str, transcribes: bool) -> None:
    stand_up(aws, transcribes=transcribes)
    before = state(aws)
    for _ in range(2):
        ran = writers(aws, "stop")
        assert (ran.returncode, ran.stdout) == (0, "Nothing writes any more.\n"), ran.stderr
        stopped = state(aws)
        assert stopped["tasks"] == dict.fromkeys(before["tasks"], 0)
        assert stopped["schedules"] == {"SweepAccounts": "DISABLED", "of-somebody-else": "ENABLED"}
        assert all(stopped["suspended"])
        assert (stopped["capacity"], stopped["kept"]) == (before["capacity"], before["kept"])
    assert writers(aws, "start").returncode == 0
    again = state(aws)
    assert len(before["tasks"]) == 2 + transcribes
    assert not any(again.pop("suspended"))
    before.pop("suspended")
    assert again == before


def test_every_task_of_the_stack_is_of_a_service_or_a_schedule_that_is_stopped() -> None:
    families = {
        one["Properties"]["Family"] for one in TEMPLATE.values() if one["Type"] == "AWS::ECS::TaskDefinition"
    }
    assert families == {"panzoto-web", "panzoto-events", "panzoto-sweep", "panzoto-transcriptions"}
    for one in TEMPLATE.values():
        if one["Type"] == "AWS::Scheduler::Schedule":
            assert one["Properties"]["Target"]["Arn"] == {"Fn::GetAtt": ["Cluster", "Arn"]}


def test_where_there_is_no_stack_it_says_so(aws: str) -> None:
    ran = writers(aws, "stop")
    assert ran.returncode == 1
    assert "deploy/aws/writers: AWS refused " in ran.stderr
    assert "Traceback" not in ran.stderr

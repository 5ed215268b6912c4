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

from deploy.aws.writers import SERVICES
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


ALWAYS = ("web", "events", "chores")


def stand_up(url: str, *, all_kinds: bool) -> None:
    """Make what the service stack makes, as far as it starts tasks, by the names of its template."""
    ecs, scheduler = client("ecs", url), client("scheduler", url)
    cluster = ecs.create_cluster(clusterName=TEMPLATE["Cluster"]["Properties"]["ClusterName"])["cluster"]
    container = [{"name": "main", "image": "x", "memory": 128}]
    for name in (*ALWAYS, *(("mail", "transcriptions") if all_kinds else ())):
        service = TEMPLATE[f"{name.capitalize()}Service"]["Properties"]["ServiceName"]
        least = 2 if name == "web" else 1
        ecs.register_task_definition(family=service, containerDefinitions=container)
        ecs.create_service(cluster="panzoto", serviceName=service, taskDefinition=service, desiredCount=least)
        client("application-autoscaling", url).register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/panzoto/{service}",
            ScalableDimension=TEMPLATE[f"Scalable{name.capitalize()}"]["Properties"]["ScalableDimension"],
            MinCapacity=least,
            MaxCapacity=8,
        )
    for name, target in (("of-the-cluster", cluster["clusterArn"]), ("of-somebody-else", "arn:aws:sqs:::x")):
        scheduler.create_schedule(
            Name=name,
            Description=f"kept: {name}",
            ScheduleExpression="cron(10 3 * * ? *)",
            FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
            Target={"Arn": target, "RoleArn": "arn:aws:iam::123456789012:role/x", "Input": "{}"},
        )


def state(url: str) -> dict[str, Any]:
    ecs, scheduler = client("ecs", url), client("scheduler", url)
    names = [f"panzoto-{name}" for name in (*ALWAYS, "mail", "transcriptions")]
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


@pytest.mark.parametrize("all_kinds", [True, False])
def test_everything_that_writes_stops_and_starts_again(aws: str, all_kinds: bool) -> None:
    stand_up(aws, all_kinds=all_kinds)
    before = state(aws)
    for _ in range(2):
        ran = writers(aws, "stop")
        assert (ran.returncode, ran.stdout) == (0, "Nothing writes any more.\n"), ran.stderr
        stopped = state(aws)
        assert stopped["tasks"] == dict.fromkeys(before["tasks"], 0)
        assert stopped["schedules"] == {"of-the-cluster": "DISABLED", "of-somebody-else": "ENABLED"}
        assert all(stopped["suspended"])
        assert (stopped["capacity"], stopped["kept"]) == (before["capacity"], before["kept"])
    assert writers(aws, "start").returncode == 0
    again = state(aws)
    assert len(before["tasks"]) == len(ALWAYS) + 2 * all_kinds
    assert not any(again.pop("suspended"))
    before.pop("suspended")
    assert again == before


def test_every_service_of_the_stack_is_stopped_and_nothing_else_starts_tasks() -> None:
    kinds = [one["Type"] for one in TEMPLATE.values()]
    names = {
        one["Properties"]["ServiceName"] for one in TEMPLATE.values() if one["Type"] == "AWS::ECS::Service"
    }
    assert names == set(SERVICES)
    assert kinds.count("AWS::ECS::TaskDefinition") == len(names)
    assert "AWS::Scheduler::Schedule" not in kinds


def test_where_there_is_no_stack_it_says_so(aws: str) -> None:
    ran = writers(aws, "stop")
    assert ran.returncode == 1
    assert "deploy/aws/writers: AWS refused " in ran.stderr
    assert "Traceback" not in ran.stderr

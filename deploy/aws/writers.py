"""Stops all of the service stack that writes: `deploy/aws/writers stop`. `deploy/aws/writers start` starts
it again.

On ECS that is more than its services: their scaling would start new tasks, and
schedules, of a stack before 1.4.0 or of your own, start tasks as well. `stop`
turns off the schedules, suspends the scaling, sets all services to no task,
stops sweeps that are running, and returns when no task runs any more. `start`
undoes all of it. Both may be repeated. With the rights of who calls it, in the
region of AWS_REGION.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

CLUSTER = "panzoto"
ALWAYS = ("panzoto-web", "panzoto-events")
# The first is not there before 1.4.0, the others where there is no mail and no speech engine.
SOMETIMES = ("panzoto-chores", "panzoto-mail", "panzoto-transcriptions")
SERVICES = (*ALWAYS, *SOMETIMES)
# What the schedules of stacks before 1.4.0 start.
SWEEP_FAMILY = "panzoto-sweep"
DIMENSION = "ecs:service:DesiredCount"
SUSPENDIBLE = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
POLL_SECONDS = 3
# A task that is told to stop has two minutes for its downloads.
LONGEST_SECONDS = 600


class NotStopped(Exception):
    """Something goes on; the sentence says what."""


class Writers:
    """What writes in one region's service stack."""

    def __init__(self, region: str) -> None:
        self._ecs: Any = boto3.client("ecs", region_name=region)
        self._scheduler: Any = boto3.client("scheduler", region_name=region)
        self._scaling: Any = boto3.client("application-autoscaling", region_name=region)

    def stop(self) -> None:
        """Return when nothing writes any more. Raises `NotStopped`."""
        self._set_schedules("DISABLED")
        self._suspend_scaling(True)
        for service in SERVICES:
            self._set_tasks(service, 0)
        for task in self._tasks(family=SWEEP_FAMILY):
            self._ecs.stop_task(cluster=CLUSTER, task=task, reason="deploy/aws/writers stop")
        deadline = time.monotonic() + LONGEST_SECONDS
        while running := self._tasks():
            if time.monotonic() > deadline:
                raise NotStopped(f"{len(running)} tasks of the cluster {CLUSTER} still run")
            time.sleep(POLL_SECONDS)

    def start(self) -> None:
        """Start again what `stop` has stopped; what is scaled, with its fewest tasks."""
        fewest = {target["ResourceId"]: target["MinCapacity"] for target in self._scaled()}
        for service in SERVICES:
            self._set_tasks(service, fewest.get(_resource_id(service), 1))
        self._suspend_scaling(False)
        self._set_schedules("ENABLED")

    def _set_schedules(self, state: str) -> None:
        """Turn the schedules that start this cluster's tasks on or off; nothing else of them changes."""
        for page in self._scheduler.get_paginator("list_schedules").paginate():
            for listed in page["Schedules"]:
                if not listed["Target"]["Arn"].endswith(f":cluster/{CLUSTER}"):
                    continue
                which = {"Name": listed["Name"], "GroupName": listed["GroupName"]}
                schedule = self._scheduler.get_schedule(**which)
                kept = {name: schedule[name] for name in KEPT_OF_A_SCHEDULE if name in schedule}
                self._scheduler.update_schedule(**which, **kept, State=state)

    def _set_tasks(self, service: str, count: int) -> None:
        try:
            self._ecs.update_service(cluster=CLUSTER, service=service, desiredCount=count)
        except ClientError as error:
            if service in ALWAYS or error.response["Error"]["Code"] not in NO_SUCH_SERVICE:
                raise

    def _scaled(self) -> list[dict[str, Any]]:
        targets: list[dict[str, Any]] = self._scaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=[_resource_id(service) for service in SERVICES]
        )["ScalableTargets"]
        return targets

    def _suspend_scaling(self, suspended: bool) -> None:
        for target in self._scaled():
            self._scaling.register_scalable_target(
                ServiceNamespace="ecs",
                ResourceId=target["ResourceId"],
                ScalableDimension=DIMENSION,
                SuspendedState=dict.fromkeys(SUSPENDIBLE, suspended),
            )

    def _tasks(self, **which: str) -> list[str]:
        pages = self._ecs.get_paginator("list_tasks").paginate(cluster=CLUSTER, **which)
        return [task for page in pages for task in page["taskArns"]]


def _resource_id(service: str) -> str:
    return f"service/{CLUSTER}/{service}"


# What ECS calls a service that was never there, or is not any more.
NO_SUCH_SERVICE = ("ServiceNotFoundException", "ServiceNotActiveException")
# All that an update needs to be told again; what it is not told is taken away.
KEPT_OF_A_SCHEDULE = (
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "KmsKeyArn",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "Target",
)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="deploy/aws/writers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("stop", "start"))
    arguments = parser.parse_args()
    writers = Writers(os.environ.get("AWS_REGION", "us-east-1"))
    try:
        getattr(writers, arguments.what)()
    except NotStopped as error:
        return _failed(str(error))
    except ClientError as error:
        return _failed(f"AWS refused {error.operation_name}: {error.response['Error']['Code']}")
    except BotoCoreError as error:
        return _failed(f"AWS cannot be reached: {type(error).__name__}")
    sys.stdout.write(
        "Nothing writes any more.\n" if arguments.what == "stop" else "Everything is started again.\n"
    )
    return 0


def _failed(sentence: str) -> int:
    sys.stderr.write(f"deploy/aws/writers: {sentence}. Run it again.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

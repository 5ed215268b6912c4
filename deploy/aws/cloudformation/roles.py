"""The roles of what runs: each task's own, and those of AWS's own services on the tasks' behalf."""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation import inventory
from deploy.aws.cloudformation.boundary import BOUNDARY
from deploy.aws.cloudformation.data import exported_queue
from deploy.aws.cloudformation.policy import QUEUES, statements
from deploy.aws.cloudformation.template import Json, allow, att, document, imported, ref, resource, role, sub
from deploy.aws.cloudformation.workers import WORKERS, Worker
from panzoto.config import Settings

HERE = "${AWS::Region}:${AWS::AccountId}"
TASKS = "ecs-tasks.amazonaws.com"
WRITE_LOGS = ["logs:CreateLogStream", "logs:PutLogEvents"]


def roles(settings: Settings) -> Json:
    """Return every role of the service stack."""
    arns = _arns()
    return {
        "WebRole": _bounded(TASKS, statements("web", arns, settings)),
        "WebMail": _web_mail(arns, settings),
        "WebTraces": _web_traces(),
        **{f"{worker.title}Role": _of_worker(worker, arns, settings) for worker in WORKERS},
        "ChoresInventory": _added(
            "panzoto-inventory", inventory.reading(), inventory.CONDITION, "ChoresRole"
        ),
        "ExecutionRole": _execution_role(),
        "ExecutionKey": _execution_key(),
        "RotationRole": _rotation_role(arns, settings),
    }


def _bounded(service: str, rights: list[Json]) -> Json:
    """A role that can do no more than the boundary allows, whatever somebody writes into it later."""
    return role(service, rights, PermissionsBoundary=BOUNDARY)


def _arns() -> dict[str, Any]:
    return {
        "table": lambda name: sub("arn:${AWS::Partition}:dynamodb:" + HERE + ":table/" + name),
        "bucket": imported("BucketArn"),
        **{kind: imported(exported_queue(kind)) for kind in QUEUES},
        "secret": ref("SecretKey"),
        "services": sub("arn:${AWS::Partition}:ecs:" + HERE + ":service/${Cluster}/panzoto-*"),
    }


def _web_mail(arns: dict[str, Any], settings: Settings) -> Json:
    """What the web tasks may do besides where there is mail."""
    without = statements("web", arns, settings)
    more = [one for one in statements("web", arns | _identities(), settings) if one not in without]
    return _added("panzoto-mail", more, "SendsMail")


def _identities() -> dict[str, Any]:
    return {"mail-identity": sub("arn:${AWS::Partition}:ses:" + HERE + ":identity/*")}


def _web_traces() -> Json:
    """The collector's own, beside the web tasks."""
    more = [allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*")]
    return _added("panzoto-traces", more, "SendsTraces")


def _execution_key() -> Json:
    """Fargate's own besides, where the engine wants a key: to read it."""
    more = [allow(["secretsmanager:GetSecretValue"], ref("TranscriptionKey"))]
    return _added("panzoto-transcription-key", more, "HasTranscriptionKey", "ExecutionRole")


def _of_worker(worker: Worker, arns: dict[str, Any], settings: Settings) -> Json:
    made = _bounded(TASKS, statements(worker.name, arns | _identities(), settings))
    return {**made, "Condition": worker.condition} if worker.condition else made


def _added(name: str, more: list[Json], condition: str, to: str = "WebRole") -> Json:
    properties = {"PolicyName": name, "PolicyDocument": document(more), "Roles": [ref(to)]}
    return resource("IAM::Policy", properties, Condition=condition)


def _execution_role() -> Json:
    """Fargate's own, before the program starts: fetch the image, read the secret, write the log."""
    fetch = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    images = sub("arn:${AWS::Partition}:ecr:" + HERE + ":repository/panzoto")
    logs = [att(f"{name.capitalize()}Logs") for name in ("web", *(one.name for one in WORKERS))]
    return _bounded(
        TASKS,
        [
            allow(["ecr:GetAuthorizationToken"], "*"),
            allow(fetch, images),
            allow(["secretsmanager:GetSecretValue"], ref("SecretKey")),
            allow(WRITE_LOGS, logs),
        ],
    )


def _rotation_role(arns: dict[str, Any], settings: Settings) -> Json:
    # Lambda's own, for what the function prints.
    logs = allow(WRITE_LOGS, att("RotationLogs"))
    return _bounded("lambda.amazonaws.com", [*statements("rotation", arns, settings), logs])

"""The roles of what runs: each task's own, and those of AWS's own services on the tasks' behalf."""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation.boundary import BOUNDARY
from deploy.aws.cloudformation.policy import statements
from deploy.aws.cloudformation.template import Json, allow, att, document, imported, ref, resource, role, sub
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
        "EventsRole": _bounded(TASKS, statements("events", arns, settings)),
        "SweepRole": _bounded(TASKS, statements("sweep", arns, settings)),
        "TranscriptionsRole": _where_transcribed(
            _bounded(TASKS, statements("transcriptions", arns, settings))
        ),
        "ExecutionRole": _execution_role(),
        "ExecutionKey": _execution_key(),
        "RotationRole": _rotation_role(arns, settings),
        "SchedulerRole": _scheduler_role(),
    }


def _bounded(service: str, rights: list[Json]) -> Json:
    """A role that can do no more than the boundary allows, whatever somebody writes into it later."""
    return role(service, rights, PermissionsBoundary=BOUNDARY)


def _arns() -> dict[str, Any]:
    return {
        "table": lambda name: sub("arn:${AWS::Partition}:dynamodb:" + HERE + ":table/" + name),
        "bucket": imported("BucketArn"),
        "queue": imported("QueueArn"),
        "dead-letter-queue": imported("DeadLetterQueueArn"),
        "transcriptions-queue": imported("TranscriptionsQueueArn"),
        "transcriptions-dead-letter-queue": imported("TranscriptionsDeadLetterQueueArn"),
        "secret": ref("SecretKey"),
        "web-tasks": sub("arn:${AWS::Partition}:ecs:" + HERE + ":service/${Cluster}/panzoto-web"),
    }


def _web_mail(arns: dict[str, Any], settings: Settings) -> Json:
    """What the web tasks may do besides where there is mail."""
    identities = {"mail-identity": sub("arn:${AWS::Partition}:ses:" + HERE + ":identity/*")}
    without = statements("web", arns, settings)
    more = [one for one in statements("web", arns | identities, settings) if one not in without]
    return _added("panzoto-mail", more, "SendsMail")


def _web_traces() -> Json:
    """The collector's own, beside the web tasks."""
    more = [allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*")]
    return _added("panzoto-traces", more, "SendsTraces")


def _execution_key() -> Json:
    """Fargate's own besides, where the engine wants a key: to read it."""
    more = [allow(["secretsmanager:GetSecretValue"], ref("TranscriptionKey"))]
    return _added("panzoto-transcription-key", more, "HasTranscriptionKey", "ExecutionRole")


def _where_transcribed(one: Json) -> Json:
    return {**one, "Condition": "Transcribes"}


def _added(name: str, more: list[Json], condition: str, to: str = "WebRole") -> Json:
    properties = {"PolicyName": name, "PolicyDocument": document(more), "Roles": [ref(to)]}
    return resource("IAM::Policy", properties, Condition=condition)


def _execution_role() -> Json:
    """Fargate's own, before the program starts: fetch the image, read the secret, write the log."""
    fetch = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    images = sub("arn:${AWS::Partition}:ecr:" + HERE + ":repository/panzoto")
    logs = [att(f"{name.capitalize()}Logs") for name in ("web", "events", "sweep", "transcriptions")]
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


def _scheduler_role() -> Json:
    sweeps = sub("arn:${AWS::Partition}:ecs:" + HERE + ":task-definition/panzoto-sweep:*")
    on_cluster = {"ArnEquals": {"ecs:cluster": att("Cluster")}}
    to_tasks = {"StringEquals": {"iam:PassedToService": TASKS}}
    return _bounded(
        "scheduler.amazonaws.com",
        [
            allow(["ecs:RunTask"], sweeps, Condition=on_cluster),
            allow(["iam:PassRole"], [att("SweepRole"), att("ExecutionRole")], Condition=to_tasks),
        ],
    )

"""The boundary of every role that the pipeline may make: the most that any of them can do.

It stands in the stack that a person makes, so whoever has got hold of the pipeline cannot widen it. What is
within it follows from the roles of `policy`, and from what AWS's own services do on the tasks' behalf.
"""

from __future__ import annotations

from deploy.aws.cloudformation import inventory
from deploy.aws.cloudformation.policy import TABLES, actions, listing, objects, queue_names
from deploy.aws.cloudformation.template import Json, allow, document, resource, sub
from panzoto.config import Settings

NAME = "panzoto-boundary"
BOUNDARY = sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/" + NAME)
# The roles of the service stack; what only a person or the pipeline runs has none there.
RUNNING = ("web", "events", "chores", "mail", "transcriptions", "rotation")
# CloudFormation names a role that has no name of its own after its stack.
BOUNDED = "panzoto-service-*"


def boundary(settings: Settings) -> Json:
    """Return the boundary, as a policy that roles name and nobody is given."""
    rights = [*_stores(settings), *_tools(), *_for_tasks()]
    properties = {
        "ManagedPolicyName": NAME,
        "Description": "The most that a role of the service can do",
        "PolicyDocument": document(rights),
    }
    return resource("IAM::ManagedPolicy", properties)


def _union(*kinds: str) -> list[str]:
    """Return all that any role may do to resources of these kinds."""
    return sorted(
        {
            name
            for role in RUNNING
            for kind, names in actions(role).items()
            if kind.partition("/")[0] in kinds
            for name in names
        }
    )


def _arn(service: str, rest: str) -> Json:
    return sub("arn:${AWS::Partition}:" + service + ":${AWS::Region}:${AWS::AccountId}:" + rest)


def _stores(settings: Settings) -> list[Json]:
    """Tables, bucket and queues."""
    names = [getattr(settings, f"{name}_table") for name in TABLES]
    tables = [_arn("dynamodb", f"table/{name}{index}") for name in names for index in ("", "/index/*")]
    bucket = sub("arn:${AWS::Partition}:s3:::${BucketName}")
    return [
        allow(_union(*TABLES), tables),
        allow(_union("bucket"), bucket),
        *listing(_union("folders"), bucket),
        allow(_union("object"), objects(bucket)),
        inventory.where_there_is_one(
            allow(["s3:GetObject", "s3:ListBucket"], [inventory.bucket(), inventory.objects()])
        ),
        *(
            allow(names, _arn("sqs", name))
            for kind, name in queue_names(settings).items()
            if (names := _union(kind))
        ),
    ]


def _tools() -> list[Json]:
    """Mail, the secret with its renewal, and traces."""
    return [
        allow(_union("mail-identity"), _arn("ses", "identity/*")),
        allow(_union("secret"), _arn("secretsmanager", "secret:panzoto/secret-key-*")),
        allow(_union("services"), _arn("ecs", "service/panzoto/panzoto-*")),
        allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
    ]


def _for_tasks() -> list[Json]:
    """What AWS's own services do: fetch the image and the engine's key, and write logs."""
    pulls = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        allow(["ecr:GetAuthorizationToken"], "*"),
        allow(pulls, _arn("ecr", "repository/panzoto")),
        allow(
            ["secretsmanager:GetSecretValue"], _arn("secretsmanager", "secret:panzoto/transcription-key-*")
        ),
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], _arn("logs", "log-group:/panzoto/*")),
    ]

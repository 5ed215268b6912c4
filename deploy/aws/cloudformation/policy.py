"""Who may do what in AWS: the one place that says it, for the templates and for a machine's own role.

    python -m deploy.aws.cloudformation.policy web events chores

prints the policy of a machine that does all three; `deploy` is for whoever
runs `flask panzoto resources …`.  What is listed here is what the code does,
no more and no less: tests/deploy/aws/test_policy.py compares it with every call
that the whole test suite has made.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from deploy.aws.cloudformation.template import Json, allow, document, sub
from panzoto.config import Settings
from panzoto.object_keys import FOLDERS
from panzoto.queues.queue_definition import dead_letter_name
from panzoto.transcripts.reads import OF_ACCOUNTS, OF_RECORDINGS

TABLES = (
    "users",
    "audio_files",
    "claims",
    "sessions",
    "throttle",
    "events",
    "changes",
    "erasures",
    "sweeps",
    "transcripts",
    "transcriptions",
)
# Queues on which workers work, each with that of its failures; those of the bucket's events have no prefix.
WORKED_QUEUES = tuple(
    f"{whose}-{kind}"
    for whose in ("transcriptions", "chores", "mail")
    for kind in ("queue", "dead-letter-queue")
)
QUEUES = ("queue", "dead-letter-queue", *WORKED_QUEUES)
# What the one loop of all workers does to the queue that it works on.
WORKED_ON = "ChangeMessageVisibility DeleteMessage GetQueueAttributes GetQueueUrl ReceiveMessage"
# What finishing deletions, emptying the trash and clearing up takes.
SWEEPING = {
    "users": "DeleteItem GetItem Scan UpdateItem",
    "audio_files": "BatchGetItem DeleteItem GetItem Scan UpdateItem",
    "audio_files/index/s3-key-index": "Query",
    "audio_files/index/user-files-index": "Query",
    "claims": "BatchGetItem DeleteItem GetItem PutItem Scan UpdateItem",
    "sessions": "DeleteItem Query",
    "throttle": "DeleteItem PutItem",
    "events": "DeleteItem Query",
    "changes": "DeleteItem GetItem PutItem Query",
    "erasures": "DeleteItem PutItem Query UpdateItem",
    "sweeps": "BatchWriteItem DeleteItem GetItem PutItem Query Scan UpdateItem",
    "transcripts": "DeleteItem GetItem Query",
    "transcriptions": "DeleteItem Query",
    "bucket": "ListBucket ListBucketMultipartUploads",
    "folders": "ListBucketVersions",
    "object": "AbortMultipartUpload DeleteObjectVersion GetObject GetObjectVersion"
    " ListMultipartUploadParts PutObject",
}
# Resources by kind: a table by its setting, an index by its own name, and the words explained in `arns`.
# `object` and `folders` stand for the folders that the role does not name alone, as in `object/transcripts`.
ROLES: dict[str, dict[str, str]] = {
    # The web tier; what a presigned URL does is done with its rights, too.
    "web": {
        "users": "ConditionCheckItem DeleteItem DescribeTable GetItem PutItem UpdateItem",
        "users/index/email-index": "Query",
        "audio_files": "BatchGetItem DeleteItem GetItem PutItem UpdateItem",
        "audio_files/index/s3-key-index": "Query",
        "audio_files/index/user-files-index": "Query",
        "audio_files/index/user-recorded-index": "Query",
        "audio_files/index/user-trash-index": "Query",
        "claims": "BatchGetItem DeleteItem GetItem PutItem UpdateItem",
        "sessions": "DeleteItem GetItem PutItem Query UpdateItem",
        "throttle": "DeleteItem GetItem PutItem UpdateItem",
        "events": "DeleteItem PutItem Query",
        "changes": "DeleteItem GetItem PutItem Query",
        "erasures": "DeleteItem PutItem Query UpdateItem",
        "transcripts": "BatchGetItem DeleteItem GetItem PutItem Query",
        "transcriptions": "DeleteItem GetItem PutItem Query UpdateItem",
        "bucket": "ListBucket ListBucketMultipartUploads",
        "folders": "ListBucketVersions",
        "folders/transcripts": "ListBucketVersions",
        "object": "AbortMultipartUpload DeleteObjectVersion GetObject GetObjectVersion"
        " ListMultipartUploadParts PutObject",
        "object/transcripts": "DeleteObjectVersion GetObject PutObject",
        "transcriptions-queue": "GetQueueUrl SendMessage",
        # Letters leave from here, too.
        "mail-queue": f"{WORKED_ON} SendMessage",
        "mail-dead-letter-queue": "GetQueueUrl SendMessage",
        "mail-identity": "SendRawEmail",
    },
    # `flask panzoto mail work`: opens what was sealed into its queue, looks for whom it is, and sends it.
    "mail": {
        "users": "GetItem UpdateItem",
        "users/index/email-index": "Query",
        "claims": "GetItem",
        "throttle": "UpdateItem",
        "mail-queue": f"{WORKED_ON} SendMessage",
        "mail-dead-letter-queue": "GetQueueUrl SendMessage",
        "mail-identity": "SendRawEmail",
    },
    # `flask panzoto transcriptions work`: reads recordings, seals what was said in them, and writes that.
    # It reads no transcript.
    "transcriptions": {
        "users": "GetItem UpdateItem",
        "audio_files": "BatchGetItem GetItem UpdateItem",
        "changes": "DeleteItem GetItem PutItem",
        "events": "PutItem",
        "transcripts": "PutItem",
        "transcriptions": "GetItem Query UpdateItem",
        "bucket": "ListBucket ListBucketMultipartUploads",
        "object/users": "GetObject",
        "object/audio_upload": "GetObject",
        "object/transcripts": "DeleteObjectVersion PutObject",
        "folders/transcripts": "ListBucketVersions",
        "transcriptions-queue": WORKED_ON,
        "transcriptions-dead-letter-queue": "GetQueueUrl SendMessage",
    },
    # `flask panzoto events`: commits the uploads that the bucket tells of, and removes what does not match.
    "events": {
        "users": "GetItem UpdateItem",
        "audio_files": "BatchGetItem GetItem UpdateItem",
        "claims": "GetItem",
        "changes": "DeleteItem GetItem PutItem",
        "bucket": "ListBucket ListBucketMultipartUploads",
        "folders": "ListBucketVersions",
        "object": "DeleteObjectVersion GetObject ListMultipartUploadParts PutObject",
        "queue": WORKED_ON,
        "dead-letter-queue": "GetQueueUrl SendMessage",
    },
    # `flask panzoto accounts sweep`, `recordings sweep --apply` and `recordings recount`, by hand.
    "sweep": {**SWEEPING, "users": "DeleteItem DescribeTable GetItem Scan UpdateItem"},
    # `flask panzoto chores work`, `run` and `status`: the same by account, handed out through a queue.
    "chores": {
        **SWEEPING,
        "users": "BatchGetItem DeleteItem DescribeTable GetItem Scan UpdateItem",
        "users/index/user-due-index": "Query",
        "audio_files/index/user-trash-index": "Query",
        "sweeps": "BatchGetItem BatchWriteItem DeleteItem GetItem PutItem Query Scan UpdateItem",
        "audio_files": "BatchGetItem DeleteItem DescribeTable GetItem Scan UpdateItem",
        # What fails too often SQS itself puts aside, by a rule that this queue has had from its first day.
        "chores-queue": f"{WORKED_ON} SendMessage",
    },
    # `flask panzoto accounts find`, `lock`, `unlock` and `end-sessions`; and `flask panzoto transcriptions
    # list`, `cancel` and `retry`.
    "support": {
        "users": "GetItem Scan UpdateItem",
        "users/index/email-index": "Query",
        "audio_files": "BatchGetItem GetItem UpdateItem",
        "audio_files/index/user-files-index": "Query",
        "claims": "GetItem",
        "changes": "DeleteItem PutItem",
        "sessions": "DeleteItem Query",
        "events": "PutItem",
        "transcriptions": "GetItem Query Scan UpdateItem",
        "transcriptions-queue": "GetQueueUrl SendMessage",
        "transcriptions-dead-letter-queue": "ChangeMessageVisibility DeleteMessage GetQueueAttributes"
        " GetQueueUrl ReceiveMessage",
    },
    # `flask panzoto resources …`, which the service itself never does; `optimize` writes missing claims, too.
    "deploy": {
        **{
            table: "CreateTable DeleteTable DescribeContinuousBackups DescribeTable UpdateContinuousBackups"
            f" UpdateTable{more}"
            for table, more in {
                "users": " GetItem Scan UpdateItem",
                "audio_files": " BatchGetItem GetItem Scan UpdateItem",
                "claims": " BatchGetItem PutItem",
                "sessions": " DescribeTimeToLive UpdateTimeToLive",
                "throttle": " DescribeTimeToLive UpdateTimeToLive",
                "events": " DescribeTimeToLive UpdateTimeToLive",
                "changes": " GetItem PutItem Query",
                "erasures": "",
                "sweeps": "",
                "transcripts": "",
                "transcriptions": " DescribeTimeToLive UpdateTimeToLive",
            }.items()
        },
        "audio_files/index/user-files-index": "Query",
        "bucket": "CreateBucket DeleteBucket GetBucketCORS GetBucketNotification GetBucketPublicAccessBlock"
        " GetBucketVersioning GetEncryptionConfiguration GetLifecycleConfiguration ListBucket PutBucketCORS"
        " PutBucketNotification PutBucketPublicAccessBlock PutBucketVersioning PutEncryptionConfiguration"
        " PutLifecycleConfiguration",
        "queue": "CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl SetQueueAttributes",
        "dead-letter-queue": "CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl",
        **dict.fromkeys(WORKED_QUEUES, "CreateQueue DeleteQueue GetQueueUrl"),
    },
    # `flask panzoto resources prepare`, with which an upgrade looks whether the new release finds its tables.
    "upgrade": {
        **dict.fromkeys(TABLES, "DescribeTable"),
        **dict.fromkeys(("queue", *WORKED_QUEUES), "GetQueueUrl"),
    },
    # `flask panzoto backup verify`, `restore` and `drill`; DynamoDB fills the copies with the rights of who
    # restores them. The sweeps are held meanwhile.
    "backup": {
        **dict.fromkeys(TABLES, "DescribeTable RestoreTableToPointInTime Scan"),
        "sweeps": "DeleteItem DescribeTable PutItem Query RestoreTableToPointInTime Scan",
        "copies": "BatchWriteItem DeleteItem DeleteTable DescribeContinuousBackups"
        " DescribeTable DescribeTimeToLive GetItem PutItem Query Scan UpdateContinuousBackups UpdateItem"
        " UpdateTable UpdateTimeToLive",
        "folders": "ListBucketVersions",
        # What is not in its place is looked for among what was moved aside.
        "bucket": "ListBucket ListBucketMultipartUploads",
        "object": "DeleteObjectVersion GetObject GetObjectVersion PutObject",
    },
    # The function that renews SECRET_KEY.
    "rotation": {
        "secret": "DescribeSecret GetSecretValue PutSecretValue UpdateSecretVersionStage",
        "services": "UpdateService",
    },
}
# Of rows that hold more than a role needs: which attributes it reads, and which it writes or rests writes on.
READS = ("GetItem", "BatchGetItem")
WRITES = ("UpdateItem",)
ATTRIBUTES: dict[tuple[str, str], dict[tuple[str, ...], tuple[str, ...]]] = {
    ("transcriptions", "users"): {
        READS: OF_ACCOUNTS,
        WRITES: (
            "change_number",
            "deletion_started_at",
            "due_at",
            "due_shard",
            "used_bytes",
            "used_recordings",
            "user_id",
        ),
    },
    ("transcriptions", "audio_files"): {
        READS: OF_RECORDINGS,
        WRITES: ("change_number", "file_id", "transcript", "transcript_size"),
    },
}
SERVICES = {
    "bucket": "s3",
    "folders": "s3",
    "object": "s3",
    **dict.fromkeys(QUEUES, "sqs"),
    "mail-identity": "ses",
    "secret": "secretsmanager",
    "services": "ecs",
}


def actions(role: str) -> dict[str, list[str]]:
    """Return the role's actions, by IAM's names, for each kind of resource."""
    return {
        kind: [f"{SERVICES.get(kind.partition('/')[0], 'dynamodb')}:{name}" for name in names.split()]
        for kind, names in ROLES[role].items()
    }


def table_name(kind: str, settings: Settings) -> str:
    """Return the name, for ARNs, of a table or an index of `ROLES`."""
    table, _, index = kind.partition("/")
    return f"{getattr(settings, f'{table}_table')}{'/' + index if index else ''}"


def queue_names(settings: Settings) -> dict[str, str]:
    """Return the name of each of `QUEUES`."""
    works = (settings.events_queue, settings.transcription.queue, settings.chores_queue, settings.mail_queue)
    names = [name for queue in works for name in (queue, dead_letter_name(queue))]
    return dict(zip(QUEUES, names, strict=True))


def statements(role: str, arns: dict[str, Any], settings: Settings) -> list[Json]:
    """Return the role's policy; `arns` tells the ARN of each kind, and by `table` how to make a table's.

    A kind that `arns` does not know, such as the mail's where there is no mail, is left out.
    """
    together: dict[tuple[str, ...], list[Any]] = {}
    bounded: list[Json] = []
    for kind, names in actions(role).items():
        head = kind.partition("/")[0]
        if (role, kind) in ATTRIBUTES:
            bounded += some_attributes(role, kind, arns["table"](table_name(kind, settings)))
            continue
        if head in TABLES:
            found = [arns["table"](table_name(kind, settings))]
        elif head == "object":
            found = objects(arns["bucket"], folders_of(role, kind))
        elif head == "folders":
            bounded += listing(names, arns["bucket"], folders_of(role, kind))
            continue
        else:
            found = [arns[kind]] if kind in arns else []
        if found:
            together.setdefault(tuple(names), []).extend(found)
    return [
        *(
            allow(list(names), resources[0] if len(resources) == 1 else resources)
            for names, resources in together.items()
        ),
        *bounded,
    ]


def some_attributes(role: str, table: str, arn: Any) -> list[Json]:
    """Return what allows a role's reads and writes of the attributes of `ATTRIBUTES`, and of no others.

    As in DynamoDB's developer guide, "Using IAM policy conditions for fine-grained access control": whoever
    asks for a row must name the attributes, and gets no others by what a write returns.
    """
    named = {
        "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
        "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"],
    }
    allowed = actions(role)[table]
    return [
        allow(
            [name for name in allowed if name.removeprefix("dynamodb:") in names],
            arn,
            Condition={
                "ForAllValues:StringEquals": {"dynamodb:Attributes": list(attributes)},
                "StringEqualsIfExists": named,
            },
        )
        for names, attributes in ATTRIBUTES[role, table].items()
    ]


def folders_of(role: str, kind: str) -> tuple[str, ...]:
    """Return the folders that `object` or `folders` means to a role; one alone where it is named there."""
    head, _, folder = kind.partition("/")
    if folder:
        return (f"{folder}/",)
    return tuple(one for one in FOLDERS if f"{head}/{one.removesuffix('/')}" not in ROLES[role])


def listing(names: list[str], bucket_arn: Any, folders: Iterable[str] = FOLDERS) -> list[Json]:
    """Return what allows these lists of the service's own folders, and of nothing else in the bucket."""
    within = {"StringLike": {"s3:prefix": [f"{folder}*" for folder in folders]}}
    return [allow(names, bucket_arn, Condition=within)] if names else []


def objects(bucket_arn: Any, folders: Iterable[str] = FOLDERS) -> list[Any]:
    """Return the ARNs of all objects in the service's own folders."""
    if isinstance(bucket_arn, str):
        return [f"{bucket_arn}/{folder}*" for folder in folders]
    return [sub("${Bucket}/" + folder + "*", Bucket=bucket_arn) for folder in folders]


def machine_policy(roles: Iterable[str], settings: Settings) -> Json:
    """Return one policy for a machine that is all of `roles`, in whatever account it stands."""
    bucket, where = f"arn:aws:s3:::{settings.bucket}", f"{settings.region}:*"
    arns: dict[str, Any] = {
        "table": lambda name: f"arn:aws:dynamodb:{where}:table/{name}",
        "copies": f"arn:aws:dynamodb:{where}:table/*-restored-*",
        "bucket": bucket,
        **{kind: f"arn:aws:sqs:{where}:{name}" for kind, name in queue_names(settings).items()},
        "mail-identity": f"arn:aws:ses:{where}:identity/*",
        "secret": f"arn:aws:secretsmanager:{where}:secret:panzoto/secret-key-*",
        "services": f"arn:aws:ecs:{where}:service/panzoto/panzoto-*",
    }
    return document([statement for role in roles for statement in statements(role, arns, settings)])


def named() -> Settings:
    """Return the settings of the environment, of which only names matter here; none of them is a secret."""
    return Settings.from_environment({**os.environ, "FLASK_ENV": "development", "SECRET_KEY": "none"})


def main() -> None:
    """Print the policy of the roles that are named."""
    wanted = sys.argv[1:]
    if not wanted or not set(wanted) <= set(ROLES):
        sys.exit(f"usage: python -m deploy.aws.cloudformation.policy ROLE...\nroles: {', '.join(ROLES)}")
    print(json.dumps(machine_policy(wanted, named()), indent=2))


if __name__ == "__main__":
    main()

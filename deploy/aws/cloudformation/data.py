"""The stack of what must survive: tables, bucket, queue, key, trail, and the alarms that go with them.

Tables, bucket and queue are those that `flask panzoto resources create` makes, property by
property; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation import watching
from deploy.aws.cloudformation.policy import QUEUES, WORKED_QUEUES, queue_names
from deploy.aws.cloudformation.template import (
    DELETE,
    FORMAT,
    NOTHING,
    RETAIN,
    TAGS,
    Json,
    att,
    document,
    parameter,
    ref,
    resource,
    sub,
    when,
)
from panzoto.config import Settings
from panzoto.operations.bucket import (
    ENCRYPTION,
    LIFECYCLE_RULE,
    PUBLIC_ACCESS_BLOCK,
    STALE_UPLOAD_DAYS,
    cors_rule,
)
from panzoto.operations.table_definitions import TableDefinition
from panzoto.queues.queue_definition import (
    QUEUE_ATTRIBUTES,
    RETENTION,
    TRIES_OF_A_DAY,
    dead_letter_name,
    queue_policy,
)

TRAIL_DAYS = 400
HAS_ORIGINS = {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", ref("CorsOrigins")]}, ""]}]}
HAS_PUBLIC_URL = {"Fn::Not": [{"Fn::Equals": [ref("PublicUrl"), ""]}]}
OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def logical_name(table: str) -> str:
    """Return the name of a table's resource in the template: panzoto-audio-files is AudioFilesTable."""
    return "".join(word.capitalize() for word in table.removeprefix("panzoto-").split("-")) + "Table"


def logical_queue(kind: str) -> str:
    """Return the name of a queue's resource in the template: dead-letter-queue is DeadLetterQueue."""
    return "".join(word.capitalize() for word in kind.split("-"))


def exported_queue(kind: str) -> str:
    """Return the name under which the ARN of such a queue is exported."""
    return f"{logical_queue(kind)}Arn"


def data_template(settings: Settings, definitions: list[TableDefinition]) -> Json:
    """Return the data stack's template."""
    tables = {logical_name(definition.name): _table(definition) for definition in definitions}
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Panzoto: tables, bucket, queue, key, trail, alarms. Kept when the stack goes.",
        "Parameters": _parameters(),
        "Conditions": {
            "HasOrigins": HAS_ORIGINS,
            "HasPublicUrl": HAS_PUBLIC_URL,
            "HasOriginsOrPublicUrl": {"Fn::Or": [HAS_ORIGINS, HAS_PUBLIC_URL]},
            "HasAlarmEmail": {"Fn::Not": [{"Fn::Equals": [ref("AlarmEmail"), ""]}]},
        },
        "Resources": {
            **tables,
            "Bucket": _bucket(),
            "BucketPolicy": _bucket_policy(),
            "Queue": _queue(settings),
            "DeadLetterQueue": _dead_letter_queue(settings),
            "QueuePolicy": _queue_policy(),
            **_worked_queues(settings),
            "Key": _key(),
            "KeyAlias": resource("KMS::Alias", {"AliasName": "alias/panzoto", "TargetKeyId": ref("Key")}),
            "TrailBucket": _trail_bucket(),
            "TrailBucketPolicy": _trail_bucket_policy(),
            "Trail": _trail(),
            **watching.topic(),
            **watching.data_alarms([*tables], settings),
        },
        "Outputs": _exports(
            BucketName=ref("Bucket"),
            BucketArn=att("Bucket"),
            **{exported_queue(kind): att(logical_queue(kind)) for kind in QUEUES},
            KeyArn=att("Key"),
            AlarmTopic=ref("AlarmTopic"),
        ),
    }


def _parameters() -> Json:
    return {
        "BucketName": parameter(
            "The bucket of the recordings, S3_BUCKET; no other account may have one of this name.",
            AllowedPattern="[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        ),
        "CorsOrigins": parameter(
            "Origins whose pages may use presigned URLs, as in CORS_ORIGINS; empty for none.",
            "CommaDelimitedList",
            Default="",
        ),
        "PublicUrl": parameter(
            "The https address at which the service is reached, whose console then reaches the bucket.",
            Default="",
            AllowedPattern="(https://[^/]+)?",
        ),
        "AlarmEmail": parameter("Who is told of alarms; empty for nobody.", Default=""),
    }


def _exports(**values: Json) -> Json:
    """Return outputs that the service stack imports by their names."""
    return {
        name: {"Value": value, "Export": {"Name": sub("${AWS::StackName}-" + name)}}
        for name, value in values.items()
    }


def existing(template: Json, names: list[str], bucket: str) -> tuple[Json, list[Json]]:
    """Return what brings tables and a bucket that are there already into a new data stack, by an import.

    That is a template of nothing but those, and the list of what to import. `names`
    are the names of tables, or "Bucket", which is called `bucket`. The next update of the stack, with
    the whole template, adds the rest. Raises `KeyError` for another name.
    """
    wanted = [name if name == "Bucket" else logical_name(name) for name in names]
    kept = {name: _importable(template["Resources"][name]) for name in wanted}
    return _import_template(template, kept), [_identified(name, one, bucket) for name, one in kept.items()]


def _importable(found: Json) -> Json:
    """Return a resource without what is not there yet: the queue, and what waits for it."""
    properties = found["Properties"]
    without = {key: value for key, value in properties.items() if key != "NotificationConfiguration"}
    return {key: value for key, value in found.items() if key != "DependsOn"} | {"Properties": without}


def _import_template(template: Json, kept: Json) -> Json:
    """Return a template of nothing but `kept`; only the bucket needs parameters."""
    of_bucket: Json = {
        "Parameters": {
            name: template["Parameters"][name] for name in ("BucketName", "CorsOrigins", "PublicUrl")
        },
        "Conditions": {
            name: template["Conditions"][name]
            for name in ("HasOrigins", "HasPublicUrl", "HasOriginsOrPublicUrl")
        },
    }
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": template["Description"],
        **(of_bucket if "Bucket" in kept else {}),
        "Resources": kept,
    }


def _identified(name: str, one: Json, bucket: str) -> Json:
    table = one["Properties"].get("TableName")
    return {
        "ResourceType": one["Type"],
        "LogicalResourceId": name,
        "ResourceIdentifier": {"BucketName": bucket} if name == "Bucket" else {"TableName": table},
    }


def _table(definition: TableDefinition) -> Json:
    arguments = definition.create_arguments()
    encryption = arguments.pop("SSESpecification")
    ttl = definition.ttl_attribute
    return resource(
        "DynamoDB::Table",
        {
            **arguments,
            "SSESpecification": {"SSEEnabled": encryption["Enabled"]},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            **({"TimeToLiveSpecification": {"AttributeName": ttl, "Enabled": True}} if ttl else {}),
            "DeletionProtectionEnabled": True,
            "Tags": TAGS,
        },
        **RETAIN,
    )


def _bucket() -> Json:
    default = ENCRYPTION["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    properties = {
        "BucketName": ref("BucketName"),
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": default}]
        },
        "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
        "OwnershipControls": OWNERSHIP,
        "CorsConfiguration": when(
            "HasOriginsOrPublicUrl",
            {
                "CorsRules": [
                    when("HasOrigins", _cors_rule(ref("CorsOrigins")), NOTHING),
                    when("HasPublicUrl", _cors_rule([ref("PublicUrl")]), NOTHING),
                ]
            },
            NOTHING,
        ),
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": LIFECYCLE_RULE["ID"],
                    "Status": LIFECYCLE_RULE["Status"],
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": STALE_UPLOAD_DAYS},
                }
            ]
        },
        "NotificationConfiguration": {
            "QueueConfigurations": [{"Event": "s3:ObjectCreated:*", "Queue": att("Queue")}]
        },
        "Tags": TAGS,
    }
    # S3 asks the queue whether it may write before it accepts the notification.
    return resource("S3::Bucket", properties, DependsOn="QueuePolicy", **RETAIN)


def _cors_rule(origins: Json | list[Json]) -> Json:
    """Return a `cors_rule` by CloudFormation's names."""
    rule = cors_rule(origins)
    rule["MaxAge"] = rule.pop("MaxAgeSeconds")
    rule["ExposedHeaders"] = rule.pop("ExposeHeaders")
    return rule


def _bucket_policy() -> Json:
    properties = {"Bucket": ref("Bucket"), "PolicyDocument": document(_tls_only("Bucket"))}
    return resource("S3::BucketPolicy", properties, **RETAIN)


def _tls_only(bucket: str) -> list[Json]:
    """Refuse whatever does not come by TLS, and by TLS older than 1.2."""
    everything = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [att(bucket), sub("${Arn}/*", Arn=att(bucket))],
    }
    return [
        {"Sid": "TlsOnly", **everything, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Sid": "Tls12", **everything, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]


def _queue(settings: Settings) -> Json:
    properties = {
        "QueueName": settings.events_queue,
        **{name: int(value) for name, value in QUEUE_ATTRIBUTES.items()},
        "RedrivePolicy": {
            "deadLetterTargetArn": att("DeadLetterQueue"),
            "maxReceiveCount": TRIES_OF_A_DAY,
        },
        "SqsManagedSseEnabled": True,
        "Tags": TAGS,
    }
    return resource("SQS::Queue", properties, **DELETE)


def _dead_letter_queue(settings: Settings) -> Json:
    properties = {
        "QueueName": dead_letter_name(settings.events_queue),
        **{name: int(value) for name, value in RETENTION.items()},
        "SqsManagedSseEnabled": True,
        "Tags": TAGS,
    }
    return resource("SQS::Queue", properties, **DELETE)


def _worked_queues(settings: Settings) -> Json:
    """The queues on which workers work, and those of what failed, into which the worker itself moves it."""
    names = queue_names(settings)
    return {
        logical_queue(kind): resource(
            "SQS::Queue",
            {
                "QueueName": names[kind],
                **{attribute: int(value) for attribute, value in QUEUE_ATTRIBUTES.items()},
                "SqsManagedSseEnabled": True,
                "Tags": TAGS,
            },
            **DELETE,
        )
        for kind in WORKED_QUEUES
    }


def _queue_policy() -> Json:
    # The bucket's ARN is put together by hand, since the bucket waits for this policy.
    policy = queue_policy(att("Queue"), sub("arn:${AWS::Partition}:s3:::${BucketName}"))
    return resource("SQS::QueuePolicy", {"Queues": [ref("Queue")], "PolicyDocument": policy})


def _key() -> Json:
    """The key of what AWS keeps for the service: logs, trail and alarms. Recordings have their own."""
    properties = {
        "Description": "Panzoto: its logs, trail and alarms",
        "EnableKeyRotation": True,
        "KeyPolicy": _key_policy(),
        "PendingWindowInDays": 30,
        "Tags": TAGS,
    }
    return resource("KMS::Key", properties, **RETAIN)


def _key_policy() -> Json:
    log_group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/panzoto/*"
    logs = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": sub(log_group)}}
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]

    def may(principal: Any, actions: list[str], **more: Any) -> Json:
        return {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*", **more}

    account = {"AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")}
    return document(
        [
            may(account, ["kms:*"]),
            may(
                {"Service": sub("logs.${AWS::Region}.amazonaws.com")},
                ["kms:Encrypt", "kms:ReEncrypt*", "kms:DescribeKey", *use],
                Condition=logs,
            ),
            may({"Service": "cloudwatch.amazonaws.com"}, use),
            may(
                {"Service": "cloudtrail.amazonaws.com"},
                ["kms:GenerateDataKey*", "kms:DescribeKey"],
                Condition={"StringEquals": {"aws:SourceArn": _trail_arn()}},
            ),
        ]
    )


def _trail_arn() -> Json:
    return sub("arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/panzoto-recordings")


def _trail() -> Json:
    """Who read or wrote which object of the bucket, kept where the service cannot reach it."""
    every_object = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        {"Field": "resources.ARN", "StartsWith": [sub("${Arn}/", Arn=att("Bucket"))]},
    ]
    properties = {
        "TrailName": "panzoto-recordings",
        "S3BucketName": ref("TrailBucket"),
        "KMSKeyId": att("Key"),
        "EnableLogFileValidation": True,
        "IncludeGlobalServiceEvents": False,
        "IsLogging": True,
        "IsMultiRegionTrail": False,
        "AdvancedEventSelectors": [
            {"Name": "every object of the recordings' bucket", "FieldSelectors": every_object}
        ],
        "Tags": TAGS,
    }
    return resource("CloudTrail::Trail", properties, DependsOn="TrailBucketPolicy")


def _trail_bucket() -> Json:
    by_key = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": att("Key")}}
    forget = {
        "Id": "forget-after-400-days",
        "Status": "Enabled",
        "ExpirationInDays": TRAIL_DAYS,
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    properties = {
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [{**by_key, "BucketKeyEnabled": True}]},
        "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
        "OwnershipControls": OWNERSHIP,
        "LifecycleConfiguration": {"Rules": [forget]},
        "Tags": TAGS,
    }
    return resource("S3::Bucket", properties, **RETAIN)


def _trail_bucket_policy() -> Json:
    statements = [*_tls_only("TrailBucket"), *_trail_writes()]
    properties = {"Bucket": ref("TrailBucket"), "PolicyDocument": document(statements)}
    return resource("S3::BucketPolicy", properties, **RETAIN)


def _trail_writes() -> list[Json]:
    """Return what CloudTrail, for this one trail, may do in the bucket of the trail."""
    by_trail = {"aws:SourceArn": _trail_arn()}
    owned = {"s3:x-amz-acl": "bucket-owner-full-control"}
    bucket, folder = att("TrailBucket"), sub("${Arn}/AWSLogs/${AWS::AccountId}/*", Arn=att("TrailBucket"))

    def may(action: str, what: Json, conditions: Json) -> Json:
        return {
            "Effect": "Allow",
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Action": action,
            "Resource": what,
            "Condition": {"StringEquals": conditions},
        }

    return [may("s3:GetBucketAcl", bucket, by_trail), may("s3:PutObject", folder, owned | by_trail)]

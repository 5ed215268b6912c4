"""The stack of what must survive: tables, bucket, queue, key, trail, and the alarms that go with them.

Tables, bucket and queue are those that `flask panzoto resources create` makes, property by
property; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation import watching
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
    cors_rules,
)
from panzoto.operations.definitions import TableDefinition
from panzoto.queues.queue_definition import (
    QUEUE_ATTRIBUTES,
    TRIES_OF_A_DAY,
    dead_letter_name,
    queue_policy,
)

TRAIL_DAYS = 400


def logical_name(table: str) -> str:
    """Return the name of a table's resource in the template: panzoto-audio-files is AudioFilesTable."""
    return "".join(word.capitalize() for word in table.removeprefix("panzoto-").split("-")) + "Table"


def data_template(settings: Settings, definitions: list[TableDefinition]) -> Json:
    """Return the data stack's template."""
    tables = {logical_name(definition.name): _table(definition) for definition in definitions}
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": "Panzoto: tables, bucket, queue, key, trail, alarms. Kept when the stack goes.",
        "Parameters": {
            "BucketName": parameter(
                "The bucket of the recordings, S3_BUCKET; no other account may have one of this name.",
                AllowedPattern="[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            ),
            "CorsOrigins": parameter(
                "Origins whose pages may use presigned URLs, as in CORS_ORIGINS; empty for none.",
                "CommaDelimitedList",
                Default="",
            ),
            "AlarmEmail": parameter("Who is told of alarms; empty for nobody.", Default=""),
        },
        "Conditions": {
            "HasOrigins": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", ref("CorsOrigins")]}, ""]}]},
            "HasAlarmEmail": {"Fn::Not": [{"Fn::Equals": [ref("AlarmEmail"), ""]}]},
        },
        "Resources": {
            **tables,
            **_bucket(),
            **_queues(settings),
            **_key(),
            **_trail(),
            **watching.topic(),
            **watching.data_alarms([*tables], settings),
        },
        "Outputs": {
            name: {"Value": value, "Export": {"Name": sub("${AWS::StackName}-" + name)}}
            for name, value in {
                "BucketName": ref("Bucket"),
                "BucketArn": att("Bucket"),
                "QueueArn": att("Queue"),
                "DeadLetterQueueArn": att("DeadLetterQueue"),
                "KeyArn": att("Key"),
                "AlarmTopic": ref("AlarmTopic"),
            }.items()
        },
    }


def existing(template: Json, names: list[str], bucket: str) -> tuple[Json, list[Json]]:
    """Return what brings tables and a bucket that are there already into a new data stack, by an import.

    That is a template of nothing but those, and the list of what to import. `names`
    are the names of tables, or "Bucket", which is called `bucket`. The next update of the stack, with
    the whole template, adds the rest. Raises `KeyError` for another name.
    """
    kept = {}
    for name in [name if name == "Bucket" else logical_name(name) for name in names]:
        found = template["Resources"][name]
        # The queue is not there yet.
        without = {
            key: value for key, value in found["Properties"].items() if key != "NotificationConfiguration"
        }
        kept[name] = {key: value for key, value in found.items() if key != "DependsOn"} | {
            "Properties": without
        }
    wanted = ("BucketName", "CorsOrigins") if "Bucket" in kept else ()
    only = {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": template["Description"],
        **({"Parameters": {name: template["Parameters"][name] for name in wanted}} if wanted else {}),
        **({"Conditions": {"HasOrigins": template["Conditions"]["HasOrigins"]}} if wanted else {}),
        "Resources": kept,
    }
    identified = [
        {
            "ResourceType": one["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": (
                {"BucketName": bucket} if name == "Bucket" else {"TableName": one["Properties"]["TableName"]}
            ),
        }
        for name, one in kept.items()
    ]
    return only, identified


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
    rule = cors_rules(ref("CorsOrigins"))[0]
    rule["MaxAge"] = rule.pop("MaxAgeSeconds")
    rule["ExposedHeaders"] = rule.pop("ExposeHeaders")
    default = ENCRYPTION["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    bucket = {
        "BucketName": ref("BucketName"),
        "VersioningConfiguration": {"Status": "Enabled"},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": default}]
        },
        "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "CorsConfiguration": when("HasOrigins", {"CorsRules": [rule]}, NOTHING),
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
    return {
        # S3 asks the queue whether it may write before it accepts the notification.
        "Bucket": resource("S3::Bucket", bucket, DependsOn="QueuePolicy", **RETAIN),
        "BucketPolicy": resource(
            "S3::BucketPolicy",
            {"Bucket": ref("Bucket"), "PolicyDocument": document(_tls_only("Bucket"))},
            **RETAIN,
        ),
    }


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


def _queues(settings: Settings) -> Json:
    attributes = {name: int(value) for name, value in QUEUE_ATTRIBUTES.items()}
    # The bucket's ARN is put together by hand, since the bucket waits for this policy.
    policy = queue_policy(att("Queue"), sub("arn:${AWS::Partition}:s3:::${BucketName}"))
    return {
        "Queue": resource(
            "SQS::Queue",
            {
                "QueueName": settings.events_queue,
                **attributes,
                "RedrivePolicy": {
                    "deadLetterTargetArn": att("DeadLetterQueue"),
                    "maxReceiveCount": TRIES_OF_A_DAY,
                },
                "SqsManagedSseEnabled": True,
                "Tags": TAGS,
            },
            **DELETE,
        ),
        "DeadLetterQueue": resource(
            "SQS::Queue",
            {
                "QueueName": dead_letter_name(settings.events_queue),
                "MessageRetentionPeriod": attributes["MessageRetentionPeriod"],
                "SqsManagedSseEnabled": True,
                "Tags": TAGS,
            },
            **DELETE,
        ),
        "QueuePolicy": resource("SQS::QueuePolicy", {"Queues": [ref("Queue")], "PolicyDocument": policy}),
    }


def _key() -> Json:
    """The key of what AWS keeps for the service: logs, trail and alarms. Recordings have their own."""
    log_group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:/panzoto/*"
    logs = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": sub(log_group)}}
    use = ["kms:Decrypt", "kms:GenerateDataKey*"]

    def may(principal: Any, actions: list[str], **more: Any) -> Json:
        return {"Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*", **more}

    account = {"AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")}
    policy = document(
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
    return {
        "Key": resource(
            "KMS::Key",
            {
                "Description": "Panzoto: its logs, trail and alarms",
                "EnableKeyRotation": True,
                "KeyPolicy": policy,
                "PendingWindowInDays": 30,
                "Tags": TAGS,
            },
            **RETAIN,
        ),
        "KeyAlias": resource("KMS::Alias", {"AliasName": "alias/panzoto", "TargetKeyId": ref("Key")}),
    }


def _trail_arn() -> Json:
    return sub("arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/panzoto-recordings")


def _trail() -> Json:
    """Who read or wrote which object of the bucket, kept where the service cannot reach it."""
    by_trail = {"StringEquals": {"aws:SourceArn": _trail_arn()}}
    principal = {"Service": "cloudtrail.amazonaws.com"}
    writes: list[Json] = [
        {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:GetBucketAcl",
            "Resource": att("TrailBucket"),
            "Condition": by_trail,
        },
        {
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:PutObject",
            "Resource": sub("${Arn}/AWSLogs/${AWS::AccountId}/*", Arn=att("TrailBucket")),
            "Condition": {
                "StringEquals": {
                    "s3:x-amz-acl": "bucket-owner-full-control",
                    **by_trail["StringEquals"],
                }
            },
        },
    ]
    by_key = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": att("Key")}}
    return {
        "TrailBucket": resource(
            "S3::Bucket",
            {
                "VersioningConfiguration": {"Status": "Enabled"},
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [{**by_key, "BucketKeyEnabled": True}]
                },
                "PublicAccessBlockConfiguration": PUBLIC_ACCESS_BLOCK,
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "LifecycleConfiguration": {
                    "Rules": [
                        {
                            "Id": "forget-after-400-days",
                            "Status": "Enabled",
                            "ExpirationInDays": TRAIL_DAYS,
                            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
                        }
                    ]
                },
                "Tags": TAGS,
            },
            **RETAIN,
        ),
        "TrailBucketPolicy": resource(
            "S3::BucketPolicy",
            {
                "Bucket": ref("TrailBucket"),
                "PolicyDocument": document([*_tls_only("TrailBucket"), *writes]),
            },
            **RETAIN,
        ),
        "Trail": resource(
            "CloudTrail::Trail",
            {
                "TrailName": "panzoto-recordings",
                "S3BucketName": ref("TrailBucket"),
                "KMSKeyId": att("Key"),
                "EnableLogFileValidation": True,
                "IncludeGlobalServiceEvents": False,
                "IsLogging": True,
                "IsMultiRegionTrail": False,
                "AdvancedEventSelectors": [
                    {
                        "Name": "every object of the recordings' bucket",
                        "FieldSelectors": [
                            {"Field": "eventCategory", "Equals": ["Data"]},
                            {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                            {
                                "Field": "resources.ARN",
                                "StartsWith": [sub("${Arn}/", Arn=att("Bucket"))],
                            },
                        ],
                    }
                ],
                "Tags": TAGS,
            },
            DependsOn="TrailBucketPolicy",
        ),
    }

"""Tables and bucket as they must be: create, list, optimize, delete. All derived from the models.

`create` makes what is missing and hardens what it made; `optimize` brings
existing resources up to date without touching data. Both may be run any
number of times and by several processes at once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from pynamodb.attributes import TTLAttribute

from panzoto.config import Settings
from panzoto.errors import PanzotoError, Unavailable
from panzoto.models import ALL_MODELS, StoredModel

# Far longer than anybody goes on with an upload or a hold stands: this rule of S3's asks no table.
STALE_UPLOAD_DAYS = 180
POLL_SECONDS = 1.0
WAIT_SECONDS = 600
PUBLIC_ACCESS_BLOCK = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
LIFECYCLE_RULE = {
    "ID": "abort-stale-multipart-uploads",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": STALE_UPLOAD_DAYS},
}
ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}

NOTIFICATION_ID = "panzoto-object-created"
# Messages live for two weeks, since an object that arrived must not be forgotten over a long outage.
QUEUE_ATTRIBUTES = {"MessageRetentionPeriod": "1209600", "VisibilityTimeout": "120"}

log = logging.getLogger(__name__)
Report = Callable[[str], None]


def cors_rules(origins: Any) -> list[dict[str, Any]]:
    """Return what pages of `origins` may do with the bucket: send and fetch what a URL was signed for."""
    return [
        {
            "AllowedHeaders": ["*"],
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedOrigins": origins,
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 3600,
        }
    ]


def queue_policy(queue_arn: Any, bucket_arn: Any) -> dict[str, Any]:
    """Return the policy by which the bucket, and nobody else, may write to the queue of its events."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnLike": {"aws:SourceArn": bucket_arn}},
            }
        ],
    }


def _silent(_: str) -> None:
    """Report to nobody."""


class ResourceError(PanzotoError):
    """A table or the bucket cannot be made as it must be; the sentence says which and why."""


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One table as its model says it must be."""

    name: str
    keys: list[dict[str, str]]
    attributes: list[dict[str, str]]
    indexes: list[dict[str, Any]]
    ttl_attribute: str | None

    @classmethod
    def of(cls, model: type[StoredModel]) -> TableDefinition:
        schema: Any = model._get_schema()  # noqa: SLF001 - PynamoDB has no public way to it
        ttl = [a.attr_name for a in model.get_attributes().values() if isinstance(a, TTLAttribute)]
        return cls(
            name=model.Meta.table_name,
            keys=_hash_first(schema["key_schema"]),
            attributes=schema["attribute_definitions"],
            indexes=[
                {
                    "IndexName": index["index_name"],
                    "KeySchema": _hash_first(index["key_schema"]),
                    "Projection": index["projection"],
                }
                for index in schema["global_secondary_indexes"]
            ],
            ttl_attribute=next(iter(ttl), None),
        )

    def create_arguments(self) -> dict[str, Any]:
        """Return what CreateTable takes: on-demand and encrypted from the start."""
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "KeySchema": self.keys,
            "AttributeDefinitions": self.attributes,
            "BillingMode": "PAY_PER_REQUEST",
            "SSESpecification": {"Enabled": True},
        }
        return arguments | ({"GlobalSecondaryIndexes": self.indexes} if self.indexes else {})

    def key_attributes(self, index: dict[str, Any]) -> list[dict[str, str]]:
        names = {key["AttributeName"] for key in (*index["KeySchema"], *self.keys)}
        return [attribute for attribute in self.attributes if attribute["AttributeName"] in names]


def _hash_first(keys: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return `keys` in the order in which DynamoDB insists to be told them; the models' is alphabetical."""
    return sorted(keys, key=lambda key: key["KeyType"])


@dataclass(slots=True)
class State:
    """One table or the bucket as it is now, for `list`."""

    name: str
    kind: str
    status: str
    facts: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Prepared:
    """What preparing for a release came to; each line names a thing, and the right that is missing."""

    made: list[str] = field(default_factory=list)
    # Not there, and may not be made.
    refused: list[str] = field(default_factory=list)
    # Nobody may look whether it is there.
    unseen: list[str] = field(default_factory=list)
    without_index: list[str] = field(default_factory=list)


class Resources:
    """The tables and the bucket of one set of settings. `report` gets a line for each step."""

    def __init__(self, settings: Settings, report: Report = _silent) -> None:
        config = Config(connect_timeout=2, read_timeout=15, retries={"total_max_attempts": 3})
        path_style = Config(s3={"addressing_style": "path" if settings.custom_aws_endpoint else "auto"})
        self._dynamodb = boto3.client("dynamodb", region_name=settings.region, config=config)
        self._sqs = boto3.client("sqs", region_name=settings.region, config=config)
        self._s3 = boto3.client("s3", region_name=settings.region, config=config.merge(path_style))
        self._settings = settings
        self._report = report
        self.definitions = [TableDefinition.of(model) for model in ALL_MODELS]

    def create(self) -> None:
        """Make what is missing, wait until it is active, harden it. Raises `ResourceError`, `Unavailable`."""
        with _aws_failures():
            for definition in self.definitions:
                self._create_table(definition)
            for definition in self.definitions:
                self._wait_until_active(definition.name)
                self._harden_table(definition)
            self._create_bucket()
            self._harden_bucket()
        self._create_queue()

    def prepare(self) -> Prepared:
        """Make the tables and the queue that a release needs and that are not there; touch nothing else.

        What the rights do not allow is returned and stops nothing else. Raises
        `ResourceError` and `Unavailable`.
        """
        outcome = Prepared()
        with _aws_failures():
            for definition in self.definitions:
                self._prepare_table(definition, outcome)
            self._prepare_queue(outcome)
        return outcome

    def _prepare_table(self, definition: TableDefinition, outcome: Prepared) -> None:
        table = definition.name
        with _noting_refusals(outcome.unseen, f"table {table}"):
            described = self._describe(table)
            if described is not None:
                there = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", [])}
                names = [index["IndexName"] for index in definition.indexes]
                outcome.without_index += [f"{table}: {name}" for name in names if name not in there]
                return
            with _noting_refusals(outcome.refused, f"table {table}"):
                self._create_table(definition)
                outcome.made.append(f"table {table}")
                self._wait_until_active(table)
                self._harden_table(definition)

    def _prepare_queue(self, outcome: Prepared) -> None:
        queue = self._settings.events_queue
        with _noting_refusals(outcome.unseen, f"queue {queue}"):
            if self._queue_url() is not None:
                return
            with _noting_refusals(outcome.refused, f"queue {queue}"):
                self._make_queue()
                outcome.made.append(f"queue {queue}")

    def optimize(self) -> None:
        """Add what existing tables and bucket lack. No data is touched."""
        with _aws_failures():
            for definition in self.definitions:
                self._add_missing_indexes(definition)
                self._harden_table(definition)
            self._harden_bucket()
        self._create_queue()

    def harden_tables(self, names: Collection[str]) -> None:
        """Turn on what these tables must have and lack: restored ones have neither backups nor TTL."""
        with _aws_failures():
            for definition in self.definitions:
                if definition.name in names:
                    self._harden_table(definition)

    def states(self) -> Iterator[State]:
        """Yield each table's and the bucket's state."""
        with _aws_failures():
            for definition in self.definitions:
                yield self._table_state(definition)
            yield self._bucket_state()
        yield self._queue_state()

    def delete(self) -> None:
        """Delete every table, and the bucket only if it is empty. The caller has asked for confirmation."""
        with _aws_failures():
            for definition in self.definitions:
                self._delete_table(definition.name)
            self._delete_bucket()
        self._delete_queue()

    def _create_table(self, definition: TableDefinition) -> None:
        if self._describe(definition.name) is not None:
            self._report(f"table {definition.name}: is there")
            return
        try:
            self._dynamodb.create_table(**definition.create_arguments())
        except ClientError as error:
            # Another process may be making it at this moment.
            if _code(error) != "ResourceInUseException":
                raise
        self._report(f"table {definition.name}: created")

    def _describe(self, table: str) -> dict[str, Any] | None:
        try:
            described: dict[str, Any] = self._dynamodb.describe_table(TableName=table)["Table"]
        except ClientError as error:
            if _code(error) == "ResourceNotFoundException":
                return None
            raise
        return described

    def _wait_until_active(self, table: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            described = self._describe(table)
            indexes = (described or {}).get("GlobalSecondaryIndexes", [])
            states = [(described or {}).get("TableStatus"), *(index.get("IndexStatus") for index in indexes)]
            if all(state in ("ACTIVE", None) for state in states) and described is not None:
                return
            time.sleep(POLL_SECONDS)
        raise ResourceError(f"Table {table} did not become active within {WAIT_SECONDS} seconds")

    def _harden_table(self, definition: TableDefinition) -> None:
        table = definition.name
        described = self._describe(table)
        if described is None:
            self._report(f"table {table}: missing; run `flask panzoto resources create`")
            return
        if described.get("SSEDescription", {}).get("Status") not in ("ENABLED", "ENABLING", "UPDATING"):
            self._dynamodb.update_table(TableName=table, SSESpecification={"Enabled": True})
            self._wait_until_active(table)
            self._report(f"table {table}: encryption turned on")
        if not self._recovery_on(table):
            self._turn_on_recovery(table)
        if definition.ttl_attribute and not self._ttl_on(table):
            self._dynamodb.update_time_to_live(
                TableName=table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": definition.ttl_attribute},
            )
            self._report(f"table {table}: TTL turned on")

    def _recovery_on(self, table: str) -> bool:
        backups = self._dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")

    def _turn_on_recovery(self, table: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._dynamodb.update_continuous_backups(
                    TableName=table,
                    PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
                )
                self._report(f"table {table}: point-in-time recovery turned on")
                return
            except ClientError as error:
                # A table is active a little before its backups can be turned on.
                if _code(error) != "ContinuousBackupsUnavailableException" or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _ttl_on(self, table: str) -> bool:
        described = self._dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        return described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")

    def _add_missing_indexes(self, definition: TableDefinition) -> None:
        described = self._describe(definition.name)
        if described is None:
            return
        there = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", [])}
        for index in definition.indexes:
            if index["IndexName"] in there:
                continue
            # DynamoDB adds one index at a time.
            self._dynamodb.update_table(
                TableName=definition.name,
                AttributeDefinitions=definition.key_attributes(index),
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            self._wait_until_active(definition.name)
            self._report(f"table {definition.name}: index {index['IndexName']} added")

    def _create_bucket(self) -> None:
        bucket = self._settings.bucket
        if self._bucket_exists():
            self._report(f"bucket {bucket}: is there")
            return
        region = self._settings.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._s3.create_bucket(Bucket=bucket, **where)
        except ClientError as error:
            if _code(error) == "BucketAlreadyExists":
                raise ResourceError(
                    f"Bucket {bucket} belongs to somebody else; choose another S3_BUCKET"
                ) from error
            if _code(error) != "BucketAlreadyOwnedByYou":
                raise
        self._report(f"bucket {bucket}: created")

    def _bucket_exists(self) -> bool:
        try:
            self._s3.head_bucket(Bucket=self._settings.bucket)
        except ClientError as error:
            if _code(error) in ("404", "NoSuchBucket", "NotFound"):
                return False
            raise
        return True

    def _harden_bucket(self) -> None:
        bucket = self._settings.bucket
        if not self._bucket_exists():
            self._report(f"bucket {bucket}: missing; run `flask panzoto resources create`")
            return
        for fact, wanted, turn_on in self._bucket_rules():
            if not wanted():
                turn_on()
                self._report(f"bucket {bucket}: {fact} turned on")

    def _bucket_rules(self) -> list[tuple[str, Callable[[], bool], Callable[[], Any]]]:
        """Return (what, whether it is as it must be, how to make it so)."""
        s3, bucket = self._s3, self._settings.bucket
        return [
            (
                "versioning",
                lambda: s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled",
                lambda: s3.put_bucket_versioning(
                    Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
                ),
            ),
            (
                "public-access block",
                lambda: (
                    self._configured(s3.get_public_access_block, "PublicAccessBlockConfiguration")
                    == PUBLIC_ACCESS_BLOCK
                ),
                lambda: s3.put_public_access_block(
                    Bucket=bucket, PublicAccessBlockConfiguration=PUBLIC_ACCESS_BLOCK
                ),
            ),
            (
                "encryption",
                lambda: bool(self._configured(s3.get_bucket_encryption, "ServerSideEncryptionConfiguration")),
                lambda: s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=ENCRYPTION),
            ),
            (
                "CORS",
                lambda: self._configured(s3.get_bucket_cors, "CORSRules") == self._cors_rules(),
                self._put_cors,
            ),
            (
                "lifecycle rule",
                lambda: any(map(_is_lifecycle_rule, self._lifecycle_rules())),
                self._put_lifecycle,
            ),
        ]

    def _configured(self, get: Callable[..., Any], name: str) -> Any:
        """Return one part of the bucket's configuration, or None when it was never set."""
        try:
            return get(Bucket=self._settings.bucket).get(name)
        except ClientError as error:
            # "NoSuch…" and "…NotFoundError" are S3's ways to say that there is none.
            if _code(error).startswith("NoSuch") or _code(error).endswith("NotFoundError"):
                return None
            raise

    def _lifecycle_rules(self) -> list[dict[str, Any]]:
        return self._configured(self._s3.get_bucket_lifecycle_configuration, "Rules") or []

    def _put_lifecycle(self) -> None:
        """Add the rule, or put it in the place of the one of before, which dropped uploads after 7 days."""
        others = [rule for rule in self._lifecycle_rules() if rule.get("ID") != LIFECYCLE_RULE["ID"]]
        self._s3.put_bucket_lifecycle_configuration(
            Bucket=self._settings.bucket, LifecycleConfiguration={"Rules": [*others, LIFECYCLE_RULE]}
        )

    def _cors_rules(self) -> list[dict[str, Any]] | None:
        origins = list(self._settings.cors_origins)
        return cors_rules(origins) if origins else None

    def _put_cors(self) -> None:
        rules = self._cors_rules()
        if rules:
            self._s3.put_bucket_cors(Bucket=self._settings.bucket, CORSConfiguration={"CORSRules": rules})
        else:
            self._s3.delete_bucket_cors(Bucket=self._settings.bucket)

    def _create_queue(self) -> None:
        """Make the queue of the bucket's events and let the bucket write to it.

        The service works without it, only phones must then say `complete`
        themselves; so an AWS that has no SQS is told of and does not stop the rest.
        """
        queue = self._settings.events_queue
        try:
            self._make_queue()
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            reason = _code(error) if isinstance(error, ClientError) else type(error).__name__
            self._report(f"queue {queue}: cannot be made ({reason}); uploads are committed by phones only")

    def _make_queue(self) -> None:
        queue = self._settings.events_queue
        if self._queue_url() is None:
            self._sqs.create_queue(QueueName=queue, Attributes=QUEUE_ATTRIBUTES)
            self._report(f"queue {queue}: created")
        if not self._bucket_notifies():
            self._connect_queue()
            self._report(f"queue {queue}: gets the bucket's events")

    def _queue_url(self) -> str | None:
        try:
            url: str = self._sqs.get_queue_url(QueueName=self._settings.events_queue)["QueueUrl"]
        except ClientError as error:
            if "NonExistentQueue" in _code(error) or _code(error) == "QueueDoesNotExist":
                return None
            raise
        return url

    def _bucket_notifies(self) -> bool:
        found = self._s3.get_bucket_notification_configuration(Bucket=self._settings.bucket)
        # The name tells, and not the id: one that CloudFormation made has an id of its own.
        queues = (entry.get("QueueArn", "") for entry in found.get("QueueConfigurations", []))
        return any(arn.endswith(f":{self._settings.events_queue}") for arn in queues)

    def _connect_queue(self) -> None:
        url, bucket = self._queue_url(), self._settings.bucket
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        policy = queue_policy(arn, f"arn:aws:s3:::{bucket}")
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        found = self._s3.get_bucket_notification_configuration(Bucket=bucket)
        others = {name: value for name, value in found.items() if name.endswith("Configurations")}
        entry = {"Id": NOTIFICATION_ID, "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
        queues = [*others.pop("QueueConfigurations", []), entry]
        self._s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={**others, "QueueConfigurations": queues}
        )

    def _queue_state(self) -> State:
        queue = self._settings.events_queue
        try:
            there = self._queue_url() is not None
            facts = {"bucket's events": "on" if there and self._bucket_notifies() else "off"}
        except (BotoCoreError, ClientError, ResponseParserError):
            return State(queue, "queue", "unreachable")
        return State(queue, "queue", "active" if there else "missing", facts)

    def _delete_queue(self) -> None:
        try:
            url = self._queue_url()
            if url is not None:
                self._sqs.delete_queue(QueueUrl=url)
                self._report(f"queue {self._settings.events_queue}: deleted")
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            self._report(f"queue {self._settings.events_queue}: kept ({type(error).__name__})")

    def _table_state(self, definition: TableDefinition) -> State:
        described = self._describe(definition.name)
        if described is None:
            return State(definition.name, "table", "missing")
        billing = described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
        facts = {
            "items": str(described.get("ItemCount", 0)),
            "billing": "on demand" if billing == "PAY_PER_REQUEST" else "provisioned",
            "encryption": described.get("SSEDescription", {}).get("Status", "off").lower(),
            "recovery": "on" if self._recovery_on(definition.name) else "off",
        }
        if definition.ttl_attribute:
            facts["ttl"] = "on" if self._ttl_on(definition.name) else "off"
        there = {i["IndexName"]: i for i in described.get("GlobalSecondaryIndexes", [])}
        indexes = {
            index["IndexName"]: there.get(index["IndexName"], {"IndexStatus": "missing"})
            .get("IndexStatus", "ACTIVE")
            .lower()
            for index in definition.indexes
        }
        return State(definition.name, "table", described["TableStatus"].lower(), facts, indexes)

    def _bucket_state(self) -> State:
        bucket = self._settings.bucket
        if not self._bucket_exists():
            return State(bucket, "bucket", "missing")
        facts = {fact: "on" if as_it_must_be() else "off" for fact, as_it_must_be, _ in self._bucket_rules()}
        return State(bucket, "bucket", "active", facts)

    def _delete_table(self, table: str) -> None:
        if self._describe(table) is None:
            self._report(f"table {table}: not there")
            return
        self._dynamodb.delete_table(TableName=table)
        deadline = time.monotonic() + WAIT_SECONDS
        while self._describe(table) is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._report(f"table {table}: deleted")

    def _delete_bucket(self) -> None:
        bucket = self._settings.bucket
        if not self._bucket_exists():
            self._report(f"bucket {bucket}: not there")
            return
        try:
            self._s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if _code(error) != "BucketNotEmpty":
                raise
            self._report(
                f"bucket {bucket}: kept, since it still holds objects; recordings are never deleted here"
            )
            return
        self._report(f"bucket {bucket}: deleted")


def _is_lifecycle_rule(rule: dict[str, Any]) -> bool:
    """Whether a bucket's rule is ours as it must be; S3 gives back the filter in a form of its own."""
    names = ("ID", "Status", "AbortIncompleteMultipartUpload")
    return all(rule.get(name) == LIFECYCLE_RULE[name] for name in names)


@contextmanager
def _noting_refusals(lines: list[str], name: str) -> Iterator[None]:
    """Add to `lines` what `name` would have needed where AWS denies it."""
    try:
        yield
    except ClientError as error:
        if "AccessDenied" not in _code(error):
            raise
        lines.append(f"{name}: {error.operation_name}")


@contextmanager
def _aws_failures() -> Iterator[None]:
    """Turn what the SDK raises into `Unavailable` or `ResourceError`."""
    try:
        yield
    except ClientError as error:
        raise ResourceError(f"AWS refused {error.operation_name}: {_code(error)}") from error
    except BotoCoreError as error:
        raise Unavailable(f"AWS cannot be reached: {type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

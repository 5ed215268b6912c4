"""The bucket: made, hardened, told to report to the queue, looked at, and deleted when it is empty.

Every verb may be repeated. What S3 raises leaves as it is; `resources` says what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from panzoto.config import Settings
from panzoto.host import aws_answers
from panzoto.models.refusals import code_of
from panzoto.operations.resource_states import CONFIG, Report, ResourceError, State

# Far longer than anybody goes on with an upload or a hold stands: this rule of S3's asks no table.
STALE_UPLOAD_DAYS = 180
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


# Beside what every page may read (Fetch, "CORS-safelisted response-header name"): which state of the object
# this is, and which part of it.
EXPOSED_HEADERS = ["ETag", "Accept-Ranges", "Content-Length", "Content-Range"]


def cors_rule(origins: Any) -> dict[str, Any]:
    """Return what pages of `origins` may do with the bucket: send and fetch what a URL was signed for."""
    return {
        # Signed ones of uploads among them, and Range and If-Match of downloads.
        "AllowedHeaders": ["*"],
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedOrigins": origins,
        "ExposeHeaders": EXPOSED_HEADERS,
        "MaxAgeSeconds": 3600,
    }


class Bucket:
    """The bucket of one set of settings. `report` gets a line for each step."""

    def __init__(self, settings: Settings, report: Report) -> None:
        path_style = Config(s3={"addressing_style": "path" if settings.custom_aws_endpoint else "auto"})
        self._s3 = boto3.client("s3", region_name=settings.region, config=CONFIG.merge(path_style))
        aws_answers.follow_no_stranger(self._s3)
        self._settings = settings
        self._report = report

    def create(self) -> None:
        """Make the bucket unless it is there. Raises `ResourceError` where somebody else has its name."""
        bucket = self._settings.bucket
        if self._exists():
            self._report(f"bucket {bucket}: is there")
            return
        region = self._settings.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._s3.create_bucket(Bucket=bucket, **where)
        except ClientError as error:
            if code_of(error) == "BucketAlreadyExists":
                raise ResourceError(
                    f"Bucket {bucket} belongs to somebody else; choose another S3_BUCKET"
                ) from error
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
        self._report(f"bucket {bucket}: created")

    def _exists(self) -> bool:
        try:
            self._s3.head_bucket(Bucket=self._settings.bucket)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchBucket", "NotFound"):
                return False
            raise
        return True

    def harden(self) -> None:
        """Turn on what the bucket must have and lacks."""
        bucket = self._settings.bucket
        if not self._exists():
            self._report(f"bucket {bucket}: missing; run `flask panzoto resources create`")
            return
        for fact, wanted, turn_on in self._rules():
            if not wanted():
                turn_on()
                self._report(f"bucket {bucket}: {fact} turned on")

    def _rules(self) -> list[tuple[str, Callable[[], bool], Callable[[], Any]]]:
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
            if code_of(error).startswith("NoSuch") or code_of(error).endswith("NotFoundError"):
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
        return [cors_rule(list(origins)) for origins in self._settings.bucket_origins] or None

    def _put_cors(self) -> None:
        rules = self._cors_rules()
        if rules:
            self._s3.put_bucket_cors(Bucket=self._settings.bucket, CORSConfiguration={"CORSRules": rules})
        else:
            self._s3.delete_bucket_cors(Bucket=self._settings.bucket)

    def notifies(self, queue: str) -> bool:
        """Whether the bucket reports its new objects to the queue of this name."""
        found = self._s3.get_bucket_notification_configuration(Bucket=self._settings.bucket)
        # The name tells, and not the id: one that CloudFormation made has an id of its own.
        queues = (entry.get("QueueArn", "") for entry in found.get("QueueConfigurations", []))
        return any(arn.endswith(f":{queue}") for arn in queues)

    def notify(self, queue_arn: str) -> None:
        """Let the bucket report its new objects to this queue, too."""
        bucket = self._settings.bucket
        found = self._s3.get_bucket_notification_configuration(Bucket=bucket)
        others = {name: value for name, value in found.items() if name.endswith("Configurations")}
        entry = {"Id": NOTIFICATION_ID, "QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}
        queues = [*others.pop("QueueConfigurations", []), entry]
        self._s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={**others, "QueueConfigurations": queues}
        )

    def state(self) -> State:
        """Return how the bucket is."""
        bucket = self._settings.bucket
        if not self._exists():
            return State(bucket, "bucket", "missing")
        facts = {fact: "on" if as_it_must_be() else "off" for fact, as_it_must_be, _ in self._rules()}
        return State(bucket, "bucket", "active", facts)

    def delete(self) -> None:
        """Delete the bucket if it is empty; one with recordings in it is kept, and said to be."""
        bucket = self._settings.bucket
        if not self._exists():
            self._report(f"bucket {bucket}: not there")
            return
        try:
            self._s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if code_of(error) != "BucketNotEmpty":
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

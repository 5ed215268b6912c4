"""Lists everything that a deployment has made in AWS, and removes it: what `deploy/aws/cleanup` runs.

    deploy/aws/cleanup --list            only show what is there
    deploy/aws/cleanup                   remove all but the data, after the words are typed
    deploy/aws/cleanup --data            remove the data, too, after other words are typed as well

Names are those of the settings (`S3_BUCKET`, `USERS_TABLE`, …) and of the
stacks.  It may be run again after a failure: what is gone is gone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from deploy.aws.cloudformation.policy import TABLES, queue_names
from panzoto.config import Settings
from panzoto.errors import SettingsError

SERVICE_WORDS = "REMOVE PANZOTO"
DATA_WORDS = "DELETE ALL RECORDINGS FOREVER"
LOG_GROUPS = "/panzoto/"
SECRETS = "panzoto/"
REPOSITORY = "panzoto"
KEY_ALIAS = "alias/panzoto"
KEY_DAYS = 30
WAIT_SECONDS = 600
GONE = ("NotFound", "NoSuch", "DoesNotExist", "NonExistent", "404")


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing in AWS and how it is removed; `data` says that it cannot be made again."""

    kind: str
    name: str
    data: bool
    remove: Callable[[], object]


class Deployment:
    """What one deployment has in one account and region."""

    def __init__(self, settings: Settings, stacks: argparse.Namespace) -> None:
        client: Any = partial(boto3.client, region_name=settings.region)

        self._settings = settings
        self._stacks = stacks
        self._cloudformation, self._dynamodb, self._s3 = map(client, ("cloudformation", "dynamodb", "s3"))
        self._sqs, self._logs, self._kms = map(client, ("sqs", "logs", "kms"))
        self._secrets, self._ecr, self._sts = map(client, ("secretsmanager", "ecr", "sts"))

    def account(self) -> str:
        """Return the number of the account that the credentials belong to."""
        number: str = self._sts.get_caller_identity()["Account"]
        return number

    def things(self) -> Iterator[Thing]:
        """Yield what is there, in the order in which it has to go."""
        trails = self._trail_buckets()
        yield from self._stack(self._stacks.service_stack, data=False)
        yield from self._log_groups()
        yield from self._secret_keys()
        yield from self._repository()
        yield from self._stack(self._stacks.pipeline_stack, data=False)
        yield from self._bucket(f"panzoto-templates-{self.account()}-{self._settings.region}", data=False)
        # Its tables, buckets and key outlive it and are removed one by one.
        yield from self._stack(self._stacks.data_stack, data=True)
        yield from self._tables()
        for bucket in (self._settings.bucket, *trails):
            yield from self._bucket(bucket, data=True)
        yield from self._queues()
        yield from self._key()

    def _stack(self, name: str, *, data: bool) -> Iterator[Thing]:
        if _there(lambda: self._cloudformation.describe_stacks(StackName=name)):

            def remove() -> None:
                self._cloudformation.delete_stack(StackName=name)
                self._cloudformation.get_waiter("stack_delete_complete").wait(
                    StackName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
                )

            yield Thing("stack", name, data, remove)

    def _trail_buckets(self) -> list[str]:
        """The names are CloudFormation's own, so they have to be asked for while the stack is there."""
        try:
            found = self._cloudformation.describe_stack_resources(StackName=self._stacks.data_stack)
        except ClientError as error:
            if _is_gone(error):
                return [bucket for bucket in self._stacks.trail_bucket if bucket]
            raise
        return [
            resource["PhysicalResourceId"]
            for resource in found["StackResources"]
            if resource["LogicalResourceId"] == "TrailBucket"
        ]

    def _log_groups(self) -> Iterator[Thing]:
        pages = self._logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=LOG_GROUPS)
        for name in [group["logGroupName"] for page in pages for group in page["logGroups"]]:
            yield Thing("log group", name, False, partial(self._logs.delete_log_group, logGroupName=name))

    def _secret_keys(self) -> Iterator[Thing]:
        pages = self._secrets.get_paginator("list_secrets").paginate()
        for name in [secret["Name"] for page in pages for secret in page["SecretList"]]:
            if name.startswith(SECRETS):
                # Everybody signs in again when it is gone; nothing is encrypted with it.
                remove = partial(self._secrets.delete_secret, SecretId=name, ForceDeleteWithoutRecovery=True)
                yield Thing("secret", name, False, remove)

    def _repository(self) -> Iterator[Thing]:
        if _there(lambda: self._ecr.describe_repositories(repositoryNames=[REPOSITORY])):
            yield Thing(
                "images",
                REPOSITORY,
                False,
                lambda: self._ecr.delete_repository(repositoryName=REPOSITORY, force=True),
            )

    def _tables(self) -> Iterator[Thing]:
        for table in [getattr(self._settings, f"{name}_table") for name in TABLES]:
            if _there(partial(self._dynamodb.describe_table, TableName=table)):
                yield Thing("table", table, True, partial(self._remove_table, table))

    def _remove_table(self, table: str) -> None:
        described = self._dynamodb.describe_table(TableName=table)["Table"]
        if described.get("DeletionProtectionEnabled"):
            self._dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._dynamodb.delete_table(TableName=table)
                return
            except self._dynamodb.exceptions.ResourceInUseException:
                # It is still being changed.
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def _bucket(self, bucket: str, *, data: bool) -> Iterator[Thing]:
        if _there(lambda: self._s3.head_bucket(Bucket=bucket)):
            yield Thing("bucket", bucket, data, lambda: self._remove_bucket(bucket))

    def _remove_bucket(self, bucket: str) -> None:
        for page in self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                which = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                self._s3.abort_multipart_upload(Bucket=bucket, **which)
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
            if versions:
                self._s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
        self._s3.delete_bucket(Bucket=bucket)

    def _queues(self) -> Iterator[Thing]:
        for queue in queue_names(self._settings).values():
            try:
                url = self._sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            except ClientError as error:
                if _is_gone(error):
                    continue
                raise
            yield Thing("queue", queue, True, partial(self._sqs.delete_queue, QueueUrl=url))

    def _key(self) -> Iterator[Thing]:
        try:
            described = self._kms.describe_key(KeyId=KEY_ALIAS)["KeyMetadata"]
        except ClientError as error:
            if _is_gone(error):
                return
            raise
        key = described["KeyId"]

        def remove() -> None:
            self._kms.delete_alias(AliasName=KEY_ALIAS)
            self._kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=KEY_DAYS)

        yield Thing("key", f"{KEY_ALIAS} (gone after {KEY_DAYS} days)", True, remove)


def _there(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ClientError as error:
        if _is_gone(error):
            return False
        raise
    return True


def _is_gone(error: ClientError) -> bool:
    details = error.response.get("Error", {})
    code, text = str(details.get("Code", "")), str(details.get("Message", ""))
    # CloudFormation says of a stack that is not there that the request is not valid.
    return any(word in code for word in GONE) or (code == "ValidationError" and "does not exist" in text)


def main() -> int:
    """Run the command line; return 0, 1 when something could not be removed, or 2 when it is run wrongly."""
    arguments = _arguments()
    try:
        settings = Settings.from_environment(
            {**os.environ, "FLASK_ENV": "development", "SECRET_KEY": "not needed here"}
        )
        deployment = Deployment(settings, arguments)
        things = list(deployment.things())
        print(f"Account {deployment.account()}, region {settings.region}")
    except SettingsError as error:
        return _say(str(error), 2)
    except (BotoCoreError, ClientError) as error:
        return _say(f"AWS cannot be asked: {_reason(error)}", 1)
    for thing in things:
        print(f"  {'DATA ' if thing.data else '     '}{thing.kind}: {thing.name}")
    if not things:
        print("Nothing of this deployment is there.")
    if arguments.list or not things:
        return 0
    return _confirm_and_remove(arguments, things)


def _confirm_and_remove(arguments: argparse.Namespace, things: list[Thing]) -> int:
    going = [thing for thing in things if arguments.data or not thing.data]
    asked = [("everything above that is not data", SERVICE_WORDS, arguments.confirm, "--confirm")]
    if arguments.data:
        asked.append(
            (
                "every account and every recording, for good",
                DATA_WORDS,
                arguments.confirm_data,
                "--confirm-data",
            )
        )
    # All is asked before anything is removed.
    for what, words, given, option in asked:
        if given is None and not sys.stdin.isatty():
            return _say(f'There is no terminal to ask on. To remove {what}, give {option} "{words}".', 2)
        typed = given if given is not None else input(f"This removes {what}. Type {words} to go on: ")
        if typed != words:
            return _say(f"Nothing was removed: the words are {words}.", 1)
    failed = [thing for thing in going if not _removed(thing)]
    kept = [thing for thing in things if thing not in going]
    if kept:
        print(f"Kept: {', '.join(thing.name for thing in kept)}. They cost; --data removes them.")
    if failed:
        return _say(f"Not removed: {', '.join(thing.name for thing in failed)}. Run this again.", 1)
    return 0


def _removed(thing: Thing) -> bool:
    try:
        thing.remove()
    except (BotoCoreError, ClientError, WaiterError) as error:
        if not (isinstance(error, ClientError) and _is_gone(error)):
            print(f"{thing.kind} {thing.name}: {_reason(error)}", file=sys.stderr)
            return False
    print(f"{thing.kind} {thing.name}: removed")
    return True


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {error.response.get('Error', {}).get('Code', '')}"
    return type(error).__name__


def _say(sentence: str, status: int) -> int:
    print(f"cleanup: {sentence}", file=sys.stderr)
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/aws/cleanup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--list", action="store_true", help="only show what is there")
    add("--data", action="store_true", help="remove accounts and recordings, too")
    add("--confirm", metavar="WORDS", help=f'where there is no terminal: "{SERVICE_WORDS}"')
    add("--confirm-data", metavar="WORDS", help=f'where there is no terminal: "{DATA_WORDS}"')
    add("--service-stack", default="panzoto-service", metavar="NAME", help="(%(default)s)")
    add("--data-stack", default="panzoto-data", metavar="NAME", help="(%(default)s)")
    add("--pipeline-stack", default="panzoto-pipeline", metavar="NAME", help="(%(default)s)")
    add(
        "--trail-bucket",
        action="append",
        default=[],
        metavar="NAME",
        help="the trail's bucket, where the data stack that knew its name is gone already",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

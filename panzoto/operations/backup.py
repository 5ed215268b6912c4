"""The backups of the tables: restored beside themselves, waited for, and deleted again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from panzoto.errors import PanzotoError, Unavailable

RESTORE_SECONDS = 12 * 3600
POLL_SECONDS = 5.0
NOT_THERE = ("ResourceNotFoundException", "TableNotFoundException")

Report = Callable[[str], None]


class BackupError(PanzotoError):
    """A table cannot be restored or compared; the sentence says which and why."""


class Backup:
    """The backups of the tables of one region. `report` gets a line for each step."""

    def __init__(self, region: str, report: Report) -> None:
        config = Config(
            connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 8, "mode": "standard"}
        )
        self._dynamodb = boto3.client("dynamodb", region_name=region, config=config)
        self._report = report

    def begin(self, table: str, copy: str) -> None:
        """Begin to restore `table` to its latest moment as `copy`, unless that is there already.

        Raises `BackupError` and `Unavailable`.
        """
        with _failures(table):
            if self._described(copy) is not None:
                return
            # The copy is scanned and nothing else, so it needs no indexes, which would be filled at a price.
            self._dynamodb.restore_table_to_point_in_time(
                SourceTableName=table,
                TargetTableName=copy,
                UseLatestRestorableTime=True,
                BillingModeOverride="PAY_PER_REQUEST",
                GlobalSecondaryIndexOverride=[],
            )

    def restored_to(self, copy: str) -> datetime | None:
        """Return the moment to which `copy` is, or None as long as it is being restored.

        Raises `BackupError` and `Unavailable`.
        """
        with _failures(copy):
            described = self._dynamodb.describe_table(TableName=copy)["Table"]
        if described["TableStatus"] != "ACTIVE":
            return None
        summary = described.get("RestoreSummary")
        if summary is not None:
            told: datetime = summary["RestoreDateTime"]
            return told
        # A stand-in for AWS copies the table as it is when asked, in the second that it tells.
        made: datetime = described["CreationDateTime"]
        return made + timedelta(seconds=1)

    def restore_beside(self, copies: dict[str, str], moment: datetime) -> None:
        """Restore each table to `moment` under its copy's name, indexes too, and wait for all of them.

        Raises `BackupError` and `Unavailable`.
        """
        for table, copy in copies.items():
            self._report(f"{table}: restoring to {copy}, as of {moment:%Y-%m-%d %H:%M:%S} UTC")
            with _failures(table):
                self._dynamodb.restore_table_to_point_in_time(
                    SourceTableName=table,
                    TargetTableName=copy,
                    RestoreDateTime=moment,
                    BillingModeOverride="PAY_PER_REQUEST",
                )
        for table, copy in copies.items():
            with _failures(table):
                self._wait_for(copy)
        if not all(self._tells_moment(copy) for copy in copies.values()):
            self._report(
                "This AWS does not tell to which moment it restored, as a stand-in for AWS does not:"
                " the copies may be of now instead."
            )

    def delete_copy(self, copy: str) -> None:
        """Delete a table that was restored here; what cannot be deleted is told. Raises `Unavailable`."""
        with _failures(copy):
            self._delete(copy)

    def _wait_for(self, copy: str) -> None:
        deadline = time.monotonic() + RESTORE_SECONDS
        while time.monotonic() < deadline:
            if self.restored_to(copy) is not None:
                return
            time.sleep(POLL_SECONDS)
        raise BackupError(f"{copy} was not restored within {RESTORE_SECONDS // 3600} hours")

    def _tells_moment(self, copy: str) -> bool:
        with _failures(copy):
            return "RestoreSummary" in self._dynamodb.describe_table(TableName=copy)["Table"]

    def _described(self, table: str) -> object | None:
        try:
            return self._dynamodb.describe_table(TableName=table)["Table"]  # type: ignore[no-any-return]
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise

    def _delete(self, copy: str) -> None:
        try:
            self._dynamodb.delete_table(TableName=copy)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NOT_THERE:
                self._report(f"{copy} could not be deleted; delete it yourself")


@contextmanager
def _failures(table: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "PointInTimeRecoveryUnavailableException":
            sentence = "has no point-in-time recovery; `flask panzoto resources optimize` turns it on"
        elif code in NOT_THERE:
            sentence = "is not there"
        else:
            raise Unavailable(f"Table {table} cannot be restored: {code}") from error
        raise BackupError(f"Table {table} {sentence}") from error
    except BotoCoreError as error:
        raise Unavailable() from error

"""Proof that the tables' backups are good: restore a copy of each, compare it, delete the copy.

A table goes on changing while it is restored, so it is looked at twice: before the moment to which
it is restored and after. A row that was the same both times must be the same in the copy as well.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from panzoto.errors import PanzotoError, Unavailable

# The restorable moment of a table lies about five minutes back.
SETTLE_SECONDS = 400
RESTORE_SECONDS = 12 * 3600
POLL_SECONDS = 5.0
MOST_NAMED = 10
DIGEST_BYTES = 16

Report = Callable[[str], None]


class BackupError(PanzotoError):
    """A table cannot be restored or compared; the sentence says which and why."""


@dataclass(slots=True)
class Verdict:
    """What became of one table: rows compared, rows that changed meanwhile, and rows not as they were.

    `named` are the first of the latter; an address in a key is left out.
    """

    table: str
    restored_to: datetime
    compared: int = 0
    changed: int = 0
    missing: int = 0
    different: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.missing and not self.different


class Backup:
    """The backups of the tables of one region. `report` gets a line for each step."""

    def __init__(self, region: str, report: Report, settle_seconds: float = SETTLE_SECONDS) -> None:
        config = Config(
            connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 8, "mode": "standard"}
        )
        self._dynamodb = boto3.client("dynamodb", region_name=region, config=config)
        self._report = report
        self._settle_seconds = settle_seconds

    def verify(self, table: str) -> Verdict:
        """Restore `table` to its latest moment beside itself, compare, and delete the copy.

        Raises `BackupError` and `Unavailable`.
        """
        copy = f"{table}-restored-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        with _failures(table), _Looks() as looks:
            keys = self._keys(table)
            self._report(f"{table}: reading")
            for row in self._rows(table):
                looks.see(*_digests(row, keys))
            looked_at = datetime.now(UTC)
            time.sleep(self._settle_seconds)
            try:
                restored_to = self._restore(table, copy)
                if restored_to < looked_at:
                    raise BackupError(
                        f"{table} was restored to {restored_to:%H:%M:%S} UTC, before it was looked at;"
                        " wait longer with --settle"
                    )
                self._report(f"{table}: restored to {restored_to:%Y-%m-%d %H:%M:%S} UTC; comparing")
                return self._compare(table, copy, looks, Verdict(table, restored_to))
            finally:
                self._delete(copy)

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

    def delete_copy(self, copy: str) -> None:
        """Delete a table that was restored here; what cannot be deleted is told."""
        with _failures(copy):
            self._delete(copy)

    def _keys(self, table: str) -> list[str]:
        schema = self._dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]
        return [key["AttributeName"] for key in schema]

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            yield from page["Items"]

    def _restore(self, table: str, copy: str) -> datetime:
        """Restore and wait; return the moment to which the copy is."""
        self._report(f"{table}: restoring to {copy}")
        # The copy is scanned and nothing else, so it needs no indexes, which would be filled at a price.
        self._dynamodb.restore_table_to_point_in_time(
            SourceTableName=table,
            TargetTableName=copy,
            UseLatestRestorableTime=True,
            BillingModeOverride="PAY_PER_REQUEST",
            GlobalSecondaryIndexOverride=[],
        )
        return self._wait_for(copy)

    def _wait_for(self, copy: str) -> datetime:
        deadline = time.monotonic() + RESTORE_SECONDS
        while time.monotonic() < deadline:
            described = self._dynamodb.describe_table(TableName=copy)["Table"]
            if described["TableStatus"] == "ACTIVE":
                moment: datetime = described["RestoreSummary"]["RestoreDateTime"]
                return moment
            time.sleep(POLL_SECONDS)
        raise BackupError(f"{copy} was not restored within {RESTORE_SECONDS // 3600} hours")

    def _compare(self, table: str, copy: str, looks: _Looks, verdict: Verdict) -> Verdict:
        keys = self._keys(table)
        for row in self._rows(table):
            looks.see_again(*_digests(row, keys))
        verdict.changed = looks.drop_changed()
        verdict.compared = looks.count()
        for row in self._rows(copy):
            if looks.differs(*_digests(row, keys)):
                verdict.different += 1
                _name(verdict, row, keys)
        for key in looks.not_in_copy():
            verdict.missing += 1
            self._name_missing(verdict, key, keys)
        return verdict

    def _name_missing(self, verdict: Verdict, digest: bytes, keys: list[str]) -> None:
        if len(verdict.named) < MOST_NAMED:
            row = next((row for row in self._rows(verdict.table) if _digests(row, keys)[0] == digest), None)
            if row is not None:
                _name(verdict, row, keys)

    def _delete(self, copy: str) -> None:
        try:
            self._dynamodb.delete_table(TableName=copy)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                self._report(f"{copy} could not be deleted; delete it yourself")


class _Looks:
    """Two looks at a table, as digests of keys and of rows, on disk: there may be very many."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="panzoto-backup-")

    def __enter__(self) -> Self:
        self._database = sqlite3.connect(Path(self._folder.name) / "looks")
        self._database.execute(
            "CREATE TABLE looks (key BLOB PRIMARY KEY, first BLOB, again BLOB, copied INTEGER) WITHOUT ROWID"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._folder.cleanup()

    def see(self, key: bytes, row: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO looks VALUES (?, ?, NULL, 0)", (key, row))

    def see_again(self, key: bytes, row: bytes) -> None:
        self._database.execute("UPDATE looks SET again = ? WHERE key = ?", (row, key))

    def drop_changed(self) -> int:
        """Forget the rows that were not the same both times, and return how many they were."""
        return self._database.execute("DELETE FROM looks WHERE again IS NOT first").rowcount

    def count(self) -> int:
        count: int = self._database.execute("SELECT COUNT(*) FROM looks").fetchone()[0]
        return count

    def differs(self, key: bytes, row: bytes) -> bool:
        """Note that the copy has `key`, and tell whether its row is another than both times."""
        found = self._database.execute("SELECT first FROM looks WHERE key = ?", (key,)).fetchone()
        if found is None:
            return False
        self._database.execute("UPDATE looks SET copied = 1 WHERE key = ?", (key,))
        return bool(found[0] != row)

    def not_in_copy(self) -> list[bytes]:
        return [key for (key,) in self._database.execute("SELECT key FROM looks WHERE copied = 0")]


def _digests(row: dict[str, Any], keys: list[str]) -> tuple[bytes, bytes]:
    """Return the digest of a row's key and of all of it."""
    return _digest({name: row[name] for name in keys}), _digest(row)


def _digest(values: dict[str, Any]) -> bytes:
    # The members of a set come in any order.
    ordered = {
        name: {kind: sorted(value) if kind.endswith("S") and len(kind) == 2 else value}
        for name, typed in values.items()
        for kind, value in typed.items()
    }
    return hashlib.blake2b(json.dumps(ordered, sort_keys=True).encode(), digest_size=DIGEST_BYTES).digest()


def _name(verdict: Verdict, row: dict[str, Any], keys: list[str]) -> None:
    if len(verdict.named) < MOST_NAMED:
        values = (str(next(iter(row[name].values()))) for name in keys)
        verdict.named.append(" ".join(value.partition("#")[0] for value in values))


@contextmanager
def _failures(table: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "PointInTimeRecoveryUnavailableException":
            sentence = "has no point-in-time recovery; `flask panzoto resources optimize` turns it on"
        elif code in ("ResourceNotFoundException", "TableNotFoundException"):
            sentence = "is not there"
        else:
            sentence = f"cannot be verified: {code}"
        raise BackupError(f"Table {table} {sentence}") from error
    except BotoCoreError as error:
        raise Unavailable() from error

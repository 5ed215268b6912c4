"""Proof that the tables' backups are good: restore a copy of each, compare it, delete the copy.

A table goes on changing while it is restored, so it is looked at twice: before the moment to which
it is restored and after. A row that was the same both times must be the same in the copy as well.
All tables are restored at the same time, and read by several threads. What was seen lies on disk, as
digests, together with the checkpoint: a run that was killed while copies were restored finds them again.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from panzoto.models import wire
from panzoto.models.bulk import BulkTables, Item
from panzoto.operations.backup import POLL_SECONDS, RESTORE_SECONDS, Backup, BackupError
from panzoto.operations.checkpoint import Checkpoint
from panzoto.operations.parallel_scan import Handled, ParallelScan, Run, Stage

# The restorable moment of a table lies about five minutes back.
SETTLE_SECONDS = 400
MOST_NAMED = 10
DIGEST_BYTES = 16
FILE = "backup-verify.sqlite3"
# A page of DynamoDB is a mebibyte, which is as many rows at most.
ROWS_PER_PAGE = 20_000
BEFORE, AFTER, COPIED = range(3)

# What each row was: the digests of it at the first look, at the second, and in the copy, lowest and highest,
# since a page that was being read when a run was killed is read again.
COMPARED = """
SELECT key, CASE
    WHEN before < highest_before OR after IS NOT before OR highest_after > after THEN 'changed'
    WHEN copied IS NULL THEN 'missing'
    WHEN copied <> before OR highest_copied > copied THEN 'different'
    ELSE 'same' END
FROM (
    SELECT key,
        MIN(row) FILTER (WHERE look = 0) AS before, MAX(row) FILTER (WHERE look = 0) AS highest_before,
        MIN(row) FILTER (WHERE look = 1) AS after, MAX(row) FILTER (WHERE look = 1) AS highest_after,
        MIN(row) FILTER (WHERE look = 2) AS copied, MAX(row) FILTER (WHERE look = 2) AS highest_copied
    FROM {looks} GROUP BY key
) WHERE before IS NOT NULL
"""


@dataclass(slots=True)
class Verdict:
    """What became of one table: rows compared, rows that changed meanwhile, and rows not as they were.

    `restored_to` is in UTC. `named` are the first of the latter; an address in a key is left out.
    """

    table: str
    restored_to: str
    compared: int = 0
    changed: int = 0
    missing: int = 0
    different: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.missing and not self.different


class BackupVerification:
    """Verifies backups; what a killed or stopped run has done and restored is not done again."""

    def __init__(self, run: Run, backup: Backup, folder: Path, settle_seconds: float) -> None:
        self._run = run
        self._backup = backup
        self._path = folder / FILE
        self._settle_seconds = settle_seconds
        self._tables = BulkTables(run.at_once)

    def verify(self, tables: Sequence[str], *, anew: bool = False) -> list[Verdict]:
        """Restore each of `tables` to its latest moment beside itself, compare, and delete the copies.

        With `anew` an interrupted run counts for nothing, and its copies are deleted. Raises `BackupError`,
        after which no copy is left, and, after which the same call goes on where it was, `AwsRefused`,
        `CheckpointError`, `Stopped`, `TableMissing` and `Unavailable`.
        """
        described = [self._run.pressure.patiently(lambda at=at: self._tables.described(at)) for at in tables]  # type: ignore[misc]
        what = json.dumps([[table, one.identity] for table, one in zip(tables, described, strict=True)])
        with Checkpoint(self._path, f"backup verify {what}") as checkpoint:
            self._delete(_copies(checkpoint.was_of_another))
            if anew:
                self._delete(_copies(checkpoint.facts()))
                checkpoint.begin_anew()
            try:
                looks = [
                    _Look(self, checkpoint, table, number, one.keys, one.items)
                    for number, (table, one) in enumerate(zip(tables, described, strict=True))
                ]
                verdicts = self._go_on(looks)
            except BackupError:
                self._delete(_copies(checkpoint.facts()))
                checkpoint.forget()
                raise
            except Exception:
                self._tell_of_copies(checkpoint)
                raise
            checkpoint.forget()
        return verdicts

    def _go_on(self, looks: list[_Look]) -> list[Verdict]:
        waiting = [look for look in looks if look.verdict() is None]
        for look in waiting:
            look.at(BEFORE, look.table)
        for look in waiting:
            look.settle(self._settle_seconds)
        for look in waiting:
            look.begin_restoring(self._backup)
        for look in looks:
            if look in waiting:
                look.compare(self._backup)
            # Whoever was killed right after comparing has left it.
            look.delete_copy(self._backup)
        return [verdict for look in looks if (verdict := look.verdict()) is not None]

    def _tell_of_copies(self, checkpoint: Checkpoint) -> None:
        if left := sorted(_copies(checkpoint.facts())):
            self.report(f"kept to go on with, until --anew deletes them: {', '.join(left)}")

    def _delete(self, copies: Iterator[str]) -> None:
        for copy in copies:
            self._backup.delete_copy(copy)

    def through(self, checkpoint: Checkpoint, stage: Stage) -> None:
        """Go through a table."""
        ParallelScan(self._run, self._tables, checkpoint).through(stage)

    def report(self, line: str) -> None:
        """Tell of a step."""
        self._run.report(line)

    def wait(self, seconds: float) -> None:
        """Wait, unless the run is to end. Raises `Stopped`."""
        self._run.pressure.wait(seconds)


@dataclass
class _Look:
    """One table as it was seen; all that is known of it is in the checkpoint."""

    verification: BackupVerification
    checkpoint: Checkpoint
    table: str
    number: int
    keys: tuple[str, ...]
    # About how many rows it has; of a copy nobody tells.
    items: int

    def __post_init__(self) -> None:
        self._looks = f"looks_{self.number}"
        self.checkpoint.execute(
            f"CREATE TABLE IF NOT EXISTS {self._looks} (look INTEGER, key BLOB, row BLOB)"
        )

    def at(self, look: int, table: str) -> None:
        """Read all of `table`, which is ours or the copy."""
        self._through(look, table, lambda rows: Handled(also=self._seeing(look, rows)))
        if look == BEFORE and self._fact("looked_at") is None:
            self._note("looked_at", datetime.now(UTC).isoformat())

    def _through(self, look: int | str, table: str, handle: Callable[[list[Item]], Handled]) -> None:
        label = f"{table}: {'finding names' if look == 'names' else 'reading'}"
        wanted = {"ConsistentRead": True, "Limit": ROWS_PER_PAGE}
        stage = Stage(f"{look} {self.table}", label, table, handle, wanted, ROWS_PER_PAGE, self.items)
        self.verification.through(self.checkpoint, stage)

    def _seeing(self, look: int, rows: list[Item]) -> Callable[[sqlite3.Connection], None]:
        seen = [(look, *self._digests(row)) for row in rows]
        insert = f"INSERT INTO {self._looks} VALUES (?, ?, ?)"  # noqa: S608 - our own name of a table

        def write(database: sqlite3.Connection) -> None:
            database.executemany(insert, seen)

        return write

    def settle(self, seconds: float) -> None:
        """Wait until the backups have reached what was looked at."""
        left = seconds - (datetime.now(UTC) - self._looked_at()).total_seconds()
        if self._fact("copy") is None and left > 0:
            self.verification.report(
                f"{self.table}: waiting {math.ceil(left)} s (see --settle) until its backup has reached"
                " what was looked at"
            )
            self.verification.wait(left)

    def begin_restoring(self, backup: Backup) -> None:
        """Let DynamoDB make the copy."""
        copy = self._fact("copy") or f"{self.table}-restored-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        self._note("copy", copy)
        self.verification.report(f"{self.table}: restoring to {copy}")
        backup.begin(self.table, copy)

    def compare(self, backup: Backup) -> None:
        """Wait for the copy, look again, and say what was found. Raises `BackupError`."""
        copy = self._fact("copy") or ""
        restored_to = self._restored(backup, copy)
        if restored_to < self._looked_at():
            raise BackupError(
                f"{self.table} was restored to {restored_to:%H:%M:%S} UTC, before it was looked at;"
                " wait longer with --settle"
            )
        moment = f"{restored_to:%Y-%m-%d %H:%M:%S}"
        self.verification.report(f"{self.table}: restored to {moment} UTC; comparing")
        self.at(AFTER, self.table)
        self.at(COPIED, copy)
        verdict = self._compared(Verdict(self.table, moment))
        self._note("verdict", json.dumps(asdict(verdict)))
        self.checkpoint.execute(f"DELETE FROM {self._looks}")  # noqa: S608 - our own name of a table

    def delete_copy(self, backup: Backup) -> None:
        """Delete the copy that was compared, unless that was done."""
        if self._fact("deleted") is None:
            backup.delete_copy(self._fact("copy") or "")
            self._note("deleted", datetime.now(UTC).isoformat())

    def _restored(self, backup: Backup, copy: str) -> datetime:
        deadline = time.monotonic() + RESTORE_SECONDS
        while (moment := backup.restored_to(copy)) is None:
            if time.monotonic() > deadline:
                raise BackupError(f"{copy} was not restored within {RESTORE_SECONDS // 3600} hours")
            self.verification.wait(POLL_SECONDS)
        return moment

    def _compared(self, verdict: Verdict) -> Verdict:
        bad: set[bytes] = set()
        for key, what in self.checkpoint.rows(COMPARED.format(looks=self._looks)):
            verdict.compared += what != "changed"
            verdict.changed += what == "changed"
            verdict.missing += what == "missing"
            verdict.different += what == "different"
            if what in ("missing", "different") and len(bad) < MOST_NAMED:
                bad.add(key)
        if bad:
            self._find_names(bad)
            verdict.named = sorted(self._named())
        return verdict

    def _find_names(self, digests: set[bytes]) -> None:
        """Look once more for the rows whose keys have these digests, since nothing else of them was kept."""

        def handle(rows: list[Item]) -> Handled:
            names = [self._name(row) for row in rows if self._digests(row)[0] in digests]

            def write(database: sqlite3.Connection) -> None:
                entries = [(f"named {self.table} {name}", name) for name in names]
                database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", entries)

            return Handled(also=write)

        self._through("names", self.table, handle)

    def _named(self) -> Iterator[str]:
        facts = self.checkpoint.facts().items()
        return (value for name, value in facts if name.startswith(f"named {self.table} "))

    def _name(self, row: Item) -> str:
        values = (str(next(iter(row[name].values()))) for name in self.keys)
        return " ".join(value.partition("#")[0] for value in values)

    def _digests(self, row: Item) -> tuple[bytes, bytes]:
        """Return the digest of a row's key and of all of it."""
        return _digest({name: row[name] for name in self.keys}), _digest(row)

    def verdict(self) -> Verdict | None:
        """Return what was found, by an earlier run too, or None as long as nothing was."""
        noted = self._fact("verdict")
        return None if noted is None else Verdict(**json.loads(noted))

    def _looked_at(self) -> datetime:
        return datetime.fromisoformat(self._fact("looked_at") or "")

    def _fact(self, name: str) -> str | None:
        return self.checkpoint.fact(f"{name} {self.table}")

    def _note(self, name: str, value: str) -> None:
        self.checkpoint.note(f"{name} {self.table}", value)


def _copies(facts: dict[str, str]) -> Iterator[str]:
    """Return the copies that a run has made and not deleted, as its facts tell."""
    deleted = {name.removeprefix("deleted ") for name in facts if name.startswith("deleted ")}
    copies = (
        (name.removeprefix("copy "), value) for name, value in facts.items() if name.startswith("copy ")
    )
    return (copy for table, copy in copies if table not in deleted)


def _digest(item: Item) -> bytes:
    return hashlib.blake2b(wire.canonical(item), digest_size=DIGEST_BYTES).digest()

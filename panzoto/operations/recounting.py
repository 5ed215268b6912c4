"""Counting every account's recordings anew, with many threads, and resumable.

It reads whatever there is each time, since what it looks for are counters that
are wrong though nothing says so; where none is, it writes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from panzoto.errors import DamagedRecord, Unavailable, UserNotFound
from panzoto.models.bulk import BulkTables, Item
from panzoto.models.user import User
from panzoto.operations.checkpoint import Checkpoint
from panzoto.operations.parallel_scan import Handled, ParallelScan, Run, Stage
from panzoto.recordings import ledger

COUNTED, DRIFTED, LEFT = "counted", "drifted", "left"


@dataclass(frozen=True, slots=True)
class Recounted:
    """How many accounts were counted, of how many the counters had drifted, and how many were left."""

    counted: int
    drifted: int
    left: int


class Recounting:
    """Compares counters with what there is, account by account, and repairs them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tables = BulkTables(run.at_once)

    def recount(self, folder: Path) -> Recounted:
        """Count all accounts whose usage is counted, with the checkpoint in `folder`; each drift is reported.

        Raises `AwsRefused`, `CheckpointError`, `Stopped`, `TableMissing` and `Unavailable`.
        """
        table = User.Meta.table_name
        described = self._run.pressure.patiently(lambda: self._tables.described(table))
        wanted = {"FilterExpression": "attribute_exists(claims_complete)", "ConsistentRead": True}
        stage = Stage("accounts", "counting accounts", table, self._count_all, wanted, rows_at_once=1)
        with Checkpoint(folder / "recount.sqlite3", f"recount {described.identity}") as checkpoint:
            counts = ParallelScan(self._run, self._tables, checkpoint).through(stage)
            checkpoint.forget()
        return Recounted(counts[COUNTED], counts[DRIFTED], counts[LEFT])

    def _count_all(self, users: list[Item]) -> Handled:
        counts: Counter[str] = Counter()
        for user in users:
            counts[self._count(user)] += 1
        return Handled({**counts, COUNTED: counts[COUNTED] + counts[DRIFTED]})

    def _count(self, item: Item) -> str:
        try:
            user = User.from_raw_data(item)
            counted, real = self._run.pressure.patiently(lambda: ledger.recount(user))
        except UserNotFound:
            # It was deleted meanwhile.
            return "gone"
        except DamagedRecord as error:
            self._run.report(f"{item['user_id']['S']}: not counted, since {error.row or 'a row'} is damaged")
            return LEFT
        except Unavailable as error:
            if error.__cause__ is not None:
                raise
            self._run.report(f"{item['user_id']['S']}: not counted, since others write to it all the time")
            return LEFT
        if counted == real:
            return COUNTED
        self._run.report(f"{user.user_id}: counted {counted}, are {real}")
        return DRIFTED

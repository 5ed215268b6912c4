"""`rollback`: removes exactly what this migration wrote, by its manifest; names what was changed since."""

from __future__ import annotations

import sys

from migrations_from_rds import report
from migrations_from_rds.commands.copy import bind_target
from migrations_from_rds.display import Display
from migrations_from_rds.ending import telling_progress
from migrations_from_rds.errors import Refused, Status
from migrations_from_rds.options import Options
from migrations_from_rds.removal import ORDER, Remover
from migrations_from_rds.sending import Sender
from migrations_from_rds.state import MANIFEST, State, opened
from migrations_from_rds.survey import ROWS_AT_ONCE
from migrations_from_rds.transform import Problem
from panzoto.models.bulk import BulkTables

OUTCOMES = ("removed", "absent", "left")


def run(options: Options, display: Display) -> Status:
    """Remove, after asking."""
    began = report.now()
    if not (options.state_dir / MANIFEST).exists():
        raise Refused(f"There is no manifest in {options.state_dir}, so there is nothing to take back")
    with opened(options.state_dir) as state:
        tables = BulkTables(options.threads)
        bind_target(state, tables)
        sizes = {table: state.manifest_size(table) for table in ORDER}
        _confirm(options, " and ".join(f"{size} of {table}" for table, size in sizes.items()))
        counts = {f"{table}.{what}": 0 for table in ORDER for what in OUTCOMES}
        pace = options.pace()
        remover = Remover(Sender(tables, pace), state, options.threads)
        _forget_progress(state)
        left: list[Problem] = []
        for table in ORDER:
            with telling_progress(pace, display), display.task(table, sizes[table]) as advance:
                for removal in remover.run(table, state.manifest(table, ROWS_AT_ONCE), advance):
                    counts[f"{table}.removed"] += len(removal.removed)
                    counts[f"{table}.absent"] += len(removal.absent)
                    counts[f"{table}.left"] += len(removal.left)
                    left += removal.left[: max(0, report.SHOWN_PER_CODE - len(left))]
        for problem in left:
            display.say(f"LEFT  {problem.table}  {problem.row_id}  {problem.sentence}")
        rows = [[what, *(f"{counts[f'{table}.{what}']:,}" for table in ORDER)] for what in OUTCOMES]
        display.table("Rows", ["", *ORDER], rows)
        report.write_problems(options.state_dir, state)
        content = {
            "tables": {table: {what: counts[f"{table}.{what}"] for what in OUTCOMES} for table in ORDER},
            "left": [{"table": p.table, "id": p.row_id, "reason": p.sentence} for p in left],
            "write_units": pace.units,
            "throttled_requests": pace.throttled,
        }
        report.write_report(options.state_dir, "rollback", began, content)
        some_left = any(counts[f"{table}.left"] for table in ORDER)
        return Status.DIFFERENT if options.strict and some_left else Status.DONE


def _confirm(options: Options, what: str) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"This would remove up to {what}; without a terminal to ask on, give --yes")
    answer = input(f"This removes from DynamoDB what this migration wrote, up to {what}. Type yes to go on: ")
    if answer.strip().lower() != "yes":
        raise Refused("Nothing was removed")


def _forget_progress(state: State) -> None:
    """Let the next copy begin from the beginning, looking before it writes: what was left is still there."""
    state.remember(**{"pass": {}, "last_base": None, "target_was_empty": False, "tally": {}})

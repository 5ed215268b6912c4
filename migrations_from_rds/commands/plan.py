"""`plan`: what `copy` would do, and what that takes. Reads both sides and changes neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from migrations_from_rds import report
from migrations_from_rds.commands.copy import STAGES, check_source, check_target, policy_of, tell_hidden_rows
from migrations_from_rds.display import Display
from migrations_from_rds.errors import Status
from migrations_from_rds.first_sign_ins import Counting
from migrations_from_rds.missing_objects import missing_objects, open_bucket
from migrations_from_rds.options import Options
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Sender
from migrations_from_rds.source import Snapshot, snapshot
from migrations_from_rds.state import Known, State, looked_at
from migrations_from_rds.survey import EVERYTHING, ROWS_AT_ONCE, Lookups, Survey
from migrations_from_rds.transform import Policy, Wanted
from migrations_from_rds.writing import ROWS_IN_TRANSACTION, TALLIED, WRITES, Job, Notes, Writer, is_done
from panzoto.config import Settings
from panzoto.models import AudioFile, Change, Claim, User
from panzoto.models.bulk import UNITS_IN_TRANSACTION, BulkTables, bookkeeping

# What one process was measured to read, judge and send; see docs/migration.md.
OWN_ROWS_PER_SECOND = 4000
SECONDS_TO_START = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What writing would take. `by_table` are the write units of each table, indexes apart."""

    by_table: dict[str, int]
    index_units: int
    seconds: float
    limited_by: str
    cost: float

    @property
    def units(self) -> int:
        return sum(self.by_table.values()) + self.index_units


def run(options: Options, settings: Settings, display: Display) -> Status:
    """Print the plan and leave it in report.json."""
    began = report.now()
    tables = BulkTables(options.threads)
    # A table that is missing is said before the long reading.
    tables.identity()
    with looked_at(options.state_dir) as state, snapshot(options.database(), options.layout) as source:
        check_target(state, tables)
        source.check_schema()
        check_source(state, source)
        tell_hidden_rows(source, display)
        plan = _Plan(options, settings, state, tables, display)
        plan.read(source)
        if options.check_bucket:
            with display.task("objects in the bucket", source.count(AUDIO_FILES, EVERYTHING)) as advance:
                state.add_problems(missing_objects(open_bucket(settings), source, advance))
        plan.tell(began, source)
        _tell_about_secret(settings, display)
        return Status.DIFFERENT if options.strict and state.rejected_count() else Status.DONE


class _Plan:
    def __init__(
        self, options: Options, settings: Settings, state: State, tables: BulkTables, display: Display
    ) -> None:
        self._options = options
        self._first_sign_ins = Counting(settings)
        self._state = state
        self._tables = tables
        self._display = display
        self._policy = policy_of(options, state)
        self._tally: Counter[str] = Counter()
        self._rows = 0
        sender = Sender(tables, options.pace())
        self._target_is_empty = not (tables.has_rows(User) or tables.has_rows(AudioFile))
        migration = state.fact("migration", "rds-000000000000")
        self._writer = Writer(sender, migration, look_first=not self._target_is_empty)
        self._survey = Survey(state, self._policy, None if self._target_is_empty else Lookups.of(sender))

    def read(self, source: Snapshot) -> None:
        """Judge every row and decide about it, as `copy` would."""
        self._survey.find_collisions(source)
        with self._display.task("looking at accounts", source.count(USERS, EVERYTHING)) as advance:
            self._survey.run(source, advance)
        with ThreadPoolExecutor(self._options.threads) as pool:
            for table in STAGES:
                rows = source.files if table == AUDIO_FILES else source.users
                with self._display.task(table, source.count(table, EVERYTHING)) as advance:
                    for pages in (rows(EVERYTHING, ROWS_AT_ONCE), source.without_id(table, ROWS_AT_ONCE)):
                        for page in pages:
                            self._judge(table, page, pool)
                            advance(len(page))

    def tell(self, began: Any, source: Snapshot) -> None:
        """Print what was found and leave it in the reports."""
        folder = self._options.state_dir
        estimate, first_sign_ins = self._estimate(), self._first_sign_ins.measured()
        would_copy = self._policy is not Policy.FAIL or not self._survey.colliding
        report.print_problems(self._display, self._state, folder)
        report.print_tally(self._display, self._tally)
        report.print_counts(self._display, self._state)
        self._print(estimate, would_copy)
        if first_sign_ins is not None:
            self._display.say(first_sign_ins.sentence(_duration))
        report.write_problems(folder, self._state)
        content = {
            "would_copy": would_copy,
            "source": source.describe(),
            "policy": self._policy.value,
            "tables": report.nested(self._tally),
            "estimate": {
                "write_units": estimate.units,
                "write_units_by_table": estimate.by_table,
                "index_write_units": estimate.index_units,
                "usd": round(estimate.cost, 4),
                "usd_per_million_units": self._options.price_per_million,
                "seconds": round(estimate.seconds, 1),
                "limited_by": estimate.limited_by,
            },
            "first_sign_ins": first_sign_ins.report() if first_sign_ins else None,
            "problems": report.problem_counts(self._state),
            "problem_rows": report.some_problems(self._state),
        }
        report.write_report(folder, "plan", began, content)

    def _judge(self, table: str, page: Sequence[Any], pool: ThreadPoolExecutor) -> None:
        wanted, problems = self._survey.judge(table, page)
        self._first_sign_ins.add(wanted)
        known = self._state.known(table, [row[0] for row in page])
        over = {row_id for row_id, what in known.items() if what.mended and what.settled}
        problems = [problem for problem in problems if problem.row_id not in over]
        todo = [row for row in wanted if not is_done(row, known.get(row.row_id))]
        size = ROWS_IN_TRANSACTION[table]
        notes = self._notes(table, todo, known)
        parts = [todo[at : at + size] for at in range(0, len(todo), size)]

        def decide(part: list[Wanted]) -> list[Job]:
            return self._writer.plan(part, notes)

        jobs = [job for part in pool.map(decide, parts) for job in part]
        self._state.add_problems(problems)
        self._tally[f"{table}.read"] += len(page)
        self._tally[f"{table}.unchanged"] += len(wanted) - len(todo)
        found = [job.problem for job in jobs if job.problem is not None]
        self._state.add_problems(found)
        rejected = {problem.row_id for problem in problems + found if problem.rejected}
        self._tally[f"{table}.rejected"] += len(rejected)
        for job in jobs:
            if job.decision in TALLIED:
                self._tally[f"{table}.{TALLIED[job.decision]}"] += 1
            if job.decision in WRITES:
                self._count_units(job)

    def _notes(self, table: str, todo: Sequence[Wanted], known: dict[str, Known]) -> Notes:
        """Return notes of the same size as those of a copy; which numbers it would give does not matter."""
        if self._state.fact("uncounted"):
            return Notes(known)
        if table == AUDIO_FILES:
            last = self._state.last_number + self._tally[f"{table}.read"]
            return Notes(known, {row.row_id: last + place + 1 for place, row in enumerate(todo)})
        last = self._state.last_number + self._tally[f"{AUDIO_FILES}.read"]
        return Notes(known, books={row.row_id: bookkeeping(0, 0, last) for row in todo})

    def _count_units(self, job: Job) -> None:
        self._rows += 1
        for target, units in job.units_by_table().items():
            self._tally[f"units.{target}"] += units
        self._tally["units.index"] += job.index_units

    def _estimate(self) -> Estimate:
        tables = {model.Meta.table_name: model for model in (User, AudioFile, Claim, Change)}
        by_table = {name: self._tally[f"units.{name}"] for name in tables}
        index_units = self._tally["units.index"]
        total = sum(by_table.values()) + index_units
        limits = {
            f"what {name} takes from the start": by_table[name] / self._tables.write_rate(model)
            for name, model in tables.items()
        }
        limits["this program"] = self._rows / OWN_ROWS_PER_SECOND
        if self._options.max_write_units:
            limits["--max-write-units"] = total / self._options.max_write_units
        limited_by = max(limits, key=lambda name: limits[name])
        cost = total / 1_000_000 * self._options.price_per_million
        return Estimate(by_table, index_units, SECONDS_TO_START + limits[limited_by], limited_by, cost)

    def _print(self, estimate: Estimate, would_copy: bool) -> None:
        say = self._display.say
        say(
            f"Write units: {estimate.units:,} ({UNITS_IN_TRANSACTION} for each kilobyte of a row or claim, "
            "since they are written in transactions, and 1 for its place in each index)"
        )
        for name, units in estimate.by_table.items():
            say(f"  {name}: {units:,}")
        say(f"  indexes: {estimate.index_units:,}")
        say(
            f"Cost: {estimate.cost:,.2f} USD at {self._options.price_per_million:g} USD a million units "
            "(--price-per-million to change)"
        )
        say(f"Time: about {_duration(estimate.seconds)}, limited by {estimate.limited_by}")
        if would_copy:
            say("Nothing was written. `copy` would do the above.")
        else:
            say(
                f"Nothing was written, and `copy` would refuse: {self._survey.colliding} accounts have "
                "addresses that become one. Mend them, or choose --on-collision=skip, oldest or newest."
            )


def _tell_about_secret(settings: Settings, display: Display) -> None:
    """Ask for the legacy service's key, without which every phone has to sign in anew on the evening."""
    carried = "is set; `verify --old-token` tells whether it is the right one"
    missing = (
        "is not set yet: put the legacy service's SECRET_KEY there, and see it proved by `verify --old-token`"
    )
    display.say(
        "Tokens of the legacy service go on working if its SECRET_KEY is in SECRET_KEY_FALLBACKS, which "
        + (carried if settings.secret_key_fallbacks else missing)
        + "."
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

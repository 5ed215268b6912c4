"""`copy`: everything, what changed since the last copy, or mended rejects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from migrations_from_rds import report
from migrations_from_rds.commands import feed
from migrations_from_rds.display import Display
from migrations_from_rds.earlier_claims import claim_earlier_rows
from migrations_from_rds.ending import telling_progress
from migrations_from_rds.errors import Refused, Status
from migrations_from_rds.options import Options
from migrations_from_rds.removal import ORDER, Remover, gone_at_source
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Sender
from migrations_from_rds.source import Since, Snapshot, snapshot
from migrations_from_rds.state import State, opened
from migrations_from_rds.survey import EVERYTHING, ROWS_AT_ONCE, Lookups, Survey
from migrations_from_rds.transform import Policy
from migrations_from_rds.vanished_rows import Gone, agree, count_gone
from migrations_from_rds.writing import Loader, Task, Writer
from panzoto.models import AudioFile, User
from panzoto.models.bulk import MOST_KEYS, BulkTables

# Recordings first: an account can be seen only once all its recordings are there.
STAGES = (AUDIO_FILES, USERS)
# So many rejected rows are read again one by one; with more, reading everything is quicker.
MOST_RETRIED = 100_000


def run(options: Options, display: Display) -> Status:
    """Copy, and leave the reports whether or not the run comes to its end."""
    began = report.now()
    with opened(options.state_dir) as state:
        tables = BulkTables(options.threads)
        bind_target(state, tables)
        copy = _Copy(options, display, state, tables)
        try:
            with telling_progress(copy.pace, display):
                copy.run()
        finally:
            copy.leave_reports(began)
        return Status.DIFFERENT if options.strict and state.rejected_count() else Status.DONE


def bind_target(state: State, tables: BulkTables) -> None:
    """Note which tables this state is about. Raises `Refused` when they are others than before."""
    check_target(state, tables)
    if state.fact("target") is None:
        empty = not (tables.has_rows(User) or tables.has_rows(AudioFile))
        state.remember(target=tables.identity(), target_was_empty=empty)


def check_target(state: State, tables: BulkTables) -> None:
    """Raises `Refused` when the state is about other tables, and `TableMissing`."""
    if state.fact("target") not in (None, tables.identity()):
        raise Refused(
            "The state in this folder belongs to a copy into other tables; give another --state-dir for these"
        )


def check_source(state: State, source: Snapshot) -> None:
    """Raises `Refused` when the state is about another database, or a later moment of this one."""
    if state.fact("source") not in (None, source.identity()):
        raise Refused("The state in this folder belongs to another database; give another --state-dir")
    source.check_not_behind(state.fact("latest", 0))


def tell_hidden_rows(source: Snapshot, display: Display) -> None:
    """Say where PostgreSQL itself reckons with many more rows than it gives: a witness beside our count."""
    for sentence in source.hidden_rows():
        display.tell(sentence)


def policy_of(options: Options, state: State) -> Policy:
    """Return how collisions are treated: as asked, else as in the copy before, else they stop the run."""
    return options.on_collision or Policy(state.fact("policy", Policy.FAIL.value))


class _Copy:
    def __init__(self, options: Options, display: Display, state: State, tables: BulkTables) -> None:
        self._options = options
        self._display = display
        self._state = state
        self._tables = tables
        self.pace = self._pace = options.pace()
        self._sender = Sender(tables, self._pace)
        self._policy = policy_of(options, state)
        self._tally: Counter[str] = Counter()
        self._gone: dict[str, Gone] = {}
        self._begun = False
        self._complete = False

    def run(self) -> None:
        if self._options.from_rejects is not None:
            self._feed()
            self._complete = True
            return
        with snapshot(self._options.database(), self._options.layout) as source:
            self._check(source)
            survey = self._prepare(source)
            gone = self._look_for_gone(source) if self._options.since_last else None
            self._begin_pass(source)
            self._begun = True
            if gone is not None:
                self._remove_gone(source)
            with self._display.task("looking at accounts", source.count(USERS, EVERYTHING)) as advance:
                survey.run(source, advance)
            for table, since in self._stages():
                self._load(source, survey, table, since)
            self._give_claims(source, survey)
            self._count_touched()
            self._end_pass(source)

    def leave_reports(self, began: Any) -> None:
        """Write what is known so far, also when the run did not come to its end."""
        folder = self._options.state_dir
        tally = self._tally
        report.write_problems(folder, self._state)
        content = {
            "complete": self._complete,
            "policy": self._policy.value,
            "tables": report.nested(tally),
            "gone": {table: gone.to_json() for table, gone in self._gone.items()},
            "removed": {table: tally[f"{table}.removed"] for table in STAGES},
            "write_units": self._pace.units,
            "throttled_requests": self._pace.throttled,
            "problems": report.problem_counts(self._state),
            "problem_rows": report.some_problems(self._state),
        }
        report.write_report(folder, "copy", began, content)
        if not self._begun:
            # What was refused has read no rows, and rejected none that could be fed back.
            return
        report.write_rejects(folder, self._state, self._display)
        report.print_problems(self._display, self._state, folder, codes=report.NAMED_CODES)
        report.print_tally(self._display, tally)
        report.print_counts(self._display, self._state)
        rejected = self._state.rejected_count()
        if rejected:
            self._display.say(
                f"{rejected} rows were rejected: mend them in {folder / report.REJECTS} "
                "and feed them back with copy --from-rejects"
            )

    @property
    def _pass(self) -> dict[str, Any]:
        found: dict[str, Any] = self._state.fact("pass", {})
        return found

    def _check(self, source: Snapshot) -> None:
        source.check_schema()
        check_source(self._state, source)
        tell_hidden_rows(source, self._display)
        if self._options.since_last:
            self._check_delta(source)

    def _check_delta(self, source: Snapshot) -> None:
        if self._state.fact("last_base") is None or (
            self._pass.get("mode") == "full" and not self._pass.get("done")
        ):
            raise Refused("There is no finished copy to start from; run `copy` without --since-last first")
        if self._state.fact("source_tables") != source.tables():
            raise Refused(
                "The database's tables were made anew since the last copy; run `copy` without --since-last, "
                "which compares every row"
            )
        source.check_reaches_back(self._state.fact("last_base"))
        if not source.count(USERS, EVERYTHING):
            raise Refused("The database holds no account at all, so this cannot be the one that was copied")

    def _prepare(self, source: Snapshot) -> Survey:
        """Find what forbids to begin; write nothing but claims of rows that were there before."""
        first = self._state.fact("target_was_empty") and self._state.fact("last_base") is None
        survey = Survey(self._state, self._policy, None if first else Lookups.of(self._sender))
        survey.find_collisions(source)
        if survey.colliding and self._policy is Policy.FAIL:
            self._refuse_collisions(source, survey)
        self._prepare_claims()
        return survey

    def _refuse_collisions(self, source: Snapshot, survey: Survey) -> None:
        for group in source.collisions():
            _, problems = survey.judge(USERS, [one.row for one in group])
            self._state.add_problems(problems)
        report.print_problems(self._display, self._state, self._options.state_dir)
        raise Refused(
            f"{survey.colliding} accounts have addresses that become one; nothing was written. Mend them in "
            "the database, or choose --on-collision=skip, oldest or newest"
        )

    def _begin_pass(self, source: Snapshot) -> None:
        mode = "delta" if self._options.since_last else "full"
        before = self._pass
        if before and not before["done"] and before["mode"] == mode:
            self._display.tell(f"Going on where the last run stopped: {before['stage']}")
            self._tally.update(self._state.fact("tally", {}))
            self._state.remember(policy=self._policy.value, latest=source.next_transaction)
            return
        if mode == "full":
            self._state.clear_problems()
        self._state.remember(
            **{
                "pass": {
                    "mode": mode,
                    "base": self._state.fact("last_base") if mode == "delta" else None,
                    "first": source.oldest_transaction,
                    "stage": STAGES[0],
                    "after": None,
                    "done": False,
                },
                "tally": {},
                "policy": self._policy.value,
                "source": source.identity(),
                "latest": source.next_transaction,
                "source_tables": source.tables(),
            }
        )

    def _prepare_claims(self) -> None:
        """Give rows that were in the tables before us their claims, so that ours do not take them."""
        if self._state.fact("claims_prepared") or self._state.fact("target_was_empty"):
            return
        with self._display.task("claims of earlier rows", None) as advance:
            claim_earlier_rows(self._sender, self._options.threads, advance)
        self._state.remember(claims_prepared=True)

    def _stages(self) -> Iterator[tuple[str, Since]]:
        """Yield each table to read, and from where on."""
        now = self._pass
        begun = now["stage"]
        if now["mode"] == "delta":
            retried = {table: self._state.rejected_ids(table, MOST_RETRIED) for table in STAGES}
            everything = any(len(ids) == MOST_RETRIED for ids in retried.values())
            base = None if everything else now["base"]
            for table in STAGES[STAGES.index(begun) :]:
                after = self._pass["after"] if table == begun else None
                yield table, Since(after, base, not everything, retried[table])
            return
        if begun == USERS:
            # Recordings that came while the run was interrupted.
            yield AUDIO_FILES, Since(base=now["first"], only_changed=True)
        for table in STAGES[STAGES.index(begun) :]:
            after = now["after"] if table == begun else None
            yield table, Since(after, now["first"] if after else None)

    def _load(self, source: Snapshot, survey: Survey, table: str, since: Since) -> None:
        first_copy = bool(self._state.fact("target_was_empty")) and self._state.fact("last_base") is None
        # Accounts come last, so until their stage has begun there are none of ours.
        first = first_copy and self._pass["stage"] == AUDIO_FILES
        if table == USERS:
            self._begin_accounts()
            self._state.count_recordings(touched=False)
        # Of an interrupted first copy some accounts are there, and may be in use, when recordings follow.
        late = table == AUDIO_FILES and not first
        loader = self._loader(look_first=late or not first_copy, first=first)
        rows = source.files if table == AUDIO_FILES else source.users
        with self._display.task(table, source.count(table, since)) as advance:
            task = Task(table, survey.judge, self._position(table))
            loader.run(task, rows(since, ROWS_AT_ONCE), advance)
            task = Task(table, survey.judge, _nowhere)
            loader.run(task, source.without_id(table, ROWS_AT_ONCE), advance)

    def _begin_accounts(self) -> None:
        """Note, before the first account is there, that recordings may from now on be those of one in use."""
        now = self._pass
        if now["stage"] != USERS:
            self._state.remember(**{"pass": {**now, "stage": USERS, "after": None}})

    def _loader(self, *, look_first: bool, first: bool = False) -> Loader:
        writer = Writer(self._sender, self._state.migration, look_first=look_first)
        loader = Loader(self._state, writer, self._pace, self._options.threads, first=first)
        loader.tally = self._tally
        return loader

    def _give_claims(self, source: Snapshot, survey: Survey) -> None:
        """Give a key's claim to another recording that has it, where its holder has gone or moved on."""
        loader = self._loader(look_first=True)
        task = Task(AUDIO_FILES, survey.judge, _nowhere, again=True)
        for ids in self._state.claimless_ids(ROWS_AT_ONCE):
            loader.run(task, source.files(Since(ids=ids), ROWS_AT_ONCE), _ignore)

    def _count_touched(self) -> None:
        """Write on accounts what has become of their recordings since they were counted."""
        writer = Writer(self._sender, self._state.migration, look_first=True)
        self._state.count_recordings(touched=True)
        last = self._state.last_number
        with self._display.task("counted accounts", None) as advance:
            for owners in self._state.touched(MOST_KEYS):
                known = self._state.known(USERS, owners)
                told = {owner: known[owner].number if owner in known else None for owner in owners}
                done = writer.count(self._state.counts(owners), told, last)
                self._state.counted([(owner, last) for owner in done], owners)
                advance(len(owners))

    def _position(self, table: str) -> Callable[[str], dict[str, Any]]:
        now = self._pass
        late = STAGES.index(table) < STAGES.index(now["stage"])
        furthest = now["after"] if table == now["stage"] else None

        def position(last_id: str) -> dict[str, Any]:
            nonlocal furthest
            if late:
                return {}
            # What is read again behind the checkpoint must not move it back.
            furthest = last_id if furthest is None else max(furthest, last_id)
            return {"pass": {**now, "stage": table, "after": furthest}}

        return position

    def _look_for_gone(self, source: Snapshot) -> dict[str, Gone]:
        """Count what the database no longer holds, show it, and have it agreed to before anything is removed.

        Raises `Refused` when it is more than may go unasked and nobody agrees.
        """
        for table in ORDER:
            total = self._state.manifest_size(table)
            with self._display.task(f"deleted {table}", total) as advance:
                self._gone[table] = count_gone(self._state, source, table, advance)
        agree(self._gone, self._options.remove_at_most, self._display)
        return self._gone

    def _remove_gone(self, source: Snapshot) -> None:
        """Remove what was deleted in the database since it was copied, before its addresses pass on."""
        remover = Remover(self._sender, self._state, self._options.threads)
        for table in ORDER:
            if not self._gone[table].rows:
                continue
            gone = gone_at_source(self._state, source, table, _ignore)
            for removal in remover.run(table, gone, _ignore):
                self._tally[f"{table}.removed"] += len(removal.removed)

    def _end_pass(self, source: Snapshot) -> None:
        now = self._pass
        self._state.remember(
            **{"pass": {**now, "done": True}, "last_base": now["first"], "latest": source.next_transaction}
        )
        self._complete = True

    def _feed(self) -> None:
        path = self._options.from_rejects
        if path is None or not path.exists():
            raise Refused(f"There is no reject file {path}")
        rows = feed.read(path)
        self._begun = True
        loader = self._loader(look_first=True)
        feed.run(rows, self._state, self._sender, loader, self._policy, display=self._display)
        self._count_touched()


def _nowhere(_: str) -> dict[str, Any]:
    """The checkpoint stays where it is."""
    return {}


def _ignore(_: int) -> None:
    """Progress that is shown elsewhere."""

"""Writing rows with their claims: in transactions, by several threads, so that a second run changes nothing.

One thread reads, judges and keeps the manifest; the others only speak to
DynamoDB. A chunk of rows is noted as intended, written, and then settled
together with the checkpoint.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from migrations_from_rds.decide import BOOKKEEPING, Decision, decide
from migrations_from_rds.errors import Stopped
from migrations_from_rds.pace import Pace
from migrations_from_rds.rows import AUDIO_FILES
from migrations_from_rds.send import Parcel, Sender
from migrations_from_rds.state import Known, State, slices
from migrations_from_rds.survey import Judged, taken_elsewhere
from migrations_from_rds.tables import model_of
from migrations_from_rds.transform import Problem, Wanted
from panzoto.models import Claim, StoredModel, User
from panzoto.models.bulk import (
    MOST_ACTIONS,
    UNITS_IN_TRANSACTION,
    Action,
    Item,
    MigratedRecording,
    MigratedUser,
    claim_item,
    claim_name,
    delete,
    holds,
    put_new,
    put_over,
    read_recording,
    read_user,
    recording_item,
    text,
    units,
    user_item,
)

CHUNKS_UNDER_WAY = 8
COLLECTING_SECONDS = 0.25
ROUNDS = 20

TALLIED = {
    Decision.WRITE: "written",
    Decision.WRITE_WITHOUT_CLAIM: "written",
    Decision.REPLACE: "replaced",
    Decision.ALREADY_OURS: "written",
    Decision.ALREADY_THERE: "already_there",
    Decision.LEFT_NEWER: "left_newer",
    Decision.GONE: "gone_since",
}
WRITES = frozenset({Decision.WRITE, Decision.WRITE_WITHOUT_CLAIM, Decision.REPLACE})
IN_MANIFEST = WRITES | {Decision.ALREADY_OURS}

Judge = Callable[[str, Sequence[Any]], Judged]
Position = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One row on its way: what was decided, and what does it."""

    wanted: Wanted
    decision: Decision
    parcel: Parcel | None = None
    problem: Problem | None = None

    @property
    def row_units(self) -> int:
        """The units of one plain write of the row itself."""
        return units(self.parcel.actions[0]["Put"]["Item"]) if self.parcel is not None else 0

    def units_by_table(self) -> dict[str, int]:
        """Return the write units of each table, without its indexes."""
        found: Counter[str] = Counter()
        for action in self.parcel.actions if self.parcel is not None else ():
            ((_, what),) = action.items()
            found[what["TableName"]] += units(what.get("Item") or what["Key"]) * UNITS_IN_TRANSACTION
        return dict(found)


@dataclass(slots=True)
class Chunk:
    """Rows that were read together; it is over when all of its parts are noted."""

    ids: list[str]
    problems: list[Problem]
    todo: list[str]
    skipped: int
    parts: list[Future[list[Job]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with the rows of one table.

    `position` gives the facts to note once everything up to an id is settled.
    """

    table: str
    judge: Judge
    position: Position
    mended: bool = False


class Writer:
    """Decides about rows and writes them; safe to use from many threads."""

    def __init__(self, sender: Sender, migration: str, *, look_first: bool) -> None:
        self._sender = sender
        self._tables = sender.tables
        self._migration = migration
        self._look_first = look_first

    def settle(self, rows: Sequence[Wanted], known: dict[str, Known]) -> list[Job]:
        """Bring `rows`, all of one table, to where nothing more is to be done about them.

        Raises `Stopped`, and `AwsRefused` when DynamoDB will not have them.
        """
        done: list[Job] = []
        jobs = self.plan(rows, known)
        for _ in range(ROUNDS):
            refused = self._sender.send([job.parcel for job in jobs if job.parcel is not None])
            done += [job for job in jobs if job.wanted.row_id not in refused]
            if not refused:
                return done
            jobs = self.look([job.wanted for job in jobs if job.wanted.row_id in refused], known)
        raise Stopped("The same rows are being changed by somebody else all the time; run the command again")

    def plan(self, rows: Sequence[Wanted], known: dict[str, Known]) -> list[Job]:
        """Return what `settle` would begin with, and write nothing.

        A row that was under way when an earlier run was killed is looked at first, too.
        """
        unsure = [row for row in rows if self._look_first or row.row_id in known]
        fresh = [self._first_attempt(row) for row in rows if not self._look_first and row.row_id not in known]
        return fresh + self.look(unsure, known)

    def look(self, rows: Sequence[Wanted], known: dict[str, Known]) -> list[Job]:
        """Read what DynamoDB holds in the place of `rows` and decide about each."""
        if not rows:
            return []
        model = model_of(rows[0].table)
        stored = self._fetch(model, [row.row_id for row in rows])
        claims = self._fetch(Claim, [row.claim for row in rows if not row.claimless])
        return [
            self._decided(row, stored.get(row.row_id), claims.get(row.claim), known.get(row.row_id))
            for row in rows
        ]

    def let_count_again(self, user_ids: Iterable[str]) -> None:
        """Where the service has counted the recordings of an account, let it count the new ones too."""
        if not self._look_first:
            # The first copy into empty tables writes every account behind its recordings.
            return
        for user_id, item in self._fetch(User, list(user_ids)).items():
            if "claims_complete" in item:
                self._sender.patiently(partial(self._tables.count_again, user_id))

    def _fetch(self, model: type[StoredModel], keys: list[str]) -> dict[str, Item]:
        return self._sender.patiently(lambda: self._tables.fetch(model, keys))

    def _first_attempt(self, row: Wanted) -> Job:
        return self._job(row, Decision.WRITE_WITHOUT_CLAIM if row.claimless else Decision.WRITE, None, None)

    def _decided(self, row: Wanted, stored: Item | None, claim: Item | None, known: Known | None) -> Job:
        return self._job(row, decide(row, stored, claim, known, self._migration), stored, claim)

    def _job(self, row: Wanted, decision: Decision, stored: Item | None, claim: Item | None) -> Job:
        problem = _problem(row, decision, claim)
        if decision not in WRITES:
            return Job(row, decision, problem=problem)
        parcel = self._parcel(row, stored, needs_claim=claim is None and not row.claimless)
        return Job(row, decision, parcel, problem)

    def _parcel(self, row: Wanted, stored: Item | None, *, needs_claim: bool) -> Parcel:
        model, item = model_of(row.table), self._item(row, stored)
        cost = units(item) * UNITS_IN_TRANSACTION + index_units(row.table, units(item))
        actions = [put_new(model, item) if stored is None else put_over(model, item, stored)]
        if needs_claim:
            claim = claim_item(row.item, self._migration)
            actions.append(put_new(Claim, claim))
            cost += units(claim) * UNITS_IN_TRANSACTION
        if stored is not None:
            actions += self._release_of(row, stored)
        return Parcel(row.row_id, actions, cost)

    def _item(self, row: Wanted, stored: Item | None) -> Item:
        if isinstance(row.item, MigratedRecording):
            return recording_item(row.item, self._migration)
        kept = {name: value for name, value in (stored or {}).items() if name in BOOKKEEPING}
        return user_item(row.item, self._migration) | kept

    def _release_of(self, row: Wanted, stored: Item) -> list[Action]:
        """Return what frees the claim of the row that is replaced, where that had another address or key."""
        before = read_user(stored) if isinstance(row.item, MigratedUser) else read_recording(stored)
        if before is None or claim_name(before) == row.claim:
            return []
        claim = self._fetch(Claim, [claim_name(before)]).get(claim_name(before))
        return [delete(Claim, claim)] if claim is not None and holds(claim, before) else []


class Loader:
    """Takes judged rows through the manifest and the writing threads."""

    def __init__(self, state: State, writer: Writer, pace: Pace, threads: int) -> None:
        self._state = state
        self._writer = writer
        self._pace = pace
        self._threads = threads
        self._under_way: deque[Chunk] = deque()
        self.tally: Counter[str] = Counter()

    def run(self, task: Task, chunks: Iterable[Sequence[Any]], advance: Callable[[int], None]) -> None:
        """Write all of `chunks`.

        Raises `Stopped` and `AwsRefused`; what was settled until then stays noted.
        """
        self._under_way.clear()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="writer")
        try:
            for rows in chunks:
                self._under_way.append(self._begin(task, rows, pool))
                self._collect(task, advance)
                while len(self._under_way) > CHUNKS_UNDER_WAY:
                    self._wait(task, advance)
            while self._under_way:
                self._wait(task, advance)
        except BaseException:
            # The other threads need not go on for long; what they have under way is found again.
            self._pace.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, task: Task, rows: Sequence[Any], pool: ThreadPoolExecutor) -> Chunk:
        self._pace.check()
        wanted, problems = task.judge(task.table, rows)
        ids = [row[0] for row in rows]
        known = self._state.known(task.table, ids)
        todo = [row for row in wanted if not is_done(row, known.get(row.row_id), mended=task.mended)]
        # What was mended by hand is no problem any more, though its source still is as it was.
        over = {row_id for row_id, what in known.items() if what.mended and what.settled}
        said = [problem for problem in problems if problem.row_id not in over]
        chunk = Chunk(ids, said, [row.row_id for row in todo], skipped=len(wanted) - len(todo))
        if todo:
            self._state.intend(task.table, [(row.row_id, row.digest) for row in todo])
        # Most rows have a claim, so that half of a transaction's actions are as many rows.
        for part in slices(todo, MOST_ACTIONS // 2):
            chunk.parts.append(pool.submit(self._writer.settle, part, known))
        return chunk

    def _wait(self, task: Task, advance: Callable[[int], None]) -> None:
        """Wait until something is done, and note it."""
        parts = [part for chunk in self._under_way for part in chunk.parts]
        if parts:
            wait(parts, COLLECTING_SECONDS, FIRST_COMPLETED)
        self._collect(task, advance)

    def _collect(self, task: Task, advance: Callable[[int], None]) -> None:
        """Note all that is done, and move the checkpoint behind the chunks that are over."""
        jobs: list[Job] = []
        for chunk in self._under_way:
            done = [part for part in chunk.parts if part.done()]
            found = [job for part in done for job in part.result()]
            chunk.parts = [part for part in chunk.parts if part not in done]
            chunk.problems += [job.problem for job in found if job.problem is not None]
            jobs += found
        over: list[Chunk] = []
        while self._under_way and not self._under_way[0].parts:
            over.append(self._under_way.popleft())
        if jobs or over:
            self._note(task, jobs, over)
            advance(sum(len(chunk.ids) for chunk in over))

    def _note(self, task: Task, jobs: list[Job], over: list[Chunk]) -> None:
        ours = [job.wanted for job in jobs if job.decision in IN_MANIFEST]
        if task.table == AUDIO_FILES:
            self._writer.let_count_again({wanted.item.user_id for wanted in ours})
        said = [problem for chunk in over for problem in chunk.problems]
        rejected = {problem.row_id for problem in said if problem.rejected}
        self._count(task.table, jobs, over, len(rejected))
        self._state.settle(
            task.table,
            written=[wanted.row_id for wanted in ours],
            not_written=[job.wanted.row_id for job in jobs if job.decision not in IN_MANIFEST],
            problems=[job.problem for job in jobs if job.problem is not None] + said,
            # Of a row that an earlier run has written, what was said then still holds.
            cleared=[row_id for chunk in over for row_id in chunk.todo] + list(rejected),
            mended=task.mended,
            tally=dict(self.tally),
            **(task.position(over[-1].ids[-1]) if over else {}),
        )

    def _count(self, table: str, jobs: list[Job], over: list[Chunk], rejected: int) -> None:
        self.tally.update(f"{table}.{TALLIED[job.decision]}" for job in jobs if job.decision in TALLIED)
        self.tally[f"{table}.read"] += sum(len(chunk.ids) for chunk in over)
        self.tally[f"{table}.unchanged"] += sum(chunk.skipped for chunk in over)
        self.tally[f"{table}.rejected"] += rejected


def index_units(table: str, row_units: int) -> int:
    """Return the write units of a row's places in the indexes.

    Both tables have one with all attributes, by address or by owner; that of recordings
    also one by key, with so few that a unit is enough.
    """
    return row_units + (1 if table == AUDIO_FILES else 0)


def is_done(row: Wanted, known: Known | None, *, mended: bool = False) -> bool:
    """Whether the manifest knows that the row was written as it is wanted."""
    if known is None or not known.settled:
        return False
    # A row that was mended by hand is not overwritten by the untidy one it came from.
    return known.digest == row.digest or (known.mended and not mended)


def _problem(row: Wanted, decision: Decision, claim: Item | None) -> Problem | None:
    if decision is Decision.EMAIL_TAKEN and row.source is not None and claim is not None:
        return taken_elsewhere(row.source, text(claim, "user_id"))
    if decision is Decision.LEFT_NEWER:
        what = "the row in DynamoDB is another or has changed since"
        return Problem(row.table, row.row_id, "left_newer", what)
    if decision is Decision.WRITE_WITHOUT_CLAIM and claim is not None:
        what = f"recording {text(claim, 'file_id')} has the same s3_key"
        return Problem(row.table, row.row_id, "s3_key_duplicate", what)
    return None

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
from typing import Any

from migrations_from_rds.decisions import BOOKKEEPING, Decision, decide, is_passed_on
from migrations_from_rds.errors import Stopped
from migrations_from_rds.pace import Pace
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Parcel, Sender
from migrations_from_rds.state import Known, State, slices
from migrations_from_rds.survey import Judged, taken_elsewhere
from migrations_from_rds.target import model_of
from migrations_from_rds.transform import Problem, Wanted
from panzoto.models import Change, Claim, StoredModel, User
from panzoto.models.bulk import (
    MOST_ACTIONS,
    ORIGIN,
    UNITS_IN_TRANSACTION,
    Action,
    Item,
    MigratedRecording,
    MigratedUser,
    bookkeeping,
    change_item,
    claim_item,
    claim_name,
    count_again,
    delete,
    delete_entry,
    holds,
    number_of,
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
    Decision.CLAIM: "claimed",
    Decision.ALREADY_OURS: "written",
    Decision.ALREADY_THERE: "already_there",
    Decision.LEFT_NEWER: "left_newer",
    Decision.GONE: "gone_since",
}
WRITES = frozenset({Decision.WRITE, Decision.WRITE_WITHOUT_CLAIM, Decision.REPLACE, Decision.CLAIM})
IN_MANIFEST = WRITES | {Decision.ALREADY_OURS}

# A recording has a claim and an entry in the list of changes, an account a claim.
ROWS_IN_TRANSACTION = {USERS: MOST_ACTIONS // 2, AUDIO_FILES: MOST_ACTIONS // 3}

Judge = Callable[[str, Sequence[Any]], Judged]
Position = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One row on its way: what was decided, and what does it."""

    wanted: Wanted
    decision: Decision
    parcel: Parcel | None = None
    problem: Problem | None = None
    # What lies in the row's place is of this migration, though perhaps changed since.
    ours: bool = False
    # Of the row as it is now: its change number, and of what others wrote, theirs.
    number: int | None = None
    others_number: int | None = None

    @property
    def is_unnumbered(self) -> bool:
        """Whether this is a recording of ours that the service has to number."""
        is_recording = isinstance(self.wanted.item, MigratedRecording)
        return is_recording and self.decision in IN_MANIFEST and self.number is None

    @property
    def index_units(self) -> int:
        """The write units of the row's places in the indexes."""
        return index_units(self.wanted.table, self.parcel.actions[0]["Put"]["Item"]) if self.parcel else 0

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
    With `again`, rows that are written already are looked at once more for the claim they may lack.
    """

    table: str
    judge: Judge
    position: Position
    mended: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Notes:
    """What the manifest says about rows that are to be written.

    `numbers` are for recordings that get one, and `books` is what goes onto accounts that are new.
    """

    known: dict[str, Known]
    numbers: dict[str, int] = field(default_factory=dict)
    books: dict[str, Item] = field(default_factory=dict)


class Writer:
    """Decides about rows and writes them; safe to use from many threads."""

    def __init__(self, sender: Sender, migration: str, *, look_first: bool) -> None:
        self._sender = sender
        self._tables = sender.tables
        self._migration = migration
        self._look_first = look_first

    def settle(self, rows: Sequence[Wanted], notes: Notes) -> list[Job]:
        """Bring `rows`, all of one table, to where nothing more is to be done about them.

        Raises `Stopped`, and `AwsRefused` when DynamoDB will not have them.
        """
        done: list[Job] = []
        jobs = self.plan(rows, notes)
        for _ in range(ROUNDS):
            refused = self._sender.send([job.parcel for job in jobs if job.parcel is not None])
            done += [job for job in jobs if job.wanted.row_id not in refused]
            if not refused:
                self.let_count_again({job.wanted.item[1] for job in done if job.is_unnumbered})
                return done
            jobs = self.look([job.wanted for job in jobs if job.wanted.row_id in refused], notes)
        raise Stopped("The same rows are being changed by somebody else all the time; run the command again")

    def plan(self, rows: Sequence[Wanted], notes: Notes) -> list[Job]:
        """Return what `settle` would begin with, and write nothing.

        A row that was under way when an earlier run was killed is looked at first, too.
        """
        unsure = [row for row in rows if self._look_first or row.row_id in notes.known]
        fresh = [
            self._write(row, notes, None, None, notes.numbers.get(row.row_id))
            for row in rows
            if not self._look_first and row.row_id not in notes.known
        ]
        return fresh + self.look(unsure, notes)

    def look(self, rows: Sequence[Wanted], notes: Notes) -> list[Job]:
        """Read what DynamoDB holds in the place of `rows` and decide about each."""
        if not rows:
            return []
        model = model_of(rows[0].table)
        stored = self._fetch(model, [row.row_id for row in rows])
        claims = self._fetch(Claim, [row.claim for row in rows if not row.claimless])
        numbers = notes.numbers
        if rows[0].table == AUDIO_FILES:
            owners = self._fetch(User, [row.item[1] for row in rows])
            # Once an account is there the service gives its numbers: of ours it might give one again, and
            # who has followed it beyond them would never be told.
            numbers = {
                row.row_id: notes.numbers[row.row_id]
                for row in rows
                if row.row_id in notes.numbers and row.item[1] not in owners
            }
        return [
            self._decided(row, stored.get(row.row_id), claims.get(row.claim), notes, numbers.get(row.row_id))
            for row in rows
        ]

    def let_count_again(self, user_ids: Iterable[str]) -> None:
        """Let the service number and count what was written of the recordings of accounts that are there."""
        there = self._fetch(User, list(user_ids))
        # One that is deleted meanwhile needs no counting.
        self._sender.send(
            [Parcel(user_id, [count_again(user_id)], units(item) * 3) for user_id, item in there.items()]
        )

    def count(
        self, counts: dict[str, tuple[int, int]], told: dict[str, int | None], number: int
    ) -> list[str]:
        """Write how many recordings and bytes accounts have; return those that carry `number` now.

        One that the service has used meanwhile counts for itself.
        """
        stored = self._fetch(User, list(told))
        parcels, others = [], []
        for user_id, item in stored.items():
            if "claims_complete" not in item:
                continue
            if text(item, ORIGIN) != self._migration or number_of(item) != told[user_id]:
                others.append(user_id)
                continue
            recordings, size = counts.get(user_id, (0, 0))
            counted = item | bookkeeping(recordings, size, number)
            # One that was written in this very pass carries it already.
            if counted != item:
                parcels.append(Parcel(user_id, [put_over(User, counted, item)], units(counted) * 3))
        refused = self._sender.send(parcels)
        self.let_count_again([*others, *refused])
        return [parcel.row_id for parcel in parcels if parcel.row_id not in refused]

    def _fetch(self, model: type[StoredModel], keys: list[str]) -> dict[str, Item]:
        return self._sender.patiently(lambda: self._tables.fetch(model, keys))

    def _decided(
        self, row: Wanted, stored: Item | None, claim: Item | None, notes: Notes, number: int | None
    ) -> Job:
        decision = decide(row, stored, claim, notes.known.get(row.row_id), self._migration)
        if decision in WRITES:
            return self._write(row, notes, stored, claim, number, decision)
        ours = stored is not None and text(stored, ORIGIN) == self._migration
        found = None if stored is None else number_of(stored)
        of_others = stored is not None and decision in (Decision.ALREADY_THERE, Decision.LEFT_NEWER)
        others = (found or 0) if of_others else None
        return Job(
            row,
            decision,
            problem=_problem(row, decision, claim),
            ours=ours,
            number=found,
            others_number=others,
        )

    def _write(  # noqa: PLR0917 - what is wanted, noted and found about one row
        self,
        row: Wanted,
        notes: Notes,
        stored: Item | None,
        claim: Item | None,
        number: int | None,
        decision: Decision | None = None,
    ) -> Job:
        if decision is None:
            decision = Decision.WRITE_WITHOUT_CLAIM if row.claimless else Decision.WRITE
        if stored is not None and text(stored, "user_id") == row.item.user_id:
            # What it was numbered by, it keeps, as long as it is the same account's.
            number = number_of(stored)
        item = (
            stored
            if decision is Decision.CLAIM and stored is not None
            else self._item(row, stored, notes, number)
        )
        parcel = self._parcel(row, item, stored, claim)
        return Job(row, decision, parcel, _problem(row, decision, claim), number=number_of(item))

    def _parcel(self, row: Wanted, item: Item, stored: Item | None, claim: Item | None) -> Parcel:
        model = model_of(row.table)
        cost = units(item) * UNITS_IN_TRANSACTION + index_units(row.table, item)
        more: list[Action] = []
        if claim is None and not row.claimless:
            more.append(put_new(Claim, claim_item(row.item, self._migration)))
        elif claim is not None and is_passed_on(row, claim):
            more.append(put_over(Claim, claim_item(row.item, self._migration), claim))
        if stored is not None:
            more += self._release_of(row, stored)
        if isinstance(row.item, MigratedRecording):
            more += _entry(row.item, item, stored)
        cost += sum(action_units(action) for action in more)
        first = put_new(model, item) if stored is None else put_over(model, item, stored)
        return Parcel(row.row_id, [first, *more], cost)

    def _item(self, row: Wanted, stored: Item | None, notes: Notes, number: int | None) -> Item:
        if isinstance(row.item, MigratedRecording):
            return recording_item(row.item, self._migration, number)
        if stored is None:
            return user_item(row.item, self._migration) | notes.books.get(row.row_id, {})
        kept = {name: value for name, value in stored.items() if name in BOOKKEEPING}
        return user_item(row.item, self._migration) | kept

    def _release_of(self, row: Wanted, stored: Item) -> list[Action]:
        """Return what frees the claim of the row that is replaced, where that had another address or key."""
        before = read_user(stored) if isinstance(row.item, MigratedUser) else read_recording(stored)
        if before is None or claim_name(before) == row.claim:
            return []
        claim = self._fetch(Claim, [claim_name(before)]).get(claim_name(before))
        return [delete(Claim, claim)] if claim is not None and holds(claim, before) else []


def _entry(recording: MigratedRecording, item: Item, stored: Item | None) -> list[Action]:
    """Return what writes the recording's entry among its owner's changes, or moves it to another owner's."""
    number, owner = number_of(item), recording.user_id
    before = None if stored is None else text(stored, "user_id")
    number_before = None if stored is None else number_of(stored)
    if before == owner:
        return []
    actions = []
    if number is not None:
        actions.append(put_new(Change, change_item(owner, number, recording.file_id), "file_id"))
    if before is not None and number_before is not None:
        actions.append(delete_entry(before, number_before))
    return actions


class Loader:
    """Takes judged rows through the manifest and the writing threads."""

    def __init__(
        self, state: State, writer: Writer, pace: Pace, threads: int, *, first: bool = False
    ) -> None:
        """`first` when this is the first copy into empty tables, so that no account is there yet."""
        self._state = state
        self._writer = writer
        self._pace = pace
        self._threads = threads
        self._first = first
        # What a version that did not number wrote is not counted here either.
        self._counts = not state.fact("uncounted")
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
        todo = [row for row in wanted if self._is_to_do(task, row, known.get(row.row_id))]
        # What was mended by hand is no problem any more, though its source still is as it was.
        over = {row_id for row_id, what in known.items() if what.mended and what.settled}
        said = [problem for problem in problems if problem.row_id not in over]
        chunk = Chunk(ids, said, [row.row_id for row in todo], skipped=len(wanted) - len(todo))
        if todo:
            notes = self._notes(task, todo, known)
            for part in slices(todo, ROWS_IN_TRANSACTION[task.table]):
                chunk.parts.append(pool.submit(self._writer.settle, part, notes))
        return chunk

    def _is_to_do(self, task: Task, row: Wanted, known: Known | None) -> bool:
        done = is_done(row, known, mended=task.mended)
        return (done and not row.claimless) if task.again else not done

    def _notes(self, task: Task, todo: Sequence[Wanted], known: dict[str, Known]) -> Notes:
        """Note durably what is about to be written, and return what the writing threads have to know."""
        unsure = [
            row.row_id for row in todo if row.row_id in known and known[row.row_id].intended is not None
        ]
        if task.table == USERS:
            self._state.intend(USERS, [(row.row_id, row.digest, None, None) for row in todo], unsure)
            # Whose address is taken over is looked at again, also when it has not changed in the end.
            self._state.unsettle(USERS, [row.takes_from for row in todo if row.takes_from is not None])
            return Notes(known, books=self._books(todo))
        recordings = [row.item for row in todo if isinstance(row.item, MigratedRecording)]
        first = self._state.last_number + 1
        numbers = {row.row_id: first + place for place, row in enumerate(todo)}
        self._state.intend(
            AUDIO_FILES,
            [
                (row.row_id, row.digest, item.user_id, item.file_size)
                for row, item in zip(todo, recordings, strict=True)
            ],
            unsure,
            last_number=first + len(todo) - 1,
        )
        if not self._counts:
            return Notes(known)
        if not self._first:
            before = {what.owner for what in known.values() if what.owner is not None}
            self._state.touch({item.user_id for item in recordings} | before)
        return Notes(known, numbers)

    def _books(self, todo: Sequence[Wanted]) -> dict[str, Item]:
        """Return what goes onto new accounts about their recordings, which are all written before them."""
        if not self._counts:
            return {}
        ids = [row.row_id for row in todo]
        counts, shared, last = self._state.counts(ids), self._state.shared(ids), self._state.last_number
        books: dict[str, Item] = {}
        for user_id in ids:
            if user_id in shared:
                # The service counts those; the numbers that it gives must not be taken already.
                books[user_id] = {"change_number": {"N": str(max(last, shared[user_id]))}}
            else:
                recordings, size = counts.get(user_id, (0, 0))
                books[user_id] = bookkeeping(recordings, size, last if recordings else None)
        return books

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
            self._note_uncounted(jobs)
        said = [problem for chunk in over for problem in chunk.problems]
        rejected = {problem.row_id for problem in said if problem.rejected}
        self._count(task, jobs, over, len(rejected))
        self._state.settle(
            task.table,
            written=[wanted.row_id for wanted in ours],
            not_written=[job.wanted.row_id for job in jobs if job.decision not in IN_MANIFEST],
            ours=[job.wanted.row_id for job in jobs if job.decision not in IN_MANIFEST and job.ours],
            seen=[row_id for chunk in over for row_id in chunk.ids],
            numbers=[
                (job.wanted.row_id, job.number)
                for job in jobs
                if task.table == USERS and job.decision in IN_MANIFEST and job.number is not None
            ],
            problems=[job.problem for job in jobs if job.problem is not None] + said,
            # Of a row that an earlier run has written, what was said then still holds.
            cleared=[row_id for chunk in over for row_id in chunk.todo] + list(rejected),
            mended=task.mended,
            tally=dict(self.tally),
            **(task.position(over[-1].ids[-1]) if over else {}),
        )

    def _note_uncounted(self, jobs: list[Job]) -> None:
        """Leave accounts to the service of which others have written recordings, or ours have no number."""
        others = [(job.wanted.item[1], job.others_number) for job in jobs if job.others_number is not None]
        # Such an account may be taken back and written anew while its recordings are still there.
        unnumbered = {(job.wanted.item[1], 0) for job in jobs if job.is_unnumbered}
        self._state.share([*others, *unnumbered])

    def _count(self, task: Task, jobs: list[Job], over: list[Chunk], rejected: int) -> None:
        table = task.table
        self.tally.update(f"{table}.{TALLIED[job.decision]}" for job in jobs if job.decision in TALLIED)
        if task.again:
            return
        self.tally[f"{table}.read"] += sum(len(chunk.ids) for chunk in over)
        self.tally[f"{table}.unchanged"] += sum(chunk.skipped for chunk in over)
        self.tally[f"{table}.rejected"] += rejected


def index_units(table: str, item: Item) -> int:
    """Return the write units of a row's places in the indexes.

    Accounts have one by address and recordings one by owner, with all attributes; recordings
    also one by key, with so few that a unit is enough, and one in order of `listed_at` where they have it.
    """
    row_units = units(item)
    if table == USERS:
        return row_units
    return row_units * (2 if "listed_at" in item else 1) + 1


def action_units(action: Action) -> int:
    """Return the write units of an action on a table without indexes."""
    ((_, what),) = action.items()
    return units(what.get("Item") or what["Key"]) * UNITS_IN_TRANSACTION


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

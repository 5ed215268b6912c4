"""The chores of a process's services, and how they are worked on: here and now, or handed out through SQS."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from panzoto.errors import PanzotoError, Unavailable, UnusableInventory
from panzoto.lifecycle.account_look import AccountLook, Done
from panzoto.lifecycle.chores import CHANGED, REPORT, Chores, Piece
from panzoto.lifecycle.row_chores import RowChores
from panzoto.lifecycle.sweep import Parts
from panzoto.models import SweepMemory, User
from panzoto.models.attributes import now
from panzoto.models.connection import IndexMissing
from panzoto.models.due import SHARDS, all_shards
from panzoto.queues.consumer import Later
from panzoto.queues.queue import MOST_AT_ONCE, Message, Queue
from panzoto.queues.trouble import Trouble
from panzoto.removal import reasons_to_hold
from panzoto.services import Services

# How often a worker looks for what is due. One of several does it, as long as it lives.
LOOK_SECONDS = 30.0
HANDING_OUT = "handing out"
NO_INDEX = "The index user-due-index is missing; `flask panzoto resources optimize` adds it"
# More than that need not wait in the queue: what is due keeps, and nobody gets it twice for waiting long.
MOST_WAITING = 20_000
# Of the pass over everybody no more is handed out than that, so that what has changed always finds room.
MOST_OF_PASS = MOST_WAITING // 2
SHARDS_AT_ONCE = 8
COUNTED_AT_MOST = 1_000
HELD_SECONDS = 10.0
HELD_LATER_SECONDS = 3600.0
# Of what a run tries once more it remembers so many.
MOST_AGAIN = 10_000

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What became of a piece, and whether it came to its end."""

    piece: Piece
    done: Done
    has_ended: bool


def row_chores_of(services: Services) -> RowChores:
    """Return the chores of rows."""
    kept = timedelta(days=services.settings.trash_days)
    return RowChores(services.uploads, services.trash, services.upgrade, kept)


def parts_of(services: Services) -> Parts:
    """Return what a sweep works with."""
    return Parts(services.storage, services.removal, row_chores_of(services))


def chores_of(services: Services) -> Chores:
    """Return all chores of one set of tables and one bucket."""
    look = AccountLook(services.storage, services.removal, row_chores_of(services), services.deletion)
    return Chores(look, parts_of(services), services.settings.inventory)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the chores stand: accounts that are due, counted up to a bound, and since when the oldest is.

    `waiting` is what waits in the queue, None where there is none; `held` says why nothing is done.
    """

    backlog: int
    oldest_seconds: float
    waiting: int | None
    held: list[str]


def standing(queue: Queue) -> Standing:
    """Return how the chores stand. Raises `IndexMissing` and `Unavailable`."""
    moment = now()
    due = [one for shard in all_shards() for one in User.due(shard, moment, COUNTED_AT_MOST)]
    oldest = min((one.due_at for one in due), default=moment)
    try:
        waiting = queue.waiting()
    except Unavailable:
        waiting = None
    return Standing(len(due), (moment - oldest).total_seconds(), waiting, reasons_to_hold())


def do_what_is_due(chores: Chores, at_once: int, progress: Callable[[int], None]) -> Done:
    """Do all that is due and today's share of the pass, several pieces at once.

    A piece that fails is counted among the failures, and so is an inventory that cannot be used. An account
    that is due is due again later; what belongs to the pass is tried once more when all else is done. Raises
    what else finding pieces raises.
    """
    done, again = Done(), list[Piece]()
    # What falls due later today is not looked at: nothing would be done with it, and it would be due again.
    groups: Iterator[Iterable[Piece]] = itertools.chain(
        [chores.due(now())], chores.share_of_today(again_if_small=True)
    )
    outcomes = (outcome for pieces in groups for outcome in _at_once(chores, pieces, at_once))
    pieces_done = itertools.count(1)
    try:
        for piece, outcome, has_ended in outcomes:
            if has_ended or piece.kind == CHANGED or len(again) >= MOST_AGAIN:
                done.add(outcome)
            else:
                again.append(piece)
            progress(next(pieces_done))
    except UnusableInventory as error:
        log.warning("chore_failed", extra={"kind": REPORT, "of": "", "code": error.code})
        # Only its sentence says what to do about it.
        done.failures[f"{REPORT}: {error.sentence}"] += 1
    for _, outcome, _ in _at_once(chores, again, at_once):
        done.add(outcome)
        progress(next(pieces_done))
    return done


def _at_once(chores: Chores, pieces: Iterable[Piece], at_once: int) -> Iterator[Outcome]:
    """Yield what became of each piece; no more are asked for than are worked on."""
    with ThreadPoolExecutor(at_once) as pool:
        running: set[Future[Outcome]] = set()
        for piece in pieces:
            running.add(pool.submit(_done_or_failed, chores, piece))
            if len(running) >= at_once:
                over, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in over)
        yield from (one.result() for one in running)


def _done_or_failed(chores: Chores, piece: Piece) -> Outcome:
    """Do a piece; one that fails, for whatever reason, is no reason not to do the others."""
    told = {"kind": piece.kind, "of": piece.of}
    try:
        return Outcome(piece, chores.do(piece), has_ended=True)
    except PanzotoError as error:
        code = error.code
        log.warning("chore_failed", extra={**told, "code": code})
    except Exception as error:
        code = "unexpected_error"
        log.error("chore_failed", exc_info=error, extra={**told, "code": code})
    failed = Done()
    failed.failures[f"{piece.kind}: {code}"] += 1
    return Outcome(piece, failed, has_ended=False)


class Handing:
    """Hands out what is due through the queue, in one of all workers at a time, every `LOOK_SECONDS`."""

    def __init__(self, chores: Chores, queue: Queue, trouble: Trouble) -> None:
        self._chores = chores
        self._queue = queue
        self._trouble = trouble
        self._holder = uuid.uuid4().hex
        # What is left of today's share of the pass; whoever takes over goes on with tomorrow's.
        self._share: Iterator[list[Piece]] = iter(())
        # Of its last group what the queue has not taken: who asks for the next says that all was handed out.
        self._unsent: list[Piece] = []

    def run(self, stopping: threading.Event) -> None:
        """Hand out until `stopping`; what fails is tried again."""
        while not stopping.is_set():
            try:
                if SweepMemory.lease(HANDING_OUT, self._holder, timedelta(seconds=2 * LOOK_SECONDS)):
                    self.hand_out()
                self._trouble.over(HANDING_OUT)
            except IndexMissing:
                self._trouble.met_with(HANDING_OUT, NO_INDEX)
            except PanzotoError as error:
                self._trouble.met(HANDING_OUT, error)
            except Exception as error:
                log.error("handing_out_failed", exc_info=error)
            stopping.wait(LOOK_SECONDS)

    def hand_out(self) -> None:
        """Hand out once what there is room for. Raises `IndexMissing` and `PanzotoError`."""
        how = standing(self._queue)
        log.info(
            "chores_status",
            extra={
                "backlog": how.backlog,
                "oldest_due_seconds": round(how.oldest_seconds),
                "queued": how.waiting or 0,
                "held": len(how.held),
            },
        )
        if how.held:
            SweepMemory.note_held()
            return
        room = MOST_WAITING - (how.waiting or 0)
        if room <= 0:
            return
        with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
            sent = sum(pool.map(lambda shard: self._send(self._some_due(shard, room)), all_shards()))
        self._hand_out_pass(MOST_OF_PASS - (how.waiting or 0) - sent)

    def _hand_out_pass(self, room: int) -> None:
        """Go on with today's share of the pass as long as there is room; then with what begins by now."""
        is_begun = False
        while True:
            room -= self._send_unsent()
            if room <= 0:
                return
            pieces = next(self._share, None)
            if pieces is not None:
                self._unsent = pieces
            elif is_begun:
                return
            else:
                self._share, is_begun = self._chores.share_of_today(), True

    def _send_unsent(self) -> int:
        sent = 0
        while some := self._unsent[:MOST_AT_ONCE]:
            sent += self._send_batch(some)
            del self._unsent[: len(some)]
        return sent

    def _some_due(self, shard: str, room: int) -> Iterator[Piece]:
        return itertools.islice(self._chores.due_in(shard, now()), -(-room // SHARDS))

    def _send(self, pieces: Iterator[Piece]) -> int:
        """Send them all, and return how many they were."""
        sent = 0
        while some := list(itertools.islice(pieces, MOST_AT_ONCE)):
            sent += self._send_batch(some)
        return sent

    def _send_batch(self, pieces: list[Piece]) -> int:
        self._queue.send_all([(piece.to_text(), piece.kind) for piece in pieces])
        return len(pieces)


class Working:
    """Does the pieces of messages, unless chores are held back; asks for that every `HELD_SECONDS`."""

    def __init__(self, chores: Chores) -> None:
        self._chores = chores
        self._asked_at = -HELD_SECONDS
        self._is_held = False

    def handle(self, message: Message) -> None:
        """Do the piece of a message.

        Raises `Unavailable`, `Later` for a piece that is held back, and `ValueError` for what is no piece.
        """
        piece = Piece.of_text(message.body)
        if time.monotonic() - self._asked_at >= HELD_SECONDS:
            self._is_held = bool(reasons_to_hold())
            self._asked_at = time.monotonic()
        if not self._is_held:
            self._do(piece)
        elif piece.kind != CHANGED:
            raise Later(HELD_LATER_SECONDS)
        # An account that changed is due again by itself; nobody else would ask for a piece of the pass.

    def _do(self, piece: Piece) -> None:
        try:
            self._chores.do(piece)
        except UnusableInventory as error:
            # It has been removed since, or is damaged: asking again would not help, and the next one comes.
            log.warning("chore_failed", extra={"kind": piece.kind, "of": piece.of, "code": error.code})

"""The bound on how many Argon2 computations one process runs at once, shared between those who ask.

Whatever else costs a process much memory and time, as reading transcripts, has permits of the same kind.
Every computation costs its full memory and, for a moment, every core it can
get, so the permit belongs to the computation and not to the request around it.
Who asks is told by names: the network address of a request, the account that
it is about. One name has at most half of the permits and a quarter of the
places in which one waits for them, so that nobody keeps others from signing in.

Who would wait for too long is told at once when it will be their turn, and has
it when they come back (`panzoto.crypto.turns`). A request that has begun to
compute goes on before all others: given up half way, it would have to begin anew.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from panzoto.crypto.turns import Pace, Turn, Turns
from panzoto.errors import Busy

# Each of them is a thread that waits; the process says how many it can spare.
WAITING_PLACES = 8
REMEMBERED_NAMES = 10_000
# How long a request that has begun to compute waits for its next permit: it is the next who gets one.
GOING_ON_SECONDS = 10.0
# Who comes before anything was measured is told this much, and learns more then.
UNKNOWN_SECONDS = 3.0
# Whose turn has come waits a little longer before they are told another one, by a share of the wait so far.
LATER_BY = 0.25
LATER_SECONDS = 5.0
# Clients are called so much before their turn, so that no permit waits for them: whole seconds are all that
# they can be told.
LEAD_SECONDS = 1.0

_asking: ContextVar[frozenset[str]] = ContextVar("asking", default=frozenset())


@dataclass(slots=True, eq=False)
class _Visit:
    """What one request computes: since when, 0 for not yet, and the turn that another process has told it."""

    begun_at: float = 0.0
    turn: str = ""


_visit: ContextVar[_Visit | None] = ContextVar("visit", default=None)


def begin_asking(name: str) -> None:
    """Let what this context computes from now on count as one visit, asked for by `name` alone."""
    _asking.set(frozenset({name}))
    _visit.set(_Visit())


def end_asking() -> None:
    """Let what this context computes from now on be nobody's: the visit is over."""
    _asking.set(frozenset())
    _visit.set(None)


def ask_for(name: str) -> None:
    """Let what this context computes from now on count as asked for by `name` too."""
    _asking.set(_asking.get() | {name})


@contextmanager
def asking_for(name: str) -> Iterator[None]:
    """Let what is computed inside count as asked for by `name` too."""
    before = _asking.set(_asking.get() | {name})
    try:
        yield
    finally:
        _asking.reset(before)


@contextmanager
def visiting_apart() -> Iterator[None]:
    """Let what is computed inside be a visit of its own, which gains nothing by what was computed before."""
    before = _visit.set(_Visit())
    try:
        yield
    finally:
        _visit.reset(before)


def come_back_with(turn: str) -> None:
    """Let the visit of this context have the turn that a `Busy` has told it before, in whatever process."""
    visit = _visit.get()
    if visit is not None:
        visit.turn = turn


@dataclass(slots=True, eq=False)
class _Waiter:
    names: frozenset[str]
    visit: _Visit
    asked_at: float
    turn: Turn | None = None
    # Who has asked earlier is before: of one who has just come, whoever is here.
    after: float = math.inf
    granted: bool = False

    @property
    def goes_on(self) -> bool:
        return self.visit.begun_at > 0


class Permits:
    """`count` permits; who would get none within `wait_seconds`, or no place to wait, gets `Busy` (503)."""

    def __init__(self, count: int, wait_seconds: float, places: int = WAITING_PLACES) -> None:
        self._count = self._free = count
        self._share = max(1, count // 2)
        self._places = places
        self._share_of_places = max(1, places // 4)
        self._wait_seconds = wait_seconds
        self._lead_seconds = min(LEAD_SECONDS, wait_seconds)
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[_Waiter, None] = OrderedDict()
        self._served: OrderedDict[str, float] = OrderedDict()
        self._turns = Turns()
        self._pace = Pace(min(16, 3 * count))
        self.computed = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one permit for one computation."""
        waiter = _Waiter(_asking.get(), _visit.get() or _Visit(), time.time())
        with self._changed:
            self._get_in_line(waiter)
            self._grant()
            if not self._changed.wait_for(lambda: waiter.granted, self._patience_of(waiter)):
                del self._waiting[waiter]
                raise self._told(waiter)
        begins, began = not waiter.goes_on, time.monotonic()
        waiter.visit.begun_at = waiter.visit.begun_at or began
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            with self._changed:
                if self._waiting or not self._free:
                    self._pace.note(seconds, begins=begins, now=time.time())
                self.computed += 1
                self._free += 1
                self._held.subtract(waiter.names)
                self._held += Counter()
                self._grant()

    @property
    def waiting(self) -> int:
        """How many wait for a permit."""
        with self._changed:
            return len(self._waiting)

    def _get_in_line(self, waiter: _Waiter) -> None:
        """Give `waiter` a place. Raises `Busy` where there is none, or it would be waited in for too long."""
        if not waiter.goes_on:
            self._find_turn(waiter)
        may_begin = waiter.goes_on or (self._free > 0 and self._is_within_share(waiter))
        if not may_begin and (not self._has_place_for(waiter) or self._is_to_come_back(waiter)):
            raise self._told(waiter)
        if waiter.turn is not None:
            self._turns.use(waiter.names)
        waiter.after = waiter.asked_at
        self._waiting[waiter] = None

    def _find_turn(self, waiter: _Waiter) -> None:
        now, names = waiter.asked_at, waiter.names
        found = (self._turns.of(names, now), Turn.read(waiter.visit.turn, names, now))
        known = [turn for turn in found if turn is not None]
        if known:
            waiter.turn = min(known, key=lambda turn: turn.asked_at)
            waiter.asked_at = waiter.after = waiter.turn.asked_at

    def _has_place_for(self, waiter: _Waiter) -> bool:
        in_line = Counter(name for other in self._waiting for name in other.names)
        within_share = all(in_line[name] < self._share_of_places for name in waiter.names)
        return len(self._waiting) < self._places and within_share

    def _is_to_come_back(self, waiter: _Waiter) -> bool:
        """Whether it is too early for the turn of `waiter`, or there are too many before."""
        if waiter.turn is not None and waiter.turn.due_at - time.time() > self._wait_seconds:
            return True
        seconds = self._seconds_before(waiter)
        return seconds is not None and seconds > self._patience_of(waiter)

    def _patience_of(self, waiter: _Waiter) -> float:
        if waiter.goes_on:
            return GOING_ON_SECONDS
        if waiter.turn is None or not self._wait_seconds:
            return self._wait_seconds
        waited = waiter.turn.due_at - waiter.turn.asked_at
        return max(1.5 * self._wait_seconds, min(LATER_SECONDS, LATER_BY * waited))

    def _told(self, waiter: _Waiter) -> Busy:
        """Return what tells `waiter` when to come back; until then their turn is remembered."""
        now = time.time()
        seconds = self._seconds_before(waiter)
        due_at = now + (UNKNOWN_SECONDS if seconds is None else seconds)
        if waiter.turn is not None:
            due_at = max(due_at, waiter.turn.due_at)
        turn = Turn(round(waiter.asked_at, 3), round(due_at, 3))
        if waiter.names:
            self._turns.keep(waiter.names, turn)
        retry_after = max(1, math.ceil(due_at - now - self._lead_seconds))
        return Busy(retry_after=retry_after, turn=turn.written_for(waiter.names))

    def _seconds_before(self, waiter: _Waiter) -> float | None:
        """Return how long it takes until all before `waiter` are through, None while that is not known."""
        now = time.time()
        visit_seconds = self._pace.of_a_visit(now)
        if visit_seconds is None:
            return None
        in_line = [other for other in self._waiting if other.goes_on or other.asked_at < waiter.after]
        to_come = self._turns.before(waiter.after, now)
        # What is being computed is half done on the average.
        seconds = (len(in_line) + to_come + (self._count - self._free) / 2) * visit_seconds / self._count
        for name in waiter.names:
            of_name = sum(name in other.names for other in in_line) + to_come * self._turns.share_of(name)
            seconds = max(seconds, (of_name + self._held[name] / 2) * visit_seconds / self._share)
        return seconds

    def _grant(self) -> None:
        """Give what is free to those within their share, in order."""
        while self._free:
            fitting = [waiter for waiter in self._waiting if self._is_within_share(waiter)]
            if not fitting:
                return
            now = time.time()
            chosen = min(fitting, key=lambda waiter: self._order(waiter, now))
            del self._waiting[chosen]
            chosen.granted = True
            self._free -= 1
            self._held.update(chosen.names)
            for name in chosen.names:
                self._served[name] = time.monotonic()
                self._served.move_to_end(name)
            while len(self._served) > REMEMBERED_NAMES:
                self._served.popitem(last=False)
            self._changed.notify_all()

    def _order(self, waiter: _Waiter, now: float) -> tuple[int, float]:
        """Who has begun goes on; then whose turn has come; then who was served longest ago."""
        if waiter.goes_on:
            return 0, waiter.visit.begun_at
        if waiter.turn is not None and waiter.turn.due_at - self._lead_seconds <= now:
            return 1, waiter.asked_at
        return 2, self._served_at(waiter)

    def _is_within_share(self, waiter: _Waiter) -> bool:
        return all(self._held[name] < self._share for name in waiter.names)

    def _served_at(self, waiter: _Waiter) -> float:
        return max((self._served.get(name, 0.0) for name in waiter.names), default=0.0)


class HashPermits(Permits):
    """Those of Argon2 computations."""

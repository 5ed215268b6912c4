"""The bound on how many Argon2 computations one process runs at once, shared between those who ask.

Every computation costs its full memory and, for a moment, every core it can
get, so the permit belongs to the computation and not to the request around it.
Who asks is told by names: the network address of a request, the account that
it is about. One name has at most half of the permits and a quarter of the
places in which one waits for them, so that nobody keeps others from signing in.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from panzoto.errors import Busy

# Each of them is a thread that waits; the process says how many it can spare.
WAITING_PLACES = 8
REMEMBERED_NAMES = 10_000

_asking: ContextVar[frozenset[str]] = ContextVar("asking", default=frozenset())


def begin_asking(name: str) -> None:
    """Let what this context computes from now on count as asked for by `name` alone."""
    _asking.set(frozenset({name}))


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


@dataclass(slots=True, eq=False)
class _Waiter:
    names: frozenset[str]
    granted: bool = False


class HashPermits:
    """`count` permits; who gets none within `wait_seconds`, or no place to wait, gets `Busy` (503)."""

    def __init__(self, count: int, wait_seconds: float, places: int = WAITING_PLACES) -> None:
        self._free = count
        self._share = max(1, count // 2)
        self._places = places
        self._share_of_places = max(1, places // 4)
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[_Waiter, None] = OrderedDict()
        self._served: OrderedDict[str, float] = OrderedDict()
        self.computed = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one permit for one computation."""
        waiter = _Waiter(_asking.get())
        with self._changed:
            self._get_in_line(waiter)
            self._grant()
            if not self._changed.wait_for(lambda: waiter.granted, self._wait_seconds):
                del self._waiting[waiter]
                raise Busy()
        try:
            yield
        finally:
            with self._changed:
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
        in_line = Counter(name for other in self._waiting for name in other.names)
        may_begin = self._free > 0 and self._is_within_share(waiter)
        no_place = len(self._waiting) >= self._places
        if not may_begin and (
            no_place or any(in_line[name] >= self._share_of_places for name in waiter.names)
        ):
            raise Busy()
        self._waiting[waiter] = None

    def _grant(self) -> None:
        """Give what is free to those within their share, first to whom was served longest ago."""
        while self._free:
            fitting = [waiter for waiter in self._waiting if self._is_within_share(waiter)]
            if not fitting:
                return
            chosen = min(fitting, key=self._served_at)
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

    def _is_within_share(self, waiter: _Waiter) -> bool:
        return all(self._held[name] < self._share for name in waiter.names)

    def _served_at(self, waiter: _Waiter) -> float:
        return max((self._served.get(name, 0.0) for name in waiter.names), default=0.0)

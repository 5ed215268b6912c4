"""Turns at the Argon2 computations: who was told to come back and when, and how long one turn takes.

Where more people want to sign in than a process can hash for, each is told when it will be their turn, and
who comes back then goes before whoever comes for the first time. A turn is known again by the names of who
asks, so that a client needs nothing but the `Retry-After` that clients have always had; who comes back too
early, or too late by a little, has it still.

A turn is also kept with the attempts at an account, so that every process honours what another has told.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from dataclasses import dataclass

# Whoever is later than this asks as if for the first time.
KEPT_SECONDS = 60.0
# How many turns one process remembers; beyond them, it tells waits that do not grow any more.
MOST_TURNS = 10_000
# Each measurement counts so much less when another one has come.
FADING = 0.97
# Of few turns nobody can say which share of them is used; so many are reckoned as used beforehand.
USED_BEFOREHAND = 50.0
USE_FADING = 0.99
LEAST_SHARE_USED = 0.1
# What was measured longer ago was measured of another crowd.
MEASURED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when somebody has been asking, and when their turn comes, both in epoch seconds."""

    asked_at: float
    due_at: float

    def written_for(self, names: frozenset[str]) -> str:
        """Return the turn as text that is good for whoever asks by these names."""
        return f"{self.asked_at:.3f} {self.due_at:.3f} {_fingerprint(names)}"

    @classmethod
    def read(cls, text: str, names: frozenset[str], now: float) -> Turn | None:
        """Return what `written_for` wrote for these names, None for another's and one that is over."""
        parts = text.split(" ")
        if len(parts) != 3 or parts[2] != _fingerprint(names):
            return None
        turn = cls(float(parts[0]), float(parts[1]))
        return turn if now <= turn.due_at + KEPT_SECONDS else None


def _fingerprint(names: frozenset[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


class Turns:
    """The turns that one process has told. One name has a quarter of them. Not safe to use without a lock."""

    def __init__(self, most: int = MOST_TURNS) -> None:
        self._most = most
        self._share = max(1, most // 4)
        # Those that are to come, by whose they are, and since when each of them has been asked for, in order.
        self._coming: dict[frozenset[str], Turn] = {}
        self._asked: list[float] = []
        self._names: Counter[str] = Counter()
        self._next_due: list[tuple[float, int, frozenset[str]]] = []
        self._serial = itertools.count()
        # Those that have come and were not taken, or not here.
        self._late: OrderedDict[frozenset[str], Turn] = OrderedDict()
        self._over = self._used = USED_BEFOREHAND

    def keep(self, names: frozenset[str], turn: Turn) -> None:
        """Remember the turn of whoever asks by these names, unless they or all have too many."""
        if self._coming.get(names) == turn:
            return
        self._forget(names)
        if len(self._coming) >= self._most or any(self._names[name] >= self._share for name in names):
            return
        self._coming[names] = turn
        insort(self._asked, turn.asked_at)
        self._names.update(names)
        heapq.heappush(self._next_due, (turn.due_at, next(self._serial), names))
        if len(self._next_due) > 2 * len(self._coming) + 100:
            # Whoever is told anew leaves an entry behind.
            self._next_due = [
                (known.due_at, next(self._serial), whose) for whose, known in self._coming.items()
            ]
            heapq.heapify(self._next_due)

    def of(self, names: frozenset[str], now: float) -> Turn | None:
        """Return the turn of whoever asks by these names, if they have one."""
        self._pass(now)
        return self._coming.get(names) or self._late.get(names)

    def use(self, names: frozenset[str]) -> None:
        """Forget the turn of these names: it is being used. Another process may have told it."""
        self._count(over=names in self._coming, used=True)
        self._forget(names)

    def before(self, asked_at: float, now: float) -> float:
        """Return how many of those who asked earlier will still come: so many as of late did.

        Which process they come to nobody knows; as many come here that others have told.
        """
        self._pass(now)
        share = max(LEAST_SHARE_USED, min(1.0, self._used / self._over))
        return bisect_left(self._asked, asked_at) * share

    def share_of(self, name: str) -> float:
        """Return which share of those that are to come one name has."""
        return self._names[name] / len(self._asked) if self._asked else 0.0

    def _pass(self, now: float) -> None:
        while self._next_due and self._next_due[0][0] <= now:
            due_at, _, names = heapq.heappop(self._next_due)
            turn = self._coming.get(names)
            if turn is not None and turn.due_at == due_at:
                self._count(over=True, used=False)
                self._is_coming_no_more(names)
                self._late[names] = turn
        while self._late and next(iter(self._late.values())).due_at + KEPT_SECONDS < now:
            self._late.popitem(last=False)

    def _count(self, *, over: bool, used: bool) -> None:
        self._over = self._over * USE_FADING + over
        self._used = self._used * USE_FADING + used

    def _forget(self, names: frozenset[str]) -> None:
        self._late.pop(names, None)
        self._is_coming_no_more(names)

    def _is_coming_no_more(self, names: frozenset[str]) -> None:
        turn = self._coming.pop(names, None)
        if turn is not None:
            del self._asked[bisect_left(self._asked, turn.asked_at)]
            for name in names:
                # One by one: to drop all that are at nought would be to go through everybody's each time.
                self._names[name] -= 1
                if not self._names[name]:
                    del self._names[name]


class Pace:
    """How many seconds of permits one visit takes, measured while there was no permit left.

    A visit is what one request computes: a sign-in is one computation, the first after a move up to three.
    """

    def __init__(self, known_after: int) -> None:
        self._known_after = known_after
        self._seconds = self._visits = self._computations = 0.0
        self._measured_at = 0.0

    def note(self, seconds: float, *, begins: bool, now: float) -> None:
        """Note that a computation took so long; `begins` says whether it was the first of its visit."""
        if now - self._measured_at > MEASURED_SECONDS:
            self._seconds = self._visits = self._computations = 0.0
        self._measured_at = now
        self._seconds = self._seconds * FADING + seconds
        self._visits = self._visits * FADING + begins
        self._computations = self._computations * FADING + 1

    def of_a_visit(self, now: float) -> float | None:
        """Return the seconds of permits that a visit takes, None while too little was measured of late."""
        known = self._computations >= self._known_after and self._visits > 0
        return self._seconds / self._visits if known and now - self._measured_at <= MEASURED_SECONDS else None

"""A day of many people: who does what at which second, by a stated mix, the same for the same seed.

Nothing is kept: each person's day is made from the seed and their number, so a million take no memory.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

SECONDS = 86_400
# The share of a day's visits in each hour, midnight first; the busiest has 8 %.
BY_HOUR = (
    0.010, 0.006, 0.004, 0.004, 0.006, 0.011, 0.022, 0.038, 0.052, 0.056, 0.056, 0.055,
    0.056, 0.054, 0.052, 0.053, 0.055, 0.060, 0.068, 0.076, 0.080, 0.062, 0.040, 0.024,
)  # fmt: skip
# Some do far more than others: which share of the people, and how many times the mean.
ACTIVITY = ((0.90, 0.5), (0.09, 3.0), (0.01, 28.0))
# A visit begins with these; what else is done in it follows.
VISIT = ("refresh", "list", "sync")
# So many uploads of one visit go on at once.
UPLOADS_AT_ONCE = 4
MOST_VISITS = 400


@dataclass(frozen=True, slots=True)
class Mix:
    """How often a person does something, on the mean of a day.

    A visit is a token refresh, a list of 50 recordings and a look for changes; uploads, plays, reads,
    requests for transcripts, deletions and erasures happen during visits. `expiries` are recordings that are
    erased, be it that their time in the trash is over.
    """

    visits: float = 3.0
    uploads: float = 3.0
    plays: float = 0.5
    transcripts: float = 0.3
    reads: float = 0.5
    deletions: float = 0.2
    expiries: float = 0.2
    sign_ins: float = 0.05
    registrations: float = 0.002
    account_deletions: float = 0.0005

    def described(self) -> str:
        """Return the mix in a line."""
        return ", ".join(f"{getattr(self, one.name):g} {one.name.replace('_', ' ')}" for one in fields(self))


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that a person does.

    `beside` counts, for `sync`, the changes since the last, and for `transcribe` the jobs of the day so far.
    """

    second: int
    kind: str
    beside: int = 0


# What a visit may hold besides, and its field in the mix.
DURING = {
    "upload": "uploads",
    "play": "plays",
    "transcribe": "transcripts",
    "read": "reads",
    "bin": "deletions",
    "expire": "expiries",
}
# By these a recording changes, and the next look for changes tells of it.
CHANGING = ("upload", "transcribe", "bin", "play", "expire")
ALONE = {
    "sign in": "sign_ins",
    "register": "registrations",
    "delete account": "account_deletions",
}


class Day:
    """The day of so many people."""

    def __init__(self, people: int, mix: Mix, seed: int = 1) -> None:
        self.people = people
        self.mix = mix
        self._seed = seed
        self._hours = list(itertools.accumulate(BY_HOUR))
        self._groups = list(itertools.accumulate(share for share, _ in ACTIVITY))

    def of(self, number: int) -> list[Done]:
        """Return what the person of this number does, in order."""
        chance = random.Random(self._seed * 1_000_003 + number)
        times = ACTIVITY[bisect.bisect(self._groups, chance.random())][1]
        mix = self.mix
        done: list[Done] = []
        for kind, field in ALONE.items():
            # These do not go with how much somebody does.
            done += [Done(self._moment(chance), kind) for _ in range(_poisson(chance, getattr(mix, field)))]
        if any(one.kind == "delete account" for one in done):
            # Who leaves does nothing else on that day.
            return [one for one in done if one.kind == "delete account"][:1]
        visits = sorted(
            self._moment(chance) for _ in range(min(MOST_VISITS, _poisson(chance, mix.visits * times)))
        )
        if visits:
            # Who does not come does nothing; so that the mean is kept, who comes does a little more.
            more = times / (1 - math.exp(-mix.visits * times))
            within: list[list[str]] = [[] for _ in visits]
            for kind, field in DURING.items():
                for _ in range(_poisson(chance, getattr(mix, field) * more)):
                    within[chance.randrange(len(visits))].append(kind)
            done += self._visits(visits, within)
        return list(_with_changes(sorted(done, key=lambda one: one.second)))

    @staticmethod
    def _visits(starts: list[int], within: list[list[str]]) -> Iterator[Done]:
        for start, kinds in zip(starts, within, strict=True):
            yield from (Done(start, kind) for kind in VISIT)
            uploads = 0
            for at, kind in enumerate(kinds):
                later = uploads // UPLOADS_AT_ONCE if kind == "upload" else at
                uploads += kind == "upload"
                yield Done(min(SECONDS - 1, start + 1 + later), kind)

    def _moment(self, chance: random.Random) -> int:
        hour = min(23, bisect.bisect(self._hours, chance.random() * self._hours[-1]))
        return hour * 3600 + int(chance.random() * 3600)


def _with_changes(done: list[Done]) -> Iterator[Done]:
    """Tell each look for changes how many recordings changed since the last, and each job of earlier ones."""
    changed = jobs = 0
    for one in done:
        if one.kind == "sync":
            yield Done(one.second, one.kind, changed)
            changed = 0
        else:
            yield Done(one.second, one.kind, jobs) if one.kind == "transcribe" else one
            changed += one.kind in CHANGING
            jobs += one.kind == "transcribe"


def _poisson(chance: random.Random, mean: float) -> int:
    """Draw a number of events (Knuth, The Art of Computer Programming 2, 3.4.1), for small means."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    bound, count, product = math.exp(-mean), 0, chance.random()
    while product > bound:
        count += 1
        product *= chance.random()
    return count

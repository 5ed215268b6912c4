"""The calls of a day, from recorded profiles: how many, at how many units, and its busiest second.

Memory does not grow with the people: of each kind of action there is a count for each second of the day, and
of each person only their own busiest second is looked at before the next one comes.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.support.day import CHANGING, DURING, SECONDS, Day, Done
from bench.support.profiles import (
    ADDRESS,
    CHECK,
    CHORE,
    EVENT,
    LAST,
    OWN,
    PASS,
    PERSON,
    SEVERAL,
    SHARD,
    SYNCED,
    WORK,
    Cost,
)
from panzoto.lifecycle.chores import PASS_DAYS
from panzoto.models.due import SHARDS
from panzoto.operations.chores import LOOK_SECONDS
from tests.support.units import read_units

# What follows from what is done: the bucket's event of an upload, the work on a transcript.
FOLLOWS = {"upload": EVENT, "transcribe": WORK}
# Calls that show a token, each of which asks whether the session goes on.
WITH_TOKEN = ("list", "sync", *DURING)
REQUESTS = {"upload": 2, "play": 2, "delete account": 1}
# One address of so many people is that of the largest carrier's gateway.
PEOPLE_BEHIND_ONE_ADDRESS = 200
ROW = "synced row"
JOBS = "earlier jobs"
JOBS_TABLE = "panzoto-transcriptions"
# The part of the accounts that lie in one of the shards of those that are due.
GROUPS = {ADDRESS: PEOPLE_BEHIND_ONE_ADDRESS, SHARD: SHARDS}
NAMES = {
    ADDRESS: f"the address of one in {PEOPLE_BEHIND_ONE_ADDRESS} people",
    SHARD: f"one of {SHARDS} shards of who is due",
}
# Workers look for what is due so often.
HANDED_OUT_EVERY = round(LOOK_SECONDS)
# What goes on behind the answer takes so many seconds; all else is done within one.
LASTS = {LAST: 10}
# An odd number, by which chores come at all times of the day (Knuth, The Art of Computer Programming 3, 6.4).
SPREAD = 2_654_435_761

Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Hottest:
    """The key that gets the most in one second: its table and index, whose key it is, and units a second."""

    table: str
    index: str
    whose: str
    units: float
    # Of all that the day brings it, for those keys that all share.
    a_day: float = 0

    def __str__(self) -> str:
        where = f"{self.table}/{self.index}" if self.index else self.table
        return f"{where}, {self.whose}: {self.units:,.1f}"


class Replay:
    """One day, gone through once."""

    def __init__(self, day: Day, profiles: Mapping[str, Cost], *, processes: int = 1) -> None:
        """`processes` of the service share the calls at random; each remembers a session for itself."""
        self.day = day
        self._profiles = {
            **profiles,
            # A look for changes that finds more than two reads a row more for each.
            ROW: Cost(reads=Counter({("panzoto-audio-files", "", OWN): 1.0})),
            # Who asks for a transcript is asked which jobs of theirs are not over, among all of the day.
            JOBS: Cost(reads=Counter({(JOBS_TABLE, "", PERSON): 1.0})),
        }
        asking = [self._profiles.get(kind, Cost()) for kind in ("transcribe", WORK)]
        self._job_bytes = sum(cost.units("size", JOBS_TABLE) for cost in asking)
        self._job_queries = [round(cost.requests[f"dynamodb Query {JOBS_TABLE}"]) for cost in asking]
        self._processes = processes
        self.counts: Counter[str] = Counter()
        self.per_second: dict[str, array[int]] = {}
        # The same of those only who share an address, or a shard.
        self._of_groups: dict[str, dict[str, array[int]]] = {group: {} for group in GROUPS}
        self._checks = 0.0
        # The busiest second of one person, by table and index.
        self._of_a_person: dict[str, dict[tuple[str, str], float]] = {"writes": {}, "reads": {}}
        self._known: set[tuple[str, ...]] = set()
        self._peaks: dict[str, dict[tuple[str, str], float]] = {}
        self._hottest: dict[str, list[Hottest]] = {}
        self._go_through()

    def _go_through(self) -> None:
        for number in range(self.day.people):
            done = self.day.of(number)
            groups = [self._of_groups[name] for name, size in GROUPS.items() if number % size == 0]
            for second, several in itertools.groupby(done, key=lambda one: one.second):
                self._known.add(tuple(sorted(self._do(one, second, groups) for one in several)))
            if CHORE in self._profiles:
                for second in _looks(done):
                    for counts in (self.per_second, *groups):
                        self._count(counts, CHORE, second)
            if PASS in self._profiles and number % PASS_DAYS == 0:
                self._count(self.per_second, PASS, number * SPREAD % SECONDS)
        for kind, seconds in self.per_second.items():
            self.counts[kind] = sum(seconds) // LASTS.get(kind, 1)
        self.counts[CHECK] = round(self._sessions_asked())
        self._busiest_of_a_person()

    def _do(self, one: Done, second: int, groups: list[dict[str, array[int]]]) -> str:
        """Count one thing that somebody does who belongs to these groups; return its kind."""
        kind = one.kind
        if kind == "sync" and one.beside:
            kind = SYNCED if one.beside == 1 else SEVERAL
            self._count(self.per_second, ROW, second, max(0, one.beside - 2))
        if kind == "transcribe":
            for later, queries in enumerate(self._job_queries):
                read = read_units([round((one.beside + later) * self._job_bytes)], consistent=True)
                # One unit is in the profiles, whose people ask for one transcript each.
                self._count(self.per_second, JOBS, (second + later) % SECONDS, queries * (round(read) - 1))
        for later in range(LASTS.get(kind, 1)):
            self._count(self.per_second, kind, (second + later) % SECONDS)
        for group in groups:
            self._count(group, kind, second)
        if kind in FOLLOWS:
            self._count(self.per_second, FOLLOWS[kind], (second + 1) % SECONDS)
        return kind

    @staticmethod
    def _count(counts: dict[str, array[int]], kind: str, second: int, times: int = 1) -> None:
        if kind not in counts:
            counts[kind] = array("L", bytes(array("L").itemsize * SECONDS))
        counts[kind][second] += times

    def _sessions_asked(self) -> float:
        """Return how often a process asks whether a session goes on: it remembers for longer than a visit."""
        visits = self.counts["list"]
        if not visits:
            return 0.0
        calls = (
            sum(self.counts[kind] * REQUESTS.get(kind, 1) for kind in (*WITH_TOKEN, SYNCED, SEVERAL)) / visits
        )
        share = 1 / self._processes
        return visits * (1 - (1 - share) ** calls) / share

    def _busiest_of_a_person(self) -> None:
        """Look at each combination of actions that somebody did within one second."""
        for at_once in self._known:
            for what, most in self._of_a_person.items():
                together: Counter[tuple[str, str]] = Counter()
                for kind in at_once:
                    for (table, index, whose), value in self._each_second(kind, what):
                        if whose == PERSON:
                            together[table, index] += value
                for place, value in together.items():
                    most[place] = max(most.get(place, 0), value)

    def _each_second(self, kind: str, what: str) -> Iterator[tuple[Place, float]]:
        """Yield the units of an action for each second that it takes."""
        for place, value in getattr(self._profiles[kind], what).items():
            yield place, value / LASTS.get(kind, 1)

    def total(self, without: Collection[str] = ()) -> Cost:
        """Return all requests and units of the day, but those of some kinds of actions."""
        together = Cost()
        for kind, count in self.counts.items():
            if kind in without:
                continue
            together.add(self._profiles[kind], count)
        return together

    def cost_by_kind(self) -> dict[str, tuple[int, Cost]]:
        """Return for each kind how often it was done, and what all of that cost."""
        told = {}
        for kind, count in sorted(self.counts.items()):
            if count:
                cost = Cost()
                cost.add(self._profiles[kind], count)
                told[kind] = count, cost
        return told

    def peaks(self, what: str) -> dict[tuple[str, str], float]:
        """Return for each table and index the units of its busiest second; `what` is `writes` or `reads`."""
        if what in self._peaks:
            return self._peaks[what]
        rates: dict[tuple[str, str], Counter[str]] = {}
        for kind in self.per_second:
            for (table, index, _), value in self._each_second(kind, what):
                if value:
                    rates.setdefault((table, index), Counter())[kind] += value
        self._peaks[what] = {place: self._busiest(self.per_second, units) for place, units in rates.items()}
        return self._peaks[what]

    def hottest(self, what: str) -> list[Hottest]:
        """Return the hottest keys of each sort, the hottest first."""
        if what in self._hottest:
            return self._hottest[what]
        found = [
            Hottest(table, index, "one person's own", units)
            for (table, index), units in self._of_a_person[what].items()
        ]
        shared: dict[Place, Counter[str]] = {}
        for kind in self.per_second:
            for place, value in self._each_second(kind, what):
                if value and place[2] not in (PERSON, OWN):
                    shared.setdefault(place, Counter())[kind] += value
        for (table, index, whose), units in shared.items():
            counts = self._of_groups.get(whose, self.per_second)
            name = NAMES.get(whose, f"`{whose}`, which all share")
            a_day = sum(value * sum(counts[kind]) for kind, value in units.items() if kind in counts)
            found.append(Hottest(table, index, name, self._busiest(counts, units), a_day))
        self._hottest[what] = sorted(found, key=lambda one: one.units, reverse=True)
        return self._hottest[what]

    @staticmethod
    def _busiest(counts: Mapping[str, array[int]], units: Mapping[str, float]) -> float:
        columns = [(counts[kind], value) for kind, value in units.items() if kind in counts]
        if not columns:
            return 0.0
        # Most kinds are not done in most seconds, and those are passed over.
        together: list[float] = [0] * SECONDS
        for seconds, value in columns:
            for second in itertools.compress(range(SECONDS), seconds):
                together[second] += seconds[second] * value
        return max(together)

    def busiest_requests(self, service: str, operation: str) -> float:
        """Return how many requests of one sort there are in the busiest second."""
        name = f"{service} {operation}"
        units = {
            kind: sum(n for words, n in self._profiles[kind].requests.items() if words.startswith(name))
            for kind in self.per_second
        }
        return self._busiest(self.per_second, {kind: n for kind, n in units.items() if n})


def _looks(done: Iterable[Done]) -> Iterator[int]:
    """Yield when chores look at an account: soon after it has changed, once for all until then."""
    look = -1
    for one in done:
        if one.kind in CHANGING and one.second > look:
            look = one.second + HANDED_OUT_EVERY
            yield look % SECONDS


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue over the day: its hands, how many messages waited at most, and how long the last one."""

    name: str
    hands: int
    longest: int
    seconds: float


def waiting(
    name: str, arrivals: Sequence[float], seconds_each: float, *, busy: float, by_mean: bool = False
) -> Waiting:
    """Return how long a queue gets.

    There are as many hands as are `busy` (0 to 1) to this share in the busiest hour, or over the whole day
    (`by_mean`).
    """
    hours = [sum(arrivals[start : start + 3600]) / 3600 for start in range(0, SECONDS, 3600)]
    rate = sum(hours) / 24 if by_mean else max(hours)
    hands = max(1, math.ceil(rate * seconds_each / busy))
    each_second = hands / seconds_each
    length = longest = 0.0
    for count in arrivals:
        # Each second of a day, for which calls of `max` take far longer than what they compare.
        length = length + count - each_second
        if length < 0.0:
            length = 0.0
        elif length > longest:
            longest = length
    return Waiting(name, hands, math.ceil(longest), longest / each_second)

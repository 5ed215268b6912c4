"""What a service of so many people needs and meets: machines, queues and limits, from a day replayed."""

from __future__ import annotations

import functools
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.support.day import ALONE, BY_HOUR, DURING, Day, Mix
from bench.support.limits import Load
from bench.support.profiles import CHORE, EVENT, LAST, WORK, Cost
from bench.support.replay import LASTS, Hottest, Replay, Waiting, waiting
from panzoto.operations import cost
from panzoto.operations.chores import LOOK_SECONDS, MOST_WAITING
from panzoto.operations.cost import Usage

# What each message takes of a worker's hand, in seconds: five calls of some 10 ms, and for a transcript
# beside them a minute of sound, which an engine hears twenty times as fast as it was spoken.
SECONDS_EACH = {EVENT: 0.06, WORK: 3.5, CHORE: 0.08}
BUSY = 0.8
# An id in a set (RFC 9562), in the item that names all accounts that are being deleted.
ID_BYTES = 36
DAYS = cost.DAYS_PER_MONTH


def usage_of(people: int, mix: Mix, processes: int, months: float = 12, looks: float | None = None) -> Usage:
    """Return the mix as `flask panzoto cost` takes it."""
    return Usage(
        users=people,
        recordings=mix.uploads,
        plays=mix.plays,
        visits=mix.visits,
        seconds=60,
        bytes_per_second=8000,
        months=months,
        transcribed=mix.transcripts / mix.uploads,
        engine_hour=cost.prices()["speech_engine_hour"],
        reads=mix.reads,
        deletions=mix.deletions,
        erasures=mix.expiries,
        sign_ins=mix.sign_ins,
        registrations=mix.registrations,
        departures=mix.account_deletions,
        looks=looks,
        processes=processes,
    )


def processes_for(people: int, mix: Mix) -> int:
    """Return how many processes the service has: one for each core that the bill counts."""
    return max(1, math.ceil(usage_of(people, mix, 1).cores))


@dataclass(frozen=True)
class Sizing:
    """A day of so many people, perhaps of fewer who stand for them all (`times`)."""

    replay: Replay
    processes: int
    times: float = 1

    @classmethod
    def of(cls, day: Day, profiles: Mapping[str, Cost], processes: int | None = None) -> Sizing:
        """Go through a day."""
        count = processes_for(day.people, day.mix) if processes is None else processes
        return cls(Replay(day, profiles, processes=count), count)

    def scaled(self, people: int) -> Sizing:
        """Return the same for more people; those who were gone through stand for all."""
        day = self.replay.day
        return replace(self, processes=processes_for(people, day.mix), times=people / day.people)

    @property
    def people(self) -> int:
        return round(self.replay.day.people * self.times)

    def usage(self, months: float = 12) -> Usage:
        return usage_of(self.people, self.replay.day.mix, self.processes, months, self._looks)

    @property
    def _looks(self) -> float:
        """How often chores look at an account on the day."""
        return self.replay.counts[CHORE] / self.replay.day.people

    def billed(self, what: str) -> float:
        """Return the units by `flask panzoto cost` of what was done on the day.

        Transcripts are as short as those replayed: one unit, twice for its transaction.
        """
        day = self.replay.day
        usage = usage_of(day.people, self._mix_done(), self.processes, looks=self._looks)
        done = usage.total(what) + usage.transcripts_per_month * cost.TRANSCRIPT.each(what)
        return (done + usage.transcripts_per_month * 2 * (what == "writes")) / DAYS

    def _mix_done(self) -> Mix:
        """Return how often each thing was done on the mean, which chance moves a little."""
        day, counts = self.replay.day, self.replay.counts
        kinds = {"visits": "refresh", **{field: kind for kind, field in (DURING | ALONE).items()}}
        return Mix(**{field: counts[kind] / day.people for field, kind in kinds.items()})

    def peak(self, mean_a_day: float, found: float) -> float:
        """Return the busiest second: as found, or of more people the busiest hour's mean and what varies."""
        if self.times == 1:
            return found
        mean = mean_a_day * self.times * max(BY_HOUR) / 3600
        # Five deviations of events that come by themselves, with some units each.
        return mean + 5 * math.sqrt(mean * 2)

    def table_peak(self, what: str) -> tuple[float, str]:
        """Return the busiest second of the busiest table or index, and its name."""
        by_place: dict[tuple[str, str], float] = {}
        for (table, index, _), value in getattr(self.replay.total(), what).items():
            by_place[table, index] = by_place.get((table, index), 0) + value
        found = self.replay.peaks(what)
        peaks = {place: self.peak(by_place[place], value) for place, value in found.items()}
        place = max(peaks, key=lambda one: peaks[one])
        return peaks[place], "/".join(word for word in place if word)

    def hottest_key(self, what: str) -> tuple[float, str]:
        """Return the hottest key's units a second, and whose it is."""
        return max((self._scaled_key(one) for one in self.replay.hottest(what)), key=lambda one: one[0])

    def _scaled_key(self, one: Hottest) -> tuple[float, str]:
        where = f"{one.table}/{one.index}" if one.index else one.table
        if self.times == 1 or one.whose.startswith("one person"):
            return one.units, f"{where}, {one.whose}"
        # What all share grows with them; one second of few people says little, so the mean is what counts.
        return max(one.units, self.peak(one.a_day, one.units)), f"{where}, {one.whose}"

    @functools.cached_property
    def queues(self) -> list[Waiting]:
        """The queues, with workers as the busiest hour wants them, or as the mean of the day does."""
        found = []
        for kind, seconds in SECONDS_EACH.items():
            arrivals = self.replay.per_second.get(kind)
            if arrivals is not None:
                many = array("d", (count * self.times for count in arrivals))
                found.append(waiting(f"{kind}s, by the busiest hour", many, seconds, busy=BUSY))
                found.append(
                    waiting(f"{kind}s, by the mean of a day", many, seconds, busy=0.95, by_mean=True)
                )
        return found

    def _leaving(self) -> float:
        """Return how many accounts are being deleted at once in the busiest hour; all stand in one item."""
        a_second = self.replay.counts[LAST] * self.times * max(BY_HOUR) / 3600
        return a_second * LASTS[LAST]

    def load(self) -> Load:
        """Return what the limits are compared with."""
        total = self.replay.total()
        letters = total.requests["ses SendEmail"] * self.times
        puts = total.requests["s3 PUT"] + total.requests["s3 LIST"]
        usage = self.usage()
        tasks = max(cost.stands()["fewest_tasks"], math.ceil(usage.cores / cost.stands()["task_vcpus"]))
        hands = [one.hands for one in self.queues if "busiest" in one.name]
        vcpus = tasks * cost.stands()["task_vcpus"] + sum(hands) / 4 * cost.stands()["worker_vcpus"]
        return Load(
            table_writes=self.table_peak("writes"),
            table_reads=self.table_peak("reads"),
            key_writes=self.hottest_key("writes"),
            key_reads=self.hottest_key("reads"),
            puts=self.peak(puts, self.replay.busiest_requests("s3", "PUT")),
            gets=self.peak(total.requests["s3 GET"], self.replay.busiest_requests("s3", "GET")),
            in_flight=sum(hands),
            letters_a_second=letters * max(BY_HOUR) / 3600,
            letters_a_day=letters,
            vcpus=vcpus,
            tasks=int(tasks),
            # They wait a moment, so it is the hour that counts, and not the second.
            looks=self.replay.counts[CHORE] * self.times * max(BY_HOUR) / 3600,
            handed_out=MOST_WAITING / LOOK_SECONDS,
            largest_item=(self._leaving() * ID_BYTES / 1024, "panzoto-claims, who is leaving at the moment"),
        )

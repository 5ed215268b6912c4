"""A day of many people: what is replayed from recorded calls is what the service really asks of AWS."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.support import profiles
from bench.support.day import ALONE, BY_HOUR, DURING, SECONDS, VISIT, Day, Done, Mix
from bench.support.limits import first_reached, limits
from bench.support.people import HISTORY
from bench.support.profiles import ADDRESS, CHORE, OWN, PASS, PERSON, SHARD, Cost
from bench.support.real_day import differences, done_for_real
from bench.support.recording import running, running_on_ministack
from bench.support.replay import Replay, waiting
from bench.support.sizing import Sizing
from bench.support.tables import MARKS, tables
from tests.support.forked_commands import ROOT

# Few people who do everything there is: they look for changes after none, one and several of them, and one
# asks twice for a transcript.
BUSY = Mix(1.5, 1.5, 1.0, 0.8, 1.0, 1.0, 0.8, 0.7, 0.4, 0.3)
FEW = Day(3, BUSY, seed=2958)
# Chores go by the day and not by what is done.
ACTING = {kind: cost for kind, cost in profiles.read().items() if kind not in (CHORE, PASS)}
RECORD_ANEW = "the calls have changed: python -m bench.size --record --tables"


@pytest.fixture(scope="module")
def real() -> Cost:
    """What the service asked of AWS on a day that was really done."""
    with running() as run:
        return done_for_real(run, FEW, HISTORY, threads=2)


class TestReallyDone:
    def test_the_day_holds_everything_that_people_do(self) -> None:
        kinds = {one.kind for number in range(FEW.people) for one in FEW.of(number)}
        assert kinds == {*VISIT, *DURING, *ALONE}

    def test_the_replay_is_the_same_to_the_last_request_and_unit(self, real: Cost) -> None:
        replayed = Replay(FEW, ACTING).total()
        assert sum(replayed.requests.values()) > 100 * FEW.people
        assert differences(real, replayed) == {}, RECORD_ANEW

    @pytest.mark.parametrize("what", ["writes", "reads"])
    def test_the_bill_agrees(self, real: Cost, what: str) -> None:
        billed = Sizing.of(FEW, ACTING, processes=1).billed(what)
        assert billed == pytest.approx(real.units(what), rel=0.05), RECORD_ANEW


def test_another_stand_in_is_asked_the_same_and_counts_the_same() -> None:
    """ministack by itself computes the units of writes that stand alone, with those of their indexes."""
    with running_on_ministack() as run:
        real = done_for_real(run, FEW, HISTORY, threads=2)
    replayed = Replay(FEW, ACTING).total()
    assert replayed.units("alone") > FEW.people
    assert differences(real, replayed, over=("requests", "alone")) == {}, RECORD_ANEW


def test_a_difference_is_told() -> None:
    one = Cost(Counter({"s3 PUT": 2}), Counter({("t", "", OWN): 4, ("t", "i", PERSON): 1}))
    other = Cost(Counter({"s3 PUT": 3}), Counter({("t", "", PERSON): 4}))
    assert differences(one, other) == {"requests s3 PUT": (2, 3), "writes t/i": (1, 0)}


def test_everybody_shares_no_key_but_the_list_of_those_who_leave() -> None:
    """Whoever adds one that every visit, upload or play writes makes a hot partition of it."""
    whose = {
        key[2]
        for cost in profiles.read().values()
        for counted in (cost.writes, cost.reads)
        for key, units in counted.items()
        if units
    }
    assert whose <= {PERSON, OWN, ADDRESS, SHARD, "deletions"}


class TestDay:
    def test_it_is_the_same_for_the_same_seed(self) -> None:
        first, again, other = (Day(50, Mix(), seed) for seed in (1, 1, 2))
        days = [[day.of(number) for number in range(50)] for day in (first, again, other)]
        assert days[0] == days[1] != days[2]

    def test_it_is_the_mix_and_the_curve_on_the_mean(self) -> None:
        day = Day(20_000, Mix(), seed=4)
        counts = Counter((one.kind, one.second // 3600) for n in range(day.people) for one in day.of(n))
        for kind, each in (("refresh", 3.0), ("play", 0.5), ("sign in", 0.05)):
            total = sum(count for (name, _), count in counts.items() if name == kind)
            assert total == pytest.approx(each * day.people, rel=0.1)
        visits = sum(count for (name, _), count in counts.items() if name == "list")
        assert counts["list", BY_HOUR.index(0.08)] / visits == pytest.approx(0.08, rel=0.05)

    def test_a_look_for_changes_knows_what_has_changed(self) -> None:
        for number in range(300):
            changed = 0
            for one in Day(300, Mix(), seed=2).of(number):
                if one.kind == "sync":
                    assert one.beside == changed
                    changed = 0
                changed += one.kind in ("upload", "bin", "play", "transcribe", "expire")

    def test_a_request_for_a_transcript_knows_how_many_there_were(self) -> None:
        several = 0
        for number in range(300):
            asked = [one.beside for one in Day(300, Mix(), seed=2).of(number) if one.kind == "transcribe"]
            assert asked == list(range(len(asked)))
            several += len(asked) > 1
        assert several


class TestReplay:
    def test_the_busiest_second_of_a_shared_key_is_everybodys_and_of_ones_own_ones_own(self) -> None:
        costs = {
            **profiles.read(),
            "refresh": Cost(writes=Counter({("t", "", "all"): 2, ("t", "", PERSON): 3})),
        }
        replay = Replay(Day(3000, Mix(), seed=1), costs)
        found = {one.whose: one.units for one in replay.hottest("writes") if one.table == "t"}
        most = max(replay.per_second["refresh"])
        assert most > 2
        assert found["`all`, which all share"] == 2 * most
        assert found["one person's own"] < 3 * most

    def test_a_request_for_a_transcript_reads_all_of_the_day(self) -> None:
        class Jobs(Day):
            def of(self, number: int) -> list[Done]:
                return [Done(60 * earlier + number, "transcribe", earlier) for earlier in range(self.people)]

        few, many = (Replay(Jobs(count, Mix()), ACTING).counts["earlier jobs"] / count for count in (11, 13))
        # A job is 352 bytes: with the twelfth they are more than one unit, to the worker's two queries, and
        # with the thirteenth to the request's two as well.
        assert (few, many) == (0, 2 + 2 + 2)

    def test_each_process_remembers_sessions_for_itself(self) -> None:
        day = Day(500, Mix())
        one, many = (Replay(day, profiles.read(), processes=count).counts for count in (1, 10_000))
        assert one["check"] == one["list"]
        assert many["check"] == pytest.approx(2 * many["list"] + 2 * many["upload"], rel=0.5)
        assert many["check"] > 2 * one["check"]


def test_a_queue_is_as_long_as_hands_are_too_few() -> None:
    arrivals = [0] * SECONDS
    arrivals[7200:7210] = [10] * 10
    few = waiting("x", arrivals, 1.0, busy=1.0)
    # Hundred in ten seconds, one hand that does one a second.
    assert (few.hands, few.longest, few.seconds) == (1, 90, 90.0)


def test_the_first_limit_is_the_one_that_is_used_most() -> None:
    few, many = (Sizing.of(Day(2000, Mix()), profiles.read()).scaled(people) for people in (2000, 10**8))
    assert first_reached(list(limits(few.load()))).share < 1
    reached = {one.name for one in limits(many.load()) if one.share > 1}
    assert {"write units/s of a table", "Fargate vCPUs", "S3 PUT, LIST/s of a prefix"} <= reached
    assert not {"write units/s of a key", "read units/s of a key", "KB of an item"} & reached


def test_the_page_has_what_the_command_makes() -> None:
    page = (ROOT / "docs" / "costs.md").read_text("utf-8")
    between = page.partition(MARKS[0])[2].partition(MARKS[1])[0]
    assert between.strip() == tables().strip(), RECORD_ANEW

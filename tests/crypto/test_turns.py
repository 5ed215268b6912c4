"""Turns at the hashes: who is told to come back is told when, and has their turn then, and nothing before."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import wraps
from types import SimpleNamespace
from typing import ParamSpec, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import panzoto.crypto.permits
from panzoto.crypto.permits import HashPermits, ask_for, asking_for, begin_asking, come_back_with
from panzoto.crypto.turns import KEPT_SECONDS, MEASURED_SECONDS, Pace, Turn, Turns
from panzoto.errors import Busy
from tests.support.waiting import eventually

LONG = 60.0
NOW = 1_900_000_000.0
NAMES = frozenset({"203.0.113.5", "account#0123"})
names = st.frozensets(st.text(max_size=12), min_size=1, max_size=3)


class TestTurn:
    @given(names, st.floats(0, 1e10), st.floats(0, 3600))
    def test_what_is_written_is_read(self, whose: frozenset[str], asked_at: float, wait: float) -> None:
        text = Turn(asked_at, asked_at + wait).written_for(whose)
        turn = Turn.read(text, whose, asked_at)
        assert turn is not None
        assert turn.asked_at == pytest.approx(asked_at, abs=0.001)
        assert turn.due_at == pytest.approx(asked_at + wait, abs=0.001)
        assert turn.written_for(whose) == text

    @given(names, names)
    def test_it_is_good_for_whom_it_was_told_only(self, one: frozenset[str], other: frozenset[str]) -> None:
        text = Turn(NOW, NOW).written_for(one)
        assert (Turn.read(text, other, NOW) is not None) == (one == other)

    def test_it_is_over_some_time_after_it_came(self) -> None:
        text = Turn(NOW - 100, NOW).written_for(NAMES)
        assert Turn.read(text, NAMES, NOW + KEPT_SECONDS - 1) is not None
        assert Turn.read(text, NAMES, NOW + KEPT_SECONDS + 1) is None

    @pytest.mark.parametrize("text", ["", "none", "1 2", "1 2 3", "1 2 3 4"])
    def test_what_is_none_is_none(self, text: str) -> None:
        assert Turn.read(text, NAMES, NOW) is None

    def test_it_tells_nobodys_name(self) -> None:
        text = Turn(NOW, NOW).written_for(NAMES)
        assert not any(name in text for name in NAMES)


def person(number: int) -> frozenset[str]:
    return frozenset({f"address {number}", f"account {number}"})


class TestTurns:
    def test_those_who_asked_earlier_and_are_to_come_are_before(self) -> None:
        turns = Turns()
        for number in range(10):
            turns.keep(person(number), Turn(NOW + number, NOW + 100 + number))
        assert [turns.before(NOW + number, NOW + 10) for number in (0, 5, 10)] == [0, 5, 10]
        turns.use(person(3))
        assert turns.before(NOW + 5, NOW + 10) == 4
        # Who is due now comes now, or to another process.
        assert turns.before(NOW + 10, NOW + 104.5) == pytest.approx(5, rel=0.1)

    def test_who_is_told_anew_is_there_once(self) -> None:
        turns = Turns()
        for wait in (10, 20, 15):
            turns.keep(NAMES, Turn(NOW, NOW + wait))
        assert turns.before(NOW + 1, NOW + 12) == 1
        assert turns.of(NAMES, NOW + 12) == Turn(NOW, NOW + 15)
        assert turns.before(NOW + 1, NOW + 16) == 0

    def test_who_is_late_is_known_for_a_while(self) -> None:
        turns, turn = Turns(), Turn(NOW, NOW + 5)
        turns.keep(NAMES, turn)
        assert turns.of(NAMES, NOW + 4 + KEPT_SECONDS) == turn
        assert turns.of(NAMES, NOW + 6 + KEPT_SECONDS) is None

    def test_of_those_who_do_not_come_fewer_are_reckoned_with(self) -> None:
        turns = Turns()
        for number in range(1000):
            turns.keep(person(number), Turn(NOW, NOW + number))
        assert turns.before(NOW + 1, NOW - 1) == 1000
        assert turns.before(NOW + 1, NOW + 499.5) < 100
        for number in range(500, 1000):
            turns.use(person(number))
        turns.keep(NAMES, Turn(NOW, NOW + 2000))
        assert turns.before(NOW + 1, NOW + 1000) > 0.9

    def test_of_two_processes_each_reckons_with_those_whom_the_other_has_told(self) -> None:
        one, other = Turns(), Turns()
        for number in range(0, 400, 2):
            one.keep(person(number), Turn(NOW, NOW + number))
            other.keep(person(number + 1), Turn(NOW, NOW + number))
        for number in range(400):
            # Half of them come to the one that has not told them.
            (one if number // 2 % 2 else other).use(person(number))
            for turns in (one, other):
                turns.of(NAMES, NOW + number)
        for turns in (one, other):
            turns.keep(NAMES, Turn(NOW, NOW + 1000))
            assert turns.before(NOW + 1, NOW + 500) == pytest.approx(1, abs=0.15)

    def test_telling_one_again_and_again_takes_no_more_memory(self) -> None:
        turns = Turns()
        for number in range(10_000):
            turns.keep(NAMES, Turn(NOW, NOW + 1000 + number))
        assert len(turns._next_due) < 200

    def test_very_many_may_be_due_at_once(self) -> None:
        turns = Turns(most=20_000)
        for number in range(20_000):
            turns.keep(person(number), Turn(NOW + number / 1000, NOW + 100))
        began = time.monotonic()
        # Everybody who signs in waits for that. Were each a way through all others, it took many seconds.
        assert turns.before(NOW + 50, NOW + 100) == 0
        assert time.monotonic() - began < 3

    def test_one_name_has_a_quarter(self) -> None:
        turns = Turns(most=8)
        for number in range(8):
            turns.keep(frozenset({"flood", f"account {number}"}), Turn(NOW + number, NOW + 100))
        assert turns.before(NOW + 50, NOW + 50) == 2
        assert turns.share_of("flood") == 1
        for number in range(20):
            turns.keep(person(number), Turn(NOW + number, NOW + 100))
        assert turns.before(NOW + 50, NOW + 50) == 8
        assert turns.share_of("flood") == 0.25

    def test_a_share_is_given_back(self) -> None:
        turns = Turns(most=8)
        for number in range(100):
            whose, turn = frozenset({"flood", f"account {number}"}), Turn(NOW + number, NOW + number + 1)
            turns.of(whose, NOW + number)
            turns.keep(whose, turn)
        assert turns.share_of("flood") == 1
        assert turns.of(frozenset({"flood", "account 99"}), NOW + 99) == Turn(NOW + 99, NOW + 100)


class TestPace:
    def test_it_is_unknown_until_enough_was_measured(self) -> None:
        pace = Pace(3)
        for _ in range(2):
            pace.note(0.5, begins=True, now=NOW)
        assert pace.of_a_visit(NOW) is None
        # The third one's weight, and those of the two before it, which count a little less.
        for _ in range(2):
            pace.note(0.5, begins=True, now=NOW)
        assert pace.of_a_visit(NOW) == pytest.approx(0.5)

    def test_a_visit_of_several_computations_takes_all_of_them(self) -> None:
        pace = Pace(3)
        for _ in range(40):
            for begins in (True, False, False):
                pace.note(0.2, begins=begins, now=NOW)
        assert pace.of_a_visit(NOW) == pytest.approx(0.6, rel=0.05)

    def test_what_was_measured_of_another_crowd_does_not_count(self) -> None:
        pace = Pace(3)
        for _ in range(10):
            pace.note(5.0, begins=True, now=NOW)
        later = NOW + MEASURED_SECONDS + 1
        assert pace.of_a_visit(later) is None
        for _ in range(4):
            pace.note(0.1, begins=True, now=later)
        assert pace.of_a_visit(later) == pytest.approx(0.1)


class Clock:
    """The permits' time, which passes when the test says so."""

    def __init__(self) -> None:
        self.moment = NOW

    def time(self) -> float:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    time_of_test = SimpleNamespace(time=clock.time, monotonic=clock.time)
    monkeypatch.setattr(panzoto.crypto.permits, "time", time_of_test)
    return clock


@contextmanager
def held(permits: HashPermits, count: int = 1) -> Iterator[Callable[[], None]]:
    """Take `count` permits for as many people; gives what lets them go, as the end of the block does."""
    over = threading.Event()
    begun = [threading.Event() for _ in range(count)]

    def hold(number: int) -> None:
        begin_asking(f"holder {number}")
        with permits.one():
            begun[number].set()
            over.wait(LONG)

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for event in begun:
        eventually(event.is_set, "there was a permit")

    def let_go() -> None:
        over.set()
        for thread in threads:
            thread.join()

    try:
        yield let_go
    finally:
        let_go()


P = ParamSpec("P")
T = TypeVar("T")


def as_a_request(ask: Callable[P, T]) -> Callable[P, T]:
    """Let each call be a request of its own, of which nothing is left behind."""

    @wraps(ask)
    def apart(*args: P.args, **kwargs: P.kwargs) -> T:
        return copy_context().run(ask, *args, **kwargs)

    return apart


@as_a_request
def refused(permits: HashPermits, whose: frozenset[str], turn: str = "") -> Busy:
    """Ask in vain, and return what was told."""
    begin_asking(min(whose))
    for name in whose:
        ask_for(name)
    come_back_with(turn)
    with pytest.raises(Busy) as told, permits.one():
        pass
    return told.value


@as_a_request
def visit(permits: HashPermits, clock: Clock, whose: frozenset[str], seconds: float, times: int = 1) -> None:
    """Compute so many times, each of which takes `seconds` of the clock."""
    begin_asking(min(whose))
    for name in whose:
        ask_for(name)
    for _ in range(times):
        with permits.one():
            clock.advance(seconds)


class TestTold:
    @pytest.mark.parametrize("computations", [1, 3])
    def test_the_wait_is_that_of_all_who_are_before(self, clock: Clock, computations: int) -> None:
        permits = HashPermits(1, 0.0)
        for number in range(20):
            visit(permits, clock, person(number), 0.5, computations)
        with held(permits):
            told = [refused(permits, person(100 + number)).retry_after for number in range(50)]
        each = 0.5 * computations
        wanted = [(0.5 + number) * each for number in range(50)]
        assert told == [pytest.approx(max(1, math.ceil(seconds)), rel=0.1, abs=1) for seconds in wanted]

    def test_two_permits_halve_it(self, clock: Clock) -> None:
        permits = HashPermits(2, 0.0)
        with held(permits):
            for number in range(20):
                visit(permits, clock, person(number), 0.5)
        with held(permits, 2):
            told = [refused(permits, person(100 + number)).retry_after or 0 for number in range(50)]
        assert told[-1] == pytest.approx(50 * 0.5 / 2, rel=0.1, abs=1)

    def test_of_one_address_it_is_twice_as_long(self, clock: Clock) -> None:
        """It has half of the permits."""
        permits = HashPermits(2, 0.0)
        with held(permits):
            for number in range(20):
                visit(permits, clock, person(number), 0.5)
        with held(permits, 2):
            told = [
                refused(permits, frozenset({"one address", f"account {number}"})).retry_after or 0
                for number in range(50)
            ]
        assert told[-1] == pytest.approx(50 * 0.5, rel=0.1, abs=1)

    def test_who_comes_early_neither_gains_nor_loses(self, clock: Clock) -> None:
        permits = HashPermits(1, 0.0)
        with held(permits):
            turn = Turn(NOW - 1, NOW + 50).written_for(NAMES)
            first = refused(permits, NAMES, turn)
            assert (first.retry_after, first.turn) == (50, turn)
            for number in range(20):
                refused(permits, person(number))
            clock.advance(20)
            again = refused(permits, NAMES)
            assert (again.retry_after, again.turn) == (30, turn)

    def test_who_comes_early_is_not_sent_away_from_what_is_free(self, clock: Clock) -> None:
        permits = HashPermits(1, 0.0)
        with held(permits):
            refused(permits, NAMES)
        visit(permits, clock, NAMES, 0.1)
        assert permits.computed == 2

    def test_another_address_does_not_have_the_turn(self, clock: Clock) -> None:
        permits = HashPermits(1, 0.0)
        with held(permits):
            turn = refused(permits, NAMES).turn
            clock.advance(1)
            other = refused(permits, frozenset({"198.51.100.7", "account#0123"}), turn)
        assert float(other.turn.split()[0]) == NOW + 1

    def test_what_is_told_does_not_grow_for_ever(self, clock: Clock) -> None:
        """Whoever is told and never comes is forgotten once their turn is over."""
        permits = HashPermits(1, 0.0)
        for number in range(20):
            visit(permits, clock, person(number), 0.5)
        with held(permits):
            for number in range(40):
                refused(permits, person(100 + number))
            assert refused(permits, person(1000)).retry_after == pytest.approx(20, abs=2)
            clock.advance(30)
            assert refused(permits, person(2000)).retry_after == 1


class TestOrder:
    def compute(self, permits: HashPermits, order: list[str], name: str, turn: str) -> None:
        begin_asking(name)
        come_back_with(turn)
        with suppress(Busy), permits.one():
            order.append(name)

    def test_whose_turn_has_come_goes_before_those_who_come_for_the_first_time(self) -> None:
        permits, order = HashPermits(1, LONG), list[str]()
        now = time.time()
        turns = {
            "newcomer": "",
            "second": Turn(now - 20, now - 1).written_for(frozenset({"second"})),
            "first": Turn(now - 30, now - 1).written_for(frozenset({"first"})),
            "thief": Turn(now - 40, now - 1).written_for(frozenset({"somebody else"})),
            "too late": Turn(now - 500, now - 400).written_for(frozenset({"too late"})),
        }
        self.check_order(permits, order, turns, ["first", "second", "newcomer", "thief", "too late"])

    def test_a_turn_that_is_to_come_is_none_yet(self) -> None:
        permits, order = HashPermits(1, LONG), list[str]()
        now = time.time()
        early = Turn(now - 30, now + 30).written_for(frozenset({"early"}))
        self.check_order(permits, order, {"newcomer": "", "early": early}, ["newcomer", "early"])

    def check_order(
        self, permits: HashPermits, order: list[str], turns: dict[str, str], expected: list[str]
    ) -> None:
        threads = []
        with held(permits):
            for name, turn in turns.items():
                threads.append(threading.Thread(target=self.compute, args=(permits, order, name, turn)))
                threads[-1].start()
                eventually(lambda: permits.waiting == len(threads), "nobody waits")
        for thread in threads:
            thread.join()
        assert order == expected

    def test_who_has_begun_goes_on(self) -> None:
        """Of a sign-in that is given up half way, all has to be computed anew."""
        permits, order = HashPermits(1, LONG), list[str]()
        has_begun = threading.Event()

        def in_two_steps() -> None:
            begin_asking("who has begun")
            with permits.one():
                pass
            has_begun.set()
            eventually(lambda: permits.waiting == 2, "nobody else waits")
            with permits.one():
                order.append("who has begun")

        now = time.time()
        due = Turn(now - 30, now - 1).written_for(frozenset({"due"}))
        threads = [threading.Thread(target=in_two_steps)]
        threads[0].start()
        eventually(has_begun.is_set, "there was a permit")
        with held(permits):
            for name, turn in (("newcomer", ""), ("due", due)):
                threads.append(threading.Thread(target=self.compute, args=(permits, order, name, turn)))
                threads[-1].start()
            eventually(lambda: permits.waiting == 3, "not all of them wait")
        for thread in threads:
            thread.join()
        assert order == ["who has begun", "due", "newcomer"]

    @as_a_request
    def test_who_has_begun_is_not_refused_for_want_of_a_place(self) -> None:
        permits = HashPermits(1, 0.0, places=1)
        begin_asking("visitor")
        with permits.one():
            pass
        going_on = threading.Event()

        def holder() -> None:
            with asking_for("holder"), permits.one():
                going_on.set()
                eventually(lambda: permits.waiting == 1, "nobody goes on")

        thread = threading.Thread(target=holder)
        thread.start()
        eventually(going_on.is_set, "there was a permit")
        with permits.one():
            pass
        thread.join()
        assert permits.computed == 3

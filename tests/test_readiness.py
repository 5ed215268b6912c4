"""Readiness asks the stores for one caller at a time, and no more than once a second."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from panzoto.errors import Unavailable
from panzoto.readiness import Readiness
from tests.support.waiting import eventually


class Store:
    """A store that answers when it is let, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.answers = threading.Event()
        self.answers.set()

    def check(self) -> None:
        self.asked += 1
        self.answers.wait()
        if self.away:
            raise Unavailable()


def is_ready(readiness: Readiness) -> bool:
    try:
        readiness.require()
    except Unavailable:
        return False
    return True


def test_a_crowd_that_comes_first_waits_for_one_answer() -> None:
    store = Store()
    store.answers.clear()
    readiness = Readiness(store.check)
    with ThreadPoolExecutor(16) as crowd:
        told = [crowd.submit(is_ready, readiness) for _ in range(16)]
        eventually(lambda: store.asked == 1, "nobody asks")
        store.answers.set()
        assert all(one.result() for one in told)
    assert store.asked == 1


def test_while_one_asks_again_others_are_told_the_last_answer() -> None:
    store = Store()
    # Long enough for the slowest machine.
    readiness = Readiness(store.check, last_answer_seconds=600)
    readiness.require()
    store.answers.clear()
    with ThreadPoolExecutor(1) as other:
        eventually(lambda: other.submit(is_ready, readiness) and store.asked == 2, "nobody asks again")
        readiness.require()
        assert store.asked == 2
        store.answers.set()


@pytest.mark.parametrize("away", [True, False])
def test_a_change_is_told_when_the_memory_ends(away: bool) -> None:
    store = Store()
    store.away = not away
    readiness = Readiness(store.check)
    assert is_ready(readiness) is away
    store.away = away
    eventually(lambda: is_ready(readiness) is not away, "the change is never told")


def test_the_second_store_is_not_asked_where_the_first_is_away() -> None:
    first, second = Store(), Store()
    first.away = True
    assert not is_ready(Readiness(first.check, second.check))
    assert second.asked == 0

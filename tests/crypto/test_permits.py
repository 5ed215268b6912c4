"""Permits of hashes are shared: who asks again and again has a part of them, and of the line before them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from panzoto.crypto.permits import HashPermits, asking_for
from panzoto.errors import Busy
from tests.support.waiting import eventually

LONG = 60.0


@contextmanager
def computing(permits: HashPermits, *names: str) -> Iterator[Callable[[], bool]]:
    """Compute for `names` in another thread until the block ends; gives whether the permit is there."""
    begun, over = threading.Event(), threading.Event()

    def compute() -> None:
        with suppress(Busy), asking_for(names[0]), asking_for(names[-1]), permits.one():
            begun.set()
            over.wait(LONG)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield begun.is_set
    finally:
        over.set()
        thread.join()


def test_one_name_has_half_of_the_permits_and_others_the_rest() -> None:
    permits = HashPermits(2, 1.0)
    with computing(permits, "flood") as first:
        eventually(first, "there was a permit")
        with computing(permits, "flood") as second, asking_for("somebody"), permits.one():
            assert not second()


@pytest.mark.parametrize("shared", ["address", "account"])
def test_an_address_and_an_account_both_count(shared: str) -> None:
    permits = HashPermits(2, 0.0)
    with computing(permits, shared, "one") as held:
        eventually(held, "there was a permit")
        with asking_for(shared), asking_for("another"), pytest.raises(Busy), permits.one():
            pass
        with asking_for("other address"), asking_for("other account"), permits.one():
            pass


def test_one_name_has_a_quarter_of_the_places_to_wait() -> None:
    permits = HashPermits(1, LONG, places=8)
    began = time.monotonic()
    with computing(permits, "flood") as held:
        eventually(held, "there was a permit")
        refused = threading.Event()

        def wait() -> None:
            try:
                with asking_for("flood"), permits.one():
                    pass
            except Busy:
                refused.set()

        waiters = [threading.Thread(target=wait) for _ in range(3)]
        for waiter in waiters:
            waiter.start()
        eventually(refused.is_set, "who found no place waited")
        somebody = threading.Thread(target=lambda: _compute(permits, "somebody"))
        somebody.start()
    for thread in (*waiters, somebody):
        thread.join()
    assert permits.computed == 4
    assert time.monotonic() - began < LONG


def _compute(permits: HashPermits, name: str) -> None:
    with asking_for(name), permits.one():
        pass


def test_who_has_not_been_served_goes_first() -> None:
    permits = HashPermits(1, LONG)
    order: list[str] = []

    def compute(name: str) -> None:
        with asking_for(name), permits.one():
            order.append(name)

    threads = []
    with computing(permits, "flood") as held:
        eventually(held, "there was a permit")
        for name in ("flood", "flood", "somebody"):
            thread = threading.Thread(target=compute, args=(name,))
            thread.start()
            threads.append(thread)
            eventually(lambda: permits.waiting == len(threads), "nobody waits")
    for thread in threads:
        thread.join()
    assert order == ["somebody", "flood", "flood"]


def test_what_was_not_granted_leaves_nothing_behind() -> None:
    permits = HashPermits(1, 0.0)
    with computing(permits, "flood") as held:
        eventually(held, "there was a permit")
        for _ in range(50):
            with asking_for("somebody"), pytest.raises(Busy), permits.one():
                pass
        assert permits.waiting == 0
    with permits.one():
        pass

"""Those who write to one account wait for each other in a process and go together, and none is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from panzoto.recordings.turns import Turns, Waiting
from tests.support.waiting import eventually

WAIT_SECONDS = 60


class Wish(Waiting):
    rows = 1

    def __init__(self, name: int) -> None:
        super().__init__()
        self.name = name


class Writer:
    """Notes the groups in which it writes; holds the first back until it may go on."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = threading.Event()

    def write(self, name: str, wishes: Sequence[Wish]) -> None:  # noqa: ARG002 - there is one name
        self.groups.append([wish.name for wish in wishes])
        assert self.may_go_on.wait(WAIT_SECONDS)
        for wish in wishes:
            wish.over(KeyError(wish.name) if wish.name < 0 else None)


def waiting_at(turns: Turns[Wish]) -> int:
    return sum(len(line.waiting) for line in turns._lines.values())


def test_those_who_wait_go_together_and_no_more_than_fit() -> None:
    writer = Writer()
    turns = Turns[Wish](4, writer.write)
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(turns.take, "account", Wish(0))
        eventually(lambda: len(writer.groups) == 1, "the first writes")
        others = [pool.submit(turns.take, "account", Wish(number)) for number in range(1, 11)]
        eventually(lambda: waiting_at(turns) == 10, "the others wait")
        writer.may_go_on.set()
        for one in (first, *others):
            one.result(WAIT_SECONDS)
    assert sorted(name for group in writer.groups for name in group) == list(range(11))
    assert [len(group) for group in writer.groups] == [1, 4, 4, 2]
    assert not turns._lines


def test_other_accounts_do_not_wait() -> None:
    writer = Writer()
    turns = Turns[Wish](4, writer.write)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(turns.take, name, Wish(0)) for name in ("one", "another")]
        eventually(lambda: len(writer.groups) == 2, "both write")
        writer.may_go_on.set()
        for one in both:
            one.result(WAIT_SECONDS)


def test_an_error_is_that_of_whom_it_concerns() -> None:
    writer = Writer()
    writer.may_go_on.set()
    turns = Turns[Wish](4, writer.write)
    with ThreadPoolExecutor(8) as pool:
        tries = {name: pool.submit(turns.take, "account", Wish(name)) for name in (-1, 1, -2, 2)}
        for name in (1, 2):
            tries[name].result(WAIT_SECONDS)
        for name in (-1, -2):
            with pytest.raises(KeyError, match=str(name)):
                tries[name].result(WAIT_SECONDS)


def test_what_breaks_the_writing_is_told_to_all_and_ends_nothing() -> None:
    def fail(name: str, wishes: Sequence[Wish]) -> None:
        raise ConnectionError("no storage")

    turns = Turns[Wish](4, fail)
    with ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(turns.take, "account", Wish(number)) for number in range(24)]:
            with pytest.raises(ConnectionError):
                one.result(WAIT_SECONDS)
    assert not turns._lines

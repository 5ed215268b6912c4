"""How often and how long an engine is waited for, without any waiting."""

from __future__ import annotations

from itertools import islice

import pytest

from panzoto.errors import EngineRefused, EngineUnavailable
from panzoto.transcripts.patience import Patience, pause_for, pauses


class Asked:
    """An engine that fails as it is told to, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def test_pauses_double_from_two_seconds_to_five_minutes() -> None:
    assert list(islice(pauses(), 10)) == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize(
    ("seconds", "asked", "waited"),
    [(2, None, 2), (2, 0, 2), (2, 7, 7), (300, 7, 300), (2, 600, 600), (2, 86_400, 600)],
)
def test_what_the_engine_asks_for_is_obeyed_up_to_ten_minutes(
    seconds: float, asked: float | None, waited: float
) -> None:
    assert pause_for(seconds, asked) == waited


def test_what_may_pass_is_asked_again_after_a_pause() -> None:
    slept: list[float] = []
    begun: list[int] = []
    ask = Asked(EngineUnavailable("a"), EngineUnavailable("b", retry_after=30))
    assert Patience(3, slept.append, begun.append).run(ask) == "answer"
    assert (ask.count, slept, begun) == (3, [2, 30], [2, 3])


def test_the_last_failure_is_told_when_all_attempts_are_used_up() -> None:
    slept: list[float] = []
    ask = Asked(*(EngineUnavailable(name) for name in "abc"))
    with pytest.raises(EngineUnavailable) as caught:
        Patience(3, slept.append).run(ask)
    assert (caught.value.reason, ask.count, slept) == ("c", 3, [2, 4])


def test_the_attempts_are_those_of_all_pieces_together() -> None:
    slept: list[float] = []
    patience = Patience(3, slept.append)
    assert patience.run(Asked(EngineUnavailable("a"))) == "answer"
    assert patience.run(Asked(EngineUnavailable("b"))) == "answer"
    with pytest.raises(EngineUnavailable):
        patience.run(Asked(EngineUnavailable("c")))
    assert (patience.made, slept) == (3, [2, 4])


def test_attempts_that_were_made_before_count() -> None:
    slept: list[float] = []
    patience = Patience(3, slept.append, made=2)
    with pytest.raises(EngineUnavailable):
        patience.run(Asked(EngineUnavailable("a"), EngineUnavailable("b")))
    assert (patience.made, slept) == (3, [4])


def test_a_refusal_and_a_stop_end_it_at_once() -> None:
    ask = Asked(EngineRefused("no"))
    with pytest.raises(EngineRefused):
        Patience(3, list[float]().append).run(ask)
    assert ask.count == 1

    def stop(_: float) -> None:
        raise InterruptedError

    ask = Asked(EngineUnavailable("a"))
    with pytest.raises(InterruptedError):
        Patience(3, stop).run(ask)
    assert ask.count == 1

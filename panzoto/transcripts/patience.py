"""How often and how long a transcription waits for its engine.

The caller hands in the sleeping, so that a worker can wake up when it shall stop, and keeps what was
answered: only what has failed is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from panzoto.errors import EngineUnavailable

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 300.0
LONGEST_OBEYED_SECONDS = 600.0

Result = TypeVar("Result")
Sleep = Callable[[float], object]


def pauses() -> Iterator[float]:
    """Yield the seconds before each further attempt: two, then twice as many each time, to five minutes."""
    seconds = FIRST_PAUSE_SECONDS
    while True:
        yield seconds
        seconds = min(2 * seconds, LONGEST_PAUSE_SECONDS)


def pause_for(seconds: float, retry_after: float | None) -> float:
    """Return how long to wait where it would be `seconds`, but the engine asked for `retry_after`."""
    return max(seconds, min(retry_after or 0.0, LONGEST_OBEYED_SECONDS))


class Patience:
    """The attempts that one transcription has, over all of its pieces.

    `made` is the number of the attempt that is under way, from 1; `begin_again` is told each further one
    after its pause, before it begins. Both it and `sleep` may raise to end the waiting.
    """

    def __init__(
        self,
        attempts: int,
        sleep: Sleep,
        begin_again: Callable[[int], object] = lambda _: None,
        made: int = 1,
    ) -> None:
        self._attempts = attempts
        self._sleep = sleep
        self._begin_again = begin_again
        self._pauses = islice(pauses(), made - 1, None)
        self.made = made

    def run(self, ask: Callable[[], Result]) -> Result:
        """Return what `ask` returns, asked again while it raises `EngineUnavailable` and attempts are left.

        Raises the last `EngineUnavailable`, and at once whatever else `ask` raises.
        """
        while True:
            try:
                return ask()
            except EngineUnavailable as failure:
                if self.made >= self._attempts:
                    raise
                self._sleep(pause_for(next(self._pauses), failure.retry_after))
            self.made += 1
            self._begin_again(self.made)

"""How many threads may ask DynamoDB at a time: as many as it bears, which its answers tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from panzoto.errors import PanzotoError, Unavailable
from panzoto.models.bulk import AwsRefused, Throttled, pause, told_apart

T = TypeVar("T")

# So long nothing may succeed before a run gives up.
PATIENCE_SECONDS = 15 * 60.0
# What is throttled together was sent at one pace, so it slows us down once.
SLOWING_SECONDS = 0.5
# How often those who wait look whether the run is to end.
WAKE_SECONDS = 0.2
# An account that never stands still is left to a later run.
ATTEMPTS_WITHOUT_CAUSE = 5
# A DynamoDB that has never answered is asked so often, which takes some seconds.
ATTEMPTS_AT_FIRST = 6
AGAIN = "run the same command again to go on"


class Stopped(PanzotoError):
    """The run was asked to end before it was through; the sentence says how to go on."""

    met_by_clients = False


class BackPressure:
    """Shared by all threads of a run, which send whatever they send through `patiently`.

    At each throttling half as many go on, and every success lets a little more
    of them go again (additive increase, multiplicative decrease). What was
    refused for the moment is sent again after pauses that grow. When nothing
    has succeeded for `patience` seconds, the run ends.
    """

    def __init__(self, at_once: int, patience: float = PATIENCE_SECONDS) -> None:
        self._most = float(at_once)
        self._allowed = float(at_once)
        self._active = 0
        self._changed = threading.Condition()
        self._patience = patience
        self._last_success = time.monotonic()
        self._slowed_at = float("-inf")
        self._has_answered = False
        self._stop = threading.Event()
        # How many answers asked for patience.
        self.throttled = 0

    @property
    def allowed(self) -> int:
        """How many may ask at a time now."""
        return max(1, int(self._allowed))

    def patiently(self, send: Callable[[], T], *, throttled_at_most: int = 0) -> T:
        """Return what `send` returns, sending again as long as DynamoDB asks for patience or is away.

        Raises `AwsRefused`, `Stopped`, `Unavailable` for what waiting does not
        mend, and `Throttled` after so many times where that is limited.
        """
        attempt, failing_since = 0, 0.0
        while True:
            try:
                with self._turn():
                    answer = send()
            except Unavailable as error:
                failure = told_apart(error)
                attempt += 1
                # Before its first refusal nothing may have been asked for long.
                failing_since = failing_since or time.monotonic()
                self._judge(failure, error, attempt, throttled_at_most)
                self._be_patient(failure, error, failing_since)
                self._stop.wait(pause(attempt))
            else:
                self._speed_up()
                return answer

    def _judge(self, failure: PanzotoError, error: Unavailable, attempt: int, throttled_at_most: int) -> None:
        """Raises what ends the attempts."""
        if isinstance(failure, AwsRefused):
            raise failure from error
        if not isinstance(failure, Throttled):
            if error.__cause__ is None and attempt >= ATTEMPTS_WITHOUT_CAUSE:
                raise error
            if not self._has_answered and attempt >= ATTEMPTS_AT_FIRST:
                # More likely it is not there at all than away for a moment.
                raise failure
        self._slow_down()
        if isinstance(failure, Throttled) and 0 < throttled_at_most <= attempt:
            raise failure from error

    def _be_patient(self, failure: PanzotoError, error: Unavailable, failing_since: float) -> None:
        """Raises `Unavailable` when nothing has succeeded for too long."""
        silent = time.monotonic() - max(self._last_success, failing_since)
        if silent > self._patience:
            raise Unavailable(
                f"DynamoDB has let nothing through for {silent:.0f} seconds ({failure.sentence});"
                f" what is done is kept: {AGAIN}"
            ) from error

    def note_throttled(self) -> None:
        """Learn that an answer asked for patience, whoever sends the request again."""
        with self._changed:
            self.throttled += 1
        self._slow_down()

    def stop(self) -> None:
        """Let every thread end as soon as what it has under way is answered."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long for something else, which takes no patience. Raises `Stopped`."""
        if self._stop.wait(seconds):
            raise Stopped(f"Stopped; what is done is kept: {AGAIN}")
        self._last_success = time.monotonic()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._changed:
            while self._active >= self.allowed and not self._stop.is_set():
                self._changed.wait(WAKE_SECONDS)
            if self._stop.is_set():
                raise Stopped(f"Stopped; what is done is kept: {AGAIN}")
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify()

    def _slow_down(self) -> None:
        with self._changed:
            now = time.monotonic()
            if now - self._slowed_at >= SLOWING_SECONDS:
                self._slowed_at = now
                self._allowed = max(1.0, self._allowed / 2)

    def _speed_up(self) -> None:
        with self._changed:
            self._last_success = time.monotonic()
            self._has_answered = True
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)

"""How fast to write: what DynamoDB takes, what the operator allows, and when to give up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from migrations_from_rds.errors import Stopped
from panzoto.errors import Unavailable
from panzoto.models.bulk import Throttled, pause

# How often those who wait look whether the run is to end.
WAKE_SECONDS = 0.2
# What is throttled together was sent at one pace, so it slows us down once.
SLOWING_SECONDS = 0.5


class Pace:
    """Shared by all writing threads.

    Requests under way are halved at each throttling and grow slowly again
    (additive increase, multiplicative decrease). `units_per_second` bounds
    the write units of all tables together. When nothing has succeeded for
    `patience` seconds, the run stops.
    """

    def __init__(self, threads: int, units_per_second: float | None, patience: float) -> None:
        self._most = float(threads)
        self._allowed = float(threads)
        self._active = 0
        self._changed = threading.Condition()
        self._budget = _Budget(units_per_second) if units_per_second else None
        self._patience = patience
        self._last_success = time.monotonic()
        self._slowed = 0.0
        self._stop = threading.Event()
        self.throttled = 0
        self.units = 0
        # Rows that were written or removed, with whatever belongs to them.
        self.rows = 0

    @contextmanager
    def turn(self, units: int, rows: int = 0) -> Iterator[None]:
        """Wait for the turn to send a request of `units` about `rows`, and learn from what becomes of it.

        Raises `Stopped` when the run is to end.
        """
        if self._budget is not None:
            self._budget.spend(units, self._stop)
        with self._changed:
            while self._active >= self._allowed and not self._stop.is_set():
                self._changed.wait(WAKE_SECONDS)
            self.check()
            self._active += 1
        try:
            yield
        except Throttled:
            self._slow_down()
            raise
        else:
            self._speed_up(units, rows)
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify()

    def back_off(self, attempt: int, error: Unavailable) -> None:
        """Wait before the next attempt. Raises `Stopped` when patience is over or the run is to end."""
        silent = time.monotonic() - self._last_success
        if silent > self._patience:
            raise Stopped(
                f"Nothing could be written for {silent:.0f} seconds ({error.sentence}); "
                "run the same command again to go on"
            ) from error
        self._stop.wait(pause(attempt))
        self.check()

    def note_answer(self) -> None:
        """Remember that DynamoDB answers, if only to reading."""
        self._last_success = time.monotonic()

    def stop(self) -> None:
        """Let every thread end as soon as what it has under way is answered."""
        self._stop.set()

    def check(self) -> None:
        """Raises `Stopped` when the run is to end."""
        if self._stop.is_set():
            raise Stopped("Stopped; run the same command again to go on")

    def _slow_down(self) -> None:
        with self._changed:
            self.throttled += 1
            now = time.monotonic()
            if now - self._slowed >= SLOWING_SECONDS:
                self._slowed = now
                self._allowed = max(1.0, self._allowed / 2)

    def _speed_up(self, units: int, rows: int) -> None:
        with self._changed:
            self.units += units
            self.rows += rows
            self._last_success = time.monotonic()
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)


class _Budget:
    """A token bucket of one second's units; a request larger than the bucket waits until it has paid."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = 0.0
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def spend(self, units: int, stop: threading.Event) -> None:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._per_second, self._left + (now - self._filled) * self._per_second)
            self._filled = now
            self._left -= units
            debt = -self._left / self._per_second
        if debt > 0:
            stop.wait(debt)

"""Whether the stores can be reached, asked by one at a time and remembered for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from panzoto.errors import Unavailable

# Anybody may ask, so asking often must cost next to nothing.
REMEMBERED_SECONDS = 1.0
# While somebody asks, up to three seconds where a store hangs, others are told the last answer, if it is no
# older than this; so no change goes untold for five seconds.
LAST_ANSWER_SECONDS = 2.0


class Readiness:
    """What `checks`, each of which raises `Unavailable`, said last; safe to use from many threads."""

    def __init__(self, *checks: Callable[[], None], last_answer_seconds: float = LAST_ANSWER_SECONDS) -> None:
        self._checks = checks
        self._last_answer_seconds = last_answer_seconds
        self._asking = threading.Lock()
        # When it was asked, by the monotonic clock, and whether all was well.
        self._last: tuple[float, bool] | None = None

    def require(self) -> None:
        """Raises `Unavailable` where a check did."""
        well = self._younger_than(REMEMBERED_SECONDS)
        if well is None and self._asking.locked():
            well = self._younger_than(self._last_answer_seconds)
        if well is None:
            with self._asking:
                # Who waited is told what the one before has just heard.
                well = self._younger_than(REMEMBERED_SECONDS)
                well = self._ask() if well is None else well
        if not well:
            raise Unavailable()

    def _younger_than(self, seconds: float) -> bool | None:
        last = self._last
        return last[1] if last is not None and time.monotonic() - last[0] < seconds else None

    def _ask(self) -> bool:
        try:
            for check in self._checks:
                check()
        except Unavailable:
            well = False
        else:
            well = True
        self._last = time.monotonic(), well
        return well

"""How long to wait before another attempt: longer each time, at random, so that nobody meets twice."""

from __future__ import annotations

import random
import time

DOUBLED_AT_MOST = 16


def seconds(attempt: int, first: float, longest: float) -> float:
    """Return the pause after `attempt`, counted from nought: up to `first` seconds, then twice that."""
    most = min(longest, first * 2.0 ** min(attempt, DOUBLED_AT_MOST))
    return random.uniform(most / 2, most)  # noqa: S311 - a pause needs no secrecy


def wait(attempt: int, first: float = 0.02, longest: float = 0.3) -> None:
    """Sleep that long; the defaults are those of writers of one account, who are done within milliseconds."""
    time.sleep(seconds(attempt, first, longest))

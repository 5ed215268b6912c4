"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_SECONDS = 120


def eventually(
    holds: Callable[[], bool], explanation: Callable[[], object] | str, seconds: float = DEADLINE_SECONDS
) -> None:
    """Return once `holds`. Raises `AssertionError` with the explanation when that takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, explanation() if callable(explanation) else explanation
        time.sleep(0.02)

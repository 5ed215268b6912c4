"""Waiting for what another process does."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

DEADLINE_SECONDS = 120
ANSWER_SECONDS = 20
SHORTEST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.25


class Running(Protocol):
    """A process that may have ended."""

    def poll(self) -> int | None: ...


def eventually(
    holds: Callable[[], bool],
    explanation: Callable[[], object] | str,
    seconds: float = DEADLINE_SECONDS,
    shortest_pause: float = SHORTEST_PAUSE_SECONDS,
) -> None:
    """Return once `holds`. Raises `AssertionError` with the explanation when that takes too long.

    What is never there at once is looked for with a longer `shortest_pause`.
    """
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        assert waited < seconds, explanation() if callable(explanation) else explanation
        # To look costs the others, whose work is waited for: what takes long is looked at less often.
        time.sleep(min(max(shortest_pause, waited / 20), LONGEST_PAUSE_SECONDS))


def comes_up(process: Running, url: str, seconds: float = DEADLINE_SECONDS) -> bool:
    """Return whether `process` answers at `url` without an error, as soon as it is clear."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if _status(url) < 400:
                return True
        time.sleep(SHORTEST_PAUSE_SECONDS)
    return False


def _status(url: str) -> int:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status
    finally:
        connection.close()

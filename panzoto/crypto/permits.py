"""The bound on how many Argon2 computations one process runs at once.

Every computation costs its full memory and, for a moment, every core it can
get, so the permit belongs to the computation and not to the request around it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from panzoto.errors import Busy


class HashPermits:
    """`count` permits; who finds none free within `wait_seconds` gets `Busy` (503)."""

    def __init__(self, count: int, wait_seconds: float) -> None:
        self._semaphore = threading.BoundedSemaphore(count)
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self.computed = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one permit for one computation."""
        if not self._semaphore.acquire(timeout=self._wait_seconds):
            raise Busy()
        try:
            yield
        finally:
            self._semaphore.release()
            with self._lock:
                self.computed += 1

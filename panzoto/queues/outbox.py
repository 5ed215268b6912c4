"""A queue for who may not wait for it: a request that has something sent, and goes on whether or not it is.

A send takes two seconds at the worst, and as many again where the queue is yet to be found; after one that
failed nobody tries for a while, so that while SQS hangs one request in that time waits for it, and the others
do not.
"""

from __future__ import annotations

import threading
import time

from panzoto.queues.queue import LazyQueue, QueueUnavailable

REST_SECONDS = 15.0


class Outbox:
    """Sends to one queue, whether or not it is there; may be used from many threads."""

    def __init__(self, name: str, region: str, rest_seconds: float = REST_SECONDS) -> None:
        self._queue = LazyQueue(name, region)
        self._rest_seconds = rest_seconds
        self._guard = threading.Lock()
        self._rests_until = 0.0

    def send(self, body: str, delay_seconds: int = 0) -> None:
        """Send a message, which comes to nobody before `delay_seconds`. Raises `QueueUnavailable` soon."""
        self._require_turn()
        try:
            self._queue.send(body, delay_seconds=delay_seconds)
        except QueueUnavailable:
            self._rest()
            raise
        self._recover()

    def _require_turn(self) -> None:
        """Raise `QueueUnavailable` while the queue is left alone; who comes first after that may try."""
        with self._guard:
            if not self._rests_until:
                return
            if time.monotonic() < self._rests_until:
                raise QueueUnavailable(reason="resting")
            self._rests_until = time.monotonic() + self._rest_seconds

    def _rest(self) -> None:
        with self._guard:
            self._rests_until = time.monotonic() + self._rest_seconds

    def _recover(self) -> None:
        with self._guard:
            self._rests_until = 0.0

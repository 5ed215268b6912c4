"""What a process carries by itself, behind the back of its requests, where the queue takes nothing.

A letter that fails here goes to the queue, should that be there by then; otherwise it is given up, in a line
of the log without any address: what it tells has happened all the same, and a code can be asked for again.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from panzoto.mail.errands import Errand

# A process keeps so many errands waiting and throws away what comes beyond.
WAITING_ERRANDS = 1000
# gunicorn ends a worker by force after 10 seconds or more.
DRAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Background:
    """A bounded queue of errands in memory and one thread that does them, drained when the process ends."""

    def __init__(self, do: Callable[[Errand], object], *, waiting: int = WAITING_ERRANDS) -> None:
        self._do = do
        self._waiting: queue.Queue[Errand | None] = queue.Queue(waiting)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def later(self, errand: Errand) -> None:
        """Let the errand be done in the background. Never waits, never raises."""
        self._start()
        try:
            self._waiting.put_nowait(errand)
        except queue.Full:
            log.error("mail_dropped", extra={"mail": errand.kind})

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Do what waits, for so many seconds at most, and then nothing more."""
        if self._thread is None:
            return
        deadline = time.monotonic() + seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.error("mail_left_unsent", extra={"letters": self._waiting.qsize()})

    def _start(self) -> None:
        # Not before the first errand: a thread that is started before a fork is not there after it.
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (errand := self._waiting.get()) is not None:
            try:
                self._do(errand)
            except Exception:
                # One letter that fails must not keep the others from leaving.
                log.exception("mail_failed", extra={"mail": errand.kind})

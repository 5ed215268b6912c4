"""What keeps a worker from its work: told when it begins, and not again as long as it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from panzoto.errors import PanzotoError, Unavailable
from panzoto.queues.queue import QueueUnavailable

AGAIN = "trying again"


def in_worker_words(error: PanzotoError) -> str:
    """Return the failure's sentence; that of `Unavailable` by itself is for clients alone."""
    if error.sentence != Unavailable.sentence:
        return error.sentence
    if not isinstance(error, QueueUnavailable):
        return "DynamoDB or S3 cannot be reached right now"
    if error.operation:
        return f"SQS refused {error.operation}: {error.reason}"
    return f"SQS cannot be reached right now: {error.reason}"


class Trouble:
    """What the loops of one worker have met. Each says when it works again, so that what comes back is told.

    What two loops meet at the same time is told once. `words` gives a failure's sentence.
    """

    def __init__(
        self, tell: Callable[[str], None], words: Callable[[PanzotoError], str] = in_worker_words
    ) -> None:
        self._tell = tell
        self._words = words
        self._met: dict[str, str] = {}
        self._lock = threading.Lock()

    def met(self, loop: str, error: PanzotoError) -> None:
        """Tell of what `loop` has met, and that it tries again."""
        self.met_with(loop, self._words(error))

    def met_with(self, loop: str, sentence: str) -> None:
        """Do as `met` does with a sentence."""
        with self._lock:
            is_known = sentence in self._met.values()
            self._met[loop] = sentence
        if not is_known:
            self._tell(f"{sentence.removesuffix('.')}; {AGAIN}")

    def over(self, loop: str) -> None:
        """Note that `loop` works."""
        with self._lock:
            self._met.pop(loop, None)

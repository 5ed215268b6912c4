"""Reading a recording forwards, a little at a time, in few reads."""

from __future__ import annotations

from panzoto.crypto.source import Recording

FIRST_BYTES = 16 * 1024
MOST_BYTES = 512 * 1024


class Forward:
    """Reads stretches that follow one another, more at a time the longer that goes on.

    A short look costs a small read, and a long walk few large ones. What lies before the stretch that was
    read last is forgotten.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._at, self._held = 0, b""
        self._step = FIRST_BYTES

    @property
    def length(self) -> int:
        return self._recording.length

    def read(self, start: int, size: int) -> bytes:
        """Return `size` plain bytes from `start` on, fewer at the end. Raises what reading raises."""
        stop = min(start + size, self.length)
        if not 0 <= start < stop:
            return b""
        if not self._at <= start <= self._at + len(self._held):
            self._at, self._held = start, b""
        if stop > self._at + len(self._held):
            self._read_on(start, stop)
        return self._held[start - self._at : stop - self._at]

    def _read_on(self, start: int, stop: int) -> None:
        kept = self._held[start - self._at :]
        begin = start + len(kept)
        end = min(max(stop, begin + self._step), self.length)
        self._at, self._held = start, kept + b"".join(self._recording.plain(begin, end))
        self._step = min(2 * self._step, MOST_BYTES)

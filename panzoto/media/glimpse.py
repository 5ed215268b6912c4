"""A look at a few places of a recording, to learn what it is; each is read once, and all of them are few."""

from __future__ import annotations

from panzoto.crypto.source import Recording

BLOCK_BYTES = 32 * 1024
# A file that sends its reader from place to place is not followed any further.
MOST_BLOCKS = 32


class Glimpse:
    """Reads short stretches of a recording, and keeps what it has read."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._blocks: dict[int, bytes] = {}

    @property
    def length(self) -> int:
        return self._recording.length

    def read(self, start: int, size: int) -> bytes:
        """Return up to `size` plain bytes from `start` on; fewer at the end, and where enough was read.

        Raises what reading the recording raises.
        """
        stop = min(start + size, self.length)
        if not 0 <= start < stop:
            return b""
        first = start // BLOCK_BYTES
        blocks = [self._block(number) for number in range(first, -(-stop // BLOCK_BYTES))]
        return b"".join(blocks)[start - first * BLOCK_BYTES :][: stop - start]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if len(self._blocks) >= MOST_BLOCKS:
                return b""
            start = number * BLOCK_BYTES
            stop = min(start + BLOCK_BYTES, self.length)
            self._blocks[number] = b"".join(self._recording.plain(start, stop))
        return self._blocks[number]

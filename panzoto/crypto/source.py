"""What the recording formats read from: bytes at offsets, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ByteSource(Protocol):
    """An immutable object of `size` bytes."""

    @property
    def size(self) -> int: ...

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        """Yield object[start:stop] in pieces of at most `piece` bytes, none of them empty.

        Never ends early: what cannot be read to its end raises.
        """
        ...


class Recording(Protocol):
    """A recording whose key is known and whose length is proven."""

    @property
    def length(self) -> int: ...

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the authenticated plain bytes [start:stop)."""
        ...


def read(source: ByteSource, start: int, stop: int) -> bytes:
    """Return object[start:stop] whole; for short stretches only."""
    return b"".join(source.pieces(start, stop, max(1, stop - start)))

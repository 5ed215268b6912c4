"""Boxes, of which MP4 and 3GP files are made, one behind the other and one in another (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

# What kind it is, where its content begins, and where it ends.
Box = tuple[bytes, int, int]


class Reader(Protocol):
    """What boxes are read with."""

    def read(self, start: int, size: int) -> bytes: ...


def boxes(reader: Reader, at: int, stop: int, most: int) -> Iterator[Box]:
    """Yield (kind, where the content begins, where it ends) of so many boxes at most."""
    for _ in range(most):
        if at + 8 > stop:
            return
        head = reader.read(at, 16)
        if len(head) < 8:
            return
        size, kind, begin = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        end = stop if size == 0 else at + size
        if end < at + begin:
            return
        yield kind, at + begin, end
        at = end

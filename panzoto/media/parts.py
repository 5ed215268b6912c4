"""What a joined recording is put together from: a head, and stretches of its clips."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parts:
    """What one file is made of: a head, then stretches of clips, (clip, start, stop) of plain bytes."""

    head: bytes
    stretches: list[tuple[int, int, int]]
    seconds: float
    content_type: str

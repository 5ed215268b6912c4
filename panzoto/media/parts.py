"""What a joined recording is put together from: a head, and stretches of its clips."""

from __future__ import annotations

from dataclasses import dataclass

from panzoto.media.amr import Track


@dataclass(frozen=True, slots=True)
class Parts:
    """What one file is made of: a head, then stretches of clips, (clip, start, stop) of plain bytes.

    `track` is the AMR in it, where that can be had as WAV.
    """

    head: bytes
    stretches: list[tuple[int, int, int]]
    seconds: float
    content_type: str
    track: Track | None = None

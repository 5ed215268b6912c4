"""A sitting as one recording: a head, and stretches of the plain bytes of its clips, one after another.

The plan of that, and the head, are an object of their own in the bucket:
a version 2 recording of a random key, which is in the ticket and nowhere else.

    plan object, opened = length of the JSON (4 bytes) ‖ JSON ‖ head
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from panzoto.crypto.source import Recording
from panzoto.media.amr import Track
from panzoto.media.parts import Parts
from panzoto.playback.tickets import Clip

# The length of the JSON, big-endian.
LENGTH_BYTES = 4
PIECE_BYTES = 1024 * 1024

# Opens a clip again.
Reopen = Callable[[Clip], Recording]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the clips of a sitting are joined."""

    clips: list[Clip]
    parts: Parts

    @property
    def etag(self) -> str:
        """The entity tag of the joined recording: the same clips in the same state have the same."""
        digest = hashlib.sha256(self.parts.head)
        digest.update(json.dumps(self.parts.stretches).encode("ascii"))
        for clip in self.clips:
            digest.update(f"\n{clip.version.etag}\n{clip.version.s3_key}".encode())
        return f'"{digest.hexdigest()[:32]}"'

    def pieces(self) -> Iterator[bytes]:
        """Yield what the plan's object holds; a head may be of twelve MiB, and is not copied as a whole."""
        values = {
            "clips": [clip.to_json() for clip in self.clips],
            "stretches": self.parts.stretches,
            "etag": self.etag,
            "type": self.parts.content_type,
            "wav": self.parts.track.to_json() if self.parts.track else None,
        }
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        yield len(text).to_bytes(LENGTH_BYTES, "big") + text
        for start in range(0, len(self.parts.head), PIECE_BYTES):
            yield self.parts.head[start : start + PIECE_BYTES]


class JoinedRecording:
    """The sitting of a plan (see `panzoto.crypto.source.Recording`).

    `plan` is the opened object. A range reads the clips that it touches and no others.
    """

    def __init__(self, plan: Recording, reopen: Reopen) -> None:
        self._plan = plan
        self._reopen = reopen
        size = int.from_bytes(_read(plan, 0, LENGTH_BYTES), "big")
        self._head_at = LENGTH_BYTES + size
        values = json.loads(_read(plan, LENGTH_BYTES, self._head_at))
        self.clips = [Clip.from_json(clip) for clip in values["clips"]]
        self.etag: str = values["etag"]
        self.content_type: str = values["type"]
        # A plan of the release before does not have it.
        self.track = Track.from_json(values["wav"]) if values.get("wav") else None
        self._stretches: list[tuple[int, int, int]] = values["stretches"]
        # Where the head, and then each stretch, begins and the last one ends.
        sizes = (plan.length - self._head_at, *(stop - start for _, start, stop in self._stretches))
        self._begins: list[int] = list(itertools.accumulate(sizes, initial=0))

    @property
    def length(self) -> int:
        return self._begins[-1]

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the plain bytes [start:stop)."""
        pieces = self._pieces(start, stop)
        # The head is there whatever has become of the clips, so it does not go out before something of them.
        yield next(pieces, b"") + (next(pieces, b"") if start < self._begins[1] else b"")
        yield from pieces

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        number, clip = -1, self._plan
        part = bisect.bisect_right(self._begins, start) - 1
        while start < stop:
            begin, end = self._begins[part], min(stop, self._begins[part + 1])
            if part == 0:
                offset = self._head_at
            else:
                wanted, offset, _ = self._stretches[part - 1]
                if wanted != number:
                    number, clip = wanted, self._reopen(self.clips[wanted])
            if start < end:
                yield from clip.plain(offset + start - begin, offset + end - begin)
            start, part = end, part + 1


def _read(recording: Recording, start: int, stop: int) -> bytes:
    return b"".join(recording.plain(start, stop))

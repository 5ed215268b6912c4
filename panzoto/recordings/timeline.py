"""Sittings: phones cut at silence and at a minute, so one conversation is dozens of clips."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from panzoto.models.attributes import rfc3339
from panzoto.recordings.ledger import present
from panzoto.recordings.listing import Placed, newest_recorded_first

PAGE = 200
NO_TIME = timedelta()
# A clip that began long before may still be going on: so many clips, so far back, are asked.
LOOK_BACK_CLIPS = 500
LOOK_BACK = timedelta(hours=24)
# A page holds no more clips than this; a sitting of more is cut.
MOST_CLIPS = 2000


@dataclass(frozen=True, slots=True)
class Clip:
    """What the timeline needs of a recording; `position` is where a list goes on behind it."""

    file_id: str
    begin: datetime
    end: datetime
    position: Any

    @classmethod
    def of(cls, placed: Placed) -> Clip:
        row, position = placed
        lasting = timedelta(milliseconds=int(row.value("duration_ms") or 0))
        return cls(row.file_id, row.listed_by, row.listed_by + lasting, position)


@dataclass(frozen=True, slots=True)
class Sitting:
    """Clips that follow each other with no more than a gap between them; `clips` the newest first."""

    clips: list[Clip]

    def to_public(self) -> dict[str, Any]:
        """Return the sitting as its owner sees it; its recordings the oldest first."""
        heard = sum((clip.end - clip.begin for clip in self.clips), NO_TIME)
        return {
            "started_at": rfc3339(self.clips[-1].begin),
            "ended_at": rfc3339(max(clip.end for clip in self.clips)),
            "duration_ms": heard // timedelta(milliseconds=1),
            "file_ids": [clip.file_id for clip in reversed(self.clips)],
        }


def sittings(user_id: str, gap_seconds: int, limit: int, start: Any) -> tuple[list[Sitting], Any]:
    """Return up to `limit` sittings, newest first, and where the timeline goes on or None.

    They are whole unless one has more than `MOST_CLIPS`. Raises `TokenInvalid`.
    """
    newest_first = newest_recorded_first(present(user_id), start, PAGE)
    coming = Coming(map(Clip.of, newest_first), timedelta(seconds=gap_seconds))
    found: list[Sitting] = []
    shown = 0
    while len(found) < limit and (clips := coming.sitting(MOST_CLIPS)):
        if found and shown + len(clips) > MOST_CLIPS:
            # The page is full; the sitting is the first of the next one.
            return found, found[-1].clips[-1].position
        found.append(Sitting(clips))
        shown += len(clips)
    return found, found[-1].clips[-1].position if coming else None


class Coming:
    """Clips that are still to be told, the newest first; few of them are in memory."""

    def __init__(self, clips: Iterator[Clip], gap: timedelta) -> None:
        self._clips = clips
        self._gap = gap
        self._seen: deque[Clip] = deque()

    def __bool__(self) -> bool:
        return self._see(1)

    def sitting(self, most: int) -> list[Clip]:
        """Take the newest sitting, or the newest `most` clips of it."""
        taken: list[Clip] = []
        while len(taken) < most and (more := self._joining(taken[-1]) if taken else int(bool(self))):
            taken += [self._seen.popleft() for _ in range(min(more, most - len(taken)))]
        return taken

    def _joining(self, oldest: Clip) -> int:
        """Return how many clips come until one that lasts to within the gap before `oldest`, or 0.

        What comes between began later than that one, and so while it went on.
        """
        number = 0
        while number < LOOK_BACK_CLIPS and self._see(number + 1):
            clip = self._seen[number]
            if clip.begin < oldest.begin - LOOK_BACK and number:
                break
            number += 1
            if oldest.begin - clip.end <= self._gap:
                return number
        return 0

    def _see(self, count: int) -> bool:
        self._seen.extend(itertools.islice(self._clips, max(0, count - len(self._seen))))
        return len(self._seen) >= count

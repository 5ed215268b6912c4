"""Sittings: phones cut at silence and at a minute, so one conversation is dozens of clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from panzoto.models import AudioFile
from panzoto.models.attributes import rfc3339

PAGE = 200
NO_TIME = timedelta()


@dataclass(slots=True)
class Sitting:
    """Clips that follow each other with no more than a gap between them; `clips` the newest first."""

    clips: list[AudioFile] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        return self.clips[-1].listed_at

    @property
    def ended_at(self) -> datetime:
        return max(clip.listed_at + _duration(clip) for clip in self.clips)

    def to_public(self) -> dict[str, Any]:
        """Return the sitting as its owner sees it; its recordings the oldest first."""
        heard = sum((_duration(clip) for clip in self.clips), NO_TIME)
        return {
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at),
            "duration_ms": heard // timedelta(milliseconds=1),
            "file_ids": [clip.file_id for clip in reversed(self.clips)],
        }


def sittings(user_id: str, gap_seconds: int, limit: int, start: Any) -> tuple[list[Sitting], Any]:
    """Return up to `limit` whole sittings, newest first, and where the timeline goes on or None."""
    gap = timedelta(seconds=gap_seconds)
    found: list[Sitting] = []
    for clip in _newest_first(user_id, start):
        if found and found[-1].clips[-1].listed_at - (clip.listed_at + _duration(clip)) <= gap:
            found[-1].clips.append(clip)
        elif len(found) == limit:
            return found, found[-1].clips[-1].position("listed_at")
        else:
            found.append(Sitting([clip]))
    return found, None


def _newest_first(user_id: str, start: Any) -> Iterator[AudioFile]:
    while True:
        page, start = AudioFile.page(user_id, "recorded_at", PAGE, start, (None, None))
        yield from page
        if start is None:
            return


def _duration(clip: AudioFile) -> timedelta:
    return timedelta(milliseconds=int(clip.value("duration_ms") or 0))

"""A transcript in the formats that people and players read: JSON, text, SubRip and WebVTT.

SubRip has no standard; it is written as its players agree on it. WebVTT is W3C's,
https://www.w3.org/TR/webvtt1/.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from panzoto.transcripts.document import Document, Segment


@dataclass(frozen=True, slots=True)
class Format:
    """How a transcript is written: the type to serve it as, the ending of a file of it, and the writer."""

    media_type: str
    extension: str
    write: Callable[[Document], bytes]


def render(document: Document, name: str) -> bytes:
    """Return `document` in the format called `name`, one of FORMATS, in UTF-8."""
    return FORMATS[name].write(document)


def _json(document: Document) -> bytes:
    return document.json


def _text(document: Document) -> bytes:
    return "".join(f"{_spoken(segment)}\n" for segment in document.segments).encode()


def _srt(document: Document) -> bytes:
    cues = (
        f"{number}\n{_span(segment, ',')}\n{_not_a_time(_spoken(segment))}\n\n"
        for number, segment in enumerate(document.segments, 1)
    )
    return "".join(cues).encode()


def _vtt(document: Document) -> bytes:
    cues = (f"\n{_span(segment, '.')}\n{_voiced(segment)}\n" for segment in document.segments)
    return "".join(("WEBVTT\n", *cues)).encode()


def _spoken(segment: Segment) -> str:
    text = _one_line(segment.text)
    return text if segment.speaker is None else f"{_one_line(segment.speaker)}: {text}"


def _voiced(segment: Segment) -> str:
    text = _escaped(_one_line(segment.text))
    return text if segment.speaker is None else f"<v {_escaped(_one_line(segment.speaker))}>{text}"


def _one_line(text: str) -> str:
    """Return `text` with each line break, of whatever kind, as a space: a blank line would end a cue."""
    return " ".join(text.splitlines())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_TIME_LINE = re.compile(r"\s*\d+:\d+[^-]*-->")


def _not_a_time(line: str) -> str:
    """SubRip knows no escapes, and players take a line that begins as a cue's times do for the next cue."""
    return line.replace("-->", "-- >") if _TIME_LINE.match(line) else line


def _span(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start_ms, point)} --> {_clock(segment.end_ms, point)}"


def _clock(milliseconds: int, point: str) -> str:
    """Return `00:00:00.000`; hours take as many digits as they need."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


FORMATS = {
    "json": Format("application/json", "json", _json),
    "text": Format("text/plain", "txt", _text),
    "srt": Format("application/x-subrip", "srt", _srt),
    "vtt": Format("text/vtt", "vtt", _vtt),
}

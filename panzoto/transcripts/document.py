"""The document of a transcript: what lies in a sealed one, read without believing any of it.

Sealed is one byte that says how the JSON behind it is written, then the JSON: 0x00 as it is, 0x01 in raw
DEFLATE (RFC 1951).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_NESTING = 100

_AS_IT_IS = 0x00
_DEFLATED = 0x01
_RAW = -zlib.MAX_WBITS
# Beyond this a browser's numbers are no longer whole.
_LATEST_MS = 2**53 - 1
_LONGEST_WHOLE_NUMBER = 19
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class DamagedTranscript(ValueError):
    """What was sealed is no document of a transcript."""


class TranscriptTooLarge(ValueError):
    """A document is beyond 16 MiB of JSON even without the times of its words."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was heard: `text` is trimmed and not empty, times are whole milliseconds."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Something said: `text` is trimmed and not empty, times are milliseconds and in order."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None
    # Most of what is searched is no hit, so words are looked at only where somebody asks for them.
    written_words: object = field(default=None, repr=False)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words that have a text and times; others are passed over."""
        written = self.written_words if isinstance(self.written_words, list) else ()
        return tuple(
            Word(*times, text)
            for word in written
            if isinstance(word, dict)
            if (times := _times(word)) is not None
            if (text := _text(word.get("text"))) is not None
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A transcript: `json` as it was written, its `fields`, and the `segments` that have a text and times.

    Segments come in order of `start_ms`, as written where that is equal.
    """

    json: bytes = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)
    segments: tuple[Segment, ...] = field(repr=False)


def read(plaintext: bytes) -> Document:
    """Return the document in what HPKE opened; raise DamagedTranscript when there is none."""
    return parse(unpacked(plaintext))


def unpacked(plaintext: bytes) -> bytes:
    """Return the JSON in what HPKE opened, not yet parsed; raise DamagedTranscript when there is none."""
    if not plaintext:
        raise DamagedTranscript("nothing was sealed")
    kind, content = plaintext[0], memoryview(plaintext)[1:]
    if kind == _DEFLATED:
        return _inflated(content)
    if kind != _AS_IT_IS:
        raise DamagedTranscript("packed in an unknown way")
    return bytes(content)


def parse(written: bytes) -> Document:
    """Return the document that `written` is the JSON of; raise DamagedTranscript when it is none.

    It is an object, at most 16 MiB long and nested at most 100 deep, itself counted.
    """
    if len(written) > MAX_JSON_BYTES:
        raise DamagedTranscript("too large")
    value = _value(written)
    if not isinstance(value, dict):
        raise DamagedTranscript("no object")
    _limit_nesting(value)
    return Document(written, value, _segments(value.get("segments")))


def packed(document: Mapping[str, Any]) -> bytes:
    """Return what is to be sealed of `document`, deflated where that is shorter.

    Beyond 16 MiB of JSON the `words` of its segments are left out. Raises TranscriptTooLarge when that does
    not help, and ValueError for what JSON has no form for (NaN).
    """
    written = _written(document)
    if len(written) > MAX_JSON_BYTES:
        written = _written(without_words(document))
    if len(written) > MAX_JSON_BYTES:
        raise TranscriptTooLarge("too large even without the times of words")
    compressor = zlib.compressobj(wbits=_RAW)
    deflated = compressor.compress(written) + compressor.flush()
    if len(deflated) < len(written):
        return bytes([_DEFLATED]) + deflated
    return bytes([_AS_IT_IS]) + written


def _inflated(content: memoryview) -> bytes:
    decompressor = zlib.decompressobj(wbits=_RAW)
    try:
        # One byte more than is allowed tells what is too large from what just fits.
        inflated = decompressor.decompress(content, MAX_JSON_BYTES + 1)
    except zlib.error as error:
        raise DamagedTranscript("cannot be inflated") from error
    if len(inflated) > MAX_JSON_BYTES:
        raise DamagedTranscript("too large")
    if not decompressor.eof or decompressor.unused_data:
        raise DamagedTranscript("cut off or continued")
    return inflated


def _value(written: bytes) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return _value_by_the_book(written)


def _value_by_the_book(written: bytes) -> Any:
    """Read what orjson refuses although it is JSON: an escaped half of a pair, which browsers write."""
    try:
        return json.loads(written.decode("utf-8"), parse_int=_whole_number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedTranscript("no JSON") from error


def _whole_number(digits: str) -> int | float:
    """Python refuses to read integers of some thousand digits, and no field of ours needs them."""
    return int(digits) if len(digits) <= _LONGEST_WHOLE_NUMBER else float(digits)


def _no_constant(name: str) -> object:
    raise DamagedTranscript(f"{name} is no JSON")


def _limit_nesting(value: object) -> None:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)  # type: ignore[attr-defined]
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise DamagedTranscript("nested too deep")


def _segments(written: object) -> tuple[Segment, ...]:
    segments = [
        Segment(*times, text, _text(segment.get("speaker")), segment.get("words"))
        for segment in (written if isinstance(written, list) else ())
        if isinstance(segment, dict)
        if (times := _times(segment)) is not None
        if (text := _text(segment.get("text"))) is not None
    ]
    return tuple(sorted(segments, key=lambda segment: segment.start_ms))


def _times(written: Mapping[str, object]) -> tuple[int, int] | None:
    start, end = _moment(written.get("start_ms")), _moment(written.get("end_ms"))
    if start is None or end is None:
        return None
    return start, max(start, end)


def _moment(value: object) -> int | None:
    """Return whole milliseconds; None for what is no number, as True is none, or no moment of a recording."""
    if type(value) is not int and type(value) is not float:
        return None
    # Neither comparison holds for NaN, nor for infinity.
    return round(value) if 0 <= value <= _LATEST_MS else None


def _text(value: object) -> str | None:
    """Return a text trimmed; None for what is none or blank. Half a pair could not be written as UTF-8."""
    if type(value) is not str:
        return None
    trimmed = value.strip()
    return (trimmed if trimmed.isascii() else _LONE_SURROGATE.sub(_REPLACEMENT, trimmed)) or None


def _written(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(_REPLACEMENT, text).encode("utf-8")


def without_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document that is too large with its words, without them."""
    segments = [
        {name: value for name, value in segment.items() if name != "words"}
        for segment in document["segments"]
    ]
    return {**document, "segments": segments}

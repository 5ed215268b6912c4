"""Finding words in the transcripts of an account, which are opened in memory and forgotten again.

Nothing about words is kept: there is no index, so the cost grows with what is looked through, and a call
looks through so much at most. A cursor says where the next one goes on. Some kilobytes that are sealed may be
a document of 16 MiB, so a process opens few at a time, for whoever holds one of its permits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from panzoto.crypto.transcripts import open_sealed
from panzoto.errors import DecryptionFailed, InvalidRequest
from panzoto.models import AudioFile
from panzoto.transcripts.document import DamagedTranscript, Document, read
from panzoto.transcripts.places import Match
from panzoto.transcripts.records import Sealed, Transcripts
from panzoto.transcripts.search import InvalidQuery, Query, parse_query

MOST_TRANSCRIPTS = 2000
MOST_BYTES = 64 * 1024 * 1024
# Sealed bytes may inflate to a thousand times as many, which is what looking through them costs.
MOST_INFLATED_BYTES = 64 * 1024 * 1024
# Looking through one transcript is not broken off.
MOST_SECONDS = 10.0
# In one process, where a name has half of them; who waits for longer than that is told `busy`.
SEARCHES_AT_ONCE = 2
READINGS_AT_ONCE = 4
WAIT_SECONDS = 5.0
PAGE = 100
QUERY_RULE = "The query must hold a word or phrase that is wanted"

Between = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Hit:
    """A recording in whose transcript everything that is wanted occurs."""

    row: AudioFile
    matches: list[Match]


@dataclass(frozen=True, slots=True)
class Found:
    """What one call found; `position` is where the next goes on, None at the end."""

    hits: list[Hit]
    position: dict[str, Any] | None
    searched: int
    total: int


def parsed(query: str) -> Query:
    """Return what a query means. Raises `InvalidRequest`."""
    try:
        return parse_query(query)
    except InvalidQuery as error:
        raise InvalidRequest(QUERY_RULE, {"query": QUERY_RULE}) from error


def opened(found: Sealed, private_key: bytes) -> Document:
    """Return what a sealed transcript says. Raises `DecryptionFailed`."""
    plain = open_sealed(found.sealed, private_key, found.row.user_id, found.row.file_id)
    try:
        return read(plain)
    except DamagedTranscript as error:
        raise DecryptionFailed() from error


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for in which recordings: up to `limit` of them, behind `position` if there is one."""

    query: Query
    between: Between
    limit: int
    position: dict[str, Any] | None


def find(transcripts: Transcripts, user_id: str, private_key: bytes, wanted: Wanted) -> Found:
    """Look through an account's transcripts, newest first, until there are enough hits or it was enough."""
    between, position = wanted.between, wanted.position
    total = position["total"] if position else AudioFile.count_with_transcript(user_id, between)
    hits: list[Hit] = []
    searched = size = inflated = 0
    last: AudioFile | None = None
    deadline = time.monotonic() + MOST_SECONDS
    for row, sealed in transcripts.of_rows(user_id, _behind(user_id, position, between)):
        size += int(row.transcript_size)
        much = searched == MOST_TRANSCRIPTS or size > MOST_BYTES or inflated > MOST_INFLATED_BYTES
        enough = len(hits) == wanted.limit or time.monotonic() >= deadline
        if searched and (much or enough):
            return Found(hits, _position(last, total), searched, total)
        searched, last = searched + 1, row
        document = _readable(sealed, private_key)
        if document is None:
            continue
        inflated += len(document.json)
        matches = wanted.query.matches(document)
        if matches:
            hits.append(Hit(row, matches))
    return Found(hits, None, searched, total)


def _readable(sealed: Sealed | None, private_key: bytes) -> Document | None:
    """Return what a transcript says; None for what is damaged, or was removed meanwhile."""
    try:
        return opened(sealed, private_key) if sealed is not None else None
    except DecryptionFailed:
        return None


def _behind(user_id: str, position: dict[str, Any] | None, between: Between) -> Iterator[AudioFile]:
    """Yield the recordings behind a position, which is a moment and an id."""
    if position is None:
        yield from AudioFile.with_transcript(user_id, PAGE, between)
        return
    moment = AudioFile.listed_at.deserialize(position["at"])
    for row in AudioFile.with_transcript(user_id, PAGE, (between[0], moment)):
        if row.listed_by < moment or row.file_id > position["file_id"]:
            yield row


def _position(last: AudioFile | None, total: int) -> dict[str, Any] | None:
    if last is None:
        return None
    return {"at": AudioFile.listed_at.serialize(last.listed_by), "file_id": last.file_id, "total": total}

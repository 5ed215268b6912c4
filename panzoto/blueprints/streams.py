"""Responses that are sent as they are made."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

from flask import g

from panzoto.crypto.segments import OTHER_PLAIN, SEGMENTS_SENT_AT_ONCE
from panzoto.errors import PanzotoError

# What is sent at once: several segments of version 2, so that system calls cost little beside the bytes.
LEAST_SENT_BYTES = SEGMENTS_SENT_AT_ONCE * OTHER_PLAIN

log = logging.getLogger(__name__)


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces until there is enough to send."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= LEAST_SENT_BYTES:
            joined = b"".join(waiting)
            # While a slow reader takes it, the pieces are not needed any more.
            waiting, size = [], 0
            yield joined
    if waiting:
        yield b"".join(waiting)


def until_failure(pieces: Iterator[bytes], event: str) -> Iterator[bytes]:
    """Read the first piece now, while what fails can still become an error response, and pass the others on.

    A failure on the way is logged as `event` and ends the connection, never
    the response cleanly.
    """
    first = next(pieces, b"")
    return _passed_on(itertools.chain((first,), pieces), event, g.get("request_id", ""))


def _passed_on(pieces: Iterator[bytes], event: str, request_id: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except PanzotoError as error:
        log.error(event, extra={"request_id": request_id, "code": error.code})
        raise

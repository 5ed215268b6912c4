"""Responses that are sent as they are made."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

from panzoto.errors import PanzotoError

log = logging.getLogger(__name__)


def until_failure(pieces: Iterator[bytes], event: str) -> Iterator[bytes]:
    """Read the first piece now, while what fails can still become an error response, and pass the others on.

    A failure on the way is logged as `event` and ends the connection, never
    the response cleanly.
    """
    first = next(pieces, b"")
    return _passed_on(itertools.chain((first,), pieces), event)


def _passed_on(pieces: Iterator[bytes], event: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except PanzotoError as error:
        log.error(event, extra={"code": error.code})
        raise

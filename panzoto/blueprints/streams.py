"""Responses that are sent as they are made."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from flask import request

from panzoto.edge.http import LISTENER, services
from panzoto.errors import PanzotoError

log = logging.getLogger(__name__)


class Stream:
    """The body of a response, which has a place until it is closed.

    Its first piece is read at once, while what fails can still become an error
    response. A failure on the way is logged as `event` and ends the connection,
    never the response cleanly. Raises what `Places.take` raises.
    """

    def __init__(self, pieces: Iterator[bytes], event: str, user_id: str, what: str) -> None:
        self._give_back = services().places.take(user_id, what, request.environ.get(LISTENER))
        self._pieces = pieces
        self._event = event
        try:
            self._first: bytes | None = next(pieces, None)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return next(self._pieces)
        except PanzotoError as error:
            log.error(self._event, extra={"code": error.code})
            raise

    def close(self) -> None:
        """Give everything back; repeating it does nothing."""
        self._give_back()
        if hasattr(self._pieces, "close"):
            self._pieces.close()

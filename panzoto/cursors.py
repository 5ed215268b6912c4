"""Cursors: where a list goes on, sealed and bound to one user and one query."""

from __future__ import annotations

import time
from typing import Any

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.errors import InvalidCursor

TTL_SECONDS = 30 * 86400


class Cursors:
    """Seals positions and opens them again for the same user and query only."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, user_id: str, query: str, position: Any) -> str:
        """Return a cursor at `position`, any JSON value, of the list that `query` names."""
        values = {"user": user_id, "query": query, "position": position}
        return self._sealer.seal(values, int(time.time()) + TTL_SECONDS)

    def open(self, cursor: str | None, user_id: str, query: str) -> Any:
        """Return the position of `cursor`, None for no cursor. Raises `InvalidCursor`."""
        if cursor is None:
            return None
        try:
            values = self._sealer.open(cursor, time.time())
        except (NotSealedHere, SealExpired) as error:
            raise InvalidCursor() from error
        if (values["user"], values["query"]) != (user_id, query):
            raise InvalidCursor()
        return values["position"]

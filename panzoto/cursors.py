"""Cursors: where a list goes on, sealed and bound to one user and one query."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.errors import InvalidCursor

TTL_SECONDS = 30 * 86400

Row = TypeVar("Row")


class Cursors:
    """Seals positions and opens them again for the same user and query only."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, user_id: str, query: str, position: Any) -> str:
        """Return a cursor at `position`, any JSON value, of the list that `query` names."""
        values = {"user": user_id, "query": query, "position": position}
        return self._sealer.seal(values, int(time.time()) + TTL_SECONDS)

    def open(self, cursor: str | None, user_id: str, *queries: str) -> Any:
        """Return the position of `cursor`, of one of these `queries`; None for no cursor.

        Raises `InvalidCursor`.
        """
        if cursor is None:
            return None
        try:
            values = self._sealer.open(cursor, time.time())
        except (NotSealedHere, SealExpired) as error:
            raise InvalidCursor() from error
        if values["user"] != user_id or values["query"] not in queries:
            raise InvalidCursor()
        return values["position"]

    def page(
        self,
        user_id: str,
        query: str,
        cursor: str | None,
        limit: int,
        *,
        read: Callable[[str, int, Any], list[Row]],
        position: Callable[[Row], Any],
    ) -> tuple[list[Row], str | None]:
        """Return up to `limit` rows behind `cursor`, and the cursor behind those, None at the list's end.

        `read` takes the account, how many rows at most and the position behind which they are, and
        `position` tells that of a row. Raises `InvalidCursor`.
        """
        found = read(user_id, limit + 1, self.open(cursor, user_id, query))
        shown = found[:limit]
        more = len(found) > len(shown)
        return shown, self.seal(user_id, query, position(shown[-1])) if more else None

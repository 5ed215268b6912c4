"""The security log of each user: append-only, newest first, kept 400 days by TTL."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from pynamodb.attributes import JSONAttribute, TTLAttribute, UnicodeAttribute

from panzoto.auth.caller import Caller
from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.connection import BaseMeta, Transaction, storage_failures
from panzoto.models.damage import remove_all_of, some

KEPT = timedelta(days=400)


class Event(StoredModel):
    """One thing that happened to an account. `event_id` sorts by time."""

    class Meta(BaseMeta):
        table_name = "panzoto-events"

    user_id = UnicodeAttribute(hash_key=True)
    event_id = UnicodeAttribute(range_key=True)
    type = UnicodeAttribute()
    at = EpochAttribute()
    session_id = UnicodeAttribute(null=True)
    address = UnicodeAttribute(null=True)
    detail = JSONAttribute(null=True)
    expires_at = TTLAttribute()

    @classmethod
    def of(
        cls, user_id: str, type_: str, session_id: str | None, address: str | None, **detail: Any
    ) -> Event:
        """Return a new event that happened just now, not yet written."""
        at = now()
        # Microseconds in hex sort by time for as long as anybody will ask.
        event_id = f"{int(at.timestamp() * 1_000_000):014x}-{secrets.token_hex(6)}"
        return cls(
            user_id=user_id,
            event_id=event_id,
            type=type_,
            at=at,
            session_id=session_id,
            address=address,
            detail=detail or None,
            expires_at=at + KEPT,
        )

    @classmethod
    def by(cls, caller: Caller, type_: str, **detail: Any) -> Event:
        """Return a new event of what a caller has just done in their session, not yet written."""
        return cls.of(caller.user_id, type_, caller.session_id, caller.client.address, **detail)

    def write(self) -> None:
        """Append the event; one write."""
        with storage_failures():
            self.save()

    def add_to(self, transaction: Transaction) -> None:
        """Append the event as part of `transaction`."""
        transaction.save(self)

    @classmethod
    def page(cls, user_id: str, limit: int, before: str | None) -> list[Event]:
        """Return up to `limit` events, newest first, older than the event `before`."""
        older = None if before is None else cls.event_id < before
        with storage_failures():
            found = cls.query(
                user_id,
                older,
                page_size=limit,
                scan_index_forward=False,
                consistent_read=True,
            )
            return some(found, limit)

    @classmethod
    def remove_all(cls, user_id: str) -> None:
        """Remove the whole log of a user whose account is deleted."""
        remove_all_of(cls, user_id)

    def to_public(self) -> dict[str, Any]:
        """Return the event as its owner sees it."""
        return {
            "event_id": self.event_id,
            "type": self.type,
            "at": rfc3339(self.at),
            "session_id": self.session_id,
            "address": self.address,
            "detail": self.detail or {},
        }

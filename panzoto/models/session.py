"""Sessions: one device signed in to one account.

Keyed by user and session, so that all sessions of a user are found by a
strongly consistent query: an index could still be missing the newest one when
all are to end.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from pynamodb.attributes import NumberAttribute, TTLAttribute, UnicodeAttribute

from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.connection import Also, BaseMeta, ConditionFailed, Transaction, storage_failures, transact

LONGEST_ID = 64


class Session(StoredModel):
    """One session. `generation` counts its refresh tokens; only the newest is good."""

    class Meta(BaseMeta):
        table_name = "panzoto-sessions"

    user_id = UnicodeAttribute(hash_key=True)
    session_id = UnicodeAttribute(range_key=True)
    device_name = UnicodeAttribute()
    created_at = EpochAttribute()
    last_seen_at = EpochAttribute()
    generation = NumberAttribute()
    rotated_at = EpochAttribute(null=True)
    expires_at = TTLAttribute()

    @classmethod
    def new(cls, user_id: str, device_name: str, ttl_seconds: int) -> Session:
        """Return a session of `user_id` that is not yet written."""
        created = now()
        return cls(
            user_id=user_id,
            session_id=str(uuid.uuid4()),
            device_name=device_name,
            created_at=created,
            last_seen_at=created,
            generation=1,
            expires_at=created + timedelta(seconds=ttl_seconds),
        )

    def add_to(self, transaction: Transaction) -> None:
        """Begin the session as part of `transaction`."""
        transaction.save(self)

    @classmethod
    def find(cls, user_id: str, session_id: str) -> Session | None:
        """Return the session if it has neither ended nor expired; one strongly consistent read."""
        if not 0 < len(session_id) <= LONGEST_ID:
            return None
        with storage_failures():
            try:
                found = cls.get(user_id, session_id, consistent_read=True)
            except cls.DoesNotExist:
                return None
        return found if found.expires_at > now() else None

    @classmethod
    def all_of(cls, user_id: str) -> list[Session]:
        """Return every session of `user_id` that goes on, the most recently used first."""
        with storage_failures():
            found = list(cls.query(user_id, consistent_read=True))
        going_on = [session for session in found if session.expires_at > now()]
        return sorted(going_on, key=lambda session: session.last_seen_at, reverse=True)

    @classmethod
    def ids_of(cls, user_id: str) -> list[str]:
        """Return the ids of all sessions of `user_id`, of expired and of damaged ones as well."""
        with storage_failures():
            found = cls.query(user_id, consistent_read=True, attributes_to_get=cls.key_names())
            return [session.session_id for session in found]

    def rotate(self, ttl_seconds: int) -> bool:
        """Make the next refresh token the good one; False when another use of this one was first."""
        moment = now()
        try:
            with storage_failures():
                self.update(
                    actions=[
                        Session.generation.add(1),
                        Session.rotated_at.set(moment),
                        Session.last_seen_at.set(moment),
                        Session.expires_at.set(moment + timedelta(seconds=ttl_seconds)),
                    ],
                    condition=Session.generation == self.generation,
                )
        except ConditionFailed:
            return False
        return True

    def saw(self, moment: datetime) -> None:
        """Note that the session was used; one that has ended meanwhile stays ended."""
        try:
            with storage_failures():
                self.update(actions=[Session.last_seen_at.set(moment)], condition=Session.session_id.exists())
        except ConditionFailed:
            return

    @classmethod
    def end(cls, user_id: str, session_id: str, also: Also | None = None) -> bool:
        """End a session and do what `also` adds, at once; return whether there was one."""
        ended, there = cls(user_id, session_id), cls.session_id.exists()

        def fill(transaction: Transaction) -> None:
            transaction.delete(ended, condition=there)
            if also is not None:
                also(transaction)

        try:
            if also is not None:
                transact(fill, cls)
            else:
                with storage_failures():
                    ended.delete(condition=there)
        except ConditionFailed:
            return False
        return True

    def to_public(self, current_session_id: str | None) -> dict[str, Any]:
        """Return the session as its owner sees it."""
        return {
            "session_id": self.session_id,
            "device_name": self.device_name,
            "created_at": rfc3339(self.created_at),
            "last_seen_at": rfc3339(self.last_seen_at),
            "current": self.session_id == current_session_id,
        }

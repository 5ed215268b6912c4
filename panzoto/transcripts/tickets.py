"""Tickets that open transcripts and nothing else: the private key, sealed, bound to one session."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field

from panzoto.auth.caller import Caller, Identity
from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.errors import InvalidTicket
from panzoto.models import Event


@dataclass(frozen=True, slots=True)
class TranscriptsTicket:
    """A sealed ticket and when it ends, in epoch seconds."""

    value: str = field(repr=False)
    expires_at: int


class TranscriptsTickets:
    """Seals tickets under one secret and opens them again for the same session."""

    def __init__(self, sealer: Sealer, ttl_seconds: int) -> None:
        self._sealer = sealer
        self._ttl_seconds = ttl_seconds

    def unlock(self, private_key: bytes, by: Caller) -> TranscriptsTicket:
        """Return a ticket for the caller's session, and write that down."""
        expires_at = int(time.time()) + self._ttl_seconds
        values = {**_bound(by.identity), "key": base64.b64encode(private_key).decode("ascii")}
        ticket = TranscriptsTicket(self._sealer.seal(values, expires_at), expires_at)
        Event.by(by, "transcripts_unlocked").write()
        return ticket

    def open(self, ticket: str, identity: Identity) -> bytes:
        """Return the private key. Raises `InvalidTicket`, for another session's as well."""
        try:
            values = self._sealer.open(ticket, time.time())
        except (NotSealedHere, SealExpired) as error:
            raise InvalidTicket() from error
        key = base64.b64decode(values.pop("key"))
        if values != _bound(identity):
            raise InvalidTicket()
        return key


def _bound(identity: Identity) -> dict[str, object]:
    """Return what tells a session; a token that names none is a session of its own."""
    issued = identity.issued_at if identity.session_id is None else None
    return {"user": identity.user_id, "session": identity.session_id, "issued": issued}

"""Ending sessions at their owner's wish, and writing that down."""

from __future__ import annotations

import time

from panzoto.accounts.sessions import Sessions
from panzoto.auth.caller import Caller
from panzoto.errors import TokenInvalid, UserNotFound
from panzoto.models import Event, User
from panzoto.models.connection import Also


class SigningOut:
    """The verbs that end sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def this_one(self, caller: Caller) -> None:
        """End the caller's session; without one, every token that names none.

        Of a session that this process remembers and that has ended elsewhere, with its account perhaps,
        nothing is written down.
        """
        signed_out = Event.by(caller, "signed_out").add_to
        if caller.session_id is None:
            self._end_unnamed(caller, None, signed_out)
        else:
            self._sessions.end(caller.user_id, caller.session_id, signed_out)

    def the_others(self, caller: Caller) -> None:
        """End every session but the caller's, and every other token that names none."""
        spared = caller.identity.issued_at if caller.session_id is None else None
        self._end_unnamed(caller, spared, Event.by(caller, "signed_out", others=True).add_to)
        self._sessions.end_others(caller.user_id, caller.session_id)

    def named(self, session_id: str, caller: Caller) -> None:
        """End a session that its owner names. Raises `SessionNotFound`."""
        signed_out = Event.of(caller.user_id, "signed_out", session_id, caller.client.address)
        self._sessions.end_named(caller.user_id, session_id, signed_out.add_to)

    def _end_unnamed(self, caller: Caller, spared: int | None, also: Also) -> None:
        user = User.find(caller.user_id)
        if user is None or user.being_deleted:
            raise UserNotFound()
        # A token that ended a moment ago, and that this process still remembers, must not bring itself back.
        if caller.session_id is None and not user.accepts_token_issued_at(caller.identity.issued_at):
            raise TokenInvalid()
        user.move_token_epoch(int(time.time()) + 1, spared, also)
        self._sessions.end_unnamed(caller.user_id)

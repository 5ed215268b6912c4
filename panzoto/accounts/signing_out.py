"""Ending sessions at their owner's wish, and writing that down."""

from __future__ import annotations

import time

from panzoto.accounts.sessions import Sessions
from panzoto.auth.caller import Caller
from panzoto.errors import TokenInvalid, UserNotFound
from panzoto.models import Event, User


class SigningOut:
    """The verbs that end sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def this_one(self, caller: Caller) -> None:
        """End the caller's session; without one, every token that names none.

        Of a session that this process remembers and that has ended elsewhere, with its account perhaps,
        nothing is written down.
        """
        if caller.session_id is None:
            self._end_unnamed(caller, spared=None)
        elif not self._sessions.end(caller.user_id, caller.session_id):
            return
        Event.by(caller, "signed_out").write()

    def the_others(self, caller: Caller) -> None:
        """End every session but the caller's, and every other token that names none."""
        self._end_unnamed(caller, spared=caller.identity.issued_at if caller.session_id is None else None)
        self._sessions.end_others(caller.user_id, caller.session_id)
        Event.by(caller, "signed_out", others=True).write()

    def named(self, session_id: str, caller: Caller) -> None:
        """End a session that its owner names. Raises `SessionNotFound`."""
        self._sessions.end_named(caller.user_id, session_id)
        Event.of(caller.user_id, "signed_out", session_id, caller.client.address).write()

    def _end_unnamed(self, caller: Caller, spared: int | None) -> None:
        user = User.find(caller.user_id)
        if user is None or user.being_deleted:
            raise UserNotFound()
        # A token that ended a moment ago, and that this process still remembers, must not bring itself back.
        if caller.session_id is None and not user.accepts_token_issued_at(caller.identity.issued_at):
            raise TokenInvalid()
        user.move_token_epoch(int(time.time()) + 1, spared)
        self._sessions.end_unnamed(caller.user_id)

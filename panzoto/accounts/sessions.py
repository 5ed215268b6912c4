"""Sessions: beginning, refreshing, checking and ending them.

Every process remembers for a few seconds which sessions go on, so that
checking a token costs at most one strongly consistent read in that time, and
a session that was ended elsewhere stops working within it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from panzoto.auth.caller import Caller, Client, Identity
from panzoto.auth.refresh import RefreshClaim, RefreshTokens
from panzoto.auth.tokens import Tokens
from panzoto.errors import (
    AccountGone,
    Conflict,
    InvalidRefreshToken,
    SessionNotFound,
    TokenInvalid,
    Unavailable,
)
from panzoto.models import Event, Session, User
from panzoto.models.attributes import now
from panzoto.models.connection import Also, ConditionFailed, Transaction, transact

# Tokens of the earlier service name no session; they are told apart by when they were issued.
ISSUED = "issued-"
REMEMBERED_SECONDS = 20.0
FAILURE_SECONDS = 0.5
REMEMBERED_SESSIONS = 20_000
LOCKS = 64
REUSE_GRACE = timedelta(seconds=10)
SEEN_EVERY = timedelta(minutes=5)
# A transaction takes a hundred items: the account, and the claims of an address and those it has left.
ENDED_AT_ONCE = 80

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client holds of a session: an access token with its end, and a refresh token."""

    token: str
    expires_at: int
    refresh_token: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Beginning:
    """A session that is yet to be written."""

    session: Session
    event: Event
    grant: Grant

    def add_to(self, transaction: Transaction) -> None:
        """Begin the session as part of `transaction`."""
        self.session.add_to(transaction)
        self.event.add_to(transaction)


class Sessions:
    """The sessions of all users, as this process sees them."""

    def __init__(self, tokens: Tokens, refresh_tokens: RefreshTokens, ttl_seconds: int) -> None:
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._ttl_seconds = ttl_seconds
        self._known = _Remembered()

    def prepare(self, user_id: str, client: Client, event_type: str, **detail: str) -> Beginning:
        """Return a session of `user_id` that is yet to be written, with its event and grant."""
        session = Session.new(user_id, client.device_name, self._ttl_seconds)
        event = Event.of(
            user_id, event_type, session.session_id, client.address, device_name=client.device_name, **detail
        )
        return Beginning(session, event, self._grant(user_id, session.session_id, 1))

    def begin(
        self,
        user: User,
        client: Client,
        event_type: str,
        also: Also | None = None,
        **detail: str,
    ) -> Grant:
        """Begin a session of an account whose password was just right, in one transaction.

        `also` may add to it, and `detail` goes into the event. Raises
        `ConditionFailed` when the account was changed meanwhile.
        """
        beginning = self.prepare(user.user_id, client, event_type, **detail)

        def fill(transaction: Transaction) -> None:
            user.add_check_to(transaction)
            beginning.add_to(transaction)
            if also is not None:
                also(transaction)

        transact(fill, Session)
        return beginning.grant

    def begin_or_conflict(
        self,
        user: User,
        client: Client,
        event_type: str,
        also: Also | None = None,
        **detail: str,
    ) -> Grant:
        """Begin a session of an account whose password has just been set.

        Raises `Conflict` when somebody else has set another since.
        """
        try:
            return self.begin(user, client, event_type, also, **detail)
        except ConditionFailed as error:
            raise Conflict() from error

    def continue_or_begin(self, user: User, caller: Caller) -> Grant:
        """Let the caller's session go on; a token that names none gets one. Raises `Conflict`."""
        if caller.session_id is None:
            return self.begin_or_conflict(user, caller.client, "signed_in")
        return self.go_on(user.user_id, caller.session_id)

    def ending(self, user_id: str, kept_session_id: str | None) -> list[Session]:
        """Return the sessions that end in one transaction with a change, so that none outlives it."""
        return self.others(user_id, kept_session_id)[:ENDED_AT_ONCE]

    def go_on(self, user_id: str, session_id: str) -> Grant:
        """Return a fresh grant for a session that goes on. Raises `SessionNotFound`."""
        session = Session.find(user_id, session_id)
        if session is None:
            raise SessionNotFound()
        if not session.rotate(self._ttl_seconds):
            return self.go_on(user_id, session_id)
        return self._grant(user_id, session_id, int(session.generation))

    def refresh(self, token: str, client: Client) -> Grant:
        """Exchange a refresh token for its successor and a new access token.

        A repeat within ten seconds gets the same successor again; a token used
        before that ends the session. Raises `InvalidRefreshToken`.
        """
        claim = self._refresh_tokens.read(token)
        session = Session.find(claim.user_id, claim.session_id)
        if session is None:
            raise InvalidRefreshToken()
        if claim.generation == session.generation and session.rotate(self._ttl_seconds):
            return self._grant(claim.user_id, claim.session_id, claim.generation + 1)
        return self._repeat(claim, client)

    def _repeat(self, claim: RefreshClaim, client: Client) -> Grant:
        session = Session.find(claim.user_id, claim.session_id)
        if session is None:
            raise InvalidRefreshToken()
        just_used = claim.generation == session.generation - 1
        if just_used and now() - session.rotated_at <= REUSE_GRACE:
            return self._grant(claim.user_id, claim.session_id, int(session.generation))
        reused = Event.of(claim.user_id, "refresh_reused", claim.session_id, client.address)
        self.end(claim.user_id, claim.session_id, reused.add_to)
        raise InvalidRefreshToken()

    def check(self, identity: Identity) -> None:
        """Raises `TokenInvalid` when the session has ended, and `Unavailable` when nobody can tell.

        Of a token that names no session it raises `AccountGone` when its account is not there.
        """
        key = (identity.user_id, identity.session_id or f"{ISSUED}{identity.issued_at}")
        with self._known.lock(key):
            if self._known.recently(key):
                return
            self._known.refuse_if_just_failed(key)
            try:
                goes_on = self._goes_on(identity)
            except Unavailable:
                self._known.note_failure(key)
                raise
            if not goes_on:
                raise TokenInvalid()
            self._known.remember(key)

    def _goes_on(self, identity: Identity) -> bool:
        if identity.session_id is None:
            user = User.find(identity.user_id)
            if user is None:
                raise AccountGone()
            return user.accepts_token_issued_at(identity.issued_at)
        session = Session.find(identity.user_id, identity.session_id)
        if session is None:
            return False
        moment = now()
        if moment - session.last_seen_at > SEEN_EVERY:
            try:
                session.saw(moment)
            except Unavailable:
                log.warning("last_seen_postponed", extra={"user_id": identity.user_id})
        return True

    def end(self, user_id: str, session_id: str, also: Also | None = None) -> bool:
        """End one session: here at once, elsewhere as soon as it is no longer remembered.

        `also` adds to the transaction. Returns whether there was one.
        """
        key = (user_id, session_id)
        # Under the lock, so that no check that read it before remembers it after.
        with self._known.lock(key):
            try:
                return Session.end(user_id, session_id, also)
            finally:
                self._known.forget(key)

    def end_others(self, user_id: str, kept_session_id: str | None, ended: Sequence[Session] = ()) -> None:
        """End every session of `user_id` but one; tokens without a session end by the account's epoch.

        `ended` are those that a transaction has ended already.
        """
        self._forget(ended)
        for session in self.others(user_id, kept_session_id):
            self.end(user_id, session.session_id)
        self.end_unnamed(user_id)

    def ending_all(self, user_id: str) -> list[Session]:
        """Return what `ending` would of an account that is deleted, which none outlives for being damaged."""
        return [Session(user_id, session_id) for session_id in Session.ids_of(user_id)][:ENDED_AT_ONCE]

    def end_all(self, user_id: str, ended: Sequence[Session] = ()) -> None:
        """End every session of an account that is deleted, as `end_others` does."""
        self._forget(ended)
        for session_id in Session.ids_of(user_id):
            self.end(user_id, session_id)
        self.end_unnamed(user_id)

    def _forget(self, ended: Sequence[Session]) -> None:
        for session in ended:
            key = (session.user_id, session.session_id)
            with self._known.lock(key):
                self._known.forget(key)

    @staticmethod
    def others(user_id: str, kept_session_id: str | None) -> list[Session]:
        """Return every session of `user_id` but one."""
        return [session for session in Session.all_of(user_id) if session.session_id != kept_session_id]

    def end_unnamed(self, user_id: str) -> None:
        """Ask again about tokens that name no session, whose epoch has just moved."""
        self._known.forget_issued(user_id)

    def end_named(self, user_id: str, session_id: str, also: Also) -> None:
        """End a session that its owner names and do what `also` adds, at once. Raises `SessionNotFound`."""
        if Session.find(user_id, session_id) is None or not self.end(user_id, session_id, also):
            raise SessionNotFound()

    def _grant(self, user_id: str, session_id: str, generation: int) -> Grant:
        token, expires_at = self._tokens.mint(user_id, session_id)
        refresh_token = self._refresh_tokens.write(RefreshClaim(user_id, session_id, generation))
        return Grant(token, expires_at, refresh_token, session_id)


class _Remembered:
    """Which sessions were found going on a moment ago; bounded, and without any secret."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._guard = threading.Lock()
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def lock(self, key: tuple[str, str]) -> threading.Lock:
        """Return the lock that lets one thread ask about `key` while others wait for its answer."""
        return self._locks[hash(key) % LOCKS]

    def recently(self, key: tuple[str, str]) -> bool:
        with self._guard:
            return time.monotonic() - self._seen.get(key, -REMEMBERED_SECONDS) < REMEMBERED_SECONDS

    def note_failure(self, key: tuple[str, str]) -> None:
        """Remember for a moment that nobody could tell, for those who waited for the answer."""
        with self._guard:
            self._failed[key] = time.monotonic()
            while len(self._failed) > LOCKS:
                self._failed.popitem(last=False)

    def refuse_if_just_failed(self, key: tuple[str, str]) -> None:
        """Raises `Unavailable` rather than let each who waited wait for an attempt of its own."""
        with self._guard:
            failed = time.monotonic() - self._failed.get(key, -FAILURE_SECONDS) < FAILURE_SECONDS
        if failed:
            raise Unavailable()

    def remember(self, key: tuple[str, str]) -> None:
        with self._guard:
            self._seen[key] = time.monotonic()
            self._seen.move_to_end(key)
            while len(self._seen) > REMEMBERED_SESSIONS:
                self._seen.popitem(last=False)

    def forget(self, key: tuple[str, str]) -> None:
        with self._guard:
            self._seen.pop(key, None)

    def forget_issued(self, user_id: str) -> None:
        with self._guard:
            for key in [key for key in self._seen if key[0] == user_id and key[1].startswith(ISSUED)]:
                del self._seen[key]

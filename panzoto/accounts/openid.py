"""Accounts of people who sign in at an OpenID provider: found by issuer and subject, made at first sight.

Such an account never takes the claim on an address and never lies in the
index of addresses, so nobody comes to somebody else's account by having a
provider say an address: neither a newcomer to the account of a password, nor
a password to the account of a newcomer. It has no password until its owner
sets one for the vault.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from panzoto.accounts.sessions import Sessions
from panzoto.auth.caller import Client, Identity
from panzoto.auth.openid import OpenId, Subject
from panzoto.errors import TokenInvalid
from panzoto.models import Claim, Event, User, openid_account
from panzoto.models.attempts import Attempts
from panzoto.models.credentials import KEY_SALT_BYTES
from panzoto.models.user import new_user_id

REMEMBERED_ACCOUNTS = 20_000
# So long a token shows that its owner has just signed in at the provider.
FRESH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class _Known:
    """Whose account a subject's is, and the address that it has from the provider."""

    user_id: str
    email: str | None


class OpenIdAccounts:
    """The accounts of one provider's subjects, as this process knows them."""

    def __init__(self, provider: OpenId, sessions: Sessions) -> None:
        self._provider = provider
        self._sessions = sessions
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._guard = threading.Lock()

    def identify(self, token: str, client: Client) -> Identity:
        """Return whom a provider's access token speaks for, having made the account at first sight.

        Raises `TokenInvalid`, also for an account that is being deleted or
        whose owner has signed out since, and `Unavailable`.
        """
        subject = self._provider.verify(token)
        name = Claim.openid_name(subject.issuer, subject.name)
        identity = Identity(
            self._find_or_make(name, subject, client), subject.issued_at, None, of_provider=True
        )
        try:
            self._sessions.check(identity)
        except TokenInvalid:
            # The account may be gone; the subject's next token then makes another.
            self._forget(name)
            raise
        return identity

    def has_just_issued(self, token: str, user: User) -> bool:
        """Whether the provider issued `token` to the owner of `user` within the last five minutes.

        One from before its owner has signed out is none. Raises `Unavailable`.
        """
        try:
            subject = self._provider.verify(token)
        except TokenInvalid:
            return False
        name = Claim.openid_name(subject.issuer, subject.name)
        fresh = time.time() - subject.issued_at <= FRESH_SECONDS
        return (
            fresh and user.value("openid_claim") == name and user.accepts_token_issued_at(subject.issued_at)
        )

    def _find_or_make(self, name: str, subject: Subject, client: Client) -> str:
        with self._guard:
            known = self._known.get(name)
        if known is not None and (not subject.tells_email or subject.email == known.email):
            return known.user_id
        user = openid_account.find(name) or self._make(name, subject, client)
        if subject.tells_email and subject.email != user.openid_email:
            user.follow_openid_email(subject.email)
        self._remember(name, _Known(user.user_id, user.openid_email))
        return user.user_id

    def _make(self, name: str, subject: Subject, client: Client) -> User:
        # A token that outlives its account must not bring it back.
        if subject.issued_at <= Attempts.held_until(name):
            raise TokenInvalid()
        user_id = new_user_id()
        event = Event.of(
            user_id, "registered", None, client.address, device_name=client.device_name, by="openid"
        )
        return openid_account.make(
            claim_name=name,
            user_id=user_id,
            email=subject.email,
            key_salt=os.urandom(KEY_SALT_BYTES),
            also=event.add_to,
        )

    def _remember(self, name: str, known: _Known) -> None:
        with self._guard:
            self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED_ACCOUNTS:
                self._known.popitem(last=False)

    def _forget(self, name: str) -> None:
        with self._guard:
            self._known.pop(name, None)

"""Proving that an account is one's own: attempts are counted, failures written down, the locked refused."""

from __future__ import annotations

import logging
from typing import Any

from panzoto.accounts.throttle import Throttle, session_subject
from panzoto.accounts.vaults import Vaults
from panzoto.auth.caller import Caller, Client
from panzoto.crypto import recovery_key as recovery
from panzoto.crypto.keys import Keys
from panzoto.errors import (
    AccountLocked,
    InvalidPassword,
    InvalidProviderToken,
    InvalidRecoveryKey,
    PasswordNotSet,
    RecoveryFailed,
    Unavailable,
)
from panzoto.models import Event, User

log = logging.getLogger(__name__)


class Proofs:
    """What an owner shows that an account is theirs, as one process judges it."""

    def __init__(self, vaults: Vaults, throttle: Throttle) -> None:
        self._vaults = vaults
        self._throttle = throttle

    def by_password(self, user: User, password: str, caller: Caller) -> Keys:
        """Return the keys that `password` opens, asked for inside a session.

        One computation, and one more for an account that has no vault yet. A
        wrong password counts against the session that sent it and is among the
        account's events, as a sign-in that failed in that session. Raises
        `InvalidPassword`, `TooManyRequests`, and `PasswordNotSet` for an
        account that signs in by OpenID and has none yet.
        """
        if not user.has_password:
            raise PasswordNotSet()
        subject = session_subject(caller.user_id, caller.session_id)
        with self._throttle.attempt(subject):
            try:
                keys = self._vaults.open(user, password)
            except InvalidPassword:
                self.note_failure(user, caller.client, caller.session_id)
                raise
            self._throttle.reset(subject)
        return keys

    def by_recovery_key(self, user: User | None, key: bytes, client: Client) -> tuple[User, bytes]:
        """Return the account and the vault key that its recovery key opens, or write the failure down.

        Raises `RecoveryFailed`.
        """
        try:
            return _opened_with(key, user)
        except RecoveryFailed:
            self.note_failure(user, client, by="recovery_key")
            raise

    def by_recovery_key_inside(self, user: User, key: bytes, caller: Caller) -> bytes:
        """Do the same inside a session, against which a wrong key counts. Raises `TooManyRequests` too."""
        subject = session_subject(caller.user_id, caller.session_id)
        with self._throttle.attempt(subject):
            try:
                vault_key = _opened_with(key, user)[1]
            except RecoveryFailed:
                self.note_failure(user, caller.client, caller.session_id, by="recovery_key")
                raise
            self._throttle.reset(subject)
        return vault_key

    def refuse_provider_token(self, user: User, caller: Caller) -> InvalidProviderToken:
        """Write down that a provider's token proved nothing, and return the error that says so."""
        self.note_failure(user, caller.client, caller.session_id, by="provider_token")
        return InvalidProviderToken()

    def refuse_locked(self, user: User, client: Client, *subjects: str) -> None:
        """Refuse who has just proven that a locked account is theirs. Raises `AccountLocked`.

        The attempts are forgotten, so that the right password is told the same however often it comes.
        """
        if user.is_locked:
            self.note_failure(user, client, locked=True)
            for subject in subjects:
                self._throttle.reset(subject)
            raise AccountLocked()

    def note_failure(
        self, user: User | None, client: Client, session_id: str | None = None, **detail: Any
    ) -> None:
        """Write the failure down; for an account that does not exist, a write that costs the same.

        By now it has been judged. Were it told that nobody could say, the guess would not count, and only
        of an account that exists.
        """
        try:
            if user is None:
                self._throttle.count_unknown_account()
            else:
                Event.of(user.user_id, "sign_in_failed", session_id, client.address, **detail).write()
        except Unavailable:
            log.error("failure_not_noted", extra={"user_id": "" if user is None else user.user_id})


def parsed(recovery_key: str) -> bytes:
    """Return a recovery key as it was made. Raises `InvalidRecoveryKey` for a slip of the pen."""
    try:
        return recovery.parse(recovery_key)
    except recovery.Misspelt as error:
        raise InvalidRecoveryKey() from error


def _opened_with(recovery_key: bytes, user: User | None) -> tuple[User, bytes]:
    """Return the account and its vault key. Raises `RecoveryFailed`, also where there is no account."""
    wrapped = None if user is None or user.being_deleted else user.recovery_wrap()
    if user is None or wrapped is None:
        raise RecoveryFailed()
    try:
        return user, recovery.unwrap_vault_key(recovery_key, user.user_id, wrapped)
    except recovery.WrongRecoveryKey as error:
        raise RecoveryFailed() from error

"""What an account's owner does with a password: register, sign in, open the vault.

Each verb says how many Argon2 computations it costs, since they are nearly
all of what it costs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from panzoto.accounts.sessions import Grant, Sessions
from panzoto.accounts.throttle import Throttle, account_subject, mail_subject, session_subject
from panzoto.auth.caller import Client, Identity
from panzoto.auth.passwords import Passwords, opens_to_nobody
from panzoto.config import Argon2Parameters
from panzoto.crypto import recovery_key as recovery
from panzoto.crypto import vault as vaults
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.keys import DirectKeys, Keys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.vault import Vault
from panzoto.errors import (
    AccountLocked,
    Conflict,
    EmailOfProvider,
    InvalidCredentials,
    InvalidPassword,
    InvalidRecoveryKey,
    InvalidRequest,
    PasswordNotSet,
    RecordingsWouldBeLost,
    RecoveryFailed,
    TokenInvalid,
    Unavailable,
    UserExists,
    UserNotFound,
)
from panzoto.mail.mailbox import Mailbox
from panzoto.models import AudioFile, Event, Session, User
from panzoto.models.connection import ConditionFailed, Transaction
from panzoto.models.throttle import Attempts
from panzoto.models.user import KEY_SALT_BYTES, NewPassword, new_user_id

VAULT_ATTEMPTS = 3
# A transaction takes a hundred items, and the account is one of them.
ENDED_AT_ONCE = 99
PASSWORD_REQUIRED = "Password is required"  # noqa: S105 - a sentence

log = logging.getLogger(__name__)


class Accounts:
    """The verbs of an account, with the parameters and permits of this process."""

    def __init__(
        self,
        passwords: Passwords,
        parameters: Argon2Parameters,
        permits: HashPermits,
        throttle: Throttle,
        sessions: Sessions,
        *,
        mailbox: Mailbox,
    ) -> None:
        self._passwords = passwords
        self._parameters = parameters
        self._permits = permits
        self._throttle = throttle
        self._sessions = sessions
        self._mailbox = mailbox

    def register(self, email: str, password: str, client: Client) -> tuple[User, Grant]:
        """Make an account with its vault and first session.

        Two computations. Raises `UserExists`, `Busy`, `Unavailable`.
        """
        if User.email_is_taken(email):
            raise UserExists()
        user_id = new_user_id()
        password_hash = self._passwords.hash(password)
        vault = self._wrap(vaults.new_vault_key(), user_id, password)
        beginning = self._sessions.prepare(user_id, client, "registered")
        user = User.register(
            email=email,
            user_id=user_id,
            password_hash=password_hash,
            key_salt=os.urandom(KEY_SALT_BYTES),
            vault=vault,
            device_name=client.device_name,
            also=beginning.add_to,
        )
        self._mailbox.registered(user)
        return user, beginning.grant

    def sign_in(self, email: str, password: str, client: Client) -> tuple[User, Grant]:
        """Begin a session of the account of `email` if `password` is its own.

        One computation, whether or not the account exists; one more when its
        hash is of older parameters and one when it has no vault yet. Raises
        `InvalidCredentials`, `AccountLocked`, `AccountNeedsRecovery`, `TooManyRequests`, `DamagedRecord`,
        `Busy` and `Unavailable`.
        """
        subject = account_subject(email)
        with self._throttle.attempt(subject):
            return self._sign_in(email, password, client, subject)

    def _sign_in(self, email: str, password: str, client: Client, subject: str) -> tuple[User, Grant]:
        found = User.find_and_claim_email(email)
        try:
            user = self._proven(found, password)
        except InvalidPassword as error:
            self._note_failure(found, client)
            raise InvalidCredentials() from error
        self._refuse_locked(user, client, subject)
        # The vault first, so that a table that hangs costs one wait; a login can do without the rehash.
        if user.stored_vault() is None:
            self._make_vault(user, password)
        self._refresh_hash(user, password)
        try:
            grant = self._sessions.begin(user, client, "signed_in", Attempts.reset_of(subject))
        except ConditionFailed as error:
            # The password was changed between our look at it and now.
            raise InvalidCredentials() from error
        self._mailbox.signed_in(user, client)
        return user, grant

    def _proven(self, user: User | None, password: str) -> User:
        if user is None or user.being_deleted or not user.has_password:
            self._passwords.verify_nobody(password)
        try:
            self._verify(user, password)
        except InvalidPassword:
            self._passwords.make_up_for(user.password_hash)
            raise
        return user

    def _note_failure(
        self, user: User | None, client: Client, session_id: str | None = None, **detail: Any
    ) -> None:
        """Write the failure down; for an account that does not exist, a write that costs the same."""
        if user is None:
            self._throttle.count_unknown_account()
        else:
            Event.of(user.user_id, "sign_in_failed", session_id, client.address, **detail).write()

    def _refuse_locked(self, user: User, client: Client, *subjects: str) -> None:
        """Refuse who has just proven that a locked account is theirs. Raises `AccountLocked`.

        The attempts are forgotten, so that the right password is told the same however often it comes.
        """
        if user.is_locked:
            self._note_failure(user, client, locked=True)
            for subject in subjects:
                self._throttle.reset(subject)
            raise AccountLocked()

    def _recovered(self, user: User | None, key: bytes, client: Client) -> tuple[User, bytes]:
        """Return the account and the vault key that its recovery key opens, or write the failure down.

        Raises `RecoveryFailed`.
        """
        try:
            return _opened_with(key, user)
        except RecoveryFailed:
            self._note_failure(user, client, by="recovery_key")
            raise

    def unlock(self, user: User, password: str, identity: Identity, client: Client) -> Keys:
        """Return the keys that `password` opens, asked for inside a session.

        One computation: unwrapping the vault key proves the password. An
        account without a vault gets one, which costs one more. A wrong
        password counts against the session that sent it and is among the
        account's events, as a sign-in that failed in that session. Raises
        `InvalidPassword`, `TooManyRequests`, and `PasswordNotSet` for an
        account that signs in by OpenID and has none yet.
        """
        if not user.has_password:
            raise PasswordNotSet()
        subject = session_subject(identity.user_id, identity.session_id)
        with self._throttle.attempt(subject):
            try:
                vault_key = self._opened_vault(user, password)
            except InvalidPassword:
                self._note_failure(user, client, identity.session_id)
                raise
            self._throttle.reset(subject)
        return self._keys(user, password, vault_key)

    def _opened_vault(self, user: User, password: str) -> bytes:
        stored = user.stored_vault()
        if stored is not None:
            return self._unwrap(stored, user, password)
        self._verify(user, password)
        return self._make_vault(user, password)

    def look(self, user: User, password: str) -> Keys:
        """Return the keys that `password` opens and change nothing. One computation.

        Raises `InvalidPassword` and `PasswordNotSet`.
        """
        if not user.has_password:
            raise PasswordNotSet()
        stored = user.stored_vault()
        if stored is not None:
            return self._keys(user, password, self._unwrap(stored, user, password))
        self._verify(user, password)
        return Keys(None, (direct_keys(password, user.salt()),))

    def change_password(
        self, user: User, password: str | None, new_password: str, identity: Identity, client: Client
    ) -> Grant:
        """Wrap the same vault key under `new_password`; every recording goes on opening.

        The caller's session goes on and every other ends. Three computations.
        An account that signs in by OpenID and has no password yet gets its
        first one, and needs none for that.
        Raises `InvalidPassword` and, when somebody else changed the account at
        the same time, `Conflict`.
        """
        if not user.has_password:
            return self._set_first_password(user, new_password, identity, client)
        if password is None:
            raise InvalidRequest(PASSWORD_REQUIRED, {"password": PASSWORD_REQUIRED})
        keys = self.unlock(user, password, identity, client)
        outgoing = {user.salt(): keys.generations[0]}
        new = self._new_password(user, keys, new_password, outgoing, kept_session_id=identity.session_id)
        user.replace_password(new)
        self._sessions.end_others(user.user_id, identity.session_id, new.ends)
        Event.of(user.user_id, "password_changed", identity.session_id, client.address).write()
        self._mailbox.password_changed(user, client)
        if identity.session_id is None:
            return self._begin_session(user, client)
        return self._sessions.go_on(user.user_id, identity.session_id)

    def _set_first_password(self, user: User, new_password: str, identity: Identity, client: Client) -> Grant:
        """Make the vault and begin a session. Two computations; of several at once one sets it."""
        password_hash = self._passwords.hash(new_password)
        user.set_first_password(password_hash, self._wrap(vaults.new_vault_key(), user.user_id, new_password))
        Event.of(user.user_id, "password_changed", identity.session_id, client.address, first=True).write()
        self._mailbox.password_changed(user, client)
        return self._begin_session(user, client)

    def _begin_session(self, user: User, client: Client) -> Grant:
        try:
            return self._sessions.begin(user, client, "signed_in")
        except ConditionFailed as error:
            raise Conflict() from error

    def make_recovery_key(
        self, user: User, password: str, identity: Identity, client: Client
    ) -> tuple[str, str]:
        """Return a new recovery key as a person writes it, and when it was made; the one before is void.

        One computation. The direct keys of today's password are kept beside
        it, since after a recovery nobody can derive them any more.
        """
        keys = self.unlock(user, password, identity, client)
        vault_key = keys.the_vault_key()
        recovery_key = recovery.generate()
        wrapped = recovery.wrap_vault_key(recovery_key, user.user_id, vault_key)
        kept = user.with_direct_keys(vault_key, {user.salt(): keys.generations[0]})
        created_at = user.replace_recovery(wrapped, kept)
        Event.of(user.user_id, "recovery_key_made", identity.session_id, client.address).write()
        self._mailbox.recovery_key_made(user, client)
        return recovery.write(recovery_key), created_at

    def recover(self, email: str, recovery_key: str, new_password: str, client: Client) -> tuple[User, Grant]:
        """Open the account with its recovery key and give it a new password; every session before ends.

        Two computations on success. Raises `InvalidRecoveryKey` for a slip of
        the pen, `RecoveryFailed` for a wrong key and an unknown account alike,
        and `AccountLocked`.
        """
        key = _parsed(recovery_key)
        subject = account_subject(email)
        with self._throttle.attempt(subject):
            user, vault_key = self._recovered(User.find_and_claim_email(email), key, client)
            self._refuse_locked(user, client, subject)
            new = self._new_password(user, Keys(vault_key, ()), new_password, {})
            user.replace_password(new)
        grant = self._begin_anew(user, new, client, "recovered", Attempts.reset_of(subject))
        self._mailbox.recovered(user, client)
        return user, grant

    def reset(
        self,
        user: User,
        new_password: str,
        recovery_key: str | None,
        discard_recordings: bool,
        client: Client,
    ) -> tuple[User, Grant]:
        """Give the account a new password after a code that came by mail; every session before ends.

        With the recovery key everything goes on opening. Without it the
        account begins anew with a vault of its own: recordings that are there
        stay listed, with their objects, and never open again, so there may be
        none unless `discard_recordings` agrees to that. A recovery key that is
        sent is used, whatever else is agreed to. An account whose stored hash is
        broken keeps its key salt, so that the password it had opens what it
        opened before. Two computations on success. Raises `AccountLocked`,
        `RecordingsWouldBeLost`, `InvalidRecoveryKey`, `RecoveryFailed`, `Conflict`.
        """
        # The code has proven that mail to the address reaches who sent it.
        self._refuse_locked(user, client)
        keeps_salt = recovery_key is None and _is_broken(user)
        subjects = (account_subject(user.email), mail_subject(user.email))
        if recovery_key is not None:
            key = _parsed(recovery_key)
            with self._throttle.attempt(subjects[0]):
                user, vault_key = self._recovered(user, key, client)
                new = self._new_password(user, Keys(vault_key, ()), new_password, {})
                user.replace_password_by_mail(new)
            event_type = "recovered"
        else:
            new = self._start_over(user, new_password, discard_recordings or keeps_salt, keeps_salt)
            event_type = "password_changed"
        grant = self._begin_anew(user, new, client, event_type, Attempts.reset_of(*subjects), by="mail")
        self._mailbox.password_reset(user, client, started_over=recovery_key is None, keeps_salt=keeps_salt)
        return user, grant

    def _start_over(
        self, user: User, new_password: str, discard_recordings: bool, keeps_salt: bool
    ) -> NewPassword:
        if not discard_recordings and (user.counted_usage()[0] or AudioFile.any_of(user.user_id)):
            raise RecordingsWouldBeLost()
        new = NewPassword(
            password_hash=self._passwords.hash(new_password),
            key_salt=user.salt() if keeps_salt else os.urandom(KEY_SALT_BYTES),
            vault=self._wrap(vaults.new_vault_key(), user.user_id, new_password),
            wrapped_direct_keys=[],
            ends=self._ending(user, None),
        )
        user.start_over(new, discard_recordings)
        return new

    def _begin_anew(
        self,
        user: User,
        new: NewPassword,
        client: Client,
        event_type: str,
        also: Callable[[Transaction], None],
        **detail: str,
    ) -> Grant:
        """End every session and begin one under the new password. Raises `Conflict`."""
        self._sessions.end_others(user.user_id, None, new.ends)
        try:
            return self._sessions.begin(user, client, event_type, also, **detail)
        except ConditionFailed as error:
            raise Conflict() from error

    def change_email(self, user: User, password: str, email: str, identity: Identity, client: Client) -> None:
        """Move the account to another address. One computation.

        Raises `InvalidPassword`, `UserExists` and `EmailOfProvider`.
        """
        if user.signs_in_by_openid:
            raise EmailOfProvider()
        self.unlock(user, password, identity, client)
        if email != user.email:
            old_address = user.email
            user.change_email(email)
            Event.of(user.user_id, "email_changed", identity.session_id, client.address).write()
            self._mailbox.email_changed(user, old_address, client)

    def confirm_deletion(self, user: User, password: str, identity: Identity, client: Client) -> Event:
        """Prove the password before everything is deleted, and return the event of that, not yet written.

        Raises `InvalidPassword`.
        """
        self.unlock(user, password, identity, client)
        return Event.of(user.user_id, "deletion_started", identity.session_id, client.address)

    def sign_out(self, identity: Identity, client: Client) -> None:
        """End the caller's session; without one, every token that names none.

        Of a session that this process remembers and that has ended elsewhere, with its account perhaps,
        nothing is written down.
        """
        if identity.session_id is None:
            self._end_unnamed(identity, spared=None)
        elif not self._sessions.end(identity.user_id, identity.session_id):
            return
        Event.of(identity.user_id, "signed_out", identity.session_id, client.address).write()

    def sign_out_others(self, identity: Identity, client: Client) -> None:
        """End every session but the caller's, and every other token that names none."""
        self._end_unnamed(identity, spared=identity.issued_at if identity.session_id is None else None)
        self._sessions.end_others(identity.user_id, identity.session_id)
        Event.of(identity.user_id, "signed_out", identity.session_id, client.address, others=True).write()

    def end_session(self, session_id: str, identity: Identity, client: Client) -> None:
        """End a session that its owner names. Raises `SessionNotFound`."""
        self._sessions.end_named(identity.user_id, session_id)
        Event.of(identity.user_id, "signed_out", session_id, client.address).write()

    def _end_unnamed(self, identity: Identity, spared: int | None) -> None:
        user = User.find(identity.user_id)
        if user is None or user.being_deleted:
            raise UserNotFound()
        # A token that ended a moment ago, and that this process still remembers, must not bring itself back.
        if identity.session_id is None and not user.accepts_token_issued_at(identity.issued_at):
            raise TokenInvalid()
        user.move_token_epoch(int(time.time()) + 1, spared)
        self._sessions.end_unnamed(identity.user_id)

    def _keys(self, user: User, password: str, vault_key: bytes) -> Keys:
        current = direct_keys(password, user.salt())
        return Keys(vault_key, tuple(dict.fromkeys((current, *user.stored_direct_keys(vault_key)))))

    def _ending(self, user: User, kept_session_id: str | None) -> list[Session]:
        """Return the sessions that end in one transaction with the password, so that none outlives it."""
        return self._sessions.others(user.user_id, kept_session_id)[:ENDED_AT_ONCE]

    def _new_password(
        self,
        user: User,
        keys: Keys,
        new_password: str,
        outgoing: dict[bytes, DirectKeys],
        kept_session_id: str | None = None,
    ) -> NewPassword:
        """Return what `new_password` changes while the vault key stays. Two computations."""
        vault_key = keys.the_vault_key()
        key_salt = os.urandom(KEY_SALT_BYTES)
        # The incoming password's keys are kept as well: a recovery could not derive them.
        generations = outgoing | {key_salt: direct_keys(new_password, key_salt)}
        return NewPassword(
            password_hash=self._passwords.hash(new_password),
            key_salt=key_salt,
            vault=self._wrap(vault_key, user.user_id, new_password),
            wrapped_direct_keys=user.with_direct_keys(vault_key, generations),
            # Looked up last, so that hardly any session can begin between this and the write.
            ends=self._ending(user, kept_session_id),
        )

    def _make_vault(self, user: User, password: str) -> bytes:
        """Give a verified account its vault and return the vault key; of several at once one makes it."""
        for _ in range(VAULT_ATTEMPTS):
            vault_key = vaults.new_vault_key()
            vault = self._wrap(vault_key, user.user_id, password)
            try:
                user.set_first_vault(vault)
                return vault_key
            except ConditionFailed:
                user.reload()
            stored = user.stored_vault()
            if stored is not None:
                return self._unwrap(stored, user, password)
            # Only the hash has moved on; the password must still be the one it is of.
            self._verify(user, password)
        raise Conflict()

    def _unwrap(self, vault: Vault, user: User, password: str) -> bytes:
        return vaults.unwrap(vault, user.user_id, password, self._permits)

    def _verify(self, user: User, password: str) -> None:
        with user.naming_damage():
            self._passwords.verify(password, user.password_hash)

    def _refresh_hash(self, user: User, password: str) -> None:
        """Rehash with today's parameters; a login does not fail because that could not be written."""
        if self._passwords.needs_rehash(user.password_hash):
            try:
                user.replace_hash(self._passwords.hash(password))
            except Unavailable:
                log.warning("rehash_postponed", extra={"user_id": user.user_id})

    def _wrap(self, vault_key: bytes, user_id: str, password: str) -> Vault:
        return vaults.wrap(vault_key, user_id, password, self._parameters, self._permits)


def _is_broken(user: User) -> bool:
    """Whether no password can be verified and none has made a vault, as of some rows that were migrated."""
    stored = user.value("password_hash")
    return stored is not None and user.value("vault") is None and opens_to_nobody(stored)


def _parsed(recovery_key: str) -> bytes:
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

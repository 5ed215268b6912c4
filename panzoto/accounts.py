"""What an account's owner does with a password: register, sign in, open the vault.

Each verb says how many Argon2 computations it costs, since they are nearly
all of what it costs.
"""

from __future__ import annotations

import logging
import os
import time

from panzoto.auth.passwords import Passwords
from panzoto.auth.throttle import Throttle, account_subject, session_subject
from panzoto.auth.tokens import Identity
from panzoto.config import Argon2Parameters
from panzoto.crypto import recovery_key as recovery
from panzoto.crypto import vault as vaults
from panzoto.crypto.derivation import DirectKeys, direct_keys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.vault import Vault
from panzoto.errors import (
    Conflict,
    DamagedRecord,
    InvalidCredentials,
    InvalidPassword,
    InvalidRecoveryKey,
    RecoveryFailed,
    Unavailable,
    UserExists,
    UserNotFound,
)
from panzoto.models import Event, User
from panzoto.models.connection import ConditionFailed
from panzoto.models.throttle import Attempts
from panzoto.models.user import KEY_SALT_BYTES, NewPassword, new_user_id
from panzoto.playback import Keys
from panzoto.sessions import Client, Grant, Sessions

VAULT_ATTEMPTS = 3

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
    ) -> None:
        self._passwords = passwords
        self._parameters = parameters
        self._permits = permits
        self._throttle = throttle
        self._sessions = sessions

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
            also=beginning.add_to,
        )
        return user, beginning.grant

    def sign_in(self, email: str, password: str, client: Client) -> tuple[User, Grant]:
        """Begin a session of the account of `email` if `password` is its own.

        One computation, whether or not the account exists; one more when its
        hash is of older parameters and one when it has no vault yet. Raises
        `InvalidCredentials`, `TooManyRequests`, `DamagedRecord`, `Busy` and `Unavailable`.
        """
        subject = account_subject(email)
        self._throttle.reserve(subject)
        found = User.find_by_email(email)
        try:
            user = self._proven(found, password)
        except InvalidPassword as error:
            self._note_failure(found, client)
            raise InvalidCredentials() from error
        self._refresh_hash(user, password)
        if self._stored_vault(user) is None:
            self._make_vault(user, password)
        try:
            grant = self._sessions.begin(user, client, "signed_in", Attempts.reset_of(subject))
        except ConditionFailed as error:
            # The password was changed between our look at it and now.
            raise InvalidCredentials() from error
        return user, grant

    def _proven(self, user: User | None, password: str) -> User:
        if user is None or user.being_deleted:
            self._passwords.verify_nobody(password)
        self._verify(user, password)
        return user

    def _note_failure(self, user: User | None, client: Client) -> None:
        """Write the failure down; for an account that does not exist, a write that costs the same."""
        if user is None:
            self._throttle.count_unknown_account()
        else:
            Event.of(user.user_id, "sign_in_failed", None, client.address).write()

    def unlock(self, user: User, password: str, identity: Identity) -> Keys:
        """Return the keys that `password` opens, asked for inside a session.

        One computation: unwrapping the vault key proves the password. An
        account without a vault gets one, which costs one more. A wrong
        password counts against the session that sent it. Raises
        `InvalidPassword`, `TooManyRequests`.
        """
        subject = session_subject(identity.user_id, identity.session_id)
        self._throttle.reserve(subject)
        stored = self._stored_vault(user)
        if stored is None:
            self._verify(user, password)
            vault_key = self._make_vault(user, password)
        else:
            vault_key = self._unwrap(stored, user, password)
        self._throttle.reset(subject)
        return self._keys(user, password, vault_key)

    def look(self, user: User, password: str) -> Keys:
        """Return the keys that `password` opens and change nothing. One computation."""
        stored = self._stored_vault(user)
        if stored is not None:
            return self._keys(user, password, self._unwrap(stored, user, password))
        self._verify(user, password)
        return Keys(None, (direct_keys(password, user.salt()),))

    def change_password(
        self, user: User, password: str, new_password: str, identity: Identity, client: Client
    ) -> Grant:
        """Wrap the same vault key under `new_password`; every recording goes on opening.

        The caller's session goes on and every other ends. Three computations.
        Raises `InvalidPassword` and, when somebody else changed the account at
        the same time, `Conflict`.
        """
        keys = self.unlock(user, password, identity)
        self._set_password(user, keys, new_password, {user.salt(): keys.generations[0]})
        self._sessions.end_others(user.user_id, identity.session_id)
        Event.of(user.user_id, "password_changed", identity.session_id, client.address).write()
        if identity.session_id is None:
            return self._sessions.begin(user, client, "signed_in")
        return self._sessions.go_on(user.user_id, identity.session_id)

    def make_recovery_key(
        self, user: User, password: str, identity: Identity, client: Client
    ) -> tuple[str, str]:
        """Return a new recovery key as a person writes it, and when it was made; the one before is void.

        One computation. The direct keys of today's password are kept beside
        it, since after a recovery nobody can derive them any more.
        """
        keys = self.unlock(user, password, identity)
        vault_key = keys.the_vault_key()
        recovery_key = recovery.generate()
        wrapped = recovery.wrap_vault_key(recovery_key, user.user_id, vault_key)
        kept = user.with_direct_keys(vault_key, {user.salt(): keys.generations[0]})
        created_at = user.replace_recovery(wrapped, kept)
        Event.of(user.user_id, "recovery_key_made", identity.session_id, client.address).write()
        return recovery.write(recovery_key), created_at

    def recover(self, email: str, recovery_key: str, new_password: str, client: Client) -> tuple[User, Grant]:
        """Open the account with its recovery key and give it a new password; every session before ends.

        Two computations on success. Raises `InvalidRecoveryKey` for a slip of
        the pen and `RecoveryFailed` for a wrong key and an unknown account alike.
        """
        try:
            key = recovery.parse(recovery_key)
        except recovery.Misspelt as error:
            raise InvalidRecoveryKey() from error
        subject = account_subject(email)
        self._throttle.reserve(subject)
        user = User.find_by_email(email)
        wrapped = user.recovery_wrap() if user else None
        if user is None or wrapped is None or user.being_deleted:
            raise RecoveryFailed()
        try:
            vault_key = recovery.unwrap_vault_key(key, user.user_id, wrapped)
        except recovery.WrongRecoveryKey as error:
            raise RecoveryFailed() from error
        self._set_password(user, Keys(vault_key, ()), new_password, {})
        self._sessions.end_others(user.user_id, None)
        try:
            return user, self._sessions.begin(user, client, "recovered", Attempts.reset_of(subject))
        except ConditionFailed as error:
            raise Conflict() from error

    def change_email(self, user: User, password: str, email: str, identity: Identity, client: Client) -> None:
        """Move the account to another address. One computation. Raises `InvalidPassword`, `UserExists`."""
        self.unlock(user, password, identity)
        if email != user.email:
            user.change_email(email)
            Event.of(user.user_id, "email_changed", identity.session_id, client.address).write()

    def confirm_deletion(self, user: User, password: str, identity: Identity, client: Client) -> None:
        """Prove the password before everything is deleted. Raises `InvalidPassword`."""
        self.unlock(user, password, identity)
        Event.of(user.user_id, "deletion_started", identity.session_id, client.address).write()

    def sign_out(self, identity: Identity, client: Client) -> None:
        """End the caller's session; without one, every token that names none."""
        if identity.session_id is None:
            self._end_unnamed(identity.user_id, int(time.time()) + 1)
        else:
            self._sessions.end(identity.user_id, identity.session_id)
        Event.of(identity.user_id, "signed_out", identity.session_id, client.address).write()

    def sign_out_others(self, identity: Identity, client: Client) -> None:
        """End every session but the caller's, and every token before it that names none."""
        epoch = identity.issued_at if identity.session_id is None else int(time.time()) + 1
        self._end_unnamed(identity.user_id, epoch)
        self._sessions.end_others(identity.user_id, identity.session_id)
        Event.of(identity.user_id, "signed_out", identity.session_id, client.address, others=True).write()

    def _end_unnamed(self, user_id: str, epoch: int) -> None:
        user = User.find(user_id)
        if user is None:
            raise UserNotFound()
        user.move_token_epoch(epoch)
        self._sessions.end_unnamed(user_id)

    def _keys(self, user: User, password: str, vault_key: bytes) -> Keys:
        current = direct_keys(password, user.salt())
        return Keys(vault_key, tuple(dict.fromkeys((current, *user.stored_direct_keys(vault_key)))))

    def _set_password(
        self, user: User, keys: Keys, new_password: str, outgoing: dict[bytes, DirectKeys]
    ) -> None:
        vault_key = keys.the_vault_key()
        key_salt = os.urandom(KEY_SALT_BYTES)
        # The incoming password's keys are kept as well: a recovery could not derive them.
        generations = outgoing | {key_salt: direct_keys(new_password, key_salt)}
        user.replace_password(
            NewPassword(
                password_hash=self._passwords.hash(new_password),
                key_salt=key_salt,
                vault=self._wrap(vault_key, user.user_id, new_password),
                wrapped_direct_keys=user.with_direct_keys(vault_key, generations),
            )
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
            stored = self._stored_vault(user)
            if stored is not None:
                return self._unwrap(stored, user, password)
            # Only the hash has moved on; the password must still be the one it is of.
            self._verify(user, password)
        raise Conflict()

    def _unwrap(self, vault: Vault, user: User, password: str) -> bytes:
        return vaults.unwrap(vault, user.user_id, password, self._permits)

    def _verify(self, user: User, password: str) -> None:
        try:
            self._passwords.verify(password, user.password_hash)
        except DamagedRecord:
            log.error("damaged_record", extra={"user_id": user.user_id, "attribute": "password_hash"})
            raise

    def _stored_vault(self, user: User) -> Vault | None:
        try:
            return user.stored_vault()
        except DamagedRecord:
            log.error("damaged_record", extra={"user_id": user.user_id, "attribute": "vault"})
            raise

    def _refresh_hash(self, user: User, password: str) -> None:
        """Rehash with today's parameters; a login does not fail because that could not be written."""
        if self._passwords.needs_rehash(user.password_hash):
            try:
                user.replace_hash(self._passwords.hash(password))
            except Unavailable:
                log.warning("rehash_postponed", extra={"user_id": user.user_id})

    def _wrap(self, vault_key: bytes, user_id: str, password: str) -> Vault:
        return vaults.wrap(vault_key, user_id, password, self._parameters, self._permits)

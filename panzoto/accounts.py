"""What an account's owner does with a password: register, sign in, open the vault.

Each verb says how many Argon2 computations it costs, since they are nearly
all of what it costs.
"""

from __future__ import annotations

import logging
import os

from panzoto.auth.passwords import Passwords
from panzoto.config import Argon2Parameters
from panzoto.crypto import vault as vaults
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.vault import Vault
from panzoto.errors import (
    Conflict,
    DamagedRecord,
    InvalidCredentials,
    InvalidPassword,
    Unavailable,
    UserExists,
)
from panzoto.models import User
from panzoto.models.connection import ConditionFailed
from panzoto.models.user import KEY_SALT_BYTES, new_user_id
from panzoto.playback import Keys

VAULT_ATTEMPTS = 3

log = logging.getLogger(__name__)


class Accounts:
    """The verbs of an account, with the parameters and permits of this process."""

    def __init__(self, passwords: Passwords, parameters: Argon2Parameters, permits: HashPermits) -> None:
        self._passwords = passwords
        self._parameters = parameters
        self._permits = permits

    def register(self, email: str, password: str) -> User:
        """Make an account with its vault. Two computations. Raises `UserExists`, `Busy`, `Unavailable`."""
        if User.email_is_taken(email):
            raise UserExists()
        user_id = new_user_id()
        password_hash = self._passwords.hash(password)
        vault = self._wrap(vaults.new_vault_key(), user_id, password)
        return User.register(email, user_id, password_hash, os.urandom(KEY_SALT_BYTES), vault)

    def sign_in(self, email: str, password: str) -> User:
        """Return the account of `email` if `password` is its own.

        One computation, whether or not the account exists; one more when its
        hash is of older parameters and one when it has no vault yet. Raises
        `InvalidCredentials`, `DamagedRecord`, `Busy` and `Unavailable`.
        """
        user = User.find_by_email(email)
        try:
            if user is None:
                self._passwords.verify_nobody(password)
                raise InvalidCredentials()
            self._verify(user, password)
        except InvalidPassword as error:
            raise InvalidCredentials() from error
        self._refresh_hash(user, password)
        if self._stored_vault(user) is None:
            self._make_vault(user, password)
        return user

    def unlock(self, user: User, password: str) -> Keys:
        """Return the keys that `password` opens.

        One computation: unwrapping the vault key proves the password. An
        account without a vault gets one, which costs one more. Raises `InvalidPassword`.
        """
        stored = self._stored_vault(user)
        if stored is None:
            self._verify(user, password)
            vault_key = self._make_vault(user, password)
        else:
            vault_key = self._unwrap(stored, user, password)
        current = direct_keys(password, user.salt())
        return Keys(vault_key, [current, *user.earlier_direct_keys(vault_key)])

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

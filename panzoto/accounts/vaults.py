"""What a password opens, and what a new one changes: hash, vault and keys.

Each verb says how many Argon2 computations it costs, since they are nearly
all of what it costs.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace

from panzoto.auth.passwords import Passwords, opens_to_nobody
from panzoto.config import Argon2Parameters
from panzoto.crypto import vault as vaults
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.keys import DerivedLater, DirectKeys, Keys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.transcripts import Voucher
from panzoto.crypto.vault import Vault
from panzoto.errors import Busy, Conflict, InvalidPassword, PasswordNotSet, Unavailable
from panzoto.models import User
from panzoto.models.connection import ConditionFailed
from panzoto.models.credentials import KEY_SALT_BYTES, NewPassword, encoded

VAULT_ATTEMPTS = 3

log = logging.getLogger(__name__)


class Vaults:
    """The computations of one process, with their parameters and permits."""

    def __init__(
        self, passwords: Passwords, parameters: Argon2Parameters, permits: HashPermits, voucher: Voucher
    ) -> None:
        self._passwords = passwords
        self._voucher = voucher
        self._parameters = parameters
        self._permits = permits

    def hash(self, password: str) -> str:
        """Return the hash of a new password. One computation."""
        return self._passwords.hash(password)

    def fresh(self, user_id: str, password: str) -> Vault:
        """Return a vault with a new vault key under `password`. One computation."""
        return self._wrap(vaults.new_vault_key(), user_id, password)

    def proven(self, user: User | None, password: str) -> User:
        """Return the account if `password` is its own. One computation, also where there is no account.

        Raises `InvalidPassword`.
        """
        if user is None or user.being_deleted or not user.has_password:
            self._passwords.verify_nobody(password)
        try:
            self._verify(user, password)
        except InvalidPassword:
            self._passwords.make_up_for(user.password_hash)
            raise
        return user

    def keep_up(self, user: User, password: str) -> None:
        """Give a proven account what it lacks of vault, public key and a hash of today's parameters.

        One computation for each that is missing.
        """
        # The vault first, so that a table that hangs costs one wait; a login can do without the rest.
        stored = user.stored_vault()
        if stored is None:
            self._make_vault(user, password)
        elif self.transcripts_key(user) is None:
            self._try_to_set_transcripts_key(user, stored, password)
        self._refresh_hash(user, password)

    def open(self, user: User, password: str) -> Keys:
        """Return the keys that `password` opens: that the vault key unwraps is the proof. One computation.

        An account without a vault gets one, which costs one more. Raises `InvalidPassword`.
        """
        stored = user.stored_vault()
        if stored is not None:
            vault_key = self._unwrap(stored, user, password)
            self._set_transcripts_key(user, stored, vault_key)
            return _keys(user, password, vault_key)
        self._verify(user, password)
        return _keys(user, password, self._make_vault(user, password))

    def transcripts_key(self, user: User) -> bytes | None:
        """Return the public key that transcripts are sealed to; None where the row has none of this service.

        One that somebody else has put into the row is as good as none. Costs no computation.
        """
        stored = user.stored_vault()
        key = None if stored is None else stored.transcripts
        if stored is None or key is None or not self._voucher.knows(user.user_id, stored.key_id, key):
            return None
        renewed = self._voucher.renewed(user.user_id, stored.key_id, key)
        if renewed is not None:
            # The mark of an earlier secret does as long as that is known.
            with suppress(Unavailable):
                user.set_transcripts_key(renewed)
        return key.public_key

    def look(self, user: User, password: str) -> Keys:
        """Return the keys that `password` opens and change nothing. One computation.

        Raises `InvalidPassword` and `PasswordNotSet`.
        """
        if not user.has_password:
            raise PasswordNotSet()
        stored = user.stored_vault()
        if stored is not None:
            return _keys(user, password, self._unwrap(stored, user, password))
        self._verify(user, password)
        return Keys(None, _current(user, password))

    def under_new_password(
        self, user: User, keys: Keys, new_password: str, outgoing: dict[bytes, DirectKeys]
    ) -> NewPassword:
        """Return what `new_password` changes while the vault key stays. Two computations.

        The direct keys `outgoing`, by their key salt, are kept.
        """
        vault_key = keys.the_vault_key()
        key_salt = os.urandom(KEY_SALT_BYTES)
        # The incoming password's keys are kept as well: a recovery could not derive them.
        generations = outgoing | {key_salt: direct_keys(new_password, key_salt)}
        return NewPassword(
            password_hash=self.hash(new_password),
            key_salt=key_salt,
            vault=self._wrap(vault_key, user.user_id, new_password),
            wrapped_direct_keys=user.with_direct_keys(vault_key, generations),
        )

    def begun_anew(self, user: User, new_password: str, keeps_salt: bool) -> NewPassword:
        """Return what `new_password` changes with a new vault key, which opens nothing of before."""
        return NewPassword(
            password_hash=self.hash(new_password),
            key_salt=user.salt() if keeps_salt else os.urandom(KEY_SALT_BYTES),
            vault=self.fresh(user.user_id, new_password),
            wrapped_direct_keys=[],
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

    def _try_to_set_transcripts_key(self, user: User, stored: Vault, password: str) -> None:
        """Take the public key from the vault; a login does not fail because that is not possible now."""
        try:
            self._set_transcripts_key(user, stored, self._unwrap(stored, user, password))
        except (Busy, Unavailable, InvalidPassword) as error:
            # The earlier service may have changed the password, of which the vault knows nothing.
            log.warning("transcripts_key_postponed", extra={"user_id": user.user_id, "code": error.code})

    def _set_transcripts_key(self, user: User, stored: Vault, vault_key: bytes) -> None:
        """Make the row's public key that of the vault, whatever it was."""
        if self._voucher.knows(user.user_id, stored.key_id, stored.transcripts):
            return
        key = self._voucher.vouch(user.user_id, stored.key_id, vault_key)
        if user.value("transcripts_public_key") not in (None, encoded(key.public_key)):
            log.error("transcripts_key_differed", extra={"user_id": user.user_id})
        user.set_transcripts_key(key)

    def _refresh_hash(self, user: User, password: str) -> None:
        """Rehash with today's parameters; a login does not fail because that could not be written."""
        if self._passwords.needs_rehash(user.password_hash):
            try:
                user.replace_hash(self.hash(password))
            except Unavailable:
                log.warning("rehash_postponed", extra={"user_id": user.user_id})

    def _verify(self, user: User, password: str) -> None:
        with user.naming_damage():
            self._passwords.verify(password, user.password_hash)

    def _unwrap(self, vault: Vault, user: User, password: str) -> bytes:
        return vaults.unwrap(vault, user.user_id, password, self._permits)

    def _wrap(self, vault_key: bytes, user_id: str, password: str) -> Vault:
        vault = vaults.wrap(vault_key, user_id, password, self._parameters, self._permits)
        return replace(vault, transcripts=self._voucher.vouch(user_id, vault.key_id, vault_key))


def is_broken(user: User) -> bool:
    """Whether no password can be verified and none has made a vault, as of some rows that were migrated."""
    stored = user.value("password_hash")
    return stored is not None and user.value("vault") is None and opens_to_nobody(stored)


def _keys(user: User, password: str, vault_key: bytes) -> Keys:
    return Keys(vault_key, _current(user, password), tuple(user.stored_direct_keys(vault_key)))


def _current(user: User, password: str) -> DerivedLater:
    # A salt that is damaged is told at once, whatever is opened.
    salt = user.salt()
    return DerivedLater(lambda: direct_keys(password, salt))

"""What an account is opened with: password hash, vault, direct keys, recovery key, and when tokens end."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pynamodb.expressions.update import Action

from panzoto.crypto.keys import KEY_BYTES, DirectKeys
from panzoto.crypto.transcripts import VouchedKey
from panzoto.crypto.vault import KEY_ID_BYTES, Vault, unwrap_direct_keys, wrap_direct_keys
from panzoto.errors import DamagedRecord, UserNotFound
from panzoto.models.account_row import AccountRow
from panzoto.models.attributes import now, rfc3339
from panzoto.models.connection import Also, ConditionFailed, Transaction
from panzoto.models.session import Session

KEY_SALT_BYTES = 32


class Credentials(AccountRow):
    """The verbs of an account's credentials; part of `User`."""

    def salt(self) -> bytes:
        """Return the 32 bytes of the key salt. Raises `DamagedRecord`."""
        with self.naming_damage():
            salt = decoded(self.key_salt)
            if len(salt) != KEY_SALT_BYTES:
                raise DamagedRecord()
        return salt

    def stored_vault(self) -> Vault | None:
        """Return the vault, or None before the first. Raises `DamagedRecord`."""
        with self.naming_damage():
            return None if self.vault is None else Vault.from_stored(self.vault, self._transcripts_key())

    def _transcripts_key(self) -> VouchedKey | None:
        """Return the public key of the row; one that cannot be one is as good as none."""
        try:
            public_key, mark = (
                decoded(self.value(name) or "") for name in ("transcripts_public_key", "transcripts_key_mark")
            )
        except DamagedRecord:
            return None
        return VouchedKey(public_key, mark) if len(public_key) == KEY_BYTES else None

    def stored_direct_keys(self, vault_key: bytes) -> list[DirectKeys]:
        """Return the direct keys of every password they were kept of, the most recent first."""
        kept = reversed(self.wrapped_direct_keys or [])
        return [unwrap_direct_keys(vault_key, self.user_id, decoded(entry["keys"])) for entry in kept]

    def with_direct_keys(self, vault_key: bytes, keys: dict[bytes, DirectKeys]) -> list[dict[str, str]]:
        """Return what is kept, and `keys` (by their key salt) wrapped beside it where they are new."""
        kept = list(self.wrapped_direct_keys or [])
        there = {entry["key_salt"] for entry in kept}
        for key_salt, generation in keys.items():
            name = encoded(key_salt)
            if name not in there:
                wrapped = wrap_direct_keys(vault_key, self.user_id, generation)
                kept.append({"key_salt": name, "keys": encoded(wrapped)})
        return kept

    @property
    def earlier_direct_keys_kept(self) -> int:
        """Of how many passwords before today's the direct keys are kept."""
        return sum(entry["key_salt"] != self.key_salt for entry in self.wrapped_direct_keys or [])

    def forget_earlier_direct_keys(self, all_but: int = 0) -> None:
        """Give up the direct keys of every password but today's, and the latest `all_but`. Raises `Conflict`.

        Today's stay: after a recovery nobody could derive them, and a phone of before still uses them.
        Any change among the recordings since this row was read is a `Conflict` as well: it may need them.
        """
        stored = self.wrapped_direct_keys or []
        earlier = [entry for entry in stored if entry["key_salt"] != self.key_salt]
        given_up = earlier[: max(0, len(earlier) - all_but)]
        kept = [entry for entry in stored if entry not in given_up]
        self._change_or_conflict(
            [AccountRow.wrapped_direct_keys.set(kept)],
            lambda stored: stored.wrapped_direct_keys == kept,
            self._at_this_change(),
        )

    def replace_password(self, new: NewPassword, also: Also) -> None:
        """Store everything a new password changes and do what `also` adds, at once. Raises `Conflict`."""
        stays = AccountRow.deletion_started_at.does_not_exist()
        self._change_or_conflict(new.actions(), new.is_stored_in, stays, new.ends, also)

    def replace_password_by_mail(self, new: NewPassword, also: Also) -> None:
        """Do the same with a code that came by mail, which confirms the address. Raises `Conflict`."""
        actions = [*new.actions(), AccountRow.email_verified.set(True)]
        self._change_or_conflict(actions, new.is_stored_in, self._still_there(), new.ends, also)

    def start_over(self, new: NewPassword, loses_recordings: bool, also: Also) -> None:
        """Do the same with another vault key, for which there is no recovery key any more.

        Unless `loses_recordings`, any change among the recordings meanwhile is a `Conflict` as well.
        """
        actions = [*new.actions(), AccountRow.recovery.remove(), AccountRow.email_verified.set(True)]
        condition = self._still_there()
        if not loses_recordings:
            condition &= self._at_this_change()
        self._change_or_conflict(actions, new.is_stored_in, condition, new.ends, also)

    def replace_recovery(self, wrapped_key: bytes, direct_keys: list[dict[str, str]], also: Also) -> str:
        """Store a new recovery wrap, which voids the one before, and do what `also` adds, at once.

        Returns when that was. Raises `Conflict`.
        """
        created_at: str = rfc3339(now())
        recovery = {"wrapped_key": encoded(wrapped_key), "created_at": created_at}
        self._change_or_conflict(
            [AccountRow.recovery.set(recovery), AccountRow.wrapped_direct_keys.set(direct_keys)],
            lambda stored: stored.recovery == recovery,
            also=also,
        )
        return created_at

    def recovery_wrap(self) -> bytes | None:
        """Return the vault key wrapped under the recovery key, if one was made."""
        return decoded(self.recovery["wrapped_key"]) if self.recovery else None

    def add_check_to(self, transaction: Transaction) -> None:
        """Let `transaction` fail when the password has changed since this row was read, or nobody may enter.

        A change always brings a new key salt, while a rehash or a first vault leaves it.
        """
        unchanged = (
            (AccountRow.key_salt == self.key_salt)
            & AccountRow.deletion_started_at.does_not_exist()
            & AccountRow.locked_at.does_not_exist()
        )
        transaction.condition_check(type(self), self.user_id, condition=unchanged)

    @property
    def has_password(self) -> bool:
        """Whether the account has a password; one that signs in elsewhere may have none."""
        return self.attribute_values.get("password_hash") is not None

    def end_tokens(self, also: Also) -> None:
        """Let every token that names no session be dead and do what `also` adds, at once.

        Raises `UserNotFound`.
        """
        actions = [AccountRow.token_epoch.set(int(time.time()) + 1), AccountRow.spared_issued_at.remove()]
        if not self._changed_with(actions, AccountRow.user_id.exists(), also):
            raise UserNotFound()

    def accepts_token_issued_at(self, second: int) -> bool:
        """Whether a token that names no session and was issued then is still good."""
        young = second >= int(self.value("token_epoch") or 0)
        closed = self.being_deleted or self.is_locked
        return not closed and (young or second == self.value("spared_issued_at"))

    def move_token_epoch(self, second: int, spared: int | None, also: Also) -> None:
        """Let tokens that name no session and were issued before `second` be dead; do what `also` adds.

        `spared` is the second in which the caller's own token was issued.
        """
        keep = (
            AccountRow.spared_issued_at.remove()
            if spared is None
            else AccountRow.spared_issued_at.set(spared)
        )
        self._change_with([AccountRow.token_epoch.set(second), keep], AccountRow.user_id.exists(), also)

    def set_first_password(self, password_hash: str, vault: Vault, also: Also) -> None:
        """Store the first password of an account that signs in by OpenID, with its vault.

        It does what `also` adds at once. Raises `Conflict`. No token ends by it: there was no password that
        anybody else could have known.
        """
        self._change_or_conflict(
            [AccountRow.password_hash.set(password_hash), *_storing(vault_attributes(vault))],
            lambda stored: stored.vault == vault.to_stored(),
            also=also,
        )

    def set_first_vault(self, vault: Vault) -> None:
        """Store the vault made for the password that this row's hash is of. Raises `ConditionFailed`."""
        self.change(
            [*_storing(vault_attributes(vault)), AccountRow.version.add(1)],
            AccountRow.vault.does_not_exist() & (AccountRow.password_hash == self.password_hash),
        )

    def transcripts_key(self) -> bytes | None:
        """Return the public key for transcripts that the row holds, whoever has written it; None without."""
        known = self._transcripts_key()
        return None if known is None else known.public_key

    def vault_key_id(self) -> bytes:
        """Return the id by which recordings name the vault; zeros, which none has, before the first."""
        stored = self.stored_vault()
        return bytes(KEY_ID_BYTES) if stored is None else stored.key_id

    def public_vault(self) -> dict[str, Any] | None:
        """Return `vault` as clients see it, None before the first. Raises `DamagedRecord`."""
        stored = self.stored_vault()
        return None if stored is None else stored.to_public()

    def set_transcripts_key(self, key: VouchedKey) -> None:
        """Store the public key of the vault that was read, unless there is another vault by now."""
        try:
            self.change(_storing(_key_attributes(key)), AccountRow.vault == self.vault)
        except ConditionFailed:
            self.reload()

    def replace_hash(self, password_hash: str) -> None:
        """Store a fresh hash of the same password, unless the password has changed meanwhile."""
        try:
            self.change(
                [AccountRow.password_hash.set(password_hash)], AccountRow.password_hash == self.password_hash
            )
        except ConditionFailed:
            return


@dataclass(frozen=True, slots=True)
class NewPassword:
    """Everything of an account that depends on its password."""

    password_hash: str
    key_salt: bytes
    vault: Vault
    wrapped_direct_keys: list[dict[str, str]]
    # The sessions that end with the password before it, as many as a transaction takes.
    ends: Sequence[Session] = ()

    def actions(self) -> list[Action]:
        """Return the changes of the account's row."""
        return [
            AccountRow.password_hash.set(self.password_hash),
            AccountRow.key_salt.set(encoded(self.key_salt)),
            *_storing(vault_attributes(self.vault)),
            AccountRow.wrapped_direct_keys.set(self.wrapped_direct_keys),
            AccountRow.token_epoch.set(int(time.time()) + 1),
            # Who asked for another address may have known the former password.
            AccountRow.pending_email.remove(),
        ]

    def is_stored_in(self, user: AccountRow) -> bool:
        """Whether `user` has this very password: each has a vault of its own."""
        stored: bool = user.vault == self.vault.to_stored()
        return stored


def vault_attributes(vault: Vault) -> dict[str, Any]:
    """Return what a row holds of a vault: itself, and the public key that goes with it."""
    key = vault.transcripts
    return {"vault": vault.to_stored(), **({} if key is None else _key_attributes(key))}


def _key_attributes(key: VouchedKey) -> dict[str, str]:
    return {"transcripts_public_key": encoded(key.public_key), "transcripts_key_mark": encoded(key.mark)}


def _storing(attributes: dict[str, Any]) -> list[Action]:
    return [getattr(AccountRow, name).set(value) for name, value in attributes.items()]


def encoded(value: bytes) -> str:
    """Return bytes as rows hold them, in base64."""
    return base64.b64encode(value).decode("ascii")


def decoded(value: str) -> bytes:
    """Raises `DamagedRecord`."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedRecord() from error

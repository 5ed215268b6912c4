"""Accounts. Rows of the earlier service read as they are; everything newer is optional."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.condition import size as size_of
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from panzoto.auth.mail_address import spellings
from panzoto.crypto.keys import DirectKeys
from panzoto.crypto.vault import Vault, unwrap_direct_keys, wrap_direct_keys
from panzoto.errors import Conflict, DamagedRecord, InvalidCode, UserExists, UserNotFound
from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.claim import Claim
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures, transact
from panzoto.models.session import Session
from panzoto.models.throttle import Attempts

KEY_SALT_BYTES = 32
# Beyond so many names nobody recognises a device any more, and each new one is told of.
KNOWN_DEVICES = 200
RESERVATIONS = 16

# (end in epoch seconds, recordings, bytes)
Reservation = tuple[int, int, int]


class EmailIndex(GlobalSecondaryIndex["User"]):
    """Accounts by address, for rows that have no claim on theirs."""

    class Meta:
        index_name = "email-index"
        projection = AllProjection()

    email = UnicodeAttribute(hash_key=True)


class User(StoredModel):
    """One account.

    One that signs in by OpenID has no `email`, which would put it into the
    index beside the accounts of passwords; what its provider says is
    `openid_email`. Until its owner sets a password it has no `password_hash`
    and no vault.

    `version` counts the changes of what the password protects; who changes it
    says which version was read, so that of two at once one wins.
    """

    class Meta(BaseMeta):
        table_name = "panzoto-users"

    email_index = EmailIndex()
    user_id = UnicodeAttribute(hash_key=True)
    email = UnicodeAttribute(null=True)
    password_hash = UnicodeAttribute(null=True)
    key_salt = UnicodeAttribute()
    created_at = EpochAttribute()
    created_at_iso = UnicodeAttribute(null=True)
    vault = JSONAttribute(null=True)
    wrapped_direct_keys = JSONAttribute(null=True)
    recovery = JSONAttribute(null=True)
    version = NumberAttribute(null=True)
    claims_complete = BooleanAttribute(null=True)
    # Tokens that name no session and were issued before this second are dead.
    token_epoch = NumberAttribute(null=True)
    spared_issued_at = NumberAttribute(null=True)
    # How many recordings and bytes there are among those that have a number.
    used_recordings = NumberAttribute(null=True)
    used_bytes = NumberAttribute(null=True)
    # What was announced and given up while an address for it is good, see `reserving`.
    reservations = JSONAttribute(null=True)
    # The number of the latest change among the recordings.
    change_number = NumberAttribute(null=True)
    # Of an account that is being taken up: no recording that is listed before it is without a number.
    settled_to = EpochAttribute(null=True)
    email_verified = BooleanAttribute(null=True)
    # Where the account moves when a code comes back, and the addresses it had of late; see `address`.
    pending_email = UnicodeAttribute(null=True)
    kept_emails = JSONAttribute(null=True)
    # Marks of the device names that have signed in, for a notice when another one does.
    known_devices = UnicodeSetAttribute(null=True)
    # The name of the claim on issuer and subject, and the address that the provider has verified.
    openid_claim = UnicodeAttribute(null=True)
    openid_email = UnicodeAttribute(null=True)
    # Since when an operator keeps everybody out, its owner included.
    locked_at = EpochAttribute(null=True)
    # Since when the account is being deleted.
    deletion_started_at = EpochAttribute(null=True)

    @classmethod
    def find(cls, user_id: str) -> User | None:
        """Return the account, strongly consistent."""
        with storage_failures():
            try:
                return cls.get(user_id, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def find_and_claim_email(cls, email: str) -> User | None:
        """Return the account that claims `email`; costs two reads whether or not there is one.

        A row of the earlier service has no claim: the index answers and the claim is written then.
        """
        claim = Claim.on_email(email)
        if claim is not None:
            return cls.find(claim.user_id)
        user = cls._in_index(email)
        if user is not None:
            Claim.for_email(email, user.user_id).take_if_free()
        return user

    @classmethod
    def find_by_email(cls, email: str) -> User | None:
        """Return the account of `email` as `find_and_claim_email` does, and write nothing."""
        claim = Claim.on_email(email)
        return cls._in_index(email) if claim is None else cls.find(claim.user_id)

    @classmethod
    def _in_index(cls, email: str) -> User | None:
        for spelling in spellings(email):
            with storage_failures():
                rows = list(cls.email_index.query(spelling, limit=10))
            if rows:
                return min(rows, key=lambda row: (row.created_at, row.user_id))
        return None

    @classmethod
    def email_is_taken(cls, email: str) -> bool:
        """Whether nobody may register the mailbox: an account has it, or it is kept for one."""
        return Claim.takes_email(email) or cls._in_index(email) is not None

    @classmethod
    def register(
        cls,
        *,
        email: str,
        user_id: str,
        password_hash: str,
        key_salt: bytes,
        vault: Vault,
        device_name: str,
        also: Callable[[Transaction], None],
    ) -> User:
        """Write a new account, its claim on `email` and what `also` adds in one transaction.

        Raises `UserExists`.
        """
        created = now()
        user = cls(
            user_id=user_id,
            email=email,
            password_hash=password_hash,
            key_salt=_encoded(key_salt),
            created_at=created,
            created_at_iso=rfc3339(created),
            vault=vault.to_public(),
            known_devices={_device_mark(device_name)},
            version=1,
        )

        def fill(transaction: Transaction) -> None:
            Claim.for_email(email, user_id).add_to(transaction)
            transaction.save(user, condition=User.user_id.does_not_exist())
            also(transaction)

        try:
            transact(fill, cls)
        except ConditionFailed as error:
            # A write whose reply was lost is sent again and then meets its own claim.
            claim = Claim.on_email(email)
            if claim is None or claim.user_id != user_id:
                raise UserExists() from error
        return user

    def follow_openid_email(self, email: str | None) -> None:
        """Take over the address that the provider tells now."""
        action = User.openid_email.remove() if email is None else User.openid_email.set(email)
        try:
            self.change([action], User.openid_claim.exists())
        except ConditionFailed:
            # The account is gone, which the check of the token tells.
            return

    @property
    def signs_in_by_openid(self) -> bool:
        return self.attribute_values.get("openid_claim") is not None

    @property
    def mail_address(self) -> str | None:
        """Where mail reaches the owner: the account's address, or the one that its provider has verified."""
        return self.email or self.openid_email

    def to_public(self) -> dict[str, Any]:
        """Return `user` as clients see it."""
        return {"user_id": self.user_id, "email": self.mail_address, "created_at": rfc3339(self.created_at)}

    def to_export(self) -> dict[str, Any]:
        """Return what an export holds of the account: all that opens its recordings, but no password hash."""
        return {
            **self.to_public(),
            "key_salt": self.salt().hex(),
            "vault": self.vault,
            "recovery": self.recovery,
            "earlier_direct_keys": self.wrapped_direct_keys or [],
        }

    def salt(self) -> bytes:
        """Return the 32 bytes of the key salt. Raises `DamagedRecord`."""
        with self.naming_damage():
            salt = _decoded(self.key_salt)
            if len(salt) != KEY_SALT_BYTES:
                raise DamagedRecord()
        return salt

    def stored_vault(self) -> Vault | None:
        """Return the vault, or None before the first. Raises `DamagedRecord`."""
        with self.naming_damage():
            return None if self.vault is None else Vault.from_stored(self.vault)

    @contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Let a `DamagedRecord` raised inside say whose row it is, for the log."""
        try:
            yield
        except DamagedRecord as error:
            error.row = error.row or self.user_id
            raise

    def stored_direct_keys(self, vault_key: bytes) -> list[DirectKeys]:
        """Return the direct keys of every password they were kept of, the most recent first."""
        kept = reversed(self.wrapped_direct_keys or [])
        return [unwrap_direct_keys(vault_key, self.user_id, _decoded(entry["keys"])) for entry in kept]

    def with_direct_keys(self, vault_key: bytes, keys: dict[bytes, DirectKeys]) -> list[dict[str, str]]:
        """Return what is kept, and `keys` (by their key salt) wrapped beside it where they are new."""
        kept = list(self.wrapped_direct_keys or [])
        there = {entry["key_salt"] for entry in kept}
        for key_salt, generation in keys.items():
            name = _encoded(key_salt)
            if name not in there:
                wrapped = wrap_direct_keys(vault_key, self.user_id, generation)
                kept.append({"key_salt": name, "keys": _encoded(wrapped)})
        return kept

    @property
    def has_earlier_direct_keys(self) -> bool:
        """Whether direct keys of passwords before today's are kept."""
        return any(entry["key_salt"] != self.key_salt for entry in self.wrapped_direct_keys or [])

    def forget_earlier_direct_keys(self) -> None:
        """Give up the direct keys of every password but today's. Raises `Conflict`.

        Today's stay: after a recovery nobody could derive them, and a phone of before still uses them.
        """
        kept = [entry for entry in self.wrapped_direct_keys or [] if entry["key_salt"] == self.key_salt]
        self._change_or_conflict(
            [User.wrapped_direct_keys.set(kept)], lambda stored: stored.wrapped_direct_keys == kept
        )

    def replace_password(self, new: NewPassword) -> None:
        """Store everything a new password changes in one conditional write. Raises `Conflict`."""
        self._change_or_conflict(new.actions(), new.is_stored_in, ends=new.ends)

    def replace_password_by_mail(self, new: NewPassword) -> None:
        """Do the same with a code that came by mail, which confirms the address. Raises `Conflict`."""
        actions = [*new.actions(), User.email_verified.set(True)]
        self._change_or_conflict(actions, new.is_stored_in, self._still_there(), new.ends)

    def start_over(self, new: NewPassword, loses_recordings: bool) -> None:
        """Do the same with another vault key, for which there is no recovery key any more.

        Unless `loses_recordings`, any change among the recordings meanwhile is a `Conflict` as well.
        """
        actions = [*new.actions(), User.recovery.remove(), User.email_verified.set(True)]
        condition = self._still_there()
        if not loses_recordings:
            condition &= self._at_this_change()
        self._change_or_conflict(actions, new.is_stored_in, condition, new.ends)

    def _still_there(self) -> Condition:
        """The condition that the account is not being deleted and has the address that was read."""
        there: Condition = (User.email == self.email) & User.deletion_started_at.does_not_exist()
        return there

    def replace_recovery(self, wrapped_key: bytes, direct_keys: list[dict[str, str]]) -> str:
        """Store a new recovery wrap, which voids the one before, and return when. Raises `Conflict`."""
        created_at: str = rfc3339(now())
        recovery = {"wrapped_key": _encoded(wrapped_key), "created_at": created_at}
        self._change_or_conflict(
            [User.recovery.set(recovery), User.wrapped_direct_keys.set(direct_keys)],
            lambda stored: stored.recovery == recovery,
        )
        return created_at

    def recovery_wrap(self) -> bytes | None:
        """Return the vault key wrapped under the recovery key, if one was made."""
        return _decoded(self.recovery["wrapped_key"]) if self.recovery else None

    def _change_or_conflict(
        self,
        actions: list[Action],
        is_ours: Callable[[User], bool],
        also: Condition | None = None,
        ends: Sequence[Session] = (),
    ) -> None:
        """Write at the version that was read, and end the sessions `ends` with it.

        A refusal is no conflict when what is stored is ours.

        A write whose reply was lost is sent again and then meets its own result.
        """
        try:
            unchanged = self.at_this_version() if also is None else self.at_this_version() & also
            self._change_and_end([*actions, User.version.add(1)], unchanged, ends)
        except ConditionFailed as error:
            self.reload()
            if not is_ours(self):
                raise Conflict() from error

    def at_this_version(self) -> Condition:
        """The condition that nobody changed the account since this row was read."""
        version = self.attribute_values.get("version")
        return User.version.does_not_exist() if version is None else User.version == version

    def add_check_to(self, transaction: Transaction) -> None:
        """Let `transaction` fail when the password has changed since this row was read, or nobody may enter.

        A change always brings a new key salt, while a rehash or a first vault leaves it.
        """
        unchanged = (
            (User.key_salt == self.key_salt)
            & User.deletion_started_at.does_not_exist()
            & User.locked_at.does_not_exist()
        )
        transaction.condition_check(User, self.user_id, condition=unchanged)

    @property
    def next_change_number(self) -> int:
        """The number of the next change of this account's recordings."""
        return int(self.attribute_values.get("change_number") or 0) + 1

    def add_changes_to(
        self,
        transaction: Transaction,
        count: int,
        recordings: int,
        size: int,
        *,
        reserved: Sequence[tuple[datetime, int, int]] = (),
        settled_to: datetime | None = None,
    ) -> None:
        """Take `count` change numbers and count `recordings` and `size` bytes more, as part of `transaction`.

        What is `reserved`, until when and how much, goes on counting against the quota. Up to
        `settled_to` no recording is without a number. It fails when another change was faster, and for an
        account that is being deleted.
        """
        actions: list[Action] = [
            User.change_number.add(count),
            User.used_recordings.add(recordings),
            User.used_bytes.add(size),
        ]
        if reserved:
            held = self._reservations()
            for one in reserved:
                held = reserving(held, *one)
            actions.append(User.reservations.set(held))
        if settled_to is not None:
            actions.append(User.settled_to.set(settled_to))
        transaction.update(
            User(self.user_id), actions=actions, condition=self._at_this_change() & self._counted_as_read()
        )

    def _counted_as_read(self) -> Condition:
        """The condition that there still are counters, or still none: a move may take them away."""
        counters = User.used_recordings
        uncounted = self.value("used_recordings") is None
        condition: Condition = counters.does_not_exist() if uncounted else counters.exists()
        return condition

    def _reservations(self) -> list[Reservation]:
        """Return those that have not ended: (end in epoch seconds, recordings, bytes)."""
        moment = int(time.time())
        held = self.value("reservations") or ()
        return [(ends, recordings, size) for ends, recordings, size in held if ends > moment]

    def usage_with_reservations(self) -> tuple[int, int]:
        """Return what counts against the quota: what is there, and what addresses given out may bring."""
        recordings, size = self.counted_usage()
        held = self._reservations()
        return recordings + sum(one[1] for one in held), size + sum(one[2] for one in held)

    def _at_this_change(self) -> Condition:
        number = self.attribute_values.get("change_number")
        same = User.change_number.does_not_exist() if number is None else User.change_number == number
        condition: Condition = same & User.user_id.exists() & User.deletion_started_at.does_not_exist()
        return condition

    @property
    def is_counted(self) -> bool:
        """Whether every recording has its claim and its number and is counted."""
        return bool(self.attribute_values.get("claims_complete"))

    def counted_usage(self) -> tuple[int, int]:
        """Return how many recordings and bytes are counted: those that have a number, see `is_counted`."""
        values = self.attribute_values
        return int(values.get("used_recordings") or 0), int(values.get("used_bytes") or 0)

    @property
    def has_verified_email(self) -> bool:
        """Whether somebody has shown that mail to the address reaches them, or their provider says so."""
        values = self.attribute_values
        return bool(values.get("email_verified")) or values.get("openid_email") is not None

    def confirm_email(self) -> None:
        """Note that mail to this address reaches the owner. Raises `InvalidCode` when it has changed."""
        if self.has_verified_email:
            return
        try:
            self.change([User.email_verified.set(True)], self._still_there())
        except ConditionFailed as error:
            raise InvalidCode() from error

    @property
    def has_password(self) -> bool:
        """Whether the account has a password; one that signs in elsewhere may have none."""
        return self.attribute_values.get("password_hash") is not None

    def knows_device(self, device_name: str) -> bool:
        """Whether a device of this name has signed in before."""
        return _device_mark(device_name) in (self.known_devices or ())

    @classmethod
    def know_device(cls, user_id: str, device_name: str) -> None:
        """Remember a device's name, unless the account is gone or knows very many."""
        known = cls.known_devices
        room = known.does_not_exist() | (size_of(known) < KNOWN_DEVICES)
        try:
            with storage_failures():
                cls(user_id).update(
                    actions=[known.add({_device_mark(device_name)})], condition=cls.user_id.exists() & room
                )
        except ConditionFailed:
            return

    @property
    def being_deleted(self) -> bool:
        """Whether the account's deletion has begun; nothing may be done with it any more."""
        return self.attribute_values.get("deletion_started_at") is not None

    def begin_deletion(self, also: Callable[[Transaction], None]) -> datetime:
        """Mark the account as being deleted and do what `also` adds, at once; return since when."""
        actions = [User.deletion_started_at.set(now()), User.token_epoch.set(int(time.time()) + 1)]
        with suppress(ConditionFailed):
            self._change_with(actions, User.deletion_started_at.does_not_exist(), also)
        self.reload()
        return self.deletion_started_at

    @property
    def is_locked(self) -> bool:
        """Whether an operator has locked the account: nobody comes in, and everything stays."""
        return self.attribute_values.get("locked_at") is not None

    def lock(self, also: Callable[[Transaction], None]) -> bool:
        """Lock the account and do what `also` adds, at once; False when it was locked or is being deleted.

        Whatever somebody is about to change of what the password protects fails by it.
        """
        actions = [
            User.locked_at.set(now()),
            User.token_epoch.set(int(time.time()) + 1),
            User.spared_issued_at.remove(),
            User.version.add(1),
        ]
        free = User.locked_at.does_not_exist() & User.deletion_started_at.does_not_exist()
        return self._changed_with(actions, free, also)

    def unlock(self, also: Callable[[Transaction], None]) -> bool:
        """Let the account be used again and do what `also` adds, at once; False when it was not locked."""
        actions = [User.locked_at.remove(), User.version.add(1)]
        return self._changed_with(actions, User.locked_at.exists(), also)

    def end_tokens(self, also: Callable[[Transaction], None]) -> None:
        """Let every token that names no session be dead and do what `also` adds, at once.

        Raises `UserNotFound`.
        """
        actions = [User.token_epoch.set(int(time.time()) + 1), User.spared_issued_at.remove()]
        if not self._changed_with(actions, User.user_id.exists(), also):
            raise UserNotFound()

    def _changed_with(
        self, actions: Sequence[Action], condition: Condition, also: Callable[[Transaction], None]
    ) -> bool:
        try:
            self._change_with(actions, condition, also)
        except ConditionFailed:
            return False
        return True

    def _change_with(
        self, actions: Sequence[Action], condition: Condition, also: Callable[[Transaction], None]
    ) -> None:
        """Do as `change` does and what `also` adds, in one transaction."""

        def fill(transaction: Transaction) -> None:
            transaction.update(
                User(self.user_id), actions=[*actions], condition=User.user_id.exists() & condition
            )
            also(transaction)

        transact(fill, User)

    def remove(self) -> None:
        """Remove the row and its claim on address or subject in one transaction: a deletion's last step.

        A claim that is another account's, as of two rows of the earlier service
        with one address, stays. That somebody else just removed the row is as good.
        """

        claims = 1

        def row_alone(transaction: Transaction) -> None:
            transaction.delete(self, condition=User.deletion_started_at.exists())

        def with_its_claim(transaction: Transaction) -> None:
            nonlocal claims
            if self.signs_in_by_openid:
                Claim(claim=self.openid_claim, user_id=self.user_id).release_in(transaction)
                Attempts.hold_in(transaction, self.openid_claim)
            else:
                claims = Claim.release_email_in(transaction, self.email, self.user_id)
                for kept, _ in self.value("kept_emails") or ():
                    claims += Claim.release_kept_in(transaction, kept, self.user_id)
            row_alone(transaction)

        try:
            transact(with_its_claim, User)
        except ConditionFailed as error:
            # The deletes come first: of the claims, then of the row.
            if not error.failed[claims]:
                transact(row_alone, User)

    @classmethod
    def all_being_deleted(cls) -> Iterator[User]:
        """Yield the accounts whose deletion has begun; reads the whole table, for a daily sweep."""
        with storage_failures():
            yield from cls.scan(cls.deletion_started_at.exists())

    @classmethod
    def all_ids(cls) -> set[str]:
        """Return the id of every account; reads the whole table."""
        with storage_failures():
            return {user.user_id for user in cls.scan(attributes_to_get=["user_id"], consistent_read=True)}

    @classmethod
    def all_of_openid_email(cls, email: str) -> Iterator[User]:
        """Yield the accounts whose provider tells this address; reads the whole table."""
        with storage_failures():
            for user in cls.scan(cls.openid_claim.exists() & cls.openid_email.exists()):
                if user.openid_email.strip().lower() == email:
                    yield user

    @classmethod
    def all_counted(cls) -> Iterator[User]:
        """Yield the accounts whose usage is counted; reads the whole table."""
        with storage_failures():
            yield from cls.scan(cls.claims_complete.exists(), consistent_read=True)

    def accepts_token_issued_at(self, second: int) -> bool:
        """Whether a token that names no session and was issued then is still good."""
        young = second >= int(self.value("token_epoch") or 0)
        closed = self.being_deleted or self.is_locked
        return not closed and (young or second == self.value("spared_issued_at"))

    def move_token_epoch(self, second: int, spared: int | None = None) -> None:
        """Let tokens that name no session and were issued before `second` be dead.

        `spared` is the second in which the caller's own token was issued.
        """
        keep = User.spared_issued_at.remove() if spared is None else User.spared_issued_at.set(spared)
        self.change([User.token_epoch.set(second), keep], User.user_id.exists())

    def change(self, actions: list[Action], condition: Condition) -> None:
        """Apply `actions` in one conditional write and take over what is stored then.

        Raises `ConditionFailed`.
        """
        with storage_failures():
            self.update(actions=actions, condition=User.user_id.exists() & condition)

    def _change_and_end(self, actions: list[Action], condition: Condition, ends: Sequence[Session]) -> None:
        """Do as `change` does, and end sessions in the same transaction."""
        if not ends:
            self.change(actions, condition)
            return

        def fill(transaction: Transaction) -> None:
            for session in ends:
                transaction.delete(session)
            transaction.update(
                User(self.user_id), actions=actions, condition=User.user_id.exists() & condition
            )

        transact(fill, User)
        self.reload()

    def reload(self) -> None:
        """Take over what is stored now. Raises `UserNotFound`."""
        stored = User.find(self.user_id)
        if stored is None:
            raise UserNotFound()
        self.attribute_values = stored.attribute_values

    def set_first_password(self, password_hash: str, vault: Vault) -> None:
        """Store the first password of an account that signs in by OpenID, with its vault. Raises `Conflict`.

        No token ends by it: there was no password that anybody else could have known.
        """
        self._change_or_conflict(
            [User.password_hash.set(password_hash), User.vault.set(vault.to_public())],
            lambda stored: stored.vault == vault.to_public(),
        )

    def set_first_vault(self, vault: Vault) -> None:
        """Store the vault made for the password that this row's hash is of. Raises `ConditionFailed`."""
        self.change(
            [User.vault.set(vault.to_public()), User.version.add(1)],
            User.vault.does_not_exist() & (User.password_hash == self.password_hash),
        )

    def replace_hash(self, password_hash: str) -> None:
        """Store a fresh hash of the same password, unless the password has changed meanwhile."""
        try:
            self.change([User.password_hash.set(password_hash)], User.password_hash == self.password_hash)
        except ConditionFailed:
            return

    def set_usage(self, recordings: int, size: int) -> bool:
        """Correct the counters; False when a recording has changed since this row was read."""
        try:
            self.change(
                [User.used_recordings.set(recordings), User.used_bytes.set(size)], self._at_this_change()
            )
        except ConditionFailed:
            return False
        return True

    def mark_settled(self) -> None:
        """Remember that every recording has its claim and its number and is counted."""
        actions: list[Action] = [
            User.claims_complete.set(True),
            User.settled_to.remove(),
            User.used_recordings.add(0),
            User.used_bytes.add(0),
        ]
        try:
            self.change(actions, self._counted_as_read() & User.deletion_started_at.does_not_exist())
        except ConditionFailed:
            # A move has changed recordings meanwhile, or the account is being deleted.
            self.reload()


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
            User.password_hash.set(self.password_hash),
            User.key_salt.set(_encoded(self.key_salt)),
            User.vault.set(self.vault.to_public()),
            User.wrapped_direct_keys.set(self.wrapped_direct_keys),
            User.token_epoch.set(int(time.time()) + 1),
            # Who asked for another address may have known the former password.
            User.pending_email.remove(),
        ]

    def is_stored_in(self, user: User) -> bool:
        """Whether `user` has this very password: each has a vault of its own."""
        stored: bool = user.vault == self.vault.to_public()
        return stored


def reserving(held: list[Reservation], until: datetime, recordings: int, size: int) -> list[Reservation]:
    """Return `held` with one reservation more; there are never many, since the youngest are joined."""
    ends = math.ceil(until.timestamp())
    if len(held) >= RESERVATIONS:
        *held, (last_end, last_recordings, last_size) = sorted(held)
        ends = max(ends, last_end)
        recordings, size = recordings + last_recordings, size + last_size
    return [*held, (ends, recordings, size)]


def _device_mark(device_name: str) -> str:
    return hashlib.sha256(device_name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decoded(value: str) -> bytes:
    """Raises `DamagedRecord`."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedRecord() from error


def new_user_id() -> str:
    """Return a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())

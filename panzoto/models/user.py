"""Accounts. Rows of the earlier service read as they are; everything newer is optional."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.condition import size as size_of
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection

from panzoto.auth.mail_address import spellings
from panzoto.crypto.vault import Vault
from panzoto.errors import InvalidCode, Unavailable, UserExists
from panzoto.models.attempts import Attempts
from panzoto.models.attributes import EpochAttribute, now, rfc3339
from panzoto.models.claim import Claim
from panzoto.models.connection import Also, BaseMeta, ConditionFailed, Transaction, storage_failures, transact
from panzoto.models.credentials import Credentials, encoded, vault_attributes
from panzoto.models.damage import with_damaged
from panzoto.models.due import shard_of
from panzoto.models.usage import Usage
from panzoto.models.wire import DAMAGE

# Beyond so many names nobody recognises a device any more, and each new one is told of.
KNOWN_DEVICES = 200


class EmailIndex(GlobalSecondaryIndex["User"]):
    """Accounts by address, for rows that have no claim on theirs."""

    class Meta:
        index_name = "email-index"
        projection = AllProjection()

    email = UnicodeAttribute(hash_key=True)


class UserDueIndex(GlobalSecondaryIndex["User"]):
    """The accounts at which chores are due, or will be."""

    class Meta:
        index_name = "user-due-index"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = EpochAttribute(range_key=True)


@dataclass(frozen=True, slots=True)
class DueAccount:
    """An account at which chores are due since `due_at`, as the index tells."""

    user_id: str
    due_at: datetime


class User(Credentials, Usage):
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
    due_index = UserDueIndex()

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
        also: Also,
    ) -> User:
        """Write a new account, its claim on `email` and what `also` adds in one transaction.

        Raises `UserExists`.
        """
        created = now()
        user = cls(
            user_id=user_id,
            email=email,
            password_hash=password_hash,
            key_salt=encoded(key_salt),
            created_at=created,
            created_at_iso=rfc3339(created),
            **vault_attributes(vault),
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
            "vault": self.public_vault(),
            "recovery": self.recovery,
            "earlier_direct_keys": self.wrapped_direct_keys or [],
        }

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

    @classmethod
    def due(cls, shard: str, until: datetime, limit: int) -> list[DueAccount]:
        """Return up to `limit` accounts of a shard that are due by `until`, the longest due first.

        The index follows a moment later. Raises `IndexMissing`.
        """
        with storage_failures():
            found = cls.due_index.query(shard, cls.due_at <= until, limit=limit, page_size=limit)
            return [DueAccount(row.user_id, row.due_at) for row in found]

    @classmethod
    def ids_there(cls, user_ids: set[str]) -> set[str]:
        """Return those of up to 100 ids that are accounts', strongly consistent."""
        with storage_failures():
            found = cls.batch_get(sorted(user_ids), consistent_read=True, attributes_to_get=["user_id"])
            return {row.user_id for row in found}

    @classmethod
    def some_ids(cls, limit: int, after: str | None) -> tuple[list[str], str | None]:
        """Return the ids of up to `limit` accounts, in no order, and where the next are; None at the end."""
        start = None if after is None else {"user_id": {"S": after}}
        with storage_failures():
            found = cls.scan(limit=limit, last_evaluated_key=start, attributes_to_get=["user_id"])
            ids = [row.user_id for row in found]
        last = found.last_evaluated_key
        return ids, None if last is None else last["user_id"]["S"]

    @classmethod
    def take_due(cls, due: DueAccount, again_at: datetime) -> bool:
        """Take a due account for oneself until `again_at`, when it is due again unless its chores are done.

        False when somebody else took it, or it has changed or is gone.
        """
        try:
            with storage_failures():
                cls(due.user_id).update(
                    actions=[cls.due_at.set(again_at)],
                    condition=cls.user_id.exists() & (cls.due_at == due.due_at),
                )
        except ConditionFailed:
            return False
        except DAMAGE:
            # It is written, and whoever does the chores will meet what is wrong with the row.
            return True
        return True

    @classmethod
    def note_plan(cls, user_id: str, due_at: datetime) -> None:
        """Note that a plan of a sitting is about to lie in the bucket, to be looked for at `due_at`.

        What falls due before that stays; what falls due later, as days in the trash, gives way.
        """
        also: list[Action] = [cls.plans_at.set(now())]
        sooner: list[Action] = [*also, cls.due_at.set(due_at), cls.due_shard.set(shard_of(user_id))]
        is_due_later: Condition = cls.due_at.does_not_exist() | (cls.due_at > due_at)
        # The second is for whoever is due by then, the third for whom a look has just ended in between.
        for actions, condition in (
            (sooner, is_due_later),
            (also, cls.due_at <= due_at),
            (sooner, is_due_later),
        ):
            with suppress(ConditionFailed), storage_failures():
                cls(user_id).update(actions=actions, condition=cls.user_id.exists() & condition)
                return

    def begin_deletion(self, also: Also) -> datetime:
        """Mark the account as being deleted and do what `also` adds, at once; return since when.

        Raises `UserNotFound` and `Unavailable`, which both tell that nobody has seen the mark.
        """
        started = now()
        actions = [
            User.deletion_started_at.set(started),
            User.token_epoch.set(int(time.time()) + 1),
            User.due_at.set(now()),
            User.due_shard.set(shard_of(self.user_id)),
        ]
        try:
            self._change_with(actions, User.deletion_started_at.does_not_exist(), also)
        except (ConditionFailed, Unavailable) as error:
            # It may be marked all the same: by somebody else, or by a write whose answer was lost.
            self.reload()
            if not self.being_deleted:
                raise Unavailable() from error
            return self.deletion_started_at
        # Nothing is read after the mark, for what fails then would deny what is done.
        return started

    def lock(self, also: Also) -> bool:
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

    def unlock(self, also: Also) -> bool:
        """Let the account be used again and do what `also` adds, at once; False when it was not locked.

        Nothing of it goes by time alone for a while, see `rests_until`.
        """
        actions = [User.locked_at.remove(), User.unlocked_at.set(now()), User.version.add(1)]
        return self._changed_with(actions, User.locked_at.exists(), also)

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
        """Yield the accounts whose deletion has begun, damaged ones as well; reads the whole table."""
        with storage_failures():
            yield from with_damaged(cls.scan(cls.deletion_started_at.exists()))

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


def _device_mark(device_name: str) -> str:
    return hashlib.sha256(device_name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def new_user_id() -> str:
    """Return a random UUID (RFC 9562, version 4)."""
    return str(uuid.uuid4())

"""The row of an account: its attributes, and how it is read and written.

What is done with it lies in `user` (who it is), `credentials` and `usage`. Rows of the earlier service read
as they are; everything newer is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.errors import Conflict, DamagedRecord, UserNotFound
from panzoto.models.attributes import EpochAttribute, StoredModel
from panzoto.models.connection import Also, ConditionFailed, Transaction, storage_failures, together, transact
from panzoto.models.session import Session


class AccountRow(StoredModel):
    """What all modules about an account share; `User` is the model of the table."""

    user_id = UnicodeAttribute(hash_key=True)
    email = UnicodeAttribute(null=True)
    password_hash = UnicodeAttribute(null=True)
    key_salt = UnicodeAttribute()
    created_at = EpochAttribute()
    created_at_iso = UnicodeAttribute(null=True)
    vault = JSONAttribute(null=True)
    wrapped_direct_keys = JSONAttribute(null=True)
    recovery = JSONAttribute(null=True)
    # What transcripts are sealed to, and the mark by which the service knows it as its own; both base64.
    transcripts_public_key = UnicodeAttribute(null=True)
    transcripts_key_mark = UnicodeAttribute(null=True)
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
    # When a move last wrote recordings without a number; an index tells of them a moment later.
    unnumbered_at = EpochAttribute(null=True)
    # Since when chores are due, or when they will be, and in which shard of `user-due-index` that stands.
    due_at = EpochAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    # Up to which change the chores have looked at all that may fall due.
    swept_to = NumberAttribute(null=True)
    # Since when a plan of a sitting may lie in the bucket.
    plans_at = EpochAttribute(null=True)
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
    # When an operator last let them in again.
    unlocked_at = EpochAttribute(null=True)
    # Since when the account is being deleted.
    deletion_started_at = EpochAttribute(null=True)

    @classmethod
    def find(cls, user_id: str) -> Self | None:
        """Return the account, strongly consistent."""
        with storage_failures():
            try:
                return cls.get(user_id, consistent_read=True, attributes_to_get=cls.readable)
            except cls.DoesNotExist:
                return None

    @contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Let a `DamagedRecord` raised inside say whose row it is, for the log."""
        try:
            yield
        except DamagedRecord as error:
            error.row = error.row or self.user_id
            raise

    def _still_there(self) -> Condition:
        """The condition that the account is not being deleted and has the address that was read."""
        there: Condition = (AccountRow.email == self.email) & AccountRow.deletion_started_at.does_not_exist()
        return there

    def _change_or_conflict(
        self,
        actions: list[Action],
        is_ours: Callable[[AccountRow], bool],
        condition: Condition | None = None,
        ends: Sequence[Session] = (),
        also: Also | None = None,
    ) -> None:
        """Write at the version that was read, end the sessions `ends` and do what `also` adds, at once.

        A refusal is no conflict when what is stored is ours.

        A write whose reply was lost is sent again and then meets its own result.
        """
        try:
            unchanged = self.at_this_version() if condition is None else self.at_this_version() & condition
            self._change_and_end([*actions, AccountRow.version.add(1)], unchanged, ends, also)
        except ConditionFailed as error:
            self.reload()
            if not is_ours(self):
                raise Conflict() from error

    def at_this_version(self) -> Condition:
        """The condition that nobody changed the account since this row was read."""
        version = self.attribute_values.get("version")
        return AccountRow.version.does_not_exist() if version is None else AccountRow.version == version

    def _at_this_change(self) -> Condition:
        number = self.attribute_values.get("change_number")
        same = (
            AccountRow.change_number.does_not_exist()
            if number is None
            else AccountRow.change_number == number
        )
        condition: Condition = (
            same & AccountRow.user_id.exists() & AccountRow.deletion_started_at.does_not_exist()
        )
        return condition

    @property
    def being_deleted(self) -> bool:
        """Whether the account's deletion has begun; nothing may be done with it any more."""
        return self.attribute_values.get("deletion_started_at") is not None

    @property
    def is_locked(self) -> bool:
        """Whether an operator has locked the account: nobody comes in, and everything stays."""
        return self.attribute_values.get("locked_at") is not None

    def _changed_with(self, actions: Sequence[Action], condition: Condition, also: Also) -> bool:
        try:
            self._change_with(actions, condition, also)
        except ConditionFailed:
            return False
        return True

    def _change_with(self, actions: Sequence[Action], condition: Condition, also: Also) -> None:
        """Do as `change` does and what `also` adds, in one transaction."""

        def fill(transaction: Transaction) -> None:
            transaction.update(
                type(self)(self.user_id),
                actions=[*actions],
                condition=AccountRow.user_id.exists() & condition,
            )
            also(transaction)

        transact(fill, type(self))

    def change(self, actions: list[Action], condition: Condition) -> None:
        """Apply `actions` in one conditional write and take over what is stored then.

        Raises `ConditionFailed`.
        """
        with storage_failures():
            self.update(actions=actions, condition=AccountRow.user_id.exists() & condition)

    def _change_and_end(
        self, actions: list[Action], condition: Condition, ends: Sequence[Session], also: Also | None
    ) -> None:
        """Do as `change` does, end sessions and do what `also` adds, in the same transaction."""
        if not ends and also is None:
            self.change(actions, condition)
            return

        def end_sessions(transaction: Transaction) -> None:
            for session in ends:
                transaction.delete(session)

        self._change_with(actions, condition, together(end_sessions, also))
        self.reload()

    def reload(self) -> None:
        """Take over what is stored now. Raises `UserNotFound`."""
        stored = type(self).find(self.user_id)
        if stored is None:
            raise UserNotFound()
        self.attribute_values = stored.attribute_values

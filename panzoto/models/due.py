"""When chores are due at an account: what it has changed is looked at once, by whoever finds it due.

`due_at` is set in the very write that changes something, and stays until a look at what had changed by then
is over. A sparse index holds the accounts that have it, in shards, so that nobody who looks for them reads
the others.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.models.account_row import AccountRow
from panzoto.models.attributes import now
from panzoto.models.connection import ConditionFailed

# A partition of an index takes 1 000 writes a second (DynamoDB, "Burst and adaptive capacity").
SHARDS = 64
# A locked account is looked at again after that.
WHILE_LOCKED = timedelta(hours=6)
# Who gets a locked account back has so long to save what would have gone meanwhile.
AFTER_A_LOCK = timedelta(days=7)


class Due(AccountRow):
    """The verbs of an account's chores; part of `User`."""

    @property
    def rests_until(self) -> datetime | None:
        """Until when at least nothing of the account goes by time alone; None where no lock keeps it."""
        if self.is_locked:
            return now() + WHILE_LOCKED
        unlocked_at = self.value("unlocked_at")
        return None if unlocked_at is None else unlocked_at + AFTER_A_LOCK

    def becoming_due(self, condition: Condition) -> tuple[list[Action], Condition]:
        """Return what a change adds to its write, and on what condition it is written now.

        Where chores are due already nothing is added, as long as they still are: whoever did them since this
        row was read has not seen the change.
        """
        moment = now()
        due_at = self.value("due_at")
        if due_at is not None and due_at <= moment:
            return [], condition & (AccountRow.due_at == due_at)
        return _due(self.user_id, moment), condition

    def finish_chores(self, next_due: datetime | None, swept_to: int | None, has_plans: bool) -> bool:
        """Note that all up to the change that was read is looked at; False when there are newer changes.

        `next_due` is when something falls due by time alone, `swept_to` the change up to which no look has
        to look again.
        """
        actions = _not_due() if next_due is None else _due(self.user_id, next_due)
        if swept_to is not None:
            actions.append(AccountRow.swept_to.set(swept_to))
        if not has_plans:
            actions.append(AccountRow.plans_at.remove())
        plans_at = self.value("plans_at")
        same_plans = (
            AccountRow.plans_at.does_not_exist() if plans_at is None else AccountRow.plans_at == plans_at
        )
        try:
            self.change(actions, self._at_this_change() & same_plans)
        except ConditionFailed:
            return False
        return True


def _due(user_id: str, moment: datetime) -> list[Action]:
    return [AccountRow.due_at.set(moment), AccountRow.due_shard.set(shard_of(user_id))]


def _not_due() -> list[Action]:
    return [AccountRow.due_at.remove(), AccountRow.due_shard.remove()]


def shard_of(user_id: str) -> str:
    """Return in which shard of the index an account lies."""
    return f"{zlib.crc32(user_id.encode()) % SHARDS:02d}"


def all_shards() -> list[str]:
    """Return the names of all shards."""
    return [f"{number:02d}" for number in range(SHARDS)]

"""What an account holds: the numbers of its changes, counted recordings and bytes, and reservations."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.models.account_row import AccountRow
from panzoto.models.attributes import now
from panzoto.models.connection import ConditionFailed, Transaction
from panzoto.models.due import Due

RESERVATIONS = 16
# An index follows its table within a second or so; after this long it tells of everything.
INDEX_FOLLOWS = timedelta(minutes=1)

# (end in epoch seconds, recordings, bytes)
Reservation = tuple[int, int, int]
# The same, as it is asked for.
Reserved = tuple[datetime, int, int]


class Usage(Due):
    """The verbs of an account's counters; part of `User`."""

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
        reserved: Sequence[Reserved] = (),
        settled_to: datetime | None = None,
    ) -> None:
        """Take `count` change numbers and count `recordings` and `size` bytes more, as part of `transaction`.

        What is `reserved`, until when and how much, goes on counting against the quota. Up to
        `settled_to` no recording is without a number. Chores are due from now on. It fails when another
        change was faster, and for an account that is being deleted.
        """
        due, condition = self.becoming_due(self._at_this_change() & self._counted_as_read())
        actions: list[Action] = [
            AccountRow.change_number.add(count),
            AccountRow.used_recordings.add(recordings),
            AccountRow.used_bytes.add(size),
            *due,
        ]
        if reserved:
            actions.append(AccountRow.reservations.set(self._reserving_also(reserved)))
        if settled_to is not None:
            condition &= self._unnumbered_as_read()
            actions.append(AccountRow.settled_to.set(settled_to))
        transaction.update(type(self)(self.user_id), actions=actions, condition=condition)

    def after_changes(self, count: int, recordings: int, size: int, reserved: Sequence[Reserved]) -> Self:
        """Return the account as `add_changes_to` would leave it, for who plans on that."""
        later = copy.copy(self)
        used_recordings, used_bytes = self.counted_usage()
        later.attribute_values = self.attribute_values | {
            "change_number": self.next_change_number - 1 + count,
            "used_recordings": used_recordings + recordings,
            "used_bytes": used_bytes + size,
            "reservations": self._reserving_also(reserved),
        }
        return later

    def _reserving_also(self, reserved: Sequence[Reserved]) -> list[Reservation]:
        held = self._reservations()
        for one in reserved:
            held = reserving(held, *one)
        return held

    def _counted_as_read(self) -> Condition:
        """The condition that there still are counters, or still none: a move may take them away."""
        counters = AccountRow.used_recordings
        uncounted = self.value("used_recordings") is None
        condition: Condition = counters.does_not_exist() if uncounted else counters.exists()
        return condition

    def _unnumbered_as_read(self) -> Condition:
        """The condition that no move has written recordings since, of which the index did not tell."""
        moment = self.value("unnumbered_at")
        never: Condition = AccountRow.unnumbered_at.does_not_exist()
        return never if moment is None else AccountRow.unnumbered_at == moment

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

    @property
    def is_counted(self) -> bool:
        """Whether every recording has its claim and its number and is counted."""
        return bool(self.attribute_values.get("claims_complete"))

    @property
    def awaits_recordings(self) -> bool:
        """Whether a move wrote some so lately that the index may not tell of them yet."""
        moment = self.value("unnumbered_at")
        return moment is not None and now() < moment + INDEX_FOLLOWS

    def counted_usage(self) -> tuple[int, int]:
        """Return how many recordings and bytes are counted: those that have a number, see `is_counted`."""
        values = self.attribute_values
        return int(values.get("used_recordings") or 0), int(values.get("used_bytes") or 0)

    def set_usage(self, recordings: int, size: int) -> bool:
        """Correct the counters; False when a recording has changed since this row was read."""
        try:
            self.change(
                [AccountRow.used_recordings.set(recordings), AccountRow.used_bytes.set(size)],
                self._at_this_change(),
            )
        except ConditionFailed:
            return False
        return True

    def mark_settled(self) -> None:
        """Remember that every recording has its claim and its number and is counted."""
        actions: list[Action] = [
            AccountRow.claims_complete.set(True),
            AccountRow.settled_to.remove(),
            AccountRow.unnumbered_at.remove(),
            AccountRow.used_recordings.add(0),
            AccountRow.used_bytes.add(0),
        ]
        try:
            as_read = self._counted_as_read() & self._unnumbered_as_read()
            self.change(actions, as_read & AccountRow.deletion_started_at.does_not_exist())
        except ConditionFailed:
            # A move has changed recordings meanwhile, or the account is being deleted.
            self.reload()


def reserving(held: list[Reservation], until: datetime, recordings: int, size: int) -> list[Reservation]:
    """Return `held` with one reservation more; there are never many, since the youngest are joined."""
    ends = math.ceil(until.timestamp())
    if len(held) >= RESERVATIONS:
        *held, (last_end, last_recordings, last_size) = sorted(held)
        ends = max(ends, last_end)
        recordings, size = recordings + last_recordings, size + last_size
    return [*held, (ends, recordings, size)]

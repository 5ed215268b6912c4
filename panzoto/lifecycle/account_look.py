"""What chores do at one account: look at what changed since the last look, and at what falls due by time.

A look costs a read of the account, its changes since the last look, their rows, what lies longest in the
trash, and one write; not what the account holds. What no change announces is found by `Sweep` over the
account, which looks at everything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from panzoto import object_keys
from panzoto.errors import PanzotoError
from panzoto.lifecycle.deletion import Deletion
from panzoto.lifecycle.row_chores import UNREADABLE, YOUNG, Chore, RowChores
from panzoto.models import AudioFile, Claim, SweepMemory, User, damage
from panzoto.models.attributes import now
from panzoto.removal import Removal
from panzoto.storage import Storage

# What did not work is tried again after that.
AGAIN = timedelta(hours=6)
# Whoever began a deletion is at it for so long; then its process is taken to be lost.
AT_IT = timedelta(hours=1)
# Acting changes the account, so it is looked at again; who is busy meanwhile is due once more soon.
ROUNDS = 3


@dataclass(slots=True)
class Done:
    """What was done, as counts by kind, and what failed, by kind and code."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, other: Done) -> None:
        """Count what another look has done as well."""
        self.counts += other.counts
        self.failures += other.failures


@dataclass(slots=True)
class _Ahead:
    """What is ahead of an account: when something falls due next, and which change must be kept in sight."""

    next_due: datetime | None = None
    oldest_change: int | None = None
    # The ids of those that cannot be read, each of which is told once.
    damaged: set[str] = field(default_factory=set)

    def begin_round(self) -> None:
        self.oldest_change = None

    def expect(self, moment: datetime) -> None:
        self.next_due = moment if self.next_due is None else min(self.next_due, moment)

    def keep(self, row: AudioFile) -> None:
        number = int(row.value("change_number") or 0)
        self.oldest_change = number if self.oldest_change is None else min(self.oldest_change, number)


@dataclass(frozen=True, slots=True)
class AccountLook:
    """Looks at accounts, one at a time; any number of processes may do so at once."""

    storage: Storage
    removal: Removal
    rows: RowChores
    deletion: Deletion

    def look(self, user_id: str) -> Done:
        """Do what is due at the account, and note when to look again. Safe to repeat.

        Raises `Unavailable`.
        """
        done = Done()
        swept_to: int | None = None
        # Of all rounds, since a later one looks at less, and an index may lag behind what it looks at.
        ahead = _Ahead()
        for _ in range(ROUNDS):
            user = User.find(user_id)
            if user is None:
                return done
            if user.being_deleted:
                self._go_on_deleting(user, done)
                return done
            swept_to = int(user.value("swept_to") or 0) if swept_to is None else swept_to
            ahead.begin_round()
            latest = user.next_change_number - 1
            self._look_at_changes(user, (swept_to, latest), ahead, done)
            self._look_at_trash(user, ahead, done)
            has_plans = user.value("plans_at") is not None and self._look_at_plans(user_id, ahead, done)
            swept_to = latest if ahead.oldest_change is None else min(latest, ahead.oldest_change - 1)
            if user.finish_chores(ahead.next_due, swept_to, has_plans):
                return done
        return done

    def _go_on_deleting(self, user: User, done: Done) -> None:
        if now() - user.deletion_started_at < AT_IT:
            return
        done.counts["unfinished deletions"] += 1
        error = self.deletion.run_or_log(user)
        if error is not None:
            done.failures[f"unfinished deletions: {error.code}"] += 1

    def _look_at_changes(self, user: User, between: tuple[int, int], ahead: _Ahead, done: Done) -> None:
        rests_until = user.rests_until
        for row in AudioFile.changed_between(user.user_id, *between):
            if row.damaged:
                _pass_over(row, ahead, done)
                ahead.keep(row)
                continue
            chore = self.rows.due(row, now(), rests_until)
            if chore is not None and not _do(chore, done):
                ahead.expect(now() + AGAIN)
                ahead.keep(row)
                continue
            row_after = row if chore is None else AudioFile.row(row.file_id)
            falls_due = None if row_after is None else self.rows.falls_due(row_after, rests_until)
            if row_after is None or falls_due is None:
                continue
            ahead.expect(max(falls_due, now() + AGAIN) if chore is not None else falls_due)
            if self.rows.has_no_index(row_after):
                ahead.keep(row)

    def _look_at_trash(self, user: User, ahead: _Ahead, done: Done) -> None:
        rests_until = user.rests_until
        for row in AudioFile.binned_longest_ago(user.user_id):
            if row.damaged:
                _pass_over(row, ahead, done)
                continue
            chore = self.rows.due(row, now(), rests_until)
            if chore is None:
                falls_due = self.rows.falls_due(row, rests_until)
                if falls_due is not None:
                    ahead.expect(falls_due)
                return
            if not _do(chore, done):
                ahead.expect(now() + AGAIN)

    def _look_at_plans(self, user_id: str, ahead: _Ahead, done: Done) -> bool:
        """Remove the plans of sittings that are old, and tell whether any are there still."""
        are_there = False
        for entry in self.storage.entries(object_keys.plan_folder(user_id)):
            goes_at = entry.modified_at + YOUNG
            if goes_at > now():
                are_there = True
                ahead.expect(goes_at)
            elif self.removal.is_plan(entry) and Claim.on_s3_key(entry.s3_key) is None:
                chore = Chore("plans of sittings", partial(self.removal.of_a_plan, entry))
                if not _do(chore, done):
                    are_there = True
                    ahead.expect(now() + AGAIN)
        return are_there


def _pass_over(row: AudioFile, ahead: _Ahead, done: Done) -> None:
    """Tell of a row that cannot be read, and look again later: somebody may have mended it."""
    ahead.expect(now() + AGAIN)
    if row.file_id not in ahead.damaged:
        ahead.damaged.add(row.file_id)
        damage.tell(row.file_id)
        done.failures[UNREADABLE] += 1


def _do(chore: Chore, done: Done) -> bool:
    """Do it and count it; False when it failed, which must not keep the others from being done.

    A hold may have been set since the look began; that costs half a read unit.
    """
    try:
        if SweepMemory.holds():
            done.failures[f"{chore.kind}: held back"] += 1
            return False
        chore.act()
    except PanzotoError as error:
        done.failures[f"{chore.kind}: {error.code}"] += 1
        return False
    done.counts[chore.kind] += 1
    return True

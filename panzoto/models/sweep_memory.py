"""What sweeps remember: what no table knew of and since when, what holds them back, how much they removed.

| `kind` | `name` | what it is |
|---|---|---|
| `seen#<two digits of the mark>` | a mark | when a version or an upload was seen that no table knows |
| `hold` | its name | a hold, since `at`, and why; while there is one, nothing is removed |
| `state` | `held` | when sweeps were last held back |
| `state` | `night` | how much was removed since `at`, when the first removal of the night was made |
| `place` | a part of the daily pass | how far it came, as `s3_key` or whatever it goes by; begun last `at` |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from panzoto.errors import Unavailable
from panzoto.models import pauses
from panzoto.models.attributes import EpochAttribute, StoredModel, now
from panzoto.models.connection import BaseMeta, ConditionFailed, storage_failures

SEEN = "seen#"
HOLD = "hold"
STATE = "state"
HELD = "held"
NIGHT = "night"
PLACE = "place"
# What is removed within so long of a night's first removal counts for that night. The timer runs every
# 24 hours, give or take some minutes.
NIGHT_LASTS = timedelta(hours=20)
ATTEMPTS = 8
# So many items are one BatchWriteItem, and one BatchGetItem.
BATCH = 25
READ_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that holds sweeps back: its name, since when, and why."""

    name: str
    since: datetime
    reason: str


class SweepMemory(StoredModel):
    """One thing that sweeps remember."""

    class Meta(BaseMeta):
        table_name = "panzoto-sweeps"

    kind = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)
    at = EpochAttribute()
    reason = UnicodeAttribute(null=True)
    removed = NumberAttribute(null=True)
    # Of something seen, and of a place.
    s3_key = UnicodeAttribute(null=True)
    # Of what one process at a time does: which one.
    holder = UnicodeAttribute(null=True)

    @classmethod
    def _of_mark(cls, mark: str, **more: Any) -> SweepMemory:
        # Marks are digests, so what is seen for the first time spreads over many partitions.
        return cls(f"{SEEN}{mark[:2]}", mark, **more)

    @classmethod
    def _state(cls, name: str) -> SweepMemory | None:
        with storage_failures():
            try:
                return cls.get(STATE, name, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def hold(cls, name: str, reason: str) -> None:
        """Hold sweeps back until `release`; a hold that stands keeps its beginning and its reason."""
        try:
            with storage_failures():
                cls(HOLD, name, at=now(), reason=reason).save(condition=cls.name.does_not_exist())
        except ConditionFailed:
            return

    @classmethod
    def release(cls, name: str) -> bool:
        """Let go of a hold, and remember when; False when there was none."""
        if name not in {hold.name for hold in cls.holds()}:
            return False
        # In this order: a sweep that begins in between must not count what it saw before the hold.
        cls.note_held()
        with storage_failures():
            cls(HOLD, name).delete()
        return True

    @classmethod
    def holds(cls) -> list[Hold]:
        """Return the holds that stand, by name; one strongly consistent query."""
        with storage_failures():
            return [
                Hold(one.name, one.at, one.value("reason") or "")
                for one in cls.query(HOLD, consistent_read=True)
            ]

    @classmethod
    def note_held(cls) -> None:
        """Remember that sweeps are held back at this moment."""
        with storage_failures():
            cls(STATE, HELD, at=now()).save()

    @classmethod
    def last_held(cls) -> datetime | None:
        """Return when sweeps were last held back, as far as they know."""
        found = cls._state(HELD)
        return None if found is None else found.at

    @classmethod
    def all_seen(cls) -> Iterator[tuple[str, datetime]]:
        """Yield every mark that is remembered, and when it was first seen; a page at a time."""
        with storage_failures():
            for one in cls.scan(consistent_read=True):
                if one.kind.startswith(SEEN):
                    yield one.name, one.at

    @classmethod
    def seen_of(cls, marks: Iterable[str]) -> Iterator[tuple[str, datetime]]:
        """Yield those of `marks` that are remembered, and when each was first seen."""
        waiting = iter(marks)
        while some := list(itertools.islice(waiting, READ_AT_ONCE)):
            with storage_failures():
                keys = [(f"{SEEN}{mark[:2]}", mark) for mark in some]
                for one in cls.batch_get(keys, consistent_read=True):
                    yield one.name, one.at

    @classmethod
    def some_keys(cls, limit: int, after: str | None) -> tuple[list[tuple[str, str]], str | None]:
        """Return up to `limit` marks and the keys of what they stand for, and where the next are found.

        That is None at the end, and of no meaning but for the next call.
        """
        kind, _, name = (after or "").partition(" ")
        start = {"kind": {"S": kind}, "name": {"S": name}} if after else None
        with storage_failures():
            found = cls.scan(cls.s3_key.exists(), limit=limit, last_evaluated_key=start, consistent_read=True)
            keys = [(one.name, one.s3_key) for one in found if one.kind.startswith(SEEN)]
        last = found.last_evaluated_key
        return keys, None if last is None else f"{last['kind']['S']} {last['name']['S']}"

    @classmethod
    def remember(cls, seen: Iterable[tuple[str, str]], moment: datetime) -> None:
        """Remember what was first seen at `moment`: marks and keys."""
        cls._write(seen, lambda batch, one: batch.save(cls._of_mark(one[0], at=moment, s3_key=one[1])))

    @classmethod
    def place(cls, name: str) -> tuple[datetime, str | None] | None:
        """Return when a part of the daily pass was begun last, and how far it came; None before the first."""
        with storage_failures():
            try:
                found = cls.get(PLACE, name, consistent_read=True)
            except cls.DoesNotExist:
                return None
        return found.at, found.value("s3_key")

    @classmethod
    def begin_at_place(cls, name: str, before: datetime | None) -> bool:
        """Begin a part of the daily pass that was begun last at `before`; False when somebody else does."""
        same = cls.at.does_not_exist() if before is None else cls.at == before
        try:
            with storage_failures():
                cls(PLACE, name).update(actions=[cls.at.set(now())], condition=same)
        except ConditionFailed:
            return False
        return True

    @classmethod
    def lease(cls, name: str, holder: str, length: timedelta) -> bool:
        """Take or keep what one process at a time does, for so long; False while another has it."""
        free = cls.at.does_not_exist() | (cls.at < now()) | (cls.holder == holder)
        actions: list[Action] = [cls.at.set(now() + length), cls.holder.set(holder)]
        try:
            with storage_failures():
                cls(PLACE, name).update(actions=actions, condition=free)
        except ConditionFailed:
            return False
        return True

    @classmethod
    def move_place(cls, name: str, reached: str | None) -> None:
        """Note how far a part of the daily pass came; None when it is through and begins anew."""
        with storage_failures():
            action = cls.s3_key.remove() if reached is None else cls.s3_key.set(reached)
            cls(PLACE, name).update(actions=[action])

    @classmethod
    def forget(cls, marks: Iterable[str]) -> None:
        """Forget what is known by now, or gone."""
        cls._write(marks, lambda batch, mark: batch.delete(cls._of_mark(mark)))

    @classmethod
    def _write(cls, things: Iterable[Any], add: Callable[[Any, Any], None]) -> None:
        """Write in batches, each again after a pause when DynamoDB takes no more at the moment."""
        waiting = iter(things)
        while some := list(itertools.islice(waiting, BATCH)):
            for attempt in range(ATTEMPTS):
                try:
                    with storage_failures(), cls.batch_write() as batch:
                        for one in some:
                            add(batch, one)
                    break
                except Unavailable:
                    if attempt == ATTEMPTS - 1:
                        raise
                    pauses.wait(attempt, first=0.1, longest=3.2)

    @classmethod
    def take(cls, mark: str) -> bool:
        """Forget a mark for the one sweep that acts on it; False when another has taken it.

        Should that one fail, it is seen anew.
        """
        try:
            with storage_failures():
                cls._of_mark(mark).delete(condition=cls.name.exists())
        except ConditionFailed:
            return False
        return True

    @classmethod
    def removed_tonight(cls) -> int:
        """Return how much was removed in the night that is going on."""
        night = cls._state(NIGHT)
        return int(night.removed) if night is not None and night.at > now() - NIGHT_LASTS else 0

    @classmethod
    def count_removal(cls, at_most: int) -> bool:
        """Count one removal before it is made; False when `at_most` were made in this night already.

        One conditional write, so two sweeps that run at once share the number. The first removal begins
        a night.
        """
        for _ in range(ATTEMPTS):
            night, moment = cls._state(NIGHT), now()
            actions: list[Action]
            if night is None or night.at <= moment - NIGHT_LASTS:
                if at_most < 1:
                    return False
                same = cls.name.does_not_exist() if night is None else cls.at == night.at
                actions, condition = [cls.at.set(moment), cls.removed.set(1)], same
            elif night.removed >= at_most:
                return False
            else:
                actions = [cls.removed.add(1)]
                condition = (cls.at == night.at) & (cls.removed < at_most)
            try:
                with storage_failures():
                    cls(STATE, NIGHT).update(actions=actions, condition=condition)
            except ConditionFailed:
                # Another sweep has begun the night, or counted the last one, in between.
                continue
            return True
        return False

    @classmethod
    def uncount_removal(cls) -> None:
        """Take back one that was counted and not made."""
        try:
            with storage_failures():
                cls(STATE, NIGHT).update(actions=[cls.removed.add(-1)], condition=cls.removed > 0)
        except ConditionFailed:
            return

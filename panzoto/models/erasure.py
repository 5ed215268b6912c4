"""What was erased for good, when, and what of it still waits: kept for the owner to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action

from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures
from panzoto.models.damage import remove_all_of, some, with_damaged


class Erasure(StoredModel):
    """The erasure of one recording. `erasure_id` sorts by when it was asked for."""

    class Meta(BaseMeta):
        table_name = "panzoto-erasures"

    user_id = UnicodeAttribute(hash_key=True)
    erasure_id = UnicodeAttribute(range_key=True)
    file_id = UnicodeAttribute()
    asked_at = EpochAttribute()
    erased_at = EpochAttribute(null=True)
    objects_removed = NumberAttribute()
    objects_waiting = NumberAttribute(null=True)

    @classmethod
    def of(cls, user_id: str, file_id: str) -> Erasure:
        """Return the erasure of a recording that is about to begin."""
        asked = now()
        return cls(
            user_id=user_id,
            erasure_id=f"{int(asked.timestamp() * 1_000_000):014x}-{file_id}",
            file_id=file_id,
            asked_at=asked,
            objects_removed=0,
        )

    def add_to(self, transaction: Transaction) -> None:
        """Note the beginning as part of `transaction`."""
        transaction.save(self)

    @classmethod
    def note(cls, user_id: str, erasure_id: str, removed: int, waiting: int) -> None:
        """Note how far an erasure is; with nothing waiting it is done, from the first time on.

        One that went with its account meanwhile is not begun anew: nothing of it would ever go again.
        """
        actions: list[Action] = [cls.objects_removed.add(removed), cls.objects_waiting.set(waiting)]
        if not waiting:
            actions.append(cls.erased_at.set(cls.erased_at | now()))
        with suppress(ConditionFailed), storage_failures():
            cls(user_id, erasure_id).update(actions=actions, condition=cls.erasure_id.exists())

    @classmethod
    def is_interrupted(cls, user_id: str, erasure_id: str) -> bool:
        """Whether nobody has noted how far the erasure is."""
        with storage_failures():
            found = list(
                cls.query(user_id, cls.erasure_id == erasure_id, limit=1, consistent_read=True),
            )
        return any(erasure.value("objects_waiting") is None for erasure in found)

    @classmethod
    def page(cls, user_id: str, limit: int, before: str | None) -> list[Erasure]:
        """Return up to `limit` erasures, newest first, older than `before`."""
        older = None if before is None else cls.erasure_id < before
        with storage_failures():
            found = cls.query(user_id, older, page_size=limit, scan_index_forward=False, consistent_read=True)
            return some(found, limit)

    @classmethod
    def asked_since(cls, moment: datetime) -> Iterator[Erasure]:
        """Yield every erasure that anybody asked for after `moment`, damaged ones as well.

        Reads the whole table.
        """
        with storage_failures():
            yield from with_damaged(cls.scan(cls.asked_at > moment, consistent_read=True))

    @classmethod
    def remove_all(cls, user_id: str) -> None:
        """Remove what is kept for a user whose account is deleted."""
        remove_all_of(cls, user_id)

    def to_public(self) -> dict[str, Any]:
        """Return the erasure as its owner sees it; `objects_waiting` is null until S3 was asked."""
        return {
            "file_id": self.file_id,
            "erased_at": rfc3339(self.erased_at),
            "objects_removed": self.objects_removed,
            "objects_waiting": self.objects_waiting,
        }

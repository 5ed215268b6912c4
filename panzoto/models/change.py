"""What changed in each user's recordings, in order: one entry for each recording, at its latest change.

Entries are numbered in order by a counter on the account that moves in
the same transaction, and read strongly consistently, so that nobody who asks
"what since then?" can miss one that was written at the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from panzoto.models.attributes import StoredModel
from panzoto.models.connection import BaseMeta, Transaction, storage_failures
from panzoto.models.damage import remove_all_of, some, with_damaged


def transcripts_of(user_id: str) -> str:
    """Return the name of the list of an account's transcripts, in place of its id.

    It is a list of its own, numbered by the same counter: who follows it need not read what else changes.
    """
    return f"{user_id}#transcripts"


class Change(StoredModel):
    """The latest change of one recording; a recording that is gone keeps its last entry."""

    class Meta(BaseMeta):
        table_name = "panzoto-changes"

    user_id = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True)
    file_id = UnicodeAttribute()
    # Which transaction wrote it: two that plan on the same state take the same number.
    mark = UnicodeAttribute(null=True)

    @classmethod
    def names_of(cls, followed: str) -> tuple[str, str]:
        """Return the name under which cursors follow these changes, and the one that they had before 1.4.3.

        It names the table: in one that a backup was restored to, the same numbers are those of other changes.
        """
        return f"{followed} in {cls.Meta.table_name}", followed

    def add_to(self, transaction: Transaction, before: int | None) -> None:
        """Write the entry and remove the recording's entry before it, as part of `transaction`."""
        if before is not None:
            transaction.delete(Change(self.user_id, before))
        transaction.save(self)

    @classmethod
    def after(cls, user_id: str, number: int, limit: int) -> list[Change]:
        """Return up to `limit` entries beyond `number`, in order, strongly consistent.

        A damaged one is passed over and named in the log: it does not tell which recording it is about.
        """
        with storage_failures():
            found = cls.query(user_id, cls.number > number, page_size=limit, consistent_read=True)
            return some(found, limit)

    @classmethod
    def is_marked(cls, user_id: str, number: int, mark: str) -> bool:
        """Whether the entry of that number is of the transaction that has this mark."""
        with storage_failures():
            try:
                entry = cls.get(user_id, number, consistent_read=True)
            except cls.DoesNotExist:
                return False
        return entry.mark == mark

    @classmethod
    def remove_all(cls, user_id: str) -> None:
        """Remove the list of a user whose account is deleted."""
        remove_all_of(cls, user_id)

    @classmethod
    def all_of(cls, user_id: str) -> Iterator[Change]:
        """Yield every entry of a user, of damaged ones what can be read."""
        with storage_failures():
            yield from with_damaged(cls.query(user_id, consistent_read=True))

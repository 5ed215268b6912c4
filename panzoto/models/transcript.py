"""Transcripts as they are sealed: one row for each recording that has one.

A row holds nothing that the service could read. What is too large for a row lies in the bucket, and the row
says where. That a recording has a transcript, and which, stands on its own row too, changed in the same
transaction: `panzoto.transcripts.records` is the one place that writes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from panzoto.models.attributes import BytesAttribute, EpochAttribute, StoredModel, rfc3339
from panzoto.models.connection import BaseMeta, Transaction, storage_failures
from panzoto.models.damage import batch_with_damaged, remove_all_of, with_damaged


class Transcript(StoredModel):
    """The transcript of one recording."""

    class Meta(BaseMeta):
        table_name = "panzoto-transcripts"

    user_id = UnicodeAttribute(hash_key=True)
    file_id = UnicodeAttribute(range_key=True)
    # One of both: the sealed bytes, or the key of the object that they are.
    sealed = BytesAttribute(null=True)
    s3_key = UnicodeAttribute(null=True)
    size = NumberAttribute()
    revision = UnicodeAttribute()
    language = UnicodeAttribute(null=True)
    created_at = EpochAttribute()
    source = UnicodeAttribute()

    @classmethod
    def of(cls, user_id: str, file_id: str) -> Transcript | None:
        """Return the transcript of a recording, strongly consistent."""
        with storage_failures():
            try:
                return cls.get(user_id, file_id, consistent_read=True)
            except cls.DoesNotExist:
                return None

    @classmethod
    def all_of(cls, user_id: str, file_ids: Iterable[str]) -> dict[str, Transcript]:
        """Return the transcripts of these recordings, by file_id, strongly consistent."""
        wanted = [(user_id, file_id) for file_id in dict.fromkeys(file_ids)]
        with storage_failures():
            return {row.file_id: row for row in cls.batch_get(wanted, consistent_read=True)}

    @classmethod
    def all_with_damaged_of(cls, user_id: str, file_ids: Iterable[str]) -> dict[str, Transcript]:
        """Do as `all_of` does, and return of damaged rows what can be read; see `damage`."""
        return batch_with_damaged(list(file_ids), partial(cls.all_of, user_id), partial(cls.of, user_id))

    @classmethod
    def everything_of(cls, user_id: str) -> Iterator[Transcript]:
        """Yield every transcript of an account, of damaged rows what can be read."""
        with storage_failures():
            yield from with_damaged(cls.query(user_id, consistent_read=True))

    @classmethod
    def remove_all(cls, user_id: str) -> None:
        """Remove every row of an account that is deleted; the objects go with its folder."""
        remove_all_of(cls, user_id)

    def add_to(self, transaction: Transaction) -> None:
        """Write the row, whatever was there, as part of `transaction`."""
        transaction.save(self)

    @classmethod
    def remove_in(cls, transaction: Transaction, user_id: str, file_id: str) -> None:
        """Remove the row, if there is one, as part of `transaction`."""
        transaction.delete(cls(user_id, file_id))

    def to_public(self) -> dict[str, Any]:
        """Return what clients see of it beside the sealed bytes."""
        return {
            "file_id": self.file_id,
            "revision": self.revision,
            "language": self.value("language"),
            "created_at": rfc3339(self.created_at),
            "source": self.source,
        }

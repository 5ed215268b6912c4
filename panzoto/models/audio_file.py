"""Recordings: what is known about each object in the bucket. Reachable through their owner only."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action as Action  # noqa: PLC0414 - what plans of an edit are made of
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection

from panzoto import object_keys
from panzoto.errors import AudioFileNotFound
from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.connection import BaseMeta, IndexMissing, Transaction, storage_failures
from panzoto.models.damage import batch_with_damaged, require_whole, some, whole, with_damaged
from panzoto.object_keys import lies_in_folder_of

log = logging.getLogger(__name__)

PENDING = "pending"
STORED = "stored"
ERASING = "erasing"
# The status of rows that were recorded by the old call and never looked at has no value.
UNKNOWN = "unknown"
TRANSCRIPT_FIELDS = ("status", "transcription_id", "revision", "language", "created_at", "source")
BATCH = 100
# Rows that are read at once in search of those without a number.
READ_AT_ONCE = 1000
LONGEST_ID = 64


class UserFilesIndex(GlobalSecondaryIndex["AudioFile"]):
    """The recordings that lists show: what is pending or in the trash has no `uploaded_at`."""

    class Meta:
        index_name = "user-files-index"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    uploaded_at = EpochAttribute(range_key=True)


class UserRecordedIndex(GlobalSecondaryIndex["AudioFile"]):
    """The same recordings by when they were made, where the phone said so."""

    class Meta:
        index_name = "user-recorded-index"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    listed_at = EpochAttribute(range_key=True)


class UserTrashIndex(GlobalSecondaryIndex["AudioFile"]):
    """What is in the trash."""

    class Meta:
        index_name = "user-trash-index"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    deleted_at = EpochAttribute(range_key=True)


class S3KeyIndex(GlobalSecondaryIndex["AudioFile"]):
    """Whose rows name a key; for rows of the earlier service, which have no claim on theirs."""

    class Meta:
        index_name = "s3-key-index"
        projection = IncludeProjection(["user_id"])

    s3_key = UnicodeAttribute(hash_key=True)


class AudioFile(StoredModel):
    """One recording. `format` is what opened it, once something has.

    A row is changed through `panzoto.recordings.ledger` only, which counts and
    numbers every change.
    """

    class Meta(BaseMeta):
        table_name = "panzoto-audio-files"

    user_files_index = UserFilesIndex()
    user_recorded_index = UserRecordedIndex()
    user_trash_index = UserTrashIndex()
    s3_key_index = S3KeyIndex()
    file_id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    s3_key = UnicodeAttribute()
    file_size = NumberAttribute(null=True)
    uploaded_at = EpochAttribute(null=True)
    uploaded_at_iso = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    format = UnicodeAttribute(null=True)
    # Its key has only been named, outside its owner's folders: see `panzoto.recordings.ownership`.
    unproved = BooleanAttribute(null=True)
    recorded_at = EpochAttribute(null=True)
    duration_ms = NumberAttribute(null=True)
    content_type = UnicodeAttribute(null=True)
    title = UnicodeAttribute(null=True)
    note = UnicodeAttribute(null=True)
    deleted_at = EpochAttribute(null=True)
    # Where the recording stands in the order of `recorded_at`: that, or else `uploaded_at`.
    listed_at = EpochAttribute(null=True)
    # What `uploaded_at` was, while the recording is in the trash.
    kept_uploaded_at = EpochAttribute(null=True)
    change_number = NumberAttribute(null=True)
    # What is known of its transcript, see `panzoto.recordings.transcript_state`.
    transcript = JSONAttribute(null=True)
    # How long it is, sealed, in bytes; where there is none the row has no such attribute.
    transcript_size = NumberAttribute(null=True)
    # Of an upload: when it was announced, what it must be, and where its parts go.
    announced_at = EpochAttribute(null=True)
    sha256 = UnicodeAttribute(null=True)
    client_id = UnicodeAttribute(null=True)
    upload_id = UnicodeAttribute(null=True)
    # The object that an upgrade replaced: `earlier_key` for good, since its claim
    # stays, and `superseded_key` until the object is removed.
    earlier_key = UnicodeAttribute(null=True)
    superseded_key = UnicodeAttribute(null=True)
    erasure_id = UnicodeAttribute(null=True)
    # Of an upload that was given up or erased: what may still arrive under its key is removed after that.
    erase_after = EpochAttribute(null=True)

    @classmethod
    def new(cls, user_id: str, s3_key: str, file_size: int | None, **more: Any) -> AudioFile:
        """Return a recording that lists show from now on, not yet written.

        With `format` its object has just been opened; without, its key has only been named.
        """
        uploaded = now()
        known_as_own = lies_in_folder_of(s3_key, user_id) or "format" in more
        return cls(
            file_id=str(uuid.uuid4()),
            user_id=user_id,
            s3_key=s3_key,
            file_size=file_size,
            uploaded_at=uploaded,
            uploaded_at_iso=rfc3339(uploaded),
            listed_at=more.get("recorded_at") or uploaded,
            unproved=None if known_as_own else True,
            **more,
        )

    @classmethod
    def announced(cls, user_id: str, file_size: int, **more: Any) -> AudioFile:
        """Return a recording that is yet to be uploaded, under a key of its own, not yet written."""
        file_id = str(uuid.uuid4())
        return cls(
            file_id=file_id,
            user_id=user_id,
            s3_key=object_keys.upload_key(user_id, file_id),
            file_size=file_size,
            status=PENDING,
            announced_at=now(),
            **more,
        )

    @classmethod
    def owned(cls, file_id: str, user_id: str) -> AudioFile | None:
        """Return the recording if it is `user_id`'s and not being erased.

        Somebody else's is as if it were not there. Strongly consistent.
        """
        found = cls.row(file_id)
        return found if found and found.is_there_for(user_id) else None

    @classmethod
    def require(cls, file_id: str, user_id: str) -> AudioFile:
        """Do as `owned` does. Raises `AudioFileNotFound`, for somebody else's as well."""
        found = cls.owned(file_id, user_id)
        if found is None:
            raise AudioFileNotFound()
        return found

    @classmethod
    def all_owned(cls, file_ids: list[str], user_id: str) -> list[AudioFile]:
        """Return the recordings in that order. Raises `AudioFileNotFound`, which names the one missing."""
        found = cls.rows(file_id for file_id in file_ids if 0 < len(file_id) <= LONGEST_ID)
        owned = []
        for file_id in file_ids:
            row = found.get(file_id)
            if row is None or not row.is_there_for(user_id):
                missing = AudioFileNotFound()
                missing.file_id = file_id
                raise missing
            owned.append(row)
        return owned

    @property
    def may_be_erased(self) -> bool:
        """Whether an erasure that has begun may go on by now."""
        erase_after = self.value("erase_after")
        return self.status == ERASING and (erase_after is None or erase_after <= now())

    def is_there_for(self, user_id: str) -> bool:
        """Whether it is `user_id`'s and not being erased."""
        return self.user_id == user_id and self.status != ERASING

    @classmethod
    def row(cls, file_id: str) -> AudioFile | None:
        """Return the row whoever owns it and whatever state it is in; not for views."""
        # DynamoDB refuses a key that is empty or very long, and no id of ours is either.
        if not 0 < len(file_id) <= LONGEST_ID:
            return None
        with storage_failures():
            try:
                return cls.get(file_id, consistent_read=True, attributes_to_get=cls.readable)
            except cls.DoesNotExist:
                return None

    @classmethod
    def rows(cls, file_ids: Iterable[str]) -> dict[str, AudioFile]:
        """Return the rows of `file_ids` that are there, strongly consistent."""
        wanted = list(dict.fromkeys(file_ids))
        if len(wanted) == 1:
            row = cls.row(wanted[0])
            return {} if row is None else {row.file_id: row}
        with storage_failures():
            batch = cls.batch_get(wanted, consistent_read=True, attributes_to_get=cls.readable)
            return {row.file_id: row for row in batch}

    @classmethod
    def rows_with_damaged(cls, file_ids: Iterable[str]) -> dict[str, AudioFile]:
        """Do as `rows` does, and return of damaged rows what can be read; see `damage`."""
        return batch_with_damaged(list(dict.fromkeys(file_ids)), cls.rows, cls.row)

    @classmethod
    def find_and_claim_s3_key(cls, s3_key: str, user_id: str) -> AudioFile | None:
        """Return `user_id`'s recording under `s3_key`: two reads, however many recordings there are.

        A row of the earlier service may have no claim: `s3-key-index` tells which one names the key, and the
        claim is written then.
        """
        claim = Claim.on_s3_key(s3_key)
        if claim is not None and claim.user_id == user_id and claim.file_id is not None:
            return cls.owned(claim.file_id, user_id)
        found = cls._of_the_earlier_service(s3_key, user_id)
        if found is not None and claim is None:
            found.claim().take_if_free()
        return found

    @classmethod
    def _of_the_earlier_service(cls, s3_key: str, user_id: str) -> AudioFile | None:
        """Return the oldest listed row of `user_id` that names `s3_key`, claimed or not.

        Tables without `s3-key-index` are looked through, all that the user has.
        """
        try:
            named = [row.file_id for row in cls._all_named(s3_key) if row.user_id == user_id]
        except IndexMissing:
            return next((row for row in cls.oldest_first(user_id) if row.s3_key == s3_key), None)
        rows = [row for row in cls.rows(named).values() if row.s3_key == s3_key and row.is_listed]
        return min(rows, key=lambda row: (row.uploaded_at, row.file_id), default=None)

    @classmethod
    def unnumbered(
        cls, user_id: str, limit: int, since: datetime | None
    ) -> tuple[list[AudioFile], list[AudioFile]]:
        """Return up to `limit` listed rows without a number, the oldest first, of uploads from `since` on.

        The earlier service wrote them. The index may still tell of one that has a number by now. Returned
        apart are the damaged ones that were met on the way, of which nobody can tell what to number.
        """
        rows: list[AudioFile] = []
        damaged: list[AudioFile] = []
        with storage_failures():
            found = cls.user_files_index.query(
                user_id,
                _between(cls.uploaded_at, since, None),
                filter_condition=cls.change_number.does_not_exist(),
                page_size=READ_AT_ONCE,
            )
            for row in with_damaged(found):
                (damaged if row.damaged else rows).append(row)
                if len(rows) == limit:
                    break
        return rows, damaged

    @classmethod
    def newest_first(
        cls, user_id: str, order: str, page_size: int, between: tuple[datetime | None, datetime | None]
    ) -> Iterator[AudioFile]:
        """Yield what `page` would return, newest first by `order`, reading the index a page at a time."""
        if _is_backwards(between):
            return
        index, name = cls._index_of(order)
        with storage_failures():
            found = index.query(
                user_id,
                _between(cls.get_attributes()[name], *between),
                page_size=page_size,
                scan_index_forward=False,
            )
            yield from whole(found)

    @classmethod
    def with_transcript(
        cls, user_id: str, page_size: int, between: tuple[datetime | None, datetime | None]
    ) -> Iterator[AudioFile]:
        """Yield the listed recordings that have a transcript, newest first, of one moment by their ids.

        The order is that of `recorded_at`; whoever has a transcript has its place there.
        """
        if _is_backwards(between):
            return
        with storage_failures():
            found = cls.user_recorded_index.query(
                user_id,
                _between(cls.listed_at, *between),
                filter_condition=cls.transcript_size.exists(),
                page_size=page_size,
                scan_index_forward=False,
            )
            for _, of_one_moment in itertools.groupby(whole(found), key=attrgetter("listed_at")):
                yield from sorted(of_one_moment, key=attrgetter("file_id"))

    @classmethod
    def count_with_transcript(cls, user_id: str, between: tuple[datetime | None, datetime | None]) -> int:
        """Return how many `with_transcript` would yield."""
        if _is_backwards(between):
            return 0
        with storage_failures():
            count: int = cls.user_recorded_index.count(
                user_id, _between(cls.listed_at, *between), filter_condition=cls.transcript_size.exists()
            )
        return count

    @classmethod
    def is_named_by_another(cls, s3_key: str, user_id: str) -> bool:
        """Whether a row of another user names `s3_key`, claimed or not; one read of an index.

        Tables that `resources optimize` has not brought up to date have no
        such index; there nobody can tell, and the log says so.
        """
        try:
            return any(row.user_id != user_id for row in cls._all_named(s3_key))
        except IndexMissing:
            log.warning("index_missing", extra={"index": "s3-key-index"})
            return False

    @classmethod
    def _all_named(cls, s3_key: str) -> Iterator[AudioFile]:
        """Yield the rows that name `s3_key`, whoever owns them: nobody, where that cannot be read.

        So another names it. Raises `IndexMissing`.
        """
        with storage_failures():
            yield from with_damaged(cls.s3_key_index.query(s3_key, page_size=10))

    @classmethod
    def oldest_first(cls, user_id: str) -> Iterator[AudioFile]:
        """Yield every recording that lists show, reading the index a page at a time."""
        with storage_failures():
            yield from cls.user_files_index.query(user_id)

    @classmethod
    def oldest_first_with_damaged(cls, user_id: str) -> Iterator[AudioFile]:
        """Do as `oldest_first` does, and yield of damaged rows what can be read; see `damage`."""
        with storage_failures():
            yield from with_damaged(cls.user_files_index.query(user_id))

    @classmethod
    def everything_of(cls, user_id: str) -> Iterator[AudioFile]:
        """Yield every row of `user_id` in whatever state, those of the earlier service included.

        Raises `DamagedRecord`: who asks whether there is any must not pass over one.
        """
        for row in cls._everything_of(user_id, list(map(require_whole, Change.all_of(user_id)))):
            yield require_whole(row)

    @classmethod
    def everything_with_damaged_of(cls, user_id: str) -> Iterator[AudioFile]:
        """Do as `everything_of` does, and yield of damaged rows what can be read; see `damage`."""
        entries = list(Change.all_of(user_id))
        readable = [entry for entry in entries if not entry.damaged]
        # What a damaged entry is about is met in an index, unless it is an upload that has not arrived.
        yield from cls._everything_of(user_id, readable, also_binned=len(readable) < len(entries))

    @classmethod
    def _everything_of(
        cls, user_id: str, entries: list[Change], *, also_binned: bool = False
    ) -> Iterator[AudioFile]:
        seen: set[str] = set()
        numbered = [entry.file_id for entry in entries]
        for start in range(0, len(numbered), BATCH):
            for row in cls.rows_with_damaged(numbered[start : start + BATCH]).values():
                seen.add(row.file_id)
                yield row
        yield from (row for row in cls.oldest_first_with_damaged(user_id) if row.file_id not in seen)
        if also_binned:
            yield from (row for row in cls.binned_longest_ago(user_id) if row.file_id not in seen)

    @classmethod
    def everything_there_of(cls, user_id: str) -> Iterator[AudioFile]:
        """Yield every recording of `user_id` but those that are being erased. Raises `DamagedRecord`."""
        return (row for row in cls.everything_of(user_id) if row.status != ERASING)

    @classmethod
    def changed_between(cls, user_id: str, after: int, upto: int) -> Iterator[AudioFile]:
        """Yield the rows of `user_id` whose latest change is after `after`, and not after `upto`.

        Of damaged ones it yields what can be read; see `damage`.
        """
        while entries := Change.after(user_id, after, BATCH):
            within = [entry for entry in entries if entry.number <= upto]
            yield from cls.rows_with_damaged(entry.file_id for entry in within).values()
            after = int(entries[-1].number)
            if len(within) < len(entries) or len(entries) < BATCH:
                return

    @classmethod
    def binned_longest_ago(cls, user_id: str, page_size: int = BATCH) -> Iterator[AudioFile]:
        """Yield what is in the trash, the longest there first, of damaged rows what can be read.

        The index follows a moment later.
        """
        with storage_failures():
            yield from with_damaged(cls.user_trash_index.query(user_id, page_size=page_size))

    @classmethod
    def any_not_of_format(cls, user_id: str, name: str) -> bool:
        """Whether any recording of `user_id`, but for those being erased, is not known to be of it."""
        return any(row.format != name for row in cls.everything_there_of(user_id))

    @classmethod
    def any_of(cls, user_id: str) -> bool:
        """Whether `user_id` has any recording, one that is announced or in the trash included."""
        return any(True for _ in cls.everything_there_of(user_id))

    @classmethod
    def page(
        cls,
        user_id: str,
        order: str,
        limit: int,
        start: Any,
        between: tuple[datetime | None, datetime | None],
    ) -> tuple[list[AudioFile], Any]:
        """Return up to `limit` recordings, newest first by `order`, and where the list goes on or None.

        One query, whose cost does not grow with the collection; a damaged recording is left out. `order` is
        `uploaded_at`, `recorded_at` or `deleted_at` (the trash); `between` the
        first and last moment of that field, each inclusive or None.
        """
        if _is_backwards(between):
            return [], None
        index, name = cls._index_of(order)
        with storage_failures():
            coming = index.query(
                user_id,
                _between(cls.get_attributes()[name], *between),
                page_size=limit + 1,
                scan_index_forward=False,
                last_evaluated_key=start,
            )
            found = some(coming, limit + 1)
        if len(found) <= limit:
            return found, None
        return found[:limit], found[limit - 1].position(name)

    @classmethod
    def _index_of(cls, order: str) -> tuple[Any, str]:
        return {
            "uploaded_at": (cls.user_files_index, "uploaded_at"),
            "recorded_at": (cls.user_recorded_index, "listed_at"),
            "deleted_at": (cls.user_trash_index, "deleted_at"),
        }[order]

    def position(self, name: str) -> dict[str, dict[str, str]]:
        """Return where a list in the order of the attribute `name` goes on after this recording."""
        stored = self.get_attributes()[name].serialize(getattr(self, name))
        return {"file_id": {"S": self.file_id}, "user_id": {"S": self.user_id}, name: {"N": stored}}

    @classmethod
    def usage(cls, user_id: str) -> tuple[int, int]:
        """Return how many recordings and bytes count, by reading every row; see `damage` for damaged ones."""
        sizes = [row.size_in_bytes for row in cls.everything_with_damaged_of(user_id) if row.counts]
        return len(sizes), sum(sizes)

    @property
    def counts(self) -> bool:
        """Whether the recording counts toward its owner's quota: it does, unless in the trash or beyond."""
        return self.value("deleted_at") is None and self.status != ERASING

    @property
    def is_listed(self) -> bool:
        """Whether lists show the recording."""
        return self.value("uploaded_at") is not None

    @property
    def size_in_bytes(self) -> int:
        """The size as far as it is known; rows of the earlier service may have none."""
        return int(self.value("file_size") or 0)

    @property
    def listed_by(self) -> datetime:
        """Where the recording stands in the order of `recorded_at`; without a place there, by its upload."""
        moment: datetime = self.value("listed_at") or self.uploaded_at
        return moment

    def save_new_in(self, transaction: Transaction) -> None:
        """Write the row as part of `transaction`, which fails when there is one."""
        transaction.save(self, condition=AudioFile.file_id.does_not_exist())

    def change_in(self, transaction: Transaction, number: int, actions: Sequence[Action]) -> None:
        """Apply `actions` as the change `number`, as part of `transaction`; see `remove_in`."""
        numbering = AudioFile.change_number.set(number)
        transaction.update(self, actions=[*actions, numbering], condition=self._unchanged())

    def remove_in(self, transaction: Transaction) -> None:
        """Remove the row as part of `transaction`, which fails when it was changed since it was read."""
        transaction.delete(self, condition=self._unchanged())

    def _unchanged(self) -> Condition:
        number = self.value("change_number")
        is_numbered_so = AudioFile.change_number == number
        same = AudioFile.change_number.does_not_exist() if number is None else is_numbered_so
        condition: Condition = same & AudioFile.file_id.exists()
        return condition

    def claim(self) -> Claim:
        """Return the claim of this recording on its key."""
        return Claim.for_s3_key(self.s3_key, self.user_id, self.file_id)

    def _claim_of_client(self) -> Claim:
        return Claim.for_client_id(self.user_id, self.client_id, self.file_id)

    def named_keys(self) -> list[str]:
        """Return the keys of this recording: today's, and the one it had before an upgrade."""
        return sorted(filter(None, {self.s3_key, self.value("earlier_key")}))

    def is_named_beside(self, s3_key: str, *, with_account: bool) -> bool:
        """Whether another row names `s3_key`, as rows of the earlier service may; one read of an index.

        `with_account`, whether one of another account does. Where this recording's owner has opened the
        object, another account's row counts only if it is proved, too: a strongly consistent read of each.
        Raises `IndexMissing`.
        """
        beside = [
            row
            for row in self._all_named(s3_key)
            if row.user_id != self.user_id or not (with_account or row.file_id == self.file_id)
        ]
        if not beside or self.value("format") is None or self.unproved:
            return bool(beside)
        if any(row.user_id == self.user_id for row in beside):
            return True
        found = self.rows_with_damaged(row.file_id for row in beside)
        return any(row.damaged or not row.unproved for row in found.values())

    def remove(self) -> None:
        """Remove the claims and then the row; the objects must be gone already."""
        self.release_claims()
        with storage_failures():
            self.delete()

    def release_claims(self) -> None:
        """Let others take what this recording has claimed, be it its keys or its phone's name for it."""
        for s3_key in self.named_keys():
            Claim.for_s3_key(s3_key, self.user_id, self.file_id).release()
        if self.client_id:
            self._claim_of_client().release()

    def to_public(self) -> dict[str, Any]:
        """Return `audio_file` as clients see it."""
        # PynamoDB's way to an attribute takes longer than everything else here, fifty times a page.
        value = self.attribute_values.get
        return {
            "file_id": self.file_id,
            "user_id": self.user_id,
            "s3_key": self.s3_key,
            "file_size": value("file_size"),
            "uploaded_at": rfc3339(value("uploaded_at") or value("kept_uploaded_at")),
            "status": value("status") or UNKNOWN,
            "recorded_at": rfc3339(value("recorded_at")),
            "duration_ms": value("duration_ms"),
            "content_type": value("content_type"),
            "format": value("format"),
            "title": value("title"),
            "note": value("note"),
            "deleted_at": rfc3339(value("deleted_at")),
            "transcript": transcript_to_public(value("transcript")),
        }


def transcript_to_public(known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return `transcript` of a recording as clients see it; None where there is neither one nor a job."""
    if known is None or known.get("status") is None:
        return None
    return {name: known.get(name) for name in TRANSCRIPT_FIELDS}


def _is_backwards(between: tuple[datetime | None, datetime | None]) -> bool:
    """Whether nothing can lie between two moments, of which DynamoDB refuses to be asked."""
    first, last = between
    return first is not None and last is not None and first > last


def _between(attribute: Any, first: datetime | None, last: datetime | None) -> Condition | None:
    if first is not None and last is not None:
        found: Condition = attribute.between(first, last)
        return found
    if first is not None:
        return attribute >= first  # type: ignore[no-any-return]
    return None if last is None else attribute <= last

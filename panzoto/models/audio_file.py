"""Recordings: what is known about each object in the bucket. Reachable through their owner only."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from panzoto.errors import Conflict, KeyTaken, TokenInvalid
from panzoto.models.attributes import EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.claim import Claim
from panzoto.models.connection import BaseMeta, ConditionFailed, Transaction, storage_failures, transact
from panzoto.models.user import User


class UserFilesIndex(GlobalSecondaryIndex["AudioFile"]):
    class Meta:
        index_name = "user-files-index"
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    uploaded_at = EpochAttribute(range_key=True)


class AudioFile(StoredModel):
    """One recording. `format` is what opened it, once something has."""

    class Meta(BaseMeta):
        table_name = "panzoto-audio-files"

    user_files_index = UserFilesIndex()
    file_id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    s3_key = UnicodeAttribute()
    file_size = NumberAttribute(null=True)
    uploaded_at = EpochAttribute()
    uploaded_at_iso = UnicodeAttribute(null=True)
    format = UnicodeAttribute(null=True)
    # The object that an upgrade replaced: `earlier_key` for good, since its claim
    # stays, and `superseded_key` until the object is removed.
    earlier_key = UnicodeAttribute(null=True)
    superseded_key = UnicodeAttribute(null=True)

    @classmethod
    def owned(cls, file_id: str, user_id: str) -> AudioFile | None:
        """Return the recording if it is `user_id`'s; somebody else's is as if it were not there."""
        with storage_failures():
            try:
                found = cls.get(file_id, consistent_read=True)
            except cls.DoesNotExist:
                return None
        return found if found.user_id == user_id else None

    @classmethod
    def owned_by_s3_key(cls, s3_key: str, user_id: str) -> AudioFile | None:
        """Return `user_id`'s recording under `s3_key`: two reads, however many recordings there are.

        A row of the earlier service has no claim yet: it is looked for among its
        owner's recordings, a page at a time, and the claim is written then.
        """
        claim = Claim.on_s3_key(s3_key)
        if claim is not None and claim.user_id == user_id and claim.file_id is not None:
            return cls.owned(claim.file_id, user_id)
        found = next((row for row in cls.oldest_first(user_id) if row.s3_key == s3_key), None)
        if found is not None:
            found.claim().take_if_free()
        return found

    @classmethod
    def newest(cls, user_id: str, limit: int) -> list[AudioFile]:
        """Return up to `limit` recordings, newest first, in one query as long as they fit in its megabyte."""
        with storage_failures():
            return list(cls.user_files_index.query(user_id, limit=limit, scan_index_forward=False))

    @classmethod
    def oldest_first(cls, user_id: str) -> Iterator[AudioFile]:
        """Yield every recording of `user_id`, reading the index a page at a time."""
        with storage_failures():
            yield from cls.user_files_index.query(user_id)

    @classmethod
    def record(cls, s3_key: str, user_id: str, file_size: int | None) -> AudioFile:
        """Write a recording and its claim on `s3_key` in one transaction.

        Repeating it returns the record that exists. Raises `KeyTaken` when the
        key is another user's and `TokenInvalid` when the account is gone.
        """
        uploaded = now()
        new = cls(
            file_id=str(uuid.uuid4()),
            user_id=user_id,
            s3_key=s3_key,
            file_size=file_size,
            uploaded_at=uploaded,
            uploaded_at_iso=rfc3339(uploaded),
        )
        try:
            new._write(check_claims_complete=True)
            return new
        except ConditionFailed as refused:
            claims_incomplete, *_ = refused.failed
        if claims_incomplete:
            existing = cls.owned_by_s3_key(s3_key, user_id)
            cls._prepare_first_record(user_id)
        else:
            existing = new._behind_claim()
        return existing or new._write_unless_claimed()

    def _write(self, check_claims_complete: bool) -> None:
        def fill(transaction: Transaction) -> None:
            if check_claims_complete:
                transaction.condition_check(User, self.user_id, condition=User.claims_complete.exists())
            self.claim().add_to(transaction)
            transaction.save(self, condition=AudioFile.file_id.does_not_exist())

        transact(fill, AudioFile)

    def _write_unless_claimed(self) -> AudioFile:
        try:
            self._write(check_claims_complete=False)
        except ConditionFailed as refused:
            existing = self._behind_claim()
            if existing is None:
                raise KeyTaken() from refused
            return existing
        return self

    def _behind_claim(self) -> AudioFile | None:
        """Return the recording that has claimed our key. Raises `KeyTaken` when it is another user's."""
        claim = Claim.on_s3_key(self.s3_key)
        if claim is None or claim.file_id is None:
            return None
        if claim.user_id != self.user_id:
            raise KeyTaken()
        return AudioFile.owned(claim.file_id, self.user_id) or self._under(claim.file_id)

    def _under(self, file_id: str) -> AudioFile:
        """Write this recording under the id of a claim whose row somebody removed."""
        self.file_id = file_id
        with storage_failures():
            self.save(condition=AudioFile.file_id.does_not_exist())
        return self

    @classmethod
    def _prepare_first_record(cls, user_id: str) -> None:
        """Note on an account without recordings that from now on every one has its claim."""
        user = User.find(user_id)
        if user is None:
            raise TokenInvalid()
        if not cls.newest(user_id, limit=1):
            user.mark_claims_complete()

    def claim(self) -> Claim:
        return Claim.for_s3_key(self.s3_key, self.user_id, self.file_id)

    def remember_format(self, name: str) -> None:
        """Note what opened the recording; a row that is gone meanwhile stays gone."""
        if self.format != name:
            self._update_if_there(AudioFile.format.set(name))

    def _update_if_there(self, action: Action) -> None:
        try:
            with storage_failures():
                self.update(actions=[action], condition=AudioFile.file_id.exists())
        except ConditionFailed:
            return

    def switch_to(self, s3_key: str, size: int) -> None:
        """Let this recording's object be `s3_key`, a version 2 copy, in one transaction.

        The claim on the key before stays, so that a phone that repeats its old
        request meets this record. Raises `Conflict` when the row was changed meanwhile.
        """
        before = self.s3_key

        def fill(transaction: Transaction) -> None:
            mine = Claim.claim.does_not_exist() | (Claim.file_id == self.file_id)
            transaction.save(Claim.for_s3_key(s3_key, self.user_id, self.file_id), condition=mine)
            transaction.update(
                self,
                actions=[
                    AudioFile.s3_key.set(s3_key),
                    AudioFile.file_size.set(size),
                    AudioFile.format.set("v2"),
                    AudioFile.superseded_key.set(before),
                    AudioFile.earlier_key.set(before),
                ],
                condition=AudioFile.s3_key == before,
            )

        try:
            transact(fill, AudioFile)
        except ConditionFailed as error:
            stored = AudioFile.owned(self.file_id, self.user_id)
            if stored is None or stored.s3_key != s3_key:
                raise Conflict() from error
        self.s3_key, self.file_size, self.format = s3_key, size, "v2"
        self.superseded_key, self.earlier_key = before, before

    def another_row_names(self, s3_key: str) -> bool:
        """Whether another of the owner's rows has the same object, as rows of the earlier service may."""
        others = (row for row in AudioFile.oldest_first(self.user_id) if row.file_id != self.file_id)
        return any(row.s3_key == s3_key for row in others)

    def forget_superseded(self) -> None:
        """Note that the object before the switch needs no more cleaning."""
        self._update_if_there(AudioFile.superseded_key.remove())

    def to_public(self) -> dict[str, Any]:
        """Return `audio_file` as clients see it."""
        return {
            "file_id": self.file_id,
            "user_id": self.user_id,
            "s3_key": self.s3_key,
            "file_size": self.file_size,
            "uploaded_at": rfc3339(self.uploaded_at),
            "format": self.format,
        }

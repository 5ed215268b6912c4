"""Recordings: what is known about each object in the bucket. Reachable through their owner only."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from panzoto.errors import Conflict, KeyTaken, TokenInvalid, Unavailable
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
        return cls._of_the_earlier_service(s3_key, user_id)

    @classmethod
    def _of_the_earlier_service(cls, s3_key: str, user_id: str) -> AudioFile | None:
        """Look for a row without a claim among its owner's, and write the claim."""
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
            new._write(counted=True)
            return new
        except ConditionFailed:
            existing = new._existing()
        return existing or new._write_first()

    def _write(self, counted: bool) -> None:
        def fill(transaction: Transaction) -> None:
            if counted:
                User.add_usage_to(transaction, self.user_id, 1, self.size_in_bytes)
            else:
                User.add_presence_check_to(transaction, self.user_id)
            self.claim().add_to(transaction)
            transaction.save(self, condition=AudioFile.file_id.does_not_exist())

        transact(fill, AudioFile)

    def _existing(self) -> AudioFile | None:
        """Return the owner's recording under our key. Raises `KeyTaken` when only another user has one."""
        claim = Claim.on_s3_key(self.s3_key)
        if claim is not None and claim.user_id == self.user_id and claim.file_id is not None:
            return AudioFile.owned(claim.file_id, self.user_id) or self._under(claim.file_id)
        earlier = AudioFile._of_the_earlier_service(self.s3_key, self.user_id)
        if earlier is None and claim is not None:
            raise KeyTaken()
        return earlier

    def _write_first(self) -> AudioFile:
        """Write into an account whose recordings are not counted yet; if it has none, they are from now on.

        Raises `TokenInvalid` when the account is gone.
        """
        user = User.find(self.user_id)
        if user is None or user.being_deleted:
            raise TokenInvalid()
        if not AudioFile.newest(self.user_id, limit=1):
            user.mark_claims_complete(0, 0)
        try:
            self._write(counted=user.is_counted)
        except ConditionFailed as refused:
            existing = self._existing()
            if existing is None:
                raise Unavailable() from refused
            return existing
        return self

    def _under(self, file_id: str) -> AudioFile:
        """Write this recording under the id of a claim whose row somebody removed."""
        self.file_id = file_id
        with storage_failures():
            self.save(condition=AudioFile.file_id.does_not_exist())
        return self

    @property
    def size_in_bytes(self) -> int:
        """The size as far as it is known; rows of the earlier service may have none."""
        return int(self.attribute_values.get("file_size") or 0)

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

    @classmethod
    def usage(cls, user_id: str) -> tuple[int, int]:
        """Return how many recordings and bytes `user_id` has, by reading every one."""
        sizes = [row.size_in_bytes for row in cls.oldest_first(user_id)]
        return len(sizes), sum(sizes)

    def switch_to(self, s3_key: str, size: int, counted: bool) -> None:
        """Let this recording's object be `s3_key`, a version 2 copy, in one transaction.

        The claim on the key before stays, so that a phone that repeats its old
        request meets this record. Raises `Conflict` when the row was changed meanwhile.
        """
        before = self.s3_key

        def fill(transaction: Transaction) -> None:
            if counted:
                User.add_usage_to(transaction, self.user_id, 0, size - self.size_in_bytes)
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

    def own_keys(self) -> list[str]:
        """Return the keys, today's and an upgraded object's, whose objects are this user's alone.

        A key that another user has claimed is not; one without a claim is claimed now.
        """
        named = {self.s3_key, self.attribute_values.get("earlier_key") or self.s3_key}
        return [s3_key for s3_key in sorted(named) if self._claims(s3_key)]

    def _claims(self, s3_key: str) -> bool:
        if Claim.for_s3_key(s3_key, self.user_id, self.file_id).take_if_free():
            return True
        claim = Claim.on_s3_key(s3_key)
        return claim is not None and claim.user_id == self.user_id

    def remove(self) -> None:
        """Remove the claims and then the row; the objects must be gone already."""
        for s3_key in self.own_keys():
            Claim.release(s3_key, self.user_id)
        with storage_failures():
            self.delete()

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

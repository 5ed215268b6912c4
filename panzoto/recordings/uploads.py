"""Uploads: from the announcement, through presigned URLs, to a recording that lists show.

The row is written before any URL is given out, so whatever a phone puts into
the bucket has a record; the object's real size and checksum are looked at
before lists show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from panzoto import object_keys
from panzoto.errors import (
    AudioFileNotFound,
    Busy,
    ChecksumMismatch,
    KeyTaken,
    ObjectNotFound,
    PanzotoError,
    SizeMismatch,
    Unavailable,
    UploadComplete,
    UploadIncomplete,
)
from panzoto.models import AudioFile, Claim, User
from panzoto.models.attributes import now, rfc3339
from panzoto.models.audio_file import ERASING, PENDING, STORED
from panzoto.recordings.checksums import Checksums
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import Quota, add, edit, record
from panzoto.recordings.presigning import Presigner, SignedRequest
from panzoto.recordings.transcript_state import gone_with
from panzoto.recordings.trash import Trash
from panzoto.removal import Removal
from panzoto.storage import ObjectVersion, Storage, StoredPart

MIB = 1024 * 1024
SMALLEST_PART = 16 * MIB
MOST_PARTS = 10_000
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of all users into one bucket."""

    storage: Storage
    removal: Removal
    presigner: Presigner
    quota: Quota
    single_max: int
    trash: Trash
    checksums: Checksums

    def announce(
        self, user_id: str, file_size: int, client_id: str | None, **more: Any
    ) -> tuple[AudioFile, bool]:
        """Write a pending recording and return it with True, or the one announced before under `client_id`.

        Raises `QuotaExceeded`, `TokenInvalid`, `Unavailable`.
        """
        for _ in range(ATTEMPTS):
            former = Claim.on_client_id(user_id, client_id) if client_id is not None else None
            known = AudioFile.owned(former.file_id, user_id) if former is not None else None
            if known is not None:
                return known, False
            row = AudioFile.announced(user_id, file_size, client_id=client_id, **more)
            # A recording that is being erased needs its phone's name for it no more.
            named = Claim.for_client_id(user_id, client_id, row.file_id) if client_id is not None else None
            try:
                add(
                    row,
                    quota=self.quota,
                    also=partial(named.take_from, former) if named is not None else None,
                    taken=partial(named.is_taken_beside, former) if named is not None else None,
                )
            except KeyTaken:
                # It was announced a second time at this moment.
                continue
            return row, True
        raise Unavailable()

    def describe(self, row: AudioFile, host: str) -> tuple[dict[str, Any] | None, list[StoredPart]]:
        """Return where the bytes of a pending recording go, with fresh URLs, and the parts that are there.

        Nothing and none once it is stored. The bucket is asked for its parts once.
        """
        if row.status != PENDING:
            return None, []
        if row.size_in_bytes <= self.single_max:
            return self._single(row, host), []
        return self._multipart(row, host)

    def _single(self, row: AudioFile, host: str) -> dict[str, Any]:
        signed: SignedRequest = self.presigner.put(row.s3_key, row.size_in_bytes, row.sha256, host)
        return {
            "type": "single",
            "method": "PUT",
            "url": signed.url,
            "headers": signed.headers,
            "expires_at": rfc3339(signed.expires_at),
        }

    def _multipart(self, row: AudioFile, host: str) -> tuple[dict[str, Any] | None, list[StoredPart]]:
        row, parts = self._begun(row)
        if row.status != PENDING:
            return None, []
        there = _of_right_size(row, parts)
        missing = self._missing(row, parts)
        lengths = {number: part_length(row.size_in_bytes, number) for number in missing}
        urls, expires_at = self.presigner.parts(row.s3_key, row.upload_id, lengths, host)
        upload = {
            "type": "multipart",
            "part_size": part_size(row.size_in_bytes),
            "parts": [{"part_number": number, "url": url} for number, url in zip(missing, urls, strict=True)],
            "expires_at": rfc3339(expires_at),
        }
        return upload, there

    def _begun(self, row: AudioFile) -> tuple[AudioFile, list[StoredPart] | None]:
        """Return the row with a multipart upload that is begun in the bucket, and its parts there.

        One that was joined already is not begun again, and has none.
        """
        parts = self._parts(row)
        if parts is not None or (row.upload_id and self._is_whole(row)):
            return row, parts
        upload_id = self.storage.begin_parts(row.s3_key)
        before = row.upload_id

        def plan(current: AudioFile, _: User) -> Edit | None:
            # Of two that begin at once the first one counts; the other is dropped.
            first = current.status == PENDING and current.upload_id == before
            return Edit([AudioFile.upload_id.set(upload_id)]) if first else None

        row = edit(row.file_id, row.user_id, plan)
        if row.upload_id != upload_id:
            self.removal.of_parts(row.s3_key, upload_id)
            return row, self._parts(row)
        return row, []

    def _is_whole(self, row: AudioFile) -> bool:
        """Whether an object of the announced size is there."""
        try:
            return self.storage.look(row.s3_key).size == row.size_in_bytes
        except ObjectNotFound:
            return False

    def _parts(self, row: AudioFile) -> list[StoredPart] | None:
        """Return the parts in the bucket; None when they were joined, given up or never begun."""
        return self.storage.parts(row.s3_key, row.upload_id) if row.upload_id else None

    def complete(self, row: AudioFile) -> AudioFile:
        """Look at what is in the bucket and let lists show the recording; repeating it changes nothing.

        Raises `UploadIncomplete`, `SizeMismatch`, `ChecksumMismatch`,
        `AudioFileNotFound`, and `Busy` while another request looks at it. What does not
        match is removed, so that the phone can try again.
        """
        if row.status != PENDING:
            return row
        if row.upload_id:
            self._join_parts(row)
        try:
            version = self.storage.look(row.s3_key)
        except ObjectNotFound as error:
            raise UploadIncomplete(self._missing(row, self._parts(row))) from error
        self._verify(row, version)
        return commit(row, version)

    def _missing(self, row: AudioFile, parts: list[StoredPart] | None) -> list[int]:
        """Return the numbers of the parts that the phone has yet to send, where these are in the bucket."""
        if row.size_in_bytes <= self.single_max:
            return []
        if parts is None and row.upload_id and self._is_whole(row):
            # Joined by a process that died before it could commit: the phone need not send it all again.
            return []
        stored = {part.number for part in _of_right_size(row, parts)}
        return [number for number in range(1, part_count(row.size_in_bytes) + 1) if number not in stored]

    def _join_parts(self, row: AudioFile) -> None:
        parts = self._parts(row)
        if parts is None:
            # Joined before, by a request whose answer was lost, or never begun: the object itself tells.
            return
        missing = self._missing(row, parts)
        if missing:
            raise UploadIncomplete(missing)
        self.storage.join_parts(row.s3_key, row.upload_id, parts)

    def _verify(self, row: AudioFile, version: ObjectVersion) -> None:
        if version.size != row.size_in_bytes:
            self.removal.of_a_wrong_upload(version)
            raise SizeMismatch()
        if row.sha256 and self.checksums.sha256(version) != row.sha256:
            self.removal.of_a_wrong_upload(version)
            raise ChecksumMismatch()

    def abort_for(self, file_id: str, user_id: str) -> None:
        """Give up a pending upload because its owner says so, or go on where that was interrupted.

        Raises `AudioFileNotFound` and `UploadComplete`.
        """
        row = AudioFile.row(file_id)
        if row is None or not (row.is_there_for(user_id) or _is_interrupted(row, user_id)):
            raise AudioFileNotFound()
        self.abort(row)

    def abort(self, row: AudioFile) -> None:
        """Give up a pending upload: nobody sees its row any more, then its parts and object go, then the row.

        The row says so first. Were it the object, a commit at the same moment would leave
        a stored recording without one. Interrupted anywhere, `Trash.finish_erasure` goes on.
        An address of a single PUT that was given out is good for a while: so long the bytes
        stay reserved, and the row tells the chores what to remove then. Raises `UploadComplete`.
        """

        def plan(current: AudioFile, user: User) -> Edit | None:
            if current.status == ERASING:
                return None
            if current.status != PENDING:
                raise UploadComplete()
            until, size = self.presigner.still_good_until(current), current.size_in_bytes
            actions = [AudioFile.status.set(ERASING)]
            return Edit(
                actions if until is None else [*actions, AudioFile.erase_after.set(until)],
                recordings=-1,
                size=-size,
                reserved=None if until is None else (until, 1, size),
                also=gone_with(current, user.next_change_number),
            )

        given_up = edit(row.file_id, row.user_id, plan, even_erasing=True)
        if given_up.status == ERASING:
            # Else somebody else was faster, and through with it.
            self.trash.finish_erasure(given_up)

    def record(self, row: AudioFile) -> AudioFile:
        """Record what a phone says is in the bucket, or return its owner's record that has the key.

        In its owner's folder, where nobody else's object can be, the object's own size
        counts instead of what was said. Raises `KeyTaken`, and what `complete` raises for
        an announced upload.
        """
        size = self._own_size(row)
        if size is not None:
            row.file_size = size
        recorded = record(row)
        return self.complete(recorded) if recorded.status == PENDING else recorded

    def _own_size(self, row: AudioFile) -> int | None:
        """Return the size of the object in its owner's folder; None elsewhere, and where there is none."""
        if not object_keys.lies_in_folder_of(row.s3_key, row.user_id):
            return None
        try:
            return self.storage.look(row.s3_key).size
        except ObjectNotFound:
            return None

    def _recount(self, row: AudioFile) -> None:
        """Count an object that came after it was recorded with its own size."""
        size = self._own_size(row)

        def plan(current: AudioFile, _: User) -> Edit | None:
            if size is None or current.size_in_bytes == size or current.status == ERASING:
                return None
            more = size - current.size_in_bytes if current.counts else 0
            return Edit([AudioFile.file_size.set(size)], size=more)

        edit(row.file_id, row.user_id, plan)

    def arrived(self, s3_key: str) -> bool:
        """Commit the pending recording that `s3_key` belongs to, if there is one and it is whole.

        One that was recorded before its object came is counted with the object's size.
        For the bucket's own events, which come late, twice and out of order. Raises `Unavailable`.
        """
        claim = Claim.on_s3_key(s3_key)
        row = AudioFile.row(claim.file_id) if claim is not None and claim.file_id else None
        if row is None or row.s3_key != s3_key:
            return False
        try:
            if row.status != PENDING:
                self._recount(row)
                return False
            self.complete(row)
        except Unavailable:
            raise
        except Busy as error:
            # What the other request finds out may never be written.
            raise Unavailable() from error
        except PanzotoError:
            # Not whole, not what was announced, replaced or given up meanwhile: asking again would not help.
            return False
        return True


def _is_interrupted(row: AudioFile, user_id: str) -> bool:
    """Whether `user_id` gave it up, and S3 was not done with it: its key is claimed until then."""
    is_given_up = row.user_id == user_id and row.status == ERASING and row.value("erasure_id") is None
    claim = Claim.on_s3_key(row.s3_key) if is_given_up else None
    return claim is not None and claim.file_id == row.file_id


def commit(row: AudioFile, version: ObjectVersion) -> AudioFile:
    """Let lists show a recording whose object has been looked at."""

    def plan(current: AudioFile, _: User) -> Edit | None:
        if current.status != PENDING:
            return None
        uploaded = now()
        return Edit(
            [
                AudioFile.status.set(STORED),
                AudioFile.uploaded_at.set(uploaded),
                AudioFile.uploaded_at_iso.set(rfc3339(uploaded)),
                AudioFile.listed_at.set(current.value("recorded_at") or uploaded),
            ],
            size=version.size - current.size_in_bytes,
        )

    return edit(row.file_id, row.user_id, plan)


def _of_right_size(row: AudioFile, parts: list[StoredPart] | None) -> list[StoredPart]:
    return [part for part in parts or [] if part.size == part_length(row.size_in_bytes, part.number)]


def part_size(file_size: int) -> int:
    """Return the size in bytes of every part but the last: whole MiB, and no more parts than S3 takes."""
    least = -(-file_size // MOST_PARTS)
    return max(SMALLEST_PART, -(-least // MIB) * MIB)


def part_count(file_size: int) -> int:
    """Return into how many parts so many bytes are cut."""
    return -(-file_size // part_size(file_size))


def part_length(file_size: int, number: int) -> int:
    """Return how long part `number`, counted from one, must be."""
    return max(0, min(part_size(file_size), file_size - (number - 1) * part_size(file_size)))

"""What an owner does with a recording that is there: describe it, bin it, take it back, erase it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from panzoto.auth.caller import Caller
from panzoto.crypto.header import V2
from panzoto.errors import AudioFileNotFound
from panzoto.models import AudioFile, Claim, Erasure, Event, User
from panzoto.models.attributes import now, rfc3339
from panzoto.models.audio_file import ERASING
from panzoto.models.connection import Also, together
from panzoto.object_keys import upgraded_key
from panzoto.recordings.earlier_keys import EarlierKeys
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import Quota, edit
from panzoto.recordings.ownership import erasable_keys
from panzoto.recordings.presigning import Presigner
from panzoto.recordings.transcript_state import gone_with, had_object, known_of
from panzoto.removal import Removal


def _is_interrupted(row: AudioFile, user_id: str) -> bool:
    """Whether it is `user_id`'s and its erasure has begun, and ended before S3 was done with it."""
    erasure_id = row.value("erasure_id")
    is_begun = row.user_id == user_id and row.status == ERASING and erasure_id is not None
    return is_begun and Erasure.is_interrupted(user_id, erasure_id)


def _always(_: AudioFile) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Trash:
    """The recordings of all users in one bucket."""

    removal: Removal
    earlier_keys: EarlierKeys
    presigner: Presigner
    quota: Quota

    def describe(self, file_id: str, user_id: str, values: dict[str, Any]) -> AudioFile:
        """Set what the owner says of a recording; None takes a value away. Raises `AudioFileNotFound`."""

        def plan(row: AudioFile, _: User) -> Edit:
            actions = [
                getattr(AudioFile, name).remove() if value is None else getattr(AudioFile, name).set(value)
                for name, value in values.items()
            ]
            if "recorded_at" in values and row.is_listed:
                actions.append(AudioFile.listed_at.set(values["recorded_at"] or row.uploaded_at))
            return Edit(actions)

        return edit(file_id, user_id, plan) if values else AudioFile.require(file_id, user_id)

    def bin(self, file_id: str, by: Caller) -> AudioFile:
        """Put a recording into the trash, where it does not count; one that is there stays as it is.

        Raises `AudioFileNotFound`.
        """

        def plan(row: AudioFile, _: User) -> Edit | None:
            if row.value("deleted_at") is not None:
                return None
            if not row.is_listed:
                raise AudioFileNotFound()
            return Edit(
                [
                    AudioFile.deleted_at.set(now()),
                    AudioFile.kept_uploaded_at.set(row.uploaded_at),
                    AudioFile.uploaded_at.remove(),
                    AudioFile.listed_at.remove(),
                ],
                recordings=-1,
                size=-row.size_in_bytes,
                also=Event.by(by, "recording_deleted", file_id=file_id, permanent=False).add_to,
            )

        return edit(file_id, by.user_id, plan)

    def restore(self, file_id: str, user_id: str) -> AudioFile:
        """Take a recording out of the trash; one that is listed stays as it is.

        Raises `AudioFileNotFound` and `QuotaExceeded`.
        """

        def plan(row: AudioFile, user: User) -> Edit | None:
            if row.value("deleted_at") is None:
                return None
            self.quota.check(user, 1, row.size_in_bytes)
            uploaded = row.kept_uploaded_at
            return Edit(
                [
                    AudioFile.deleted_at.remove(),
                    AudioFile.kept_uploaded_at.remove(),
                    AudioFile.uploaded_at.set(uploaded),
                    AudioFile.uploaded_at_iso.set(rfc3339(uploaded)),
                    AudioFile.listed_at.set(row.value("recorded_at") or uploaded),
                ],
                recordings=1,
                size=row.size_in_bytes,
            )

        return edit(file_id, user_id, plan)

    def erase_for(self, file_id: str, by: Caller) -> None:
        """Erase a recording for good because its owner says so, or go on where that was interrupted.

        Raises `AudioFileNotFound`.
        """
        row = AudioFile.row(file_id)
        if row is None or not (row.is_there_for(by.user_id) or _is_interrupted(row, by.user_id)):
            raise AudioFileNotFound()
        self._erase(row, _always, Event.by(by, "recording_deleted", file_id=file_id, permanent=True).add_to)

    def erase(self, audio_file: AudioFile) -> int:
        """Erase a recording for good: its objects with every version, then row and claims.

        Interrupted anywhere, the row says so and `finish_erasure` goes on.
        Returns how many versions S3 would not delete; as long as there are
        any, the row stays, shown to nobody. So it does while an address under
        which it was uploaded is good, for what may be put there once more.
        """
        return self._erase(audio_file, _always)

    def erase_binned_before(self, audio_file: AudioFile, moment: datetime) -> int:
        """Erase a recording as `erase` does if it has been in the trash since before `moment`."""

        def is_due(row: AudioFile) -> bool:
            deleted_at = row.value("deleted_at")
            return deleted_at is not None and deleted_at < moment

        return self._erase(audio_file, is_due)

    def _erase(
        self, audio_file: AudioFile, is_due: Callable[[AudioFile], bool], also: Also | None = None
    ) -> int:
        erasure = Erasure.of(audio_file.user_id, audio_file.file_id)
        row = self.begin_erasure(audio_file, erasure, is_due, also)
        if row.status != ERASING:
            return 0
        return self.finish_erasure(row)

    def begin_erasure(
        self,
        audio_file: AudioFile,
        erasure: Erasure,
        is_due: Callable[[AudioFile], bool] = _always,
        also: Also | None = None,
    ) -> AudioFile:
        """Let the row say that it is being erased, if that `is_due` as the row is now, and note the erasure.

        It does what `also` adds at once. Nobody sees the row from then on.
        """

        def plan(row: AudioFile, user: User) -> Edit | None:
            if row.status == ERASING or not is_due(row):
                return None
            until, size = self.presigner.still_good_until(row), row.size_in_bytes
            actions = [
                AudioFile.status.set(ERASING),
                AudioFile.erasure_id.set(erasure.erasure_id),
                AudioFile.uploaded_at.remove(),
                AudioFile.listed_at.remove(),
                AudioFile.deleted_at.remove(),
            ]
            return Edit(
                actions if until is None else [*actions, AudioFile.erase_after.set(until)],
                recordings=-1 if row.counts else 0,
                size=-size if row.counts else 0,
                reserved=None if until is None else (until, 1, size),
                also=together(erasure.add_to, gone_with(row, user.next_change_number), also),
            )

        return edit(audio_file.file_id, audio_file.user_id, plan, even_erasing=True)

    def finish_erasure(self, row: AudioFile) -> int:
        """Go on with an erasure that has begun; safe to repeat.

        Where an upload may come again the row stays, without its claims, so that its phone may begin anew.
        """
        keys, unclear = erasable_keys(row)
        removed, waiting = 0, len(unclear)
        for s3_key in keys:
            done, refused = self.removal.of_a_recording(s3_key)
            removed, waiting = removed + done, waiting + refused
        if not waiting:
            if had_object(known_of(row)):
                waiting += self.removal.of_all_transcripts(row.user_id, row.file_id)
            waiting += self._remove_copy_of(row)
        # While the row is there whoever goes on with it notes it again, so what fails here is not lost.
        if row.erasure_id is not None:
            Erasure.note(row.user_id, row.erasure_id, removed, waiting)
        if row.format != V2:
            # Before the row goes, so that whoever goes on with it asks again.
            self.earlier_keys.forget_if_unneeded(row.user_id)
        if not waiting:
            (row.remove if row.may_be_erased else row.release_claims)()
        return waiting

    def _remove_copy_of(self, row: AudioFile) -> int:
        """Remove the copy that an upgrade of the recording left which was interrupted before its end.

        Returns how many versions of it S3 kept.
        """
        if row.format in (None, V2):
            # An upgrade notes first that it has opened what is not version 2.
            return 0
        s3_key = upgraded_key(row.user_id, row.file_id)
        if Claim.on_s3_key(s3_key) is not None or AudioFile.is_named_by_another(s3_key, ""):
            return 0
        return self.removal.of_a_copy(s3_key)

"""Opening a recording that its owner asks for, by id or by key, and noting what that proves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from panzoto.auth.caller import Caller
from panzoto.crypto.keys import AnyKeys, FileKey, Keys
from panzoto.errors import AudioFileNotFound, PanzotoError
from panzoto.models import AudioFile, Event
from panzoto.object_keys import LONGEST_KEY_BYTES, lies_in_folder_of_another
from panzoto.playback.opening import OpenedRecording, Playback, Ticket
from panzoto.playback.sittings import KeysOf, Sittings
from panzoto.recordings.ownership import held_by_another, is_proved, note_all_opened, note_opened, take_over


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens recordings of one bucket for their owners, who then play them by a ticket."""

    playback: Playback
    sittings: Sittings

    def by_id(self, file_id: str, keys: AnyKeys, by: Caller) -> tuple[AudioFile, Ticket]:
        """Open a recording of `by`. Raises `AudioFileNotFound` and what opening raises."""
        return self._ready(*self._noted(AudioFile.require(file_id, by.user_id), keys), by)

    def by_key(self, s3_key: str, keys: AnyKeys, by: Caller) -> tuple[AudioFile, Ticket]:
        """Open the recording of `by` under `s3_key`. Raises as `by_id` does.

        A key that only another account has recorded is tried as well: an object that opens with these keys is
        theirs, and gets a recording.  Whatever else comes of that is `AudioFileNotFound`, so that nobody
        learns what lies under a key of others.
        """
        if len(s3_key.encode()) > LONGEST_KEY_BYTES:
            # No object is called so, and DynamoDB refuses to look for it.
            raise AudioFileNotFound()
        user_id = by.user_id
        row = AudioFile.find_and_claim_s3_key(s3_key, user_id)
        if row is not None:
            return self._ready(*self._noted(row, keys), by)
        if lies_in_folder_of_another(s3_key, user_id) or not held_by_another(s3_key, user_id):
            raise AudioFileNotFound()
        try:
            opened = self.playback.open(s3_key, keys, None)
        except PanzotoError as error:
            if error.status >= 500:
                raise
            raise AudioFileNotFound() from error
        return self._ready(take_over(s3_key, opened.version.size, user_id, opened.format), opened, by)

    def sitting(
        self, file_ids: list[str], keys: Keys | Mapping[str, FileKey], by: Caller
    ) -> tuple[list[AudioFile], Ticket]:
        """Open several recordings of `by` as one, with a password's keys or one of each clip by its file_id.

        Raises what `Sittings.open` raises.
        """
        rows = AudioFile.all_owned(file_ids, by.user_id)
        ticket, formats = self.sittings.open(rows, keys_of(keys), by.identity)
        noted = note_all_opened(rows, formats)
        Event.by(by, "recording_decrypted", file_ids=file_ids).write()
        return noted, ticket

    def _noted(self, row: AudioFile, keys: AnyKeys) -> tuple[AudioFile, OpenedRecording]:
        opened = self.playback.open(row.s3_key, keys_for(row, keys), row.format)
        return note_opened(row, opened.format), opened

    def _ready(self, row: AudioFile, opened: OpenedRecording, by: Caller) -> tuple[AudioFile, Ticket]:
        ticket = self.playback.ticket(opened, row.content_type, row.duration_ms, by.identity)
        Event.by(by, "recording_decrypted", file_id=row.file_id).write()
        return row, ticket


def keys_of(keys: Keys | Mapping[str, FileKey]) -> KeysOf:
    """Return what opens each recording: a password's keys all of them, or each its own by its file_id."""
    if isinstance(keys, Keys):
        return lambda _: keys
    return lambda row: keys_for(row, keys[row.file_id])


def keys_for(row: AudioFile, keys: AnyKeys) -> AnyKeys:
    """Return what opens `row`.

    A file key proves that somebody has it, not whose the recording is; where that is not known, the vault
    that the header names does.
    """
    if isinstance(keys, FileKey) and keys.key_id is not None and is_proved(row):
        return replace(keys, key_id=None)
    return keys

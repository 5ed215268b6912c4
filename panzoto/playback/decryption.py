"""Opening a recording that its owner asks for, by id or by key, and noting what that proves."""

from __future__ import annotations

from dataclasses import dataclass

from panzoto.crypto.keys import Keys
from panzoto.errors import AudioFileNotFound, PanzotoError
from panzoto.models import AudioFile
from panzoto.object_keys import lies_in_folder_of_another
from panzoto.playback.opening import OpenedRecording, Playback
from panzoto.recordings.ownership import held_by_another, note_opened, take_over


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens recordings of one bucket for their owners."""

    playback: Playback

    def by_id(self, file_id: str, user_id: str, keys: Keys) -> tuple[AudioFile, OpenedRecording]:
        """Open `user_id`'s recording. Raises `AudioFileNotFound` and what opening raises."""
        row = AudioFile.owned(file_id, user_id)
        if row is None:
            raise AudioFileNotFound()
        return self._noted(row, keys)

    def by_key(self, s3_key: str, user_id: str, keys: Keys) -> tuple[AudioFile, OpenedRecording]:
        """Open `user_id`'s recording under `s3_key`.

        A key that only another account has recorded is tried as well: an object that opens with these keys is
        theirs, and gets a recording.  Whatever else comes of that is `AudioFileNotFound`, so that nobody
        learns what lies under a key of others.
        """
        row = AudioFile.find_and_claim_s3_key(s3_key, user_id)
        if row is not None:
            return self._noted(row, keys)
        if lies_in_folder_of_another(s3_key, user_id) or not held_by_another(s3_key, user_id):
            raise AudioFileNotFound()
        try:
            opened = self.playback.open(s3_key, keys, None)
        except PanzotoError as error:
            if error.status >= 500:
                raise
            raise AudioFileNotFound() from error
        return take_over(s3_key, opened.version.size, user_id, opened.format), opened

    def _noted(self, row: AudioFile, keys: Keys) -> tuple[AudioFile, OpenedRecording]:
        opened = self.playback.open(row.s3_key, keys, row.format)
        return note_opened(row, opened.format), opened

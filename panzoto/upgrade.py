"""Rewriting a single-shot recording as version 2, so that nothing is lost wherever it is interrupted.

1. The copy is written beside the old object, under a key of its own.
2. It is read back whole and compared with what the old object plays.
3. One transaction switches the row to the copy.
4. The old object is removed, unless another record still names it.

The copy's key follows from the recording's id, so the next run overwrites or
removes what an interrupted one left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from panzoto.crypto import segments
from panzoto.errors import Conflict, DecryptionFailed
from panzoto.models import AudioFile, User
from panzoto.playback import V2, Keys, OpenedRecording, Playback
from panzoto.storage import ObjectVersion, Storage


class Upgrade:
    """Upgrades recordings of one bucket."""

    def __init__(self, storage: Storage, playback: Playback) -> None:
        self._storage = storage
        self._playback = playback

    def run(self, user: User, audio_file: AudioFile, keys: Keys) -> None:
        """Make `audio_file` version 2; one that is already is only cleaned up after.

        Raises what opening raises, and `Conflict` when the row was changed meanwhile.
        """
        opened = self._playback.open(audio_file.s3_key, keys, audio_file.format)
        if opened.format != V2:
            copy = self._write_copy(audio_file, opened, keys)
            self._switch(user, audio_file, copy)
        else:
            audio_file.remember_format(V2)
        self._remove_superseded(audio_file)

    def _switch(self, user: User, audio_file: AudioFile, copy: ObjectVersion) -> None:
        try:
            audio_file.switch_to(copy.s3_key, copy.size, user.is_counted)
        except Conflict:
            # Of two upgrades at once the later meets the earlier one's copy, which is as good as its own;
            # but when the recording was deleted meanwhile, nobody will ever look for the copy.
            if AudioFile.owned(audio_file.file_id, audio_file.user_id) is None:
                self._storage.remove(copy.s3_key)
            raise

    def _write_copy(self, audio_file: AudioFile, opened: OpenedRecording, keys: Keys) -> ObjectVersion:
        s3_key = f"users/{audio_file.user_id}/{audio_file.file_id}.v2"
        self._storage.remove(s3_key)
        digest = hashlib.sha256()
        plain = _digested(opened.recording.plain(0, opened.recording.length), digest)
        self._storage.write(s3_key, segments.encrypt(keys.the_vault_key(), s3_key, plain))
        copy = self._playback.open(s3_key, keys, V2)
        read_back = hashlib.sha256()
        for piece in copy.recording.plain(0, copy.recording.length):
            read_back.update(piece)
        if read_back.digest() != digest.digest():
            raise DecryptionFailed()
        return copy.version

    def _remove_superseded(self, audio_file: AudioFile) -> None:
        superseded = audio_file.superseded_key
        if not superseded:
            return
        if not audio_file.another_row_names(superseded):
            self._storage.remove(superseded)
        audio_file.forget_superseded()


def _digested(pieces: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece

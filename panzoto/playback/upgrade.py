"""Rewriting a single-shot recording as version 2, so that nothing is lost wherever it is interrupted.

1. The copy is written beside the old object, under a key of its own.
2. It is read back whole and compared with what the old object plays.
3. One transaction switches the row to the copy.
4. What is behind the copy is removed, and the old object, unless another record
   still names it.

The copy's key follows from the recording's id, so the next run overwrites what
an interrupted one left. It removes nothing first: two may be at it at once, as
when a phone asks again, and the row may name what lies there by now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from panzoto import object_keys
from panzoto.crypto import segments
from panzoto.crypto.header import V2
from panzoto.crypto.keys import Keys
from panzoto.errors import AudioFileNotFound, Conflict, DecryptionFailed, TokenInvalid
from panzoto.models import AudioFile, Claim, User
from panzoto.playback.opening import OpenedRecording, Playback
from panzoto.recordings.earlier_keys import EarlierKeys
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import edit
from panzoto.recordings.ownership import erasable_keys, note_opened
from panzoto.removal import Removal
from panzoto.storage import ObjectVersion, Storage


class Upgrade:
    """Upgrades recordings of one bucket."""

    def __init__(
        self, storage: Storage, playback: Playback, removal: Removal, earlier_keys: EarlierKeys
    ) -> None:
        self._storage = storage
        self._removal = removal
        self._playback = playback
        self._earlier_keys = earlier_keys

    def run(self, audio_file: AudioFile, keys: Keys) -> AudioFile:
        """Make `audio_file` version 2 and return it; one that is already is only cleaned up after.

        Raises what opening raises, and `Conflict` when the row was changed meanwhile.
        """
        before = audio_file.s3_key
        opened = self._playback.open(before, keys, audio_file.format)
        if opened.format != V2:
            audio_file = note_opened(audio_file, opened.format)
            if audio_file.s3_key != before:
                # Somebody else has upgraded it since: its own copy would be what is superseded.
                raise Conflict()
            copy = self._write_copy(audio_file, opened, keys)
            audio_file = self._switch(audio_file, copy)
            self._removal.of_what_is_behind(copy)
            return self.remove_superseded(audio_file)
        return self.remove_superseded(note_opened(audio_file, V2))

    def _write_copy(self, audio_file: AudioFile, opened: OpenedRecording, keys: Keys) -> ObjectVersion:
        s3_key = object_keys.upgraded_key(audio_file.user_id, audio_file.file_id)
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

    def _switch(self, audio_file: AudioFile, copy: ObjectVersion) -> AudioFile:
        """Let the row name the copy; the claim on the key before stays, for a phone that repeats itself."""
        before = audio_file.s3_key
        mine = Claim.claim.does_not_exist() | (Claim.file_id == audio_file.file_id)
        claim = Claim.for_s3_key(copy.s3_key, audio_file.user_id, audio_file.file_id)

        def plan(row: AudioFile, _: User) -> Edit:
            if row.s3_key != before:
                raise Conflict()
            return Edit(
                [
                    AudioFile.s3_key.set(copy.s3_key),
                    AudioFile.file_size.set(copy.size),
                    AudioFile.format.set(V2),
                    AudioFile.superseded_key.set(before),
                    AudioFile.earlier_key.set(before),
                ],
                size=copy.size - row.size_in_bytes if row.counts else 0,
                also=lambda transaction: transaction.save(claim, condition=mine),
            )

        try:
            return edit(audio_file.file_id, audio_file.user_id, plan)
        except (AudioFileNotFound, TokenInvalid):
            # The recording was deleted meanwhile, alone or with its account, and nobody else will ever look
            # for the copy.
            self._removal.of_a_copy(copy.s3_key)
            raise

    def remove_superseded(self, audio_file: AudioFile) -> AudioFile:
        """Remove what an upgrade replaced, where it was interrupted before that; safe to repeat.

        With it go the keys of earlier passwords, if it was the last that needed them. As long as the row says
        that something is left the chores ask for that, too.
        """
        superseded = audio_file.superseded_key
        if superseded and superseded in erasable_keys(audio_file)[0]:
            self._removal.of_a_superseded(superseded)
        self._earlier_keys.forget_if_unneeded(audio_file.user_id)
        if not superseded:
            return audio_file
        return edit(
            audio_file.file_id,
            audio_file.user_id,
            lambda row, _: Edit([AudioFile.superseded_key.remove()]) if row.superseded_key else None,
        )


def _digested(pieces: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece

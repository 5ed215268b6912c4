"""Transcripts as accounts have them: written, read, followed and removed. Nothing here opens one.

The row of a transcript, what the recording's row says of it and its entry in the account's list change in one
transaction. A transcript that is too large for a row is put into the bucket before that, under a key that is
new at every write, and what it replaces goes after it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from panzoto import object_keys
from panzoto.auth.caller import Caller
from panzoto.crypto.transcripts import SHORTEST_BYTES
from panzoto.errors import (
    Conflict,
    DamagedRecord,
    DecryptionFailed,
    ObjectNotFound,
    PanzotoError,
    TranscriptNotFound,
    Unavailable,
)
from panzoto.models import AudioFile, Change, Event, Transcript, User, damage
from panzoto.models.attributes import now, rfc3339
from panzoto.models.change import transcripts_of
from panzoto.models.connection import together
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import edit
from panzoto.recordings.transcript_state import gone_with, had_object, known_of, setting, sized, stored_as
from panzoto.removal import Removal
from panzoto.storage import Storage

# Up to here sealed bytes lie in their row; an item of DynamoDB may have 400 KB.
LARGEST_IN_ROW = 300_000
LARGEST = 8 * 1024 * 1024
PIECE = 1024 * 1024
# A page of the list ends here, and rows are read so many at a time on the way.
PAGE_BYTES = 8 * 1024 * 1024
AT_ONCE = 25
# So often a large one is written anew because others were written meanwhile.
ATTEMPTS = 4
ENGINE, CLIENT = "engine", "client"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A transcript as it is kept."""

    row: Transcript
    sealed: bytes = field(repr=False)

    @property
    def is_lost(self) -> bool:
        """Whether its object is not in the bucket any more, as after a restore of the tables alone.

        What is lost opens as little as what is damaged, and like that it keeps nobody from all the others.
        """
        return not self.sealed


@dataclass(frozen=True, slots=True)
class Entry:
    """What has become of one recording's transcript; None where it is gone."""

    file_id: str
    transcript: Sealed | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the list of an account's transcripts, in order of change; `reached` is where it goes on."""

    entries: list[Entry]
    reached: int
    more: bool


class _WrittenMeanwhile(Exception):
    """Another was written between two attempts at one.

    The first may have been written as well, without an answer; what replaced it removes its object then.
    """


# Whether a transcript may be written over what the recording's row says; may raise.
May = Callable[[dict[str, Any]], bool]


class Transcripts:
    """The transcripts of all accounts, in one table and one bucket."""

    def __init__(self, storage: Storage, removal: Removal) -> None:
        self._storage = storage
        self._removal = removal

    def read(self, file_id: str, user_id: str) -> Sealed:
        """Return the transcript of a recording.

        Raises `AudioFileNotFound`, `TranscriptNotFound`, and `ObjectNotFound` for one that is lost.
        """
        AudioFile.require(file_id, user_id)
        found = self._with_bytes(Transcript.of(user_id, file_id))
        if found is None:
            raise TranscriptNotFound()
        if found.is_lost:
            raise ObjectNotFound()
        return found

    def write_for_client(
        self, file_id: str, sealed: bytes, language: str | None, revision: str | None, by: Caller
    ) -> Transcript:
        """Write what a client has sealed, over whatever is there or only over `revision`, and note who did.

        Raises `AudioFileNotFound`, `Conflict`, and `DecryptionFailed` for what is too short to be sealed.
        """
        AudioFile.require(file_id, by.user_id)
        if len(sealed) < SHORTEST_BYTES:
            raise DecryptionFailed()

        def may(known: dict[str, Any]) -> bool:
            if revision is not None and known.get("revision") != revision:
                raise Conflict()
            return True

        event = Event.by(by, "transcript_written", file_id=file_id)
        written = self.write(file_id, sealed, may, event, source=CLIENT, language=language)
        if written is None:
            raise Conflict()
        return written

    def write(
        self, file_id: str, sealed: bytes, may: May, event: Event, *, source: str, **more: Any
    ) -> Transcript | None:
        """Write a transcript where `may` says so of the row at that moment; None where it does not.

        `event` names the account and is written with it, so that it is told once, whatever answer is lost.
        `more` is its language, when it was made, and the job that made it. Raises `AudioFileNotFound`.
        """
        for _ in range(ATTEMPTS):
            new = _new(event.user_id, file_id, sealed, source, more)
            with suppress(_WrittenMeanwhile):
                return self._write(new, sealed, may, event, more.get("transcription_id"))
        raise Unavailable()

    def _write(
        self, new: Transcript, sealed: bytes, may: May, event: Event, job: str | None
    ) -> Transcript | None:
        """Write `new` as `write` does. Raises `_WrittenMeanwhile`, and then nothing names its object."""
        user_id, file_id, s3_key = new.user_id, new.file_id, new.value("s3_key")
        # What the row said before.
        before: list[dict[str, Any]] = []
        is_refused = False
        if s3_key is not None:
            self._storage.put(s3_key, sealed)

        def plan(row: AudioFile, user: User) -> Edit | None:
            nonlocal is_refused
            known = known_of(row)
            if known.get("revision") == new.revision:
                # It was written by an attempt whose answer was lost, and the account was changed since.
                return None
            if s3_key is not None and before and before[0].get("number") != known.get("number"):
                raise _WrittenMeanwhile
            before[:] = [known]
            is_refused = not may(known)
            if is_refused:
                return None
            number = user.next_change_number
            actions = [setting(_says(new, number, job) | _former(known)), sized(new)]
            return Edit(actions, also=together(stored_as(row, new, number), event.add_to))

        try:
            edit(file_id, user_id, plan)
        except (Unavailable, DamagedRecord):
            # It may have been written all the same: what nobody names goes by the rule for what is unknown.
            raise
        except (PanzotoError, _WrittenMeanwhile):
            self._removal.of_transcripts(user_id, file_id, s3_key)
            raise
        # The row may say of another by now, which was written over this one.
        if is_refused:
            self._removal.of_transcripts(user_id, file_id, s3_key)
            return None
        self._removal.of_transcripts(user_id, file_id, before[0].get("object"))
        return new

    def remove(self, file_id: str, user_id: str) -> None:
        """Remove a transcript. Raises `AudioFileNotFound` and `TranscriptNotFound`."""
        replaced: set[str | None] = set()

        def plan(row: AudioFile, user: User) -> Edit | None:
            known = known_of(row)
            if known.get("revision") is None:
                if replaced:
                    # It was removed by an attempt whose answer was lost, and the account was changed since.
                    return None
                raise TranscriptNotFound()
            replaced.add(known.get("object"))
            number = user.next_change_number
            actions = [setting({"number": number} | _former(known)), sized(None)]
            return Edit(actions, also=gone_with(row, number))

        edit(file_id, user_id, plan)
        for s3_key in replaced:
            self._removal.of_transcripts(user_id, file_id, s3_key)

    def page(self, user_id: str, since: int, limit: int) -> Page:
        """Return up to `limit` entries beyond the number `since`; at most `PAGE_BYTES`, but one at least."""
        changes = Change.after(transcripts_of(user_id), since, limit + 1)
        entries: list[Entry] = []
        reached, size = since, 0
        for change, row in _with_rows(user_id, changes[:limit]):
            if row is not None and row.damaged:
                # Told as gone, it would be removed where it is kept.
                damage.tell(row.shown_as)
                reached = int(change.number)
                continue
            size += int(row.size) if row is not None else 0
            if entries and size > PAGE_BYTES:
                return Page(entries, reached, more=True)
            entries.append(Entry(change.file_id, self._with_bytes(row)))
            reached = int(change.number)
        return Page(entries, reached, more=len(changes) > limit)

    def of_rows(self, user_id: str, rows: Iterable[AudioFile]) -> Iterator[tuple[AudioFile, Sealed | None]]:
        """Yield each recording with its transcript, None where there is none any more; some at a time."""
        coming = iter(rows)
        while some := list(islice(coming, AT_ONCE)):
            found = Transcript.all_with_damaged_of(user_id, [row.file_id for row in some])
            for row in some:
                yield row, self._with_bytes(found.pop(row.file_id, None))

    def everything_of(self, user_id: str) -> Iterator[Sealed]:
        """Yield every transcript of an account."""
        for row in Transcript.everything_of(user_id):
            found = self._with_bytes(row)
            if found is not None:
                yield found

    def _with_bytes(self, row: Transcript | None) -> Sealed | None:
        """Return the row with its bytes, none where they are lost; None when there is no row any more.

        Of a damaged row they count as lost.
        """
        if row is not None and row.damaged:
            damage.tell(row.shown_as)
            return Sealed(row, b"")
        while row is not None:
            sealed = row.value("sealed")
            if sealed is not None:
                return Sealed(row, sealed)
            try:
                return Sealed(row, self._object(row.s3_key))
            except ObjectNotFound:
                again = Transcript.of(row.user_id, row.file_id)
                if again is not None and again.revision == row.revision:
                    log.warning("transcript_lost", extra={"s3_key": row.s3_key})
                    return Sealed(row, b"")
                # It was replaced between the row and the object.
                row = again
        return None

    def _object(self, s3_key: str) -> bytes:
        stored = self._storage.open(s3_key)
        return b"".join(stored.pieces(0, stored.size, PIECE))


def _with_rows(user_id: str, changes: list[Change]) -> Iterator[tuple[Change, Transcript | None]]:
    for start in range(0, len(changes), AT_ONCE):
        some = changes[start : start + AT_ONCE]
        rows = Transcript.all_with_damaged_of(user_id, [change.file_id for change in some])
        yield from ((change, rows.get(change.file_id)) for change in some)


def _new(user_id: str, file_id: str, sealed: bytes, source: str, more: dict[str, Any]) -> Transcript:
    revision = secrets.token_urlsafe(12)
    fits = len(sealed) <= LARGEST_IN_ROW
    return Transcript(
        user_id=user_id,
        file_id=file_id,
        sealed=sealed if fits else None,
        s3_key=None if fits else object_keys.transcript_key(user_id, file_id, revision),
        size=len(sealed),
        revision=revision,
        language=more.get("language"),
        created_at=more.get("created_at") or now(),
        source=source,
    )


def _former(known: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says of former ones: an object that was not removed goes with the recording."""
    return {"had_object": had_object(known) or None}


def _says(new: Transcript, number: int, transcription_id: str | None) -> dict[str, Any]:
    return {
        "status": "succeeded",
        "transcription_id": transcription_id,
        "revision": new.revision,
        "language": new.value("language"),
        "created_at": rfc3339(new.created_at),
        "source": new.source,
        "number": number,
        "object": new.value("s3_key"),
    }

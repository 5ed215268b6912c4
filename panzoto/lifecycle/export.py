"""Everything of one account as a ZIP, streamed in constant memory.

It holds the records as JSON, the encrypted objects as they lie in the bucket,
the vault, a program that opens them without this service, and a README that
says how another one would.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panzoto.auth.caller import Caller
from panzoto.errors import ObjectNotFound
from panzoto.lifecycle import open_recordings
from panzoto.lifecycle.export_readme import README
from panzoto.models import AudioFile, Event, User, damage
from panzoto.models.attributes import now
from panzoto.models.audio_file import ERASING
from panzoto.recordings.ownership import is_proved
from panzoto.storage import Storage, StoredObject
from panzoto.transcripts.records import Transcripts

PIECE = 512 * 1024
# Nothing here calls it: it travels along as the file it is.
OPENER = Path(open_recordings.__file__)


def stream(user: User, storage: Storage, transcripts: Transcripts, caller: Caller | None) -> Iterator[bytes]:
    """Yield the archive, and note the export when its beginning is there and nothing of it has left.

    Noted at its end, it would not be noted of who stops just before. Without a
    caller it is not noted: of an answer to HEAD nothing leaves. Raises `Unavailable` on the way, which
    must cut the response off.
    """
    sink = _Sink()
    missing: list[str] = []
    lost: list[str] = []
    not_opened: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("README.txt"), README)
        archive.writestr(_entry(OPENER.name), OPENER.read_bytes())
        archive.writestr(_entry("account.json"), _pretty(user.to_export()))
        if caller is not None:
            Event.by(caller, "exported").write()
        yield sink.taken()
        yield from _records(archive, sink, user.user_id)
        for row in _everything_there_of(user.user_id):
            if row.damaged:
                damage.tell(row.file_id)
                missing.append(row.file_id)
                continue
            if not is_proved(row):
                not_opened.append(row.file_id)
                continue
            try:
                stored = storage.open(row.s3_key)
            except ObjectNotFound:
                missing.append(row.file_id)
                continue
            yield from _object(archive, sink, row.file_id, stored)
        for transcript in transcripts.everything_of(user.user_id):
            if transcript.is_lost:
                lost.append(transcript.row.file_id)
                continue
            archive.writestr(_entry(f"transcripts/{transcript.row.file_id}.hpke"), transcript.sealed)
            yield sink.taken()
        archive.writestr(_entry("missing.json"), _pretty(_missing(missing, lost)))
        if not_opened:
            archive.writestr(_entry("not_opened_yet.json"), _pretty({"file_ids": not_opened}))
    yield sink.taken()


def _records(archive: zipfile.ZipFile, sink: _Sink, user_id: str) -> Iterator[bytes]:
    """Write one JSON object a line, so that any number of recordings fits."""
    with archive.open(_entry("recordings.jsonl"), "w", force_zip64=True) as out:
        for row in _everything_there_of(user_id):
            if row.damaged:
                continue
            out.write(json.dumps(row.to_public(), ensure_ascii=False).encode() + b"\n")
            yield sink.taken()


def _everything_there_of(user_id: str) -> Iterator[AudioFile]:
    """Yield every recording but those that are being erased, of damaged ones what can be read."""
    return (row for row in AudioFile.everything_with_damaged_of(user_id) if row.status != ERASING)


def _object(archive: zipfile.ZipFile, sink: _Sink, file_id: str, stored: StoredObject) -> Iterator[bytes]:
    with archive.open(_entry(f"objects/{file_id}"), "w", force_zip64=True) as out:
        for piece in stored.pieces(0, stored.size, PIECE):
            out.write(piece)
            yield sink.taken()


def _missing(file_ids: list[str], transcripts: list[str]) -> dict[str, Any]:
    return {"file_ids": file_ids} | ({"transcripts": transcripts} if transcripts else {})


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, now().timetuple()[:6])


def _pretty(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


class _Sink:
    """A file that cannot seek, whose content is taken away as it comes."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def close(self) -> None:
        """There is nothing to close."""

    def flush(self) -> None:
        """There is nothing to flush; zipfile asks all the same."""

    def taken(self) -> bytes:
        taken, self._waiting = b"".join(self._waiting), []
        return taken

"""The daily sweep: what interrupted uploads, upgrades and erasures left, found in both directions.

It compares every row with every object, in constant memory (the names are
kept in a temporary database on disk; they hold no secret).  Without `apply`
it only tells.  Nothing younger than a day is touched, so it is safe while
uploads are going on; a stored record without its object is told, never removed.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from panzoto.deletion import FOLDERS
from panzoto.errors import (
    AudioFileNotFound,
    ChecksumMismatch,
    ObjectNotFound,
    PanzotoError,
    SizeMismatch,
    UploadComplete,
    UploadIncomplete,
)
from panzoto.models import AudioFile, Claim
from panzoto.models.attributes import now
from panzoto.models.audio_file import ERASING, PENDING
from panzoto.models.connection import storage_failures
from panzoto.shelf import Shelf
from panzoto.sittings import FOLDER as PLANS_FOLDER
from panzoto.storage import ListedEntry, Storage
from panzoto.uploads import Uploads

YOUNG = timedelta(days=1)
# Objects outside the phones' folders are nobody's business here.
PREFIXES = tuple(folder.partition("{}")[0] for folder in FOLDERS)
PLANS = PLANS_FOLDER.partition("{}")[0]

Progress = Callable[[int], None]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Findings:
    """What was found, as counts by kind, and the recordings whose object is missing."""

    counts: Counter[str] = field(default_factory=Counter)
    without_object: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class Sweep:
    """One sweep over one table and one bucket."""

    def __init__(
        self, storage: Storage, uploads: Uploads, shelf: Shelf, trash_days: int, apply: bool
    ) -> None:
        self._storage = storage
        self._uploads = uploads
        self._shelf = shelf
        self._kept_in_trash = timedelta(days=trash_days)
        self._apply = apply
        self.findings = Findings()

    def run(self, progress: Progress) -> Findings:
        """Look at everything once; `progress` is told how much that was so far. Raises `Unavailable`."""
        with _names() as names:
            seen = 0
            for row in _all_rows():
                seen += 1
                names.add_row(row)
                self._look_at_row(row)
                progress(seen)
            for entry in self._entries():
                seen += 1
                self._look_at_object(entry, names)
                progress(seen)
            candidates = names.rows_without_object()
            self.findings.without_object += [one for one in candidates if self._is_without_object(one)]
        self.findings.counts["records without object"] = len(self.findings.without_object)
        self._tell()
        return self.findings

    def _tell(self) -> None:
        """Write the line that the alarms over the sweep read."""
        numbers = {
            "found": self.findings.counts.total(),
            "without_object": len(self.findings.without_object),
            "failed": self.findings.failures.total(),
        }
        log.info("sweep_finished", extra={"applied": self._apply, **numbers})

    def _look_at_row(self, row: AudioFile) -> None:
        moment = now()
        deleted_at, announced_at = row.value("deleted_at"), row.value("announced_at")
        if row.status == ERASING:
            self._act("unfinished erasures", lambda: self._shelf.finish_erasure(row))
        elif row.status == PENDING and announced_at is not None and moment - announced_at > YOUNG:
            self._act("stale pending uploads", lambda: self._settle_upload(row))
        elif deleted_at is not None and moment - deleted_at > self._kept_in_trash:
            self._act("recordings past their days in the trash", lambda: self._shelf.erase(row))

    def _settle_upload(self, row: AudioFile) -> None:
        """What did arrive whole is a recording; what did not, or arrived wrong, is given up."""
        try:
            self._uploads.complete(row)
        except (UploadIncomplete, SizeMismatch, ChecksumMismatch):
            self._give_up(row)
        except AudioFileNotFound:
            # Its phone gave it up meanwhile.
            return

    def _give_up(self, row: AudioFile) -> None:
        try:
            self._uploads.abort(row)
        except (AudioFileNotFound, UploadComplete):
            # Its phone was faster, one way or the other.
            return

    def _entries(self) -> Iterator[ListedEntry]:
        for prefix in PREFIXES:
            yield from self._storage.entries(prefix)

    def _look_at_object(self, entry: ListedEntry, names: _Names) -> None:
        if entry.is_object:
            names.add_object(entry.s3_key)
        if now() - entry.modified_at <= YOUNG:
            return
        if entry.upload_id is not None:
            if not names.has_upload(entry.s3_key, entry.upload_id):
                self._act("leftovers of multipart uploads", lambda: self._storage.drop(entry))
        elif not names.has_key(entry.s3_key) and Claim.on_s3_key(entry.s3_key) is None:
            planned = entry.s3_key.startswith(PLANS)
            kind = "plans of sittings" if planned else "objects without record"
            self._act(kind, lambda: self._storage.drop(entry))

    def _is_without_object(self, file_id: str) -> bool:
        """Look again at both: between the row and the listing, somebody may have erased or upgraded it."""
        row = AudioFile.row(file_id)
        if row is None or not row.is_listed:
            return False
        try:
            self._storage.look(row.s3_key)
        except ObjectNotFound:
            return True
        return False

    def _act(self, kind: str, act: Callable[[], object]) -> None:
        self.findings.counts[kind] += 1
        if not self._apply:
            return
        try:
            act()
        except PanzotoError as error:
            self.findings.failures[f"{kind}: {error.code}"] += 1


def _all_rows() -> Iterator[AudioFile]:
    with storage_failures():
        yield from AudioFile.scan(consistent_read=True)


class _Names:
    """Which keys rows name and which objects are there, on disk."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(
            "CREATE TABLE named (s3_key TEXT, file_id TEXT, upload_id TEXT, listed INTEGER);"
            "CREATE INDEX named_key ON named (s3_key);"
            "CREATE TABLE there (s3_key TEXT PRIMARY KEY) WITHOUT ROWID;"
        )

    def add_row(self, row: AudioFile) -> None:
        for s3_key in {row.s3_key, row.value("superseded_key") or row.s3_key}:
            listed = row.is_listed and s3_key == row.s3_key
            values = (s3_key, row.file_id, row.value("upload_id"), listed)
            self._database.execute("INSERT INTO named VALUES (?, ?, ?, ?)", values)

    def add_object(self, s3_key: str) -> None:
        self._database.execute("INSERT OR IGNORE INTO there VALUES (?)", (s3_key,))

    def has_key(self, s3_key: str) -> bool:
        found = self._database.execute("SELECT 1 FROM named WHERE s3_key = ? LIMIT 1", (s3_key,))
        return found.fetchone() is not None

    def has_upload(self, s3_key: str, upload_id: str) -> bool:
        query = "SELECT 1 FROM named WHERE s3_key = ? AND upload_id = ? LIMIT 1"
        return self._database.execute(query, (s3_key, upload_id)).fetchone() is not None

    def rows_without_object(self) -> list[str]:
        """Return the ids of the rows that lists show and whose object, within `PREFIXES`, is not there."""
        within = " OR ".join("s3_key LIKE ?" for _ in PREFIXES)
        query = (
            f"SELECT file_id FROM named WHERE listed AND ({within}) "  # noqa: S608 - only placeholders
            "AND s3_key NOT IN (SELECT s3_key FROM there) ORDER BY file_id"
        )
        parameters = tuple(f"{prefix}%" for prefix in PREFIXES)
        return [file_id for (file_id,) in self._database.execute(query, parameters)]

    def close(self) -> None:
        self._database.close()


@contextmanager
def _names() -> Iterator[_Names]:
    with tempfile.TemporaryDirectory(prefix="panzoto-sweep-") as folder:
        names = _Names(Path(folder) / "names.sqlite")
        try:
            yield names
        finally:
            names.close()

"""What one sweep has seen, in a temporary database on disk: rows' keys, objects, and what no row names.

It lets a sweep compare every row with every object in constant memory. It holds no secret.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from panzoto import object_keys
from panzoto.models import AudioFile
from panzoto.models.attributes import EPOCH
from panzoto.recordings.transcript_state import known_of
from panzoto.removal import mark_of
from panzoto.storage import ListedEntry

# Nobody reads it after a loss of power, so nothing waits until it lies on the disk.
_TABLES = """
PRAGMA synchronous = OFF;
BEGIN;
CREATE TABLE named (s3_key TEXT, file_id TEXT, upload_id TEXT, listed INTEGER);
CREATE INDEX named_key ON named (s3_key);
CREATE TABLE there (s3_key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE unknown (
    mark TEXT PRIMARY KEY, s3_key TEXT, owner TEXT, upload INTEGER, marker INTEGER, modified REAL, entry TEXT,
    listed INTEGER
) WITHOUT ROWID;
CREATE INDEX unknown_key ON unknown (s3_key);
CREATE INDEX unknown_owner ON unknown (owner);
CREATE TABLE aside (s3_key TEXT, owner TEXT, modified REAL, name TEXT, entry TEXT);
CREATE INDEX aside_key ON aside (s3_key);
CREATE TABLE remembered (mark TEXT PRIMARY KEY, first_seen REAL) WITHOUT ROWID;
COMMIT;
"""
KEYS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that no table knows of; `first_seen` is None when no sweep has seen it before."""

    entry: ListedEntry
    first_seen: datetime | None


@dataclass(frozen=True, slots=True)
class LiesAside:
    """A version that was moved aside from `s3_key`, and whether an object is under that key now."""

    entry: ListedEntry
    s3_key: str
    is_replaced: bool


class Sightings:
    """The rows and entries of one sweep."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(_TABLES)
        self._listed = itertools.count()

    def add_row(self, row: AudioFile) -> None:
        """Note which keys a row names, of a damaged one those that can be read."""
        of_transcript = known_of(row).get("object")
        for s3_key in filter(None, {row.s3_key, row.value("superseded_key"), of_transcript}):
            listed = row.is_listed and not row.damaged and s3_key == row.s3_key
            values = (s3_key, row.file_id, row.value("upload_id"), listed)
            self._database.execute("INSERT INTO named VALUES (?, ?, ?, ?)", values)

    def add_remembered(self, seen: Iterable[tuple[str, datetime]]) -> None:
        """Note what earlier sweeps remember."""
        rows = ((mark, moment.timestamp()) for mark, moment in seen)
        self._database.executemany("INSERT OR REPLACE INTO remembered VALUES (?, ?)", rows)

    def add_object(self, s3_key: str) -> None:
        """Note that readers of the key get an object."""
        self._database.execute("INSERT OR IGNORE INTO there VALUES (?)", (s3_key,))

    def add_unknown(self, entry: ListedEntry) -> None:
        """Note what no row names."""
        values = (
            mark_of(entry),
            entry.s3_key,
            object_keys.owner_of(entry.s3_key),
            entry.upload_id is not None,
            entry.is_marker,
            entry.modified_at.timestamp(),
            _to_text(entry),
            # S3 lists the newest version of a key first; their times are whole seconds.
            next(self._listed),
        )
        self._database.execute("INSERT OR REPLACE INTO unknown VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def add_aside(self, entry: ListedEntry, s3_key: str) -> None:
        """Note a version that was moved aside from `s3_key`."""
        values = (
            s3_key,
            object_keys.owner_of(s3_key),
            entry.modified_at.timestamp(),
            entry.s3_key,
            _to_text(entry),
        )
        self._database.execute("INSERT INTO aside VALUES (?, ?, ?, ?, ?)", values)

    def has_key(self, s3_key: str) -> bool:
        """Whether a row names the key."""
        found = self._database.execute("SELECT 1 FROM named WHERE s3_key = ? LIMIT 1", (s3_key,))
        return found.fetchone() is not None

    def has_upload(self, s3_key: str, upload_id: str) -> bool:
        """Whether a row names the unfinished upload."""
        query = "SELECT 1 FROM named WHERE s3_key = ? AND upload_id = ? LIMIT 1"
        return self._database.execute(query, (s3_key, upload_id)).fetchone() is not None

    def unknown_keys(self) -> Iterator[list[str]]:
        """Yield the keys of objects that no row names, some at a time."""
        yield from self._some("s3_key")

    def forget_key(self, s3_key: str) -> None:
        """Take the objects under a key out of what is unknown."""
        self._database.execute("DELETE FROM unknown WHERE s3_key = ? AND NOT upload", (s3_key,))

    def unknown_owners(self) -> Iterator[list[str]]:
        """Yield whose folders the objects lie in that no row names, some at a time."""
        yield from self._some("owner")

    def forget_folder(self, owner: str) -> int:
        """Take the objects in somebody's folders out of what is unknown, and return how many they were."""
        query = "DELETE FROM unknown WHERE owner = ? AND NOT upload"
        return self._database.execute(query, (owner,)).rowcount

    def unknown_marks(self) -> Iterator[str]:
        """Yield the marks of what is unknown."""
        return (mark for (mark,) in self._database.execute("SELECT mark FROM unknown ORDER BY mark"))

    def never_seen(self) -> Iterator[tuple[str, str]]:
        """Yield the marks of what no sweep has seen before, and the keys."""
        query = (
            "SELECT mark, s3_key FROM unknown WHERE mark NOT IN (SELECT mark FROM remembered) ORDER BY mark"
        )
        yield from self._database.execute(query)

    def seen_no_more(self) -> Iterator[str]:
        """Yield the marks of what was unknown before, and is known or gone."""
        query = "SELECT mark FROM remembered WHERE mark NOT IN (SELECT mark FROM unknown) ORDER BY mark"
        return (mark for (mark,) in self._database.execute(query))

    def unknown(self) -> Iterator[Unknown]:
        """Yield what is unknown, the longest known of first, and of one key the oldest version first."""
        query = (
            "SELECT entry, first_seen FROM unknown LEFT JOIN remembered USING (mark) "
            "ORDER BY first_seen IS NULL, first_seen, s3_key, modified, listed DESC"
        )
        for entry, first_seen in self._database.execute(query):
            yield Unknown(_to_entry(entry), None if first_seen is None else _moment(first_seen))

    def is_alone(self, s3_key: str) -> bool:
        """Whether nothing but one entry is left of an unknown key."""
        query = "SELECT count(*) FROM unknown WHERE s3_key = ? AND NOT upload"
        (count,) = self._database.execute(query, (s3_key,)).fetchone()
        return int(count) == 1

    def aside(self) -> Iterator[LiesAside]:
        """Yield what lies aside, the longest there first."""
        query = (
            "SELECT entry, s3_key, s3_key IN (SELECT s3_key FROM there) FROM aside ORDER BY modified, name"
        )
        for entry, s3_key, is_replaced in self._database.execute(query):
            yield LiesAside(_to_entry(entry), s3_key, bool(is_replaced))

    def rows_without_object(self) -> list[str]:
        """Return the ids of the rows that lists show and whose object, in phones' folders, is not there."""
        within = " OR ".join("s3_key LIKE ?" for _ in object_keys.RECORDINGS)
        query = (
            f"SELECT file_id FROM named WHERE listed AND ({within}) "  # noqa: S608 - only placeholders
            "AND s3_key NOT IN (SELECT s3_key FROM there) ORDER BY file_id"
        )
        parameters = tuple(f"{prefix}%" for prefix in object_keys.RECORDINGS)
        return [file_id for (file_id,) in self._database.execute(query, parameters)]

    def _some(self, column: str) -> Iterator[list[str]]:
        # Each query ends before its answer is passed on, since rows are taken out meanwhile.
        query = (
            f"SELECT DISTINCT {column} FROM unknown WHERE NOT upload AND {column} > ? "  # noqa: S608 - a name
            f"ORDER BY {column} LIMIT {KEYS_AT_ONCE}"
        )
        last = ""
        while some := [one for (one,) in self._database.execute(query, (last,))]:
            last = some[-1]
            yield some

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _to_text(entry: ListedEntry) -> str:
    return json.dumps(
        [
            entry.s3_key,
            entry.modified_at.isoformat(),
            entry.version_id,
            entry.upload_id,
            entry.is_latest,
            entry.is_marker,
            entry.etag,
            entry.size,
        ]
    )


def _to_entry(text: str) -> ListedEntry:
    s3_key, modified_at, *rest = json.loads(text)
    return ListedEntry(s3_key, datetime.fromisoformat(modified_at), *rest)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, EPOCH.tzinfo)


@contextmanager
def sightings() -> Iterator[Sightings]:
    """Give an empty database that goes when the block ends."""
    with tempfile.TemporaryDirectory(prefix="panzoto-sweep-") as folder:
        found = Sightings(Path(folder) / "sightings.sqlite")
        try:
            yield found
        finally:
            found.close()

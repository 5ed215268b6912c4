"""Where an interrupted run goes on: how far each segment of each stage is, and what was counted by then."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from panzoto.errors import PanzotoError
from panzoto.models.bulk import Item

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (
    stage TEXT NOT NULL, segment INTEGER NOT NULL, after TEXT, done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stage, segment)
);
CREATE TABLE IF NOT EXISTS counts (
    stage TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (stage, name)
);
"""
ADD_TO_COUNTS = """
INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
# What SQLite keeps beside a database.
BESIDE = ("-journal", "-wal", "-shm")

# What else is written together with a step.
Also = Callable[[sqlite3.Connection], None]


class CheckpointError(PanzotoError):
    """There is no checkpoint to work with; the sentence says why."""

    met_by_clients = False


class Checkpoint:
    """One run's file, which is this process's alone while it is open; for many threads at once.

    A step is written whole or not at all, also when the process is killed. A
    file that is of another run (of other tables, of other stages) or damaged
    counts for nothing: `was_of_another` tells the facts of the former.
    """

    def __init__(self, path: Path, run: str) -> None:
        """Open `path` for `run`, which names what is done and to which tables. Raises `CheckpointError`."""
        self._path = path
        self._lock = threading.Lock()
        self.was_of_another: dict[str, str] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._opened()
        except OSError as error:
            raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error
        self._run = run
        if self.fact("run") not in (None, run):
            self.was_of_another = self.facts()
            self.begin_anew()
        self.note("run", run)

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise CheckpointError(
                    f"Another run of this command is at work here ({self._path}); it does all there is to do"
                ) from error
            raise CheckpointError(f"{self._path} cannot be written: {error}") from error
        except sqlite3.DatabaseError:
            self._unlink()
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            # From the first write on nobody else comes in; a killed process gives the lock back.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            # In KiB; what is sorted beyond that goes to disk.
            database.execute("PRAGMA cache_size = -65536")
            database.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} COMMIT;")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the file for the next run."""
        with self._lock:
            self._database.close()

    def forget(self) -> None:
        """Remove the file: the run is over."""
        self.close()
        self._unlink()

    def _unlink(self) -> None:
        for ending in ("", *BESIDE):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def begin_anew(self) -> None:
        """Forget what was done and noted, all of it or, where the process is killed, nothing."""
        names = self._all("SELECT name FROM sqlite_master WHERE type = 'table'")
        with self._lock, self._database:
            # Were only the facts gone, what another run has done would be taken for this one's.
            self._database.execute("BEGIN")
            for (name,) in names:
                self._database.execute(f"DELETE FROM {name}")  # noqa: S608 - our own names of tables
            self._database.execute("INSERT INTO facts VALUES ('run', ?)", (self._run,))

    def note(self, name: str, value: str) -> None:
        """Remember a fact of the run."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def fact(self, name: str) -> str | None:
        """Return a fact that was noted, or None."""
        return self.facts().get(name)

    def facts(self) -> dict[str, str]:
        """Return all that was noted."""
        return dict(self._all("SELECT name, value FROM facts"))

    def begin(self, stage: str, segments: int) -> None:
        """Divide a stage that has not begun."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO segments (stage, segment) VALUES (?, ?)",
                [(stage, segment) for segment in range(segments)],
            )

    def segments(self, stage: str) -> int:
        """Return into how many segments a stage was divided; 0 when it has not begun."""
        (row,) = self._all("SELECT COUNT(*) FROM segments WHERE stage = ?", stage)
        count: int = row[0]
        return count

    def left(self, stage: str) -> list[int]:
        """Return the segments of a stage that are not done."""
        found = self._all("SELECT segment FROM segments WHERE stage = ? AND NOT done ORDER BY segment", stage)
        return [segment for (segment,) in found]

    def place(self, stage: str, segment: int) -> Item | None:
        """Return the key behind which a segment goes on; None for its beginning."""
        found = self._all("SELECT after FROM segments WHERE stage = ? AND segment = ?", stage, segment)
        after = found[0][0] if found else None
        return None if after is None else json.loads(after)

    def advance(
        self,
        stage: str,
        segment: int,
        after: Item | None,
        counts: Mapping[str, int],
        also: Also | None = None,
    ) -> None:
        """Remember that a segment is done as far as the key `after`, or to its end, and what came of it."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            self._database.execute(
                "UPDATE segments SET after = ?, done = ? WHERE stage = ? AND segment = ?",
                (None if after is None else json.dumps(after), after is None, stage, segment),
            )
            self._add(stage, counts)
            if also is not None:
                also(self._database)

    def count(self, stage: str, counts: Mapping[str, int]) -> None:
        """Remember what came of some rows of a stage, whose place moves on later."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            self._add(stage, counts)

    def _add(self, stage: str, counts: Mapping[str, int]) -> None:
        added = [(stage, name, count) for name, count in counts.items() if count]
        self._database.executemany(ADD_TO_COUNTS, added)

    def counts(self, stage: str) -> Counter[str]:
        """Return what was counted in a stage by now."""
        return Counter(dict(self._all("SELECT name, count FROM counts WHERE stage = ?", stage)))

    def execute(self, statement: str) -> None:
        """Do what a stage wants done with a table of its own."""
        with self._lock:
            self._database.execute(statement)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield what a query finds, with no more of it in memory than SQLite keeps."""
        with self._lock:
            yield from self._database.execute(query)

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

"""What a run leaves behind: checkpoint and manifest in one SQLite file, so that both move together.

The manifest holds, for every row that this migration wrote, the digest of
what it wrote; a row that is about to be written is noted first. So whatever
is killed when, this file and the `migration` attribute of the items together
tell exactly what is ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from migrations_from_rds.errors import Refused
from migrations_from_rds.rows import AUDIO_FILES, USERS, to_json
from migrations_from_rds.transform import Problem

T = TypeVar("T")

MANIFEST = "manifest.sqlite3"
FORMAT = 1
IDS_AT_ONCE = 500
KINDS = {USERS: 0, AUDIO_FILES: 1}

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written (
    kind INTEGER NOT NULL, id BLOB NOT NULL,
    digest BLOB,      -- of what is known to have been written
    intended BLOB,    -- of what was about to be written
    mended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
"""
PROBLEMS = """
CREATE {temporary} TABLE IF NOT EXISTS problems (
    kind INTEGER NOT NULL, id BLOB NOT NULL, code TEXT NOT NULL, rejected INTEGER NOT NULL,
    sentence TEXT NOT NULL, source TEXT,
    PRIMARY KEY (kind, id, code)
) WITHOUT ROWID;
"""
INTEND = """
INSERT INTO written (kind, id, intended) VALUES {}
ON CONFLICT DO UPDATE SET intended = excluded.intended
"""
SETTLED = "UPDATE written SET digest = coalesce(intended, digest), intended = NULL, mended = ?"
# Found anew by each run, and of no use to the next one.
FINDINGS = """
CREATE TEMPORARY TABLE refused_accounts (
    id BLOB PRIMARY KEY, code TEXT NOT NULL, sentence TEXT NOT NULL
) WITHOUT ROWID;
CREATE TEMPORARY TABLE kept_accounts (
    id BLOB PRIMARY KEY, code TEXT NOT NULL, sentence TEXT NOT NULL
) WITHOUT ROWID;
CREATE TEMPORARY TABLE without_claim (id BLOB PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest knows of one row."""

    digest: bytes | None
    intended: bytes | None
    mended: bool

    @property
    def settled(self) -> bool:
        """Whether the row is known to have been written, and nothing was under way since."""
        return self.digest is not None and self.intended is None


class State:
    """The manifest, the checkpoint and the problems of one migration; used from one thread."""

    def __init__(self, connection: sqlite3.Connection, *, keep_problems: bool) -> None:
        self._db = connection
        self._db.executescript(SCHEMA)
        self._db.executescript(PROBLEMS.format(temporary="" if keep_problems else "TEMPORARY") + FINDINGS)

    # Facts

    def fact(self, name: str, default: Any = None) -> Any:
        found = self._db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return default if found is None else json.loads(found[0])

    def remember(self, **facts: Any) -> None:
        """Note facts durably, all or none."""
        with self._db:
            self._remember(facts)

    def _remember(self, facts: dict[str, Any]) -> None:
        self._db.executemany(
            "INSERT INTO facts VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )

    @property
    def migration(self) -> str:
        """The name of this migration, which every item it writes carries."""
        return str(self.fact("migration"))

    # The manifest

    def known(self, table: str, ids: Sequence[str]) -> dict[str, Known]:
        """Return what the manifest knows of `ids`."""
        query = "SELECT id, digest, intended, mended FROM written WHERE kind = ? AND id"
        rows = self._among(query, table, ids)
        return {_text(row[0]): Known(row[1], row[2], bool(row[3])) for row in rows}

    def intend(self, table: str, digests: Sequence[tuple[str, bytes]]) -> None:
        """Note what is about to be written, durably."""
        kind = KINDS[table]
        with self._db:
            for some in slices(digests, IDS_AT_ONCE):
                # One statement for many rows: each would else wait for its turn among the threads.
                statement = INTEND.format(",".join(["(?,?,?)"] * len(some)))
                values = [value for row_id, digest in some for value in (kind, _blob(row_id), digest)]
                self._db.execute(statement, values)

    def settle(
        self,
        table: str,
        *,
        written: Sequence[str],
        not_written: Sequence[str],
        problems: Iterable[Problem],
        cleared: Sequence[str] = (),
        mended: bool = False,
        **facts: Any,
    ) -> None:
        """Note what became of a chunk of rows and where the run is, all or none.

        `cleared` are rows whose earlier problems are over.
        """
        with self._db:
            self._about(SETTLED, table, written, first=[int(mended)])
            self._about("UPDATE written SET intended = NULL", table, not_written)
            self._about("DELETE FROM written", table, not_written, "digest IS NULL AND ")
            self._about("DELETE FROM problems", table, cleared)
            self._add_problems(problems)
            self._remember(facts)

    def _about(
        self, statement: str, table: str, ids: Sequence[str], also: str = "", first: Sequence[Any] = ()
    ) -> None:
        """Run a statement about many rows at a time."""
        for some in slices(ids, IDS_AT_ONCE):
            where = f" WHERE {also}kind = ? AND id IN ({','.join('?' * len(some))})"
            self._db.execute(statement + where, [*first, KINDS[table], *map(_blob, some)])

    def forget(self, table: str, ids: Sequence[str]) -> None:
        """Take rows out of the manifest, and their problems."""
        with self._db:
            self._about("DELETE FROM written", table, ids)
            self._about("DELETE FROM problems", table, ids, "NOT rejected AND ")

    def manifest(self, table: str, at_once: int) -> Iterator[dict[str, Known]]:
        """Yield what is in the manifest, ordered by id; what was yielded may be taken out meanwhile."""
        after = b""
        while True:
            rows = self._db.execute(
                "SELECT id, digest, intended, mended FROM written "
                "WHERE kind = ? AND id > ? ORDER BY id LIMIT ?",
                [KINDS[table], after, at_once],
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield {_text(row[0]): Known(row[1], row[2], bool(row[3])) for row in rows}

    def manifest_size(self, table: str) -> int:
        """Return how many rows the manifest holds."""
        return self._count("SELECT count(*) FROM written WHERE kind = ?", [KINDS[table]])

    # Problems

    def add_problems(self, problems: Iterable[Problem]) -> None:
        with self._db:
            self._add_problems(problems)

    def _add_problems(self, problems: Iterable[Problem]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO problems VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    KINDS[problem.table],
                    _blob(problem.row_id),
                    problem.code,
                    int(problem.rejected),
                    problem.sentence,
                    json.dumps(to_json(problem.row)) if problem.row is not None else None,
                )
                for problem in problems
            ],
        )

    def clear_problems(self) -> None:
        with self._db:
            self._db.execute("DELETE FROM problems")

    def problems(self, *, rejected: bool | None = None) -> Iterator[tuple[str, str, str, str, str | None]]:
        """Yield (table, id, code, sentence, columns as JSON where rejected), accounts first."""
        tables = {kind: table for table, kind in KINDS.items()}
        query = "SELECT kind, id, code, sentence, source FROM problems"
        if rejected is not None:
            query += f" WHERE rejected = {int(rejected)}"
        cursor = self._db.cursor()
        for kind, row_id, code, sentence, source in cursor.execute(query + " ORDER BY kind, code, id"):
            yield tables[kind], _text(row_id), code, sentence, source

    def problem_counts(self) -> list[tuple[str, str, bool, int]]:
        """Return (table, code, rejected, rows)."""
        tables = {kind: table for table, kind in KINDS.items()}
        query = "SELECT kind, code, rejected, count(*) FROM problems GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        return [(tables[kind], code, bool(out), rows) for kind, code, out, rows in self._db.execute(query)]

    def rejected_ids(self, table: str, limit: int) -> list[str]:
        """Return the ids of rejected rows, at most `limit`."""
        query = "SELECT DISTINCT id FROM problems WHERE kind = ? AND rejected LIMIT ?"
        return [_text(row[0]) for row in self._db.execute(query, [KINDS[table], limit])]

    def rejected_count(self) -> int:
        return self._count("SELECT count(*) FROM (SELECT DISTINCT kind, id FROM problems WHERE rejected)", [])

    # What the survey found

    def refuse_accounts(self, problems: Iterable[Problem]) -> None:
        """Note accounts that cannot be taken."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO refused_accounts VALUES (?, ?, ?)",
                [(_blob(problem.row_id), problem.code, problem.sentence) for problem in problems],
            )

    def keep_accounts(self, problems: Iterable[Problem]) -> None:
        """Note accounts that are taken although there is something to say."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO kept_accounts VALUES (?, ?, ?)",
                [(_blob(problem.row_id), problem.code, problem.sentence) for problem in problems],
            )

    def refused_accounts(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return code and sentence of those of `ids` that cannot be taken."""
        found = self._among("SELECT id, code, sentence FROM refused_accounts WHERE id", None, set(ids))
        return {_text(row[0]): (row[1], row[2]) for row in found}

    def kept_accounts(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        found = self._among("SELECT id, code, sentence FROM kept_accounts WHERE id", None, set(ids))
        return {_text(row[0]): (row[1], row[2]) for row in found}

    def leave_without_claim(self, losers: Iterable[tuple[str, str]]) -> None:
        """Note recordings, each with the one that has the claim on their key."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO without_claim VALUES (?, ?)",
                [(_blob(file_id), holder) for file_id, holder in losers],
            )

    def claim_holders(self, file_ids: Iterable[str]) -> dict[str, str]:
        """Return for those of `file_ids` that have no claim which recording has it."""
        found = self._among("SELECT id, holder FROM without_claim WHERE id", None, set(file_ids))
        return {_text(row[0]): row[1] for row in found}

    def _among(self, query: str, table: str | None, ids: Iterable[str]) -> Iterator[Any]:
        wanted = [_blob(row_id) for row_id in ids]
        first: list[Any] = [] if table is None else [KINDS[table]]
        for some in slices(wanted, IDS_AT_ONCE):
            yield from self._db.execute(f"{query} IN ({','.join('?' * len(some))})", [*first, *some])

    def _count(self, query: str, values: Sequence[Any]) -> int:
        (count,) = self._db.execute(query, values).fetchone()
        return int(count)

    def close(self) -> None:
        self._db.close()


@contextmanager
def opened(folder: Path) -> Iterator[State]:
    """Open the state under `folder` for writing, as the only process that does.

    Raises `Refused` when another run has it open or it cannot be used.
    """
    _make_usable(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(f"Another run is working with {folder}; wait for its end") from error
        path = folder / MANIFEST
        # The reject file and the manifest name accounts, and the former holds their hashes.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with _manifest(path):
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA journal_mode = WAL")
            # A manifest that loses its last moments at a power cut would not know rows that exist.
            connection.execute("PRAGMA synchronous = FULL")
            state = State(connection, keep_problems=True)
        try:
            if state.fact("format") is None:
                state.remember(format=FORMAT, migration=f"rds-{secrets.token_hex(6)}")
            _check_format(state, path)
            yield state
        finally:
            state.close()


@contextmanager
def looked_at(folder: Path) -> Iterator[State]:
    """Open the state under `folder`, if there is one, for a run that only looks: nothing of it is changed.

    Raises `Refused` when it cannot be read, or when no report can be left beside it.
    """
    _make_usable(folder)
    path = folder.absolute() / MANIFEST
    # A database without a name is SQLite's own temporary file, gone when it is closed.
    where = f"{path.as_uri()}?mode=ro" if path.exists() else ""
    with _manifest(path):
        state = State(sqlite3.connect(where, uri=bool(where)), keep_problems=False)
    try:
        if where:
            _check_format(state, path)
        yield state
    finally:
        state.close()


def _make_usable(folder: Path) -> None:
    """Make `folder` and try to write there, so that nobody learns after hours that there is no report."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What lies here holds addresses and hashes, and the folder is often inside a repository.
        (folder / ".gitignore").write_text("*\n", "ascii")
    except OSError as error:
        raise Refused(f"{folder} cannot be written to: {error.strerror}; give another --state-dir") from error


@contextmanager
def _manifest(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Refused(f"{path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path} is not a manifest of this program, or is damaged: {error}") from error


def _check_format(state: State, path: Path) -> None:
    if state.fact("format") != FORMAT:
        raise Refused(f"{path} was written by another version of this program, or by another program")


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in parts of up to `size`."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _blob(row_id: str) -> bytes:
    return bytes.fromhex(row_id.replace("-", ""))


def _text(blob: bytes) -> str:
    digits = blob.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

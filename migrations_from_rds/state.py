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
from migrations_from_rds.rows import AUDIO_FILES, USERS, is_id, to_json
from migrations_from_rds.transform import Problem

T = TypeVar("T")

MANIFEST = "manifest.sqlite3"
FORMAT = 2
# Before that, nothing was known of owners, sizes and numbers.
FORMAT_WITHOUT_COUNTS = 1
IDS_AT_ONCE = 500
KINDS = {USERS: 0, AUDIO_FILES: 1}
ID_BYTES = 16
# Longer than an id by itself, so that nothing with it in front has an id's length.
NO_ID = b"no id, but stands here: "

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written (
    kind INTEGER NOT NULL, id BLOB NOT NULL,
    digest BLOB,      -- of what is known to have been written
    intended BLOB,    -- of what was about to be written
    mended INTEGER NOT NULL DEFAULT 0,
    owner BLOB, size INTEGER,  -- of a recording
    number INTEGER,            -- the change_number that was written on an account
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
-- What else may have been written of a row that was under way when runs were interrupted.
CREATE TABLE IF NOT EXISTS attempted (
    kind INTEGER NOT NULL, id BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (kind, id, digest)
) WITHOUT ROWID;
-- Accounts among whose recordings something was written or removed since they were counted.
CREATE TABLE IF NOT EXISTS touched (owner BLOB PRIMARY KEY) WITHOUT ROWID;
-- Accounts with recordings that others wrote or are to number, and the highest number of those.
CREATE TABLE IF NOT EXISTS shared (owner BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""
COLUMNS_SINCE_COUNTS = ("owner BLOB", "size INTEGER", "number INTEGER")
PROBLEMS = """
CREATE {temporary} TABLE IF NOT EXISTS problems (
    kind INTEGER NOT NULL, id BLOB NOT NULL, code TEXT NOT NULL, rejected INTEGER NOT NULL,
    sentence TEXT NOT NULL, source TEXT,
    PRIMARY KEY (kind, id, code)
) WITHOUT ROWID;
"""
INTEND = """
INSERT INTO written (kind, id, intended, owner, size) VALUES {}
ON CONFLICT DO UPDATE SET intended = excluded.intended, owner = excluded.owner, size = excluded.size
"""
KNOWN = "SELECT id, digest, intended, mended, owner, number FROM written WHERE kind = ? AND id"
SETTLED = "UPDATE written SET digest = coalesce(intended, digest), intended = NULL, mended = ?"
# Found anew by each run, and of no use to the next one.
FINDINGS = """
CREATE TEMPORARY TABLE refused_accounts (
    id BLOB PRIMARY KEY, code TEXT NOT NULL, sentence TEXT NOT NULL
) WITHOUT ROWID;
CREATE TEMPORARY TABLE kept_accounts (
    id BLOB PRIMARY KEY, code TEXT NOT NULL, sentence TEXT NOT NULL
) WITHOUT ROWID;
CREATE TEMPORARY TABLE gone_bad (id BLOB PRIMARY KEY, sentence TEXT NOT NULL) WITHOUT ROWID;
CREATE TEMPORARY TABLE moves (
    id BLOB PRIMARY KEY, holder BLOB,  -- who holds the address that the account wants, where somebody does
    known INTEGER NOT NULL             -- whether the account was copied before
) WITHOUT ROWID;
CREATE INDEX temp.moves_by_holder ON moves (holder);
CREATE TEMPORARY TABLE counts (
    owner BLOB PRIMARY KEY, recordings INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TEMPORARY TABLE without_claim (id BLOB PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
"""


# A row that is about to be written: its id and digest, and of a recording owner and size.
Intention = tuple[str, bytes, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest knows of one row."""

    digest: bytes | None
    intended: bytes | None
    mended: bool
    owner: str | None = None
    number: int | None = None
    attempted: frozenset[bytes] = frozenset()

    def may_have_written(self, digest: bytes | None) -> bool:
        """Whether a row of this digest is one that this migration wrote, in whichever run."""
        return digest is not None and (digest in (self.digest, self.intended) or digest in self.attempted)

    @property
    def copied(self) -> bool:
        """Whether the row is known to have been written at some time."""
        return self.digest is not None

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
        self._some_gone_bad = self.gone_bad_count() > 0

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
        return self._knowing(table, list(self._among(KNOWN, table, ids)))

    def _knowing(self, table: str, rows: Sequence[Any]) -> dict[str, Known]:
        unsure = [_text(row[0]) for row in rows if row[2] is not None]
        attempted: dict[bytes, set[bytes]] = {}
        for row_id, digest in self._among(
            "SELECT id, digest FROM attempted WHERE kind = ? AND id", table, unsure
        ):
            attempted.setdefault(row_id, set()).add(digest)
        return {
            _text(row[0]): Known(
                row[1],
                row[2],
                bool(row[3]),
                None if row[4] is None else _text(row[4]),
                row[5],
                frozenset(attempted.get(row[0], ())),
            )
            for row in rows
        }

    def intend(self, table: str, rows: Sequence[Intention], unsure: Sequence[str] = (), **facts: Any) -> None:
        """Note what is about to be written, durably; `unsure` are those of which it was noted before."""
        kind = KINDS[table]
        with self._db:
            self._about(
                "INSERT OR IGNORE INTO attempted SELECT kind, id, intended FROM written",
                table,
                unsure,
                "intended IS NOT NULL AND ",
            )
            for some in slices(rows, IDS_AT_ONCE):
                # One statement for many rows: each would else wait for its turn among the threads.
                statement = INTEND.format(",".join(["(?,?,?,?,?)"] * len(some)))
                values = [
                    value
                    for row_id, digest, owner, size in some
                    for value in (kind, _blob(row_id), digest, None if owner is None else _blob(owner), size)
                ]
                self._db.execute(statement, values)
            self._remember(facts)

    def unsettle(self, table: str, ids: Sequence[str]) -> None:
        """Note that rows must be looked at again, though nothing is intended but what they are."""
        with self._db:
            self._about("UPDATE written SET intended = digest", table, ids, "intended IS NULL AND ")

    def settle(
        self,
        table: str,
        *,
        written: Sequence[str],
        not_written: Sequence[str],
        problems: Iterable[Problem],
        cleared: Sequence[str] = (),
        seen: Sequence[str] = (),
        ours: Sequence[str] = (),
        numbers: Sequence[tuple[str, int | None]] = (),
        mended: bool = False,
        **facts: Any,
    ) -> None:
        """Note what became of a chunk of rows and where the run is, all or none.

        `cleared` are rows whose earlier problems are over, and `seen` all that were looked at. Of
        `not_written`, those of `ours` lie in DynamoDB as another run of this migration wrote them, or
        changed since. `numbers` are the change numbers of accounts.
        """
        with self._db:
            self._about(SETTLED, table, written, first=[int(mended)])
            self._about("UPDATE written SET digest = coalesce(digest, intended)", table, ours)
            self._about("UPDATE written SET intended = NULL", table, not_written)
            self._about("DELETE FROM written", table, not_written, "digest IS NULL AND ")
            if self._db.execute("SELECT 1 FROM attempted LIMIT 1").fetchone():
                self._about("DELETE FROM attempted", table, written)
            self._db.executemany(
                "UPDATE written SET number = ? WHERE kind = ? AND id = ?",
                [(number, KINDS[table], _blob(row_id)) for row_id, number in numbers],
            )
            if self._some_gone_bad:
                self._about("DELETE FROM problems", table, seen, "code = 'gone_bad' AND ")
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
            self._about("DELETE FROM attempted", table, ids)
            self._about("DELETE FROM problems", table, ids, "NOT rejected AND ")

    def manifest(self, table: str, at_once: int) -> Iterator[dict[str, Known]]:
        """Yield what is in the manifest, ordered by id; what was yielded may be taken out meanwhile."""
        after = b""
        while True:
            rows = self._db.execute(
                f"{KNOWN} > ? ORDER BY id LIMIT ?",
                [KINDS[table], after, at_once],
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield self._knowing(table, rows)

    def manifest_size(self, table: str) -> int:
        """Return how many rows the manifest holds."""
        return self._count("SELECT count(*) FROM written WHERE kind = ?", [KINDS[table]])

    # How many recordings an account has, and which number its latest change

    @property
    def last_number(self) -> int:
        """The highest number that a recording has been given."""
        return int(self.fact("last_number", 0))

    def touch(self, owners: Iterable[str]) -> None:
        """Note accounts whose recordings have to be counted again."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO touched VALUES (?)", [(_blob(owner),) for owner in owners]
            )

    def share(self, owners: Iterable[tuple[str, int]]) -> None:
        """Note accounts of which others wrote recordings, or are to number some, each with its number."""
        with self._db:
            self._db.executemany(
                "INSERT INTO shared VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET number = max(number, excluded.number)",
                [(_blob(owner), number) for owner, number in owners],
            )

    def shared(self, ids: Iterable[str]) -> dict[str, int]:
        """Return those of `ids` of which others have written recordings, each with their highest number."""
        found = self._among("SELECT owner, number FROM shared WHERE owner", None, set(ids))
        return {_text(row[0]): row[1] for row in found}

    def count_recordings(self, *, touched: bool) -> None:
        """Count every account's recordings by the manifest, or those of accounts that were touched."""
        among = " AND owner IN (SELECT owner FROM touched)" if touched else ""
        with self._db:
            self._db.execute("DELETE FROM counts")
            self._db.execute(
                "INSERT INTO counts SELECT owner, count(*), sum(coalesce(size, 0)) FROM written "  # noqa: S608
                f"WHERE kind = ? AND digest IS NOT NULL AND owner IS NOT NULL{among} GROUP BY owner",
                [KINDS[AUDIO_FILES]],
            )

    def counts(self, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return how many recordings and bytes accounts have, as `count_recordings` found."""
        found = self._among("SELECT owner, recordings, bytes FROM counts WHERE owner", None, set(ids))
        return {_text(row[0]): (row[1], row[2]) for row in found}

    def touched(self, at_once: int) -> Iterator[list[str]]:
        """Yield the accounts that were touched; what was yielded may be taken out meanwhile."""
        while rows := self._db.execute("SELECT owner FROM touched LIMIT ?", [at_once]).fetchall():
            yield [_text(row[0]) for row in rows]

    def counted(self, told: Iterable[tuple[str, int]], owners: Sequence[str]) -> None:
        """Note that `owners` have been counted, and which numbers were written on those of `told`."""
        with self._db:
            self._db.executemany(
                "UPDATE written SET number = ? WHERE kind = ? AND id = ?",
                [(number, KINDS[USERS], _blob(owner)) for owner, number in told],
            )
            self._db.executemany("DELETE FROM touched WHERE owner = ?", [(_blob(owner),) for owner in owners])

    # Problems

    def add_problems(self, problems: Iterable[Problem]) -> None:
        with self._db:
            self._add_problems(problems)

    def _add_problems(self, problems: Iterable[Problem]) -> None:
        problems = list(problems)
        self._some_gone_bad |= any(problem.code == "gone_bad" for problem in problems)
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
        query = "SELECT DISTINCT id FROM problems WHERE kind = ? AND rejected AND length(id) = 16 LIMIT ?"
        return [_text(row[0]) for row in self._db.execute(query, [KINDS[table], limit])]

    def claimless_ids(self, at_once: int) -> Iterator[list[str]]:
        """Yield the recordings that had to do without a claim on their key, as far as is known."""
        after = b""
        query = (
            "SELECT DISTINCT id FROM problems "
            "WHERE kind = ? AND code = 's3_key_duplicate' AND id > ? ORDER BY id LIMIT ?"
        )
        while rows := self._db.execute(query, [KINDS[AUDIO_FILES], after, at_once]).fetchall():
            after = rows[-1][0]
            yield [_text(row[0]) for row in rows]

    def gone_bad_count(self) -> int:
        return self._count("SELECT count(*) FROM problems WHERE code = 'gone_bad'", [])

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

    def note_gone_bad(self, accounts: Iterable[tuple[str, str]]) -> None:
        """Note accounts, each with a reason, that stay as they were copied, whatever became of them."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO gone_bad VALUES (?, ?)",
                [(_blob(row_id), sentence) for row_id, sentence in accounts],
            )

    def gone_bad(self, ids: Iterable[str]) -> dict[str, str]:
        found = self._among("SELECT id, sentence FROM gone_bad WHERE id", None, set(ids))
        return {_text(row[0]): row[1] for row in found}

    def note_moves(self, moves: Iterable[tuple[str, str | None, bool]]) -> None:
        """Note accounts that want an address, each with who holds it and whether it was copied before."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO moves VALUES (?, ?, ?)",
                [
                    (_blob(row_id), None if holder is None else _blob(holder), int(known))
                    for row_id, holder, known in moves
                ],
            )

    def settle_moves(self) -> list[tuple[str, str, bool]]:
        """Take out every move to an address whose holder stays there; return those as (id, holder, copied).

        What is left can all be done, whatever circles it forms.
        """
        blocked: list[tuple[str, str, bool]] = []
        while found := self._db.execute(
            "SELECT id, holder, known FROM moves "
            "WHERE holder IS NOT NULL AND holder NOT IN (SELECT id FROM moves WHERE known)"
        ).fetchall():
            blocked += [(_text(row[0]), _text(row[1]), bool(row[2])) for row in found]
            with self._db:
                self._db.executemany("DELETE FROM moves WHERE id = ?", [(row[0],) for row in found])
        return blocked

    def takes_from(self, ids: Iterable[str]) -> dict[str, str]:
        """Return whose address each of `ids` takes over, which goes elsewhere itself."""
        query = "SELECT id, holder FROM moves WHERE holder IS NOT NULL AND id"
        return {_text(row[0]): _text(row[1]) for row in self._among(query, None, set(ids))}

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
            _upgrade(connection)
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
        connection = sqlite3.connect(where, uri=bool(where))
        if where and _is_without_counts(connection):
            raise Refused(
                f"{path} was written by an earlier version of this program; `copy` brings it up to date"
            )
        state = State(connection, keep_problems=False)
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


def _is_without_counts(connection: sqlite3.Connection) -> bool:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone()
    format_ = there and connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
    return bool(format_) and json.loads(format_[0]) == FORMAT_WITHOUT_COUNTS


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring a manifest of the version before up to date; what it wrote is left to the service to count."""
    if not _is_without_counts(connection):
        return
    with connection:
        for column in COLUMNS_SINCE_COUNTS:
            connection.execute(f"ALTER TABLE written ADD COLUMN {column}")
        connection.execute("UPDATE facts SET value = ? WHERE name = 'format'", [json.dumps(FORMAT)])
        connection.execute("INSERT INTO facts VALUES ('uncounted', 'true')")


def _check_format(state: State, path: Path) -> None:
    if state.fact("format") != FORMAT:
        raise Refused(f"{path} was written by another version of this program, or by another program")


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in parts of up to `size`."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _blob(row_id: str) -> bytes:
    # What stands in the place of an id is told from one by its first byte and its length.
    return bytes.fromhex(row_id.replace("-", "")) if is_id(row_id) else NO_ID + row_id.encode()


def _text(blob: bytes) -> str:
    if len(blob) != ID_BYTES:
        return blob.removeprefix(NO_ID).decode()
    digits = blob.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

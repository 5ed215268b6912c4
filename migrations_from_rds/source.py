"""The legacy PostgreSQL database, read only: one snapshot, server-side cursors, constant memory.

This is the only module that knows psycopg, and no text of its errors leaves
it: libpq quotes parts of a connection string that it cannot read, and such a
part may be a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, groupby
from struct import Struct
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg.rows import RowMaker
from psycopg.sql import SQL, Composed

from migrations_from_rds.errors import MigrationError, Refused, SourceBroken
from migrations_from_rds.rows import FileRow, UserRow
from migrations_from_rds.transform import collisions

Query = SQL | Composed

CONNECT_TIMEOUT_SECONDS = 10
FETCHED_AT_ONCE = 2000
# PostgreSQL counts microseconds from 2000-01-01; its infinities are the two ends of 64 bits.
PG_EPOCH = 946_684_800_000_000
# Beyond half of its 32 bits the age of a transaction can no longer be told.
OLDEST_AGE = 2**31

COLUMNS = {
    "users": {
        "user_id": r"uuid",
        "email": r"character varying(\(\d+\))?|text",
        "password_hash": r"character varying(\(\d+\))?|text",
        "key_salt": r"bytea",
        "created_at": r"timestamp(\(\d\))? without time zone",
    },
    "audio_files": {
        "file_id": r"uuid",
        "user_id": r"uuid",
        "s3_key": r"character varying(\(\d+\))?|text",
        "file_size": r"integer|bigint|smallint",
        "uploaded_at": r"timestamp(\(\d\))? without time zone",
    },
}
EXPECTED = {
    r"character varying(\(\d+\))?|text": "character varying",
    r"timestamp(\(\d\))? without time zone": "timestamp without time zone",
    r"integer|bigint|smallint": "integer",
}

# What libpq says, and what we say: never its own text, which may quote the connection string.
WRONG_ADDRESS = (
    ("password authentication failed", "it does not accept the password"),
    ("no password supplied", "it asks for a password and none was given"),
    ("no pg_hba.conf entry", "it does not let this machine and user in"),
    ("does not exist", "the database or the user does not exist"),
    ("SSL", "it and this machine do not agree on encryption"),
    ("certificate", "its certificate is not trusted"),
)
# What may pass by itself.
AWAY = (
    ("Connection refused", "nothing listens at its address"),
    ("No such file or directory", "there is no server at the local socket"),
    ("timeout expired", "it did not answer in time"),
    ("could not translate host name", "its host name is unknown"),
    ("failed to resolve host", "its host name is unknown"),
    ("starting up", "it is still starting"),
    ("shutting down", "it is shutting down"),
    ("too many", "it has too many connections"),
)
WAYS_TO_NAME_IT = "name the database by DATABASE_URL, --database-url or the PG* variables"

USER_COLUMNS = SQL("user_id::text, email, password_hash, key_salt, created_at")
FILE_COLUMNS = SQL(
    "f.file_id::text, f.user_id::text, f.s3_key, f.file_size, f.uploaded_at, u.user_id IS NOT NULL"
)
FILES_AND_OWNERS = SQL("audio_files f LEFT JOIN users u ON u.user_id = f.user_id")
# Whatever becomes one address by Python's strip() and lower() has one such key: both change
# nothing but letters and white space, and of the letters that are not ASCII only these two become ASCII.
COARSE_EMAIL = SQL(
    "lower(regexp_replace(translate(email, chr(304) || chr(8490), 'ik') COLLATE \"C\", '[^!-~]', '', 'g'))"
)
# A row's xmin is the transaction that wrote it, of which 32 bits are kept.
CHANGED = SQL("((%(now)s - {}::text::bigint) & 4294967295) <= %(age)s")
XMIN = {"users": SQL("users.xmin"), "audio_files": SQL("f.xmin")}
KEY = {"users": SQL("users.user_id"), "audio_files": SQL("f.file_id")}
COUNT = {"users": SQL("SELECT count(*) FROM users"), "audio_files": SQL("SELECT count(*) FROM audio_files f")}
IDS = {
    "users": SQL("SELECT user_id::text FROM users ORDER BY user_id"),
    "audio_files": SQL("SELECT file_id::text FROM audio_files ORDER BY file_id"),
}
READ_USERS = SQL("SELECT {columns} FROM users{where} ORDER BY users.user_id")
READ_FILES = SQL("SELECT {columns} FROM {files}{where} ORDER BY f.file_id")
READ_COLLISIONS = SQL(
    "SELECT {columns}, coarse FROM (SELECT *, {coarse} AS coarse FROM users) candidate "
    "WHERE coarse IN (SELECT {coarse} FROM users GROUP BY 1 HAVING count(*) > 1) "
    "ORDER BY coarse, user_id"
).format(columns=USER_COLUMNS, coarse=COARSE_EMAIL)
READ_SHARED_KEYS = SQL(
    'SELECT {columns} FROM {files} WHERE f.s3_key COLLATE "C" IN '
    '(SELECT s3_key COLLATE "C" FROM audio_files GROUP BY 1 HAVING count(*) > 1) '
    'ORDER BY f.s3_key COLLATE "C", '
    "(split_part(f.s3_key, '/', 2) = f.user_id::text) DESC NULLS LAST, "
    "f.uploaded_at NULLS LAST, f.file_id"
).format(columns=FILE_COLUMNS, files=FILES_AND_OWNERS)
READ_KEYS = SQL(
    "SELECT s3_key, file_id::text FROM audio_files WHERE s3_key <> '' ORDER BY s3_key COLLATE \"C\", file_id"
)


@dataclass(frozen=True, slots=True)
class Since:
    """Where reading begins: behind id `after`, and anywhere among what changed since transaction `base`.

    With `only_changed` nothing else is read, except the rows of `also`.
    """

    after: str | None = None
    base: int | None = None
    only_changed: bool = False
    also: Sequence[str] = ()


class _Microseconds(Loader):
    """A timestamp without zone as microseconds since 1970 in UTC; infinity is only very far away."""

    format = Format.BINARY
    _read = Struct("!q").unpack

    def load(self, data: Buffer) -> int:
        (count,) = self._read(data)
        return int(count) + PG_EPOCH


class Snapshot:
    """One REPEATABLE READ transaction: every query sees the database of one moment."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._serial = count()
        self.oldest_transaction = self._number(SQL("SELECT txid_snapshot_xmin(txid_current_snapshot())"), {})
        self._next_transaction = self._number(SQL("SELECT txid_snapshot_xmax(txid_current_snapshot())"), {})

    def describe(self) -> dict[str, str]:
        """Return where this is, without credentials."""
        info = self._connection.info
        return {"host": info.host or "local socket", "port": str(info.port), "database": info.dbname}

    def identity(self) -> str:
        """Return what tells this database from all others, as far as its user may know."""
        name = self._connection.info.dbname
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
                (cluster,) = cursor.fetchone() or ("",)
        except psycopg.Error:
            cluster = ""
        return f"{cluster}/{name}"

    def tables(self) -> str:
        """Return the identity of the two tables; they are others once they were made anew."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT 'users'::regclass::oid::text, 'audio_files'::regclass::oid::text")
            return "/".join(cursor.fetchone() or ())

    def check_schema(self) -> None:
        """Raises `Refused` with a sentence that says everything that differs."""
        differences = [difference for table in COLUMNS for difference in self._differences(table)]
        if self._connection.info.parameter_status("server_encoding") != "UTF8":
            differences.append("the database's encoding is not UTF8")
        if differences:
            raise Refused("The database is not as expected: " + "; ".join(differences) + ".")

    def _differences(self, table: str) -> Iterator[str]:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [table])
            kind = cursor.fetchone()
            if kind is None:
                yield f"there is no table {table}"
                return
            if kind[0] not in ("r", "p"):
                yield f"{table} is not a table"
                return
            cursor.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
                [table],
            )
            found: dict[str, str] = dict(cursor.fetchall())
        for column, pattern in COLUMNS[table].items():
            if column not in found:
                yield f"{table} has no column {column}"
            elif not re.fullmatch(pattern, found[column]):
                yield f"{table}.{column} is {found[column]} instead of {EXPECTED.get(pattern, pattern)}"
        key = next(iter(COLUMNS[table]))
        if key in found and not self._is_unique(table, key):
            yield f"{table}.{key} is not its primary key"

    def _is_unique(self, table: str, column: str) -> bool:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_index i "
                "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
                "WHERE i.indrelid = to_regclass(%s) AND a.attname = %s "
                "AND i.indisunique AND i.indisvalid AND i.indnatts = 1 AND i.indpred IS NULL",
                [table, column],
            )
            return cursor.fetchone() is not None

    def check_reaches_back(self, base: int) -> None:
        """Raises `Refused` when what changed since transaction `base` can no longer be told."""
        if not 0 <= self._next_transaction - base < OLDEST_AGE:
            raise Refused(
                "The database does not remember what changed since the last copy (it was restored, or is "
                "another one); run `copy` without --since-last, which compares every row"
            )

    def count(self, table: str, since: Since) -> int:
        """Return how many rows `users` or `audio_files` will give."""
        where, values = self._where(since, table)
        return self._number(COUNT[table] + where, values)

    def users(self, since: Since, at_once: int) -> Iterator[list[UserRow]]:
        """Yield rows of `users`, ordered by user_id, `at_once` at a time."""
        where, values = self._where(since, "users")
        query = READ_USERS.format(columns=USER_COLUMNS, where=where)
        yield from self._stream(query, values, UserRow._make, at_once)

    def files(self, since: Since, at_once: int) -> Iterator[list[FileRow]]:
        """Yield rows of `audio_files`, ordered by file_id, `at_once` at a time."""
        where, values = self._where(since, "audio_files")
        query = READ_FILES.format(columns=FILE_COLUMNS, files=FILES_AND_OWNERS, where=where)
        yield from self._stream(query, values, FileRow._make, at_once)

    def ids(self, table: str, at_once: int) -> Iterator[list[str]]:
        """Yield every id of a table, ordered."""
        yield from self._stream(IDS[table], {}, _only, at_once)

    def collisions(self) -> Iterator[list[UserRow]]:
        """Yield the accounts whose addresses become one, group by group.

        The database groups more coarsely than addresses are compared, so that
        it does the sorting and only candidates come here.
        """
        pages = self._stream(READ_COLLISIONS, {}, tuple, FETCHED_AT_ONCE)
        rows = (row for page in pages for row in page)
        for _, group in groupby(rows, key=lambda row: row[-1]):
            yield from collisions(UserRow._make(row[:-1]) for row in group)

    def shared_keys(self) -> Iterator[FileRow]:
        """Yield the rows whose s3_key another row has too, by key, the one with the best right to it first.

        That is the recording in whose owner's folder the object lies, else the oldest.
        """
        for page in self._stream(READ_SHARED_KEYS, {}, FileRow._make, FETCHED_AT_ONCE):
            yield from page

    def keys_in_order(self) -> Iterator[tuple[str, str]]:
        """Yield (s3_key, file_id) of every recording, in the order in which S3 lists keys."""
        for page in self._stream(READ_KEYS, {}, tuple, FETCHED_AT_ONCE):
            yield from page

    def _where(self, since: Since, table: str) -> tuple[Composed, dict[str, Any]]:
        changed, key = CHANGED.format(XMIN[table]), KEY[table]
        where = Composed([])
        if since.only_changed and since.base is not None:
            where = SQL(" WHERE ({} OR {} = ANY(%(also)s::uuid[]))").format(changed, key)
            if since.after is not None:
                where += SQL(" AND {} > %(after)s::uuid").format(key)
        elif since.after is not None:
            # What changed behind the checkpoint while the run was interrupted is read again.
            where = SQL(" WHERE ({} > %(after)s::uuid OR {})").format(key, changed)
        age = 0 if since.base is None else self._next_transaction - since.base
        values = {"after": since.after, "also": list(since.also), "now": self._next_transaction, "age": age}
        return where, values

    def _stream(self, query: Query, values: dict[str, Any], make: Any, at_once: int) -> Iterator[list[Any]]:
        def rows(_: Any) -> RowMaker[Any]:
            maker: RowMaker[Any] = make
            return maker

        with self._connection.cursor(name=f"rows_{next(self._serial)}", row_factory=rows) as cursor:
            cursor.execute(query, values, binary=True)
            while page := cursor.fetchmany(at_once):
                yield page

    def _number(self, query: Query, values: dict[str, Any]) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            (number,) = cursor.fetchone() or (0,)
            return int(number)


@contextmanager
def snapshot(database_url: str) -> Iterator[Snapshot]:
    """Open a snapshot of the database at `database_url`, or where the PG* variables say when it is empty.

    Raises `SourceBroken` when the database cannot be reached, also in the middle of reading,
    and `Refused` when trying again will not help.
    """
    connection = _connect(database_url)
    try:
        with connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.adapters.register_loader("timestamp", _Microseconds)
            _settle(connection)
            yield Snapshot(connection)
    except psycopg.Error as error:
        what = error.sqlstate or type(error).__name__
        sentence = f"Reading the database failed ({what}); run the same command again to go on"
        raise SourceBroken(sentence) from None


def _connect(database_url: str) -> Connection[Any]:
    # SQLAlchemy names a driver in the scheme, which libpq does not know.
    failure: MigrationError
    conninfo = re.sub(r"^(postgres(?:ql)?)\+[a-z0-9_]+://", r"\1://", database_url.strip())
    try:
        return psycopg.connect(
            conninfo,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="migrations_from_rds",
            client_encoding="utf8",
        )
    except psycopg.OperationalError as error:
        failure = _failure(str(error), named=bool(conninfo))
    except (psycopg.Error, UnicodeError, ValueError):
        failure = Refused(
            "The database's address cannot be read; it looks like postgresql://user:password@host:5432/name, "
            "with special characters of the password percent-encoded"
        )
    raise failure


def _failure(message: str, *, named: bool) -> MigrationError:
    """Return what to raise for what libpq says."""
    hint = "" if named else f"; {WAYS_TO_NAME_IT}"
    for theirs, ours in WRONG_ADDRESS:
        if theirs in message:
            return Refused(f"The database cannot be used: {ours}{hint}.")
    reason = next((ours for theirs, ours in AWAY if theirs in message), "it refused")
    return SourceBroken(f"The database cannot be reached: {reason}{hint}.")


def _settle(connection: Connection[Any]) -> None:
    """Choose plans for reading everything, and be allowed to wait while DynamoDB is slow."""
    connection.execute("SET LOCAL cursor_tuple_fraction = 1.0")
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


def _only(row: Sequence[Any]) -> Any:
    return row[0]

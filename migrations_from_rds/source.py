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
from functools import cached_property
from itertools import count, groupby
from struct import Struct
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format
from psycopg.rows import RowMaker
from psycopg.sql import SQL, Composed

from migrations_from_rds import source_schema
from migrations_from_rds.errors import MigrationError, Refused, SourceBroken
from migrations_from_rds.layout import Layout
from migrations_from_rds.rows import AUDIO_FILES, USERS, FileRow, UserRow
from migrations_from_rds.source_failures import connection_failure, reading_failure
from migrations_from_rds.source_queries import Queries
from migrations_from_rds.transform import collisions

Query = SQL | Composed

CONNECT_TIMEOUT_SECONDS = 10
FETCHED_AT_ONCE = 2000
# PostgreSQL counts microseconds from 2000-01-01; its infinities are the two ends of 64 bits.
PG_EPOCH = 946_684_800_000_000
# Beyond half of its 32 bits the age of a transaction can no longer be told.
OLDEST_AGE = 2**31
LARGEST_SIZE = 2**63
# An estimate is believed to tell something when it is beyond what was counted by so much.
ESTIMATE_FACTOR, ESTIMATE_ROWS = 1.5, 100
# A reader waits while DynamoDB is slow; which of these there are depends on the server's version.
LIFTED = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


class Colliding(NamedTuple):
    """An account whose address another one has too, and what a person decides by; times in microseconds."""

    row: UserRow
    recordings: int
    latest: int | None
    last_sign_in: int | None


@dataclass(frozen=True, slots=True)
class Since:
    """Where reading begins: behind id `after`, and anywhere among what changed since transaction `base`.

    With `only_changed` nothing else is read, except the rows of `also`. With `ids` these rows only.
    """

    after: str | None = None
    base: int | None = None
    only_changed: bool = False
    also: Sequence[str] = ()
    ids: Sequence[str] | None = None


class _Microseconds(Loader):
    """A timestamp without zone as microseconds since 1970 in UTC; infinity is only very far away."""

    format = Format.BINARY
    _read = Struct("!q").unpack

    def load(self, data: Buffer) -> int:
        (count,) = self._read(data)
        return int(count) + PG_EPOCH


class Snapshot:
    """One REPEATABLE READ transaction: every query sees the database of one moment."""

    def __init__(self, connection: Connection[Any], layout: Layout = Layout()) -> None:  # noqa: B008 - frozen
        self._connection = connection
        self._layout = layout
        self._serial = count()
        self._counted: dict[str, int] = {}
        self.oldest_transaction = self._number(SQL("SELECT txid_snapshot_xmin(txid_current_snapshot())"), {})
        self.next_transaction = self._number(SQL("SELECT txid_snapshot_xmax(txid_current_snapshot())"), {})

    @cached_property
    def _relations(self) -> dict[str, source_schema.Relation]:
        return {
            table: source_schema.find(self._connection, self._layout, table) for table in (USERS, AUDIO_FILES)
        }

    @cached_property
    def _queries(self) -> Queries:
        return Queries(self._layout, self._relations)

    def describe(self) -> dict[str, str]:
        """Return where this is, without credentials."""
        info = self._connection.info
        tables = {
            table: f"{found.schema}.{self._layout.table(table)}" for table, found in self._relations.items()
        }
        place = {"host": info.host or "local socket", "port": str(info.port), "database": info.dbname}
        return {**place, "user": info.user, **tables}

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
        return "/".join(str(found.oid) for found in self._relations.values())

    def check_schema(self) -> None:
        """Raises `Refused` unless both tables are there, of the expected shape, and wholly in sight."""
        source_schema.check(self._connection, self._layout, self._relations)
        for table, are_texts in self._queries.ids_are_texts.items():
            if are_texts:
                self._check_spelling(table)

    def _check_spelling(self, table: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(self._queries.ambiguous_ids(table))
            found = cursor.fetchone()
        if found is not None:
            raise Refused(
                f"Two rows of {self._layout.table(table)} have the id {found[0]}, spelt differently; "
                "mend one of them in the database."
            )

    def hidden_rows(self) -> list[str]:
        """Return a sentence for each table of which PostgreSQL reckons with many more rows than it gives."""
        found = []
        for table, relation in self._relations.items():
            seen = self.count(table, Since())
            if relation.estimate > max(seen * ESTIMATE_FACTOR, seen + ESTIMATE_ROWS):
                found.append(
                    f"PostgreSQL reckons with {relation.estimate:,} rows of {self._layout.table(table)} "
                    f"and gives {seen:,}; where they were not deleted lately, see whether it is the right one"
                )
        return found

    def check_reaches_back(self, base: int) -> None:
        """Raises `Refused` when what changed since transaction `base` can no longer be told."""
        if not 0 <= self.next_transaction - base < OLDEST_AGE:
            raise Refused(
                "The database does not remember what changed since the last copy (it was restored, or is "
                "another one); run `copy` without --since-last, which compares every row"
            )

    def check_not_behind(self, latest: int) -> None:
        """Raises `Refused` when this is the database of an earlier moment than one that was copied."""
        if self.next_transaction < latest:
            raise Refused(
                "The database is behind what was copied from it before: a replica that lags, or one that was "
                "restored; wait until it has caught up, or name the primary."
            )

    def count(self, table: str, since: Since) -> int:
        """Return how many rows `users` or `audio_files` will give, those without an id included."""
        where, values = self._where(since, table)
        if where is None:
            if table not in self._counted:
                self._counted[table] = self._number(self._queries.count(table), {})
            return self._counted[table]
        return self._number(self._queries.count(table) + SQL(" WHERE ") + where, values)

    def users(self, since: Since, at_once: int) -> Iterator[list[UserRow]]:
        """Yield rows of `users`, ordered by user_id, `at_once` at a time."""
        yield from self._rows(USERS, since, UserRow._make, at_once)

    def files(self, since: Since, at_once: int) -> Iterator[list[FileRow]]:
        """Yield rows of `audio_files`, ordered by file_id, `at_once` at a time."""
        yield from self._rows(AUDIO_FILES, since, self._make_file, at_once)

    def without_id(self, table: str, at_once: int) -> Iterator[list[Any]]:
        """Yield rows whose id is NULL or no UUID; in its place is what stands there, or where they lie."""
        yield from self._stream(self._queries.without_id(table), {}, self._maker(table), at_once)

    def ids(self, table: str, at_once: int) -> Iterator[list[str]]:
        """Yield every id of a table, ordered."""
        yield from self._stream(self._queries.ids(table), {}, _only, at_once)

    def collisions(self) -> Iterator[list[Colliding]]:
        """Yield the accounts whose addresses become one, group by group.

        The database groups more coarsely than addresses are compared, so that
        it does the sorting and only candidates come here.
        """
        pages = self._stream(self._queries.collisions(), {}, tuple, FETCHED_AT_ONCE)
        rows = (row for page in pages for row in page)
        for _, group in groupby(rows, key=lambda row: row[-1]):
            found = {row[0]: Colliding(UserRow._make(row[:5]), *row[5:8]) for row in group}
            for same in collisions(one.row for one in found.values()):
                yield [found[row.user_id] for row in same]

    def shared_keys(self) -> Iterator[FileRow]:
        """Yield the rows whose s3_key another row has too, by key, the one with the best right to it first.

        That is the recording in whose owner's folder the object lies, else the oldest.
        """
        for page in self._stream(self._queries.shared_keys(), {}, self._make_file, FETCHED_AT_ONCE):
            yield from page

    def keys_in_order(self) -> Iterator[tuple[str, str]]:
        """Yield (s3_key, file_id) of every recording, in the order in which S3 lists keys."""
        for page in self._stream(self._queries.keys_in_order(), {}, tuple, FETCHED_AT_ONCE):
            yield from page

    def _rows(self, table: str, since: Since, make: Any, at_once: int) -> Iterator[list[Any]]:
        where, values = self._where(since, table)
        query = self._queries.read[table]
        if where is not None:
            query += SQL(" AND (") + where + SQL(")")
        seen = 0
        for page in self._stream(query + SQL(" ORDER BY ") + self._queries.key[table], values, make, at_once):
            seen += len(page)
            yield page
        if where is None:
            self._compare_counts(table, seen)

    def _compare_counts(self, table: str, seen: int) -> None:
        """Raises `SourceBroken` when a whole table gave another number of rows than it counts."""
        others = sum(len(page) for page in self.without_id(table, FETCHED_AT_ONCE))
        counted = self.count(table, Since())
        if seen + others != counted:
            raise SourceBroken(
                f"The database gave {seen + others:,} rows of {self._layout.table(table)} "
                f"and counts {counted:,}; an index of it may be damaged (REINDEX mends that)."
            )

    def _maker(self, table: str) -> Any:
        return UserRow._make if table == USERS else self._make_file

    @property
    def _make_file(self) -> Any:
        return _file_with_text_size if self._queries.sizes_are_texts else FileRow._make

    def _where(self, since: Since, table: str) -> tuple[Composed | None, dict[str, Any]]:
        changed, key = self._queries.changed[table], self._queries.key[table]
        where: Composed | None = None
        if since.ids is not None:
            where = SQL("{} = ANY(%(also)s::uuid[])").format(key)
        elif since.only_changed and since.base is not None:
            where = SQL("({} OR {} = ANY(%(also)s::uuid[]))").format(changed, key)
            if since.after is not None:
                where += SQL(" AND {} > %(after)s::uuid").format(key)
        elif since.after is not None:
            # What changed behind the checkpoint while the run was interrupted is read again.
            where = SQL("({} > %(after)s::uuid OR {})").format(key, changed)
        age = 0 if since.base is None else self.next_transaction - since.base
        also = list(since.also if since.ids is None else since.ids)
        values = {"after": since.after, "also": also, "now": self.next_transaction, "age": age}
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
def snapshot(database_url: str, layout: Layout = Layout()) -> Iterator[Snapshot]:  # noqa: B008 - frozen
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
            yield Snapshot(connection, layout)
    except psycopg.Error as error:
        raise reading_failure(error.sqlstate, type(error).__name__) from None


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
        failure = connection_failure(str(error), named=bool(conninfo))
    except (psycopg.Error, UnicodeError, ValueError):
        failure = Refused(
            "The database's address cannot be read; it looks like postgresql://user:password@host:5432/name, "
            "with special characters of the password percent-encoded"
        )
    raise failure


def _settle(connection: Connection[Any]) -> None:
    """Choose plans for reading everything, see all rows or fail, and be allowed to wait for DynamoDB."""
    connection.execute("SET LOCAL row_security = off")
    connection.execute("SET LOCAL cursor_tuple_fraction = 1.0")
    connection.execute(
        "SELECT set_config(name, '0', true) FROM pg_settings WHERE name = ANY(%s)", [list(LIFTED)]
    )


def _only(row: Sequence[Any]) -> Any:
    return row[0]


def _file_with_text_size(row: Sequence[Any]) -> FileRow:
    """Return a recording whose size came as a text: a whole number is one, all else stays as it stands."""
    found = FileRow._make(row)
    size = found.file_size
    if not isinstance(size, str):
        return found
    whole, _, fraction = size.partition(".")
    if not re.fullmatch(r"-?\d+", whole) or fraction.strip("0") or abs(int(whole)) >= LARGEST_SIZE:
        return found
    return found._replace(file_size=int(whole))

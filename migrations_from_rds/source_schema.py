"""Are the legacy tables there, of the right shape, and is every row of them in sight?

A row that a policy hides looks as if it had been deleted, so nothing is read
where row level security counts for this user: PostgreSQL says so itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from migrations_from_rds.errors import Refused
from migrations_from_rds.layout import Layout

ID, TEXT, BYTES, SIZE, MOMENT = "id", "text", "bytes", "size", "moment"
KINDS = {
    "user_id": ID,
    "file_id": ID,
    "email": TEXT,
    "password_hash": TEXT,
    "s3_key": TEXT,
    "key_salt": BYTES,
    "file_size": SIZE,
    "created_at": MOMENT,
    "uploaded_at": MOMENT,
    "last_sign_in": MOMENT,
}
A_TEXT = r"character varying(\(\d+\))?|character(\(\d+\))?|text|(\w+\.)?citext"
# What converts without loss.
TAKEN = {
    ID: rf"uuid|{A_TEXT}",
    TEXT: A_TEXT,
    BYTES: r"bytea",
    SIZE: r"integer|bigint|smallint|numeric(\(\d+(,-?\d+)?\))?",
    MOMENT: r"timestamp(\(\d\))? with(out)? time zone|date",
}
EXPECTED = {
    ID: "uuid",
    TEXT: "character varying",
    BYTES: "bytea",
    SIZE: "integer",
    MOMENT: "timestamp without time zone",
}
RECIPES = {
    ID: "uuid USING …::uuid",
    TEXT: "text USING …::text",
    BYTES: "bytea USING decode(…, 'hex')",
    SIZE: "bigint USING round(…)::bigint",
    MOMENT: "timestamp USING to_timestamp(…) AT TIME ZONE 'UTC'",
}
NOT_TABLES = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
# Types that are a name for another type give way to it.
FIND_COLUMNS = """
WITH RECURSIVE typed AS (
    SELECT a.attname, a.atttypid AS oid, a.atttypmod AS mod
    FROM pg_attribute a WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT typed.attname, t.typbasetype, t.typtypmod
    FROM typed JOIN pg_type t ON t.oid = typed.oid WHERE t.typtype = 'd'
)
SELECT typed.attname::text, format_type(typed.oid, typed.mod)
FROM typed JOIN pg_type t ON t.oid = typed.oid WHERE t.typtype <> 'd'
"""
FIND_TABLE = """
SELECT c.oid::bigint, n.nspname::text, c.relkind::text, c.relforcerowsecurity,
    has_schema_privilege(n.oid, 'USAGE'), c.reltuples::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(table)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND CASE WHEN %(schema)s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %(schema)s END
"""
FIND_ELSEWHERE = """
SELECT n.nspname::text, has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 1
"""
FIND_UNIQUE = """
SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s AND a.attname = %s
    AND i.indisunique AND i.indisvalid AND i.indnatts = 1 AND i.indpred IS NULL
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it is in the database; `types` are those of the columns that are read, by our names."""

    oid: int = 0
    schema: str | None = None
    kind: str = ""
    forced: bool = False
    usable: bool = True
    estimate: int = -1
    types: dict[str, str] = field(default_factory=dict)


def find(connection: Connection[Any], layout: Layout, table: str) -> Relation:
    """Return what the catalogue says of a table; one without a kind is not there."""
    with connection.cursor() as cursor:
        cursor.execute(FIND_TABLE, {"table": layout.table(table), "schema": layout.schema})
        found = cursor.fetchone()
        if found is None:
            return Relation(schema=layout.schema)
        oid, schema, kind, forced, usable, estimate = found
        cursor.execute(FIND_COLUMNS, [oid])
        there: dict[str, str] = dict(cursor.fetchall())
    types = {ours: there[theirs] for ours, theirs in layout.wanted(table).items() if theirs in there}
    return Relation(oid, schema, kind, forced, usable, estimate, types)


def check(connection: Connection[Any], layout: Layout, relations: dict[str, Relation]) -> None:
    """Raises `Refused` with one sentence that says what is in the way."""
    missing = [_missing(connection, layout, table) for table, found in relations.items() if not found.kind]
    if missing:
        raise Refused("The database is not as expected: " + "; ".join(missing) + ".")
    _check_rights(connection, layout, relations)
    _check_all_in_sight(connection, layout, relations)
    differences = [
        difference
        for table, found in relations.items()
        for difference in _differences(connection, layout, table, found)
    ]
    if connection.info.parameter_status("server_encoding") != "UTF8":
        differences.append("the database's encoding is not UTF8")
    if differences:
        raise Refused("The database is not as expected: " + "; ".join(differences) + ".")


def _missing(connection: Connection[Any], layout: Layout, table: str) -> str:
    name = layout.table(table)
    with connection.cursor() as cursor:
        cursor.execute(FIND_ELSEWHERE, [name])
        elsewhere = dict(cursor.fetchall())
    where = f" in the schema {layout.schema}" if layout.schema else ""
    what = f"there is no table {name}{where}"
    closed = [schema for schema, usable in elsewhere.items() if not usable]
    if closed and (layout.schema is None or layout.schema in closed):
        role = connection.info.user
        return f"{what} that {role} may use (GRANT USAGE ON SCHEMA {closed[0]} TO {role} allows it)"
    if elsewhere:
        return f"{what}, but one in {' and in '.join(elsewhere)} (--schema names where)"
    return f"{what} (--schema, --table {table}=… and the database's name say where it is)"


def _check_rights(connection: Connection[Any], layout: Layout, relations: dict[str, Relation]) -> None:
    """Raises `Refused` when the user may not read both tables whole, system columns included."""
    role = connection.info.user
    closed = sorted({str(found.schema) for found in relations.values() if not found.usable})
    if closed:
        raise Refused(
            f"The user {role} may not use the schema {closed[0]}: "
            f"GRANT USAGE ON SCHEMA {closed[0]} TO {role}."
        )
    with connection.cursor() as cursor:
        unread = []
        for table, found in relations.items():
            cursor.execute("SELECT has_table_privilege(%s::oid, 'SELECT')", [found.oid])
            if cursor.fetchone() != (True,):
                unread.append(layout.table(table))
    if unread:
        names = " and ".join(unread)
        raise Refused(
            f"The user {role} may not read the whole of {names}: "
            f"GRANT SELECT ON {', '.join(unread)} TO {role}."
        )


def _check_all_in_sight(connection: Connection[Any], layout: Layout, relations: dict[str, Relation]) -> None:
    """Raises `Refused` when row level security counts for this user on either table."""
    hidden = []
    with connection.cursor() as cursor:
        for table, found in relations.items():
            cursor.execute("SELECT row_security_active(%s::oid)", [found.oid])
            if cursor.fetchone() == (True,):
                hidden.append((layout.table(table), found.forced))
    if not hidden:
        return
    names = " and ".join(f"{name}{', forced on its owner too,' if forced else ''}" for name, forced in hidden)
    role = connection.info.user
    raise Refused(
        f"Row level security on {names} may hide rows from the user {role}, and a hidden row cannot be told "
        f"from a deleted one; nothing was written: read as a user whom it does not bind (ALTER ROLE {role} "
        "BYPASSRLS), or as the owner of tables on which it is not forced."
    )


def _differences(connection: Connection[Any], layout: Layout, table: str, found: Relation) -> Iterator[str]:
    name = layout.table(table)
    if found.kind in NOT_TABLES:
        yield (
            f"{name} is not a table but {NOT_TABLES[found.kind]}, which cannot tell what changed (name the "
            f"table behind it by --schema, --table {table}=… and --column, or read a copy: "
            "CREATE TABLE … AS SELECT … and ALTER TABLE … ADD PRIMARY KEY)"
        )
        return
    wanted = layout.wanted(table)
    for ours, theirs in wanted.items():
        kind = KINDS[ours]
        if ours not in found.types:
            yield f"{name} has no column {theirs} (--column {table}.{ours}=… says what it is called)"
        elif not re.fullmatch(TAKEN[kind], found.types[ours]):
            yield (
                f"{name}.{theirs} is {found.types[ours]} instead of {EXPECTED[kind]} "
                f"(in a copy: ALTER TABLE … ALTER COLUMN {theirs} TYPE {RECIPES[kind]})"
            )
    key = next(iter(wanted))
    if key in found.types and not _is_unique(connection, found, wanted[key]):
        yield f"{name}.{wanted[key]} is not its primary key"


def _is_unique(connection: Connection[Any], found: Relation, column: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(FIND_UNIQUE, [found.oid, column])
        return cursor.fetchone() is not None

"""The queries of a snapshot, put together for the names and types that tables and columns have here."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from migrations_from_rds.layout import LAST_SIGN_IN, Layout
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.source_schema import ID, KINDS, MOMENT, SIZE, TEXT, Relation

# What PostgreSQL reads as a UUID; another text in an id column is no id.
UUID_TEXT = r"^\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$"
# Whatever becomes one address by Python's strip() and lower() has one such key: both change
# nothing but letters and white space, and of the letters that are not ASCII only these two become ASCII.
COARSE = "lower(regexp_replace(translate({}, chr(304) || chr(8490), 'ik') COLLATE \"C\", '[^!-~]', '', 'g'))"
# A row's xmin is the transaction that wrote it, of which 32 bits are kept.
CHANGED = SQL("((%(now)s - {}.xmin::text::bigint) & 4294967295) <= %(age)s")
ALIAS = {USERS: SQL("u"), AUDIO_FILES: SQL("f")}
KEY_COLUMN = {USERS: "user_id", AUDIO_FILES: "file_id"}


def coarse_email(column: Composable) -> Composed:
    """Return the key under which addresses that may become one are found together."""
    return SQL(COARSE).format(column)


class Queries:
    """Everything that is asked about the two tables. `sizes_are_texts` where sizes may have fractions."""

    def __init__(self, layout: Layout, relations: dict[str, Relation]) -> None:
        self._layout = layout
        self._relations = relations
        self.key = {table: self._column(table, KEY_COLUMN[table]) for table in (USERS, AUDIO_FILES)}
        self.changed = {table: CHANGED.format(ALIAS[table]) for table in (USERS, AUDIO_FILES)}
        self.sizes_are_texts = self._type(AUDIO_FILES, "file_size").startswith("numeric")
        self.ids_are_texts = {
            table: self._type(table, KEY_COLUMN[table]) != "uuid" for table in (USERS, AUDIO_FILES)
        }
        users, files = self._from(USERS), self._from(AUDIO_FILES)
        owner = self._column(AUDIO_FILES, "user_id")
        self._both = SQL("{} LEFT JOIN {} ON {} = {}").format(files, users, self.key[USERS], owner)
        self.tables = {USERS: users, AUDIO_FILES: files}
        self.columns = {USERS: self._user_columns(), AUDIO_FILES: self._file_columns()}
        self.read = {
            USERS: self._ordered(USERS, users),
            AUDIO_FILES: self._ordered(AUDIO_FILES, self._both),
        }
        self.sources = {USERS: users, AUDIO_FILES: self._both}

    def count(self, table: str) -> Composed:
        return SQL("SELECT count(*) FROM {}").format(self.tables[table])

    def ids(self, table: str) -> Composed:
        key = self.key[table]
        return SQL("SELECT {key}::text FROM {table} WHERE {key} IS NOT NULL ORDER BY {key}").format(
            key=key, table=self.tables[table]
        )

    def without_id(self, table: str) -> Composed:
        """Return the query for rows whose id is NULL or no UUID, under what stands there or their place."""
        alias, key = ALIAS[table], self.key[table]
        raw = self._raw(table, KEY_COLUMN[table])
        name = SQL("coalesce(nullif({}::text, ''), 'row ' || {}.ctid::text)").format(raw, alias)
        columns = SQL(", ").join([name, *self._rest(table)])
        return SQL("SELECT {} FROM {} WHERE {} IS NULL").format(columns, self.sources[table], key)

    def ambiguous_ids(self, table: str) -> Composed:
        """Return the query for ids that texts of different spelling stand for."""
        key = self.key[table]
        return SQL(
            "SELECT {key}::text FROM {table} WHERE {key} IS NOT NULL "
            "GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
        ).format(key=key, table=self.tables[table])

    def collisions(self) -> Composed:
        """Return the query for accounts whose addresses may become one, with what a person decides by."""
        key, owner = self.key[USERS], self._column(AUDIO_FILES, "user_id")
        seen = (
            self._column(USERS, LAST_SIGN_IN)
            if LAST_SIGN_IN in self._layout.wanted(USERS)
            else SQL("NULL::timestamp")
        )
        return SQL(
            "WITH candidate AS (SELECT {columns}, {seen} AS seen, {coarse} AS coarse, {key} AS id "
            "FROM {users} WHERE {key} IS NOT NULL AND {coarse} IN "
            "(SELECT {coarse} FROM {users} WHERE {key} IS NOT NULL GROUP BY 1 HAVING count(*) > 1)), "
            "theirs AS (SELECT {owner} AS id, count(*) AS recordings, max({at}) AS latest FROM {files} "
            "WHERE {owner} IN (SELECT id FROM candidate) GROUP BY 1) "
            "SELECT candidate.user_id, email, password_hash, key_salt, created_at, "
            "coalesce(recordings, 0), latest, seen, coarse "
            "FROM candidate LEFT JOIN theirs ON theirs.id = candidate.id ORDER BY coarse, candidate.user_id"
        ).format(
            columns=self.columns[USERS],
            seen=seen,
            coarse=coarse_email(self._column(USERS, "email")),
            key=key,
            owner=owner,
            users=self.tables[USERS],
            files=self.tables[AUDIO_FILES],
            at=self._column(AUDIO_FILES, "uploaded_at"),
        )

    def shared_keys(self) -> Composed:
        s3_key = self._column(AUDIO_FILES, "s3_key")
        return SQL(
            'SELECT {columns} FROM {both} WHERE {file} IS NOT NULL AND {s3_key} COLLATE "C" IN '
            '(SELECT {s3_key} COLLATE "C" FROM {files} GROUP BY 1 HAVING count(*) > 1) '
            'ORDER BY {s3_key} COLLATE "C", '
            "(split_part({s3_key}, '/', 2) = {owner}::text) DESC NULLS LAST, {at} NULLS LAST, {file}"
        ).format(
            columns=self.columns[AUDIO_FILES],
            both=self._both,
            files=self.tables[AUDIO_FILES],
            s3_key=s3_key,
            owner=self._column(AUDIO_FILES, "user_id"),
            at=self._column(AUDIO_FILES, "uploaded_at"),
            file=self.key[AUDIO_FILES],
        )

    def keys_in_order(self) -> Composed:
        return SQL(
            "SELECT {s3_key}, {file}::text FROM {files} WHERE {s3_key} <> '' AND {file} IS NOT NULL "
            'ORDER BY {s3_key} COLLATE "C", {file}'
        ).format(
            s3_key=self._column(AUDIO_FILES, "s3_key"),
            file=self.key[AUDIO_FILES],
            files=self.tables[AUDIO_FILES],
        )

    def _ordered(self, table: str, source: Composed) -> Composed:
        return SQL("SELECT {columns} FROM {source} WHERE {key} IS NOT NULL").format(
            columns=self.columns[table], source=source, key=self.key[table]
        )

    def _user_columns(self) -> Composed:
        return SQL(", ").join([SQL("{}::text AS user_id").format(self.key[USERS]), *self._rest(USERS)])

    def _file_columns(self) -> Composed:
        return SQL(", ").join([SQL("{}::text").format(self.key[AUDIO_FILES]), *self._rest(AUDIO_FILES)])

    def _rest(self, table: str) -> list[Composable]:
        """Return the columns behind the id."""
        if table == USERS:
            names = ("email", "password_hash", "key_salt", "created_at")
            return [SQL("{} AS {}").format(self._column(USERS, name), Identifier(name)) for name in names]
        owner, raw = self._column(AUDIO_FILES, "user_id"), self._raw(AUDIO_FILES, "user_id")
        size = self._column(AUDIO_FILES, "file_size")
        return [
            # An owner that is no UUID is told as it stands there.
            SQL("coalesce({}::text, {}::text)").format(owner, raw),
            self._column(AUDIO_FILES, "s3_key"),
            SQL("{}::text").format(size) if self.sizes_are_texts else size,
            self._column(AUDIO_FILES, "uploaded_at"),
            SQL("{} IS NOT NULL").format(self.key[USERS]),
        ]

    def _from(self, table: str) -> Composed:
        name = self._layout.table(table)
        schema = self._layout.schema
        found = Identifier(schema, name) if schema else Identifier(name)
        return SQL("{} {}").format(found, ALIAS[table])

    def _raw(self, table: str, column: str) -> Composed:
        return SQL("{}.{}").format(ALIAS[table], Identifier(self._layout.column(table, column)))

    def _type(self, table: str, column: str) -> str:
        return self._relations[table].types.get(column, "uuid" if KINDS[column] == ID else "")

    def _column(self, table: str, column: str) -> Composed:
        """Return the expression that gives a column in the type in which it is read."""
        raw, kind, type_ = self._raw(table, column), KINDS[column], self._type(table, column)
        if kind == ID and type_ != "uuid":
            # PostgreSQL must not meet a text that it cannot read, which would end the query.
            return SQL("(CASE WHEN {raw}::text ~* {uuid} THEN {raw}::text::uuid END)").format(
                raw=raw, uuid=Literal(UUID_TEXT)
            )
        if kind == TEXT:
            return SQL("{}::text").format(raw)
        if kind == SIZE:
            return raw
        if kind == MOMENT and type_.endswith("with time zone"):
            return SQL("({} AT TIME ZONE 'UTC')").format(raw)
        return SQL("{}::timestamp").format(raw) if kind == MOMENT else raw

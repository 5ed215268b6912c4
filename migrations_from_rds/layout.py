"""What the two legacy tables and their columns are called here: as expected, unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from migrations_from_rds.rows import AUDIO_FILES, USERS

LAST_SIGN_IN = "last_sign_in"
COLUMNS: dict[str, tuple[str, ...]] = {
    USERS: ("user_id", "email", "password_hash", "key_salt", "created_at"),
    AUDIO_FILES: ("file_id", "user_id", "s3_key", "file_size", "uploaded_at"),
}
# Read where it is named, and expected nowhere.
OPTIONAL = {USERS: (LAST_SIGN_IN,), AUDIO_FILES: ()}


class Misnamed(Exception):
    """An option names a table or a column that this program does not read; the text says which."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names in the database, taken literally. Without a schema the session's search path decides."""

    schema: str | None = None
    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: str | None, tables: Iterable[str], columns: Iterable[str]) -> Layout:
        """Return what `--schema`, `--table ours=theirs` and `--column [table.]ours=theirs` say.

        Raises `Misnamed`.
        """
        named = dict(_pair(option) for option in tables)
        for name in named:
            if name not in COLUMNS:
                raise Misnamed(f"--table: {name} is none of {', '.join(COLUMNS)}")
        renamed: dict[tuple[str, str], str] = {}
        for option in columns:
            ours, theirs = _pair(option)
            renamed |= dict.fromkeys(_meant(ours), theirs)
        return cls(schema, named, renamed)

    def table(self, table: str) -> str:
        return self.tables.get(table, table)

    def column(self, table: str, column: str) -> str:
        return self.columns.get((table, column), column)

    def wanted(self, table: str) -> dict[str, str]:
        """Return every column that is read, ours to theirs."""
        optional = (name for name in OPTIONAL[table] if (table, name) in self.columns)
        return {name: self.column(table, name) for name in (*COLUMNS[table], *optional)}


def _pair(option: str) -> tuple[str, str]:
    ours, equals, theirs = option.partition("=")
    if not (ours and equals and theirs):
        raise Misnamed(f"{option!r} must be written as name=theirs, our name first")
    return ours, theirs


def _meant(ours: str) -> list[tuple[str, str]]:
    """Return the columns that a name stands for; user_id without a table is in both."""
    table, dot, column = ours.rpartition(".")
    found = [
        (name, column)
        for name in COLUMNS
        if column in (*COLUMNS[name], *OPTIONAL[name]) and (not dot or name == table)
    ]
    if not found:
        names = ", ".join(f"{table}.{column}" for table in COLUMNS for column in COLUMNS[table])
        raise Misnamed(f"--column: {ours} is none of {names}, {USERS}.{LAST_SIGN_IN}")
    return found

"""Rows of the legacy database as they were read, and as lines of the reject file, which people mend."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# The years that RFC 3339 and Python can write, in microseconds since the epoch.
EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - EPOCH) // MICROSECOND

CANONICAL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

USERS = "users"
AUDIO_FILES = "audio_files"


class UserRow(NamedTuple):
    """A row of `users`; `created_at` is microseconds since the epoch."""

    user_id: str
    email: str | None
    password_hash: str | None
    key_salt: bytes | None
    created_at: int | None


class FileRow(NamedTuple):
    """A row of `audio_files`; `owner_found` tells whether `users` holds its `user_id`.

    A `file_size` that is no whole number is the text that stands there.
    """

    file_id: str
    user_id: str | None
    s3_key: str | None
    file_size: int | str | None
    uploaded_at: int | None
    owner_found: bool


Row = UserRow | FileRow


class Unreadable(Exception):
    """A line of a reject file cannot be understood; the text says why, without quoting the line."""


def table_of(row: Row) -> str:
    return USERS if isinstance(row, UserRow) else AUDIO_FILES


def id_of(row: Row) -> str:
    return row.user_id if isinstance(row, UserRow) else row.file_id


def is_id(value: str | None) -> bool:
    """Whether `value` is a UUID as PostgreSQL writes it; in a row without one its place stands instead."""
    return value is not None and CANONICAL_ID.fullmatch(value) is not None


def to_json(row: Row) -> dict[str, Any]:
    """Return the columns of `row` as a person can read and mend them: salts in hex, times as RFC 3339."""
    columns: dict[str, Any] = row._asdict()
    columns.pop("owner_found", None)
    if isinstance(row, UserRow):
        columns["key_salt"] = None if row.key_salt is None else row.key_salt.hex()
    for name in ("created_at", "uploaded_at"):
        if name in columns:
            columns[name] = _moment(columns[name])
    return columns


def from_json(table: str, columns: dict[str, Any]) -> Row:
    """Return the row that `columns` describe; whether a file's owner exists is for the caller to find out.

    Raises `Unreadable`.
    """
    read = _Columns(columns)
    if table == USERS:
        return UserRow(
            user_id=read.required_id("user_id"),
            email=read.text("email"),
            password_hash=read.text("password_hash"),
            key_salt=read.salt("key_salt"),
            created_at=read.moment("created_at"),
        )
    if table == AUDIO_FILES:
        return FileRow(
            file_id=read.required_id("file_id"),
            user_id=read.id("user_id"),
            s3_key=read.text("s3_key"),
            file_size=read.whole("file_size"),
            uploaded_at=read.moment("uploaded_at"),
            owner_found=False,
        )
    raise Unreadable(f"table must be {USERS} or {AUDIO_FILES}")


def parse_line(line: str) -> Row:
    """Return the row of one line of a reject file. Raises `Unreadable`."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise Unreadable("it is not JSON") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("row"), dict):
        raise Unreadable("it is not an object with `table` and `row`")
    return from_json(str(entry.get("table")), entry["row"])


def _moment(microseconds: int | None) -> str | int | None:
    if microseconds is None or not EARLIEST <= microseconds <= LATEST:
        return microseconds
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")


class _Columns:
    """Reads one typed column at a time."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns

    def text(self, name: str) -> str | None:
        value = self._columns.get(name)
        if value is not None and not isinstance(value, str):
            raise Unreadable(f"{name} must be a text or null")
        return value

    def id(self, name: str) -> str | None:
        value = self.text(name)
        try:
            return None if value is None else str(uuid.UUID(value))
        except ValueError as error:
            raise Unreadable(f"{name} must be a UUID") from error

    def required_id(self, name: str) -> str:
        value = self.id(name)
        if value is None:
            raise Unreadable(f"{name} must be a UUID")
        return value

    def salt(self, name: str) -> bytes | None:
        value = self.text(name)
        try:
            return None if value is None else bytes.fromhex(value)
        except ValueError as error:
            raise Unreadable(f"{name} must be hex digits or null") from error

    def whole(self, name: str) -> int | None:
        value = self._columns.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise Unreadable(f"{name} must be a whole number or null")
        return value

    def moment(self, name: str) -> int | None:
        value = self._columns.get(name)
        if isinstance(value, str):
            try:
                moment = datetime.fromisoformat(value)
            except ValueError as error:
                raise Unreadable(f"{name} must be a time, such as 2024-05-01T09:30:00Z, or null") from error
            # A time without zone is UTC here as it is in the database.
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
            return (moment - EPOCH) // MICROSECOND
        return self.whole(name)

"""Rows put into the legacy tables, by the hundred or one by one."""

from __future__ import annotations

from typing import Any

from tests.support.legacy import HASH, Legacy, file_id, key_salt, user_id
from tests.support.postgres import Database


def fill(database: Database, legacy: Legacy) -> None:
    """Insert all rows of `legacy`."""
    database.insert("users", legacy.user_rows())
    database.insert("audio_files", legacy.file_rows())


def add_user(database: Database, number: int, email: str | None = None, **how: Any) -> None:
    """Insert an account; `how` may hold `password_hash`, `key_salt` and `created_at`."""
    database.execute(
        "INSERT INTO users (user_id, email, password_hash, key_salt, created_at) VALUES (%s, %s, %s, %s, %s)",
        [
            user_id(number),
            email or f"p{number}@example.com",
            how.get("password_hash", HASH),
            how.get("key_salt", key_salt(number)),
            how.get("created_at", f"2021-01-01 00:00:{number % 60:02d}"),
        ],
    )


def add_file(
    database: Database, number: int, owner: int | None, s3_key: str | None = None, uploaded_at: object = None
) -> None:
    """Insert a recording."""
    database.execute(
        "INSERT INTO audio_files (file_id, user_id, s3_key, file_size, uploaded_at) "
        "VALUES (%s, %s, %s, 10, %s)",
        [
            file_id(number),
            None if owner is None else user_id(owner),
            f"users/{number}.3gp" if s3_key is None else s3_key,
            uploaded_at,
        ],
    )

"""Legacy rows by the hundred thousand, with every kind of untidiness, the same for the same numbers.

Which row is untidy in which way follows from its number alone, so that a test
can say for every row what must become of it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A hash of nobody's password: right in form, quick to make.
HASH = "$argon2id$v=19$m=8192,t=1,p=1$" + "c2FsdHNhbHRzYWx0c2FsdA$" + "kqW7Zl0" * 6 + "A"
BCRYPT = "$2b$12$abcdefghijklmnopqrstuuO5pGmkF5OQ0V6cPq7g0b1y8lJtX7L8a"
TOO_COSTLY = HASH.replace("m=8192", "m=4194304")
BEGINNING = datetime(2021, 3, 1, 8, 0, 0)  # noqa: DTZ001 - the legacy database has no zones
# Every so many rows one is untidy in this way; the offsets keep them apart.
USER_EVERY = 41
FILE_EVERY = 37

USER_KINDS = (
    "mixed_case",
    "spaces",
    "collision",
    "bcrypt",
    "no_hash",
    "too_costly",
    "short_salt",
    "no_salt",
    "no_email",
    "blank_email",
    "no_created_at",
    "infinite_created_at",
    "malformed_email",
    "no_files",
)
FILE_KINDS = (
    "no_owner",
    "unknown_owner",
    "no_size",
    "negative_size",
    "no_uploaded_at",
    "infinite_uploaded_at",
    "moment_in_key",
    "shared_key",
    "shared_key_of_another",
    "empty_key",
    "control_character",
    "wide_key",
    "long_key",
    "old",
)
# What keeps a user or a file out of DynamoDB, by the code of the rule.
REFUSED_USERS = {
    "bcrypt": "hash_not_argon2",
    "no_hash": "hash_not_argon2",
    "too_costly": "hash_too_costly",
    "short_salt": "salt_length",
    "no_salt": "salt_length",
    "no_email": "email_missing",
    "blank_email": "email_missing",
}
REFUSED_FILES = {"no_owner": "owner_missing", "unknown_owner": "owner_unknown", "empty_key": "s3_key_empty"}


@dataclass(frozen=True)
class Legacy:
    """A database of so many users and recordings."""

    users: int
    files: int
    untidy: bool = True

    def user_kind(self, number: int) -> str:
        return _kind(number, USER_EVERY, USER_KINDS) if self.untidy else ""

    def file_kind(self, number: int) -> str:
        return _kind(number, FILE_EVERY, FILE_KINDS) if self.untidy else ""

    def owner(self, number: int) -> int:
        """The number of the user to whom a recording belongs."""
        owner = number * 7919 % self.users
        while self.user_kind(owner) == "no_files":
            owner = (owner + 1) % self.users
        return owner

    def user_rows(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.users):
            yield self.user_row(number)

    def file_rows(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.files):
            yield self.file_row(number)

    def user_row(self, number: int) -> tuple[Any, ...]:
        """Return (user_id, email, password_hash, key_salt, created_at)."""
        kind = self.user_kind(number)
        email: str | None = f"person.{number}@example.com"
        if kind == "collision":
            # The next user has the same address in capitals, and is the younger one.
            email = f"Person.{number + 1}@Example.com "
        email = {
            "mixed_case": f"Person.{number}@Example.COM",
            "spaces": f"  person.{number}@example.com\t",
            "malformed_email": f"person {number} at example.com",
            "no_email": None,
            "blank_email": " " * (number % 200 + 1),
        }.get(kind, email)
        return (
            user_id(number),
            email,
            {"bcrypt": BCRYPT, "no_hash": None, "too_costly": TOO_COSTLY}.get(kind, HASH),
            {"short_salt": key_salt(number)[:16], "no_salt": None}.get(kind, key_salt(number)),
            {"no_created_at": None, "infinite_created_at": "infinity"}.get(kind, moment(number)),
        )

    def file_row(self, number: int) -> tuple[Any, ...]:
        """Return (file_id, user_id, s3_key, file_size, uploaded_at)."""
        kind = self.file_kind(number)
        owner = user_id(self.owner(number))
        name = f"audio_{owner[:8]}_{1_650_000_000_000 + number}_{number % 10_000:04d}.3gp_encrypted"
        s3_key = f"audio_upload/{owner}/{name}"
        s3_key = {
            "moment_in_key": s3_key,
            "no_uploaded_at": f"users/{owner}/audio-{number}.3gp",
            "empty_key": "",
            "control_character": f"users/{owner}/audio-{number}\n.3gp",
            "wide_key": f"users/{owner}/grüße-{number}-録音-🎙.3gp",
            "long_key": f"users/{owner}/{number}-" + "ü" * 400,
        }.get(kind, s3_key)
        if kind in ("shared_key", "shared_key_of_another"):
            # The row before is a tidy one.
            s3_key = self.file_row(number - 1)[2]
        if kind == "shared_key":
            owner = user_id(self.owner(number - 1))
        return (
            file_id(number),
            {"no_owner": None, "unknown_owner": file_id(number)}.get(kind, owner),
            s3_key,
            {"no_size": None, "negative_size": -1}.get(kind, 1000 + number),
            {
                "no_uploaded_at": None,
                "moment_in_key": None,
                "infinite_uploaded_at": "-infinity",
                "old": datetime(1969, 12, 31, 23, 59, 59, 250_000),  # noqa: DTZ001 - as above
            }.get(kind, moment(number)),
        )


def _kind(number: int, every: int, kinds: tuple[str, ...]) -> str:
    """Return how the row is untidy; tidy ones lie between two untidy ones."""
    which, place = divmod(number % (every * len(kinds)), every)
    return kinds[which] if place == 3 else ""


def user_id(number: int) -> str:
    return str(uuid.UUID(int=random.Random(f"user {number}").getrandbits(128), version=4))


def file_id(number: int) -> str:
    return str(uuid.UUID(int=random.Random(f"file {number}").getrandbits(128), version=4))


def key_salt(number: int) -> bytes:
    return random.Random(f"salt {number}").randbytes(32)


def moment(number: int) -> datetime:
    """A moment to the microsecond; every tenth is a whole second, and some end in zeros."""
    fraction = {0: 0, 1: 500_000, 2: 1}.get(number % 10, number * 7717 % 1_000_000)
    return BEGINNING + timedelta(seconds=number * 61, microseconds=fraction)

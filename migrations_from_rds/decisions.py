"""What to do about one row, given what DynamoDB holds: a pure function, so that every case can be seen."""

from __future__ import annotations

from enum import Enum, auto

from migrations_from_rds.state import Known
from migrations_from_rds.transform import Wanted
from panzoto.models.bulk import (
    ORIGIN,
    Item,
    MigratedUser,
    digest,
    holds,
    read_recording,
    read_user,
    text,
)

# What is noted on an account about its recordings, by this migration and then by the service.
BOOKKEEPING = frozenset(
    {"claims_complete", "used_recordings", "used_bytes", "change_number", "settled_to", "unnumbered_at"}
)
# The same, of a recording.
NUMBERING = frozenset({"change_number", "listed_at"})
# What this migration writes. Any other attribute came from the service, later.
OURS = frozenset(
    {
        "user_id",
        "email",
        "email_display",
        "password_hash",
        "key_salt",
        "created_at",
        "created_at_iso",
        "file_id",
        "s3_key",
        "file_size",
        "uploaded_at",
        "uploaded_at_iso",
        ORIGIN,
    }
    | BOOKKEEPING
    | NUMBERING
)


class Decision(Enum):
    """What is to be done, or what has been found."""

    WRITE = auto()
    WRITE_WITHOUT_CLAIM = auto()
    REPLACE = auto()
    CLAIM = auto()
    ALREADY_OURS = auto()
    ALREADY_THERE = auto()
    LEFT_NEWER = auto()
    GONE = auto()
    EMAIL_TAKEN = auto()


def decide(
    wanted: Wanted, stored: Item | None, claim: Item | None, known: Known | None, migration: str
) -> Decision:
    """Return what is to be done about `wanted`.

    `stored` is the row under its key and `claim` the claim it needs, as
    DynamoDB has them now; `known` is what the manifest says.
    """
    if stored is not None:
        return _about_stored(wanted, stored, claim, known, migration)
    if known is not None and known.digest is not None:
        # It was written once and somebody has deleted it since.
        return Decision.GONE
    return _about_claim(wanted, claim, Decision.WRITE)


def _about_stored(
    wanted: Wanted, stored: Item, claim: Item | None, known: Known | None, migration: str
) -> Decision:
    found = digest_of(wanted, stored)
    ours = text(stored, ORIGIN) == migration
    if found == wanted.digest:
        if not ours:
            return Decision.ALREADY_THERE
        free = claim is None or text(claim, "user_id") == wanted.takes_from
        return Decision.CLAIM if free and not wanted.claimless else Decision.ALREADY_OURS
    if known is None or not is_replaceable(stored, known, migration):
        return Decision.LEFT_NEWER
    return _about_claim(wanted, claim, Decision.REPLACE)


def _about_claim(wanted: Wanted, claim: Item | None, otherwise: Decision) -> Decision:
    if claim is None or holds(claim, wanted.item) or is_passed_on(wanted, claim):
        return otherwise
    if isinstance(wanted.item, MigratedUser):
        return Decision.EMAIL_TAKEN
    return Decision.WRITE_WITHOUT_CLAIM if otherwise is Decision.WRITE else otherwise


def is_replaceable(stored: Item | None, known: Known, migration: str | None) -> bool:
    """Whether the stored row still is, by its content, one that this migration wrote."""
    if stored is None or text(stored, ORIGIN) != migration or changed_attributes(stored):
        return False
    return known.may_have_written(stored_digest(stored, is_user="file_id" not in stored))


def is_passed_on(wanted: Wanted, claim: Item) -> bool:
    """Whether the claim is that of an account which goes to another address, so that this one may have it."""
    return wanted.takes_from is not None and text(claim, "user_id") == wanted.takes_from


def digest_of(wanted: Wanted, stored: Item) -> bytes | None:
    """Return the digest of the stored row, read as the kind of row that `wanted` is."""
    return stored_digest(stored, is_user=isinstance(wanted.item, MigratedUser))


def stored_digest(stored: Item, *, is_user: bool) -> bytes | None:
    """Return the digest of a stored row, None when it is no complete one."""
    row = read_user(stored) if is_user else read_recording(stored)
    return None if row is None else digest(row)


def changed_attributes(stored: Item) -> list[str]:
    """Return the attributes by which the service has changed the row since it was migrated."""
    return sorted(stored.keys() - OURS)

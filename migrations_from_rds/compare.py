"""Is a row in DynamoDB what it should be? Pure comparison, attribute by attribute."""

from __future__ import annotations

from dataclasses import dataclass

from migrations_from_rds.transform import Wanted
from panzoto.models.bulk import (
    Item,
    Migrated,
    MigratedRecording,
    MigratedUser,
    digest,
    holds,
    read_recording,
    read_user,
    text,
)

# By these the service says that it has changed a row since; what it may then have changed is listed below.
TOUCHED = {MigratedUser: ("version", "vault"), MigratedRecording: ("earlier_key",)}
MAY_CHANGE = {
    MigratedUser: frozenset({"email", "email_display", "password_hash", "key_salt"}),
    MigratedRecording: frozenset({"file_size"}),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found; an empty `code` means that there is nothing to say.

    `since` tells that the service has changed the row after it arrived, which is no difference.
    """

    code: str = ""
    sentence: str = ""
    since: bool = False


SAME = Verdict()


def row(wanted: Wanted, stored: Item | None) -> Verdict:
    """Compare the row itself."""
    if stored is None:
        return Verdict("missing", "it is not in DynamoDB")
    found = as_it_arrived(type(wanted.item), stored)
    if found is None:
        return Verdict("damaged", "its item in DynamoDB lacks an attribute or holds one that cannot be read")
    if digest(found) == wanted.digest:
        return SAME
    names = [name for name in found._fields if getattr(found, name) != getattr(wanted.item, name)]
    what = ", ".join(names)
    kind = type(wanted.item)
    if set(names) <= MAY_CHANGE[kind] and any(name in stored for name in TOUCHED[kind]):
        return Verdict("changed_since", f"the service has changed {what} since", since=True)
    return Verdict("differs", f"{what} differs")


def kept(stored: Item | None) -> Verdict:
    """Compare a row that went bad in the database after it was copied: it is to be there."""
    return (
        SAME
        if stored is not None
        else Verdict("missing", "it was copied, went bad since, and is not in DynamoDB")
    )


def mended(expected: bytes | None, is_user: bool, stored: Item | None) -> Verdict:
    """Compare a row that was mended by hand with the digest of what was written then."""
    if stored is None:
        return Verdict("missing", "it was fed back from the reject file and is not in DynamoDB")
    kind = MigratedUser if is_user else MigratedRecording
    found = as_it_arrived(kind, stored)
    if found is not None and digest(found) == expected:
        return SAME
    if any(name in stored for name in TOUCHED[kind]):
        return Verdict("changed_since", "the service has changed it since", since=True)
    return Verdict("differs", "it differs from what was fed back from the reject file")


def as_it_arrived(kind: type[Migrated], stored: Item) -> Migrated | None:
    """Read a stored row as it was migrated.

    A recording keeps its first key when it is upgraded, and its moment when it is in the trash.
    """
    if kind is MigratedUser:
        return read_user(stored)
    before = {
        "s3_key": stored.get("earlier_key") or stored.get("s3_key"),
        "uploaded_at": stored.get("uploaded_at") or stored.get("kept_uploaded_at"),
    }
    return read_recording({**stored, **{name: value for name, value in before.items() if value is not None}})


def claim(wanted: Wanted, stored: Item | None, found: Item | None, holder: Item | None) -> Verdict:
    """Compare the claim: it is the row's own, or that of another recording which has the same key.

    `holder` is the recording that the claim names, where that is another.
    """
    if found is not None and holds(found, wanted.item):
        return SAME
    if isinstance(wanted.item, MigratedUser) and text(stored or {}, "email") != wanted.item.email:
        return Verdict("changed_since", "the service has changed email since", since=True)
    if found is None:
        return Verdict("claim_missing", "its claim is not in DynamoDB")
    if isinstance(wanted.item, MigratedUser):
        return Verdict("claim_of_another", f"account {text(found, 'user_id')} has the claim on its address")
    key = wanted.item.s3_key
    if holder is not None and key in (text(holder, "s3_key"), text(holder, "earlier_key")):
        return SAME
    return Verdict("claim_of_another", f"the claim on its key names recording {text(found, 'file_id')}")

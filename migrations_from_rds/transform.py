"""What becomes of a row: pure functions from legacy rows to migrated ones, and the rules for untidy data.

A rule either takes a row, perhaps with a note, or rejects it; no rule is
silent. `RULES` states each of them, for the report and for docs/migration.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from migrations_from_rds.rows import (
    AUDIO_FILES,
    EARLIEST,
    EPOCH,
    LATEST,
    MICROSECOND,
    USERS,
    FileRow,
    Row,
    UserRow,
    id_of,
    is_id,
    table_of,
)
from panzoto.auth.mail_address import is_well_formed
from panzoto.auth.passwords import ENCODED, digest_seems_cut, flaw_of, is_argon2
from panzoto.config import Argon2Parameters
from panzoto.models.bulk import Migrated, MigratedRecording, MigratedUser, claim_name, digest
from panzoto.models.credentials import KEY_SALT_BYTES
from panzoto.object_keys import LONGEST_KEY_BYTES

UNKNOWN_MOMENT = 0

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Phones wrote the moment of the recording, in milliseconds, into the key.
MOMENT_IN_KEY = re.compile(r"/audio_[^/_]+_([0-9]{13})_[0-9]+\.[^/]*$")


class Policy(StrEnum):
    """What to do with accounts whose addresses become one."""

    FAIL = "fail"
    SKIP = "skip"
    OLDEST = "oldest"
    NEWEST = "newest"


RULES: dict[str, str] = {
    "id_unusable": "rejected: an id is a UUID",
    "email_missing": "rejected: an account needs an address",
    "email_collision": "by --on-collision; every account concerned is listed",
    "email_taken": "rejected: another account in DynamoDB has the address",
    "email_malformed": "taken as it is; its owner signs in, and may get no letter until it is mended",
    "hash_not_argon2": "rejected: the service verifies Argon2 hashes only",
    "hash_unverifiable": "taken; its owner sets the password anew by mail and then hears everything again",
    "hash_too_costly": "rejected: the service refuses to compute a hash of such costs",
    "salt_length": f"rejected: a key salt has {KEY_SALT_BYTES} bytes",
    "created_at_unknown": "taken; stands as 1970-01-01T00:00:00Z",
    "owner_missing": "rejected: user_id is NULL",
    "owner_unknown": "rejected: no account has this user_id",
    "owner_rejected": "rejected together with its account",
    "s3_key_empty": "rejected: there is no object to play",
    "s3_key_unusable": "taken as it is; S3 holds no object under such a key",
    "s3_key_duplicate": "taken without the claim on the key, which another recording holds",
    "file_size_not_whole": "rejected: a size is a whole number, and none is rounded",
    "file_size_unknown": "taken without a size",
    "uploaded_at_unknown": "taken; stands as the moment in its key, or else as 1970-01-01T00:00:00Z",
    "object_missing": "taken; the recording cannot be played",
    "gone_bad": "left as it was copied: the row in the database could not be taken as it is now",
    "left_changed": "not removed: the service has changed the row since it arrived",
    "left_newer": "not written: the row in DynamoDB is another or has changed since",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to say about one row. `row` is there when the row was rejected, so that it can be mended."""

    table: str
    row_id: str
    code: str
    sentence: str
    row: Row | None = None

    @property
    def rejected(self) -> bool:
        return self.row is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A migrated row that is to be in DynamoDB, with its claim unless `claimless`.

    `takes_from` is the account whose address an account takes over.
    """

    item: Migrated
    digest: bytes
    claimless: bool = False
    source: Row | None = None
    takes_from: str | None = None

    @property
    def row_id(self) -> str:
        return self.item[0]

    @property
    def claim(self) -> str:
        return claim_name(self.item)

    @property
    def table(self) -> str:
        return USERS if isinstance(self.item, MigratedUser) else AUDIO_FILES


def normalise(email: str | None) -> str:
    """Return the address as the service looks it up."""
    return (email or "").strip().lower()


def user(row: UserRow) -> tuple[MigratedUser | None, Sequence[Problem]]:
    """Return the account of `row`, or None when it cannot be taken, and what there is to say."""
    email = normalise(row.email)
    flaw = _user_flaw(row, email)
    if flaw:
        return None, [_reject(row, *flaw)]
    notes: list[Problem] = []
    if not is_well_formed(email):
        notes.append(_note(row, "email_malformed", "its address is malformed"))
    broken = _broken_hash(row.password_hash or "")
    if broken:
        notes.append(_note(row, "hash_unverifiable", f"no password fits its password_hash: {broken}"))
    created_at = row.created_at
    if created_at is None or not EARLIEST <= created_at <= LATEST:
        notes.append(_note(row, "created_at_unknown", _no_moment("created_at", created_at)))
        created_at = UNKNOWN_MOMENT
    taken = MigratedUser(
        user_id=row.user_id,
        email=email,
        email_display=row.email if row.email != email else None,
        password_hash=row.password_hash or "",
        key_salt=base64.b64encode(row.key_salt or b"").decode("ascii"),
        created_at=created_at,
    )
    return taken, notes


def _user_flaw(row: UserRow, email: str) -> tuple[str, str] | None:
    if not is_id(row.user_id):
        return "id_unusable", "its user_id is NULL or no UUID"
    if not email:
        return "email_missing", "its email is NULL or empty"
    stored = row.password_hash or ""
    if not is_argon2(stored):
        return "hash_not_argon2", "its password_hash is no encoded Argon2 hash"
    costs = ENCODED.fullmatch(stored)
    if (
        costs is not None
        and flaw_of(stored) is None
        and not Argon2Parameters(int(costs["t"]), int(costs["m"]), int(costs["p"])).within_ceiling()
    ):
        return "hash_too_costly", "its password_hash has costs beyond what the service computes"
    length = len(row.key_salt or b"")
    if length != KEY_SALT_BYTES:
        return "salt_length", f"its key_salt has {length} bytes instead of {KEY_SALT_BYTES}"
    return None


def _broken_hash(stored: str) -> str | None:
    """Return why no password can be verified by a hash, None for one that is in order."""
    flaw = flaw_of(stored)
    return flaw or ("its digest has a length that nobody chooses" if digest_seems_cut(stored) else None)


def recording(
    row: FileRow, owner_rejected: bool, claim_holder: str | None
) -> tuple[MigratedRecording | None, Sequence[Problem]]:
    """Return the recording of `row`, or None when it cannot be taken, and what there is to say.

    `claim_holder` is the file_id that has the claim on the key when this one has not.
    """
    flaw = file_flaw(row, owner_rejected)
    if flaw:
        return None, [_reject(row, *flaw)]
    s3_key, user_id = row.s3_key or "", row.user_id or ""
    notes: list[Problem] = []
    if (
        CONTROL_CHARACTERS.search(s3_key)
        or len(s3_key) > LONGEST_KEY_BYTES
        or len(s3_key.encode()) > LONGEST_KEY_BYTES
    ):
        notes.append(_note(row, "s3_key_unusable", "its s3_key cannot be a key of S3"))
    if claim_holder is not None:
        notes.append(_note(row, "s3_key_duplicate", f"recording {claim_holder} has the same s3_key"))
    size = None if isinstance(row.file_size, str) else row.file_size
    if size is None or size < 0:
        what = "NULL" if size is None else "negative"
        notes.append(_note(row, "file_size_unknown", f"its file_size is {what}"))
        size = None
    uploaded_at = row.uploaded_at
    if uploaded_at is None or not EARLIEST <= uploaded_at <= LATEST:
        notes.append(_note(row, "uploaded_at_unknown", _no_moment("uploaded_at", uploaded_at)))
        uploaded_at = moment_in_key(s3_key)
    return MigratedRecording(row.file_id, user_id, s3_key, size, uploaded_at), notes


def file_flaw(  # noqa: PLR0911 - one return for each rule
    row: FileRow, owner_rejected: bool
) -> tuple[str, str] | None:
    """Return code and sentence of what keeps the row out, if anything does."""
    if not is_id(row.file_id):
        return "id_unusable", "its file_id is NULL or no UUID"
    if isinstance(row.file_size, str):
        return "file_size_not_whole", "its file_size is no whole number that a size can be"
    if row.user_id is None:
        return "owner_missing", "its user_id is NULL"
    if not row.owner_found:
        return "owner_unknown", "no account has its user_id"
    if owner_rejected:
        return "owner_rejected", "its account was rejected"
    if not row.s3_key:
        return "s3_key_empty", "its s3_key is NULL or empty"
    return None


def moment_in_key(s3_key: str) -> int:
    """Return the moment that a phone wrote into the key, in microseconds since the epoch, or 0."""
    found = MOMENT_IN_KEY.search(s3_key)
    return int(found[1]) * 1000 if found else UNKNOWN_MOMENT


def wanted(item: Migrated, row: Row, *, claimless: bool = False, takes_from: str | None = None) -> Wanted:
    """Return `item` with its digest."""
    return Wanted(item, digest(item), claimless, row, takes_from)


def gone_bad(row: Row, sentence: str) -> Problem:
    """Return the problem of a row that was copied and could not be copied as it is now."""
    return Problem(
        table_of(row), id_of(row), "gone_bad", f"DynamoDB keeps what was copied; since then {sentence}"
    )


def collisions(rows: Iterable[UserRow]) -> list[list[UserRow]]:
    """Return the groups of two and more rows whose addresses are one after normalising."""
    groups: dict[str, list[UserRow]] = {}
    for row in rows:
        groups.setdefault(normalise(row.email), []).append(row)
    return [group for email, group in groups.items() if email and len(group) > 1]


def winner(group: Sequence[UserRow], policy: Policy) -> UserRow | None:
    """Return which account of a collision has the address.

    An account that could not be taken anyway, or whose age is unknown, comes
    last; of equally old ones the lower user_id wins.
    """
    if policy not in (Policy.OLDEST, Policy.NEWEST):
        return None
    takeable = [row for row in group if user(row)[0] is not None]
    sign = 1 if policy is Policy.OLDEST else -1

    def rank(row: UserRow) -> tuple[bool, int, str]:
        unknown = row.created_at is None or not EARLIEST <= row.created_at <= LATEST
        return unknown, sign * (row.created_at or 0), row.user_id

    return min(takeable, key=rank, default=None)


def collision_problems(
    group: Sequence[UserRow], kept: UserRow | None, evidence: Mapping[str, str] | None = None
) -> list[Problem]:
    """Return one problem for each account of a collision: all but `kept` are rejected.

    `evidence` says by user_id what a person decides by.
    """
    problems = []
    for row in group:
        others = ", ".join(sorted(other.user_id for other in group if other is not row))
        what = f"; {evidence[row.user_id]}" if evidence and row.user_id in evidence else ""
        if row is kept:
            problems.append(
                _note(row, "email_collision", f"it keeps the address, also that of {others}{what}")
            )
        else:
            problems.append(_reject(row, "email_collision", f"its address is also that of {others}{what}"))
    return problems


def evidence_of(created_at: int | None, recordings: int, latest: int | None, last_sign_in: int | None) -> str:
    """Return what is known of an account that another one has the address of; times in microseconds."""
    some = {0: "no recordings", 1: "one recording"}.get(recordings, f"{recordings} recordings")
    last = f", the last of {moment_text(latest)}" if recordings else ""
    made, seen = moment_text(created_at), moment_text(last_sign_in)
    return f"made: {made}; {some}{last}; last sign-in: {seen}"


def moment_text(moment: int | None) -> str:
    """Return a moment as RFC 3339, to the second, or that it is not known."""
    if moment is None or not EARLIEST <= moment <= LATEST:
        return "not known"
    return (EPOCH + moment * MICROSECOND).isoformat(timespec="seconds").replace("+00:00", "Z")


def rejected(row: Row, code: str, sentence: str) -> Problem:
    """Return the problem that rejects `row`."""
    return _reject(row, code, sentence)


def _reject(row: Row, code: str, sentence: str) -> Problem:
    return Problem(table_of(row), id_of(row), code, sentence, row)


def _note(row: Row, code: str, sentence: str) -> Problem:
    return Problem(table_of(row), id_of(row), code, sentence)


def _no_moment(column: str, value: int | None) -> str:
    return f"its {column} is {'NULL' if value is None else 'outside the years 1 to 9999'}"

"""Whether a day's chores have done what they had to, and nothing else."""

from __future__ import annotations

import time
from collections import Counter

from bench.support.expressions import Item
from bench.support.synthetic_bucket import Bucket
from bench.support.synthetic_people import EACH, People, Recording, State
from bench.support.synthetic_tables import CHANGES, CLAIMS, FILES, USERS, Tables


def differences(tables: Tables, bucket: Bucket) -> dict[str, int]:
    """Return how much is otherwise than it has to be, by what it is; all of them 0 where all is well."""
    people, found = tables.people, Counter[str]()
    specials = [people.special(owner) for owner in people.who_changed()]
    by_id = {one.file_id: one for one in specials}
    for one in specials:
        row = tables.get(FILES, (one.file_id, ""))
        claim = tables.get(CLAIMS, (f"s3key#{one.s3_key}", ""))
        found[f"{one.state.value}: not as it has to be"] += not _is_right(one, row, claim is not None)
        found["counters that are wrong"] += not _is_counted(tables, one)
        found["lists of changes that are wrong"] += not _is_listed(tables, one)
        found["accounts that are still due"] += _is_due(tables, one)
    expired = {one.s3_key for one in specials if one.state is State.EXPIRED}
    found["objects of expired trash that are there"] += len(expired - bucket.removed)
    found["objects removed that should not be"] += len(bucket.removed - expired)
    may_differ = {one.file_id for one in by_id.values() if one.state not in (State.PLAIN, State.BINNED)}
    touched = set(tables.tables[FILES].written)
    found["rows touched that should not be"] += len(touched - may_differ)
    found["accounts touched that should not be"] += sum(
        not _has_changed(people, user_id) for user_id in tables.tables[USERS].written
    )
    return dict(found)


def _has_changed(people: People, user_id: str) -> bool:
    owner = people.owner(user_id)
    return owner is not None and people.has_changed(owner)


def _is_right(one: Recording, row: Item | None, is_claimed: bool) -> bool:
    match one.state:
        case State.EXPIRED:
            return row is None and not is_claimed
        case State.NEVER_CAME:
            # An address that was given out just now is good for a while; so long the row tells of it.
            return (row is None or row["status"]["S"] == "erasing") and not is_claimed
        case State.CAME_WHOLE:
            return row is not None and row["status"]["S"] == "stored" and "uploaded_at" in row and is_claimed
        case State.BINNED:
            return row is not None and "deleted_at" in row and is_claimed
    return row is not None and "uploaded_at" in row and is_claimed


def _is_counted(tables: Tables, special: Recording) -> bool:
    rows = _rows(tables, special.owner)
    counted = [
        int(row["file_size"]["N"])
        for row in rows
        if "deleted_at" not in row and row["status"]["S"] != "erasing"
    ]
    user = tables.get(USERS, (special.user_id, "")) or {}
    return (int(user["used_recordings"]["N"]), int(user["used_bytes"]["N"])) == (len(counted), sum(counted))


def _is_listed(tables: Tables, special: Recording) -> bool:
    """Whether each recording has one entry, at its latest change, and the counter is that of the last one."""
    user = tables.get(USERS, (special.user_id, "")) or {}
    last = int(user["change_number"]["N"])
    entries = {
        number: entry["file_id"]["S"]
        for number in range(1, last + 1)
        if (entry := tables.get(CHANGES, (special.user_id, str(number)))) is not None
    }
    numbers = {row["file_id"]["S"]: int(row["change_number"]["N"]) for row in _rows(tables, special.owner)}
    told = {file_id: number for number, file_id in entries.items()}
    return len(entries) == len(told) == EACH and last in entries and numbers.items() <= told.items()


def _is_due(tables: Tables, special: Recording) -> bool:
    """Whether an account is due at this moment.

    One whose upload was given up is due again when the last address that was given out for it has ended.
    """
    user = tables.get(USERS, (special.user_id, "")) or {}
    return "due_at" in user and float(user["due_at"]["N"]) < time.time() + 60


def _rows(tables: Tables, owner: int) -> list[Item]:
    people = tables.people
    found = (tables.get(FILES, (people.file_id(owner, index), "")) for index in range(EACH))
    return [row for row in found if row is not None]

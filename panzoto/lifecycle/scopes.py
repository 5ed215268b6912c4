"""What a sweep looks at: everything, one account, or what a stretch of the bucket holds of nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from panzoto import object_keys
from panzoto.lifecycle.sightings import Sightings
from panzoto.models import AudioFile, SweepMemory, User
from panzoto.models.connection import storage_failures
from panzoto.models.damage import with_damaged
from panzoto.storage import ListedEntry, Storage

OWNERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows and entries are looked at, and what earlier looks remember of those that are unknown.

    Of the rows that are damaged it has what can be read.
    Only what looks at everything may conclude that something remembered is no longer there.
    """

    rows: Callable[[], Iterator[AudioFile]]
    entries: Callable[[Storage], Iterator[ListedEntry]]
    remembered: Callable[[Sightings], Iterable[tuple[str, datetime]]]
    is_whole: bool = False


def _all_rows() -> Iterator[AudioFile]:
    with storage_failures():
        yield from with_damaged(AudioFile.scan(consistent_read=True))


def _all_entries(storage: Storage) -> Iterator[ListedEntry]:
    for folder in object_keys.FOLDERS:
        yield from storage.entries(folder)


WHOLE = Scope(_all_rows, _all_entries, lambda _: SweepMemory.all_seen(), is_whole=True)


def of_account(user_id: str) -> Scope:
    """Return the scope of all rows of an account and all in its folders, but for what lies aside."""

    def entries(storage: Storage) -> Iterator[ListedEntry]:
        for folder in object_keys.folders_of(user_id):
            if not folder.startswith(object_keys.ASIDE):
                yield from storage.entries(folder)

    return Scope(lambda: AudioFile.everything_with_damaged_of(user_id), entries, _remembered)


def of_nobody(entries: Callable[[Storage], Iterator[ListedEntry]]) -> Scope:
    """Return the scope of those `entries` that lie in no folder of an account."""
    return Scope(lambda: iter(()), lambda storage: _ownerless(entries(storage)), _remembered)


def aside() -> Scope:
    """Return the scope of what lies aside."""
    return Scope(lambda: iter(()), lambda storage: storage.entries(object_keys.ASIDE), _remembered)


def _remembered(found: Sightings) -> Iterator[tuple[str, datetime]]:
    return SweepMemory.seen_of(found.unknown_marks())


def _ownerless(entries: Iterator[ListedEntry]) -> Iterator[ListedEntry]:
    """Yield the entries of no account, asking for the owners of some at a time."""
    known: dict[str, bool] = {}
    while some := list(islice(entries, 10 * OWNERS_AT_ONCE)):
        owners = {owner for entry in some if (owner := object_keys.account_of(entry.s3_key))}
        asked = [owner for owner in owners if owner not in known]
        # Keys are in order, so an owner who is behind does not come again.
        known = {owner: known[owner] for owner in owners if owner in known}
        for start in range(0, len(asked), OWNERS_AT_ONCE):
            wanted = asked[start : start + OWNERS_AT_ONCE]
            there = User.ids_there({spelling for owner in wanted for spelling in (owner, owner.lower())})
            known |= {owner: owner in there or owner.lower() in there for owner in wanted}
        for entry in some:
            owner = object_keys.account_of(entry.s3_key)
            if owner is None or not known[owner]:
                yield entry

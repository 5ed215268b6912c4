"""The only place that removes objects, and the one rule for what no table knows of.

What its owner has asked for goes at once, and goes whole: it is bounded by what the table says is the
owner's. What no table knows of may be somebody's all the same: a phone that has not reported it yet, a
database that is yet to be moved, a table that is being restored. It is not understood, so it is not erased:

1. It is remembered when it is first seen, each version by itself.
2. Seen again thirty days later it is moved aside, under `aside/`, where it keeps its bytes and its name.
3. After 58 days more it goes.

Never more than a hundred a night without a person's word, moves and removals together, and nothing at all
while a hold stands or a table is empty. How objects are found is no matter of this module.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

from panzoto import object_keys
from panzoto.crypto import header
from panzoto.errors import ObjectChanged, ObjectNotFound
from panzoto.models import SweepMemory, empty_tables
from panzoto.models.attributes import EPOCH
from panzoto.storage import ListedEntry, ObjectVersion, Storage

# How long something must have been unknown before it is moved aside.
WAITS = timedelta(days=30)
# How long it lies there: sixty days at most, and a night may be missed.
LIES_ASIDE = timedelta(days=58)
# How much a night may move aside or remove of what no table knows, over all runs together.
AT_MOST = 100

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of something that the rule lets go."""

    DONE = "done"
    HELD = "held back"
    TOO_MANY = "more than a night may take"
    CHANGED = "not as it was listed, or known by now"


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule at one moment. `last_held` is when sweeps were last held back: waiting begins anew then."""

    moment: datetime
    last_held: datetime | None

    def waits_since(self, first_seen: datetime) -> datetime:
        """Return since when something has been waiting without a break."""
        return first_seen if self.last_held is None else max(first_seen, self.last_held)

    def may_move_aside(self, first_seen: datetime) -> bool:
        """Whether a version has been unknown for long enough."""
        return self.moment - self.waits_since(first_seen) >= WAITS

    def may_go(self, aside_since: datetime) -> bool:
        """Whether what lies aside has lain there long enough."""
        return self.moment - aside_since >= LIES_ASIDE

    def may_abort(self, first_seen: datetime) -> bool:
        """Whether an unfinished upload, which cannot be moved aside, has been unknown for both times."""
        return self.moment - self.waits_since(first_seen) >= WAITS + LIES_ASIDE


def mark_of(entry: ListedEntry) -> str:
    """Return what a version or an unfinished upload is remembered by."""
    if entry.upload_id is not None:
        return object_keys.version_mark(entry.s3_key, f"upload {entry.upload_id}", 0, "")
    return object_keys.version_mark(entry.s3_key, entry.version_id, _seconds(entry), entry.etag)


def target_of(entry: ListedEntry) -> str | None:
    """Return where a version is moved aside, None for one whose key is too long to be moved."""
    return object_keys.aside_key(entry.s3_key, _seconds(entry), entry.is_latest, mark_of(entry))


def _seconds(entry: ListedEntry) -> int:
    return (entry.modified_at - EPOCH) // timedelta(seconds=1)


def _in_order(aside: ListedEntry) -> tuple[str, datetime]:
    """Return what puts versions of one key that lie aside in order: their times, and when they were moved."""
    return aside.s3_key.rpartition("-")[0], aside.modified_at


def _was_done(act: Callable[[], None]) -> bool:
    try:
        act()
    except (ObjectNotFound, ObjectChanged):
        return False
    return True


def reasons_to_hold() -> list[str]:
    """Return, as short sentences, why nothing may be removed now; empty when something may."""
    holds = [
        f"hold {hold.name} since {hold.since:%Y-%m-%d}"
        + (f": {hold.reason}" if hold.reason else "")
        + f"; `flask panzoto sweeps release {hold.name}` lets go of it"
        for hold in SweepMemory.holds()
    ]
    return holds + [f"table {table} is empty, as before its first use" for table in empty_tables()]


class Removal:
    """Removes objects of one bucket."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def of_a_recording(self, s3_key: str) -> tuple[int, int]:
        """Erase what its owner erases, every version of it, aside too.

        Returns how many went and how many S3 kept.
        """
        removed, kept = self._storage.remove(s3_key)
        for entry in self._aside_of(s3_key):
            removed_there, kept_there = self._storage.remove(entry.s3_key)
            removed, kept = removed + removed_there, kept + kept_there
        return removed, kept

    def of_an_account(self, user_id: str, is_named_by_another: Callable[[str], bool]) -> int:
        """Erase every folder of an account that its owner deletes; return how many versions S3 kept.

        What a row of another account names stays, as rows of the earlier service may; so does what lies
        in the folders of plans and of transcripts and is none.
        """

        def is_spared(s3_key: str) -> bool:
            plans, transcripts = object_keys.PLANS, object_keys.TRANSCRIPTS
            foreign = (s3_key.startswith(plans) and not object_keys.is_plan(s3_key)) or (
                s3_key.startswith(transcripts) and object_keys.transcript_of(s3_key) is None
            )
            return foreign or is_named_by_another(object_keys.original_key(s3_key) or s3_key)

        folders = object_keys.folders_of(user_id)
        return sum(self._storage.remove_folder(folder, is_spared) for folder in folders)

    def of_a_wrong_upload(self, version: ObjectVersion) -> None:
        """Remove an object that is not what was announced, as it was looked at, and what it had replaced.

        What its phone has put in its place since stays, for a row may name it by now. So does what comes in
        parts.
        """
        for entry in self._from(version):
            with suppress(ObjectChanged, ObjectNotFound):
                self._storage.drop_unchanged(entry)

    def of_what_is_behind(self, version: ObjectVersion) -> None:
        """Remove what an object has replaced under its key, as an interrupted run had left it there."""
        for entry in itertools.islice(self._from(version), 1, None):
            self._storage.drop(entry)

    def _from(self, version: ObjectVersion) -> Iterator[ListedEntry]:
        """Yield this version and all before it, which S3 lists after it; none in front of it."""
        versions = (
            entry
            for entry in self._storage.entries_of(version.s3_key)
            if entry.upload_id is None and not entry.is_marker
        )
        return itertools.dropwhile(lambda entry: entry.etag != version.etag, versions)

    def of_transcripts(self, user_id: str, file_id: str, s3_key: str | None) -> None:
        """Remove the object of a transcript that was replaced or deleted.

        `s3_key` is where the row said it lies; None where the row held it, and a key that is not of this
        recording's transcripts is left alone.
        """
        if s3_key is not None and object_keys.transcript_of(s3_key) == (user_id, file_id):
            self._storage.remove(s3_key)

    def of_all_transcripts(self, user_id: str, file_id: str) -> int:
        """Erase every object of transcripts of a recording that is erased, aside too.

        A former one may lie there, if nobody was left to remove it after what replaced it was written.
        Returns how many versions S3 kept.
        """

        def is_spared(s3_key: str) -> bool:
            return object_keys.transcript_of(object_keys.original_key(s3_key) or s3_key) != (user_id, file_id)

        folder = object_keys.transcripts_folder(user_id, file_id)
        folders = (folder, object_keys.ASIDE + folder)
        return sum(self._storage.remove_folder(one, is_spared) for one in folders)

    def of_parts(self, s3_key: str, upload_id: str) -> None:
        """Drop a multipart upload that this process began and nobody was told of."""
        self._storage.abort_parts(s3_key, upload_id)

    def of_a_copy(self, s3_key: str) -> int:
        """Remove the copy that an upgrade wrote and no row names; return how many versions S3 kept."""
        return self._storage.remove(s3_key)[1]

    def of_a_superseded(self, s3_key: str) -> None:
        """Remove what an upgrade replaced, once the copy was read back and the row names it."""
        self._storage.remove(s3_key)

    def is_plan(self, entry: ListedEntry) -> bool:
        """Whether this is a sitting's plan, by its key and by how it begins; one read of four bytes."""
        if entry.upload_id is not None or entry.is_marker or not object_keys.is_plan(entry.s3_key):
            return False
        try:
            return header.looks_like(self._storage.beginning(entry, len(header.MAGIC)))
        except ObjectNotFound:
            return False

    def of_a_plan(self, entry: ListedEntry) -> None:
        """Remove a sitting's plan, for which `is_plan` was asked."""
        self._storage.drop(entry)

    def move_aside(self, entry: ListedEntry, at_most: int, is_unknown: Callable[[], bool]) -> Outcome:
        """Move one version aside: copy it, compare the copy, and only then remove it from its place.

        `is_unknown` looks once more before that. Raises `Unavailable`.
        """
        target = target_of(entry)
        if target is None:
            raise ValueError("a key that is too long is not moved aside")
        move = partial(self._move, entry, target, is_unknown)
        return self._counted(at_most, is_unknown, partial(SweepMemory.take, mark_of(entry)), move)

    def let_go(self, entry: ListedEntry, at_most: int, is_unknown: Callable[[], bool]) -> Outcome:
        """Remove what has lain aside, drop an unfinished upload, or a marker with nothing under it."""
        lies_aside = object_keys.original_key(entry.s3_key) is not None and entry.upload_id is None
        # What lies aside is remembered by where it lies, and to remove it twice is to remove it once.
        take = (lambda: True) if lies_aside else partial(SweepMemory.take, mark_of(entry))
        return self._counted(at_most, is_unknown, take, partial(self._storage.drop, entry))

    def _counted(
        self,
        at_most: int,
        is_unknown: Callable[[], bool],
        take: Callable[[], bool],
        act: Callable[[], None],
    ) -> Outcome:
        if reasons_to_hold():
            return Outcome.HELD
        if not is_unknown():
            return Outcome.CHANGED
        if not SweepMemory.count_removal(at_most):
            return Outcome.TOO_MANY
        if take() and _was_done(act):
            return Outcome.DONE
        # Another sweep was faster, or somebody has put another object there: nothing was removed.
        SweepMemory.uncount_removal()
        return Outcome.CHANGED

    def _move(self, entry: ListedEntry, target: str, is_unknown: Callable[[], bool]) -> None:
        self._storage.copy(entry, target)
        # The copy stays where it is in any case: another sweep may have removed the original meanwhile.
        if not is_unknown():
            raise ObjectChanged()
        self._storage.drop_unchanged(entry)
        log.info("object_moved_aside", extra={"s3_key": entry.s3_key})

    def bring_back(self, s3_key: str) -> int:
        """Put the newest version that was moved aside from `s3_key` back, unless an object is there.

        Returns how many versions lay aside; with none nothing is done. Raises `ObjectChanged` when
        there is an object under the key, and `Unavailable`.
        """
        found = sorted(self._aside_of(s3_key), key=_in_order)
        if not found:
            return 0
        if self._storage.has(s3_key):
            raise ObjectChanged()
        newest = found[-1]
        try:
            self._storage.copy(newest, s3_key)
        except ObjectNotFound as error:
            # Somebody else was faster.
            raise ObjectChanged() from error
        self._storage.drop(newest)
        log.info("object_brought_back", extra={"s3_key": s3_key})
        return len(found)

    def _aside_of(self, s3_key: str) -> list[ListedEntry]:
        return [
            entry
            for entry in self._storage.entries(object_keys.aside_prefix(s3_key))
            if entry.upload_id is None and not entry.is_marker
            if object_keys.original_key(entry.s3_key) == s3_key
        ]

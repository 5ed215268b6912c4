"""The chores as pieces: small, independent of each other, and done twice without harm.

| kind | of | what it is |
|---|---|---|
| `changed` | an account | what changed there and what falls due by time, see `account_look` |
| `account` | an account | everything of it: each row and each object in its folders |
| `folder` | a folder | a stretch of it: what lies there and is nobody's |
| `report` | a manifest and a number | the same for that file of an S3 Inventory, where there are any |
| `uploads` | a folder | unfinished uploads to keys that are nobody's |
| `aside` | | what lies aside: what has lain there long enough, or belongs to somebody by now |
| `seen` | | what is remembered as nobody's and is somebody's, or gone, by now |

An account that changed something says so itself and gets `changed`. The others are a slow pass over everybody
and over the bucket, a share of it a day, which catches what no change announces.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from panzoto import object_keys
from panzoto.errors import UnusableInventory
from panzoto.lifecycle import inventory, scopes
from panzoto.lifecycle.account_look import AccountLook, Done
from panzoto.lifecycle.sweep import Findings, Parts, Sweep, is_known
from panzoto.models import AudioFile, SweepMemory, User
from panzoto.models.attributes import now
from panzoto.models.connection import estimated_items
from panzoto.models.due import all_shards
from panzoto.removal import mark_of

CHANGED, ACCOUNT, FOLDER, REPORT = "changed", "account", "folder", "report"
UPLOADS, ASIDE, SEEN = "uploads", "aside", "seen"
KINDS = (CHANGED, ACCOUNT, FOLDER, REPORT, UPLOADS, ASIDE, SEEN)
# Who takes an account has so long; then it is due again.
TAKEN_FOR = timedelta(hours=1)
# A part of the pass that was begun so long ago was begun on an earlier day.
A_DAY = timedelta(hours=20)
# In so many days everybody has had a turn, and no day does less than that.
PASS_DAYS = 28
LEAST_ACCOUNTS = 500
LEAST_ENTRIES = 20_000
DUE_AT_ONCE = 100
FOLDERS = (*object_keys.RECORDINGS, object_keys.TRANSCRIPTS, object_keys.PLANS)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work; `of` is an account or a folder, or empty."""

    kind: str
    of: str = ""

    def to_text(self) -> str:
        return json.dumps({"kind": self.kind, "of": self.of})

    @classmethod
    def of_text(cls, text: str) -> Piece:
        """Raises `ValueError` for what `to_text` has not made."""
        match json.loads(text):
            case {"kind": str(kind), "of": str(of)} if kind in KINDS:
                return cls(kind, of)
        raise ValueError("no piece of work")


@dataclass(frozen=True, slots=True)
class Chores:
    """All that is to be done for everybody."""

    look: AccountLook
    parts: Parts
    # Where AWS puts the inventories of the bucket, `s3://bucket/prefix`; without, the bucket is listed.
    inventory: str | None = None

    def do(self, piece: Piece) -> Done:
        """Do one piece. Raises `Unavailable`; then it is to be done once more."""
        done = {
            CHANGED: lambda: self.look.look(piece.of),
            ACCOUNT: lambda: self._sweep(scopes.of_account(piece.of)),
            FOLDER: lambda: self._stretch(piece.of),
            REPORT: lambda: self._report(piece.of),
            UPLOADS: lambda: self._uploads(piece.of),
            ASIDE: lambda: self._sweep(scopes.aside()),
            SEEN: self._forget_what_is_known,
        }[piece.kind]()
        if done.counts or done.failures:
            log.info(
                "chore_done",
                extra={"kind": piece.kind, "found": done.counts.total(), "failed": done.failures.total()},
            )
        return done

    def due(self, until: datetime) -> Iterator[Piece]:
        """Take the accounts that are due, one after the other, and yield a piece for each.

        Each stays due until its piece is done; who has not done it within `TAKEN_FOR` has lost it to the
        next who asks. Raises `IndexMissing` and `Unavailable`.
        """
        for shard in all_shards():
            yield from self.due_in(shard, until)

    @staticmethod
    def due_in(shard: str, until: datetime) -> Iterator[Piece]:
        """Do as `due` does for one shard."""
        while some := User.due(shard, until, DUE_AT_ONCE):
            taken = 0
            for one in some:
                # Not before somebody asks for it: what nobody works on stays due.
                if User.take_due(one, max(until, now()) + TAKEN_FOR):
                    taken += 1
                    yield Piece(CHANGED, one.user_id)
            if not taken or len(some) < DUE_AT_ONCE:
                # The index follows a moment later: what it still shows was taken.
                return

    def share_of_today(self, *, again_if_small: bool = False) -> Iterator[list[Piece]]:
        """Yield the pieces of the pass that belong to this day, each part once a day, whoever asks.

        They come in groups. Ask for the next one when all of a group are done, or handed out: how far the
        pass came is noted then, so that whoever is killed before has left nobody out. With `again_if_small`
        all of it comes, however often, where that is no more than a day's share. Raises `UnusableInventory`,
        when all else has come, and `Unavailable`.
        """
        again = again_if_small and self._is_small()

        def begins(name: str) -> bool:
            place = SweepMemory.place(name)
            if place is not None and not again and now() - place[0] < A_DAY:
                return False
            return SweepMemory.begin_at_place(name, None if place is None else place[0])

        if begins(ACCOUNT):
            yield from self._some_accounts()
        if self.inventory is None:
            yield from ([Piece(FOLDER, one)] for one in FOLDERS if begins(f"{FOLDER} {one}"))
        yield from ([Piece(UPLOADS, one)] for one in FOLDERS if begins(f"{UPLOADS} {one}"))
        yield from ([Piece(kind)] for kind in (ASIDE, SEEN) if begins(kind))
        # Last, since one that cannot be used must not keep the others from being done.
        if self.inventory is not None and begins(REPORT):
            yield from self._some_files(self.inventory)

    @staticmethod
    def _is_small() -> bool:
        return estimated_items(User) <= LEAST_ACCOUNTS and estimated_items(AudioFile) <= LEAST_ENTRIES

    @staticmethod
    def _some_accounts() -> Iterator[list[Piece]]:
        left = max(LEAST_ACCOUNTS, estimated_items(User) // PASS_DAYS)
        place = SweepMemory.place(ACCOUNT)
        after = None if place is None else place[1]
        while left > 0:
            ids, after = User.some_ids(min(left, LEAST_ACCOUNTS), after)
            yield [Piece(ACCOUNT, user_id) for user_id in ids]
            SweepMemory.move_place(ACCOUNT, after)
            left -= len(ids)
            if after is None:
                return

    def _some_files(self, location: str) -> Iterator[list[Piece]]:
        """Yield pieces for some files of the report that the pass is at, or of the newest one."""
        storage, place = self.parts.storage, SweepMemory.place(REPORT)
        manifest: inventory.Manifest | None = None
        begun = 0
        if place is not None and place[1] is not None:
            s3_key, _, number = place[1].rpartition(" ")
            with suppress(UnusableInventory):
                manifest, begun = inventory.manifest_at(storage, location, s3_key), int(number)
        manifest = manifest or inventory.newest_manifest(storage, location)
        until = begun + -(-len(manifest.files) // PASS_DAYS)
        files = range(begun, min(until, len(manifest.files)))
        yield [Piece(REPORT, f"{manifest.s3_key} {file}") for file in files]
        SweepMemory.move_place(REPORT, f"{manifest.s3_key} {until}" if until < len(manifest.files) else None)

    def _report(self, name: str) -> Done:
        if self.inventory is None:
            return Done()
        s3_key, _, number = name.rpartition(" ")
        manifest = inventory.manifest_at(self.parts.storage, self.inventory, s3_key)
        file = manifest.files[int(number)]
        return self._sweep(scopes.of_nobody(lambda _: inventory.entries(manifest, file)))

    def _uploads(self, folder: str) -> Done:
        return self._sweep(scopes.of_nobody(lambda storage: storage.unfinished_uploads(folder)))

    def _stretch(self, folder: str) -> Done:
        name = f"{FOLDER} {folder}"
        place = SweepMemory.place(name)
        most = max(LEAST_ENTRIES, 2 * estimated_items(AudioFile) // PASS_DAYS)
        stretch = self.parts.storage.stretch(folder, None if place is None else place[1], most)
        done = self._sweep(scopes.of_nobody(lambda _: iter(stretch)))
        SweepMemory.move_place(name, stretch.reached)
        return done

    def _sweep(self, scope: scopes.Scope) -> Done:
        found = Sweep(self.parts, apply=True, scope=scope).run(_ignore)
        return _done(found)

    def _forget_what_is_known(self) -> Done:
        done = Done()
        place = SweepMemory.place(SEEN)
        keys, after = SweepMemory.some_keys(LEAST_ENTRIES, None if place is None else place[1])
        for mark, s3_key in keys:
            is_there = any(mark_of(entry) == mark for entry in self.parts.storage.entries_of(s3_key))
            if not is_there or is_known(s3_key):
                SweepMemory.forget([mark])
                done.counts["of nobody: gone, or somebody's by now"] += 1
        SweepMemory.move_place(SEEN, after)
        return done


def _ignore(_: int) -> None:
    """Nobody watches."""


def _done(found: Findings) -> Done:
    return Done(+found.counts, +found.failures)

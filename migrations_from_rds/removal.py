"""Taking back rows that this migration wrote, each with its claim, if nobody has changed it since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from migrations_from_rds.decisions import changed_attributes, is_replaceable
from migrations_from_rds.errors import Stopped
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Parcel, Sender
from migrations_from_rds.source import Snapshot
from migrations_from_rds.state import Known, State
from migrations_from_rds.survey import ROWS_AT_ONCE
from migrations_from_rds.target import model_of
from migrations_from_rds.transform import Problem
from migrations_from_rds.writing import ROUNDS, index_units
from panzoto.models import Claim
from panzoto.models.bulk import (
    MOST_ACTIONS,
    ORIGIN,
    UNITS_IN_TRANSACTION,
    Item,
    claim_name,
    delete,
    delete_entry,
    holds,
    number_of,
    read_recording,
    read_user,
    text,
    units,
)

IN_TRANSACTION = MOST_ACTIONS // 3
# An account goes before its recordings, so that no account is seen without them.
ORDER = (USERS, AUDIO_FILES)


@dataclass(slots=True)
class Removal:
    """What became of the rows that were to go."""

    removed: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)
    # Whose recordings were removed.
    owners: set[str] = field(default_factory=set)

    def add(self, other: Removal) -> None:
        self.removed += other.removed
        self.absent += other.absent
        self.left += other.left
        self.owners |= other.owners


class Remover:
    """Removes rows by the manifest."""

    def __init__(self, sender: Sender, state: State, threads: int) -> None:
        self._sender = sender
        self._tables = sender.tables
        self._state = state
        self._threads = threads
        self._migration = state.migration

    def run(
        self, table: str, chunks: Iterable[dict[str, Known]], advance: Callable[[int], None]
    ) -> Iterator[Removal]:
        """Remove `chunks` of the manifest and take them out of it, yielding what became of each."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="remover") as pool:
            for chunk in chunks:
                total = Removal()
                for part in pool.map(partial(self._remove, table), _parts(chunk)):
                    total.add(part)
                self._state.touch(total.owners)
                self._state.forget(table, total.removed + total.absent)
                self._state.add_problems(total.left)
                advance(len(chunk))
                yield total

    def _remove(self, table: str, known: dict[str, Known]) -> Removal:
        outcome = Removal()
        for _ in range(ROUNDS):
            parcels = self._look(table, known, outcome)
            refused = self._sender.send(parcels)
            gone = [row_id for row_id in (parcel.row_id for parcel in parcels) if row_id not in refused]
            outcome.removed += gone
            outcome.owners |= {owner for row_id in gone if (owner := known[row_id].owner) is not None}
            if not refused:
                return outcome
            # Somebody has changed a row between our look and our hand.
            known = {row_id: known[row_id] for row_id in refused}
        raise Stopped("The same rows are being changed by somebody else all the time; run the command again")

    def _look(self, table: str, known: dict[str, Known], outcome: Removal) -> list[Parcel]:
        """Return what deletes each row that still is as it was written; sort the others into `outcome`."""
        model = model_of(table)
        stored = self._sender.patiently(lambda: self._tables.fetch(model, known))
        ours: dict[str, Item] = {}
        for row_id, what in known.items():
            item = stored.get(row_id)
            if item is None or (what.digest is None and text(item, ORIGIN) != self._migration):
                outcome.absent.append(row_id)
            elif self._is_unchanged(item, what, table):
                ours[row_id] = item
            else:
                outcome.left.append(_left(table, row_id, item))
        claims = self._claims(table, ours)
        return [_parcel(table, row_id, item, claims.get(row_id)) for row_id, item in ours.items()]

    def _is_unchanged(self, item: Item, known: Known, table: str) -> bool:
        # The service counts on from the number that was written on an account whenever it records something.
        used = table == USERS and known.settled and number_of(item) != known.number
        return is_replaceable(item, known, self._migration) and not used

    def _claims(self, table: str, ours: dict[str, Item]) -> dict[str, Item]:
        """Return the claims that were written with these rows."""
        read = read_user if table == USERS else read_recording
        rows = {row_id: row for row_id, item in ours.items() if (row := read(item)) is not None}
        names = [claim_name(row) for row in rows.values()]
        found = self._sender.patiently(lambda: self._tables.fetch(Claim, names))
        return {
            row_id: claim
            for row_id, row in rows.items()
            if (claim := found.get(claim_name(row))) is not None
            and holds(claim, row)
            and text(claim, ORIGIN) == self._migration
        }


def gone_at_source(
    state: State, snapshot: Snapshot, table: str, advance: Callable[[int], None]
) -> Iterator[dict[str, Known]]:
    """Yield rows of the manifest that the database no longer holds: both sides are ordered by id."""
    there = (row_id for page in snapshot.ids(table, ROWS_AT_ONCE) for row_id in page)
    current = next(there, None)
    for chunk in state.manifest(table, ROWS_AT_ONCE):
        gone = {}
        for row_id, known in chunk.items():
            while current is not None and current < row_id:
                current = next(there, None)
            if current != row_id:
                gone[row_id] = known
        advance(len(chunk))
        if gone:
            yield gone


def _parcel(table: str, row_id: str, item: Item, claim: Item | None) -> Parcel:
    actions = [delete(model_of(table), item)]
    cost = units(item) * UNITS_IN_TRANSACTION + index_units(table, item)
    number, owner = number_of(item), text(item, "user_id")
    if table == AUDIO_FILES and number is not None and owner is not None:
        actions.append(delete_entry(owner, number))
        cost += UNITS_IN_TRANSACTION
    if claim is not None:
        actions.append(delete(Claim, claim))
        cost += units(claim) * UNITS_IN_TRANSACTION
    return Parcel(row_id, actions, cost)


def _parts(chunk: dict[str, Known]) -> Iterator[dict[str, Known]]:
    ids = list(chunk)
    for at in range(0, len(ids), IN_TRANSACTION):
        yield {row_id: chunk[row_id] for row_id in ids[at : at + IN_TRANSACTION]}


def _left(table: str, row_id: str, item: Item) -> Problem:
    added = changed_attributes(item)
    what = f"the service has since added {', '.join(added)}" if added else "its values were changed since"
    return Problem(table, row_id, "left_changed", what)

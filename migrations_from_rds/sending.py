"""Sending actions in transactions until each is done or its condition has failed, throttling or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from migrations_from_rds.pace import Pace
from panzoto.errors import Unavailable
from panzoto.models.bulk import (
    MOST_ACTIONS,
    Action,
    BulkTables,
    Throttled,
    Transaction,
    WriteRefused,
    place_of,
)

T = TypeVar("T")

ATTEMPTS_BEFORE_SPLIT = 3


@dataclass(frozen=True, slots=True)
class Parcel:
    """All actions about one row, done together or not at all, and the write units they cost."""

    row_id: str
    actions: Sequence[Action]
    units: int


class Sender:
    """Sends from many threads at one shared pace."""

    def __init__(self, tables: BulkTables, pace: Pace) -> None:
        self.tables = tables
        self._pace = pace

    def send(self, parcels: Sequence[Parcel]) -> set[str]:
        """Do what `parcels` say; return the row ids of those whose conditions failed.

        Raises `Stopped` and `AwsRefused`.
        """
        refused: set[str] = set()
        waiting = deque(self._part(part) for part in batches(parcels))
        while waiting:
            part = waiting.popleft()
            try:
                with self._pace.turn(sum(parcel.units for parcel in part.parcels), len(part.parcels)):
                    self.tables.write(part.transaction)
            except WriteRefused as error:
                failed, others = part.divide(error.failed)
                refused |= {parcel.row_id for parcel in failed}
                waiting.extend(self._part(other) for other in batches(others))
            except Unavailable as error:
                part.attempts += 1
                self._pace.back_off(part.attempts, error)
                waiting.extend(self._again(part, error))
        return refused

    def _part(self, parcels: Sequence[Parcel], attempts: int = 0) -> _Part:
        actions = [action for parcel in parcels for action in parcel.actions]
        return _Part(parcels, self.tables.transaction(actions), attempts)

    def _again(self, part: _Part, error: Unavailable) -> list[_Part]:
        """Return what to send in the place of `part`.

        A transaction fails when any of its items is throttled, so what was
        throttled is sent in smaller ones. After a lost reply the very same
        request must be sent, whose token makes it count once.
        """
        by_item = isinstance(error, Throttled) and error.items
        split = by_item or (isinstance(error, Throttled) and part.attempts >= ATTEMPTS_BEFORE_SPLIT)
        if not split or len(part.parcels) == 1:
            return [part]
        middle = len(part.parcels) // 2
        attempts = 0 if by_item else part.attempts
        return [self._part(half, attempts) for half in (part.parcels[:middle], part.parcels[middle:])]

    def patiently(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, trying again while DynamoDB throttles or is away. Raises `Stopped`."""
        attempt = 0
        while True:
            try:
                answer = call()
                self._pace.note_answer()
                return answer
            except Unavailable as error:
                attempt += 1
                self._pace.back_off(attempt, error)


@dataclass(slots=True)
class _Part:
    """Parcels that travel in one transaction."""

    parcels: Sequence[Parcel]
    transaction: Transaction
    attempts: int

    def divide(self, failed: Sequence[bool]) -> tuple[Sequence[Parcel], Sequence[Parcel]]:
        """Return the parcels of which an action failed, and the others."""
        flags = iter(failed)
        bad: list[Parcel] = []
        good: list[Parcel] = []
        for parcel in self.parcels:
            verdicts = [next(flags, False) for _ in parcel.actions]
            (bad if any(verdicts) else good).append(parcel)
        # An answer that names no item would make this go round for ever.
        return (bad, good) if bad else (self.parcels, [])


def batches(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Yield `parcels` in batches that fit into a transaction, none of which has two actions on one item."""
    batch: list[Parcel] = []
    actions = 0
    touched: set[tuple[str, str]] = set()
    for parcel in parcels:
        items = {place_of(action) for action in parcel.actions}
        if batch and (actions + len(parcel.actions) > MOST_ACTIONS or not touched.isdisjoint(items)):
            yield batch
            batch, actions, touched = [], 0, set()
        batch.append(parcel)
        actions += len(parcel.actions)
        touched |= items
    if batch:
        yield batch

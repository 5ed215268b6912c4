"""Lists of an account's recordings, those of the earlier service among them before they are taken up.

A recording of the earlier service has no place in the order of `recorded_at`
yet.  While an account has such, its recordings are read in both orders at once
and put together here, so a list waits for no more of them than it shows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from panzoto.models import damage
from panzoto.models.audio_file import AudioFile
from panzoto.models.change import Change
from panzoto.models.user import User
from panzoto.recordings import settling
from panzoto.recordings.ledger import present

Between = tuple[datetime | None, datetime | None]
# A recording, and where a list goes on behind it.
Placed = tuple[AudioFile, Any]

ALL: Between = (None, None)


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed, in order, with the rows as they are now; `reached` is the number of the last one.

    Of damaged recordings nothing is told: as one that is gone it would be removed where it is kept.
    """

    shown: list[Change]
    rows: dict[str, AudioFile]
    reached: int
    more: bool


def take_up_and_list_changes(user_id: str, since: int, limit: int) -> Changes:
    """Return up to `limit` changes beyond the number `since`; 0 for all.

    Of an account of the earlier service some recordings are taken up when
    nothing else is left to tell, and there is more as long as there are others.
    Raises `TokenInvalid`.
    """
    user = present(user_id)
    found = Change.after(user_id, since, limit + 1)
    settled = user.is_counted
    if not settled and len(found) < limit:
        settled = settling.take_up(user)
        found = Change.after(user_id, since, limit + 1)
    taken = found[:limit]
    rows = AudioFile.rows_with_damaged(change.file_id for change in taken)
    damaged = [row.file_id for row in rows.values() if row.damaged]
    for file_id in damaged:
        damage.tell(file_id)
    reached = int(taken[-1].number) if taken else since
    shown = [change for change in taken if change.file_id not in damaged]
    return Changes(shown, rows, reached, more=not settled or len(found) > len(taken))


def page(
    user_id: str, order: str, limit: int, start: Any, between: Between = ALL
) -> tuple[list[AudioFile], Any]:
    """Return up to `limit` recordings, newest first by `order`, and where the list goes on or None.

    Orders and `between` are those of `AudioFile.page`. Raises `TokenInvalid`.
    """
    if order != "recorded_at":
        return AudioFile.page(user_id, order, limit, start, between)
    user = present(user_id)
    if user.is_counted and not _is_in_both_orders(start):
        return AudioFile.page(user_id, order, limit, start, between)
    # One more of another moment tells that there are no others of the last one shown.
    found = list(islice(_in_both_orders(user_id, start, between, limit + 2), limit + 1))
    shown = [row for row, _ in found[:limit]]
    return shown, found[limit - 1][1] if len(found) > limit else None


def newest_recorded_first(user: User, start: Any, page_size: int) -> Iterator[Placed]:
    """Yield the recordings of an account by `recorded_at`, each with where a list goes on behind it."""
    if not user.is_counted or _is_in_both_orders(start):
        yield from _in_both_orders(user.user_id, start, ALL, page_size)
        return
    while True:
        rows, start = AudioFile.page(user.user_id, "recorded_at", page_size, start, ALL)
        yield from ((row, row.position("listed_at")) for row in rows)
        if start is None:
            return


def _is_in_both_orders(start: Any) -> bool:
    return start is not None and "until" in start


def _in_both_orders(user_id: str, start: Any, between: Between, page_size: int) -> Iterator[Placed]:
    """Yield what `recorded_at` orders and what it does not order yet, as one list.

    A place in it is a moment and an id, since a recording may come into the
    other order between two pages: those of one moment come by their ids.
    """
    first, last = between
    moment, told, after = _reached(start)
    if moment is not None:
        last = moment if last is None else min(last, moment)
    merged = _merged(user_id, page_size, (first, last))
    for of_one_moment, rows in groupby(merged, key=attrgetter("listed_by")):
        if of_one_moment != moment:
            told, after = [], ""
        until = AudioFile.listed_at.serialize(of_one_moment)
        for row in _once_by_id(rows):
            if row.file_id > after and row.file_id not in told:
                yield row, {"until": until, "told": told, "after": row.file_id}


def _once_by_id(rows: Iterable[AudioFile]) -> list[AudioFile]:
    found: dict[str, AudioFile] = {}
    for row in rows:
        found.setdefault(row.file_id, row)
    return sorted(found.values(), key=attrgetter("file_id"))


def _merged(user_id: str, page_size: int, between: Between) -> Iterator[AudioFile]:
    """Yield the rows of both orders, newest first; one that has just come into the second may come twice."""
    placed = AudioFile.newest_first(user_id, "recorded_at", page_size, between)
    uploaded = AudioFile.newest_first(user_id, "uploaded_at", page_size, between)
    # One that was just given the place of its upload may not be seen there yet.
    as_uploaded = (row for row in uploaded if row.listed_by == row.uploaded_at)
    return heapq.merge(placed, as_uploaded, key=lambda row: row.listed_by, reverse=True)


def _reached(start: Any) -> tuple[datetime | None, list[str], str]:
    """Return up to when a list was told, and of that moment which recordings were, and up to which id.

    Earlier releases told every id, and read no cursor in which none is.
    """
    if start is None:
        return None, [], ""
    if _is_in_both_orders(start):
        return AudioFile.listed_at.deserialize(start["until"]), start["told"], start.get("after", "")
    return AudioFile.listed_at.deserialize(start["listed_at"]["N"]), [start["file_id"]["S"]], ""

"""Reading many rows of which some are damaged: one that cannot be read does not hide the others.

A row that is read alone, or that decides who may do what, is read whole or not at all, and so is whatever is
counted: see `wire.ReadPlainly`. What goes through many rows reads them by one of these, so that each is met,
and none is taken for absent.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from panzoto.errors import DamagedRecord
from panzoto.models.connection import storage_failures
from panzoto.models.wire import ReadPlainly

log = logging.getLogger(__name__)
Row = TypeVar("Row", bound=ReadPlainly)


def with_damaged(found: Iterator[Row]) -> Iterator[Row]:
    """Yield every row that a query or a scan finds; of a damaged one what can be read, see `Row.damaged`.

    PynamoDB's iterator has passed a row before it reads it, and goes on behind it.
    """
    while True:
        try:
            row = next(found)
        except StopIteration:
            return
        except DamagedRecord as error:
            row = error.readable
        yield row


def whole(found: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows that are not damaged; the log names the others, and an alarm counts them."""
    for row in with_damaged(found):
        if row.damaged:
            tell(row.shown_as)
        else:
            yield row


def some(found: Iterator[Row], limit: int) -> list[Row]:
    """Return up to `limit` rows that are not damaged, as `whole`; fewer only where there are no more.

    Who says `page_size=limit` to PynamoDB, and not `limit`, pays for others only where some are damaged.
    """
    return list(itertools.islice(whole(found), limit))


def batch_with_damaged(
    keys: Sequence[str], batch: Callable[[Sequence[str]], dict[str, Row]], one: Callable[[str], Row | None]
) -> dict[str, Row]:
    """Return what `batch` does, and of damaged rows what can be read.

    PynamoDB ends a batch at a row that it cannot read: then each is asked for by `one`.
    """
    try:
        return batch(keys)
    except DamagedRecord:
        found = ((key, _with_damaged(one, key)) for key in keys)
        return {key: row for key, row in found if row is not None}


def _with_damaged(one: Callable[[str], Row | None], key: str) -> Row | None:
    try:
        return one(key)
    except DamagedRecord as error:
        readable: Row = error.readable
        return readable


def require_whole(row: Row) -> Row:
    """Return the row. Raises `DamagedRecord` for one that is damaged."""
    if row.damaged:
        raise DamagedRecord(row.shown_as)
    return row


def tell(row: str) -> None:
    """Name a damaged row in the log, and nothing of what it holds."""
    log.error("damaged_record", extra={"row": row})


def remove_all_of(model: type[ReadPlainly], user_id: str) -> None:
    """Remove every row of `model` under an account that is deleted, by its key alone: damaged ones, too."""
    with storage_failures():
        for row in model.query(user_id, consistent_read=True, attributes_to_get=model.key_names()):
            row.delete()

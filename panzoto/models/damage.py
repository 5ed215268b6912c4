"""Reading many rows of which some are damaged: one that cannot be read does not hide the others.

A row that is read alone, or that decides who may do what, is read whole or not at all, and so is whatever is
counted: see `wire.ReadPlainly`. What goes through many rows reads them by one of these, so that each is met,
and none is taken for absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from panzoto.errors import DamagedRecord
from panzoto.models.connection import storage_failures
from panzoto.models.wire import ReadPlainly

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


def remove_all_of(model: type[ReadPlainly], user_id: str) -> None:
    """Remove every row of `model` under an account that is deleted, by its key alone: damaged ones, too."""
    with storage_failures():
        for row in model.query(user_id, consistent_read=True, attributes_to_get=model.key_names()):
            row.delete()

"""What commands show: tables, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.measure import Measurement
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

UNCUT_COLUMNS = 250
# Longer than any key of S3 and all else in its line.
MOST_COLUMNS = 4096


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show how many things were done, where somebody is watching."""
    console = Console(stderr=True)
    columns = (TextColumn(what), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)


def number_of(count: int, thing: str) -> str:
    """Return how many things there are, in words: "1 session", "2 sessions"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def table_of(*headers: str, whole: Collection[str] = ()) -> Table:
    """Return a table of these columns, none of which is cut; those in `whole` stay in one line each.

    An id or a key is of use only as a whole.
    """
    columns = (Column(header, overflow="fold", no_wrap=header in whole) for header in headers)
    return Table(*columns, box=None, pad_edge=False)


def show(table: Table) -> None:
    """Print a table as wide as it is where there is no terminal that would set the width."""
    width = None if sys.stdout.isatty() else UNCUT_COLUMNS
    # What stands in brackets or between colons is somebody's key, not a wish for bold letters.
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    # A terminal breaks a line that is longer by itself, and what somebody copies out of it is whole.
    needed = Measurement.get(console, console.options.update_width(MOST_COLUMNS), table).minimum
    console.width = max(console.width, needed)
    console.print(table)

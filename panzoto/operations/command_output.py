"""What commands show: tables, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

UNCUT_COLUMNS = 250


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show how many things were done, where somebody is watching."""
    console = Console(stderr=True)
    columns = (TextColumn(what), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)


def show(table: Table) -> None:
    """Print a table as wide as it is where there is no terminal that would set the width."""
    width = None if sys.stdout.isatty() else UNCUT_COLUMNS
    # What stands in brackets or between colons is somebody's key, not a wish for bold letters.
    Console(width=width, markup=False, emoji=False, highlight=False).print(table)

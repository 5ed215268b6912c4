"""What an operator sees while a run is under way: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 5.0


class _Console(Console):
    """A console whose reader may go away, as `| head` does: the run goes on, and its reports are files."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Display:
    """Results go to standard output, the state of things to standard error."""

    def __init__(self) -> None:
        self.out = _Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        self.err = _Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def say(self, line: str) -> None:
        """Print a line of the result."""
        self.out.print(line)

    def tell(self, line: str) -> None:
        """Print a line about the state of things."""
        self.err.print(line)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a table of the result; all columns but the first are numbers."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.out.print(table)

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show how far `label` is while the block runs; gives what to call with each number of rows done."""
        if self.err.is_terminal:
            with self._bar() as progress:
                task = progress.add_task(label, total=total)
                yield lambda rows: progress.advance(task, rows)
        else:
            lines = _Lines(self, label, total)
            yield lines.advance
            lines.end()

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self.err,
        )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "", style="progress.data.speed")


class _Lines:
    """A line every few seconds, with rate and time left."""

    def __init__(self, display: Display, label: str, total: int | None) -> None:
        self._display, self._label, self._total = display, label, total
        self._done = 0
        self._began = self._told = time.monotonic()

    def advance(self, rows: int) -> None:
        self._done += rows
        now = time.monotonic()
        if now - self._told >= PLAIN_SECONDS:
            self._told = now
            self._tell(now)

    def end(self) -> None:
        self._tell(time.monotonic(), ended=True)

    def _tell(self, now: float, *, ended: bool = False) -> None:
        seconds = max(now - self._began, 0.001)
        rate = self._done / seconds
        of = f" of {self._total}" if self._total is not None else ""
        line = f"{self._label}: {self._done}{of} rows, {rate:,.0f} rows/s"
        if ended:
            line += f", done in {seconds:.1f} s"
        elif self._total is not None and rate > 0:
            line += f", {max(self._total - self._done, 0) / rate:.0f} s left"
        self._display.tell(line)

"""Going through whole tables with several threads, resumably, as fast as DynamoDB lets us.

A table is read in segments (DynamoDB's parallel scan), many more than there are
threads, so that those are busy to the end. Each segment has its place in a
checkpoint, which moves on together with what was counted. What is handled may
be handled again after a kill, so handling must be safe to repeat.
"""

from __future__ import annotations

import queue
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from panzoto.models.bulk import BulkTables, Item, ScanPage
from panzoto.operations.back_pressure import AGAIN, BackPressure, Stopped
from panzoto.operations.checkpoint import Also, Checkpoint

SEGMENTS = 64
# A table of no more rows is one segment: to ask all segments would cost more than it brings.
SMALL = 100
ROWS_PER_PAGE = 1000
# How often is told how far a run is.
TICK_SECONDS = 0.25
ROWS = "rows"


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of some rows: counts by name, and what is written together with the checkpoint."""

    counts: Mapping[str, int] = field(default_factory=dict)
    also: Also | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One way through a table: what is read, and what is done with it.

    `handle` gets at most `rows_at_once` rows at a time, from several threads.
    `wanted` are parameters of Scan, such as a filter; a `Limit` is ours. With a filter, `drops_out` is the
    count of those that it leaves out once they are handled: nobody can tell behind which of the others a row
    lies that it has left out, so a page that was cut short is read again from its beginning.
    """

    name: str
    label: str
    table: str
    handle: Callable[[list[Item]], Handled]
    wanted: Mapping[str, Any] = field(default_factory=dict)
    rows_at_once: int = 100
    # About how many rows there are, where DynamoDB does not know yet.
    about: int = 0
    drops_out: str = ""


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far a stage is: rows done in this run and in those before it, and of how many, about."""

    label: str
    done: int
    before: int
    of: int
    throttled: int
    allowed: int


@dataclass(frozen=True, slots=True)
class Run:
    """How a command goes through tables: with how many threads, at whose pace, and who hears of it.

    `watch` is called now and then with how far it is, `report` with a line for each thing that somebody
    should know, from any thread.
    """

    at_once: int
    pressure: BackPressure
    watch: Callable[[HowFar], None]
    report: Callable[[str], None]


class ParallelScan:
    """Goes through stages; what a killed or stopped run has done is not done again."""

    def __init__(self, run: Run, tables: BulkTables, checkpoint: Checkpoint) -> None:
        self._tables = tables
        self._checkpoint = checkpoint
        self._pressure = run.pressure
        self._at_once = run.at_once
        self._watch = run.watch

    def through(self, stage: Stage) -> Counter[str]:
        """Go through a stage and return what was counted in it, by earlier runs as well.

        Raises `AwsRefused`, `TableMissing`, `Unavailable`, `Stopped`, and what handling raises.
        """
        described = self._pressure.patiently(lambda: self._tables.described(stage.table))
        if not self._checkpoint.segments(stage.name):
            self._checkpoint.begin(stage.name, self._divided(stage))
        work = _Work(self._tables, self._checkpoint, self._pressure, stage, described.keys)
        with self._tables.telling_throttling(self._pressure.note_throttled):
            self._wait_for(work, described.items or stage.about)
        return self._checkpoint.counts(stage.name)

    def _divided(self, stage: Stage) -> int:
        """Return into how many segments the table is divided."""
        few = self._pressure.patiently(lambda: self._tables.page(stage.table, 0, 1, None, Limit=SMALL))
        return 1 if few.last is None else SEGMENTS

    def _wait_for(self, work: _Work, items: int) -> None:
        before = self._checkpoint.counts(work.stage.name)[ROWS]
        threads = [threading.Thread(target=work.run, daemon=True) for _ in range(self._at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(TICK_SECONDS)
                self._watch(self._how_far(work, before, items))
        self._watch(self._how_far(work, before, items))
        if work.failure is not None:
            raise work.failure
        if self._checkpoint.left(work.stage.name):
            raise Stopped(f"Stopped; what is done is kept: {AGAIN}")

    def _how_far(self, work: _Work, before: int, items: int) -> HowFar:
        pressure = self._pressure
        return HowFar(
            work.stage.label, before + work.done, before, items, pressure.throttled, pressure.allowed
        )


@dataclass
class _Work:
    """What the threads of one stage share; `keys` are the attributes of the table's key."""

    tables: BulkTables
    checkpoint: Checkpoint
    pressure: BackPressure
    stage: Stage
    keys: tuple[str, ...]
    done: int = 0
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._segments = self.checkpoint.segments(self.stage.name)
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        left = self.checkpoint.left(self.stage.name)
        # Two machines that are at it would otherwise do the same at the same time.
        random.shuffle(left)
        for segment in left:
            self._waiting.put(segment)

    def run(self) -> None:
        """Take segment after segment until none is left or the run is to end."""
        try:
            while not self.pressure.is_stopped:
                self._go_through(self._waiting.get_nowait())
        except (queue.Empty, Stopped):
            return
        except BaseException as error:  # noqa: BLE001 - whoever waits for the threads raises it
            with self._lock:
                self.failure = self.failure or error
            self.pressure.stop()

    def _go_through(self, segment: int) -> None:
        after = self.checkpoint.place(self.stage.name, segment)
        while True:
            page = self._page(segment, after)
            if self.stage.drops_out:
                self._handle_whole(segment, page)
            else:
                self._handle(segment, page)
            after = page.last
            if after is None:
                return

    def _page(self, segment: int, after: Item | None) -> ScanPage:
        wanted = {"Limit": ROWS_PER_PAGE, **self.stage.wanted}
        return self.pressure.patiently(
            lambda: self.tables.page(self.stage.table, segment, self._segments, after, **wanted)
        )

    def _handle(self, segment: int, page: ScanPage) -> None:
        """Handle a page part by part; the checkpoint moves on behind each."""
        unseen = page.seen
        parts = _parts(page.items, self.stage.rows_at_once)
        for part in parts[:-1]:
            self._done(segment, self._key_of(part[-1]), len(part), self.stage.handle(part))
            unseen -= len(part)
        handled = self.stage.handle(parts[-1]) if parts[-1] else Handled()
        self._done(segment, page.last, unseen, handled)

    def _handle_whole(self, segment: int, page: ScanPage) -> None:
        """Handle a page part by part; the checkpoint counts what drops out, and moves on at its end."""
        counts = Counter({ROWS: page.seen})
        for part in _parts(page.items, self.stage.rows_at_once):
            handled = Counter(self.stage.handle(part).counts) if part else Counter()
            dropped = handled.pop(self.stage.drops_out, 0)
            self.checkpoint.count(self.stage.name, {self.stage.drops_out: dropped})
            counts += handled
            self._note_done(len(part))
        self.checkpoint.advance(self.stage.name, segment, page.last, counts)
        self._note_done(page.seen - len(page.items))

    def _done(self, segment: int, after: Item | None, rows: int, handled: Handled) -> None:
        counts = Counter(handled.counts)
        counts[ROWS] += rows
        self.checkpoint.advance(self.stage.name, segment, after, counts, handled.also)
        self._note_done(rows)

    def _note_done(self, rows: int) -> None:
        with self._lock:
            self.done += rows

    def _key_of(self, row: Item) -> Item:
        return {name: row[name] for name in self.keys}


def _parts(rows: list[Item], size: int) -> list[list[Item]]:
    """Return `rows` in parts of at most `size`; there is always a last one, which may be empty."""
    return [rows[start : start + size] for start in range(0, len(rows), size)] or [[]]

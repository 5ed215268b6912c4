"""What commands that go through whole tables share: their option, what is left, and how they are stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from panzoto.config import Settings
from panzoto.models import bind_models
from panzoto.operations.back_pressure import BackPressure
from panzoto.operations.parallel_scan import HowFar, Run

# Where nobody is watching a terminal, a log gets a line this often.
LINE_SECONDS = 30.0
# Before that a rate means nothing.
SECONDS_FOR_A_RATE = 2.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MINUTE, HOUR = 60, 3600

AT_ONCE = click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many threads work at a time; fewer do while DynamoDB throttles.",
)


@contextmanager
def going_through(
    settings: Settings, at_once: int, report: Callable[[str], None] = click.echo
) -> Iterator[Run]:
    """Give what a run needs; Ctrl-C and SIGTERM end it in order, and a second one at once.

    Ends with `SystemExit`, 128 and the signal's number, when it was stopped.
    """
    if at_once > settings.threads:
        bind_models(replace(settings, threads=at_once))
    pressure = BackPressure(at_once)
    with _watched() as watch, _stopped_by_signals(pressure) as told:
        try:
            yield Run(at_once, pressure, watch.show, report)
        except Exception as error:
            if not told or not pressure.is_stopped:
                raise
            click.echo(getattr(error, "sentence", "Stopped"), err=True)
            raise SystemExit(128 + told[0]) from error


@contextmanager
def _stopped_by_signals(pressure: BackPressure) -> Iterator[list[int]]:
    """Give the list of signals that came."""
    told: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        told.append(number)
        pressure.stop()
        # Whoever insists gets their way: killed anywhere, it goes on from the checkpoint.
        signal.signal(number, signal.SIG_DFL)

    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watched() -> Iterator[Watched]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Watched(lambda line, _: click.echo(line, err=True), LINE_SECONDS)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(24), console=console) as progress:
        task = progress.add_task("", total=None)
        yield Watched(_bar(progress, task), 0)


def _bar(progress: Progress, task: TaskID) -> Callable[[str, HowFar], None]:
    def show(line: str, far: HowFar) -> None:
        progress.update(task, description=line, completed=far.done, total=max(far.of, far.done) or None)

    return show


class Watched:
    """Tells how far a run is, at most once in so many seconds."""

    def __init__(self, tell: Callable[[str, HowFar], None], apart_seconds: float) -> None:
        self._tell = tell
        self._apart_seconds = apart_seconds
        self._label = ""
        self._began = self._told = 0.0

    def show(self, far: HowFar) -> None:
        """Tell it if it is time."""
        now = time.monotonic()
        if far.label != self._label:
            self._label = far.label
            self._began = self._told = now
        if now - self._told >= self._apart_seconds:
            self._told = now
            self._tell(line_of(far, now - self._began), far)


def line_of(far: HowFar, seconds: float) -> str:
    """Return how far a run is after so many seconds, for a person."""
    parts = [
        f"{far.label}: {far.done:,} of about {far.of:,} rows" if far.of else f"{far.label}: {far.done:,} rows"
    ]
    rate = (far.done - far.before) / seconds if seconds >= SECONDS_FOR_A_RATE else 0
    if rate:
        parts.append(f"{rate:,.0f} a second" if rate >= 1 else f"{rate * MINUTE:,.1f} a minute")
        if far.of > far.done:
            parts.append(f"about {_duration((far.of - far.done) / rate)} left")
    if far.throttled:
        parts.append(f"throttled {far.throttled:,} times, {far.allowed} at a time")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds / MINUTE) * MINUTE, HOUR)
    return f"{hours} h {rest // MINUTE} min" if hours else f"{rest // MINUTE} min"

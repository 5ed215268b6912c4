"""What operators do with whole tables, with one thread and with eight, each call answered 30 ms late.

    python -m bench.operators
    python -m bench.operators --accounts 4000 --recordings-of-each 5 --threads 16

`resources optimize` and `recordings recount` and their second runs, and `backup verify`. A row is an account
or a recording; the hours are those of 18 million of them at the same rate.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.support.earlier_tables import FILES, USERS, running_tables
from bench.support.report import Target, print_table, print_targets
from panzoto.config import Settings
from panzoto.models import bind_models
from panzoto.operations.back_pressure import BackPressure
from panzoto.operations.backup import Backup
from panzoto.operations.backup_verification import BackupVerification
from panzoto.operations.missing_claims import MissingClaims
from panzoto.operations.parallel_scan import Run
from panzoto.operations.recounting import Recounting
from tests.support.aws import aws_environment

LATE_SECONDS = 0.03
TIMES_FASTER = 5
HELD = ("optimize", "recount", "backup verify")
MANY_ROWS = 18_000_000
HOUR = 3600


@dataclass(frozen=True)
class Measured:
    """How long one command took over how many rows, and what it asked."""

    rows: int
    seconds: float
    processor_seconds: float
    calls: Counter[str]

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


class Side:
    """Tables of their own, and so many threads that go through them."""

    def __init__(self, url: str, folder: Path, threads: int, rows: int) -> None:
        self._url, self._folder, self._threads, self._rows = url, folder, threads, rows

    def take(self, command: Callable[[Run, Path], object]) -> Measured:
        """Run a command as an operator does."""
        os.environ.update(aws_environment(self._url))
        settings = Settings.from_environment({"PANZOTO_DATA_DIR": str(self._folder)})
        bind_models(replace(settings, threads=max(self._threads, 8)))
        asked(self._url)
        began, used = time.perf_counter(), time.process_time()
        command(Run(self._threads, BackPressure(self._threads), silent, silent), self._folder)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        return Measured(self._rows, seconds, used, asked(self._url))


def verify_backups(run: Run, folder: Path) -> None:
    """Verify the backups of the two tables, whose copies are there at once."""
    backup = Backup("us-east-1", silent)
    BackupVerification(run, backup, folder, 0).verify([USERS, FILES])


COMMANDS: dict[str, Callable[[Run, Path], object]] = {
    "optimize": lambda run, folder: MissingClaims(run).write(folder),
    "optimize, second run": lambda run, folder: MissingClaims(run).write(folder),
    "recount": lambda run, folder: Recounting(run).recount(folder),
    "backup verify": verify_backups,
}


def measure(options: argparse.Namespace) -> Iterator[tuple[str, Measured, Measured]]:
    """Yield each command with what it took with one thread and, right after, with many."""
    rows = options.accounts * (1 + options.recordings_of_each)
    tables = partial(running_tables, options.accounts, options.recordings_of_each, options.late)
    with tables() as one, tables() as many, TemporaryDirectory() as folder:
        slow = Side(one, Path(folder, "one"), 1, rows)
        fast = Side(many, Path(folder, "many"), options.threads, rows)
        for name, command in COMMANDS.items():
            pair = slow.take(command), fast.take(command)
            print(f"  {name}: {pair[0].seconds:.1f} s and {pair[1].seconds:.1f} s", flush=True)
            yield name, *pair


def silent(_: object) -> None:
    """Tell nobody."""


def asked(url: str) -> Counter[str]:
    """Return what was asked since the last time, by operation."""
    request = urllib.request.Request(url, b"{}", {"X-Amz-Target": "Stub.Counts"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return Counter(json.load(answer))


def main() -> None:
    options = _arguments()
    logging.basicConfig(level=logging.ERROR)
    samples: dict[str, list[tuple[Measured, Measured]]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds):
        for name, slow, fast in measure(options):
            samples[name].append((slow, fast))
    times = {name: median(fast.rate / slow.rate for slow, fast in pairs) for name, pairs in samples.items()}
    print_table(
        f"Rows a second, {options.late * 1000:.0f} ms late, {options.recordings_of_each} recordings each",
        (
            "command",
            "1 at once",
            f"{options.threads} at once",
            "times",
            "calls a row",
            "ms of processor a call",
            "hours of 18 million, 1",
            f"and {options.threads}",
        ),
        [_line(name, pairs, times[name]) for name, pairs in samples.items()],
    )
    targets = [Target(name, times[name], TIMES_FASTER, at_most=False) for name in HELD]
    raise SystemExit(0 if print_targets(targets) else 1)


def _line(name: str, pairs: list[tuple[Measured, Measured]], times: float) -> tuple[str, ...]:
    rates = [median(pair[side].rate for pair in pairs) for side in (0, 1)]
    _, fast = pairs[-1]
    calls = sum(fast.calls.values())
    processor = median(many.processor_seconds for _, many in pairs) / calls
    return (
        name,
        *(f"{rate:,.0f}" for rate in rates),
        f"{times:.1f}",
        f"{calls / fast.rows:.3f}",
        f"{processor * 1000:.2f}",
        *(f"{MANY_ROWS / rate / HOUR:.1f}" for rate in rates),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recordings-of-each", type=int, default=6)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--late", type=float, default=LATE_SECONDS, metavar="SECONDS")
    return parser.parse_args()


if __name__ == "__main__":
    main()

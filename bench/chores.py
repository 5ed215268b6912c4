"""A day's chores among ten million rows and objects, and the slow pass over everybody apart from them.

    .venv/bin/python -m bench.chores day
    .venv/bin/python -m bench.chores kills --kills 200

The commands are the real ones; see the README for what they run against.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.support.process import cpu_seconds, peak_mib
from bench.support.report import Target, print_table, print_targets
from bench.support.service import ROOT, environment
from bench.support.synthetic_aws import SyntheticAws, synthetic_aws
from bench.support.synthetic_people import TODAY
from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.chore_states import SETTINGS
from tests.support.forked_commands import end_forked
from tests.support.killed_chores import AFTER, BEFORE, live_under_kills
from tests.support.server_process import end
from tests.support.service import run_service
from tests.support.waiting import eventually

SMALL, LARGE = 1_000_000, 10_000_000
CHANGES = 50_000
LATENCY_SECONDS = 0.03
LONGEST_SECONDS = 3600


@dataclass(frozen=True)
class Day:
    """What one day came to: from the first call to the last account, and the most memory of a process.

    The processor's seconds are those of all processes, their start included.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    counts: dict[str, int]
    differences: dict[str, int] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """All calls but those by which workers ask for messages, which they do as long as they run."""
        return sum(count for kind, count in self.counts.items() if kind != "SQS ReceiveMessage")


def main() -> None:
    arguments = _arguments()
    if arguments.what == "kills":
        targets = _kills(arguments.kills, arguments.seed)
    else:
        with synthetic_aws() as aws:
            targets = _days(aws, arguments)
    sys.exit(0 if print_targets(targets) else 1)


def _kills(kills: int, seed: int) -> list[Target]:
    """Kill workers while they do the chores of accounts in every state, and look at what came of it."""
    began = time.monotonic()
    with start_moto(object_age_days=2) as aws, run_service(aws, **UNLIMITED, **SETTINGS) as service:
        lives = live_under_kills(service, kills, seed)
    end_forked()
    rows = [
        (kind, str(count), *(str(lives.kills[kind, moment]) for moment in (BEFORE, AFTER)))
        for kind, count in sorted(lives.seen.items())
    ]
    print_table("Calls of the workers", ("kind", "calls", "killed before", "killed after"), rows)
    print(f"\n{lives.accounts} accounts, {len(lives.handed_out)} different pieces handed out")
    print(f"{time.monotonic() - began:.0f} s", *lives.wrong, sep="\n")
    return [
        Target("kills", lives.kills.total(), kills, at_most=False),
        Target("kinds of calls at which nobody was killed", len(lives.never_killed_at), 0),
        Target("pieces handed out and never done", len(lives.never_done), 0),
        Target("things otherwise than they have to be", len(lives.wrong), 0),
    ]


def _days(aws: SyntheticAws, arguments: argparse.Namespace) -> list[Target]:
    changed, latency = arguments.changes // TODAY, arguments.latency
    days: dict[str, Day] = {}

    def measured(name: str, day: Day) -> Day:
        figures = f"{day.seconds:.1f} s, {day.cpu_seconds:.1f} s of processor, {day.peak_mib:.0f} MiB"
        print(f"{name}: {figures}, {day.calls} calls", flush=True)
        wrong = {what: count for what, count in day.differences.items() if count}
        if wrong:
            print(f"  WRONG: {wrong}", flush=True)
        days[name] = day
        return day

    small, large = arguments.small, arguments.large
    at_small = measured(f"run, {small} rows", _run(aws, small, changed))
    at_large = measured(f"run, {large} rows", _run(aws, large, changed))
    many = {large: measured(f"4 workers, {large} rows", _work(aws, large, changed, latency, 4))}
    one = measured(f"1 worker, {large} rows", _work(aws, large, changed, latency, 1))
    many[small] = measured(f"4 workers, {small} rows", _work(aws, small, changed, latency, 4))
    for rows in (small, large) if arguments.with_pass else ():
        measured(f"the pass, {rows} rows", _pass(aws, rows))
    _print(days)
    return [
        Target("seconds of a run, large / small", at_large.seconds / at_small.seconds, 1.2),
        Target("processor seconds of a run, large / small", at_large.cpu_seconds / at_small.cpu_seconds, 1.2),
        Target("memory of a run, large / small", at_large.peak_mib / at_small.peak_mib, 1.2),
        Target("calls of a run, large / small", at_large.calls / at_small.calls, 1.2),
        Target("seconds of 4 workers, large / small", many[large].seconds / many[small].seconds, 1.2),
        Target("memory of 4 workers, large / small", many[large].peak_mib / many[small].peak_mib, 1.2),
        Target("1 worker's seconds / 4 workers'", one.seconds / many[large].seconds, 3, at_most=False),
        Target(
            "things otherwise than they have to be",
            sum(count for day in days.values() for count in day.differences.values()),
            0,
        ),
    ]


def _print(days: dict[str, Day]) -> None:
    figures = [
        (name, f"{day.seconds:.1f}", f"{day.cpu_seconds:.1f}", f"{day.peak_mib:.0f}", str(day.calls))
        for name, day in days.items()
    ]
    print_table("Days", ("", "seconds", "processor s", "peak MiB", "calls"), figures)
    kinds = sorted({kind for day in days.values() for kind in day.counts})
    rows = [(kind, *(str(day.counts.get(kind, 0)) for day in days.values())) for kind in kinds]
    print_table("Calls by kind", ("", *days), rows)


def _run(aws: SyntheticAws, rows: int, changed: int) -> Day:
    """Let `chores run` do the day, with no latency, all in one process."""
    aws.reset(rows, changed)
    return _command(aws, "finished")


def _pass(aws: SyntheticAws, rows: int) -> Day:
    """Let `chores run` do the share of the pass over everybody of a day on which nothing changed."""
    aws.reset(rows, 0, passed=False)
    return _command(aws, "passed")


def _command(aws: SyntheticAws, name: str) -> Day:
    with _started(aws, "run") as process:
        began = time.monotonic()
        peak = used = 0.0
        # Nobody has waited for it yet, so its figures are there until then.
        while peak_mib(process.pid) and time.monotonic() - began < LONGEST_SECONDS:
            peak, used = max(peak, peak_mib(process.pid)), cpu_seconds(process.pid)
            time.sleep(0.05)
        seconds = time.monotonic() - began
        if process.wait() != 0:
            raise RuntimeError(f"chores run ended with {process.returncode}")
    standing = aws.standing()
    wrong = aws.differences() if name == "finished" else {}
    seconds = seconds if name == "passed" else standing["seconds"]
    return Day(seconds, used, peak, standing["counts"], wrong)


def _work(aws: SyntheticAws, rows: int, changed: int, latency: float, workers: int) -> Day:
    """Let so many workers do the day, each call answered after so many seconds."""
    aws.reset(rows, changed, latency)
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="panzoto-bench-"):
        managers = [_started(aws, "work") for _ in range(workers)]
        try:
            processes = [manager.__enter__() for manager in managers]
            eventually(lambda: not aws.standing()["left"], aws.standing, LONGEST_SECONDS)
            eventually(lambda: aws.standing()["empty"], aws.standing)
            standing = aws.standing()
            peak = max(peak_mib(process.pid) for process in processes)
            used = sum(cpu_seconds(process.pid) for process in processes)
        finally:
            for manager in managers[: len(processes)]:
                manager.__exit__(None, None, None)
    return Day(standing["seconds"], used, peak, standing["counts"], aws.differences())


@contextmanager
def _started(aws: SyntheticAws, verb: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `flask panzoto chores` as operators do; it ends with the block, if not before."""
    with tempfile.TemporaryDirectory(prefix="panzoto-bench-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        (folder / "data").mkdir()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flask", "panzoto", "chores", verb],
                cwd=ROOT,
                env=environment(aws.url, folder),
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            end(process, 30)
            if process.returncode not in (0, -15):
                print((folder / "log").read_text(errors="replace")[-3000:])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.chores",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("day", "kills"))
    parser.add_argument("--kills", type=int, default=200, help="how many (kills)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of things (kills)")
    parser.add_argument("--small", type=int, default=SMALL, help="rows of the small table")
    parser.add_argument("--large", type=int, default=LARGE, help="rows of the large table")
    parser.add_argument("--changes", type=int, default=CHANGES, help="changes of the day")
    parser.add_argument("--latency", type=float, default=LATENCY_SECONDS, help="seconds of each call")
    parser.add_argument("--with-pass", action="store_true", help="measure a day's share of the pass too")
    return parser.parse_args()


if __name__ == "__main__":
    main()

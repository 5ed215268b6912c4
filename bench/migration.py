"""The move from the legacy database: rows a second, memory, throttling, and killed twenty times.

    python -m bench.migration rate
    python -m bench.migration memory --small 10000 --large 1000000
    python -m bench.migration throttled
    python -m bench.migration trial --users 100000 --files 300000 --kills 20

Each runs the real command on a real PostgreSQL.  `rate` and `memory` write into the stub that keeps
nothing; `throttled` and `trial` into the tests' fake, which keeps everything and evaluates conditions.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TypeVar

import boto3

from bench.support import migration_trial
from bench.support.dynamodb_stub import running_stub
from bench.support.migration_command import Command, legacy_database
from bench.support.process import cpu_seconds
from bench.support.report import Target, print_table, print_targets
from bench.support.stand_in import default_kind
from tests.support.dynamodb_fake import running_fake
from tests.support.legacy import Legacy

T = TypeVar("T")

BASELINE_ROWS = 1000
TIMES_FASTER = 8
MOST_GROWTH_MIB = 64
# A request that finds the stub busy waits for it; below this share of a core it hardly ever does.
MOST_BUSY = 0.5
SHARE_THROTTLED = 0.5
# Of a twentieth of the other writes the reply is lost.
SHARE_LOST = 0.05
SHARE_UNPROCESSED = 0.1


def rate(options: argparse.Namespace) -> bool:
    """Copying against one put per row through boto3's resource, in one run against the same stub."""
    legacy = Legacy(options.users, options.files, untidy=False)
    rows = legacy.users + legacy.files
    samples: list[tuple[float, float]] = []
    busy: list[tuple[float, float]] = []
    with legacy_database(legacy) as database, running_stub() as url:
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                command = Command(url, database, Path(folder))
                before, put_busy = _watching_the_stub(partial(put_one_by_one, url, legacy))
                # Reading the database, the start and the end of the process count too.
                ran, copy_busy = _watching_the_stub(partial(command.must, "copy"))
                after = put_one_by_one(url, legacy)
            samples.append((statistics.mean((before, after)), rows / ran.seconds))
            busy.append((put_busy, copy_busy))
    print_table(
        "Rows a second; in brackets how busy the stub was, of one core",
        ("round", "one put per row", "copy", "times"),
        [
            (str(number), f"{one:.0f} ({idle:.0%})", f"{many:.0f} ({loaded:.0%})", f"{many / one:.1f}")
            for number, ((one, many), (idle, loaded)) in enumerate(zip(samples, busy, strict=True), 1)
        ],
    )
    times = statistics.median(many / one for one, many in samples)
    most_busy = statistics.median(max(pair) for pair in busy)
    return print_targets(
        [
            Target("copy / one put per row", times, TIMES_FASTER, at_most=False),
            Target("the stub's share of a core", most_busy, MOST_BUSY),
        ]
    )


def put_one_by_one(url: str, legacy: Legacy) -> float:
    """Rows a second of one put for each row through boto3's resource."""
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    table = resource.Table("panzoto-audio-files")
    rows = [legacy.file_row(number) for number in range(BASELINE_ROWS)]
    began = time.perf_counter()
    for row in rows:
        table.put_item(
            Item={
                "file_id": row[0],
                "user_id": row[1],
                "s3_key": row[2],
                "file_size": row[3],
                "uploaded_at": Decimal(str(row[4].timestamp())),
                "uploaded_at_iso": row[4].isoformat(),
            }
        )
    return len(rows) / (time.perf_counter() - began)


def _watching_the_stub(act: Callable[[], T]) -> tuple[T, float]:
    """Return what `act` returns and the share of a core that the stub used meanwhile."""
    (stub,) = multiprocessing.active_children()
    began, before = time.perf_counter(), cpu_seconds(stub.pid or 0)
    outcome = act()
    return outcome, (cpu_seconds(stub.pid or 0) - before) / (time.perf_counter() - began)


def memory(options: argparse.Namespace) -> bool:
    """The largest memory of a plan and a copy of few rows and of many."""
    peaks: dict[int, dict[str, float]] = {}
    for rows in (options.small, options.large):
        legacy = Legacy(rows // 4, rows - rows // 4)
        with (
            legacy_database(legacy) as database,
            tempfile.TemporaryDirectory() as folder,
            running_stub() as url,
        ):
            command = Command(url, database, Path(folder))
            peaks[rows] = {
                name: command.must(name, "--on-collision=oldest").peak_mib for name in ("plan", "copy")
            }
    small, large = peaks[options.small], peaks[options.large]
    print_table(
        "Largest resident memory in MiB",
        ("command", f"{options.small} rows", f"{options.large} rows"),
        [(name, f"{small[name]:.0f}", f"{large[name]:.0f}") for name in small],
    )
    return print_targets(
        [
            Target(f"growth of {name}", large[name] - small[name], MOST_GROWTH_MIB, unit=" MiB")
            for name in small
        ]
    )


def throttled(options: argparse.Namespace) -> bool:
    """Half of all writes throttled, some replies lost: nothing lost, nothing doubled, and it ends."""
    legacy = Legacy(options.users, options.files)
    with legacy_database(legacy) as database, running_fake() as fake:
        fake.reset(throttled=SHARE_THROTTLED, lost=SHARE_LOST, unprocessed=SHARE_UNPROCESSED)
        with tempfile.TemporaryDirectory() as folder:
            command = Command(fake.url, database, Path(folder))
            command.must("copy", "--on-collision=oldest")
            copied, counts = command.report(), fake.counts()
            command.must("verify")
            differences = command.report()["differences"]
    taken = sum(table["written"] + table["unchanged"] for table in copied["tables"].values())
    without_claim = sum(entry["rows"] for entry in copied["problems"] if entry["code"] == "s3_key_duplicate")
    print_table(
        "Counted by the fake", ("what", "how often"), [(k, str(v)) for k, v in sorted(counts.items())]
    )
    # A row and its claim are two items; a recording that shares its key has no claim of its own.
    wanted = 2 * taken - without_claim
    share = counts["throttled"] / counts["TransactWriteItems"]
    return print_targets(
        [
            Target("share of writes throttled", share, SHARE_THROTTLED - 0.1, at_most=False),
            Target("replies lost", counts["lost"], 1, at_most=False),
            Target("items written too often", counts["writes"] - wanted, 0),
            Target("items not written", wanted - counts["writes"], 0),
            Target("differences found by verify", differences, 0),
        ]
    )


def trial(options: argparse.Namespace) -> bool:
    """Killed at random points and resumed; verified; copied again; and signed in to."""
    legacy = Legacy(options.users, options.files)
    return migration_trial.run(migration_trial.Trial(legacy, options.kills, options.seed), options.stand_in)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    for act, users, files in ((rate, 25_000, 75_000), (throttled, 5_000, 15_000), (trial, 10_000, 30_000)):
        command = commands.add_parser(act.__name__, help=act.__doc__)
        command.set_defaults(act=act)
        command.add_argument("--users", type=int, default=users)
        command.add_argument("--files", type=int, default=files)
        if act is rate:
            command.add_argument("--rounds", type=int, default=3)
        if act is trial:
            command.add_argument(
                "--stand-in", default=default_kind(), help="for the service: ministack, moto or a URL"
            )
            command.add_argument("--kills", type=int, default=20)
            command.add_argument("--seed", type=int, default=7)
    command = commands.add_parser("memory", help=memory.__doc__)
    command.set_defaults(act=memory)
    command.add_argument("--small", type=int, default=10_000)
    command.add_argument("--large", type=int, default=200_000)
    return parser.parse_args(arguments)


def main() -> None:
    warnings.simplefilter("ignore", ResourceWarning)
    options = _options(None)
    sys.exit(0 if options.act(options) else 1)


if __name__ == "__main__":
    main()

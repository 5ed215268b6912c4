"""A day of many people against a stub that counts: units, requests, hottest key, first limit, bill.

.venv/bin/python -m bench.size                  # 10^4 and 10^6 people
.venv/bin/python -m bench.size --real 1000      # every action really done, compared with the replay
.venv/bin/python -m bench.size --record         # what each action asks of AWS, recorded anew
.venv/bin/python -m bench.size --tables         # the tables of docs/costs.md, written into it
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from bench.support import profiles
from bench.support.day import Day, Mix
from bench.support.limits import first_reached, limits
from bench.support.profiles import CHORE, PASS
from bench.support.replay import Replay
from bench.support.report import Target, print_table, print_targets
from bench.support.sizing import Sizing
from bench.support.tables import MARKS, tables
from panzoto.operations.cost import prices

PEOPLE = (10_000, 1_000_000)
DAYS = 30.4
KEY_WRITES, KEY_READS = 1_000, 3_000
AGREES = 0.05
PAGE = Path(__file__).resolve().parents[1] / "docs" / "costs.md"


def simulate(people: int, seed: int) -> list[Target]:
    """Go through a day of so many people, and print what it brings."""
    began = time.perf_counter()
    sizing = Sizing.of(Day(people, Mix(), seed), profiles.read())
    replay = sizing.replay
    print(f"\n== {people:,} people, seed {seed}: {Mix().described()} a day each ==")
    print_parts(replay)
    for what in ("writes", "reads"):
        hottest = replay.hottest(what)[:6]
        print_table(
            f"Hottest keys, {what}", ("table, whose key", "units/s"), [_split(one) for one in hottest]
        )
        peaks = sorted(replay.peaks(what).items(), key=lambda one: -one[1])[:6]
        rows = [("/".join(word for word in place if word), f"{value:,.0f}") for place, value in peaks]
        print_table(f"Busiest second of tables and indexes, {what}", ("table", "units/s"), rows)
    queues = [
        (one.name, f"{one.hands:,}", f"{one.longest:,}", f"{one.seconds:,.0f} s") for one in sizing.queues
    ]
    print_table("Queues", ("queue", "hands", "longest", "waits"), queues)
    found = list(limits(sizing.load()))
    rows = [
        (one.name, f"{one.used:,.1f}", f"{one.at_most:,.0f}", f"{one.share:.0%}", one.where) for one in found
    ]
    print_table("Limits", ("limit", "used", "at most", "share", "by"), rows)
    first = first_reached(found)
    print(f"\nFirst limit: {first.name}, {first.share:.0%} used by {first.where}. To ask for: {first.ask}.")
    spent = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Gone through in {spent:.0f} s, {memory:.0f} MiB at most.")
    # The slow pass goes by what is stored, which the bill counts apart.
    done = replay.total(without=(PASS,))
    agreement = [abs(sizing.billed(what) / done.units(what) - 1) for what in ("writes", "reads")]
    return [
        Target(
            f"{people:,}: write units/s of the hottest key", replay.hottest("writes")[0].units, KEY_WRITES
        ),
        Target(f"{people:,}: read units/s of the hottest key", replay.hottest("reads")[0].units, KEY_READS),
        Target(f"{people:,}: `flask panzoto cost` off in writes", agreement[0], AGREES),
        Target(f"{people:,}: `flask panzoto cost` off in reads", agreement[1], AGREES),
    ]


def _split(hottest: object) -> tuple[str, str]:
    name, _, units = str(hottest).rpartition(": ")
    return name, units


def print_parts(replay: Replay) -> None:
    """Print what each kind of action costs a month."""
    listed = prices()
    rows, total = [], 0.0
    for kind, (count, cost) in replay.cost_by_kind().items():
        writes, reads = cost.units("writes") * DAYS, cost.units("reads") * DAYS
        calls = {name: cost.requests[f"s3 {name}"] * DAYS for name in ("PUT", "GET", "LIST")}
        queue = sum(n for name, n in cost.requests.items() if name.startswith("sqs ")) * DAYS
        dollars = (
            writes / 1e6 * listed["dynamodb_write_units_million"]
            + reads / 1e6 * listed["dynamodb_read_units_million"]
            + (calls["PUT"] + calls["LIST"]) / 1e3 * listed["s3_puts_thousand"]
            + calls["GET"] / 1e3 * listed["s3_gets_thousand"]
            + queue / 1e6 * listed["sqs_requests_million"]
        )
        total += dollars
        units = [f"{writes / 1e6:,.1f}", f"{reads / 1e6:,.1f}"]
        others = [f"{calls['PUT'] + calls['LIST']:,.0f}", f"{calls['GET']:,.0f}", f"{queue:,.0f}"]
        rows.append((kind, f"{count:,}", *units, *others, f"{dollars:,.2f}"))
    rows.append(("together", "", "", "", "", "", "", f"{total:,.2f}"))
    head = ("action", "a day", "M writes", "M reads", "S3 PUT, LIST", "S3 GET", "SQS", "USD a month")
    print_table("Requests and units of a month", head, rows)


def compare(people: int, seed: int, history: int, *, ministack: bool) -> list[Target]:
    """Do everything for real, and compare what was asked with what the replay says.

    ministack computes units of those writes only that stand alone.
    """
    from bench.support.real_day import differences, done_for_real  # noqa: PLC0415 - needs codecs
    from bench.support.recording import running, running_on_ministack  # noqa: PLC0415

    day, over = Day(people, Mix(), seed), ("requests", *(("alone",) if ministack else ("writes", "reads")))
    began = time.perf_counter()
    with (running_on_ministack if ministack else running)() as run:
        real = done_for_real(run, day, history, told=print)
    # Chores go by the day, not by what is done, and are none of it here.
    acting = {kind: cost for kind, cost in profiles.read().items() if kind not in (CHORE, PASS)}
    sizing = Sizing.of(day, acting, processes=1)
    replayed = sizing.replay.total()
    rows = [
        (what, f"{sum(getattr(real, what).values()):,.1f}", f"{sum(getattr(replayed, what).values()):,.1f}")
        for what in over
    ]
    print_table(f"A day of {people:,} people, really done", ("what", "real", "replayed"), rows)
    different = differences(real, replayed, over)
    for name, (one, other) in different.items():
        print(f"  differs: {name}: {one:,.1f} really, {other:,.1f} replayed")
    print(f"  done in {time.perf_counter() - began:.0f} s")
    return [
        Target("requests and units that differ", len(different), 0),
        *(
            Target(
                f"`flask panzoto cost` off in {what}", abs(sizing.billed(what) / real.units(what) - 1), AGREES
            )
            for what in over[1:]
            if what != "alone"
        ),
    ]


def record() -> None:
    """Record anew what each action asks of AWS."""
    from bench.support.recording import recorded_profiles  # noqa: PLC0415 - needs codecs

    found = recorded_profiles()
    profiles.write(found)
    rows = [(kind, f"{cost.units('writes'):g}", f"{cost.units('reads'):g}") for kind, cost in found.items()]
    print_table("Recorded", ("action", "writes", "reads"), rows)


def write_tables() -> None:
    """Write the tables into the page, between their marks."""
    page = PAGE.read_text("utf-8")
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{tables()}\n{MARKS[1]}{after}", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("people", nargs="*", type=int, help="how many people, several times over")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", type=int, metavar="PEOPLE", help="do everything for real, and compare")
    parser.add_argument("--ministack", action="store_true", help="do it on the stand-in of `make run`")
    parser.add_argument("--history", type=int, default=60, help="recordings that each has before the day")
    parser.add_argument("--record", action="store_true", help="record the profiles anew")
    parser.add_argument("--tables", action="store_true", help="write the tables of docs/costs.md")
    asked = parser.parse_args()
    if asked.record:
        record()
    if asked.tables:
        write_tables()
    if asked.real:
        return (
            0
            if print_targets(compare(asked.real, asked.seed, asked.history, ministack=asked.ministack))
            else 1
        )
    if asked.record or asked.tables:
        return 0
    targets = [one for people in asked.people or PEOPLE for one in simulate(people, asked.seed)]
    return 0 if print_targets(targets) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The tables of docs/costs.md for a thousand to a hundred million people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.support import profiles
from bench.support.day import Day, Mix
from bench.support.limits import NEAR, limits
from bench.support.sizing import Sizing
from panzoto.operations.cost import Item, monthly_cost, prices

# So many are gone through; they stand for more.
STANDING_FOR_ALL = 10_000
PEOPLE = (10**3, 10**4, 10**5, 10**6, 10**7, 10**8)
SEED = 1
MARKS = ("<!-- made by `python -m bench.size --tables` -->", "<!-- end -->")
# The bill's items by the columns of the first table, by how their names begin.
COLUMNS = {
    "DynamoDB writes": ("DynamoDB writes",),
    "reads": ("DynamoDB reads", "DynamoDB sweep", "DynamoDB chore"),
    "tables' storage": ("DynamoDB storage", "DynamoDB point"),
    "S3 requests": ("S3 PUT", "S3 GET", "S3 sweep"),
    "S3 storage": ("S3 storage",),
    "transfer": ("transfer",),
    "SQS": ("SQS",),
    "tasks and workers": ("Fargate", "public"),
    "all else but the engine": ("",),
}
ENGINE = "speech engine"


def tables() -> str:
    """Return all tables."""
    first = Sizing.of(Day(STANDING_FOR_ALL, Mix(), SEED), profiles.read())
    sizes = [first.scaled(people) for people in PEOPLE]
    parts = [
        f"The mix, each a day and person: {Mix().described()}.",
        "A recording has 60 s of 8 kB; a tenth is transcribed. The busiest hour has 8 % of the day.",
        _actions(),
        "USD a month after a year, on Fargate; the engine stands apart, since it may be your own:",
        _bills(sizes),
        "The busiest second, and what must run then: cores of web tasks, and workers' hands (four each):",
        _peaks(sizes),
        "Limits of AWS that are used to more than half, and what to ask for before:",
        _limits(sizes),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _actions() -> str:
    rows = []
    for kind, cost in profiles.read().items():
        requests = [
            sum(n for name, n in cost.requests.items() if name.startswith(service))
            for service in ("dynamodb", "s3 PUT", "s3 GET", "s3 LIST", "sqs", "ses")
        ]
        units = [cost.units("writes"), cost.units("reads")]
        rows.append((kind, *(f"{value:.4g}" for value in (requests[0], *units, *requests[1:]))))
    head = (
        "action",
        "calls of DynamoDB",
        "write units",
        "read units",
        "PUT",
        "GET",
        "LIST",
        "SQS",
        "letters",
    )
    return _table(head, rows)


def _bills(sizes: Sequence[Sizing]) -> str:
    rows = []
    for sizing in sizes:
        items = monthly_cost(sizing.usage(), prices(), fargate=True)
        engine = sum(item.amount for item in items if item.name == ENGINE)
        sums = _columns([item for item in items if item.name != ENGINE])
        amounts = [*sums.values(), sum(sums.values()), engine]
        rows.append((f"{sizing.people:,}", *(f"{amount:,.0f}" for amount in amounts)))
    return _table(("people", *COLUMNS, "together", "engine"), rows)


def _columns(items: Iterable[Item]) -> dict[str, float]:
    sums = dict.fromkeys(COLUMNS, 0.0)
    for item in items:
        column = next(name for name, begins in COLUMNS.items() if item.name.startswith(begins))
        sums[column] += item.amount
    return sums


def _peaks(sizes: Sequence[Sizing]) -> str:
    rows = []
    for sizing in sizes:
        load = sizing.load()
        hands = [one.hands for one in sizing.queues if "busiest" in one.name]
        figures = (
            load.table_writes[0],
            load.table_reads[0],
            load.key_writes[0],
            load.key_reads[0],
            load.puts,
            load.gets,
            load.letters_a_day,
            load.tasks,
        )
        told = [f"{figure:,.0f}" for figure in figures]
        rows.append((f"{sizing.people:,}", *told, " + ".join(f"{count:,}" for count in hands)))
    head = (
        "people",
        "write units/s, busiest table",
        "read units/s",
        "write units/s, hottest key",
        "read units/s",
        "PUT/s",
        "GET/s",
        "letters a day",
        "web cores",
        "hands",
    )
    return _table(head, rows)


def _limits(sizes: Sequence[Sizing]) -> str:
    rows = []
    for sizing in sizes:
        near = [one for one in limits(sizing.load()) if one.share > NEAR]
        rows += [
            (f"{sizing.people:,}", one.name, f"{one.used:,.0f} of {one.at_most:,.0f}", one.where, one.ask)
            for one in near
        ] or [(f"{sizing.people:,}", "none", "", "", "")]
    return _table(("people", "limit", "used", "by", "ask for"), rows)

"""The limits of AWS that a service of this size meets, and what to ask AWS for before it does.

Defaults as AWS documents them: "Quotas in Amazon DynamoDB" and "Warm throughput" (a table in use grows to
twice its former peak within half an hour by itself), "Best practices design patterns: optimizing Amazon S3
performance", "Amazon SQS quotas", "Service quotas in Amazon SES" (what an account gets outside of the sandbox
varies; these are usual), "Amazon ECS service quotas", "Quotas for your Application Load Balancers".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Where a limit is used up to this share, it is time to ask.
NEAR = 0.5


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, what comes closest to it, and what to do about it."""

    name: str
    at_most: float
    used: float
    where: str
    ask: str

    @property
    def share(self) -> float:
        return self.used / self.at_most


@dataclass(frozen=True, slots=True)
class Load:
    """The busiest second of a service, and what else limits are about."""

    # For each: what is used, and by which table, index or key.
    table_writes: tuple[float, str]
    table_reads: tuple[float, str]
    key_writes: tuple[float, str]
    key_reads: tuple[float, str]
    puts: float
    gets: float
    in_flight: int
    letters_a_second: float
    letters_a_day: float
    vcpus: float
    tasks: int
    largest_item: tuple[float, str]
    # Accounts at which chores look, and how many one process hands out.
    looks: float
    handed_out: float


def limits(load: Load) -> Iterator[Limit]:
    """Yield every limit with how far it is used."""
    yield from _of_tables(load)
    yield from _of_the_rest(load)


def _of_tables(load: Load) -> Iterator[Limit]:
    warm = "pre-warm tables and indexes (`update-table --warm-throughput`) before everybody comes at once"
    quota = "Service Quotas: table-level write and read units of on-demand tables, ten times the peak"
    split = "nothing helps but another key"
    yield Limit("write units/s of a new table", 4_000, *load.table_writes, warm)
    yield Limit("read units/s of a new table", 12_000, *load.table_reads, warm)
    yield Limit("write units/s of a table", 40_000, *load.table_writes, quota)
    yield Limit("read units/s of a table", 40_000, *load.table_reads, quota)
    yield Limit("write units/s of a key", 1_000, *load.key_writes, split)
    yield Limit("read units/s of a key", 3_000, *load.key_reads, split)
    yield Limit("KB of an item", 400, *load.largest_item, "nothing helps but another key")


def _of_the_rest(load: Load) -> Iterator[Limit]:
    prefixes = (
        "support: partition the bucket for `users/` by the first digits of ids; it does so by itself, slowly"
    )
    yield Limit("S3 PUT, LIST/s of a prefix", 3_500, load.puts, "`users/`", prefixes)
    yield Limit("S3 GET/s of a prefix", 5_500, load.gets, "`users/`", prefixes)
    yield Limit(
        "SQS messages in flight", 120_000, load.in_flight, "all workers' hands", "support: more in flight"
    )
    room = "more in `MOST_WAITING` of panzoto/operations/chores.py; until then looks are late in the evening"
    yield Limit("looks handed out/s, a limit of ours", load.handed_out, load.looks, "chores", room)
    rate = "SES: sending rate and daily quota, a week before"
    yield Limit("SES letters/s", 14, load.letters_a_second, "letters", rate)
    yield Limit("SES letters/day", 50_000, load.letters_a_day, "letters", rate)
    yield Limit(
        "Fargate vCPUs",
        6,
        load.vcpus,
        "web and workers",
        "Service Quotas: Fargate On-Demand vCPUs, twice that",
    )
    yield Limit(
        "targets of a balancer", 1_000, load.tasks, "web tasks", "Service Quotas: targets, or larger tasks"
    )


def first_reached(found: list[Limit]) -> Limit:
    """Return the limit of which the largest share is used."""
    return max(found, key=lambda one: one.share)

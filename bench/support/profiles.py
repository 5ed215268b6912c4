"""What one action asks of AWS, recorded from the service itself in front of a stand-in that counts.

A profile says for one kind of action how many requests there are, and which keys of which tables and indexes
they touch at how many units.  Keys are told by what they go with: the `person`, their `address`, something of
this one action (`own`), or everybody (the key itself, which all of them share).  `recording` makes them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from panzoto.operations import call_costs
from tests.support.aws_requests import COMPUTED

PROFILES = Path(__file__).with_name("profiles.json")
# What is asked by the clock and not by what is done: a worker that waits asks its queue again and again.
BY_THE_CLOCK = ("ReceiveMessage", "GetQueueUrl", "GetQueueAttributes", "ChangeMessageVisibility")
PERSON, ADDRESS, OWN = "person", "address", "own"
# The key of one of the shards in which the accounts lie at which chores are due.
SHARD, DUE_INDEX = "shard", "user-due-index"
# A look for changes that finds one, or two; a recording is asked for by itself, several are in one batch.
SYNCED, SEVERAL = "synced", "synced several"
CHECK = "check"
EVENT, WORK = "event", "transcription"
# A look at an account that has changed something, and a sweep over one that may have changed nothing.
CHORE, PASS = "chore", "pass"
# After it there is nobody left.
LAST = "delete account"

PLACED = ("writes", "reads", "items", "size", "alone")
Calls = list[dict[str, Any]]


@dataclass
class Cost:
    """Requests and units, of one action or of many: by name, and by table, index and kind of key."""

    requests: Counter[str] = field(default_factory=Counter)
    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    reads: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    # How many items come to lie under a key for good, and how many bytes.
    items: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    size: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    # Of the writes those that stand alone, whose units another stand-in computes by itself.
    alone: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, other: Cost, times: float = 1) -> None:
        """Add another cost so many times."""
        for name in ("requests", *PLACED):
            mine: Counter[Any] = getattr(self, name)
            for key, value in getattr(other, name).items():
                mine[key] += value * times

    def units(self, what: str, table: str | None = None) -> float:
        """Return the `writes` or `reads`, of one table with its indexes or of all."""
        return sum(value for key, value in getattr(self, what).items() if table in (None, key[0]))

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": dict(sorted(self.requests.items())),
            **{
                name: [[*key, value] for key, value in sorted(getattr(self, name).items()) if value]
                for name in PLACED
            },
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Cost:
        read = {
            name: Counter({(table, index, key): value for table, index, key, value in told[name]})
            for name in PLACED
        }
        return cls(Counter(told["requests"]), **read)


def cost_of(calls: Iterable[dict[str, Any]], named: Mapping[str, str] | None = None) -> Cost:
    """Return what calls cost together; `named` tells which keys are whose, all others are `own`."""
    cost = Cost()
    for call in calls:
        operation = call["name"].split()[1]
        if operation not in BY_THE_CLOCK:
            cost.requests[call["name"]] += 1
        # What was refused is charged all the same, but no stand-in tells how much.
        told_elsewhere = operation in COMPUTED and call.get("status", 200) < 300
        for touch in call.get("touched", ()):
            whose = SHARD if touch["index"] == DUE_INDEX else _whose(touch["key"], named or {})
            place = touch["table"], touch["index"], whose
            cost.writes[place] += touch.get("writes", 0)
            cost.alone[place] += touch.get("writes", 0) * told_elsewhere
            cost.reads[place] += touch.get("reads", 0)
            cost.items[place] += touch.get("items", 0)
            cost.size[place] += touch.get("bytes", 0)
    return cost


def _whose(key: str, named: Mapping[str, str]) -> str:
    if key in named:
        return named[key]
    # A key within a person's folder is one of many, each with a partition of its own.
    return next((whose for part, whose in named.items() if part in key and "/" not in key), OWN)


def write(profiles: Mapping[str, Cost]) -> None:
    """Keep profiles for `read`."""
    told = {kind: cost.to_json() for kind, cost in profiles.items()}
    PROFILES.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    call_costs.CALLS.write_text(json.dumps(_for_the_bill(profiles), indent=1) + "\n", "utf-8")


def _for_the_bill(profiles: Mapping[str, Cost]) -> dict[str, dict[str, float]]:
    """Return what `flask panzoto cost` counts by; a transcript itself is counted there by its size."""
    told = {}
    for kind, cost in profiles.items():
        sums = {
            "writes": cost.units("writes") - cost.units("writes", "panzoto-transcripts") * (kind == WORK),
            "reads": cost.units("reads"),
            **{
                name: cost.requests[f"s3 {of}"]
                for name, of in (("puts", "PUT"), ("gets", "GET"), ("lists", "LIST"))
            },
            "letters": cost.requests["ses SendEmail"],
        }
        told[kind] = {name: round(value, 2) for name, value in sums.items() if value}
    return {**told, call_costs.ROW: {"reads": 1}}


def read() -> dict[str, Cost]:
    """Return the profiles that were last written."""
    return {kind: Cost.from_json(told) for kind, told in json.loads(PROFILES.read_text("utf-8")).items()}

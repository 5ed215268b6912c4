"""What people do and what each of it asks of AWS, as `calls.json` has it recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CALLS = Path(__file__).with_name("calls.json")
# Whether a session goes on is asked once a visit by a process that has been asked before, and a recording
# that has changed costs a read at the next look for changes.
CHECK, ROW = "check", "row"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that people do: how it is called, its number in `Usage`, and what was recorded of it."""

    name: str
    number: str
    kinds: tuple[str, ...]
    # How many calls show a token.
    with_token: int = 0

    def each(self, what: str) -> float:
        """Return what one costs: `writes`, `reads`, `puts`, `gets` or `lists`."""
        return sum(recorded()[kind].get(what, 0) for kind in self.kinds)


UPLOAD = Action("an upload", "recordings_per_month", ("upload", "event", ROW), 2)
PLAY = Action("a play", "plays_per_month", ("play", ROW), 1)
VISIT = Action("a visit", "visits_per_month", ("refresh", "list", "sync"), 2)
READ = Action("a reading", "reads_per_month", ("read",), 1)
DELETION = Action("a deletion", "deletions_per_month", ("bin", ROW), 1)
ERASURE = Action("an erasure", "erasures_per_month", ("expire", ROW))
SIGN_IN = Action("a sign-in", "sign_ins_per_month", ("sign in",))
REGISTRATION = Action("a registration", "registrations_per_month", ("register",))
DEPARTURE = Action("an account deleted", "departures_per_month", ("delete account",))
# Chores look at each account soon after it has changed something.
LOOK = Action("a look at an account that changed", "looks_per_month", ("chore",))
ACTIONS = (UPLOAD, PLAY, VISIT, READ, DELETION, ERASURE, SIGN_IN, REGISTRATION, DEPARTURE, LOOK)
# The transcript itself comes on top, by its size.
TRANSCRIPT = Action("a transcript", "transcripts_per_month", ("transcribe", "transcription", ROW), 1)


@cache
def recorded() -> dict[str, dict[str, float]]:
    """Return units and requests by kind of action."""
    told: dict[str, dict[str, float]] = json.loads(CALLS.read_text("utf-8"))
    return told


def formula(actions: Iterable[Action], what: str) -> str:
    """Return the sum over actions in words, such as `23 an upload + 15 a play`."""
    return " + ".join(f"{action.each(what):g} {action.name}" for action in actions if action.each(what))


def sessions_asked(visits: float, calls: float, processes: int) -> float:
    """Return how often it is asked whether a session goes on, in `visits` with so many `calls` together.

    Each of the processes remembers for itself, for longer than a visit, and calls come to any of them.
    """
    if not visits:
        return 0.0
    known: float = (1 - 1 / processes) ** (calls / visits)
    return visits * processes * (1 - known)

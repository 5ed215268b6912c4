"""The sweeps' hold while a move goes on: the tables do not yet know of everything that is in the bucket."""

from __future__ import annotations

from migrations_from_rds.display import Display
from migrations_from_rds.errors import Status
from panzoto.errors import Unavailable
from panzoto.models import SweepMemory

HOLD = "migration"
REASON = "a move from PostgreSQL goes on"
BY_HAND = f"flask panzoto sweeps hold {HOLD}"


def begin(display: Display) -> None:
    """Hold the sweeps back and say so; where that cannot be written, name the command that does it."""
    try:
        SweepMemory.hold(HOLD, REASON)
    except Unavailable:
        display.tell(
            "The sweeps could not be held back from here: before anything is copied, run "
            f"`{BY_HAND}` with rights to write SWEEPS_TABLE"
        )
        return
    display.tell(
        "The sweeps are held back, so that nothing is removed from the bucket, "
        "until `python -m migrations_from_rds done`"
    )


def done(display: Display) -> Status:
    """Let the sweeps go again. Raises `Unavailable`."""
    released = SweepMemory.release(HOLD)
    if released:
        display.tell("The sweeps go on; what no table knows of waits thirty days from now on")
    else:
        display.tell("The sweeps were not held back by a move")
    others = [hold.name for hold in SweepMemory.holds()]
    if others:
        display.tell(f"Other holds stand: {', '.join(others)}")
    return Status.DONE

"""`flask panzoto sweeps …`: what holds the sweeps back, and how far a night's number is used up."""

from __future__ import annotations

import click

from panzoto.models import SweepMemory
from panzoto.operations.command_group import Commands
from panzoto.removal import AT_MOST, reasons_to_hold

BY_HAND = "by-hand"

sweeps = Commands("sweeps", help="Hold the sweeps back, let them go, see how they stand.")


@sweeps.command()
@click.argument("name", default=BY_HAND)
@click.option("--reason", default="", help="Why, for those who ask for the status.")
def hold(name: str, reason: str) -> None:
    """Let no sweep remove anything until the hold is released."""
    SweepMemory.hold(name, reason)
    click.echo(f"Held: no sweep removes anything until `flask panzoto sweeps release {name}`.")


@sweeps.command()
@click.argument("name", default=BY_HAND)
def release(name: str) -> None:
    """Release a hold. What waits to be moved aside begins to wait anew."""
    released = SweepMemory.release(name)
    left = [one.name for one in SweepMemory.holds()]
    if not released:
        others = f"; the ones that do: {', '.join(left)}" if left else ""
        raise click.ClickException(f"No hold {name} stands{others}.")
    click.echo(f"Released. Others still stand: {', '.join(left)}" if left else "Released.")


@sweeps.command()
def status() -> None:
    """Say what holds the sweeps back, and how much of a night's number is used up."""
    reasons, removed = reasons_to_hold(), SweepMemory.removed_tonight()
    for reason in reasons:
        click.echo(f"held back: {reason}")
    if not reasons:
        click.echo("Nothing holds the sweeps back.")
    click.echo(f"{removed} of {AT_MOST} were moved aside or removed in this night.")

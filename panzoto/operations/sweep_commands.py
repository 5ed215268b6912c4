"""`flask panzoto recordings sweep`, `recordings aside …` and `sweeps …`: what goes and what waits."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
from flask.cli import AppGroup
from rich.table import Table

from panzoto import object_keys
from panzoto.errors import ObjectChanged, PanzotoError
from panzoto.lifecycle.sweep import Findings, Parts, Sweep
from panzoto.models import SweepMemory
from panzoto.operations.application import services
from panzoto.operations.command_output import counting, show
from panzoto.removal import AT_MOST, reasons_to_hold

BY_HAND = "by-hand"

aside = AppGroup("aside", help="What was moved aside since no table knew of it: list it, bring it back.")
sweeps = AppGroup("sweeps", help="Hold the sweeps back, let them go, and see what they remember.")


@click.command("sweep")
@click.option("--apply", is_flag=True, help="Act on what is found; without it nothing is changed.")
@click.option(
    "--at-most",
    type=click.IntRange(0),
    default=AT_MOST,
    show_default=True,
    help="How much of what no table knows may be moved aside or removed in this night, over all runs of it.",
)
def sweep_recordings(apply: bool, at_most: int) -> None:
    """Find what interrupted uploads and erasures left, and what no table knows of."""
    built = services()
    parts = Parts(built.storage, built.removal, built.uploads, built.trash)
    sweep = Sweep(parts, built.settings.trash_days, apply, at_most)
    try:
        with counting("looking at rows and objects") as progress:
            findings = sweep.run(progress)
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    _print(findings, apply)
    if findings.failures:
        raise SystemExit(1)


def _print(findings: Findings, apply: bool) -> None:
    table = Table("Found", "How many", box=None, pad_edge=False)
    for kind, count in sorted(findings.counts.items()):
        table.add_row(kind, str(count))
    show(table)
    for kind, names in sorted(findings.named.items()):
        for name in names:
            click.echo(f"{kind}: {_printable(name)}")
        if (more := findings.counts[kind] - len(names)) > 0:
            click.echo(f"{kind}: and {more} more")
    for file_id in findings.without_object:
        click.echo(f"record without object: {file_id}")
    for failure, count in findings.failures.items():
        click.echo(f"not done, {count} times: {failure}")
    for reason in findings.held:
        click.echo(f"held back: {reason}")
    if findings.held:
        click.echo("Nothing was changed, since the sweeps are held back.")
    else:
        click.echo("Done." if apply else "Nothing was changed; --apply acts.")


def _printable(name: str) -> str:
    """Return a key in one line, whatever characters somebody has put into it."""
    return name if name.isprintable() else json.dumps(name)


@aside.command("list")
def list_() -> None:
    """Show what lies aside: its key, when it was put, since when it lies there, and its bytes."""
    table = Table("Key", "Put", "Aside since", "Bytes", box=None, pad_edge=False)
    count = 0
    try:
        for entry in services().storage.entries(object_keys.ASIDE):
            s3_key = object_keys.original_key(entry.s3_key)
            if s3_key is not None and entry.upload_id is None and not entry.is_marker:
                put = datetime.fromtimestamp(object_keys.put_at(entry.s3_key), UTC)
                count += 1
                table.add_row(
                    _printable(s3_key), f"{put:%Y-%m-%d}", f"{entry.modified_at:%Y-%m-%d}", str(entry.size)
                )
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    show(table)
    click.echo(f"{count} versions lie aside")


@aside.command("bring-back")
@click.argument("key")
def bring_back(key: str) -> None:
    """Put the newest version that was moved aside from KEY back to its place."""
    try:
        versions = services().removal.bring_back(key)
    except ObjectChanged as error:
        raise click.ClickException(f"There is an object under {key}; nothing was changed.") from error
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    if not versions:
        raise click.ClickException(f"Nothing that was under {key} lies aside.")
    more = f"; {versions - 1} older versions still lie aside" if versions > 1 else ""
    click.echo(f"{key} is back in its place{more}")


@sweeps.command()
@click.argument("name", default=BY_HAND)
@click.option("--reason", default="", help="Why, for those who ask for the status.")
def hold(name: str, reason: str) -> None:
    """Let no sweep remove anything until the hold is released."""
    try:
        SweepMemory.hold(name, reason)
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    click.echo(f"Held: no sweep removes anything until `flask panzoto sweeps release {name}`.")


@sweeps.command()
@click.argument("name", default=BY_HAND)
def release(name: str) -> None:
    """Release a hold. What waits to be moved aside begins to wait anew."""
    try:
        released = SweepMemory.release(name)
        left = [one.name for one in SweepMemory.holds()]
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    if not released:
        others = f"; the ones that do: {', '.join(left)}" if left else ""
        raise click.ClickException(f"No hold {name} stands{others}.")
    click.echo(f"Released. Others still stand: {', '.join(left)}" if left else "Released.")


@sweeps.command()
def status() -> None:
    """Say what holds the sweeps back, and how much of a night's number is used up."""
    try:
        reasons, removed = reasons_to_hold(), SweepMemory.removed_tonight()
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    for reason in reasons:
        click.echo(f"held back: {reason}")
    if not reasons:
        click.echo("Nothing holds the sweeps back.")
    click.echo(f"{removed} of {AT_MOST} were moved aside or removed in this night.")

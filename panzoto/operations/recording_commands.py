"""`flask panzoto recordings …`: verify, recount, sweep, and what lies aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from panzoto import object_keys
from panzoto.errors import ObjectChanged
from panzoto.lifecycle.sweep import Findings, Sweep
from panzoto.models import AudioFile
from panzoto.operations.application import services
from panzoto.operations.asking import PASSWORD_FILE, password_of
from panzoto.operations.chores import parts_of
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import counting, number_of, show, table_of
from panzoto.operations.going_through import AT_ONCE, going_through
from panzoto.operations.recounting import Recounting
from panzoto.operations.verification import Finding, verify_recordings
from panzoto.removal import AT_MOST

recordings = Commands("recordings", help="Recordings: verify, sweep, recount; what lies aside.")
aside = Commands("aside", help="What was moved aside since no table knew of it: list it, bring it back.")
recordings.add_command(aside)


@recordings.command()
@AT_ONCE
def recount(at_once: int) -> None:
    """Count every account's recordings anew, and repair counters that have drifted.

    Stopped or killed, it goes on where it was. How many rows there are is
    DynamoDB's own estimate, hours old.
    """
    settings = services().settings
    with going_through(settings, at_once) as run:
        recounted = Recounting(run).recount(settings.data_dir)
    click.echo(f"{recounted.drifted} accounts had drifted, of {recounted.counted} that were counted")
    if recounted.left:
        raise click.ClickException(f"{recounted.left} accounts were left, as told above")


@recordings.command()
@click.argument("email")
@PASSWORD_FILE
def verify(email: str, password_file: Path | None) -> None:
    """Open every recording of EMAIL's account end to end; nothing is changed.

    The password is asked for, or read from a file. The exit status is 1 when a recording does not open.
    """
    password = password_of(password_file, "Password")
    findings = verify_recordings(services(), email.strip().lower(), password, _progress)
    _print_findings(findings)
    if any(finding.problem for finding in findings):
        raise SystemExit(1)


@recordings.command("sweep")
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
    sweep = Sweep(parts_of(services()), apply, at_most)
    with counting("looking at rows and objects") as progress:
        findings = sweep.run(progress)
    _print(findings, apply)
    if findings.failures:
        raise SystemExit(1)


@aside.command("list")
def list_() -> None:
    """Show what lies aside: its key, when it was put, since when it lies there, and its bytes."""
    table = table_of("Key", "Put", "Aside since", "Bytes", whole=("Key",))
    for entry in services().storage.entries(object_keys.ASIDE):
        s3_key = object_keys.original_key(entry.s3_key)
        if s3_key is not None and entry.upload_id is None and not entry.is_marker:
            put = datetime.fromtimestamp(object_keys.put_at(entry.s3_key), UTC)
            table.add_row(
                _printable(s3_key), f"{put:%Y-%m-%d}", f"{entry.modified_at:%Y-%m-%d}", str(entry.size)
            )
    if not table.row_count:
        click.echo("Nothing lies aside.")
        return
    show(table)
    click.echo(f"Lying aside: {number_of(table.row_count, 'version')}")


@aside.command("bring-back")
@click.argument("key")
def bring_back(key: str) -> None:
    """Put the newest version that was moved aside from KEY back to its place."""
    try:
        versions = services().removal.bring_back(key)
    except ObjectChanged as error:
        raise click.ClickException(f"There is an object under {key}; nothing was changed.") from error
    if not versions:
        raise click.ClickException(f"Nothing that was under {key} lies aside.")
    more = f"; still lying aside: {number_of(versions - 1, 'older version')}" if versions > 1 else ""
    click.echo(f"{key} is back in its place{more}")


def _progress(rows: list[AudioFile]) -> Iterator[AudioFile]:
    """Pass `rows` on under a progress bar, where somebody is watching."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("opening"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        yield from progress.track(rows)


def _print_findings(findings: list[Finding]) -> None:
    table = table_of("Recording", "Format", "Plain bytes", "Result", whole=("Recording",))
    for finding in findings:
        table.add_row(
            finding.file_id, finding.format or "-", str(finding.plain_bytes), finding.problem or "opens"
        )
    show(table)
    broken = sum(1 for finding in findings if finding.problem)
    click.echo(f"{len(findings)} recordings: {len(findings) - broken} open, {broken} do not")


def _print(findings: Findings, apply: bool) -> None:
    table = table_of("Found", "How many")
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

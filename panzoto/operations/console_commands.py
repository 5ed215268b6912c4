"""`flask panzoto console`: which release of the console this is, and whether a service serves it."""

from __future__ import annotations

import hashlib

import click
from flask.cli import with_appcontext

from panzoto.console.comparison import differences
from panzoto.console.release import LibrariesMissing, Release
from panzoto.console.release import release as this_release
from panzoto.operations.command_group import Commands

console = Commands("console", help="Look at the console's files, which browsers are given.")


def _release() -> Release:
    try:
        return this_release()
    except LibrariesMissing as error:
        raise click.ClickException(
            f"{error}: not there; python3 -m deploy.packages.console fetches what is missing"
        ) from error


@console.command()
@with_appcontext
@click.option("--files", is_flag=True, help="Each file too, with its SHA-256.")
def release(files: bool) -> None:
    """Print the hash over all of the console's files, which the changelog names for each release."""
    found = _release()
    click.echo(found.digest)
    if files:
        for name, file in found.files.items():
            click.echo(f"{hashlib.sha256(file.content).hexdigest()}  {name}")


@console.command()
@with_appcontext
@click.argument("address")
def compare(address: str) -> None:
    """Tell whether ADDRESS serves the console that is here, file by file.

    It says what was served to this machine just now, and not what anybody else is given.
    """
    found = _release()
    try:
        different = list(differences(found, address))
    except ValueError as error:
        raise click.ClickException(f"{address}: {error}") from error
    except OSError as error:
        # The system's own words, such as "Connection refused".
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or type(reason).__name__
        raise click.ClickException(f"{address} does not answer: {why}") from error
    for line in different:
        click.echo(line)
    if different:
        raise click.ClickException(f"{address} does not serve release {found.digest}")
    click.echo(f"{address} serves release {found.digest}, {len(found.files) + 2} files")

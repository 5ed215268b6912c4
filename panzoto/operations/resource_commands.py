"""`flask panzoto resources …`: tables, bucket and queue."""

from __future__ import annotations

import sys

import click
from rich.table import Table

from panzoto.operations.application import services
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import show
from panzoto.operations.missing_claims import Tally, write_missing_claims
from panzoto.operations.resources import Resources

DELETE_WORDS = "DELETE ALL TABLES"

resources = Commands("resources", help="Tables and bucket: create, list, optimize, delete.")


@resources.command()
def create() -> None:
    """Make the tables and the bucket where they are missing."""
    _resources().create()


@resources.command()
def prepare() -> None:
    """Make tables and queue that are missing, before a release that needs them; name rights that lack."""
    outcome = _resources().prepare()
    for index in outcome.without_index:
        click.echo(f"index {index} is missing: flask panzoto resources optimize adds it")
    for line in outcome.unseen:
        click.echo(f"{line} is not allowed here, so nobody can see whether it is there")
    if outcome.refused:
        raise click.ClickException(
            "Missing, and not to be made with these rights: "
            + "; ".join(outcome.refused)
            + ". Run `flask panzoto resources create` with your own, or add the right to this role"
        )
    if not outcome.made:
        click.echo("No table and no queue had to be made.")


@resources.command("list")
def list_() -> None:
    """Show each table, index and the bucket as they are."""
    table = Table("Name", "Kind", "Status", "Facts", "Indexes", box=None, pad_edge=False)
    for state in _resources().states():
        facts = ", ".join(f"{name}: {value}" for name, value in state.facts.items())
        indexes = ", ".join(f"{name}: {value}" for name, value in state.indexes.items())
        table.add_row(state.name, state.kind, state.status, facts, indexes)
    show(table)


@resources.command()
def optimize() -> None:
    """Bring existing tables and bucket up to date, and write missing claims. Safe to repeat."""
    _resources().optimize()
    checkpoint = services().settings.data_dir / "missing-claims.json"
    tally = write_missing_claims(checkpoint, _print_progress)
    click.echo(f"claims: {tally.rows} rows seen, {tally.written} written, {tally.conflicts} conflicts")


@resources.command()
@click.option("--confirm", metavar="WORDS", help=f'Give "{DELETE_WORDS}" where there is no terminal.')
def delete(confirm: str | None) -> None:
    """Delete all tables, and the bucket if it is empty. Asks first."""
    if confirm is None:
        if not sys.stdin.isatty():
            raise click.ClickException(
                f'There is no terminal to ask on. To delete all tables give --confirm "{DELETE_WORDS}".'
            )
        confirm = click.prompt(f"This deletes every account. Type {DELETE_WORDS} to go on", default="")
    if confirm != DELETE_WORDS:
        raise click.ClickException(f"Nothing was deleted: the words are {DELETE_WORDS}.")
    _resources().delete()


def _resources() -> Resources:
    return Resources(services().settings, report=click.echo)


def _print_progress(tally: Tally) -> None:
    """Show the state in one line that overwrites itself; silent where nobody is watching."""
    if sys.stderr.isatty():
        click.echo(f"\rclaims: {tally.rows} rows seen, {tally.written} written", nl=False, err=True)

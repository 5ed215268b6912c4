"""`flask panzoto resources …`: tables, bucket and queues."""

from __future__ import annotations

import sys

import click

from panzoto.operations.application import services
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import show, table_of
from panzoto.operations.going_through import AT_ONCE, going_through
from panzoto.operations.missing_claims import MissingClaims
from panzoto.operations.resources import Resources

DELETE_WORDS = "DELETE ALL TABLES"

resources = Commands("resources", help="Tables, bucket, queues: create, list, optimize, delete.")


@resources.command()
def create() -> None:
    """Make tables, bucket and queues where they are missing."""
    _resources().create()


@resources.command()
def prepare() -> None:
    """Make tables and queues that are missing, before a release that needs them; name rights that lack."""
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
    """Show tables, indexes, bucket and queues as they are, queues of failures too."""
    table = table_of("Name", "Kind", "Status", "Facts", "Indexes", whole=("Name",))
    for state in _resources().states():
        facts = ", ".join(f"{name}: {value}" for name, value in state.facts.items())
        indexes = ", ".join(f"{name}: {value}" for name, value in state.indexes.items())
        table.add_row(state.name, state.kind, state.status, facts, indexes)
    show(table)


@resources.command()
@AT_ONCE
def optimize(at_once: int) -> None:
    """Bring tables, bucket and queues up to date, and write missing claims. Safe to repeat.

    Stopped or killed, it goes on where it was. How many rows there are is
    DynamoDB's own estimate, hours old.
    """
    _resources().optimize()
    settings = services().settings
    with going_through(settings, at_once) as run:
        tally = MissingClaims(run).write(settings.data_dir)
    click.echo(
        f"claims: {tally.rows} rows seen, {tally.written} written, {tally.conflicts} conflicts;"
        f" {tally.settled} accounts numbered and counted"
    )
    if tally.is_nothing:
        click.echo("There was nothing to do: all rows have their claims, and all accounts are counted.")
    if tally.left:
        raise click.ClickException(f"{tally.left} rows or accounts were left, as told above")


@resources.command()
@click.option("--confirm", metavar="WORDS", help=f'Give "{DELETE_WORDS}" where there is no terminal.')
def delete(confirm: str | None) -> None:
    """Delete all tables and queues, and the bucket if it is empty. Asks first."""
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

"""`flask panzoto cost`: what a month costs."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import with_appcontext

from panzoto.operations import cost as bills
from panzoto.operations.command_output import show, table_of


@click.command()
@with_appcontext
@click.option("--users", type=click.IntRange(0), required=True, help="How many people use it.")
@click.option("--recordings-per-day", type=click.FloatRange(0), required=True, help="Of each user.")
@click.option("--plays-per-day", type=click.FloatRange(0), help="Of each user; a tenth of the recordings.")
@click.option(
    "--visits-per-day", type=click.FloatRange(0), default=3, show_default=True, help="Of each user."
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=60, show_default=True, help="Length of a recording."
)
@click.option(
    "--bytes-per-second",
    type=click.FloatRange(0),
    default=8000,
    show_default=True,
    help="What a second of sound takes.",
)
@click.option("--months", type=click.FloatRange(0), default=12, show_default=True, help="Of recordings kept.")
@click.option(
    "--transcribed",
    type=click.FloatRange(0, 1),
    default=0,
    show_default=True,
    help="The share of recordings of which a transcript is made.",
)
@click.option(
    "--engine-hour",
    type=click.FloatRange(0),
    default=lambda: bills.prices()["speech_engine_hour"],
    show_default="0.36, a list price of whisper-1",
    help="What the speech engine takes for an hour of sound, in USD; 0 for one of your own.",
)
@click.option("--reads-per-day", type=click.FloatRange(0), default=0, help="Transcripts that a user opens.")
@click.option(
    "--deletions-per-day", type=click.FloatRange(0), default=0, help="Into the trash, of each user."
)
@click.option("--erasures-per-day", type=click.FloatRange(0), default=0, help="For good, of each user.")
@click.option("--sign-ins-per-day", type=click.FloatRange(0), default=0, help="Of each user.")
@click.option("--registrations-per-day", type=click.FloatRange(0), default=0, help="For each user there is.")
@click.option(
    "--departures-per-day", type=click.FloatRange(0), default=0, help="The share of users that leaves."
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of the service: each asks for itself whether a session goes on.",
)
@click.option("--fargate", is_flag=True, help="On Fargate behind a load balancer, not on one machine.")
def cost(
    users: int,
    recordings_per_day: float,
    plays_per_day: float | None,
    visits_per_day: float,
    fargate: bool,
    **more: Any,
) -> None:
    """Print what a month costs at Amazon, item by item, with each item's formula."""
    plays = recordings_per_day / 10 if plays_per_day is None else plays_per_day
    named = {name.removesuffix("_per_day"): value for name, value in more.items()}
    usage = bills.Usage(users, recordings_per_day, plays, visits_per_day, **named)
    listed = bills.prices()
    items = bills.monthly_cost(usage, listed, fargate)
    table = table_of("Item", "Quantity", "Unit", "Price", "USD a month", "How")
    for column in table.columns:
        column.justify = "right" if column.header in ("Quantity", "Price", "USD a month") else "left"
    for item in items:
        table.add_row(
            item.name,
            f"{item.quantity:,.2f}",
            item.unit,
            f"{item.price:g}",
            f"{item.amount:,.2f}",
            item.formula,
        )
    show(table)
    replaced = bills.rds(listed)
    per_month = f"{listed['currency']} a month"
    click.echo(f"Together: {sum(item.amount for item in items):,.2f} {per_month}")
    click.echo(
        f"The database of it: {bills.database(items):,.2f} {per_month};"
        f" {replaced.name}: {replaced.amount:,.2f} ({replaced.formula})"
    )
    click.echo(f"Prices of {listed['region']}, {listed['as_of']}. {listed['note']}")

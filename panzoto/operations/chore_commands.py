"""`flask panzoto chores …`: what is to be done for everybody, by a worker or here and now."""

from __future__ import annotations

import logging
import threading

import click
from flask.cli import with_appcontext

from panzoto.models import SweepMemory
from panzoto.models.connection import IndexMissing
from panzoto.operations.application import services
from panzoto.operations.chores import NO_INDEX, Handing, Working, chores_of, do_what_is_due, standing
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import counting, show, table_of
from panzoto.operations.working import at_once_option, trouble_for_operators, work_until_signalled
from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.queue import Queue
from panzoto.removal import reasons_to_hold

chores = Commands("chores", help="What is due: trash, leftovers, unfinished deletions.")

log = logging.getLogger(__name__)


@chores.command()
@at_once_option
@with_appcontext
def work(at_once: int) -> None:
    """Hand out what is due and work on it until told to stop; any number of workers may run."""
    built = chores_of(services())
    consumer = Consumer(_queue(), Working(built).handle, Rules(at_once=at_once))
    trouble = trouble_for_operators()
    handing = Handing(built, _queue(), trouble)
    threading.Thread(target=handing.run, args=(consumer.stopping,), name="handing-out", daemon=True).start()
    work_until_signalled(consumer, trouble)


@chores.command()
@at_once_option
@with_appcontext
def run(at_once: int) -> None:
    """Do what is due now, and today's share of the pass over everybody; then end. Run it daily or hourly.

    The exit status is 1 when something failed. It is tried again: what somebody has changed by the next run,
    what belongs to the pass at the end of this one, and then by the next pass.
    """
    held = reasons_to_hold()
    if held:
        SweepMemory.note_held()
        for reason in held:
            click.echo(f"held back: {reason}")
        click.echo("Nothing was done, since the chores are held back.")
        return
    try:
        with counting("pieces done") as progress:
            done = do_what_is_due(chores_of(services()), at_once, progress)
    except IndexMissing as error:
        raise click.ClickException(NO_INDEX) from error
    log.info("chores_run", extra={"found": done.counts.total(), "failed": done.failures.total()})
    table = table_of("Done", "How many")
    for kind, count in sorted(done.counts.items()):
        table.add_row(kind, str(count))
    if table.row_count:
        show(table)
    for failure, count in sorted(done.failures.items()):
        click.echo(f"not done, {count} times: {failure}")
    if done.failures:
        raise SystemExit(1)
    click.echo("Done." if done.counts else "Nothing was due.")


@chores.command()
@with_appcontext
def status() -> None:
    """Say how many accounts are due, since when, what waits in the queue, and what is held back."""
    try:
        how = standing(_queue())
    except IndexMissing as error:
        raise click.ClickException(NO_INDEX) from error
    for reason in how.held:
        click.echo(f"held back: {reason}")
    click.echo(f"accounts that are due: {how.backlog}")
    if how.backlog:
        click.echo(f"the oldest has been due for {how.oldest_seconds / 3600:.1f} hours")
    click.echo("queue: not there" if how.waiting is None else f"waiting in the queue: about {how.waiting}")
    if not how.held:
        click.echo("Nothing holds the chores back.")


def _queue() -> Queue:
    settings = services().settings
    return Queue(settings.chores_queue, settings.region)

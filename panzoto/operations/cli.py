"""`flask panzoto …`: what operators run."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import click
from flask import Flask
from flask.cli import AppGroup
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from panzoto.errors import PanzotoError
from panzoto.models import AudioFile, User
from panzoto.operations import cost as bills
from panzoto.operations.account_commands import accounts
from panzoto.operations.application import services
from panzoto.operations.backup import SETTLE_SECONDS, Backup
from panzoto.operations.command_output import counting, show
from panzoto.operations.missing_claims import Tally, write_missing_claims
from panzoto.operations.resources import Resources
from panzoto.operations.restore_commands import drill, restore
from panzoto.operations.sweep_commands import aside, sweep_recordings, sweeps
from panzoto.operations.verification import Finding, verify_recordings
from panzoto.recordings import ledger
from panzoto.recordings.bucket_events import BucketEvents

QUEUE_PAUSE_SECONDS = 5
DELETE_WORDS = "DELETE ALL TABLES"
NO_CREDENTIALS = (
    "There are no credentials for AWS here, and no `make run` of this folder is running. Start one, or set"
    " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and for another AWS than Amazon's also"
    " AWS_ENDPOINT_URL."
)

log = logging.getLogger(__name__)

panzoto = AppGroup("panzoto", help="Operate the service: tables, bucket and recordings.")
resources = AppGroup("resources", help="Tables and bucket: create, list, optimize, delete.")
recordings = AppGroup("recordings", help="Recordings: verify that they open.")
backup = AppGroup("backup", help="Backups: verify that they bring everything back.")
panzoto.add_command(accounts)
backup.add_command(drill)
backup.add_command(restore)
panzoto.add_command(backup)
panzoto.add_command(resources)
panzoto.add_command(recordings)
panzoto.add_command(sweeps)
recordings.add_command(aside)
recordings.add_command(sweep_recordings)


def init_app(app: Flask) -> None:
    """Add the commands to `app`."""
    app.cli.add_command(panzoto)


@resources.command()
def create() -> None:
    """Make the tables and the bucket where they are missing."""
    _run(lambda found: found.create())


@resources.command()
def prepare() -> None:
    """Make tables and queue that are missing, before a release that needs them; name rights that lack."""
    _run(_prepare)


@resources.command("list")
def list_() -> None:
    """Show each table, index and the bucket as they are."""
    _run(_print_states)


@resources.command()
def optimize() -> None:
    """Bring existing tables and bucket up to date, and write missing claims. Safe to repeat."""
    _run(_optimize)


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
    _run(lambda found: found.delete())


@accounts.command()
def sweep() -> None:
    """Finish the deletion of accounts that was interrupted. Run it daily; safe to repeat."""
    deletion = services().deletion
    ended: list[bool] = []
    try:
        ended.extend(map(deletion.run_or_log, User.all_being_deleted()))
    except PanzotoError as error:
        log.warning("deletion_interrupted", extra={"code": error.code, "row": getattr(error, "row", "")})
        raise _failure(error) from error
    finally:
        click.echo(f"{ended.count(True)} deletions finished")
    if not all(ended):
        raise click.ClickException(
            f"{ended.count(False)} could not be finished; the log says why. Run it again."
        )


@recordings.command()
def recount() -> None:
    """Count every account's recordings anew, and repair counters that have drifted."""
    drifted = 0
    try:
        with counting("counting accounts") as progress:
            for number, user in enumerate(User.all_counted(), 1):
                counted, real = ledger.recount(user)
                if counted != real:
                    drifted += 1
                    click.echo(f"{user.user_id}: counted {counted}, are {real}")
                progress(number)
    except PanzotoError as error:
        raise _failure(error) from error
    click.echo(f"{drifted} accounts had drifted")


@panzoto.command()
def events() -> None:
    """Work on the bucket's events until told to stop: commit uploads that have arrived."""
    settings = services().settings
    worker = BucketEvents(settings.events_queue, settings.region, services().uploads)
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        # A question that SQS answers after twenty seconds; a message that came just now comes again.
        if worker.is_waiting:
            raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopping.is_set():
        try:
            worker.work(lambda: not stopping.is_set())
        except PanzotoError as error:
            click.echo(f"{error.sentence}; trying again", err=True)
            stopping.wait(QUEUE_PAUSE_SECONDS)


@recordings.command()
@click.argument("email")
def verify(email: str) -> None:
    """Open every recording of EMAIL's account end to end; nothing is changed.

    The password is asked for. The exit status is 1 when a recording does not open.
    """
    password = click.prompt("Password", hide_input=True, err=True)
    try:
        findings = verify_recordings(services(), email.strip().lower(), password, _progress)
    except PanzotoError as error:
        raise _failure(error) from error
    _print_findings(findings)
    if any(finding.problem for finding in findings):
        raise SystemExit(1)


@backup.command("verify")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=SETTLE_SECONDS,
    show_default=True,
    help="Seconds to wait until the backups have reached what was looked at.",
)
def verify_backup(tables: tuple[str, ...], settle: float) -> None:
    """Restore a copy of each table from its backup, compare it row by row, and delete the copy.

    It is paid for as a restore and three scans of each table. The exit status
    is 1 when a row of the copy is missing or not as it was.
    """
    settings = services().settings
    known = [definition.name for definition in Resources(settings).definitions]
    if unknown := set(tables) - set(known):
        raise click.UsageError(
            f"There is no table {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    checker = Backup(settings.region, lambda line: click.echo(line, err=True), settle)
    try:
        verdicts = [checker.verify(table) for table in tables or known]
    except PanzotoError as error:
        raise _failure(error) from error
    table = Table(
        "Table",
        "Restored to (UTC)",
        "Same",
        "Changed meanwhile",
        "Missing",
        "Different",
        box=None,
        pad_edge=False,
    )
    for verdict in verdicts:
        moment = f"{verdict.restored_to:%Y-%m-%d %H:%M:%S}"
        same = verdict.compared - verdict.missing - verdict.different
        counts = (same, verdict.changed, verdict.missing, verdict.different)
        table.add_row(verdict.table, moment, *map(str, counts))
    show(table)
    for verdict in verdicts:
        for key in verdict.named:
            click.echo(f"not as it was: {verdict.table} {key}")
    if not all(verdict.is_good for verdict in verdicts):
        raise SystemExit(1)
    click.echo("Every row that did not change meanwhile came back as it was.")


@panzoto.command()
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
@click.option("--fargate", is_flag=True, help="On Fargate behind a load balancer, not on one machine.")
def cost(
    users: int,
    recordings_per_day: float,
    plays_per_day: float | None,
    visits_per_day: float,
    fargate: bool,
    **clip: float,
) -> None:
    """Print what a month costs at Amazon, item by item, with each item's formula."""
    plays = recordings_per_day / 10 if plays_per_day is None else plays_per_day
    usage = bills.Usage(users, recordings_per_day, plays, visits_per_day, **clip)
    listed = bills.prices()
    items = bills.monthly_cost(usage, listed, fargate)
    table = Table("Item", "Quantity", "Unit", "Price", "USD a month", "How", box=None, pad_edge=False)
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


def _failure(error: PanzotoError) -> click.ClickException:
    """Return what to tell an operator, who may have forgotten to say where AWS is."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
            return click.ClickException(NO_CREDENTIALS)
        cause = cause.__cause__ or cause.__context__
    return click.ClickException(error.sentence)


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
    table = Table("Recording", "Format", "Plain bytes", "Result", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            finding.file_id, finding.format or "-", str(finding.plain_bytes), finding.problem or "opens"
        )
    show(table)
    broken = sum(1 for finding in findings if finding.problem)
    click.echo(f"{len(findings)} recordings: {len(findings) - broken} open, {broken} do not")


def _run(act: Callable[[Resources], None]) -> None:
    try:
        act(Resources(services().settings, report=click.echo))
    except PanzotoError as error:
        raise _failure(error) from error


def _prepare(found: Resources) -> None:
    outcome = found.prepare()
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


def _optimize(found: Resources) -> None:
    found.optimize()
    checkpoint = services().settings.data_dir / "missing-claims.json"
    tally = write_missing_claims(checkpoint, _print_progress)
    click.echo(f"claims: {tally.rows} rows seen, {tally.written} written, {tally.conflicts} conflicts")


def _print_progress(tally: Tally) -> None:
    """Show the state in one line that overwrites itself; silent where nobody is watching."""
    if sys.stderr.isatty():
        click.echo(f"\rclaims: {tally.rows} rows seen, {tally.written} written", nl=False, err=True)


def _print_states(found: Resources) -> None:
    table = Table("Name", "Kind", "Status", "Facts", "Indexes", box=None, pad_edge=False)
    for state in found.states():
        facts = ", ".join(f"{name}: {value}" for name, value in state.facts.items())
        indexes = ", ".join(f"{name}: {value}" for name, value in state.indexes.items())
        table.add_row(state.name, state.kind, state.status, facts, indexes)
    show(table)

"""`flask panzoto backup …`: proof that backups are good, and one script to restore or to practise it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from panzoto.errors import PanzotoError
from panzoto.models import SweepMemory
from panzoto.operations.application import services
from panzoto.operations.backup import SETTLE_SECONDS, Backup, Verdict
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import show
from panzoto.operations.resources import Resources
from panzoto.operations.restoring import RESTORED, Outcome, Restoring
from panzoto.operations.verification import verify_recordings
from panzoto.services import Services

HOLD = "restore"

backup = Commands("backup", help="Backups: verify that they bring everything back.")


def _moment(_context: click.Context, _parameter: click.Parameter, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter("a moment such as 2026-11-20T21:14:59Z") from error
    if moment.tzinfo is None:
        raise click.BadParameter("with its zone, such as 2026-11-20T21:14:59Z")
    return moment.astimezone(UTC)


TO = click.option(
    "--to",
    "moment",
    required=True,
    callback=_moment,
    help="The moment, such as 2026-11-20T21:14:59Z; what changed within that second counts as before it.",
)
FOLDERS = click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="PREFIX",
    help="Also bring back this folder of the bucket, such as users/<user_id>/; may be given again.",
)
SAMPLE = click.option(
    "--sample",
    metavar="EMAIL",
    required=True,
    help="Open every recording of this account from what was restored: one that you keep for that.",
)
PASSWORD_FILE = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where the sample's password is, in its first line; without it, it is asked for.",
)


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
    known = Resources(settings).table_names
    if unknown := set(tables) - set(known):
        raise click.UsageError(
            f"There is no table {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    checker = Backup(settings.region, lambda line: click.echo(line, err=True), settle)
    verdicts = [checker.verify(table) for table in tables or known]
    show(_table_of(verdicts))
    for verdict in verdicts:
        for key in verdict.named:
            click.echo(f"not as it was: {verdict.table} {key}")
    if not all(verdict.is_good for verdict in verdicts):
        raise SystemExit(1)
    click.echo("Every row that did not change meanwhile came back as it was.")


@backup.command()
@TO
@FOLDERS
@SAMPLE
@PASSWORD_FILE
def restore(
    moment: datetime,
    folders: tuple[str, ...],
    sample: str,
    password_file: Path | None,
) -> None:
    """Bring tables and folders back to a moment, beside what is there; prints the settings to change to."""
    password = _password(password_file)
    _hold_sweeps()
    restoring = Restoring(services().settings, click.echo)
    outcome = _restored(restoring, moment, folders)
    opened = _open_sample(outcome, sample, password)
    for name in RESTORED:
        click.echo(f"{name.upper()}={getattr(outcome.settings, name)}")
    click.echo("Put these into the settings and start the service; then: flask panzoto recordings recount")
    click.echo(f"The sweeps stay held. When all is well: flask panzoto sweeps release {HOLD}")
    if not opened:
        raise SystemExit(1)


@backup.command()
@TO
@FOLDERS
@SAMPLE
@PASSWORD_FILE
def drill(
    moment: datetime,
    folders: tuple[str, ...],
    sample: str,
    password_file: Path | None,
) -> None:
    """Do what `restore` does, and delete the copies again: a restore that was never tried is a hope."""
    password = _password(password_file)
    _hold_sweeps()
    restoring = Restoring(services().settings, click.echo)
    outcome = _restored(restoring, moment, folders)
    try:
        opened = _open_sample(outcome, sample, password)
    finally:
        restoring.remove_copies(outcome)
    _release_sweeps()
    click.echo("The drill went well." if opened else "The drill failed: what was restored does not open.")
    if not opened:
        raise SystemExit(1)


def _table_of(verdicts: Sequence[Verdict]) -> Table:
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
    return table


def _password(file: Path | None) -> str:
    if file is not None:
        return file.read_text("utf-8").split("\n", 1)[0]
    password: str = click.prompt("Password of the sample's account", hide_input=True, err=True)
    return password


def _hold_sweeps() -> None:
    """Hold the sweeps: what removes things must not work on half of what there was."""
    try:
        SweepMemory.hold(HOLD, "everything is brought back to one moment")
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    click.echo("Held: no sweep removes anything.")


def _release_sweeps() -> None:
    try:
        SweepMemory.release(HOLD)
    except PanzotoError as error:
        raise click.ClickException(f"{error.sentence}. The sweeps are still held") from error
    click.echo("The sweeps are released.")


def _restored(restoring: Restoring, moment: datetime, folders: tuple[str, ...]) -> Outcome:
    suffix = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    try:
        outcome = restoring.run(moment, suffix, folders)
    except PanzotoError as error:
        raise click.ClickException(f"{error.sentence}. Copies end in -restored-{suffix}") from error
    click.echo(f"objects brought back: {outcome.objects_back}")
    for user_id in outcome.not_alive:
        click.echo(f"not among the live accounts, so deleted since or lost: {user_id}")
    return outcome


def _open_sample(outcome: Outcome, email: str, password: str) -> bool:
    """Open the recordings of the sample from the copies; whether there were any and all of them opened."""
    try:
        findings = verify_recordings(Services.build(outcome.settings), email.strip().lower(), password, iter)
    except PanzotoError as error:
        click.echo(f"{email}: {error.sentence}")
        return False
    for finding in findings:
        click.echo(f"{finding.file_id}: {finding.problem or 'opens'}")
    return bool(findings) and not any(finding.problem for finding in findings)

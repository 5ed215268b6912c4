"""`flask panzoto backup …`: proof that backups are good, and one script to restore or to practise it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from rich.table import Table

from panzoto.errors import PanzotoError
from panzoto.models import SweepMemory
from panzoto.operations.application import services
from panzoto.operations.asking import PASSWORD_FILE, password_of
from panzoto.operations.backup import Backup
from panzoto.operations.backup_verification import SETTLE_SECONDS, BackupVerification, Verdict
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import show, table_of
from panzoto.operations.going_through import AT_ONCE, going_through
from panzoto.operations.resources import Resources
from panzoto.operations.restoring import RESTORED, Outcome, Restoring
from panzoto.operations.verification import verify_recordings
from panzoto.services import Services

# Names of their own, so that a drill leaves alone what a restore holds that waits to be looked at.
HOLD, HOLD_OF_DRILL = "restore", "drill"

backup = Commands("backup", help="Backups: verify them, restore from them, drill that.")


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


@backup.command("verify")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this one; may be given again.")
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=SETTLE_SECONDS,
    show_default=True,
    help="Seconds to wait until the backups have reached what was looked at.",
)
@click.option(
    "--anew",
    is_flag=True,
    help="Forget an interrupted run and delete its copies, instead of going on with it.",
)
@AT_ONCE
def verify_backup(tables: tuple[str, ...], settle: float, anew: bool, at_once: int) -> None:
    """Restore a copy of each table from its backup, compare it row by row, and delete the copy.

    It is paid for as a restore and three scans of each table. The exit status
    is 1 when a row of the copy is missing or not as it was. Stopped or killed,
    it leaves the copies, and the same command goes on with them. How many rows
    there are is DynamoDB's own estimate, hours old.
    """
    settings = services().settings
    known = Resources(settings).table_names
    if unknown := set(tables) - set(known):
        raise click.UsageError(
            f"There is no table {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    checked = list(dict.fromkeys(tables)) or known
    report = partial(click.echo, err=True)
    with going_through(settings, at_once, report) as run:
        verification = BackupVerification(run, Backup(settings.region, report), settings.data_dir, settle)
        verdicts = verification.verify(checked, anew=anew)
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
    password = password_of(password_file, "Password of the sample's account")
    _hold_sweeps(HOLD)
    restoring, suffix = Restoring(services().settings, click.echo), _suffix()
    try:
        outcome = _restored(restoring, moment, suffix, folders)
        opened = _open_sample(outcome, sample, password)
    except BaseException:
        click.echo(f"What was restored so far ends in -restored-{suffix}; delete it before you begin anew.")
        click.echo(f"The sweeps stay held. To let them go again: flask panzoto sweeps release {HOLD}")
        raise
    for name in RESTORED:
        click.echo(f"{name.upper()}={getattr(outcome.settings, name)}")
    click.echo("Put these into the settings and start the service; then: flask panzoto recordings recount")
    click.echo(f"The sweeps stay held. When all is well: flask panzoto sweeps release {HOLD}")
    if outcome.not_erased:
        click.echo("First mend the rows named above, or what their owners had erased is back.")
    if not opened or outcome.not_erased:
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
    password = password_of(password_file, "Password of the sample's account")
    _hold_sweeps(HOLD_OF_DRILL)
    restoring, suffix = Restoring(services().settings, click.echo), _suffix()
    # However it ends, nothing that it made may stay, and least of all a hold, with which no chore is done.
    try:
        try:
            outcome = _restored(restoring, moment, suffix, folders)
            opened = _open_sample(outcome, sample, password)
        finally:
            restoring.remove_copies(suffix)
    finally:
        # The models of this process are bound to the copies, but for what remembers the hold.
        _release_sweeps(HOLD_OF_DRILL)
    click.echo("The drill went well." if opened else "The drill failed: what was restored does not open.")
    if not opened or outcome.not_erased:
        raise SystemExit(1)


def _table_of(verdicts: Sequence[Verdict]) -> Table:
    counted = ("Same", "Changed meanwhile", "Missing", "Different")
    table = table_of("Table", "Restored to (UTC)", *counted, whole=("Table",))
    for verdict in verdicts:
        same = verdict.compared - verdict.missing - verdict.different
        counts = (same, verdict.changed, verdict.missing, verdict.different)
        table.add_row(verdict.table, verdict.restored_to, *map(str, counts))
    return table


def _hold_sweeps(name: str) -> None:
    """Hold the sweeps: what removes things must not work on half of what there was."""
    try:
        SweepMemory.hold(name, "everything is brought back to one moment")
    except PanzotoError as error:
        raise click.ClickException(error.sentence) from error
    click.echo("Held: no sweep removes anything.")


def _release_sweeps(name: str) -> None:
    try:
        SweepMemory.release(name)
    except PanzotoError as error:
        raise click.ClickException(
            f"{error.sentence}. The sweeps are still held: flask panzoto sweeps release {name}"
        ) from error
    click.echo(f"The hold {name} is released.")


def _suffix() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}"


def _restored(restoring: Restoring, moment: datetime, suffix: str, folders: tuple[str, ...]) -> Outcome:
    outcome = restoring.run(moment, suffix, folders)
    click.echo(f"objects brought back: {outcome.objects_back}")
    for erasure in outcome.not_erased:
        click.echo(f"not erased again, since a row is damaged: {erasure}")
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
    if not findings:
        click.echo(f"{email}: has no recording that could be opened")
    for finding in findings:
        click.echo(f"{finding.file_id}: {finding.problem or 'opens'}")
    return bool(findings) and not any(finding.problem for finding in findings)

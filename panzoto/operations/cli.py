"""`flask panzoto …`: what operators run. Each noun has a file of its own."""

from __future__ import annotations

from flask import Flask

from panzoto.operations.account_commands import accounts
from panzoto.operations.backup_commands import backup
from panzoto.operations.chore_commands import chores
from panzoto.operations.command_group import Commands
from panzoto.operations.console_commands import console
from panzoto.operations.cost_commands import cost
from panzoto.operations.event_commands import events
from panzoto.operations.mail_commands import mail
from panzoto.operations.recording_commands import recordings
from panzoto.operations.resource_commands import resources
from panzoto.operations.sweep_commands import sweeps
from panzoto.operations.transcription_commands import transcriptions

panzoto = Commands("panzoto", help="Operate the service: its resources, its accounts, its workers.")
for command in (
    accounts,
    backup,
    chores,
    console,
    cost,
    events,
    mail,
    recordings,
    resources,
    sweeps,
    transcriptions,
):
    panzoto.add_command(command)


def init_app(app: Flask) -> None:
    """Add the commands to `app`."""
    app.cli.add_command(panzoto)

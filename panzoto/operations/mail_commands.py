"""`flask panzoto mail …`: the worker on letters."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from panzoto.mail.worker import RULES
from panzoto.operations.application import services
from panzoto.operations.command_group import Commands
from panzoto.operations.working import work_until_signalled
from panzoto.queues.consumer import Consumer
from panzoto.queues.queue import Queue

IS_OFF = "MAIL is off, so no letter leaves"

mail = Commands("mail", help="Letters: the worker that sends them.")


@mail.command("work")
@with_appcontext
def work() -> None:
    """Send the letters that wait in the queue until told to stop; processes that answer requests do, too."""
    settings, post = services().settings, services().post
    if post is None:
        raise click.ClickException(IS_OFF)
    consumer = Consumer(Queue(settings.mail_queue, settings.region), post.worker.handle, RULES)
    work_until_signalled(consumer)

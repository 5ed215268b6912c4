"""`flask panzoto events`: the worker on what the bucket tells."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from panzoto.operations.application import services
from panzoto.operations.working import at_once_option, work_until_signalled
from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.queue import Queue
from panzoto.recordings.bucket_events import commit_arrivals


@click.command()
@at_once_option
@with_appcontext
def events(at_once: int) -> None:
    """Work on the bucket's events until told to stop: commit uploads that have arrived."""
    settings, uploads = services().settings, services().uploads
    consumer = Consumer(
        Queue(settings.events_queue, settings.region),
        lambda message: commit_arrivals(uploads, message.body),
        Rules(at_once=at_once),
    )
    work_until_signalled(consumer)

"""`flask panzoto events`: the worker on what the bucket tells."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from panzoto.operations.application import services
from panzoto.queues.consumer import Consumer
from panzoto.queues.queue import Queue
from panzoto.recordings.bucket_events import commit_arrivals


@click.command()
@with_appcontext
def events() -> None:
    """Work on the bucket's events until told to stop: commit uploads that have arrived."""
    settings, uploads = services().settings, services().uploads
    consumer = Consumer(
        Queue(settings.events_queue, settings.region), lambda message: commit_arrivals(uploads, message.body)
    )
    consumer.run_until_signalled(lambda sentence: click.echo(sentence, err=True))

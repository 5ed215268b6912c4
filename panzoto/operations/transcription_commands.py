"""`flask panzoto transcriptions …`: the worker, and what an operator does with jobs."""

from __future__ import annotations

from itertools import islice

import click
from flask.cli import with_appcontext

from panzoto.errors import Finished, TranscriptionNotFound
from panzoto.models import Transcription
from panzoto.models.transcription import STATUSES
from panzoto.operations.application import services
from panzoto.operations.command_group import Commands
from panzoto.operations.command_output import show, table_of
from panzoto.operations.working import work_until_signalled
from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.queue import Queue
from panzoto.transcripts.engine import Engine, EngineSettings
from panzoto.transcripts.reads import read_no_more
from panzoto.transcripts.retrying import retry
from panzoto.transcripts.worker import HOLD_SECONDS, Limits, Worker

NO_ENGINE = "TRANSCRIPTION_URL is not set, so there is no engine to ask"
# The worker itself moves what failed aside; SQS would count each turn that a message waited for.
NEVER = 2**31

transcriptions = Commands("transcriptions", help="Transcripts: the worker, and the jobs it works on.")


@transcriptions.command("work")
@with_appcontext
def work() -> None:
    """Turn sound into words until told to stop."""
    read_no_more()
    settings = services().settings.transcription
    worker = _worker()
    rules = Rules(at_once=settings.at_once, hold_seconds=int(HOLD_SECONDS), tries=NEVER)
    consumer = Consumer(_queue(), worker.handle, rules)
    worker.stopping = consumer.stopping
    work_until_signalled(consumer)


@transcriptions.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs of this status.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
@with_appcontext
def list_jobs(status: str | None, limit: int) -> None:
    """List jobs, the newest first. What was said stands in none of them."""
    told_of = ("Status", "Progress", "Begun", "Recordings", "Asked", "Error")
    table = table_of("Transcription", "Account", *told_of, whole=("Transcription", "Account"))
    jobs = sorted(Transcription.all_of_status(status), key=lambda job: job.transcription_id, reverse=True)
    for job in islice(jobs, limit):
        told = job.to_public()
        table.add_row(
            job.transcription_id,
            job.user_id,
            job.status,
            f"{told['progress']:.0%}",
            str(told["attempts"]),
            str(len(job.file_ids)),
            f"{job.created_at:%Y-%m-%d %H:%M:%S}",
            (told["error"] or {}).get("code", ""),
        )
    show(table)


@transcriptions.command("cancel")
@click.argument("transcription_id")
@with_appcontext
def cancel(transcription_id: str) -> None:
    """Cancel a job that is not over."""
    job = Transcription.of_anybody(transcription_id)
    if job is None:
        raise TranscriptionNotFound()
    try:
        services().jobs.cancel(job.user_id, transcription_id)
    except Finished as error:
        raise click.ClickException(f"It is over already: {job.status}") from error
    click.echo("Canceled: nothing of it is written.")


@transcriptions.command("retry")
@click.argument("transcription_id")
@with_appcontext
def retry_job(transcription_id: str) -> None:
    """Let a failed job wait once more, as long as its message lives in the queue of failures."""
    retry(_queue(), transcription_id)
    click.echo("It waits once more.")


def _worker() -> Worker:
    known = services()
    settings = known.settings.transcription
    if settings.url is None:
        raise click.ClickException(NO_ENGINE)
    engine = Engine(
        EngineSettings(settings.url, settings.model, settings.api_key, float(settings.timeout_seconds))
    )
    limits = Limits(settings.max_bytes, settings.attempts, settings.per_user)
    return Worker(engine, known.playback, known.transcripts, known.jobs.messages, limits)


def _queue() -> Queue:
    settings = services().settings
    return Queue(settings.transcription.queue, settings.region)

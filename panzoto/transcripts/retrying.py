"""Trying a failed job once more: its message, with the keys, waits in the queue of failures for a while."""

from __future__ import annotations

from panzoto.errors import PanzotoError, TranscriptionNotFound
from panzoto.models import Transcription
from panzoto.models.transcription import CANCELED, FAILED, SUCCEEDED, overlapping
from panzoto.queues.queue import Inbox, Message, Queue
from panzoto.queues.queue_definition import dead_letter_name
from panzoto.transcripts.job_states import mark_failed, mark_queued
from panzoto.transcripts.messages import NoErrand, address_of

# How long what is looked through stays hidden, and how often nothing may come before it was all.
LOOKING_SECONDS = 60
EMPTY_ANSWERS = 2


class CannotRetry(PanzotoError):
    """There is no way to try the job again; the sentence says why."""

    met_by_clients = False
    status = 409
    code = "cannot_retry"


def retry(queue: Queue, transcription_id: str) -> Transcription:
    """Let a job that failed wait once more. Raises `CannotRetry`, `TranscriptionNotFound`, `Unavailable`."""
    dead = queue.sibling(dead_letter_name(queue.name)).inbox()
    message = _take(dead, transcription_id)
    if message is None:
        if Transcription.of_anybody(transcription_id) is None:
            raise TranscriptionNotFound()
        raise CannotRetry(
            "Its message is not in the queue of failures (any more), and with it the keys of the recordings: "
            "its owner can ask for the transcript again"
        )
    address = address_of(message.body)
    job = Transcription.of(address.user_id, address.transcription_id)
    if job is None:
        dead.delete(message)
        raise TranscriptionNotFound()
    if job.status in (SUCCEEDED, CANCELED):
        # A second copy, of whoever put it aside without knowing that it was done.
        dead.delete(message)
        raise CannotRetry("It has been tried again since, and is over")
    if job.seconds_left() <= 0:
        raise CannotRetry("It was asked for more than a day ago: its owner can ask for the transcript again")
    if job.status == FAILED:
        try:
            _wait_again(job)
        except CannotRetry:
            # It may be tried once that other job is over.
            dead.hold(message, 0)
            raise
    queue.send(message.body, job.user_id)
    dead.delete(message)
    return job


def _wait_again(job: Transcription) -> None:
    """Let the job wait. Raises `CannotRetry` where one of its recordings is or comes into another job."""
    _require_alone(job)
    error = job.value("error")
    # In this order: who asks meanwhile sees the job, or has been seen by the look at the end.
    job.wait_again()
    mark_queued(job)
    try:
        _require_alone(job)
    except CannotRetry:
        mark_failed(job)
        job.end(FAILED, error=error)
        raise


def _require_alone(job: Transcription) -> None:
    """Raises `CannotRetry` where one of the recordings is in another job that is not over."""
    active = Transcription.active_of(job.user_id)
    others = [one for one in active if one.transcription_id != job.transcription_id]
    other = overlapping(others, job.file_ids)
    if other is not None:
        raise CannotRetry(f"Another job of the same recordings is under way: {other.transcription_id}")


def _take(dead: Inbox, transcription_id: str) -> Message | None:
    """Take the message out of the queue of failures for a while, and leave in it what is not looked for."""
    others: list[Message] = []
    empty = 0
    try:
        while empty < EMPTY_ANSWERS:
            messages = dead.receive(10, LOOKING_SECONDS)
            empty = 0 if messages else empty + 1
            for message in messages:
                if _is_about(message, transcription_id):
                    others += [one for one in messages if one is not message]
                    return message
            others += messages
    finally:
        for other in others:
            dead.hold(other, 0)
    return None


def _is_about(message: Message, transcription_id: str) -> bool:
    try:
        return address_of(message.body).transcription_id == transcription_id
    except NoErrand:
        return False

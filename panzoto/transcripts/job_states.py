"""What the rows of recordings say of the job that is about them, and letting jobs come to their end.

The row of a recording follows the job's own by a moment; what counts for whether a recording is in a job is
the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from panzoto.errors import TokenInvalid
from panzoto.models import AudioFile, Transcription, User
from panzoto.models.attributes import rfc3339
from panzoto.models.transcription import FAILED, QUEUED
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import edit_all
from panzoto.recordings.transcript_state import known_of, setting

EXPIRED = {"code": "expired", "error": "The transcription was not finished within a day"}

log = logging.getLogger(__name__)


def queued(known: dict[str, Any], transcription_id: str) -> dict[str, Any]:
    """Return what a row says that waits for a job, and what it is to say again if that is canceled.

    Behind a job that was over before the row said so, that is what it said before that one.
    """
    before = [known.get("status"), known.get("transcription_id")]
    if before[0] == QUEUED:
        before = known.get("before") or [None, None]
    return {**known, "status": QUEUED, "transcription_id": transcription_id, "before": before}


def is_of(known: dict[str, Any], transcription_id: str) -> bool:
    """Whether the job may still write this recording's transcript: nothing was written after it was asked."""
    return known.get("transcription_id") == transcription_id and known.get("status") in (QUEUED, FAILED)


def mark_waiting(job: Transcription, file_ids: list[str]) -> None:
    """Let these rows say that they wait for the job, unless they do, or something was written since."""
    asked_at = rfc3339(job.created_at)

    def plan(rows: list[AudioFile], _: User) -> dict[str, Edit]:
        known = {row.file_id: known_of(row) for row in rows}
        return {
            file_id: Edit([setting(queued(state, job.transcription_id))])
            for file_id, state in known.items()
            if state.get("transcription_id") != job.transcription_id
            if (state.get("created_at") or "") < asked_at
        }

    edit_all(job.user_id, file_ids, plan)


def mark_failed(job: Transcription) -> None:
    """Let the rows say that the job came to nothing."""

    _mark(job, lambda known: {**known, "status": FAILED}, QUEUED)


def put_back(job: Transcription) -> None:
    """Let the rows say again what they said before the job."""

    def before(known: dict[str, Any]) -> dict[str, Any]:
        status, transcription_id = known.get("before") or (None, None)
        kept = {name: value for name, value in known.items() if name != "before"}
        return {**kept, "status": status, "transcription_id": transcription_id}

    # A worker may have marked them failed at the very moment that the job was canceled.
    _mark(job, before, QUEUED, FAILED)


def mark_queued(job: Transcription) -> None:
    """Let the rows wait again for a job that failed and is tried once more."""
    _mark(job, lambda known: {**known, "status": QUEUED}, FAILED)


def expire(job: Transcription) -> Transcription:
    """End a job that should be over by now; return it as it is then."""
    if not job.is_too_old:
        return job
    # The rows first: nobody would look at them again for a job that is over.
    mark_failed(job)
    if job.end(FAILED, error=EXPIRED):
        log.warning("transcription_expired", extra={"transcription_id": job.transcription_id})
    return Transcription.of(job.user_id, job.transcription_id) or job


def expire_all(jobs: Iterable[Transcription]) -> list[Transcription]:
    """Do so for many."""
    return [expire(job) for job in jobs]


def _mark(job: Transcription, change: Callable[[dict[str, Any]], dict[str, Any]], *statuses: str) -> None:
    """Change what those rows say of the job that say one of these statuses."""

    def plan(rows: list[AudioFile], _: User) -> dict[str, Edit]:
        known = {row.file_id: known_of(row) for row in rows}
        return {
            file_id: Edit([setting(change(state))])
            for file_id, state in known.items()
            if state.get("status") in statuses and state.get("transcription_id") == job.transcription_id
        }

    try:
        edit_all(job.user_id, job.file_ids, plan)
    except TokenInvalid:
        # The account is going, and its recordings with it.
        return

"""Transcriptions: ask for a transcript, see how far it is, cancel it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from panzoto import errors
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.transcript_answers import TranscriptionAnswer, TranscriptionsAnswer
from panzoto.blueprints.transcript_requests import NewTranscription, TranscriptionsQuery
from panzoto.blueprints.transcript_wishes import counting, keys_for_later, language_of
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import services
from panzoto.transcripts.jobs import Wish

blueprint = Blueprint("transcriptions", __name__, description="From sound to words")


@blueprint.post("/transcriptions")
@blueprint.doc(operationId="askForTranscript")
@blueprint.arguments(NewTranscription)
@blueprint.answers(
    202,
    TranscriptionAnswer,
    "It waits for its turn",
    errors.AudioFileNotFound,
    errors.TranscriptionUnavailable,
    errors.TranscriptionRunning,
    errors.TranscriptExists,
    errors.VaultNeeded,
    errors.PasswordNotSet,
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.ObjectNotFound,
    errors.ObjectChanged,
    errors.DecryptionFailed,
    errors.UnsupportedFormat,
    errors.NotAudio,
)
@blueprint.alt_response(
    200, schema=TranscriptionAnswer, description="The same was asked for before", success=True
)
def ask(wanted: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Ask for the transcript of one recording, or of several of one conversation."""
    user = signed_in_user()
    file_ids = wanted["file_ids"] if "file_ids" in wanted else [wanted["file_id"]]
    wish = Wish(file_ids, language_of(wanted), wanted["vocabulary"], wanted["replace"])
    job, is_new = services().jobs.ask(user, wish, keys_for_later(user, wanted), counting(user), asking())
    return {"transcription": job.to_public()}, 202 if is_new else 200


@blueprint.get("/transcriptions/<transcription_id>")
@blueprint.doc(operationId="getTranscription")
@blueprint.answers(200, TranscriptionAnswer, "How far it is", errors.TranscriptionNotFound)
def show(transcription_id: str) -> dict[str, Any]:
    """See how far a transcription is."""
    return {"transcription": services().jobs.find_and_expire(caller().user_id, transcription_id).to_public()}


@blueprint.get("/user/transcriptions")
@blueprint.doc(operationId="listTranscriptions")
@blueprint.arguments(TranscriptionsQuery, location="query")
@blueprint.answers(200, TranscriptionsAnswer, "The newest first", errors.InvalidRequest, errors.InvalidCursor)
def newest(query: dict[str, Any]) -> dict[str, Any]:
    """List the transcriptions, the newest first."""
    status = query["status"]
    shown, next_cursor = services().cursors.page(
        caller().user_id,
        f"transcriptions {status}",
        query["cursor"],
        query["limit"],
        read=lambda user_id, limit, before: services().jobs.page_and_expire(user_id, limit, before, status),
        position=attrgetter("transcription_id"),
    )
    return {"transcriptions": [job.to_public() for job in shown], "next_cursor": next_cursor}


@blueprint.delete("/transcriptions/<transcription_id>")
@blueprint.doc(operationId="cancelTranscription")
@blueprint.answers(
    204, None, "Canceled: nothing of it is written", errors.TranscriptionNotFound, errors.Finished
)
def cancel(transcription_id: str) -> tuple[str, int]:
    """Cancel a transcription that is not over."""
    services().jobs.cancel(caller().user_id, transcription_id)
    return "", 204

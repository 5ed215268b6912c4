"""Uploads: announce one, see how far it is, complete it, give it up."""

from __future__ import annotations

from typing import Any

from panzoto import errors
from panzoto.blueprints.answers import UploadAnswer, UploadState
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.recordings import owned
from panzoto.blueprints.requests import CompleteUpload, NewUpload
from panzoto.blueprints.transcript_answers import StoredAnswer
from panzoto.blueprints.transcript_wishes import ask_once_stored, checked
from panzoto.edge.guard import caller
from panzoto.edge.http import client_host, services
from panzoto.models import AudioFile
from panzoto.storage import StoredPart

blueprint = Blueprint("uploads", __name__, description="From the phone into the bucket")


@blueprint.post("/uploads")
@blueprint.doc(operationId="announceUpload")
@blueprint.arguments(NewUpload)
@blueprint.answers(201, UploadAnswer, "Announced; the bytes go to `upload`", errors.QuotaExceeded)
@blueprint.alt_response(
    200, schema=UploadAnswer, description="Announced before, with fresh URLs", success=True
)
def announce(new: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Announce a recording and get an address for its bytes."""
    row, is_new = services().uploads.announce(caller().user_id, **new)
    return _described(row)[0], 201 if is_new else 200


@blueprint.get("/uploads/<file_id>")
@blueprint.doc(operationId="getUpload")
@blueprint.answers(200, UploadState, "How far the upload is", errors.AudioFileNotFound)
def state(file_id: str) -> dict[str, Any]:
    """See how far an upload is, with addresses for what is missing."""
    answer, parts = _described(owned(file_id))
    stored = [{"part_number": part.number, "size": part.size, "etag": part.etag} for part in parts]
    return {**answer, "stored_parts": stored}


@blueprint.post("/uploads/<file_id>/complete")
@blueprint.doc(operationId="completeUpload")
@blueprint.arguments(CompleteUpload)
@blueprint.answers(
    200,
    StoredAnswer,
    "The recording is listed",
    errors.AudioFileNotFound,
    errors.UploadIncomplete,
    errors.SizeMismatch,
    errors.ChecksumMismatch,
)
def complete(wanted: dict[str, Any], file_id: str) -> dict[str, Any]:
    """List an uploaded recording."""
    wish = checked(wanted["transcribe"])
    return ask_once_stored(services().uploads.complete(owned(file_id)), wish)


@blueprint.delete("/uploads/<file_id>")
@blueprint.doc(operationId="abortUpload")
@blueprint.answers(204, None, "The upload is given up", errors.AudioFileNotFound, errors.UploadComplete)
def abort(file_id: str) -> tuple[str, int]:
    """Give up an upload that is not complete."""
    services().uploads.abort_for(file_id, caller().user_id)
    return "", 204


def _described(row: AudioFile) -> tuple[dict[str, Any], list[StoredPart]]:
    upload, parts = services().uploads.describe(row, client_host())
    answer = {
        "file_id": row.file_id,
        "s3_key": row.s3_key,
        "status": row.to_public()["status"],
        "upload": upload,
    }
    return answer, parts

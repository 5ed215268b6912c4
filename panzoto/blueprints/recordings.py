"""Recordings: note one, list them, see, name, bin and erase them, open them for playback."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from panzoto import errors
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.answers import AudioFileAnswer, AudioFilesAnswer, DecryptAnswer, DownloadAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.counted_calls import count_call
from panzoto.blueprints.playback import AS_WAV, playback_path
from panzoto.blueprints.requests import (
    AudioFileEdit,
    DecryptAudio,
    DeleteQuery,
    ListQuery,
    NewAudioFile,
    PageQuery,
    PasswordOnly,
)
from panzoto.blueprints.transcript_answers import StoredAnswer
from panzoto.blueprints.transcript_wishes import ask_once_stored, checked, unlock_keys
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import client_host, public_root, services
from panzoto.errors import ForbiddenKey
from panzoto.models import AudioFile
from panzoto.models.attributes import rfc3339
from panzoto.object_keys import lies_in_folder_of_another
from panzoto.playback.opening import Ticket
from panzoto.recordings import listing
from panzoto.recordings.ownership import require_proof

blueprint = Blueprint("recordings", __name__, description="Recordings of the signed-in user")


@blueprint.post("/audio-file")
@blueprint.doc(operationId="recordAudioFile")
@blueprint.arguments(NewAudioFile)
@blueprint.answers(
    201,
    StoredAnswer,
    "Recorded; repeating it gives the same record",
    errors.ForbiddenKey,
    errors.KeyTaken,
    errors.UploadIncomplete,
    errors.SizeMismatch,
    errors.ChecksumMismatch,
)
def record(new: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Note a recording whose object the phone put into the bucket itself."""
    user_id = caller().user_id
    if lies_in_folder_of_another(new["s3_key"], user_id):
        raise ForbiddenKey()
    wish = checked(new.pop("transcribe"))
    recorded = services().uploads.record(AudioFile.new(user_id, **new))
    return ask_once_stored(recorded, wish), 201


@blueprint.get("/user/audio-files")
@blueprint.doc(operationId="listAudioFiles")
@blueprint.arguments(ListQuery, location="query")
@blueprint.answers(
    200, AudioFilesAnswer, "The newest recordings first", errors.InvalidRequest, errors.InvalidCursor
)
def newest(query: dict[str, Any]) -> dict[str, Any]:
    """List the recordings, the newest first."""
    user_id, order = caller().user_id, query["order"]
    between = (query["from_"], query["to"])
    name = f"audio-files {order} {between}"
    return _page(user_id, order, name, query, between)


@blueprint.get("/user/trash")
@blueprint.doc(operationId="listTrash")
@blueprint.arguments(PageQuery, location="query")
@blueprint.answers(
    200,
    AudioFilesAnswer,
    "What is in the trash, the latest first",
    errors.InvalidRequest,
    errors.InvalidCursor,
)
def trash(query: dict[str, Any]) -> dict[str, Any]:
    """List what is in the trash, the latest first."""
    return _page(caller().user_id, "deleted_at", "trash", query, (None, None))


@blueprint.get("/audio-file/<file_id>")
@blueprint.doc(operationId="getAudioFile")
@blueprint.answers(200, AudioFileAnswer, "The recording", errors.AudioFileNotFound)
def show(file_id: str) -> dict[str, Any]:
    """See one recording."""
    return {"audio_file": owned(file_id).to_public()}


@blueprint.patch("/audio-file/<file_id>")
@blueprint.doc(operationId="changeAudioFile")
@blueprint.arguments(AudioFileEdit)
@blueprint.answers(200, AudioFileAnswer, "The recording as it is now", errors.AudioFileNotFound)
def change(wanted: dict[str, Any], file_id: str) -> dict[str, Any]:
    """Change what is known of a recording."""
    edited = services().trash.describe(file_id, caller().user_id, wanted)
    return {"audio_file": edited.to_public()}


@blueprint.delete("/audio-file/<file_id>")
@blueprint.doc(operationId="deleteAudioFile")
@blueprint.arguments(DeleteQuery, location="query")
@blueprint.answers(
    200, AudioFileAnswer, "The recording is in the trash", errors.InvalidRequest, errors.AudioFileNotFound
)
@blueprint.alt_response(204, description="The recording is erased for good", success=True)
def delete(query: dict[str, Any], file_id: str) -> Any:
    """Put a recording into the trash, or erase it for good."""
    if not query["permanent"]:
        return {"audio_file": services().trash.bin(file_id, asking()).to_public()}
    services().trash.erase_for(file_id, asking())
    return "", 204


@blueprint.post("/audio-file/<file_id>/restore")
@blueprint.doc(operationId="restoreAudioFile")
@blueprint.answers(
    200, AudioFileAnswer, "The recording is listed again", errors.AudioFileNotFound, errors.QuotaExceeded
)
def restore(file_id: str) -> dict[str, Any]:
    """Take a recording out of the trash."""
    return {"audio_file": services().trash.restore(file_id, caller().user_id).to_public()}


@blueprint.get("/audio-file/<file_id>/download")
@blueprint.doc(operationId="downloadAudioFile")
@blueprint.answers(
    200,
    DownloadAnswer,
    "Where the encrypted object is, for a while",
    errors.AudioFileNotFound,
    errors.NotOpenedYet,
    errors.ObjectNotFound,
)
def download(file_id: str) -> dict[str, Any]:
    """Ask where the encrypted object can be read."""
    audio_file = owned(file_id)
    require_proof(audio_file)
    version = services().storage.look(audio_file.s3_key)
    signed = services().presigner.get(audio_file.s3_key, client_host())
    return {
        "url": signed.url,
        "expires_at": rfc3339(signed.expires_at),
        "etag": version.etag,
        "size": version.size,
    }


@blueprint.post("/decrypt-audio", tags=["Playback"])
@blueprint.doc(operationId="decryptAudio")
@blueprint.arguments(DecryptAudio)
@blueprint.answers(
    200,
    DecryptAnswer,
    "Opened; a GET of download_url plays it",
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.AudioFileNotFound,
    errors.ObjectNotFound,
    errors.PasswordNotSet,
    errors.ObjectChanged,
    errors.SittingTooLong,
    errors.DecryptionFailed,
    errors.UnsupportedFormat,
    errors.ClipsNotJoinable,
)
def decrypt(wanted: dict[str, Any]) -> dict[str, Any]:
    """Open one recording, or several as one, for playback."""
    count_call()
    user = signed_in_user()
    keys = unlock_keys(user, wanted)
    opening = services().opening
    if "file_ids" in wanted:
        rows, ticket = opening.sitting(wanted["file_ids"], keys, asking())
        shown = [row.to_public() for row in rows]
        return _ready(shown, ticket, "The recordings are decrypted and play as one at download_url.")
    if "file_id" in wanted:
        audio_file, ticket = opening.by_id(wanted["file_id"], keys, asking())
    else:
        audio_file, ticket = opening.by_key(wanted["s3_key"], keys, asking())
    return _ready(audio_file.to_public(), ticket, "The recording is decrypted and ready at download_url.")


def _ready(file_info: Any, ticket: Ticket, message: str) -> dict[str, Any]:
    url = public_root() + playback_path(ticket.value)
    return {
        "status": "ready_for_transcription",
        "file_info": file_info,
        "message": message,
        "download_url": url,
        "expires_at": rfc3339(datetime.fromtimestamp(ticket.expires_at, UTC)),
    } | ({"wav_url": url + AS_WAV} if ticket.has_wav else {})


@blueprint.post("/audio-file/<file_id>/upgrade")
@blueprint.doc(operationId="upgradeAudioFile")
@blueprint.arguments(PasswordOnly)
@blueprint.answers(
    200,
    AudioFileAnswer,
    "The recording is version 2",
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.AudioFileNotFound,
    errors.ObjectNotFound,
    errors.PasswordNotSet,
    errors.ObjectChanged,
    errors.Conflict,
    errors.DecryptionFailed,
    errors.UnsupportedFormat,
)
def upgrade(wanted: dict[str, str], file_id: str) -> dict[str, Any]:
    """Rewrite a recording of the earlier apps as version 2."""
    count_call()
    user = signed_in_user()
    keys = services().accounts.unlock(user, wanted["password"], asking())
    return {"audio_file": services().upgrade.run(owned(file_id), keys).to_public()}


def owned(file_id: str) -> AudioFile:
    """Return the caller's recording. Raises `AudioFileNotFound`, for somebody else's as well."""
    return AudioFile.require(file_id, caller().user_id)


def _page(
    user_id: str, order: str, name: str, query: dict[str, Any], between: tuple[Any, Any]
) -> dict[str, Any]:
    cursors = services().cursors
    start = cursors.open(query["cursor"], user_id, name)
    found, position = listing.page(user_id, order, query["limit"], start, between)
    return {
        "audio_files": [audio_file.to_public() for audio_file in found],
        "next_cursor": None if position is None else cursors.seal(user_id, name, position),
    }

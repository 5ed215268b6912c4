"""Recordings: note one, list them, see, name, bin and erase them, open them for playback."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from panzoto.auth.guard import caller
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.playback import playback_path
from panzoto.errors import AudioFileNotFound, ForbiddenKey
from panzoto.http import client, client_host, limit_address, public_root, services
from panzoto.models import AudioFile, Event, library
from panzoto.models.attributes import rfc3339
from panzoto.models.audio_file import PENDING
from panzoto.playback import Keys, Ticket
from panzoto.schemas import (
    AudioFileEdit,
    DecryptAudio,
    DeleteQuery,
    ListQuery,
    NewAudioFile,
    PageQuery,
    PasswordOnly,
)
from panzoto.shapes import AudioFileAnswer, AudioFilesAnswer, DecryptAnswer, DownloadAnswer
from panzoto.upgrade import remember_format

UUID_SEGMENT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

blueprint = Blueprint("recordings", __name__, description="Recordings of the signed-in user")


@blueprint.post("/audio-file")
@blueprint.arguments(NewAudioFile)
@blueprint.answers(
    201, AudioFileAnswer, "Recorded; repeating it gives the same record", 400, 401, 403, 409, 415, 422
)
def record(new: dict[str, Any]) -> tuple[dict[str, Any], int]:
    user_id = caller().user_id
    _refuse_foreign_folder(new["s3_key"], user_id)
    recorded = library.record(AudioFile.new(user_id, **new))
    if recorded.status == PENDING:
        recorded = services().uploads.complete(recorded)
    return {"audio_file": recorded.to_public()}, 201


@blueprint.get("/user/audio-files")
@blueprint.arguments(ListQuery, location="query")
@blueprint.answers(200, AudioFilesAnswer, "The newest recordings first", 400, 401)
def newest(query: dict[str, Any]) -> dict[str, Any]:
    user_id, order = caller().user_id, query["order"]
    between = (query["from_"], query["to"])
    name = f"audio-files {order} {between}"
    if order == "recorded_at":
        library.account_of(user_id)
    return _page(user_id, order, name, query, between)


@blueprint.get("/user/trash")
@blueprint.arguments(PageQuery, location="query")
@blueprint.answers(200, AudioFilesAnswer, "What is in the trash, the latest first", 400, 401)
def trash(query: dict[str, Any]) -> dict[str, Any]:
    return _page(caller().user_id, "deleted_at", "trash", query, (None, None))


@blueprint.get("/audio-file/<file_id>")
@blueprint.answers(200, AudioFileAnswer, "The recording", 401, 404)
def show(file_id: str) -> dict[str, Any]:
    return {"audio_file": owned(file_id).to_public()}


@blueprint.patch("/audio-file/<file_id>")
@blueprint.arguments(AudioFileEdit)
@blueprint.answers(200, AudioFileAnswer, "The recording as it is now", 400, 401, 404, 415)
def change(wanted: dict[str, Any], file_id: str) -> dict[str, Any]:
    edited = services().shelf.describe(owned(file_id), wanted)
    return {"audio_file": edited.to_public()}


@blueprint.delete("/audio-file/<file_id>")
@blueprint.arguments(DeleteQuery, location="query")
@blueprint.answers(200, AudioFileAnswer, "The recording is in the trash", 400, 401, 404)
@blueprint.alt_response(204, description="The recording is erased for good", success=True)
def delete(query: dict[str, Any], file_id: str) -> Any:
    audio_file = owned(file_id)
    identity = caller()
    Event.of(
        identity.user_id,
        "recording_deleted",
        identity.session_id,
        client().address,
        file_id=file_id,
        permanent=query["permanent"],
    ).write()
    if not query["permanent"]:
        return {"audio_file": services().shelf.bin(audio_file).to_public()}
    services().shelf.erase(audio_file)
    return "", 204


@blueprint.post("/audio-file/<file_id>/restore")
@blueprint.answers(200, AudioFileAnswer, "The recording is listed again", 401, 404)
def restore(file_id: str) -> dict[str, Any]:
    return {"audio_file": services().shelf.restore(owned(file_id)).to_public()}


@blueprint.get("/audio-file/<file_id>/download")
@blueprint.answers(200, DownloadAnswer, "Where the encrypted object is, for a while", 401, 404)
def download(file_id: str) -> dict[str, Any]:
    audio_file = owned(file_id)
    version = services().storage.look(audio_file.s3_key)
    signed = services().presigner.get(audio_file.s3_key, client_host())
    return {
        "url": signed.url,
        "expires_at": rfc3339(signed.expires_at),
        "etag": version.etag,
        "size": version.size,
    }


@blueprint.post("/decrypt-audio")
@blueprint.arguments(DecryptAudio)
@blueprint.answers(
    200, DecryptAnswer, "Opened; a GET of download_url plays it", 400, 401, 403, 404, 409, 415, 422
)
def decrypt(wanted: dict[str, Any]) -> dict[str, Any]:
    limit_address("decrypt")
    user = signed_in_user()
    keys = services().accounts.unlock(user, wanted["password"], caller())
    if "file_ids" in wanted:
        return _open_sitting(wanted["file_ids"], keys)
    audio_file = _wanted(wanted, user.user_id)
    playback = services().playback
    opened = playback.open(audio_file.s3_key, keys, audio_file.format)
    audio_file = remember_format(audio_file, opened.format)
    ticket = playback.ticket(opened, caller())
    _note_decryption(file_id=audio_file.file_id)
    return _ready(audio_file.to_public(), ticket, "The recording is decrypted and ready at download_url.")


def _open_sitting(file_ids: list[str], keys: Keys) -> dict[str, Any]:
    user_id = caller().user_id
    rows = AudioFile.all_owned(file_ids, user_id)
    ticket, formats = services().sittings.open(rows, keys, caller())
    now_known = library.set_formats(
        user_id,
        {row.file_id: name for row, name in zip(rows, formats, strict=True) if row.format != name},
    )
    _note_decryption(file_ids=file_ids)
    shown = [now_known.get(row.file_id, row).to_public() for row in rows]
    return _ready(shown, ticket, "The recordings are decrypted and play as one at download_url.")


def _note_decryption(**which: Any) -> None:
    identity = caller()
    Event.of(identity.user_id, "recording_decrypted", identity.session_id, client().address, **which).write()


def _ready(file_info: Any, ticket: Ticket, message: str) -> dict[str, Any]:
    return {
        "status": "ready_for_transcription",
        "file_info": file_info,
        "message": message,
        "download_url": public_root() + playback_path(ticket.value),
        "expires_at": rfc3339(datetime.fromtimestamp(ticket.expires_at, UTC)),
    }


@blueprint.post("/audio-file/<file_id>/upgrade")
@blueprint.arguments(PasswordOnly)
@blueprint.answers(200, AudioFileAnswer, "The recording is version 2", 400, 401, 403, 404, 409, 415, 422)
def upgrade(wanted: dict[str, str], file_id: str) -> dict[str, Any]:
    user = signed_in_user()
    keys = services().accounts.unlock(user, wanted["password"], caller())
    return {"audio_file": services().upgrade.run(owned(file_id), keys).to_public()}


def owned(file_id: str) -> AudioFile:
    """Return the caller's recording. Raises `AudioFileNotFound`, for somebody else's as well."""
    found = AudioFile.owned(file_id, caller().user_id)
    if found is None:
        raise AudioFileNotFound()
    return found


def _wanted(wanted: dict[str, str], user_id: str) -> AudioFile:
    if "file_id" in wanted:
        return owned(wanted["file_id"])
    found = AudioFile.owned_by_s3_key(wanted["s3_key"], user_id)
    if found is None:
        raise AudioFileNotFound()
    return found


def _page(
    user_id: str, order: str, name: str, query: dict[str, Any], between: tuple[Any, Any]
) -> dict[str, Any]:
    cursors = services().cursors
    start = cursors.open(query["cursor"], user_id, name)
    found, position = AudioFile.page(user_id, order, query["limit"], start, between)
    return {
        "audio_files": [audio_file.to_public() for audio_file in found],
        "next_cursor": None if position is None else cursors.seal(user_id, name, position),
    }


def _refuse_foreign_folder(s3_key: str, user_id: str) -> None:
    segments = s3_key.split("/")
    if len(segments) > 1 and UUID_SEGMENT.fullmatch(segments[1]) and segments[1].lower() != user_id.lower():
        raise ForbiddenKey()

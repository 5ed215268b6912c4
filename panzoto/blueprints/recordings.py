"""Recordings: note one, list them, open one for playback."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from flask import request

from panzoto.auth.guard import caller
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.playback import playback_path
from panzoto.errors import AudioFileNotFound, ForbiddenKey
from panzoto.http import client, limit_address, services
from panzoto.models import AudioFile, Event
from panzoto.models.attributes import rfc3339
from panzoto.schemas import (
    AudioFileAnswer,
    AudioFilesAnswer,
    DecryptAnswer,
    DecryptAudio,
    ListQuery,
    NewAudioFile,
    PasswordOnly,
)

UUID_SEGMENT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)

blueprint = Blueprint("recordings", __name__, description="Recordings of the signed-in user")


@blueprint.post("/audio-file")
@blueprint.arguments(NewAudioFile)
@blueprint.answers(
    201, AudioFileAnswer, "Recorded; repeating it gives the same record", 400, 401, 403, 409, 415
)
def record(new: dict[str, Any]) -> tuple[dict[str, Any], int]:
    user_id = caller().user_id
    _refuse_foreign_folder(new["s3_key"], user_id)
    recorded = AudioFile.record(new["s3_key"], user_id, new["file_size"])
    return {"audio_file": recorded.to_public()}, 201


@blueprint.get("/user/audio-files")
@blueprint.arguments(ListQuery, location="query")
@blueprint.answers(200, AudioFilesAnswer, "The newest recordings first", 400, 401)
def newest(query: dict[str, int]) -> dict[str, Any]:
    found = AudioFile.newest(caller().user_id, query["limit"])
    return {"audio_files": [audio_file.to_public() for audio_file in found]}


@blueprint.post("/decrypt-audio")
@blueprint.arguments(DecryptAudio)
@blueprint.answers(200, DecryptAnswer, "Opened; a GET of download_url plays it", 400, 401, 404, 409, 415, 422)
def decrypt(wanted: dict[str, str]) -> dict[str, Any]:
    limit_address("decrypt")
    user = signed_in_user()
    keys = services().accounts.unlock(user, wanted["password"], caller())
    audio_file = _owned(wanted, user.user_id)
    playback = services().playback
    opened = playback.open(audio_file.s3_key, keys, audio_file.format)
    audio_file.remember_format(opened.format)
    ticket = playback.ticket(opened, caller())
    Event.of(
        user.user_id,
        "recording_decrypted",
        caller().session_id,
        client().address,
        file_id=audio_file.file_id,
    ).write()
    return {
        "status": "ready_for_transcription",
        "file_info": audio_file.to_public(),
        "message": "The recording is decrypted and ready at download_url.",
        "download_url": _public_root() + playback_path(ticket.value),
        "expires_at": rfc3339(datetime.fromtimestamp(ticket.expires_at, UTC)),
    }


@blueprint.post("/audio-file/<file_id>/upgrade")
@blueprint.arguments(PasswordOnly)
@blueprint.answers(200, AudioFileAnswer, "The recording is version 2", 400, 401, 404, 409, 415, 422)
def upgrade(wanted: dict[str, str], file_id: str) -> dict[str, Any]:
    user = signed_in_user()
    keys = services().accounts.unlock(user, wanted["password"], caller())
    audio_file = _owned({"file_id": file_id}, user.user_id)
    services().upgrade.run(user, audio_file, keys)
    return {"audio_file": audio_file.to_public()}


def _owned(wanted: dict[str, str], user_id: str) -> AudioFile:
    if "file_id" in wanted:
        found = AudioFile.owned(wanted["file_id"], user_id)
    else:
        found = AudioFile.owned_by_s3_key(wanted["s3_key"], user_id)
    if found is None:
        raise AudioFileNotFound()
    return found


def _refuse_foreign_folder(s3_key: str, user_id: str) -> None:
    segments = s3_key.split("/")
    if len(segments) > 1 and UUID_SEGMENT.fullmatch(segments[1]) and segments[1].lower() != user_id.lower():
        raise ForbiddenKey()


def _public_root() -> str:
    """Return the service's address as the client knows it, without a slash at the end."""
    return services().settings.public_url or request.host_url.rstrip("/")

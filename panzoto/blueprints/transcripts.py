"""Transcripts: read them sealed or opened, write one, follow what changes, find words in them."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

from flask import Response

from panzoto import errors
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.counted_calls import count_call
from panzoto.blueprints.openapi import JSON_TYPE
from panzoto.blueprints.requests import ChangesQuery
from panzoto.blueprints.transcript_answers import (
    SealedTranscript,
    SearchAnswer,
    TranscriptDocument,
    TranscriptsAnswer,
    UnlockAnswer,
    WrittenTranscript,
)
from panzoto.blueprints.transcript_requests import ReadTranscript, Search, UnlockTranscripts, WriteTranscript
from panzoto.crypto.transcripts import is_pair, private_key_of
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import services
from panzoto.errors import DecryptionFailed, PayloadTooLarge, VaultNeeded
from panzoto.models import Change
from panzoto.models.attributes import rfc3339
from panzoto.transcripts import finding
from panzoto.transcripts.records import LARGEST, Entry, Sealed
from panzoto.transcripts.rendering import FORMATS

blueprint = Blueprint("transcripts", __name__, description="What was said, readable by its owner alone")
KINDS = tuple(one.media_type for one in FORMATS.values() if one.media_type != JSON_TYPE)
FILE: dict[str, Any] = {
    "Content-Disposition": {
        "description": "The name for the file",
        "schema": {"type": "string", "examples": ['attachment; filename="transcript-1.txt"']},
    }
}


@blueprint.get("/audio-file/<file_id>/transcript")
@blueprint.doc(operationId="getTranscript")
@blueprint.answers(
    200,
    SealedTranscript,
    "The transcript as it is sealed",
    errors.AudioFileNotFound,
    errors.TranscriptNotFound,
)
def show(file_id: str) -> dict[str, Any]:
    """Get a transcript, sealed."""
    return _shown(services().transcripts.read(file_id, caller().user_id))


@blueprint.put("/audio-file/<file_id>/transcript")
@blueprint.doc(operationId="putTranscript")
@blueprint.arguments(WriteTranscript)
@blueprint.answers(
    200,
    WrittenTranscript,
    "Written; with `revision` only over that one",
    errors.AudioFileNotFound,
    errors.Conflict,
    errors.DecryptionFailed,
)
def write(wanted: dict[str, Any], file_id: str) -> dict[str, Any]:
    """Write a transcript that the client has sealed."""
    if len(wanted["sealed"]) > LARGEST:
        raise PayloadTooLarge(LARGEST)
    return services().transcripts.write_for_client(file_id, **wanted, by=asking()).to_public()


@blueprint.delete("/audio-file/<file_id>/transcript")
@blueprint.doc(operationId="deleteTranscript")
@blueprint.answers(
    204, None, "There is no transcript any more", errors.AudioFileNotFound, errors.TranscriptNotFound
)
def remove(file_id: str) -> tuple[str, int]:
    """Remove a transcript."""
    services().transcripts.remove(file_id, caller().user_id)
    return "", 204


@blueprint.get("/user/transcripts")
@blueprint.doc(operationId="listTranscripts")
@blueprint.arguments(ChangesQuery, location="query")
@blueprint.answers(
    200, TranscriptsAnswer, "What changed since, in order", errors.InvalidRequest, errors.InvalidCursor
)
def changes(query: dict[str, Any]) -> dict[str, Any]:
    """List the transcripts that changed since the last time, sealed, in order."""
    user_id, cursors = caller().user_id, services().cursors
    name, former_name = Change.names_of("transcripts")
    since = cursors.open(query["since"], user_id, name, former_name) or 0
    page = services().transcripts.page(user_id, since, query["limit"])
    return {
        "transcripts": [_entry(entry) for entry in page.entries],
        "next": cursors.seal(user_id, name, page.reached),
        "more": page.more,
    }


@blueprint.post("/transcripts/unlock")
@blueprint.doc(operationId="unlockTranscripts")
@blueprint.arguments(UnlockTranscripts)
@blueprint.answers(
    200,
    UnlockAnswer,
    "A ticket that opens transcripts and no sound",
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.PasswordNotSet,
    errors.VaultNeeded,
    errors.DecryptionFailed,
)
def unlock(wanted: dict[str, Any]) -> dict[str, Any]:
    """Get a ticket that opens transcripts for a while."""
    count_call()
    if "password" in wanted:
        private_key = _unlock_key(wanted["password"])
    else:
        private_key = _own_key(wanted["transcripts_key"])
    ticket = services().transcripts_tickets.unlock(private_key, asking())
    expires_at = rfc3339(datetime.fromtimestamp(ticket.expires_at, UTC))
    return {"ticket": ticket.value, "expires_at": expires_at}


@blueprint.post("/audio-file/<file_id>/transcript")
@blueprint.doc(operationId="readTranscript")
@blueprint.arguments(ReadTranscript)
@blueprint.streams(200, KINDS, "The transcript, readable", FILE)
@blueprint.answers(
    200,
    TranscriptDocument,
    "The transcript, readable",
    errors.InvalidTicket,
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.PasswordNotSet,
    errors.AudioFileNotFound,
    errors.TranscriptNotFound,
    errors.DecryptionFailed,
)
def read(wanted: dict[str, Any], file_id: str) -> Response:
    """Read a transcript as JSON, text or subtitles."""
    private_key = _take_key(wanted)
    found = services().transcripts.read(file_id, caller().user_id)
    written = FORMATS[wanted["format"]]
    with services().readings.one():
        content = written.write(finding.opened(found, private_key))
    response = Response(content, content_type=f"{written.media_type}; charset=utf-8")
    name = f"transcript-{found.row.file_id}.{written.extension}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@blueprint.post("/search")
@blueprint.doc(operationId="searchTranscripts")
@blueprint.arguments(Search)
@blueprint.answers(
    200,
    SearchAnswer,
    "Where everything that is wanted occurs, newest first",
    errors.InvalidTicket,
    errors.InvalidPassword,
    errors.AccountNeedsRecovery,
    errors.UserNotFound,
    errors.PasswordNotSet,
    errors.InvalidCursor,
)
def search(wanted: dict[str, Any]) -> dict[str, Any]:
    """Find words in all transcripts."""
    query = finding.parsed(wanted["query"])
    user_id, cursors = caller().user_id, services().cursors
    between = (wanted["from_"], wanted["to"])
    name = "search " + hashlib.sha256(repr((wanted["query"], between)).encode("utf-8")).hexdigest()
    position = cursors.open(wanted["cursor"], user_id, name)
    private_key = _take_key(wanted)
    looked_for = finding.Wanted(query, between, wanted["limit"], position)
    with services().searches.one():
        found = finding.find(services().transcripts, user_id, private_key, looked_for)
    return {
        "hits": [_hit(hit) for hit in found.hits],
        "next_cursor": None if found.position is None else cursors.seal(user_id, name, found.position),
        "searched": found.searched,
        "total": found.total,
    }


def _take_key(wanted: dict[str, Any]) -> bytes:
    """Take a ticket or a password for what opens transcripts; of the two only a password counts."""
    if "ticket" in wanted:
        return services().transcripts_tickets.open(wanted["ticket"], caller())
    count_call()
    return _unlock_key(wanted["password"])


def _unlock_key(password: str) -> bytes:
    keys = services().accounts.unlock(signed_in_user(), password, asking())
    return private_key_of(keys.the_vault_key())


def _own_key(private_key: bytes) -> bytes:
    public_key = services().vaults.transcripts_key(signed_in_user())
    if public_key is None:
        raise VaultNeeded()
    if not is_pair(private_key, public_key):
        raise DecryptionFailed()
    return private_key


def _shown(found: Sealed) -> dict[str, Any]:
    return {**found.row.to_public(), "sealed": base64.b64encode(found.sealed).decode("ascii")}


def _entry(entry: Entry) -> dict[str, Any]:
    if entry.transcript is None:
        return {"file_id": entry.file_id, "deleted": True}
    return _shown(entry.transcript)


def _hit(hit: finding.Hit) -> dict[str, Any]:
    return {
        "file_id": hit.row.file_id,
        "recorded_at": rfc3339(hit.row.listed_by),
        "matches": [
            {
                "start_ms": match.start_ms,
                "end_ms": match.end_ms,
                "before": match.before,
                "text": match.text,
                "after": match.after,
            }
            for match in hit.matches
        ],
    }

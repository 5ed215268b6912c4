"""Playback: the sealed ticket in the address is the only credential."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Response, request, url_for

from panzoto import errors
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.streams import Stream
from panzoto.edge.http import services
from panzoto.errors import InvalidRequest, RangeNotSatisfiable
from panzoto.media.media_type import file_name
from panzoto.playback.opening import Playable

blueprint = Blueprint("playback", __name__, description="Play an opened recording")
# A browser's tab shows a recording in a page that it makes itself, under the policy of the recording.
POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
# What `media_type` may find; a player looks at the header of the answer.
KINDS = ("audio/*", "application/octet-stream")
SEEKABLE: dict[str, Any] = {
    "Accept-Ranges": {"description": "Players may seek", "schema": {"const": "bytes"}},
    "ETag": {"description": "For `If-Range`, to go on with a download", "schema": {"type": "string"}},
}
PARTLY: dict[str, Any] = {
    "Content-Range": {
        "description": "First and last byte of this part, and the length of the whole",
        "required": True,
        "schema": {"type": "string", "examples": ["bytes 0-99/64000"]},
    }
}
RANGE: dict[str, Any] = {
    "in": "header",
    "name": "Range",
    "description": "One byte range of the plain recording",
    "schema": {"type": "string", "examples": ["bytes=0-65535"]},
}
IF_RANGE: dict[str, Any] = {
    "in": "header",
    "name": "If-Range",
    "description": "The `ETag` of the answer before: when the recording is another now, all of it comes",
    "schema": {"type": "string", "examples": ['"9bb58f26192e4ba00f01e2e7b136bbd8"']},
}
AS: dict[str, Any] = {
    "in": "query",
    "name": "as",
    "description": "`wav`: 16-bit PCM instead of AMR. Only where decrypt-audio gave a `wav_url`; else 400",
    "schema": {"type": "string", "enum": ["wav"], "examples": ["wav"]},
}
WAV = ["wav"]
# What follows the address of a recording to have it so.
AS_WAV = "?as=wav"
OTHER_KIND = "A recording is had as it is, or as wav"
ONE_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,100})\s*-\s*([0-9]{0,100})\s*", re.IGNORECASE)


def playback_path(ticket: str) -> str:
    """Return the path under which the holder of `ticket` plays its recording."""
    return url_for("playback.play", ticket=ticket)


@blueprint.get("/playback/<ticket>")
@blueprint.doc(operationId="playRecording", parameters=[AS, RANGE, IF_RANGE])
@blueprint.streams(200, KINDS, "The plain recording", SEEKABLE)
@blueprint.streams(206, KINDS, "The requested part of the plain recording", SEEKABLE | PARTLY)
@blueprint.failures(
    errors.InvalidRequest,
    errors.PlaybackNotFound,
    errors.ObjectNotFound,
    errors.ObjectChanged,
    errors.PlaybackExpired,
    errors.RangeNotSatisfiable,
    errors.DecryptionFailed,
    errors.TooManyStreams,
)
def play(ticket: str) -> Response:
    """Hear an opened recording, whole or a byte range of it.

    `HEAD` is known too, and `Range` with one byte range, with or without `If-Range`. AMR is had as WAV with
    `as=wav`.
    """
    opened = _as_wanted(services().playback.redeem(ticket))
    part = _requested_part(opened)
    if request.method == "HEAD":
        services().playback.check_unchanged(opened)
        return _response(opened, part, iter(()))
    plain = opened.recording.plain(*(part or (0, opened.recording.length)))
    return _response(opened, part, Stream(plain, "playback_aborted", opened.user_id, opened.opened_as))


def _as_wanted(opened: Playable) -> Playable:
    wanted = request.args.getlist("as")
    if not wanted:
        return opened
    if wanted != WAV:
        raise InvalidRequest(OTHER_KIND, {"as": OTHER_KIND})
    return services().playback.as_wav(opened)


def _requested_part(opened: Playable) -> tuple[int, int] | None:
    """Return (start, stop) of the one byte range asked for, or None for the whole.

    RFC 9110, 14.2: a range on another method than GET, of another unit,
    malformed, of several parts, or whose If-Range does not match is ignored.
    """
    wanted = ONE_RANGE.fullmatch(request.headers.get("Range", ""))
    if request.method != "GET" or wanted is None or not _if_range_matches(opened):
        return None
    return byte_range(wanted[1], wanted[2], opened.recording.length)


def byte_range(first: str, last: str, length: int) -> tuple[int, int] | None:
    """Return (start, stop) of `bytes=first-last` in `length` bytes, or None when it is to be ignored.

    Raises `RangeNotSatisfiable`. RFC 9110, 14.1.2.
    """
    if not first:
        suffix = int(last or "-1")
        if suffix == 0:
            raise RangeNotSatisfiable(length)
        return None if suffix < 0 or length == 0 else (max(0, length - suffix), length)
    start, final = int(first), int(last) if last else length - 1
    if last and final < start:
        return None
    if start >= length:
        raise RangeNotSatisfiable(length)
    return start, min(final + 1, length)


def _if_range_matches(opened: Playable) -> bool:
    condition = request.headers.get("If-Range")
    return condition is None or condition.strip() == opened.etag


def _response(opened: Playable, part: tuple[int, int] | None, body: Iterator[bytes]) -> Response:
    length = opened.recording.length
    start, stop = part or (0, length)
    response = Response(body, status=206 if part else 200, content_type=opened.content_type)
    response.headers["Content-Length"] = str(stop - start)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = opened.etag
    response.headers["Content-Security-Policy"] = POLICY
    name = file_name(opened.name, opened.content_type)
    response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    # nginx must not keep plain audio in a buffer file.
    response.headers["X-Accel-Buffering"] = "no"
    if part:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    return response

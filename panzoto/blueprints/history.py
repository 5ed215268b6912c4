"""What changed since, what belongs together, what was erased."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from panzoto import errors
from panzoto.blueprints.answers import ChangesAnswer, ErasuresAnswer, TimelineAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.requests import ChangesQuery, PageQuery, TimelineQuery
from panzoto.edge.guard import caller
from panzoto.edge.http import services
from panzoto.models import AudioFile, Change, Erasure
from panzoto.recordings.listing import take_up_and_list_changes
from panzoto.recordings.timeline import sittings

blueprint = Blueprint("history", __name__, description="Changes, sittings and erasures")


@blueprint.get("/user/changes")
@blueprint.doc(operationId="listChanges")
@blueprint.arguments(ChangesQuery, location="query")
@blueprint.answers(
    200, ChangesAnswer, "What changed since, in order", errors.InvalidRequest, errors.InvalidCursor
)
def changes(query: dict[str, Any]) -> dict[str, Any]:
    """List what changed since the last time, in order."""
    user_id, cursors = caller().user_id, services().cursors
    name, former_name = Change.names_of("changes")
    since = cursors.open(query["since"], user_id, name, former_name) or 0
    found = take_up_and_list_changes(user_id, since, query["limit"])
    return {
        "changes": [_change(change, found.rows.get(change.file_id)) for change in found.shown],
        "next": cursors.seal(user_id, name, found.reached),
        "more": found.more,
    }


@blueprint.get("/user/timeline")
@blueprint.doc(operationId="listSittings")
@blueprint.arguments(TimelineQuery, location="query")
@blueprint.answers(
    200, TimelineAnswer, "Sittings, the newest first", errors.InvalidRequest, errors.InvalidCursor
)
def timeline(query: dict[str, Any]) -> dict[str, Any]:
    """List what was recorded together, the newest sitting first."""
    user_id, cursors = caller().user_id, services().cursors
    name = f"timeline {query['gap']}"
    start = cursors.open(query["cursor"], user_id, name)
    found, position = sittings(user_id, query["gap"], query["limit"], start)
    return {
        "sittings": [sitting.to_public() for sitting in found],
        "next_cursor": None if position is None else cursors.seal(user_id, name, position),
    }


@blueprint.get("/user/erasures")
@blueprint.doc(operationId="listErasures")
@blueprint.arguments(PageQuery, location="query")
@blueprint.answers(
    200,
    ErasuresAnswer,
    "What was erased for good, the latest first",
    errors.InvalidRequest,
    errors.InvalidCursor,
)
def erasures(query: dict[str, Any]) -> dict[str, Any]:
    """List what was erased for good, the latest first."""
    shown, next_cursor = services().cursors.page(
        caller().user_id,
        "erasures",
        query["cursor"],
        query["limit"],
        read=Erasure.page,
        position=attrgetter("erasure_id"),
    )
    return {"erasures": [erasure.to_public() for erasure in shown], "next_cursor": next_cursor}


def _change(change: Change, row: AudioFile | None) -> dict[str, Any]:
    if row is not None and row.is_listed:
        return {"type": "upsert", "file_id": change.file_id, "audio_file": row.to_public()}
    return {"type": "delete", "file_id": change.file_id, "audio_file": None}

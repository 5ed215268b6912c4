"""The signed-in user's sessions: see them, end them."""

from __future__ import annotations

from typing import Any

from panzoto import errors
from panzoto.blueprints.answers import SessionsAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import services
from panzoto.models import Session

blueprint = Blueprint("sessions", __name__, description="The devices that are signed in")


@blueprint.post("/logout")
@blueprint.doc(operationId="logOut")
@blueprint.answers(204, None, "This session has ended")
def logout() -> tuple[str, int]:
    """End this session."""
    services().signing_out.this_one(asking())
    return "", 204


@blueprint.post("/logout-others")
@blueprint.doc(operationId="logOutOthers")
@blueprint.answers(204, None, "Every session but this one has ended")
def logout_others() -> tuple[str, int]:
    """End every session but this one."""
    services().signing_out.the_others(asking())
    return "", 204


@blueprint.get("/user/sessions")
@blueprint.doc(operationId="listSessions")
@blueprint.answers(200, SessionsAnswer, "The sessions that go on")
def sessions() -> dict[str, Any]:
    """List where the account is signed in."""
    current = caller()
    found = Session.all_of(current.user_id)
    return {"sessions": [session.to_public(current.session_id) for session in found]}


@blueprint.delete("/user/sessions/<session_id>")
@blueprint.doc(operationId="endSession")
@blueprint.answers(204, None, "That session has ended", errors.SessionNotFound)
def end(session_id: str) -> tuple[str, int]:
    """End one session."""
    services().signing_out.named(session_id, asking())
    return "", 204

"""The account itself: see it, move it to another address, take everything along, delete it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from flask import Response, request

from panzoto import errors
from panzoto.blueprints.account import signed_in_user
from panzoto.blueprints.answers import DeletionAnswer, EventsAnswer, ProfileAnswer, UserAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.counted_calls import count_call
from panzoto.blueprints.requests import DeletionProof, EmailChange, PageQuery
from panzoto.blueprints.streams import Stream
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import services
from panzoto.lifecycle import export
from panzoto.models import AudioFile, Event, User
from panzoto.models.attributes import rfc3339

blueprint = Blueprint("profile", __name__, description="The signed-in user's account itself")

ATTACHMENT: dict[str, Any] = {
    "Content-Disposition": {
        "description": "The name for the file",
        "schema": {"type": "string", "examples": ['attachment; filename="panzoto-export.zip"']},
    }
}


@blueprint.get("/user")
@blueprint.doc(operationId="getAccount")
@blueprint.answers(200, ProfileAnswer, "The account and what it uses", errors.UserNotFound)
def profile() -> dict[str, Any]:
    """See the account and what it uses."""
    user = signed_in_user()
    return {
        **user.to_public(),
        "email_verified": user.has_verified_email,
        "pending_email": user.value("pending_email"),
        "recovery_key_set": user.recovery_wrap() is not None,
        "vault": user.public_vault(),
        "transcription": services().jobs.told(),
        "usage": usage(user),
    }


@blueprint.post("/user/email")
@blueprint.doc(operationId="changeEmail")
@blueprint.arguments(EmailChange)
@blueprint.answers(
    200,
    UserAnswer,
    "Where letters leave, the new address has been asked for; else the account has it",
    errors.InvalidPassword,
    errors.UserNotFound,
    errors.UserExists,
    errors.EmailOfProvider,
    errors.PasswordNotSet,
    errors.Conflict,
)
def change_email(wanted: dict[str, str]) -> dict[str, Any]:
    """Move the account to another address.

    It moves when the code from the letter to that address comes back by `verify-email`; until then the
    account shows it as `pending_email`. The former address gets a letter by which it can be undone for
    seven days. Where the service sends no letters it moves at once.
    """
    count_call()
    user = signed_in_user()
    services().addresses.change(user, wanted["password"], wanted["email"], asking())
    return {"user": user.to_public()}


@blueprint.delete("/user")
@blueprint.doc(operationId="deleteAccount")
@blueprint.arguments(DeletionProof)
@blueprint.answers(
    202,
    DeletionAnswer,
    "The deletion has begun; the token is dead",
    errors.InvalidPassword,
    errors.InvalidProviderToken,
    errors.UserNotFound,
    errors.PasswordNotSet,
)
def delete(wanted: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Delete the account and everything in it.

    An account that signs in by OpenID may show a token that its provider issued within five minutes
    instead of the password.
    """
    count_call()
    user = signed_in_user()
    services().accounts.confirm_deletion(user, **wanted, caller=asking())
    started_at = services().deletion.begin(user, asking())
    return {"deletion": {"status": "in_progress", "started_at": rfc3339(started_at)}}, 202


@blueprint.get("/user/export")
@blueprint.doc(operationId="exportAccount")
@blueprint.streams(200, ("application/zip",), "A ZIP of everything, streamed", ATTACHMENT)
@blueprint.failures(errors.UserNotFound, errors.TooManyStreams)
def export_all() -> Response:
    """Take everything along as a ZIP file.

    It is made while it is sent: without `Content-Length` and ranges. A README and a program in it tell how
    its recordings open without the service.
    """
    user = signed_in_user()
    # Once it has begun, what goes wrong can only cut it off.
    services().storage.check()
    noted = None if request.method == "HEAD" else asking()
    archive = export.stream(user, services().storage, services().transcripts, noted)
    content = Stream(archive, "export_aborted", user.user_id, f"export of {user.user_id}")
    response = Response(content, content_type="application/zip")
    response.headers["Content-Disposition"] = 'attachment; filename="panzoto-export.zip"'
    response.headers["X-Accel-Buffering"] = "no"
    return response


@blueprint.get("/user/events")
@blueprint.doc(operationId="listEvents")
@blueprint.arguments(PageQuery, location="query")
@blueprint.answers(
    200,
    EventsAnswer,
    "What happened to the account, newest first",
    errors.InvalidRequest,
    errors.InvalidCursor,
)
def events(query: dict[str, Any]) -> dict[str, Any]:
    """List what happened to the account, the newest first."""
    shown, next_cursor = services().cursors.page(
        caller().user_id,
        "events",
        query["cursor"],
        query["limit"],
        read=Event.page,
        position=attrgetter("event_id"),
    )
    return {"events": [event.to_public() for event in shown], "next_cursor": next_cursor}


def usage(user: User) -> dict[str, int]:
    """Return what the account uses and may use; counted on the row, or one by one for older accounts."""
    settings = services().settings
    recordings, size = user.counted_usage() if user.is_counted else AudioFile.usage(user.user_id)
    return {
        "recordings": recordings,
        "bytes": size,
        "quota_recordings": settings.quota_recordings,
        "quota_bytes": settings.quota_bytes,
    }

"""Codes that came by mail: confirm an address, choose a new password."""

from __future__ import annotations

from typing import Any

from panzoto.auth.guard import caller
from panzoto.auth.throttle import mail_subject
from panzoto.blueprints.account import account, signed_in_user
from panzoto.blueprints.base import Blueprint
from panzoto.http import client, limit_address, services
from panzoto.schemas import CodeOnly, EmailOnly, PasswordReset
from panzoto.shapes import AccountShape, MailAnswer

entrance = Blueprint("mail_entrance", __name__, description="Codes that came by mail")
blueprint = Blueprint("mail", __name__, description="Mail to the signed-in user")
ACCEPTED = {"status": "accepted"}


@entrance.post("/verify-email")
@entrance.arguments(CodeOnly)
@entrance.answers(204, None, "The address is confirmed", 400, 415)
def verify_email(wanted: dict[str, str]) -> tuple[str, int]:
    limit_address("login")
    services().mailbox.confirm_address(wanted["code"])
    return "", 204


@blueprint.post("/user/verify-email")
@blueprint.answers(202, MailAnswer, "The code is sent again, unless the address is confirmed", 401, 404)
def send_verification() -> tuple[dict[str, str], int]:
    services().throttle.reserve(mail_subject(caller().user_id))
    services().mailbox.verification_requested(signed_in_user())
    return ACCEPTED, 202


@entrance.post("/password/forgot")
@entrance.arguments(EmailOnly)
@entrance.answers(202, MailAnswer, "A code is sent, if there is such an account", 400, 415)
def forgot_password(wanted: dict[str, str]) -> tuple[dict[str, str], int]:
    limit_address("login")
    services().throttle.reserve(mail_subject(wanted["email"]))
    services().mailbox.reset_requested(wanted["email"])
    return ACCEPTED, 202


@entrance.post("/password/reset")
@entrance.arguments(PasswordReset)
@entrance.answers(200, AccountShape, "The account has its new password", 400, 401, 403, 409, 415)
def reset_password(wanted: dict[str, Any]) -> dict[str, Any]:
    """Without the recovery key, what was recorded before stays listed and never opens again (422)."""
    limit_address("login")
    user = services().mailbox.user_to_reset(wanted.pop("code"))
    return account(*services().accounts.reset(user, **wanted, client=client()))

"""Codes that came by mail: confirm an address, choose a new password."""

from __future__ import annotations

from typing import Any

from panzoto import errors
from panzoto.blueprints.account import account, signed_in_user
from panzoto.blueprints.answers import AccountShape, MailAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.counted_calls import count_call
from panzoto.blueprints.requests import CodeOnly, EmailOnly, PasswordReset
from panzoto.edge.http import client, services

entrance = Blueprint("mail_entrance", __name__, description="Codes that came by mail")
blueprint = Blueprint("mail", __name__, description="Mail to the signed-in user")
ACCEPTED = {"status": "accepted"}


@entrance.post("/verify-email")
@entrance.doc(operationId="verifyEmail")
@entrance.arguments(CodeOnly)
@entrance.answers(204, None, "The address is confirmed", errors.InvalidCode)
def verify_email(wanted: dict[str, str]) -> tuple[str, int]:
    """Confirm an address with the code from the letter.

    The code of a letter to the address that the account asks for also moves the account there.
    """
    count_call()
    services().addresses.confirm(wanted["code"], client())
    return "", 204


@entrance.post("/email/undo")
@entrance.doc(operationId="undoEmailChange")
@entrance.arguments(CodeOnly)
@entrance.answers(
    204,
    None,
    "The account has its former address again, and every session has ended",
    errors.InvalidCode,
    errors.Conflict,
)
def undo_email(wanted: dict[str, str]) -> tuple[str, int]:
    """Take back a change of address with the code from the letter to the former one."""
    count_call()
    services().addresses.undo(wanted["code"], client())
    return "", 204


@blueprint.post("/user/verify-email")
@blueprint.doc(operationId="sendVerification")
@blueprint.answers(
    202, MailAnswer, "The code is sent again, unless the address is confirmed", errors.UserNotFound
)
def send_verification() -> tuple[dict[str, str], int]:
    """Send the letter that confirms the address once more."""
    services().mailbox.verification_requested(signed_in_user())
    return ACCEPTED, 202


@entrance.post("/password/forgot")
@entrance.doc(operationId="forgotPassword")
@entrance.arguments(EmailOnly)
@entrance.answers(202, MailAnswer, "A code is sent, if there is such an account")
def forgot_password(wanted: dict[str, str]) -> tuple[dict[str, str], int]:
    """Ask for a letter with which to choose a new password.

    Beyond so many letters an hour to one mailbox none is sent, and the answer is the same.
    """
    count_call()
    services().mailbox.reset_requested(wanted["email"])
    return ACCEPTED, 202


@entrance.post("/password/reset")
@entrance.doc(operationId="resetPassword")
@entrance.arguments(PasswordReset)
@entrance.answers(
    200,
    AccountShape,
    "The account has its new password",
    errors.InvalidCode,
    errors.InvalidRecoveryKey,
    errors.RecoveryFailed,
    errors.AccountLocked,
    errors.RecordingsWouldBeLost,
    errors.Conflict,
)
def reset_password(wanted: dict[str, Any]) -> dict[str, Any]:
    """Choose a new password with the code from the letter.

    Without the recovery key, what was recorded before stays listed and never opens again (422).
    """
    count_call()
    device = client(wanted.pop("device_name", None))
    user = services().mailbox.user_to_reset(wanted.pop("code"))
    return account(*services().recovery.reset(user, **wanted, client=device))

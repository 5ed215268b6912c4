"""Accounts: register, log in, recover; and for the signed-in user, the password and the recovery key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import g

from panzoto import errors
from panzoto.accounts.sessions import Grant
from panzoto.blueprints.answers import AccountShape, RecoveryKeyAnswer, RefreshAnswer
from panzoto.blueprints.base import Blueprint
from panzoto.blueprints.counted_calls import count_call
from panzoto.blueprints.requests import (
    Credentials,
    PasswordChange,
    PasswordOnly,
    Recovery,
    RecoveryInside,
    RefreshRequest,
    Registration,
)
from panzoto.crypto.derivation import DIRECT_KEY_ITERATIONS
from panzoto.edge.guard import asking, caller
from panzoto.edge.http import client, services
from panzoto.errors import TokenInvalid, UserNotFound
from panzoto.models import User
from panzoto.models.attributes import rfc3339

entrance = Blueprint("entrance", __name__, description="Register, log in and recover an account")
blueprint = Blueprint("account", __name__, description="The signed-in user's account")


@entrance.post("/register")
@entrance.doc(operationId="registerAccount")
@entrance.arguments(Registration)
@entrance.answers(201, AccountShape, "The account is made", errors.UserExists)
def register(wanted: dict[str, str]) -> tuple[dict[str, Any], int]:
    """Make an account and sign in."""
    count_call()
    device = client(wanted.get("device_name"))
    return account(*services().accounts.register(wanted["email"], wanted["password"], device)), 201


@entrance.post("/login")
@entrance.doc(operationId="logIn")
@entrance.arguments(Credentials)
@entrance.answers(
    200,
    AccountShape,
    "Signed in",
    errors.InvalidCredentials,
    errors.AccountLocked,
    errors.AccountNeedsRecovery,
)
def login(wanted: dict[str, str]) -> dict[str, Any]:
    """Sign in with email and password."""
    count_call()
    device = client(wanted.get("device_name"))
    return account(*services().accounts.sign_in(wanted["email"], wanted["password"], device))


@entrance.post("/recover")
@entrance.doc(operationId="recoverAccount")
@entrance.arguments(Recovery)
@entrance.answers(
    200,
    AccountShape,
    "The account has its new password",
    errors.InvalidRecoveryKey,
    errors.RecoveryFailed,
    errors.AccountLocked,
    errors.Conflict,
)
def recover(wanted: dict[str, str]) -> dict[str, Any]:
    """Get back in with the recovery key, under a new password."""
    count_call()
    device = client(wanted.pop("device_name", None))
    return account(*services().recovery.recover(**wanted, client=device))


@entrance.post("/token/refresh")
@entrance.doc(operationId="refreshToken")
@entrance.arguments(RefreshRequest)
@entrance.answers(
    200, RefreshAnswer, "The next pair of tokens of the same session", errors.InvalidRefreshToken
)
def refresh(wanted: dict[str, str]) -> dict[str, Any]:
    """Exchange a refresh token for the next pair of tokens."""
    return tokens_of(services().sessions.refresh(wanted["refresh_token"], client()))


@blueprint.post("/user/password")
@blueprint.doc(operationId="changePassword")
@blueprint.arguments(PasswordChange)
@blueprint.answers(
    200,
    AccountShape,
    "The password is changed; every recording still opens",
    errors.InvalidPassword,
    errors.UserNotFound,
    errors.Conflict,
)
def change_password(wanted: dict[str, Any]) -> dict[str, Any]:
    """Change the password; every recording opens with the new one.

    An account that signs in by OpenID sets its first password with `new_password` alone.

    Until then, what needs its password answers 409 `password_not_set`.
    """
    count_call()
    user = signed_in_user()
    grant = services().accounts.change_password(user, **wanted, caller=asking())
    services().earlier_keys.forget_after_change(user.user_id)
    return account(user, grant)


@blueprint.post("/user/recover")
@blueprint.doc(operationId="recoverVault")
@blueprint.arguments(RecoveryInside)
@blueprint.answers(
    200,
    AccountShape,
    "The account has its new password; every recording still opens",
    errors.InvalidRecoveryKey,
    errors.RecoveryFailed,
    errors.UserNotFound,
    errors.Conflict,
)
def recover_inside(wanted: dict[str, str]) -> dict[str, Any]:
    """Set a new password with the recovery key while signed in.

    For who signs in by OpenID and has lost the password of their recordings. Every other session ends.
    """
    count_call()
    user = signed_in_user()
    return account(user, services().recovery.recover_inside(user, **wanted, caller=asking()))


@blueprint.post("/user/recovery-key")
@blueprint.doc(operationId="makeRecoveryKey")
@blueprint.arguments(PasswordOnly)
@blueprint.answers(
    201,
    RecoveryKeyAnswer,
    "Shown this once; an earlier one is not taken any more",
    errors.InvalidPassword,
    errors.UserNotFound,
    errors.Conflict,
    errors.PasswordNotSet,
)
def make_recovery_key(wanted: dict[str, str]) -> tuple[dict[str, str], int]:
    """Make a new recovery key; an earlier one is not taken any more."""
    count_call()
    written, made_at = services().recovery.make_key(signed_in_user(), wanted["password"], asking())
    return {"recovery_key": written, "created_at": made_at}, 201


def signed_in_user() -> User:
    """Return the account that the caller's token speaks for. Raises `UserNotFound` and `TokenInvalid`."""
    user = User.find(caller().user_id)
    if user is None:
        raise UserNotFound()
    # The session ended with the lock, or the deletion, which this process may not have heard of yet.
    if user.is_locked or user.being_deleted:
        raise TokenInvalid()
    return user


def account(user: User, grant: Grant) -> dict[str, Any]:
    """Return what register and login give: tokens, and what the phone derives its keys from."""
    g.user_id = user.user_id
    return {
        **tokens_of(grant),
        "user_id": user.user_id,
        "key_salt": user.salt().hex(),
        "user": user.to_public(),
        "key_derivation": {"algorithm": "pbkdf2-hmac-sha256", "iterations": DIRECT_KEY_ITERATIONS},
        "vault": user.public_vault(),
    }


def tokens_of(grant: Grant) -> dict[str, Any]:
    """Return the tokens of a session as clients see them."""
    return {
        "token": grant.token,
        "refresh_token": grant.refresh_token,
        "expires_at": rfc3339(datetime.fromtimestamp(grant.expires_at, UTC)),
        "session_id": grant.session_id,
    }

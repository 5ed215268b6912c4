"""Accounts: register, log in, recover; and for the signed-in user, the password and the recovery key."""

from __future__ import annotations

from typing import Any

from flask import g

from panzoto.auth.guard import caller
from panzoto.blueprints.base import Blueprint
from panzoto.crypto.derivation import DIRECT_KEY_ITERATIONS
from panzoto.errors import UserNotFound
from panzoto.http import services
from panzoto.models import User
from panzoto.schemas import (
    AccountShape,
    Credentials,
    PasswordChange,
    PasswordOnly,
    Recovery,
    RecoveryKeyAnswer,
    Registration,
)

entrance = Blueprint("entrance", __name__, description="Register, log in and recover an account")
blueprint = Blueprint("account", __name__, description="The signed-in user's account")


@entrance.post("/register")
@entrance.arguments(Registration)
@entrance.answers(201, AccountShape, "The account is made", 400, 409, 415)
def register(credentials: dict[str, str]) -> tuple[dict[str, Any], int]:
    user = services().accounts.register(**credentials)
    return account(user), 201


@entrance.post("/login")
@entrance.arguments(Credentials)
@entrance.answers(200, AccountShape, "Signed in", 400, 401, 415)
def login(credentials: dict[str, str]) -> dict[str, Any]:
    user = services().accounts.sign_in(**credentials)
    return account(user)


@entrance.post("/recover")
@entrance.arguments(Recovery)
@entrance.answers(200, AccountShape, "The account has its new password", 400, 401, 409, 415)
def recover(wanted: dict[str, str]) -> dict[str, Any]:
    user = services().accounts.recover(wanted["email"], wanted["recovery_key"], wanted["new_password"])
    return account(user)


@blueprint.post("/user/password")
@blueprint.arguments(PasswordChange)
@blueprint.answers(
    200, AccountShape, "The password is changed; every recording still opens", 400, 401, 409, 415
)
def change_password(wanted: dict[str, str]) -> dict[str, Any]:
    user = signed_in_user()
    services().accounts.change_password(user, wanted["password"], wanted["new_password"])
    return account(user)


@blueprint.post("/user/recovery-key")
@blueprint.arguments(PasswordOnly)
@blueprint.answers(201, RecoveryKeyAnswer, "Shown this once; an earlier one is void", 400, 401, 409, 415)
def make_recovery_key(wanted: dict[str, str]) -> tuple[dict[str, str], int]:
    recovery_key, created_at = services().accounts.make_recovery_key(signed_in_user(), wanted["password"])
    return {"recovery_key": recovery_key, "created_at": created_at}, 201


def signed_in_user() -> User:
    """Return the account that the caller's token speaks for. Raises `UserNotFound`."""
    user = User.find(caller().user_id)
    if user is None:
        raise UserNotFound()
    return user


def account(user: User) -> dict[str, Any]:
    """Return what register and login give: a token and what the phone derives its keys from."""
    g.user_id = user.user_id
    vault = user.stored_vault()
    return {
        "token": services().tokens.mint(user.user_id),
        "user_id": user.user_id,
        "key_salt": user.salt().hex(),
        "user": user.to_public(),
        "key_derivation": {"algorithm": "pbkdf2-hmac-sha256", "iterations": DIRECT_KEY_ITERATIONS},
        "vault": vault.to_public() if vault else None,
    }

"""Register and log in."""

from __future__ import annotations

from typing import Any

from flask import g

from panzoto.blueprints.base import Blueprint
from panzoto.crypto.derivation import DIRECT_KEY_ITERATIONS
from panzoto.http import services
from panzoto.models import User
from panzoto.schemas import AccountShape, Credentials, Registration

entrance = Blueprint("entrance", __name__, description="Register and log in")


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

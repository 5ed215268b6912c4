"""Who may call: a guard is chosen for every blueprint where it is registered."""

from __future__ import annotations

from flask import g, request

from panzoto.auth.tokens import Identity
from panzoto.errors import TokenInvalid, TokenMissing
from panzoto.http import services

SCHEME = "bearer"


def open_to_all() -> None:
    """Anybody may call."""


def bearer() -> None:
    """Only who shows a valid access token may call; see `caller`."""
    # A browser asks for permission without a token before it sends one.
    if request.method == "OPTIONS":
        return
    identity = services().tokens.identify(_token())
    services().sessions.check(identity)
    g.identity = identity
    g.user_id = identity.user_id


def caller() -> Identity:
    """Return whom the guard let in."""
    identity: Identity = g.identity
    return identity


def _token() -> str:
    """Return the token of the Authorization header; old clients send it without `Bearer`."""
    value = request.headers.get("Authorization", "").strip()
    if not value:
        raise TokenMissing()
    scheme, _, token = value.partition(" ")
    if not token:
        return value
    if scheme.lower() != SCHEME:
        raise TokenInvalid()
    return token.strip()

"""Who may call: a guard is chosen for every blueprint where it is registered."""

from __future__ import annotations

from flask import g, request

from panzoto.auth import openid
from panzoto.auth.caller import Caller, Identity
from panzoto.auth.tokens import algorithm_of
from panzoto.crypto.permits import ask_for
from panzoto.edge.http import client, services
from panzoto.errors import AccountGone, TokenInvalid, TokenMissing, UserNotFound

SCHEME = "bearer"
# To phones in the field this call has always said so; every other says that the token is dead.
TELLS_OF_NO_USER = "recordings.decrypt"


def open_to_all() -> None:
    """Anybody may call."""


def bearer() -> None:
    """Only who shows a valid access token may call; see `caller`."""
    # A browser asks for permission without a token before it sends one.
    if request.method == "OPTIONS":
        return
    identity = _identify(_token())
    g.identity = identity
    g.user_id = identity.user_id
    ask_for(identity.user_id)


def caller() -> Identity:
    """Return whom the guard let in."""
    identity: Identity = g.identity
    return identity


def asking() -> Caller:
    """Return whom the guard let in, and from where they call."""
    return Caller(caller(), client())


def _identify(token: str) -> Identity:
    """Return whom `token` speaks for.

    The algorithm decides whose token it may be, and each side then accepts
    its own algorithms with its own keys only: ours HMAC, a provider's RSA and EC.
    """
    known = services()
    if known.openid is not None and algorithm_of(token) in openid.ALGORITHMS:
        return known.openid.identify(token, client())
    identity = known.tokens.identify(token)
    try:
        known.sessions.check(identity)
    except AccountGone as error:
        if request.endpoint == TELLS_OF_NO_USER:
            raise UserNotFound() from error
        raise
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

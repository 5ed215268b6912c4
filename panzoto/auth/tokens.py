"""Access tokens: JWT (RFC 7519), HS256 and nothing else, with typed claims.

`kid` names the secret by a fingerprint, so that a secret can be rotated while
tokens of the earlier one, and those of the earlier service, which have no
`kid`, go on working until they expire.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from typing import Any

import jwt

from panzoto.auth.caller import Identity
from panzoto.errors import TokenInvalid

ALGORITHM = "HS256"
KIND = "access"
LONGEST_TOKEN = 4096
# A clock that is a little ahead must not log phones out. Nothing is added to the end of a token's life.
CLOCK_AHEAD_SECONDS = 30
SESSION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
# RFC 9562, 4: the one way in which every service so far has written a user's id.
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Tokens:
    """Mints with the newest secret and accepts what any of the secrets signed."""

    def __init__(self, secret: str, fallbacks: tuple[str, ...], ttl_seconds: int) -> None:
        keys = [value.encode("utf-8", "surrogateescape") for value in (secret, *fallbacks)]
        self._newest = keys[0]
        self._keys = {_fingerprint(key): key for key in reversed(keys)}
        self._ttl_seconds = ttl_seconds

    def mint(self, user_id: str, session_id: str) -> tuple[str, int]:
        """Return an access token of a session and when it ends, in epoch seconds."""
        now = int(time.time())
        expires_at = now + self._ttl_seconds
        claims = {"user_id": user_id, "iat": now, "exp": expires_at, "typ": KIND, "sid": session_id}
        head = {"kid": _fingerprint(self._newest)}
        return jwt.encode(claims, self._newest, ALGORITHM, headers=head), expires_at

    def identify(self, token: str) -> Identity:
        """Return whom `token` speaks for. Raises `TokenInvalid` for anything wrong with it."""
        try:
            head, _ = unverified_parts(token, LONGEST_TOKEN)
            claims = self._verified(token, head)
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise TokenInvalid() from error
        return _identity(claims)

    def is_signed_here(self, token: str) -> bool:
        """Whether one of the secrets signed `token`, be it expired or not."""
        try:
            head, _ = unverified_parts(token, LONGEST_TOKEN)
        except (TokenInvalid, ValueError, RecursionError):
            return False
        named = self._keys.get(head["kid"]) if isinstance(head.get("kid"), str) else None
        keys = (
            [] if named is None and "kid" in head else [named] if named is not None else self._keys.values()
        )
        return any(_is_signed_by(token, key) for key in keys)

    def _verified(self, token: str, head: dict[str, Any]) -> dict[str, Any]:
        if "kid" in head:
            key = self._keys.get(head["kid"]) if isinstance(head["kid"], str) else None
            if key is None:
                raise TokenInvalid()
            return _decode(token, key)
        for key in self._keys.values():
            try:
                return _decode(token, key)
            except jwt.InvalidSignatureError:
                continue
        raise TokenInvalid()


def _decode(token: str, key: bytes) -> dict[str, Any]:
    required = ["exp", "iat", "user_id"]
    claims = jwt.decode(
        token, key, algorithms=[ALGORITHM], leeway=CLOCK_AHEAD_SECONDS, options={"require": required}
    )
    # PyJWT has compared it, and taken a text for a number.
    if isinstance(claims["exp"], bool) or not claims["exp"] > time.time():
        raise TokenInvalid()
    return claims


def _is_signed_by(token: str, key: bytes) -> bool:
    try:
        jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
        )
    except jwt.InvalidTokenError:
        return False
    return True


def _identity(claims: dict[str, Any]) -> Identity:
    user_id, issued_at, session_id = claims["user_id"], claims["iat"], claims.get("sid")
    if not _matches(UUID, user_id) or not (session_id is None or _matches(SESSION_ID, session_id)):
        raise TokenInvalid()
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise TokenInvalid()
    # Tokens of the earlier service have no `typ`; any other kind than access is refused.
    if claims.get("typ", KIND) != KIND:
        raise TokenInvalid()
    return Identity(user_id, int(issued_at), session_id)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def algorithm_of(token: str) -> str | None:
    """Return the algorithm that a token's header names, not verified, or None for what is no token."""
    try:
        algorithm = _object_without_duplicates(token.partition(".")[0]).get("alg")
    except (TokenInvalid, ValueError, RecursionError):
        return None
    return algorithm if isinstance(algorithm, str) else None


def unverified_parts(token: str, longest: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload, not verified, having refused what two readers could read in two ways.

    RFC 7515, 2 (base64url without padding), 4.1.11 (`crit` must be understood)
    and RFC 7519, 4 (duplicate names). Raises `TokenInvalid` and `ValueError`, `RecursionError`.
    """
    if len(token) > longest or not token.isascii():
        raise TokenInvalid()
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_is_canonical, parts)):
        raise TokenInvalid()
    head, payload = (_object_without_duplicates(part) for part in parts[:2])
    if "crit" in head or "b64" in head or not isinstance(payload.get("exp"), int | float):
        raise TokenInvalid()
    return head, payload


def _is_canonical(part: str) -> bool:
    """Whether a part is base64url just as a writer makes it: no padding, no stray characters or bits."""
    try:
        content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        return False
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii") == part


def _object_without_duplicates(part: str) -> dict[str, Any]:
    content = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    value = json.loads(content, object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise TokenInvalid()
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise TokenInvalid()
    return values


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"panzoto/v1/kid" + key).hexdigest()[:16]

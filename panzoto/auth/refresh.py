"""Refresh tokens: session, generation and a MAC over both (HMAC-SHA256, RFC 2104).

    base64url( session id (16) ‖ generation (4) ‖ user id ‖ MAC (32) )

Each follows from its session and generation, so nothing of a token need be
stored, not even a hash, and a phone that lost the reply can be given the same
successor again.  A genuine token that was used before is told from a forged
one, which must not be able to end anybody's session.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from dataclasses import dataclass

from panzoto.crypto.derivation import hkdf
from panzoto.errors import InvalidRefreshToken

SESSION_BYTES = 16
GENERATION_BYTES = 4
FIXED_BYTES = SESSION_BYTES + GENERATION_BYTES
MAC_BYTES = 32
LONGEST_TOKEN = 512
INFO = b"panzoto/v1/refresh-token"


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """What a genuine refresh token says."""

    user_id: str
    session_id: str
    generation: int


class RefreshTokens:
    """Writes tokens under the newest secret and reads those of every secret."""

    def __init__(self, secret: str, fallbacks: tuple[str, ...]) -> None:
        secrets = (secret, *fallbacks)
        self._keys = [hkdf(value.encode("utf-8", "surrogateescape"), INFO) for value in secrets]

    def write(self, claim: RefreshClaim) -> str:
        """Return the token of `claim`."""
        counted = claim.generation.to_bytes(GENERATION_BYTES, "big")
        body = uuid.UUID(claim.session_id).bytes + counted + claim.user_id.encode("utf-8")
        return base64.urlsafe_b64encode(body + _mac(self._keys[0], body)).rstrip(b"=").decode("ascii")

    def read(self, token: str) -> RefreshClaim:
        """Return what `token` says. Raises `InvalidRefreshToken` unless it was written here."""
        try:
            if len(token) > LONGEST_TOKEN:
                raise InvalidRefreshToken()
            padding = "=" * (-len(token) % 4)
            raw = base64.b64decode(token + padding, altchars=b"-_", validate=True)
            body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
            if not any(hmac.compare_digest(_mac(key, body), mac) for key in self._keys):
                raise InvalidRefreshToken()
            return RefreshClaim(
                user_id=body[FIXED_BYTES:].decode("utf-8"),
                session_id=str(uuid.UUID(bytes=body[:SESSION_BYTES])),
                generation=int.from_bytes(body[SESSION_BYTES:FIXED_BYTES], "big"),
            )
        except (ValueError, binascii.Error) as error:
            raise InvalidRefreshToken() from error


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")

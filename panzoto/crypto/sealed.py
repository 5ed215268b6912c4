"""Sealed values: what leaves the service and comes back unread, such as playback tickets.

A sealed value is AES-256-GCM under a key derived from `SECRET_KEY` for one
purpose, so that no kind can pass as another, with its expiry inside:

    base64url( key id (4) ‖ nonce (12) ‖ AES-GCM(HKDF(secret, "panzoto/v1/sealed/" ‖ purpose), JSON) )
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto.derivation import hkdf

SECRET_ID_BYTES = 4
NONCE_BYTES = 12
LONGEST = 16_384


class NotSealedHere(Exception):
    """The value was not sealed by this service for this purpose."""


class SealExpired(Exception):
    """The value is genuine but its time is over."""


class Sealer:
    """Seals with the newest secret and opens what any of the secrets sealed."""

    def __init__(self, secret: str, fallbacks: tuple[str, ...], purpose: str, longest: int = LONGEST) -> None:
        self._longest = longest
        secrets = (secret, *fallbacks)
        info = b"panzoto/v1/sealed/" + purpose.encode("ascii")
        keys = [hkdf(value.encode("utf-8", "surrogateescape"), info) for value in secrets]
        self._newest = keys[0]
        self._keys = {_secret_id(key): key for key in reversed(keys)}

    def seal(self, values: dict[str, Any], expires_at: int) -> str:
        """Return `values` sealed until `expires_at` (epoch seconds), safe to stand in a URL."""
        content = json.dumps({**values, "exp": expires_at}, ensure_ascii=False, separators=(",", ":"))
        nonce = os.urandom(NONCE_BYTES)
        secret_id = _secret_id(self._newest)
        sealed = AESGCM(self._newest).encrypt(nonce, content.encode("utf-8"), secret_id)
        return base64.urlsafe_b64encode(secret_id + nonce + sealed).rstrip(b"=").decode("ascii")

    def open(self, value: str, now: float) -> dict[str, Any]:
        """Return what was sealed. Raises `NotSealedHere` or, past its expiry, `SealExpired`."""
        try:
            raw = _decode(value, self._longest)
            secret_id = raw[:SECRET_ID_BYTES]
            nonce = raw[SECRET_ID_BYTES:][:NONCE_BYTES]
            content = AESGCM(self._keys[secret_id]).decrypt(
                nonce, raw[SECRET_ID_BYTES + NONCE_BYTES :], secret_id
            )
        except (KeyError, ValueError, InvalidTag, binascii.Error) as error:
            raise NotSealedHere() from error
        values: dict[str, Any] = json.loads(content)
        if values.pop("exp") <= now:
            raise SealExpired()
        return values


def _secret_id(key: bytes) -> bytes:
    return hashlib.sha256(b"panzoto/v1/secret-id" + key).digest()[:SECRET_ID_BYTES]


def _decode(value: str, longest: int) -> bytes:
    if len(value) > longest or not value.isascii():
        raise ValueError("not base64url")
    raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    # A second spelling of the same bytes is refused, so that one ticket has one address.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") != value:
        raise ValueError("not canonical")
    return raw

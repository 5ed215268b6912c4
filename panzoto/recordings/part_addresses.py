"""Signing the addresses of many parts at once (AWS Signature Version 4, query parameters).

botocore works out the whole request for each address. Those of one upload
differ in a number and a length alone, so from one that botocore has signed the
others follow, each by a hash and an HMAC.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
SIGNED_HEADERS = "content-length;host"
NUMBER, SIGNATURE = "partNumber=", "&X-Amz-Signature="


@dataclass(frozen=True, slots=True)
class PartAddresses:
    """What the addresses of the parts of one upload have in common."""

    _before_number: str
    _after_number: str
    _hashed: Any
    _between: bytes
    _behind: bytes
    _to_sign: bytes = field(repr=False)
    _key: bytes = field(repr=False)

    @classmethod
    def like(cls, address: str, number: int, length: int, secret_key: str) -> PartAddresses | None:
        """Return what signs as `address` is signed, that of part `number` with `length` bytes.

        None where it was signed in another way, or with another key than `secret_key`.
        """
        unsigned, _, signature = address.partition(SIGNATURE)
        parts = urlsplit(unsigned)
        pairs = sorted(pair for pair in parts.query.split("&") if not pair.startswith(NUMBER))
        told = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if told.get("X-Amz-SignedHeaders") != SIGNED_HEADERS or f"{NUMBER}{number}" not in parts.query:
            return None
        before = "".join(f"{pair}&" for pair in pairs if pair < NUMBER)
        after = "".join(f"&{pair}" for pair in pairs if pair > NUMBER)
        scope = told["X-Amz-Credential"].partition("/")[2]
        start, _, rest = unsigned.partition(f"{NUMBER}{number}")
        found = cls(
            f"{start}{NUMBER}",
            f"{rest}{SIGNATURE}",
            hashlib.sha256(f"PUT\n{parts.path}\n{before}{NUMBER}".encode()),
            f"{after}\ncontent-length:".encode(),
            f"\nhost:{parts.netloc}\n\n{SIGNED_HEADERS}\nUNSIGNED-PAYLOAD".encode(),
            f"{ALGORITHM}\n{told['X-Amz-Date']}\n{scope}\n".encode(),
            _signing_key(secret_key, scope),
        )
        return found if hmac.compare_digest(found._signature(str(number), length), signature) else None

    def of(self, number: int, length: int) -> str:
        """Return the address of part `number`, for exactly `length` bytes."""
        text = str(number)
        return f"{self._before_number}{text}{self._after_number}{self._signature(text, length)}"

    def _signature(self, number: str, length: int) -> str:
        hashed = self._hashed.copy()
        hashed.update(b"%s%s%d%s" % (number.encode(), self._between, length, self._behind))
        return hmac.digest(self._key, self._to_sign + hashed.hexdigest().encode(), "sha256").hex()


def _signing_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key

"""What other machines reach of the AWS stand-in: requests for objects that the service has signed.

A telephone in the same network needs the addresses that the service gives
out, and nothing else: no tables, no queue, no list of the bucket.  So whoever
is not this machine must bring a signature (AWS Signature Version 4 in the
query, "Authenticating Requests: Using Query Parameters" in Amazon S3's API
reference), which is checked here before a byte of a body is read.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import quote, unquote_to_bytes

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD", "PUT")
ALGORITHM = "AWS4-HMAC-SHA256"
SIGNATURE = "X-Amz-Signature"
# The parts of a signature in the query; a request needs each of them once.
OF_THE_SIGNATURE = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE,
)
LONGEST_SECONDS = 7 * 86400
CLOCKS_DIFFER = timedelta(minutes=15)
REFUSAL = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>AccessDenied</Code><Message>Other machines reach signed addresses of recordings only."
    b"</Message></Error>"
)


class Gate:
    """An ASGI application in front of another one, which lets this machine through and signed requests."""

    def __init__(self, application: Application, bucket: str, access_key: str, secret: str) -> None:
        self._application = application
        self._folder = f"/{bucket}/".encode()
        self._access_key = access_key
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass, and answer 403 to the rest."""
        if scope["type"] == "lifespan" or is_this_machine(scope.get("client")):
            await self._application(scope, receive, send)
        elif scope["type"] == "http" and self._may_pass(scope, datetime.now(UTC)):
            await self._application(without_signature(scope), receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"application/xml"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _may_pass(self, scope: Scope, now: datetime) -> bool:
        path: bytes = scope["raw_path"]
        if not path.startswith(self._folder) or path == self._folder:
            return False
        # A browser asks first whether it may, without the signature's headers.
        return scope["method"] == "OPTIONS" or self.is_signed(scope, now)

    def is_signed(self, scope: Scope, now: datetime) -> bool:
        """Whether the service has signed this very request, and for this hour."""
        pairs = query_pairs(scope["query_string"])
        query = dict(pairs)
        if len(query) != len(pairs) or not query.keys() >= set(OF_THE_SIGNATURE):
            return False
        if scope["method"] not in METHODS or query["X-Amz-Algorithm"] != ALGORITHM:
            return False
        headers = joined_headers(scope["headers"])
        signed = query["X-Amz-SignedHeaders"].split(";")
        unsigned = headers.keys() - set(signed)
        if "host" not in signed or any(name.startswith(("x-amz-", "authorization")) for name in unsigned):
            return False
        if not is_valid_at(now, query["X-Amz-Date"], query["X-Amz-Expires"]):
            return False
        access_key, _, credential_scope = query["X-Amz-Credential"].partition("/")
        parts = credential_scope.split("/")
        if access_key != self._access_key or len(parts) != 4 or parts[2:] != ["s3", "aws4_request"]:
            return False
        canonical = "\n".join(
            [
                scope["method"],
                quote(unquote_to_bytes(scope["raw_path"]), safe="/-_.~"),
                "&".join(
                    sorted(f"{encoded(name)}={encoded(value)}" for name, value in pairs if name != SIGNATURE)
                ),
                *(f"{name}:{headers.get(name, '')}" for name in signed),
                "",
                query["X-Amz-SignedHeaders"],
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = hashlib.sha256(raw(canonical)).hexdigest()
        to_sign = "\n".join([ALGORITHM, query["X-Amz-Date"], credential_scope, digest])
        expected = hmac.new(self._signing_key(parts), raw(to_sign), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), raw(query[SIGNATURE]))

    def _signing_key(self, parts: list[str]) -> bytes:
        key = f"AWS4{self._secret}".encode()
        for part in parts:
            key = hmac.new(key, raw(part), hashlib.sha256).digest()
        return key


def is_this_machine(client: Any) -> bool:
    """Whether an ASGI client, (address, port), is a program of this machine that came over loopback."""
    try:
        address = ip_address(client[0])
    except (TypeError, IndexError, ValueError):
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """Return the decoded names and values of a query, in which a plus is a plus."""
    parts = [part.partition(b"=") for part in query.split(b"&") if part]
    return [(decoded(name), decoded(value)) for name, _, value in parts]


def decoded(text: bytes) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def raw(text: str) -> bytes:
    """Return the bytes that were decoded, whatever they were."""
    return text.encode("utf-8", "surrogateescape")


def encoded(text: str) -> str:
    return quote(raw(text), safe="-_.~")


def joined_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers as they are signed: in small letters, several of one name joined by commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), " ".join(raw_value.decode("latin-1").split())
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def is_valid_at(now: datetime, signed_at: str, seconds: str) -> bool:
    """Whether a signature of the time `signed_at` (as 20130524T000000Z) holds, and will not for ever."""
    try:
        start = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lasts = int(seconds) if seconds.isascii() and seconds.isdigit() else 0
    except ValueError:
        return False
    if not 0 < lasts <= LONGEST_SECONDS:
        return False
    return start - CLOCKS_DIFFER <= now <= start + timedelta(seconds=lasts)


def without_signature(scope: Scope) -> Scope:
    """Return the request as this machine would send it, so that no name in it leads anywhere but to S3."""
    parts = [part for part in scope["query_string"].split(b"&") if part]
    kept = [part for part in parts if decoded(part.partition(b"=")[0]) not in OF_THE_SIGNATURE]
    headers = [(name, b"127.0.0.1" if name.lower() == b"host" else value) for name, value in scope["headers"]]
    return {**scope, "query_string": b"&".join(kept), "headers": headers}

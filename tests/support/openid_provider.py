"""An OpenID provider of the tests' own on loopback: discovery, keys that rotate, and a count of who asks."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.crowd_server import CrowdServer

AUDIENCE = "panzoto-phone"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class SigningKey:
    """One key pair with its name; `algorithm` is RS256 or ES256."""

    def __init__(self, kid: str | None, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: PrivateKey = (
            rsa.generate_private_key(65537, bits)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Return the public key as a JWK; a change to None takes a member away."""
        public = self.private.public_key()
        made = (
            RSAAlgorithm.to_jwk(public, as_dict=True)
            if isinstance(public, rsa.RSAPublicKey)
            else ECAlgorithm.to_jwk(public, as_dict=True)
        )
        members = {**made, "kid": self.kid, "use": "sig", "alg": self.algorithm, **changes}
        return {name: value for name, value in members.items() if value is not None}

    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: dict[str, Any], **head: Any) -> str:
        """Return a token of exactly these claims; `head` changes the header, None takes a name out of it."""
        headers = {"kid": self.kid, **head}
        named = {name: value for name, value in headers.items() if value is not None}
        payload = json.dumps(claims).encode()
        return jwt.api_jws.PyJWS().encode(payload, self.private, self.algorithm, named)


class Provider:
    """The provider's state; a test changes `keys`, `document` and `trouble` while it runs.

    `trouble` is what happens instead of an answer: `gone` (the connection is closed), `hangs`, `drips` (a
    byte at a time, for ever), `page` (HTML), `endless`, or a status such as 500 or 302.
    """

    def __init__(self, port: int, key: SigningKey) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realm"
        self.jwks_url = f"http://127.0.0.1:{port}/realm/keys"
        self.document: dict[str, Any] = {"issuer": self.issuer, "jwks_uri": self.jwks_url}
        self.key = key
        self.keys: list[dict[str, Any]] = [self.key.jwk()]
        self.trouble: str | int | None = None
        self.asked: list[str] = []
        self.user_agents: list[str] = []
        self.closing = threading.Event()

    def rotate(self, algorithm: str = "RS256", kid: str = "second") -> SigningKey:
        """Publish another key instead of all before, and return it."""
        self.key = SigningKey(kid, algorithm)
        self.keys = [self.key.jwk()]
        return self.key

    def claims(self, subject: str = "subject-1", **changes: Any) -> dict[str, Any]:
        """Return the claims of a good access token; a change to None takes a claim away."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 3600,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject: str = "subject-1", **changes: Any) -> str:
        return self.key.sign(self.claims(subject, **changes))

    def fetches(self) -> int:
        """How often the key set was asked for."""
        return sum(path.endswith("/keys") for path in self.asked)


# The first keys of providers that have ended: to make one takes longer than most of what is done with it.
_idle: list[SigningKey] = []


@contextmanager
def run_provider() -> Iterator[Provider]:
    """Run a provider on a free loopback port while the block runs, with a key that no other has meanwhile."""
    key = _idle.pop() if _idle else SigningKey("first")
    try:
        with _running(key) as provider:
            yield provider
    finally:
        _idle.append(key)


@contextmanager
def _running(key: SigningKey) -> Iterator[Provider]:
    server = CrowdServer(("127.0.0.1", 0), _Handler)
    provider = Provider(server.server_port, key)
    server.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider: Provider = self.server.provider  # type: ignore[attr-defined]
        provider.asked.append(self.path)
        provider.user_agents.append(self.headers.get("User-Agent", ""))
        answers = {
            "/realm/.well-known/openid-configuration": provider.document,
            "/realm/keys": {"keys": provider.keys},
        }
        body = json.dumps(answers.get(self.path, {})).encode()
        match provider.trouble:
            case None:
                self._answer(200 if self.path in answers else 404, body)
            case int(status):
                self._answer(status, body, Location="/realm/keys")
            case "gone":
                self.close_connection = True
            case "hangs":
                provider.closing.wait(30)
            case "page":
                self._answer(200, b"<html>We are having a pause</html>")
            case "drips":
                self._pour(b" ", 0.2)
            case "endless":
                self._pour(b" " * 65536, 0)
            case other:
                raise AssertionError(other)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _pour(self, piece: bytes, pause: float) -> None:
        provider: Provider = self.server.provider  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        try:
            while not provider.closing.wait(pause):
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """A server of the tests has nothing to say on the terminal."""


def decoded(part: str) -> bytes:
    """Return the bytes of one part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encoded(value: bytes | str | dict[str, Any]) -> str:
    """Return one part of a token."""
    text = json.dumps(value) if isinstance(value, dict) else value
    data = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

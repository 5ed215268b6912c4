"""How the checks ask: one connection-less HTTP client, and what a check says when something falls short."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any

TIMEOUT_SECONDS = 90
LONGEST_WAIT_SECONDS = 120
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PASSWORD = "a long walk by the river"


class FellShort(Exception):
    """The service did not do what the contract says; the text is the one sentence that says how."""


class Unreachable(Exception):
    """There is nobody at this address."""


def expect(true: object, otherwise: str) -> None:
    """Raise `FellShort` with this sentence unless `true`."""
    if not true:
        raise FellShort(otherwise)


@dataclass(frozen=True)
class Answer:
    """One answer: its status, headers and bytes, and what was asked, in words."""

    asked: str
    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the JSON object that the body is."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise FellShort(f"{self.asked} answered {self.status} without a JSON object")
        return value

    def good(self, status: int) -> dict[str, Any]:
        """Return the JSON of a success of this status, or an empty object for 204."""
        code = "" if self.status < 400 else f" {self.json().get('code')}"
        expect(self.status == status, f"{self.asked} answered {self.status}{code} instead of {status}")
        if status == 204:
            expect(self.body == b"", f"{self.asked} answered 204 with a body")
            return {}
        return self.json()

    def refused(self, status: int, code: str | None = None, sentence: str | None = None) -> dict[str, Any]:
        """Return the JSON of an error, having checked status, shape, and code and sentence where given."""
        expect(self.status == status, f"{self.asked} answered {self.status} instead of {status}")
        kind = self.headers.get_content_type()
        expect(kind == "application/json", f"{self.asked}: the error is {kind} instead of JSON")
        told = self.json()
        for name in ("error", "code", "request_id"):
            expect(isinstance(told.get(name), str) and told[name], f"{self.asked}: the error has no `{name}`")
        expect(re.fullmatch(r"[a-z][a-z0-9_]*", told["code"]), f"{self.asked}: the code is {told['code']!r}")
        expect(code in (None, told["code"]), f"{self.asked}: the code is {told['code']} instead of {code}")
        expect(
            sentence in (None, told["error"]),
            f"{self.asked}: the error says {told['error']!r} instead of {sentence!r}",
        )
        if status in (429, 503):
            expect(self.headers.get("Retry-After", "").isdigit(), f"{self.asked}: no Retry-After")
        return told


class _Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


_opener = urllib.request.build_opener(_Still)


class Service:
    """The service under examination."""

    def __init__(self, address: str, say: Callable[[str], None] = lambda _: None) -> None:
        # The paths asked for begin with /api; an address that ends with it means the same service.
        self.address = address.rstrip("/").removesuffix("/api")
        self._say = say

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: object = None,
        raw: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Send one request and return the answer, whatever it is; 429 is waited out, as a client should.

        `path` may be a whole address. `body` is sent as JSON, `raw` as it is.
        A header's name is written with underscores.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        url = path if "://" in path else self.address + path
        asked = f"{method} {urllib.parse.urlsplit(path).path[:60]}"
        waited = 0
        while True:
            answer = _send(urllib.request.Request(url, data, sent, method=method), asked)
            wait = answer.headers.get("Retry-After", "")
            if answer.status != 429 or not wait.isdigit() or waited + int(wait) > LONGEST_WAIT_SECONDS:
                return answer
            self._say(f"asked too often; waiting {wait} s, as told")
            time.sleep(int(wait) + 0.5)
            waited += int(wait) + 1

    def register(self, **more: Any) -> dict[str, Any]:
        """Make an account with an address that nobody has; return it, with `email` beside it."""
        email = f"conformance-{secrets.token_hex(8)}@example.com"
        wanted = {"email": email, "password": PASSWORD, **more}
        return {**self.ask("POST", "/api/register", body=wanted).good(201), "email": wanted["email"]}

    def login(self, email: str, password: str = PASSWORD, **more: Any) -> Answer:
        return self.ask("POST", "/api/login", body={"email": email, "password": password, **more})


def _send(request: urllib.request.Request, asked: str) -> Answer:
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return Answer(asked, response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(asked, error.code, error.headers, error.read())
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{asked}: no answer ({error})") from error


def has(value: object, what: str, **kinds: object) -> dict[str, Any]:
    """Check an object's fields: each is of this type, matches this pattern, or is this value."""
    if not isinstance(value, dict):
        raise FellShort(f"{what} is no object")
    for name, kind in kinds.items():
        expect(name in value, f"{what} has no `{name}`")
        _is(value[name], kind, f"`{name}` of {what}")
    return value


def _is(value: object, kind: object, what: str) -> None:
    if isinstance(kind, tuple):
        expect(any(_fits(value, one) for one in kind), f"{what} is {value!r}")
    else:
        expect(_fits(value, kind), f"{what} is {value!r}")


def _fits(value: object, kind: object) -> bool:
    if isinstance(kind, type):
        return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and bool(kind.fullmatch(value))
    return value == kind


def complain(text: str) -> None:
    print(text, file=sys.stderr)

"""Signing in as a migrated account and hearing one of its recordings, with a password given on a prompt."""

from __future__ import annotations

import getpass
import hashlib
import http.client
import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from panzoto.auth.tokens import Tokens
from panzoto.config import Settings
from panzoto.errors import InvalidPassword, PanzotoError
from panzoto.models import AudioFile, User
from panzoto.services import Services

HTTP_SECONDS = 60
PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording that was opened to its last byte."""

    file_id: str
    format: str
    plain_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one account; `failure` is a sentence, empty when all went well."""

    email: str
    heard: Heard | None = None
    over_http: bool = False
    failure: str = ""

    def sentence(self) -> str:
        if self.failure:
            return f"FAILED  {self.email}: {self.failure}"
        where = "signed in to the service and here" if self.over_http else "its password is right"
        if self.heard is None:
            return f"proved  {self.email}: {where}; it has no recordings"
        return (
            f"proved  {self.email}: {where}; recording {self.heard.file_id} opens whole "
            f"({self.heard.format}, {self.heard.plain_bytes} bytes)"
        )


class _Failed(Exception):
    """A proof did not succeed; the text says where."""


def ask_password(email: str) -> str:
    """Ask for the password of an account."""
    return ask(f"Password of {email}: ")


def ask(question: str) -> str:
    """Ask on the terminal without echo, or read a line where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass(question)
    return sys.stdin.readline().rstrip("\r\n")


@dataclass(frozen=True, slots=True)
class OldToken:
    """Whether a token of the legacy service is accepted, as a sentence that does not hold it."""

    accepted: bool

    @property
    def sentence(self) -> str:
        if self.accepted:
            return "proved  tokens of the legacy service are accepted, as long as they last"
        return (
            "FAILED  neither SECRET_KEY nor SECRET_KEY_FALLBACKS signed this token: carry the legacy "
            "service's SECRET_KEY into SECRET_KEY_FALLBACKS, or else every phone has to sign in anew"
        )


def old_token(settings: Settings, given: str) -> OldToken:
    """Judge a token that the legacy service gave; where none is given it is asked for, without echo."""
    token = given or ask("A token of the legacy service: ")
    tokens = Tokens(settings.secret_key, settings.secret_key_fallbacks, settings.token_ttl)
    return OldToken(tokens.is_signed_here(token.strip().removeprefix("Bearer ").strip()))


def prove(services: Services, email: str, password: str, service_url: str | None) -> Proof:
    """Verify the password as a login does and open the account's newest recording; nothing is changed.

    With `service_url` the running service is asked to do the same over HTTP. A
    first login gives an account its vault, there as for any user.
    """
    address = email.strip().lower()
    try:
        heard = _hear(services, address, password)
        if service_url is not None:
            _hear_over_http(service_url, address, password, heard)
    except _Failed as failure:
        return Proof(email, failure=str(failure))
    except PanzotoError as error:
        return Proof(email, failure=f"{error.code}: {error.sentence}")
    return Proof(email, heard, service_url is not None)


def _hear(services: Services, email: str, password: str) -> Heard | None:
    user = User.find_by_email(email)
    if user is None:
        raise _Failed("there is no such account")
    try:
        keys = services.vaults.look(user, password)
    except InvalidPassword as error:
        raise _Failed("the password is wrong") from error
    newest, _ = AudioFile.page(user.user_id, "uploaded_at", 1, None, (None, None))
    if not newest:
        return None
    opened = services.playback.open(newest[0].s3_key, keys, newest[0].format)
    if services.storage.look(newest[0].s3_key) != opened.version:
        raise _Failed(f"HEAD of recording {newest[0].file_id} tells another object than was opened")
    digest, heard = hashlib.sha256(), 0
    for piece in opened.recording.plain(0, opened.recording.length):
        digest.update(piece)
        heard += len(piece)
    if heard != opened.recording.length:
        raise _Failed(f"recording {newest[0].file_id} ended after {heard} bytes")
    return Heard(newest[0].file_id, opened.format, heard, digest.hexdigest())


def _hear_over_http(service_url: str, email: str, password: str, here: Heard | None) -> None:
    try:
        _compare_with_service(service_url.rstrip("/"), email, password, here)
    except urllib.error.HTTPError as error:
        raise _Failed(f"the service answered {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        # Not the error's own text: the ticket in a playback address is a credential.
        raise _Failed(f"the service cannot be understood or reached ({type(error).__name__})") from None


def _compare_with_service(base: str, email: str, password: str, here: Heard | None) -> None:
    account = _json("POST", f"{base}/api/login", None, {"email": email, "password": password})
    listed = _json("GET", f"{base}/api/user/audio-files?limit=1", account["token"], None)["audio_files"]
    if [row["file_id"] for row in listed] != ([here.file_id] if here else []):
        raise _Failed("the service lists another newest recording than the tables")
    if here is None:
        return
    body = {"password": password, "file_id": here.file_id}
    url = _json("POST", f"{base}/api/decrypt-audio", account["token"], body)["download_url"]
    with _open(url, method="HEAD") as answer:
        if int(answer.headers.get("Content-Length", -1)) != here.plain_bytes:
            raise _Failed("HEAD of the playback address tells another length than was opened")
    digest = hashlib.sha256()
    with _open(url) as answer:
        while piece := answer.read(PIECE):
            digest.update(piece)
    if digest.hexdigest() != here.sha256:
        raise _Failed("the service plays something else than was opened")


def _json(method: str, url: str, token: str | None, body: dict[str, str] | None) -> Any:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with _open(url, data=data, headers=headers, method=method) as answer:
        return json.load(answer)


def _open(url: str, **how: Any) -> Any:
    if not url.startswith(("http://", "https://")):
        raise _Failed("the service's address must begin with http:// or https://")
    request = urllib.request.Request(url, **how)  # noqa: S310 - checked above
    return urllib.request.urlopen(request, timeout=HTTP_SECONDS)  # noqa: S310 - checked above

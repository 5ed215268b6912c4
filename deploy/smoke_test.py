"""Does it work from end to end? `deploy/smoke https://voice.example.com` uploads, records, lists and plays.

It makes one account of its own and removes it again at the end, whatever
happened.  The recording is encrypted here, as a phone does it, and must be
heard byte for byte.  Prints what it did; exits with 1 at the first thing that
is not as it must be.  Never prints a password, a token or an address that
holds a ticket.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECONDS = 30
READY_SECONDS = 120
HELD_BACK_TIMES = 4
SOUND = b"\0\0\0\x18ftyp3gp4" + bytes(range(256)) * 64


class Failed(Exception):
    """Something is not as it must be; the sentence says what, without any secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its status and its body."""

    status: int
    body: bytes
    retry_after: int = 0

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A phone, as far as this test goes."""

    def __init__(self, base: str, directly: bool = False) -> None:
        # `make run` prints the address with the /api that every path here begins with.
        self.base = base.rstrip("/").removesuffix("/api")
        self._directly = directly
        self.token: str | None = None

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Send one request of the API. Raises `Failed` when nobody answers."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body is not None else None
        for _ in range(HELD_BACK_TIMES):
            answer = send(method, self.base + path, data, headers)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS or not answer.retry_after:
                return answer
            # Somebody else at this address was as busy; the test is not in a hurry.
            time.sleep(min(answer.retry_after, SECONDS * 2))
        return answer

    def play(self, address: str) -> Answer:
        """Ask for a playback address, at the service's public name or at the very process that is tried."""
        if self._directly:
            address = self.base + urlsplit(address).path
        return send("GET", address, None, {})


def send(method: str, url: str, data: bytes | None, headers: dict[str, str]) -> Answer:
    """Send one request to an address that may hold a secret. Raises `Failed`."""
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - checked in `main`
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return Answer(response.status, response.read())
    except urllib.error.HTTPError as error:
        with error:
            wait = error.headers.get("Retry-After", "")
            return Answer(error.code, error.read(), int(wait) if wait.isdigit() else 0)
    except OSError as error:
        # The system's own words, such as "Connection refused", which hold nothing of the address.
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or type(reason).__name__
        raise Failed(f"{urlsplit(url).netloc} does not answer: {why}") from error


def expect(what: str, answer: Answer, *statuses: int) -> Any:
    """Return the JSON of an answer with one of these statuses. Raises `Failed` with what it says instead."""
    if answer.status not in statuses:
        try:
            said = answer.json()
            why = f"{said.get('code')} (request {said.get('request_id')})"
        except (ValueError, AttributeError):
            why = "what is not our JSON"
        raise Failed(f"{what}: {answer.status}, {why}")
    print(f"{what}: ok")
    return answer.json() if answer.body else None


# What stands in front of the service keeps the question for the machine itself.
CLOSED = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def wait_until_ready(client: Client, seconds: float) -> None:
    """Raises `Failed` unless the service says within so many seconds that it can work.

    What it waits for is said at once, and again when that is something else.
    """
    deadline = time.monotonic() + seconds
    told = ""
    while True:
        try:
            answer = client.call("GET", "/api/health/ready")
            if answer.status in CLOSED:
                # From outside it cannot be asked, and what follows shows whether the stores are there.
                answer = client.call("GET", "/api/health")
            if answer.status == HTTPStatus.OK or time.monotonic() > deadline:
                expect("ready", answer, HTTPStatus.OK)
                return
            why = f"{urlsplit(client.base).netloc} answers {answer.status}"
        except Failed as failed:
            if time.monotonic() > deadline:
                raise
            why = str(failed)
        if why != told:
            print(f"smoke: not ready, waiting up to {seconds:g} s: {why}", file=sys.stderr, flush=True)
            told = why
        time.sleep(1)


def listen(client: Client, account: dict[str, Any], password: str) -> None:
    """Upload a recording, record it, list it, play it, and compare. Raises `Failed`."""
    salt = bytes.fromhex(account["key_salt"])
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 100_000, 32)
    iv = os.urandom(12)
    content = iv + AESGCM(key).encrypt(iv, SOUND, None)
    announced = expect(
        "upload announced", client.call("POST", "/api/uploads", {"file_size": len(content)}), 201
    )
    upload = announced["upload"]
    # Without a type of ours, Python would call the recording a form.
    headers = {"Content-Type": "application/octet-stream", **upload["headers"]}
    put = send(upload["method"], upload["url"], content, headers)
    if put.status != HTTPStatus.OK:
        raise Failed(f"upload: the bucket answers {put.status}")
    print("upload: ok")
    path = f"/api/uploads/{announced['file_id']}/complete"
    expect("recorded", client.call("POST", path, {}), 200)
    listed = expect("listed", client.call("GET", "/api/user/audio-files"), 200)["audio_files"]
    if [one["file_id"] for one in listed] != [announced["file_id"]]:
        raise Failed("listed: not the one recording that was made")
    wanted = {"password": password, "file_id": announced["file_id"]}
    opened = expect("opened", client.call("POST", "/api/decrypt-audio", wanted), 200)
    heard = client.play(opened["download_url"])
    if heard.status != HTTPStatus.OK or heard.body != SOUND:
        raise Failed(
            f"played: {heard.status}, {len(heard.body)} bytes, which are not those that were recorded"
        )
    print("played: ok")


def run(base: str, ready_seconds: float, directly: bool) -> None:
    """Do all of it, and remove the account again. Raises `Failed`."""
    client = Client(base, directly)
    wait_until_ready(client, ready_seconds)
    email, password = f"smoke-{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(24)
    body = {"email": email, "password": password}
    account = expect("registered", client.call("POST", "/api/register", body), 201)
    client.token = account["token"]
    try:
        listen(client, account, password)
    finally:
        expect("removed", client.call("DELETE", "/api/user", {"password": password}), 202)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="deploy/smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "base",
        metavar="URL",
        help="where the service is: https://voice.example.com, or http://127.0.0.1:5000 beside `make run`",
    )
    parser.add_argument(
        "--wait", type=float, default=READY_SECONDS, metavar="SECONDS", help="to become ready (%(default)s)"
    )
    parser.add_argument(
        "--directly",
        action="store_true",
        help="play at URL itself, not at the public name that the service gives out",
    )
    arguments = parser.parse_args()
    if urlsplit(arguments.base).scheme not in ("http", "https"):
        parser.error(
            "URL is an http or https address, such as https://voice.example.com, or http://127.0.0.1:5000"
            " beside `make run`"
        )
    try:
        run(arguments.base, arguments.wait, arguments.directly)
    except Failed as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    print("It works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

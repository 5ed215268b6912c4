"""A phone that follows docs/clients.md to the letter, and the bad network it does so over.

Each rule names its section there.  The waits can be made shorter, all by the
same measure; nothing else differs from what a phone in the field should do.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

from panzoto.crypto import segments, vault
from panzoto.crypto.permits import HashPermits
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Cut, CutSent, Delay, Fault, Hang, LoseReply, Refuse, Repeat, Request
from tests.support.recordings import single_shot

ATTEMPTS = 6
LONGEST_WAIT = 120.0
MOST_REFUSALS = 2
CUT_BYTES = 40


class GaveUp(Exception):
    """Six attempts in a row brought nothing (section 1.1): the phone comes back later."""


class Refused(Exception):
    """An answer that repeating does not change."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = str(body.get("code", ""))
        self.body = body


@dataclass(frozen=True)
class Patience:
    """How long a phone waits for an answer, and before it repeats; `pace` shortens the latter."""

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    pace: float = 1.0

    def pause(self, attempt: int, retry_after: str | None) -> None:
        """Wait as the service says, or else 0.5 s, 1 s, 2 s …, and up to a quarter more."""
        told = float(retry_after) if retry_after and retry_after.isdigit() else 0.5 * 2**attempt
        time.sleep(min(told, LONGEST_WAIT) * self.pace * random.uniform(1, 1.25))


class Content(Protocol):
    """The encrypted bytes of one recording, which stay the same however often they are read."""

    def read(self, start: int, stop: int) -> bytes: ...


@dataclass
class Kept:
    """A short object, in memory."""

    data: bytes

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


@dataclass
class KeptFile:
    """A long object, in a file."""

    path: Path

    def read(self, start: int, stop: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


@dataclass
class Clip:
    """A recording as it lies on the phone (section 5.1): what is announced, and how it is encrypted."""

    size: int
    seal: Callable[[str], Content]
    plain_sha256: str = ""
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    more: dict[str, Any] = field(default_factory=dict)
    _sealed: dict[str, Content] = field(default_factory=dict)

    def announcement(self) -> dict[str, Any]:
        return {"file_size": self.size, "client_id": self.client_id, **self.more}

    def content(self, s3_key: str) -> Content:
        """Return the bytes for `s3_key`: always the same, since parts of two encryptions open never."""
        if s3_key not in self._sealed:
            self._sealed = {s3_key: self.seal(s3_key)}
        return self._sealed[s3_key]


@dataclass
class Keys:
    """What a phone encrypts with, derived once."""

    account: dict[str, Any]
    password: str
    vault_key: bytes = b""

    def __post_init__(self) -> None:
        stored = vault.Vault.from_stored(self.account["vault"])
        self.vault_key = vault.unwrap(stored, self.account["user_id"], self.password, HashPermits(1, 60))

    def version_2(self, plain: bytes, **more: Any) -> Clip:
        """A recording as new apps make it: encrypted under the key that the announcement names."""

        def seal(s3_key: str) -> Content:
            return Kept(b"".join(segments.encrypt(self.vault_key, s3_key, [plain])))

        return Clip(object_size(len(plain)), seal, _sha256(plain).hex(), more=more)

    def single_shot(self, plain: bytes, **more: Any) -> Clip:
        """A recording that an earlier app had encrypted already; its checksum is announced."""
        data = single_shot(self.password, self.account["key_salt"], plain)
        checksum = base64.b64encode(_sha256(data)).decode()
        return Clip(len(data), lambda _: Kept(data), _sha256(plain).hex(), more={"sha256": checksum, **more})


def object_size(plain_size: int) -> int:
    """Return how long the version 2 object is (section 3.2)."""
    return 168 + plain_size + 16 * max(1, -(-(plain_size + 40) // 65520))


class Phone:
    """One signed-in phone; threads may share it.

    `service_url` is where it sends its calls, and `s3_url` where its presigned requests go
    instead of the host that was signed. `counts` tells what it met.
    """

    def __init__(
        self,
        account: dict[str, Any],
        password: str,
        service_url: str,
        s3_url: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.account = account
        self.counts: Counter[str] = Counter()
        self._password = password
        self._service_url = service_url
        self._s3_url = s3_url
        self._patience = patience or Patience()
        self._token: str = account["token"]
        self._refresh_token: str = account["refresh_token"]
        self._renewing = threading.Lock()

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """Send one call until it is answered (section 1.1). Raises `Refused`, `GaveUp`."""
        renewed = False
        while True:
            token = self._token
            status, answer = self._repeated(
                method, path, json=body, params=query, headers={"Authorization": f"Bearer {token}"}
            )
            if status == 401 and answer.get("code") == "token_invalid" and not renewed:
                self._renew(token)
                renewed = True
            elif status >= 400:
                raise Refused(status, answer)
            else:
                return answer

    def deliver(self, clip: Clip, says_complete: bool = True) -> str:
        """Upload a recording the whole way and return its file_id (section 5). Raises `Refused`, `GaveUp`.

        Without `says_complete` it falls silent once the bytes are in the bucket.
        """
        refusals = 0
        while True:
            announced = self.call("POST", "/api/uploads", clip.announcement())
            file_id: str = announced["file_id"]
            if announced["status"] == "stored":
                return file_id
            try:
                self.send(clip, announced)
                if says_complete:
                    self.call("POST", f"/api/uploads/{file_id}/complete", {})
                return file_id
            except Refused as refused:
                # Every way out is the same: announce again, and do what is missing then (5.3 to 5.5).
                refusals += 1
                self.counts[f"{refused.status} {refused.code}".strip()] += 1
                if refused.status not in (400, 403, 404, 409, 422) or refusals > MOST_REFUSALS:
                    raise

    def send(self, clip: Clip, announced: dict[str, Any], most_parts: int | None = None) -> None:
        """Put the bytes that are missing into the bucket, at most so many parts. Raises as `deliver`."""
        upload, content = announced["upload"], clip.content(announced["s3_key"])
        if upload["type"] == "single":
            self._put(upload["url"], upload["headers"], content.read(0, clip.size))
            return
        size = upload["part_size"]
        for part in upload["parts"][:most_parts]:
            start = (part["part_number"] - 1) * size
            self._put(part["url"], {}, content.read(start, min(start + size, clip.size)))

    def _put(self, url: str, headers: dict[str, str], data: bytes) -> None:
        """PUT until it is answered (5.3, 5.4): 412 means that an earlier attempt arrived."""
        parts = urlsplit(url)
        if self._s3_url is not None:
            # The signature covers the host that was signed, wherever the request is sent.
            url = parts._replace(netloc=urlsplit(self._s3_url).netloc).geturl()
        named = {**headers, "Host": parts.netloc}
        status, answer = self._attempts("PUT", url, (409, 429, 500, 502, 503, 504), data=data, headers=named)
        if status == 412:
            self.counts["412 already there"] += 1
        elif status >= 400:
            raise Refused(status, answer)

    def _renew(self, ended: str) -> None:
        """Refresh, or log in when the session has ended; one thread at a time (section 1.4)."""
        with self._renewing:
            if self._token != ended:
                return
            body = {"refresh_token": self._refresh_token}
            status, answer = self._repeated("POST", "/api/token/refresh", json=body)
            self.counts["refreshes"] += 1
            if status == 401:
                self.counts["logins"] += 1
                body = {"email": self.account["user"]["email"], "password": self._password}
                status, answer = self._repeated("POST", "/api/login", json=body)
            if status >= 400:
                raise Refused(status, answer)
            self._token, self._refresh_token = answer["token"], answer["refresh_token"]

    def _repeated(self, method: str, path: str, **how: Any) -> tuple[int, dict[str, Any]]:
        return self._attempts(method, self._service_url + path, (429, 502, 503, 504), **how)

    def _attempts(self, method: str, url: str, passing: tuple[int, ...], **how: Any) -> tuple[int, Any]:
        timeout = (self._patience.connect_seconds, self._patience.read_seconds)
        for attempt in range(ATTEMPTS):
            retry_after = None
            try:
                answer = requests.request(method, url, timeout=timeout, **how)
                decoded = _decoded(answer)
            except (requests.RequestException, ValueError):
                # No answer, or a broken one: it may have been carried out or not.
                self.counts["no answer"] += 1
            else:
                if answer.status_code not in passing:
                    return answer.status_code, decoded
                self.counts[str(answer.status_code)] += 1
                retry_after = answer.headers.get("Retry-After")
            self._patience.pause(attempt, retry_after)
        self.counts["gave up for now"] += 1
        raise GaveUp()


def _decoded(answer: requests.Response) -> Any:
    """Return the JSON of an answer; S3 speaks XML, of which only the status counts. Raises `ValueError`."""
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    return answer.json() if is_json and answer.content else {}


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def bad_weather(proxy: FaultProxy, seed: int, share: float) -> list[Fault]:
    """Let each kind of fault hit about `share` of the requests at random, whatever they are."""
    chance = random.Random(seed)

    def sometimes(times: float = 1.0) -> Callable[[Request], bool]:
        return lambda _: chance.random() < share * times

    busy = Answer(503, b"{}", "application/json", {"Retry-After": "1"})
    faults = [
        Fault(Delay(0.3), where=sometimes()),
        Fault(Refuse(), where=sometimes()),
        Fault(CutSent(CUT_BYTES), where=sometimes()),
        Fault(LoseReply(), where=sometimes()),
        Fault(Cut(CUT_BYTES), where=sometimes()),
        Fault(Repeat(), where=sometimes()),
        Fault(busy, where=sometimes(0.5)),
        Fault(Hang(), where=sometimes(0.2)),
    ]
    for fault in faults:
        proxy.add(fault)
    return faults


def sound(chance: random.Random, least: int, most: int) -> bytes:
    """Return AMR-like bytes of a random length, no two the same."""
    return b"#!AMR\n" + os.urandom(16) + chance.randbytes(chance.randint(least, most))

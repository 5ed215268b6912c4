"""People who do for real what `day` says: calls to a running service, each from an address of its own."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

from bench.support.day import Done
from tests.support.bursts import bursts, wav
from tests.support.engines import SpeechEngine, says
from tests.support.jobs import HEARD, recorded
from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import PASSWORD, Service
from tests.support.transcripts import Owner, path

# What each account has recorded before the day, so that a list of fifty is full.
HISTORY = 60
UPLOAD_BYTES = 80_000
# Beyond the first 64 KiB, so that opening takes as many requests as of a recording of a minute.
SOUND = wav(bursts(16_000, 3.0, (200, 900, 1800)))
BATCH = 25
SPARE = {"play": 0, "transcribe": 0, "read": 0, "bin": 0, "expire": 0}
WORDS_SAID = 150


@dataclass
class Person:
    """Somebody with an account, a device and recordings for what the day holds."""

    number: int
    service: Service
    owner: Owner
    refresh_token: str
    email: str
    spare: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    cursor: str | None = None
    # How many requests went to the service.
    calls: int = 0

    @property
    def address(self) -> str:
        return address_of(self.number)

    def call(self, method: str, path_: str, **how: Any) -> requests.Response:
        self.calls += 1
        answer = self.service.call(
            method, path_, self.owner.token, headers={"X-Forwarded-For": self.address}, **how
        )
        if not answer.ok:
            raise RuntimeError(f"{method} {path_} answered {answer.status_code}: {answer.text}")
        return answer

    def do(self, done: Done) -> None:
        """Do one thing of the day. Raises `RuntimeError` when the service refuses it."""
        ACTIONS[done.kind](self)

    def new_device(self) -> tuple[str, str]:
        """Sign in on one more device; return its tokens."""
        body = {"email": self.email, "password": PASSWORD}
        told = self.call("POST", "/api/login", json=body).json()
        return told["token"], told["refresh_token"]

    def use(self, token: str, refresh_token: str) -> None:
        """Go on with a device."""
        self.owner.token, self.refresh_token = token, refresh_token

    def refresh(self) -> None:
        answer = self.call("POST", "/api/token/refresh", json={"refresh_token": self.refresh_token}).json()
        self.owner.token, self.refresh_token = answer["token"], answer["refresh_token"]

    def list(self) -> None:
        self.call("GET", "/api/user/audio-files?limit=50")

    def sync(self) -> None:
        query = {"limit": 50} if self.cursor is None else {"limit": 50, "since": self.cursor}
        self.cursor = self.call("GET", "/api/user/changes", params=query).json()["next"]

    def upload(self) -> str:
        """As apps do (docs/clients.md, 5): announced under an id of the client's, put, completed.

        Return the recording's id.
        """
        announcement = {
            "file_size": UPLOAD_BYTES,
            "client_id": str(uuid.uuid4()),
            "content_type": "audio/mp4; codecs=mp4a.40.2",
            "duration_ms": 60_000,
            "recorded_at": _iso(time.time() - 90),
        }
        told = self.call("POST", "/api/uploads", json=announcement).json()
        upload = told["upload"]
        put = requests.put(upload["url"], os.urandom(UPLOAD_BYTES), headers=upload["headers"], timeout=60)
        put.raise_for_status()
        self.call("POST", f"/api/uploads/{told['file_id']}/complete", json={})
        return str(told["file_id"])

    def play(self) -> None:
        file_id, _ = self.spare["play"].pop()
        opened = self.call("POST", "/api/decrypt-audio", json={"password": PASSWORD, "file_id": file_id})
        sound = requests.get(opened.json()["download_url"], timeout=60)
        sound.raise_for_status()
        if sound.content != SOUND:
            raise RuntimeError("what was played is not what was recorded")

    def transcribe(self) -> None:
        file_id, file_key = self.spare["transcribe"].pop()
        self.call("POST", "/api/transcriptions", json={"file_id": file_id, "file_key": file_key})

    def read(self) -> None:
        self.call("GET", path(self.spare["read"].pop()))

    def bin(self) -> None:
        self.call("DELETE", f"/api/audio-file/{self.spare['bin'].pop()}")

    def expire(self) -> None:
        """What becomes of a recording whose time in the trash is over: it is erased."""
        self.call("DELETE", f"/api/audio-file/{self.spare['expire'].pop()}?permanent=true")

    def sign_in(self) -> None:
        self.call("POST", "/api/login", json={"email": self.email, "password": PASSWORD})

    def register(self) -> None:
        body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}
        self.call("POST", "/api/register", json=body)

    def delete_account(self) -> None:
        self.call("DELETE", "/api/user", json={"password": PASSWORD})


ACTIONS: dict[str, Callable[[Person], object]] = {
    "refresh": Person.refresh,
    "list": Person.list,
    "sync": Person.sync,
    "upload": Person.upload,
    "play": Person.play,
    "transcribe": Person.transcribe,
    "read": Person.read,
    "bin": Person.bin,
    "expire": Person.expire,
    "sign in": Person.sign_in,
    "register": Person.register,
    "delete account": Person.delete_account,
}


def prepared(
    service: Service, number: int, needs: dict[str, int], history: int = HISTORY, *, objects: bool = False
) -> Person:
    """Make an account with its history, and with what the day needs of it: recordings by kind of action.

    With `objects` the bucket has those of the history.

    What is made here is signed by the tests' own key where it goes to the tables directly.
    """
    email = f"person-{number}-{uuid.uuid4().hex[:8]}@example.com"
    body = {"email": email, "password": PASSWORD}
    there = {"X-Forwarded-For": address_of(number)}
    answer = service.call("POST", "/api/register", json=body, headers=there)
    if answer.status_code != 201:
        raise RuntimeError(f"no account: {answer.status_code} {answer.text}")
    account = answer.json()
    person = Person(number, service, Owner(service, account), account["refresh_token"], email)
    # A list is of rows as apps make them, before the day and on it, and so has one size all the time.
    first = person.upload()
    earlier = _remember_earlier(person, first, history)
    for s3_key in earlier if objects else ():
        service.put_object(s3_key, b"sound" * 9)
    for kind, count in needs.items():
        for _ in range(count):
            person.spare[kind].append(_recording_for(kind, person))
            _date_back(person, person.spare[kind][-1], hours=history + 1)
    for item in person.spare["expire"]:
        person.call("DELETE", f"/api/audio-file/{item}")
    # The device of the day is known, and its first look for changes has gone through all of them.
    person.sign_in()
    while True:
        query = {"limit": 200} if person.cursor is None else {"limit": 200, "since": person.cursor}
        told = person.call("GET", "/api/user/changes", params=query).json()
        person.cursor = told["next"]
        if not told["more"]:
            return person


def _recording_for(kind: str, person: Person) -> Any:
    if kind in ("play", "transcribe"):
        return recorded(person.owner, SOUND, content_type="audio/wav", duration_ms=3000)
    file_id = person.owner.record(content_type="audio/mp4", duration_ms=60_000)
    if kind == "read":
        said = random.Random(person.number).choices(("garden", "meeting", "Thursday", "about"), k=WORDS_SAID)
        person.owner.write(file_id, *(" ".join(said[at : at + 10]) for at in range(0, WORDS_SAID, 10)))
    return file_id


def _date_back(person: Person, spare: Any, hours: float) -> None:
    """Let a recording be older than all that a list of the newest shows."""
    file_id = spare if isinstance(spare, str) else spare[0]
    person.service.dynamodb().update_item(
        TableName=FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET uploaded_at = :moment, listed_at = :moment",
        ExpressionAttributeValues={":moment": {"N": f"{time.time() - 3600 * hours:.6f}"}},
    )


def _remember_earlier(person: Person, first: str, history: int) -> list[str]:
    """Write rows of earlier recordings as copies of the first, but of its id, and return their keys."""
    dynamodb = person.service.dynamodb()
    row = dynamodb.get_item(TableName=FILES_TABLE, Key={"file_id": {"S": first}})["Item"]
    now = time.time()
    rows = []
    for number in range(1, history):
        moment = {"N": f"{now - 3600 * number:.6f}"}
        rows.append(
            row
            | {
                "file_id": {"S": str(uuid.uuid4())},
                "s3_key": {"S": f"users/{person.owner.user_id}/{uuid.uuid4()}"},
                "uploaded_at": moment,
                "listed_at": moment,
                "recorded_at": moment,
            }
        )
    puts = [{"PutRequest": {"Item": item}} for item in rows]
    for start in range(0, len(puts), BATCH):
        dynamodb.batch_write_item(RequestItems={FILES_TABLE: puts[start : start + BATCH]})
    dynamodb.update_item(
        TableName=USERS_TABLE,
        Key={"user_id": {"S": person.owner.user_id}},
        UpdateExpression="SET used_recordings = :count",
        ExpressionAttributeValues={":count": {"N": str(history)}},
    )
    return [item["s3_key"]["S"] for item in rows]


def address_of(number: int) -> str:
    """Return an address of the range for documentation and benchmarks (RFC 2544: 198.18.0.0/15)."""
    return f"198.{18 + number // 65_536 % 2}.{number // 256 % 256}.{number % 256}"


def hearing() -> SpeechEngine:
    """Return an engine that hears a sentence."""
    return SpeechEngine(HEARD)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


__all__ = ["ACTIONS", "HISTORY", "Person", "address_of", "hearing", "prepared", "says"]

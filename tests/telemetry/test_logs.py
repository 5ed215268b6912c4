"""What the service writes about its requests: one JSON line each, and nothing that is secret, anywhere."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.support.contents import contents
from tests.support.fault_proxy import Answer, Cut, Fault, FaultProxy, Refuse
from tests.support.recordings import single_shot, version_2
from tests.support.service import BUCKET, Service, run_service
from tests.support.waiting import eventually

EMAIL = "canary.of.the.logs@example.com"
PASSWORD = "canary password of 1 kind"
WRONG_PASSWORD = "canary password of another"
OTHER_EMAIL = "second.canary@example.org"
GARBAGE = "canaryInAnOddPlace"
PLAIN = b"#!AMR\n" + b"canary of the plain sound " * 60_000
LIMITS = dict.fromkeys(("LIMIT_REGISTER", "LIMIT_LOGIN", "LIMIT_DECRYPT"), "1000000 per minute")
WRITTEN_SECONDS = 20.0


@dataclass
class Story:
    """A day of calls: what was sent, what came back, and what of both must not be found again."""

    service: Service
    proxy: FaultProxy
    sent: dict[str, tuple[str, str, int, str]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def call(
        self, route: str, method: str, path: str, token: str | None = None, user_id: str = "", **how: Any
    ) -> requests.Response:
        """Send a request under an id of its own, and note what its line must say."""
        request_id = f"line-{uuid.uuid4().hex}"
        headers = {**how.pop("headers", {}), "X-Request-ID": request_id}
        answer = self.service.call(method, path, token, headers=headers, **how)
        assert answer.headers["X-Request-ID"] == request_id
        self.sent[request_id] = (method, route, answer.status_code, user_id)
        return answer


@pytest.fixture(scope="module")
def story(moto: str) -> Iterator[Story]:
    with (
        FaultProxy(moto) as proxy,
        # Started anew, as operators start it: what is said on the way belongs to it.
        run_service(proxy.url, moto, anew=True, MAIL="off", LOG_LEVEL="DEBUG", **LIMITS) as running,
    ):
        told = Story(dataclasses.replace(running, aws_url=moto), proxy)
        account = sign_up(told)
        listen(told, account)
        go_wrong(told, account)
        break_storage(told, account)
        send_nonsense(told)
        told.secrets["the service's own secret"] = (told.service.data_dir / "secret_key").read_text().strip()
        yield told


def sign_up(story: Story) -> dict[str, Any]:
    person = {"email": EMAIL, "password": PASSWORD}
    account: dict[str, Any] = story.call("/api/register", "POST", "/api/register", json=person).json()
    user_id = account["user_id"]
    register_id = next(reversed(story.sent))
    story.sent[register_id] = (*story.sent[register_id][:3], user_id)
    shouted = {"email": EMAIL.upper(), "password": PASSWORD}
    again = story.call("/api/login", "POST", "/api/login", user_id=user_id, json=shouted).json()
    story.secrets |= {
        "token": account["token"],
        "signature of the token": account["token"].rpartition(".")[2],
        "second token": again["token"],
        "key salt": account["key_salt"],
        "wrapped key": account["vault"]["wrapped_key"],
        "salt of the vault": account["vault"]["kdf"]["salt"],
    }
    if "refresh_token" in account:
        story.secrets["refresh token"] = account["refresh_token"]
    return account


def listen(story: Story, account: dict[str, Any]) -> None:
    token, user_id = account["token"], account["user_id"]
    for number, data in enumerate(
        (
            single_shot(PASSWORD, account["key_salt"], PLAIN),
            version_2(account, PASSWORD, f"users/{user_id}/1", PLAIN),
        )
    ):
        s3_key = f"users/{user_id}/{number}"
        story.service.put_object(s3_key, data)
        story.call("/api/audio-file", "POST", "/api/audio-file", token, user_id, json={"s3_key": s3_key})
        body = {"password": PASSWORD, "s3_key": s3_key}
        opened = story.call("/api/decrypt-audio", "POST", "/api/decrypt-audio", token, user_id, json=body)
        url = opened.json()["download_url"]
        story.secrets[f"ticket {number}"] = url.rpartition("/")[2]
        story.secrets[f"end of ticket {number}"] = url[-40:]
        playback = "/api/playback/<ticket>"
        path = urlsplit(url).path
        assert story.call(playback, "GET", path).content == PLAIN
        assert story.call(playback, "GET", path, headers={"Range": "bytes=5-9"}).status_code == 206
        assert story.call(playback, "HEAD", path).status_code == 200
    story.call("/api/user/audio-files", "GET", "/api/user/audio-files?limit=5", token, user_id)


def go_wrong(story: Story, account: dict[str, Any]) -> None:
    token, user_id = account["token"], account["user_id"]
    for path in ("/api/register", "/api/login"):
        for body in (
            {"email": EMAIL, "password": WRONG_PASSWORD},
            {"email": OTHER_EMAIL, "password": "canary"},
            {"email": f"{GARBAGE} {EMAIL}", "password": PASSWORD},
            {"email": [EMAIL], "password": {GARBAGE: PASSWORD}},
        ):
            story.call(path, "POST", path, json=body)
        story.call(path, "POST", path, data=f'{{"email": "{EMAIL}", "password": "{PASSWORD}')
        story.call(path, "POST", path, data=f"{EMAIL}&{PASSWORD}", headers={"Content-Type": "text/plain"})
        story.call(path, "POST", path, json={"filler": PASSWORD * 5000})
    wrong = {"password": WRONG_PASSWORD, "file_id": GARBAGE}
    story.call("/api/decrypt-audio", "POST", "/api/decrypt-audio", token, user_id, json=wrong)
    missing = {"password": PASSWORD, "file_id": GARBAGE}
    story.call("/api/decrypt-audio", "POST", "/api/decrypt-audio", token, user_id, json=missing)
    story.call("/api/user/audio-files", "GET", f"/api/user/audio-files?limit={GARBAGE}", token, user_id)
    story.call("/api/user/audio-files", "GET", "/api/user/audio-files", token[:-3] + "AAA")
    story.call("/api/user/audio-files", "GET", f"/api/user/audio-files?token={token}")
    story.call("/api/playback/<ticket>", "GET", f"/api/playback/{GARBAGE}")
    story.call("/api/playback/<ticket>", "GET", f"/api/playback/{story.secrets['ticket 0'][:-3]}AAA")
    story.call("", "GET", f"/{quote(EMAIL)}/{GARBAGE}?password={quote(PASSWORD)}")
    story.call("", "PURGE", f"/api/nothing/{GARBAGE}", headers={"User-Agent": GARBAGE, "Referer": GARBAGE})
    story.call("", "GET", f"/api/login?{GARBAGE}")
    damage_the_row(story)


def damage_the_row(story: Story) -> None:
    """An account whose hash is of no kind we know makes a 500, of which the log says more."""
    body = {"email": OTHER_EMAIL, "password": PASSWORD}
    user_id = story.call("/api/register", "POST", "/api/register", json=body).json()["user_id"]
    register_id = next(reversed(story.sent))
    story.sent[register_id] = (*story.sent[register_id][:3], user_id)
    story.service.dynamodb().update_item(
        TableName="panzoto-users",
        Key={"user_id": {"S": user_id}},
        UpdateExpression="SET password_hash = :hash",
        ExpressionAttributeValues={":hash": {"S": f"$unknown${GARBAGE}"}},
    )
    request_id = f"line-{uuid.uuid4().hex}"
    refused = story.service.call("POST", "/api/login", json=body, headers={"X-Request-ID": request_id})
    assert refused.status_code == 500


def break_storage(story: Story, account: dict[str, Any]) -> None:
    token, user_id = account["token"], account["user_id"]
    person = {"email": EMAIL, "password": PASSWORD}
    opened = {"password": PASSWORD, "s3_key": f"users/{user_id}/0"}
    told = Answer.dynamodb("ValidationException", f"no such {EMAIL} {PASSWORD} {token}")
    for action in (Refuse(), told):
        story.proxy.add(Fault(action, where=lambda request: request.operation is not None))
        story.call("/api/login", "POST", "/api/login", json=person)
        story.call("/api/register", "POST", "/api/register", json=person | {"email": "third." + EMAIL})
        story.proxy.clear()
    path = f"^/{BUCKET}/users/{user_id}"
    playback = f"/api/playback/{story.secrets['ticket 0']}"
    for fault in (Fault(Refuse(), path=path), Fault(Answer.s3(403, "AccessDenied", EMAIL), path=path)):
        story.proxy.add(fault)
        story.call("/api/decrypt-audio", "POST", "/api/decrypt-audio", token, user_id, json=opened)
        story.call("/api/playback/<ticket>", "GET", playback)
        story.proxy.clear()
    break_off(story, playback, path)
    with requests.get(story.service.url + playback, stream=True, timeout=60) as leaving:
        leaving.raw.read(10)


def break_off(story: Story, playback: str, path: str) -> None:
    """A stream that cannot be finished makes the loudest noise in the log."""
    story.proxy.add(Fault(Cut(1_000_000), path=path, times=1))
    story.proxy.add(Fault(Refuse(), path=path, skip=1))
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(story.service.url + playback, timeout=60)
    story.proxy.clear()


def send_nonsense(story: Story) -> None:
    """What gunicorn refuses by itself."""
    address = ("127.0.0.1", int(story.service.url.rpartition(":")[2]))
    for head in (
        f"GET /{GARBAGE * 900} HTTP/1.1\r\nHost: x",
        f"GET /{GARBAGE}\x7f HTTP/1.1\r\nHost: x",
        f"GET /api/health HTTP/1.1\r\nHost: x\r\n{GARBAGE}: {GARBAGE * 900}",
        f"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: {GARBAGE}",
        f"POST /api/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {GARBAGE}",
        f"{GARBAGE} {GARBAGE} {GARBAGE}",
    ):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(f"{head}\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 4")


def lines(story: Story) -> list[dict[str, Any]]:
    return [json.loads(line) for line in story.service.log().splitlines() if line.startswith("{")]


def request_lines(story: Story) -> dict[str, list[dict[str, Any]]]:
    """The lines about requests by their id; the last may be written a moment after the answer."""
    found: dict[str, list[dict[str, Any]]] = {}

    def all_told() -> bool:
        found.clear()
        for line in lines(story):
            if line["event"] == "request":
                found.setdefault(line["request_id"], []).append(line)
        return set(story.sent) <= set(found)

    eventually(all_told, lambda: f"no line tells of {set(story.sent) - set(found)}")
    return found


class TestLines:
    def test_all_the_service_writes_is_json(self, story: Story) -> None:
        written = [line for line in story.service.log().splitlines() if line.strip()]
        assert [line for line in written if not line.startswith("{")] == []
        for line in lines(story):
            assert {"event", "level", "logger", "timestamp"} <= set(line)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["timestamp"])

    def test_every_request_has_one_that_tells_who_what_and_how_long(self, story: Story) -> None:
        found = request_lines(story)
        for request_id, (method, route, status, user_id) in story.sent.items():
            assert len(found.get(request_id, [])) == 1, (method, route, status)
            (line,) = found[request_id]
            assert (line["method"], line["route"], line["status"]) == (method, route, status)
            assert line["user_id"] == user_id, (method, route, status)
            assert line["duration_ms"] >= 0

    def test_what_aws_refused_is_told_under_the_request_that_met_it(self, story: Story) -> None:
        failures = [line for line in lines(story) if line["event"] in ("dynamodb_failure", "s3_failure")]
        requests = {line.get("request_id") for line in failures}
        assert None not in requests
        assert requests & story.sent.keys()

    def test_the_story_was_not_a_short_one(self, story: Story) -> None:
        statuses = {status for _, _, status, _ in story.sent.values()}
        assert statuses >= {200, 201, 206, 400, 401, 404, 405, 409, 413, 415, 503}
        assert any(line["event"] == "damaged_record" for line in lines(story))
        assert any(line["event"] == "playback_aborted" for line in lines(story))


def spellings(secret: str) -> Iterator[str]:
    """A secret as it might be written: itself, in other letters, in a URL, in JSON, and encoded."""
    yield from {
        secret,
        secret.lower(),
        secret.upper(),
        quote(secret),
        secret.replace(" ", "+"),
        repr(secret)[1:-1],
    }
    yield base64.b64encode(secret.encode()).rstrip(b"=").decode()[:-2]
    yield base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()[:-2]
    yield secret.encode().hex()


class TestSecrets:
    def secrets(self, story: Story) -> dict[str, str]:
        return story.secrets | {
            "password": PASSWORD,
            "wrong password": WRONG_PASSWORD,
            "email": EMAIL,
            "name in the email": EMAIL.partition("@")[0],
            "other email": OTHER_EMAIL,
            "plain sound": "canary of the plain sound",
        }

    def test_none_is_in_the_log(self, story: Story) -> None:
        request_lines(story)
        log = story.service.log()
        for name, secret in (self.secrets(story) | {"what was sent in odd places": GARBAGE}).items():
            for spelling in spellings(secret):
                assert spelling not in log, name

    def test_none_is_in_the_data_folder(self, story: Story) -> None:
        kept = contents(story.service.data_dir)
        own = story.service.data_dir / "secret_key"
        assert own in kept
        for path, content in kept.items():
            for name, secret in self.secrets(story).items():
                if path == own and name == "the service's own secret":
                    continue
                for spelling in spellings(secret):
                    assert spelling.encode() not in content, (path.name, name)

    def test_no_password_token_or_ticket_is_in_a_table(self, story: Story) -> None:
        dynamodb = story.service.dynamodb()
        stored = "".join(
            json.dumps(dynamodb.scan(TableName=table)["Items"], default=repr)
            for table in dynamodb.list_tables()["TableNames"]
        )
        assert EMAIL in stored
        for name, secret in self.secrets(story).items():
            if "password" in name or "token" in name or "ticket" in name or "secret" in name:
                for spelling in spellings(secret):
                    assert spelling not in stored, name

    def test_no_plain_sound_was_put_into_a_temporary_file(self, story: Story) -> None:
        home = story.service.log_path.parent
        found = [path for path, held in contents(home).items() if b"canary of the plain sound" in held]
        assert found == []

"""The security log over the wire: what each call leaves in it, how it is read, and what writing it costs."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from panzoto.crypto.sealed import Sealer
from panzoto.models import open_deletion
from tests.conftest import UNLIMITED
from tests.support import mails
from tests.support.fault_proxy import Action, Answer, Fault, FaultProxy, Request
from tests.support.recordings import decrypt, store, version_2
from tests.support.service import PASSWORD, Service, run_service

Account = dict[str, Any]
NewAccount = Callable[..., Account]

NEW = "another quiet walk"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
INVALID_CURSOR = (400, "invalid_cursor")


def told(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


def login(service: Service, email: str, password: str = PASSWORD, **how: Any) -> requests.Response:
    return service.call("POST", "/api/login", json={"email": email, "password": password}, **how)


def ask(service: Service, token: str, **query: Any) -> requests.Response:
    return service.call("GET", "/api/user/events", token, params=query)


def page(service: Service, token: str, **query: Any) -> dict[str, Any]:
    answer = ask(service, token, **query)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def log_of(service: Service, token: str) -> list[dict[str, Any]]:
    """The whole log, oldest first."""
    events: list[dict[str, Any]] = page(service, token, limit=1000)["events"]
    return events[::-1]


def recording_of(service: Service, account: Account) -> str:
    s3_key = f"users/{account['user_id']}/audio-{uuid.uuid4().hex}.3gp"
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\nsound" * 99))


def with_events(service: Service, account: Account, count: int) -> list[str]:
    """Leave `count` events in all and return their ids, newest first."""
    for _ in range(count - 1):
        login(service, account["user"]["email"])
    return [event["event_id"] for event in reversed(log_of(service, account["token"]))]


class TestReading:
    def test_the_shape_of_an_event(self, service: Service, account: Account) -> None:
        (event,) = page(service, account["token"])["events"]
        assert set(event) == {"event_id", "type", "at", "session_id", "address", "detail"}
        assert event["type"] == "registered"
        assert RFC3339.fullmatch(event["at"])
        assert event["session_id"] == account["session_id"]
        assert event["address"] == "127.0.0.1"
        assert event["detail"]["device_name"].startswith("python-requests/")

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7, 8, 1000])
    def test_pages_join_to_the_whole(
        self, service: Service, log: tuple[Account, list[str]], limit: int
    ) -> None:
        account, whole = log
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            one = page(service, account["token"], **query)
            assert len(one["events"]) <= limit
            seen += [event["event_id"] for event in one["events"]]
            cursor = one["next_cursor"]
        assert seen == whole

    def test_there_is_no_cursor_at_the_end(self, service: Service, log: tuple[Account, list[str]]) -> None:
        account, whole = log
        assert page(service, account["token"])["next_cursor"] is None
        assert page(service, account["token"], limit=len(whole))["next_cursor"] is None

    def test_what_happens_meanwhile_disturbs_no_page(self, service: Service, account: Account) -> None:
        whole = with_events(service, account, 6)
        first = page(service, account["token"], limit=3)
        login(service, account["user"]["email"])
        second = page(service, account["token"], limit=3, cursor=first["next_cursor"])
        assert [event["event_id"] for event in first["events"] + second["events"]] == whole

    def test_a_cursor_can_be_used_again(self, service: Service, log: tuple[Account, list[str]]) -> None:
        account, whole = log
        cursor = page(service, account["token"], limit=2)["next_cursor"]
        # With another limit too: it says where to go on, not how far.
        for limit in (2, 3, 2):
            events = page(service, account["token"], limit=limit, cursor=cursor)["events"]
            assert [event["event_id"] for event in events] == whole[2 : 2 + limit]

    @pytest.mark.parametrize("limit", ["0", "-1", "1001", "1.5", "x", "", "1e2", " 5", "٥"])
    def test_a_limit_that_is_none_is_400(self, service: Service, account: Account, limit: str) -> None:
        answer = ask(service, account["token"], limit=limit)
        assert told(answer) == (400, "invalid_request")
        assert list(answer.json()["fields"]) == ["limit"]

    def test_it_needs_a_token(self, service: Service) -> None:
        assert service.call("GET", "/api/user/events").status_code == 401

    def test_nobody_elses_is_read(self, service: Service, new_account: NewAccount) -> None:
        one, other = new_account(), new_account()
        sessions = {event["session_id"] for event in log_of(service, one["token"])}
        assert sessions == {one["session_id"]}
        assert other["session_id"] not in sessions


@pytest.fixture(scope="module")
def log(service: Service) -> tuple[Account, list[str]]:
    """An account with seven events and their ids, newest first."""
    account = service.register(f"{uuid.uuid4().hex}@example.com")
    return account, with_events(service, account, 7)


class TestCursors:
    @pytest.mark.parametrize(
        "cursor",
        ["", "x", "0", "null", "A" * 60, "A" * 9000, "..", "é", "\x00", "%", "' OR 1=1", "🎤"],
        ids=ascii,
    )
    def test_nonsense_is_400(self, service: Service, account: Account, cursor: str) -> None:
        answer = ask(service, account["token"], cursor=cursor)
        # gunicorn refuses an address above 8 KB by itself.
        assert told(answer) == (INVALID_CURSOR if len(cursor) < 8000 else (414, "uri_too_long"))

    def test_an_event_id_is_no_cursor(self, service: Service, log: tuple[Account, list[str]]) -> None:
        account, whole = log
        assert told(ask(service, account["token"], cursor=whole[2])) == INVALID_CURSOR

    def test_a_changed_one_is_400(self, service: Service, log: tuple[Account, list[str]]) -> None:
        token = log[0]["token"]
        cursor = page(service, token, limit=2)["next_cursor"]
        spoiled = [
            cursor[:-1],
            cursor[1:],
            cursor + "A",
            cursor + "=",
            cursor + cursor,
            cursor.swapcase(),
            *(cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in (0, 9, 30, -1)),
        ]
        assert {told(ask(service, token, cursor=one)) for one in spoiled} == {INVALID_CURSOR}
        assert page(service, token, cursor=cursor)["events"]

    def test_somebody_elses_is_400(
        self, service: Service, log: tuple[Account, list[str]], account: Account
    ) -> None:
        cursor = page(service, log[0]["token"], limit=2)["next_cursor"]
        assert told(ask(service, account["token"], cursor=cursor)) == INVALID_CURSOR

    def test_one_of_another_list_is_400(self, service: Service, account: Account) -> None:
        for _ in range(3):
            recording_of(service, account)
        files = service.call("GET", "/api/user/audio-files?limit=2", account["token"]).json()
        assert told(ask(service, account["token"], cursor=files["next_cursor"])) == INVALID_CURSOR
        login(service, account["user"]["email"])
        cursor = page(service, account["token"], limit=1)["next_cursor"]
        wrong_way = service.call("GET", "/api/user/audio-files", account["token"], params={"cursor": cursor})
        assert told(wrong_way) == INVALID_CURSOR

    def test_only_this_service_seals_one(self, service: Service, account: Account) -> None:
        values = {"user": account["user_id"], "query": "events", "position": "z"}
        soon, past = int(time.time()) + 60, int(time.time()) - 1
        forged = Sealer("x" * 40, (), "cursor").seal(values, soon)
        other_purpose = Sealer(service.secret_key(), (), "ticket").seal(values, soon)
        expired = Sealer(service.secret_key(), (), "cursor").seal(values, past)
        for cursor in (forged, other_purpose, expired):
            assert told(ask(service, account["token"], cursor=cursor)) == INVALID_CURSOR


Ask = Callable[[str, str], tuple[str, str, dict[str, Any]]]
# Every call in a session that takes the password: method, path and the body beside the password.
ASKS_FOR_A_PASSWORD: dict[str, Ask] = {
    "decrypt one": lambda file_id, _: ("POST", "/api/decrypt-audio", {"file_id": file_id}),
    "decrypt by key": lambda _, s3_key: ("POST", "/api/decrypt-audio", {"s3_key": s3_key}),
    "decrypt a sitting": lambda file_id, _: ("POST", "/api/decrypt-audio", {"file_ids": [file_id]}),
    "upgrade": lambda file_id, _: ("POST", f"/api/audio-file/{file_id}/upgrade", {}),
    "password": lambda *_: ("POST", "/api/user/password", {"new_password": NEW}),
    "address": lambda *_: ("POST", "/api/user/email", {"email": f"{uuid.uuid4().hex}@example.com"}),
    "recovery key": lambda *_: ("POST", "/api/user/recovery-key", {}),
    "deletion": lambda *_: ("DELETE", "/api/user", {}),
}


def key_of(service: Service, account: Account) -> str:
    listed = service.call("GET", "/api/user/audio-files", account["token"]).json()["audio_files"]
    return str(listed[0]["s3_key"])


def writes_files(request: Request) -> bool:
    if request.operation not in (*WRITES, "TransactWriteItems"):
        return False
    return b"panzoto-audio-files" in request.body


@dataclass
class Story:
    """An account at which everything happened once that leaves an event, but its deletion."""

    account: Account
    second: Account
    recovered: Account
    file_id: str
    events: list[dict[str, Any]]


@pytest.fixture(scope="module")
def story(service: Service) -> Story:
    account = service.register(f"{uuid.uuid4().hex}@example.com")
    email, token = account["user"]["email"], account["token"]
    assert login(service, email, "not my password").status_code == 401
    second = login(service, email).json()
    file_id = recording_of(service, account)
    assert decrypt(service, token, file_id, PASSWORD).status_code == 200
    made = service.call("POST", "/api/user/recovery-key", token, json={"password": PASSWORD})
    body: dict[str, Any] = {"password": PASSWORD, "email": f"{uuid.uuid4().hex}@example.com"}
    assert service.call("POST", "/api/user/email", token, json=body).status_code == 200
    code = mails.code_in(mails.wait_for(service, body["email"], "email-changed"))
    assert service.call("POST", "/api/verify-email", json={"code": code}).status_code == 204
    assert service.call("DELETE", f"/api/audio-file/{file_id}", token).status_code == 200
    assert service.call("GET", "/api/user/export", token).status_code == 200
    assert service.call("POST", "/api/logout", second["token"]).status_code == 204
    changed = {"password": PASSWORD, "new_password": NEW}
    assert service.call("POST", "/api/user/password", token, json=changed).status_code == 200
    recovering = {
        "email": body["email"],
        "recovery_key": made.json()["recovery_key"],
        "new_password": "a third quiet walk",
    }
    answer = service.call("POST", "/api/recover", json=recovering)
    assert answer.status_code == 200, answer.text
    return Story(account, second, answer.json(), file_id, log_of(service, answer.json()["token"]))


class TestWhatIsWritten:
    def test_every_verb_leaves_its_event(self, story: Story) -> None:
        here, second = story.account["session_id"], story.second["session_id"]
        assert [(event["type"], event["session_id"]) for event in story.events] == [
            ("registered", here),
            ("sign_in_failed", None),
            ("signed_in", second),
            ("recording_decrypted", here),
            ("recovery_key_made", here),
            ("email_changed", here),
            ("recording_deleted", here),
            ("exported", here),
            ("signed_out", second),
            ("password_changed", here),
            ("recovered", story.recovered["session_id"]),
        ]
        assert {event["address"] for event in story.events} == {"127.0.0.1"}
        by_type = {event["type"]: event["detail"] for event in story.events}
        assert by_type["recording_decrypted"]["file_id"] == story.file_id
        assert by_type["recording_deleted"]["file_id"] == story.file_id

    def test_nothing_secret_is_in_it(self, story: Story) -> None:
        content = json.dumps(story.events)
        tokens = [one[name] for one in (story.account, story.second) for name in ("token", "refresh_token")]
        secrets = (PASSWORD, "not my password", NEW, *tokens)
        assert [secret for secret in secrets if secret in content] == []

    def test_every_row_has_its_end(self, service: Service, story: Story) -> None:
        found = service.dynamodb().query(
            TableName="panzoto-events",
            KeyConditionExpression="user_id = :user_id",
            ExpressionAttributeValues={":user_id": {"S": story.account["user_id"]}},
        )
        kept = [int(row["expires_at"]["N"]) - float(row["at"]["N"]) for row in found["Items"]]
        assert len(kept) == len(story.events)
        assert all(abs(seconds - 400 * 86400) <= 1 for seconds in kept)

    @pytest.mark.parametrize("ask_with", ASKS_FOR_A_PASSWORD.values(), ids=ASKS_FOR_A_PASSWORD)
    def test_a_wrong_password_in_a_session_names_the_session(
        self, service: Service, account: Account, ask_with: Ask
    ) -> None:
        method, path, body = ask_with(recording_of(service, account), key_of(service, account))
        asked = {"password": "not my password", **body}
        assert told(service.call(method, path, account["token"], json=asked)) == (401, "invalid_password")
        events = log_of(service, account["token"])
        assert [(event["type"], event["session_id"], event["address"]) for event in events] == [
            ("registered", account["session_id"], "127.0.0.1"),
            ("sign_in_failed", account["session_id"], "127.0.0.1"),
        ]
        assert "not my password" not in json.dumps(events)

    def test_a_deletion_that_fails_leaves_no_event(
        self, service: Service, watched: Service, proxy: FaultProxy
    ) -> None:
        account = watched.register(f"{uuid.uuid4().hex}@example.com")
        file_id = recording_of(service, account)
        proxy.add(Fault(Answer.dynamodb("InternalServerError"), where=writes_files))
        for how in ("", "?permanent=true"):
            answer = watched.call("DELETE", f"/api/audio-file/{file_id}{how}", account["token"])
            assert answer.status_code == 503, answer.text
        proxy.clear()
        assert [event["type"] for event in log_of(watched, account["token"])] == ["registered"]

    def test_a_refusal_leaves_none(self, service: Service, account: Account) -> None:
        token = account["token"]
        assert decrypt(service, token, str(uuid.uuid4()), PASSWORD).status_code == 404
        assert service.call("DELETE", f"/api/audio-file/{uuid.uuid4()}", token).status_code == 404
        assert [event["type"] for event in log_of(service, token)] == ["registered"]

    def test_logging_out_the_others_says_so(self, service: Service, account: Account) -> None:
        assert service.call("POST", "/api/logout-others", account["token"]).status_code == 204
        event = log_of(service, account["token"])[-1]
        assert (event["type"], event["detail"]) == ("signed_out", {"others": True})


WRITES = ("PutItem", "UpdateItem", "DeleteItem")


def touched_by(operation: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a call reads or writes, with the verb for each."""
    if "TransactItems" in body:
        return [next(iter(item.items())) for item in body["TransactItems"]]
    if "RequestItems" in body:
        return [(operation, {"TableName": table}) for table in body["RequestItems"]]
    return [(operation, body)]


@dataclass
class Spy:
    """Every call to DynamoDB with the tables it reads or writes, as one saw it who stands in between."""

    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def see(self, request: Request) -> bool:
        if request.operation is not None:
            body = request.json()
            if body.get("Key") == {"claim": {"S": open_deletion.NAME}}:
                # A worker looks by itself, now and then, whether deletions were interrupted.
                return False
            touched = touched_by(request.operation, body)
            self.calls.append((request.operation, [f"{verb} {what['TableName']}" for verb, what in touched]))
            self.events += [
                what["Item"]["type"]["S"]
                for _, what in touched
                if what["TableName"] == "panzoto-events" and "Item" in what
            ]
        return False

    def summary(self) -> str:
        return ", ".join(
            f"{operation}({' + '.join(name.replace('panzoto-', '') for name in touched)})"
            for operation, touched in self.calls
        )


@pytest.fixture(scope="module")
def watched(service: Service, proxy: FaultProxy) -> Iterator[Service]:
    """A second process of the same service, whose calls to AWS are seen. Mail, which has a thread, is off."""
    how = UNLIMITED | {"SECRET_KEY": service.secret_key(), "MAIL": "off"}
    with run_service(proxy.url, create_at=service.aws_url, **how) as running:
        yield running


@pytest.fixture
def spy(proxy: FaultProxy) -> Iterator[Spy]:
    seen = Spy()
    proxy.add(Fault(Action(), where=seen.see))
    yield seen
    proxy.clear()


# How many calls to DynamoDB each request may cost, and how many events it writes.  `docs/` tells the same.
COSTS = {
    "register": (4, 1),
    "login": (5, 1),
    "login, wrong password": (5, 1),
    "login, no such account": (5, 0),
    "login, held back": (3, 0),
    "list, first in 20 s": (2, 0),
    "list": (1, 0),
    "create, the account's first": (5, 0),
    "create": (3, 0),
    "change": (4, 0),
    "create again": (7, 0),
    "decrypt, first time": (11, 1),
    "decrypt": (6, 1),
    "refresh": (2, 0),
    "sessions": (1, 0),
    "events": (1, 0),
    "playback": (0, 0),
    "logout": (2, 1),
}


def test_what_each_call_costs(service: Service, watched: Service, spy: Spy) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    credentials = {"email": email, "password": PASSWORD}
    account = watched.call("POST", "/api/register", json=credentials).json()
    costs: dict[str, tuple[int, int]] = {}

    def paid(name: str) -> None:
        costs[name] = (len(spy.calls), len(spy.events))
        print(f"{name}: {len(spy.calls)} calls, {len(spy.events)} events: {spy.summary()}")
        # An event is part of a write that happens anyway, or is the one write more.
        assert len([1 for _, touched in spy.calls if any("panzoto-events" in one for one in touched)]) <= 1
        spy.calls.clear()
        spy.events.clear()

    paid("register")
    session = login(watched, email).json()
    paid("login")
    assert login(watched, email, "not my password").status_code == 401
    paid("login, wrong password")
    assert login(watched, f"{uuid.uuid4().hex}@example.com").status_code == 401
    paid("login, no such account")
    token = session["token"]
    assert watched.call("GET", "/api/user/audio-files", token).status_code == 200
    paid("list, first in 20 s")
    assert watched.call("GET", "/api/user/audio-files", token).status_code == 200
    paid("list")
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    service.put_object(s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\nsound" * 99))
    file_id = watched.call("POST", "/api/audio-file", token, json={"s3_key": s3_key}).json()["audio_file"][
        "file_id"
    ]
    paid("create, the account's first")
    another = {"s3_key": f"users/{account['user_id']}/audio-2.3gp", "file_size": 1024}
    assert watched.call("POST", "/api/audio-file", token, json=another).status_code == 201
    paid("create")
    assert watched.call("POST", "/api/audio-file", token, json={"s3_key": s3_key}).status_code == 201
    paid("create again")
    answer = watched.call("PATCH", f"/api/audio-file/{file_id}", token, json={"duration_ms": 5})
    assert answer.status_code == 200
    paid("change")
    assert decrypt(watched, token, file_id, PASSWORD).status_code == 200
    paid("decrypt, first time")
    opened = decrypt(watched, token, file_id, PASSWORD)
    paid("decrypt")
    assert requests.get(opened.json()["download_url"], timeout=30).status_code == 200
    paid("playback")
    refreshing = {"refresh_token": session["refresh_token"]}
    assert watched.call("POST", "/api/token/refresh", json=refreshing).status_code == 200
    paid("refresh")
    assert watched.call("GET", "/api/user/sessions", token).status_code == 200
    paid("sessions")
    assert ask(watched, token).status_code == 200
    paid("events")
    assert watched.call("POST", "/api/logout", token).status_code == 204
    paid("logout")
    for _ in range(5):
        login(watched, email, "not my password")
    spy.calls.clear()
    spy.events.clear()
    assert login(watched, email).status_code == 429
    paid("login, held back")
    too_much = {
        name: cost for name, cost in costs.items() if cost[0] > COSTS[name][0] or cost[1] != COSTS[name][1]
    }
    assert too_much == {}
    assert costs.keys() == COSTS.keys()


def test_a_failed_sign_in_costs_as_many_calls_as_one_at_no_account(watched: Service, spy: Spy) -> None:
    """Else the time of the answer would tell who has an account."""
    account = watched.register(f"{uuid.uuid4().hex}@example.com")
    kinds = []
    for email in (account["user"]["email"], f"{uuid.uuid4().hex}@example.com"):
        spy.calls.clear()
        assert login(watched, email, "not my password").status_code == 401
        kinds.append(Counter("write" if operation in WRITES else "read" for operation, _ in spy.calls))
    assert kinds[0] == kinds[1]


def test_a_deletion_is_in_the_log_while_there_is_one(watched: Service, spy: Spy) -> None:
    """Last in this module, since what is deleted goes on being removed after the answer."""
    account = watched.register(f"{uuid.uuid4().hex}@example.com")
    answer = watched.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    assert answer.status_code == 202, answer.text
    assert spy.events == ["registered", "deletion_started"]

"""Sessions over the wire: their tokens, how they are refreshed, seen and ended, here and elsewhere."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests
from requests.utils import default_user_agent

from panzoto.auth.refresh import RefreshClaim, RefreshTokens
from tests.conftest import UNLIMITED
from tests.support import mails, rows
from tests.support.fault_proxy import (
    Action,
    Answer,
    Fault,
    FaultProxy,
    Hang,
    LoseReply,
    Refuse,
    Request,
)
from tests.support.recordings import decrypt, store, version_2
from tests.support.service import PASSWORD, Service, run_service
from tests.support.waiting import eventually

Account = dict[str, Any]
NewAccount = Callable[..., Account]

NEW = "another quiet walk"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
INVALID = (401, "token_invalid")
USED = (401, "invalid_refresh_token")
GRACE_SECONDS = 10
REVOKED_WITHIN_SECONDS = 30


def told(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


def refresh(service: Service, token: str) -> requests.Response:
    return service.call("POST", "/api/token/refresh", json={"refresh_token": token})


def refreshed(service: Service, token: str) -> Account:
    answer = refresh(service, token)
    assert answer.status_code == 200, answer.text
    grant: Account = answer.json()
    return grant


def login(service: Service, account: Account, password: str = PASSWORD, **how: Any) -> requests.Response:
    body = {"email": account["user"]["email"], "password": password, **how.pop("body", {})}
    return service.call("POST", "/api/login", json=body, **how)


def signed_in(service: Service, account: Account, **how: Any) -> Account:
    answer = login(service, account, **how)
    assert answer.status_code == 200, answer.text
    grant: Account = answer.json()
    return grant


def look(service: Service, token: str) -> requests.Response:
    return service.call("GET", "/api/user/audio-files", token)


def listed(service: Service, token: str) -> list[dict[str, Any]]:
    answer = service.call("GET", "/api/user/sessions", token)
    assert answer.status_code == 200, answer.text
    sessions: list[dict[str, Any]] = answer.json()["sessions"]
    return sessions


def change_password(service: Service, token: str, password: str = PASSWORD) -> requests.Response:
    body = {"password": password, "new_password": NEW}
    return service.call("POST", "/api/user/password", token, json=body)


def recovered(service: Service, account: Account) -> Account:
    made = service.call("POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD})
    body = {
        "email": account["user"]["email"],
        "recovery_key": made.json()["recovery_key"],
        "new_password": NEW,
    }
    answer = service.call("POST", "/api/recover", json=body)
    assert answer.status_code == 200, answer.text
    grant: Account = answer.json()
    return grant


def events_of(service: Service, user_id: str) -> list[dict[str, Any]]:
    """The security log as it lies in the table, oldest first."""
    found = service.dynamodb().query(
        TableName="panzoto-events",
        KeyConditionExpression="user_id = :user_id",
        ExpressionAttributeValues={":user_id": {"S": user_id}},
    )
    items: list[dict[str, Any]] = found["Items"]
    return items


def types_of(service: Service, user_id: str) -> list[str]:
    return [event["type"]["S"] for event in events_of(service, user_id)]


def minted(service: Service, user_id: str, issued_at: float | None = None, **more: Any) -> str:
    """An access token as the earlier service wrote it, or with `more` claims."""
    moment = int(issued_at or time.time())
    claims = {"user_id": user_id, "iat": moment, "exp": moment + 86400, **more}
    return jwt.encode(claims, service.secret_key(), "HS256")


def playing(service: Service, account: Account) -> str:
    """Record something and return the address at which it plays."""
    s3_key = f"users/{account['user_id']}/audio-{uuid.uuid4().hex}.3gp"
    file_id = store(service, account, s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\nsound" * 99))
    opened = decrypt(service, account["token"], file_id, PASSWORD)
    assert opened.status_code == 200, opened.text
    address: str = opened.json()["download_url"]
    assert requests.get(address, timeout=30).status_code == 200
    return address


def plays(address: str) -> tuple[int, str]:
    answer = requests.get(address, timeout=30)
    return (200, "") if answer.status_code == 200 else told(answer)


class TestWhatTheyReturn:
    def test_register_login_and_refresh_give_a_session(
        self, service: Service, new_account: NewAccount
    ) -> None:
        account = new_account()
        grants = [account, signed_in(service, account), refreshed(service, account["refresh_token"])]
        for grant in grants:
            assert str(uuid.UUID(grant["session_id"])) == grant["session_id"]
            assert RFC3339.fullmatch(grant["expires_at"])
            claims = jwt.decode(grant["token"], options={"verify_signature": False})
            assert datetime.fromisoformat(grant["expires_at"]) == datetime.fromtimestamp(claims["exp"], UTC)
            assert claims["exp"] - claims["iat"] == 30 * 86400
            assert claims["user_id"] == account["user_id"]
            assert look(service, grant["token"]).status_code == 200
        assert grants[1]["session_id"] != account["session_id"]
        assert grants[2]["session_id"] == account["session_id"]
        assert set(grants[2]) == {"token", "refresh_token", "expires_at", "session_id"}
        assert len({grant["refresh_token"] for grant in grants}) == 3

    def test_neither_token_is_stored(self, service: Service, account: Account) -> None:
        grant = refreshed(service, account["refresh_token"])
        stored = service.dynamodb().scan(TableName="panzoto-sessions")["Items"]
        content = str(stored) + service.log()
        for token in (account["token"], account["refresh_token"], grant["token"], grant["refresh_token"]):
            assert token not in content
            assert token.rpartition(".")[2][-40:] not in content

    @pytest.mark.parametrize(
        "body",
        [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": 5}, {"refresh_token": ["a"]}],
        ids=str,
    )
    def test_a_refresh_without_a_token_is_400(self, service: Service, body: dict[str, Any]) -> None:
        answer = service.call("POST", "/api/token/refresh", json=body)
        assert told(answer) == (400, "invalid_request")
        assert list(answer.json()["fields"]) == ["refresh_token"]

    def test_a_refresh_needs_no_other_credential(self, service: Service, account: Account) -> None:
        headers = {"Authorization": "Bearer expired.long.ago"}
        body = {"refresh_token": account["refresh_token"]}
        assert service.call("POST", "/api/token/refresh", json=body, headers=headers).status_code == 200


class TestRefreshing:
    def test_a_chain_of_refreshes_is_one_session(self, service: Service, account: Account) -> None:
        grants = [account]
        for _ in range(6):
            grants.append(refreshed(service, grants[-1]["refresh_token"]))
        assert len({grant["refresh_token"] for grant in grants}) == 7
        assert {grant["session_id"] for grant in grants} == {account["session_id"]}
        assert len(listed(service, grants[-1]["token"])) == 1
        # An access token goes on until it expires; only the refresh token is for a single use.
        assert all(look(service, grant["token"]).status_code == 200 for grant in grants)

    def test_a_repeat_gets_the_same_successor_again(self, service: Service, account: Account) -> None:
        first, *others = [refreshed(service, account["refresh_token"]) for _ in range(4)]
        assert {grant["refresh_token"] for grant in others} == {first["refresh_token"]}
        assert refreshed(service, first["refresh_token"])["session_id"] == account["session_id"]
        assert types_of(service, account["user_id"]) == ["registered"]

    @pytest.mark.parametrize("processes", [1, 2])
    def test_twenty_uses_at_once_make_one_successor(
        self, service: Service, second: Service, account: Account, processes: int
    ) -> None:
        asked = [service, second][:processes]
        with ThreadPoolExecutor(20) as pool:
            uses = [
                pool.submit(refresh, asked[number % processes], account["refresh_token"])
                for number in range(20)
            ]
            answers = [use.result() for use in uses]
        assert [answer.status_code for answer in answers] == [200] * 20
        successors = {answer.json()["refresh_token"] for answer in answers}
        assert len(successors) == 1
        assert {answer.json()["session_id"] for answer in answers} == {account["session_id"]}
        assert all(look(service, answer.json()["token"]).status_code == 200 for answer in answers)
        assert refreshed(second, successors.pop())["session_id"] == account["session_id"]
        assert "refresh_reused" not in types_of(service, account["user_id"])

    def test_a_token_older_than_the_last_ends_the_session(self, service: Service, account: Account) -> None:
        stolen = account["refresh_token"]
        second_grant = refreshed(service, stolen)
        third = refreshed(service, second_grant["refresh_token"])
        assert look(service, third["token"]).status_code == 200
        assert told(refresh(service, stolen)) == USED
        assert told(look(service, third["token"])) == INVALID
        assert told(refresh(service, third["refresh_token"])) == USED
        (event,) = [
            event
            for event in events_of(service, account["user_id"])
            if event["type"]["S"] == "refresh_reused"
        ]
        assert event["session_id"]["S"] == account["session_id"]
        assert event["address"]["S"] == "127.0.0.1"

    def test_only_the_session_of_the_used_token_ends(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        for _ in range(2):
            account = account | refreshed(service, account["refresh_token"])
        first = RefreshClaim(account["user_id"], account["session_id"], 1)
        replayed = RefreshTokens(service.secret_key(), ()).write(first)
        assert told(refresh(service, replayed)) == USED
        assert told(look(service, account["token"])) == INVALID
        assert look(service, other["token"]).status_code == 200
        assert refreshed(service, other["refresh_token"])["session_id"] == other["session_id"]

    def test_a_forged_token_ends_nothing(self, service: Service, account: Account) -> None:
        genuine = account["refresh_token"]
        claim = RefreshClaim(account["user_id"], account["session_id"], 1)
        forged = [
            RefreshTokens("x" * 40, ()).write(claim),
            RefreshTokens("x" * 40, ()).write(RefreshClaim(claim.user_id, claim.session_id, 0)),
            *(
                genuine[:at] + ("A" if genuine[at] != "A" else "B") + genuine[at + 1 :]
                for at in (0, 30, 60, 99)
            ),
            genuine[:-1],
            genuine[1:],
            genuine + genuine,
            account["session_id"],
            "",
        ]
        refused = [refresh(service, token) for token in forged if token]
        assert {told(answer) for answer in refused} == {USED}
        assert look(service, account["token"]).status_code == 200
        assert refreshed(service, genuine)["session_id"] == account["session_id"]
        assert "refresh_reused" not in types_of(service, account["user_id"])

    def test_a_token_ahead_of_its_session_is_refused(self, service: Service, account: Account) -> None:
        """As after the table was restored from a copy: genuine, and yet of no refresh that ever was."""
        ahead = RefreshClaim(account["user_id"], account["session_id"], 9)
        assert told(refresh(service, RefreshTokens(service.secret_key(), ()).write(ahead))) == USED

    def test_a_token_of_a_session_that_has_ended_is_refused_quietly(
        self, service: Service, account: Account
    ) -> None:
        assert service.call("POST", "/api/logout", account["token"]).status_code == 204
        assert told(refresh(service, account["refresh_token"])) == USED
        assert types_of(service, account["user_id"]) == ["registered", "signed_out"]


DEVICE_NAMES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    # What the body says, what the User-Agent says, and what the device is called.
    "given": ({"device_name": "Anna's phone"}, {"User-Agent": "okhttp/4.12"}, "Anna's phone"),
    "User-Agent": ({}, {"User-Agent": "Panzoto/3.1 (Android 14)"}, "Panzoto/3.1 (Android 14)"),
    "one letter": ({"device_name": "A"}, {}, "A"),
    "64 letters": ({"device_name": "é" * 64}, {}, "é" * 64),
    "64 emoji": ({"device_name": "🎤" * 64}, {}, "🎤" * 64),
    "other scripts": ({"device_name": "电话 телефон הטלפון"}, {}, "电话 телефон הטלפון"),
    "markup stays text": ({"device_name": "<b>'\"&</b>"}, {}, "<b>'\"&</b>"),
    "spaces around": ({"device_name": "  Anna  "}, {}, "Anna"),
    "control characters": ({"device_name": "An\x00\x1b[31mna\r\n"}, {}, "An[31mna"),
    "direction turned over": ({"device_name": "gpj.\u202eenohp"}, {}, "gpj.enohp"),
    "long User-Agent": ({}, {"User-Agent": "x" * 200}, "x" * 64),
    "65 letters": ({"device_name": "é" * 64 + "x"}, {}, "é" * 64),
    "a book": ({"device_name": "x" * 5000}, {}, "x" * 64),
    "empty": ({"device_name": ""}, {"User-Agent": "empty/1"}, "empty/1"),
    "spaces alone": ({"device_name": " \t "}, {"User-Agent": "spaces/1"}, "spaces/1"),
    "a number": ({"device_name": 5}, {"User-Agent": "number/1"}, "number/1"),  # type: ignore[dict-item]
    "true": ({"device_name": True}, {"User-Agent": "true/1"}, "true/1"),
    "a list": ({"device_name": ["A"]}, {"User-Agent": "list/1"}, "list/1"),  # type: ignore[dict-item]
    "an object": ({"device_name": {"a": 1}}, {"User-Agent": "object/1"}, "object/1"),  # type: ignore[dict-item]
    "half an emoji": ({"device_name": "\ud83c"}, {"User-Agent": "half/1"}, "half/1"),
    "null": ({"device_name": None}, {"User-Agent": "null/1"}, "null/1"),  # type: ignore[dict-item]
}


class TestListing:
    def test_the_shape_of_a_session(self, service: Service, account: Account) -> None:
        (session,) = listed(service, account["token"])
        assert set(session) == {"session_id", "device_name", "created_at", "last_seen_at", "current"}
        assert session["session_id"] == account["session_id"]
        assert session["current"] is True
        assert RFC3339.fullmatch(session["created_at"])
        assert RFC3339.fullmatch(session["last_seen_at"])
        made = datetime.fromisoformat(session["created_at"])
        assert abs((datetime.now(UTC) - made).total_seconds()) < 120

    @pytest.mark.parametrize("name", DEVICE_NAMES)
    def test_what_a_device_is_called(self, service: Service, new_account: NewAccount, name: str) -> None:
        body, headers, expected = DEVICE_NAMES[name]
        account = signed_in(service, new_account(), body=body, headers=headers)
        (session,) = [one for one in listed(service, account["token"]) if one["current"]]
        assert session["device_name"] == expected

    def test_register_takes_a_name_too(self, service: Service) -> None:
        body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "device_name": "first one"}
        account = service.call("POST", "/api/register", json=body).json()
        assert [one["device_name"] for one in listed(service, account["token"])] == ["first one"]

    def test_getting_back_in_takes_a_name_too(self, service: Service, account: Account) -> None:
        email = account["user"]["email"]
        made = service.call(
            "POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD}
        ).json()["recovery_key"]
        wanted = {"email": email, "recovery_key": made, "new_password": NEW, "device_name": "Anna's laptop"}
        recovered = service.call("POST", "/api/recover", json=wanted).json()
        assert [one["device_name"] for one in listed(service, recovered["token"])] == ["Anna's laptop"]
        service.call("POST", "/api/password/forgot", json={"email": email})
        code = mails.code_in(mails.wait_for(service, email, "reset"))
        wanted = {"code": code, "recovery_key": made, "new_password": PASSWORD, "device_name": "Her tablet"}
        reset = service.call("POST", "/api/password/reset", json=wanted).json()
        assert [one["device_name"] for one in listed(service, reset["token"])] == ["Her tablet"]

    def test_getting_back_in_without_a_name_is_called_by_the_user_agent(
        self, service: Service, account: Account
    ) -> None:
        made = service.call(
            "POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD}
        ).json()["recovery_key"]
        wanted = {"email": account["user"]["email"], "recovery_key": made, "new_password": NEW}
        for body in ({}, {"device_name": 5}):
            recovered = service.call("POST", "/api/recover", json=wanted | body).json()
            names = [one["device_name"] for one in listed(service, recovered["token"])]
            assert names == [default_user_agent()]

    @pytest.mark.parametrize("value", ["", "x" * 65, 5, {}, "\ud800"], ids=ascii)
    def test_no_name_keeps_anybody_from_registering(self, service: Service, value: Any) -> None:
        body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "device_name": value}
        answer = service.call("POST", "/api/register", json=body)
        assert answer.status_code == 201, answer.text
        (session,) = listed(service, answer.json()["token"])
        assert session["device_name"] == ("x" * 64 if value == "x" * 65 else default_user_agent())

    def test_the_most_recently_used_is_first(self, service: Service, account: Account) -> None:
        others = [signed_in(service, account, body={"device_name": f"device {n}"}) for n in range(3)]
        grants = [account, *others]
        order = [one["session_id"] for one in listed(service, account["token"])]
        assert order == [grant["session_id"] for grant in reversed(grants)]
        refreshed(service, others[0]["refresh_token"])
        order = [one["session_id"] for one in listed(service, account["token"])]
        assert order[0] == others[0]["session_id"]
        for grant in grants:
            current = [one["session_id"] for one in listed(service, grant["token"]) if one["current"]]
            assert current == [grant["session_id"]]

    def test_nobody_elses_are_listed(self, service: Service, new_account: NewAccount) -> None:
        one, other = new_account(), new_account()
        ids = {session["session_id"] for session in listed(service, one["token"])}
        assert ids == {one["session_id"]}
        assert other["session_id"] not in ids

    def test_a_refresh_is_seen(self, service: Service, account: Account) -> None:
        (before,) = listed(service, account["token"])
        refreshed(service, account["refresh_token"])
        (after,) = listed(service, account["token"])
        assert after["created_at"] == before["created_at"]
        assert after["last_seen_at"] > before["last_seen_at"]

    def test_a_use_is_seen_now_and_then(self, service: Service, account: Account) -> None:
        service.dynamodb().update_item(
            TableName="panzoto-sessions",
            Key={"user_id": {"S": account["user_id"]}, "session_id": {"S": account["session_id"]}},
            UpdateExpression="SET last_seen_at = :then",
            ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 3600)}},
        )
        (session,) = listed(service, account["token"])
        seen = datetime.fromisoformat(session["last_seen_at"])
        assert abs((datetime.now(UTC) - seen).total_seconds()) < 60


class TestEnding:
    """The answers of the process that was asked are immediate."""

    def test_logout_ends_this_session_only(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        assert look(service, account["token"]).status_code == 200
        answer = service.call("POST", "/api/logout", account["token"])
        assert (answer.status_code, answer.content) == (204, b"")
        assert told(look(service, account["token"])) == INVALID
        assert told(service.call("POST", "/api/logout", account["token"])) == INVALID
        assert told(refresh(service, account["refresh_token"])) == USED
        assert [one["session_id"] for one in listed(service, other["token"])] == [other["session_id"]]

    def test_a_token_without_a_session_ends_with_its_account(self, service: Service) -> None:
        account = service.register(f"{uuid.uuid4().hex}@example.com")
        earlier = minted(service, account["user_id"])
        assert look(service, earlier).status_code == 200
        body = {"password": PASSWORD}
        assert service.call("DELETE", "/api/user", account["token"], json=body).status_code == 202
        key = {"user_id": {"S": account["user_id"]}}
        users = service.dynamodb()
        eventually(lambda: "Item" not in users.get_item(TableName=rows.USERS_TABLE, Key=key), "it is there")
        lists = ("audio-files", "trash", "events", "sessions", "transcripts", "transcriptions", "erasures")
        for path in ("", "/changes", *(f"/{name}" for name in lists)):
            assert told(service.call("GET", f"/api/user{path}", earlier)) == INVALID, path
        opening = {**body, "file_id": "any"}
        answer = service.call("POST", "/api/decrypt-audio", earlier, json=opening)
        assert (answer.status_code, answer.json()["error"]) == (404, "User not found")

    def test_logout_others_ends_all_sessions_but_this(self, service: Service, account: Account) -> None:
        others = [signed_in(service, account) for _ in range(3)]
        earlier = minted(service, account["user_id"])
        for token in (earlier, *(other["token"] for other in others)):
            assert look(service, token).status_code == 200
        assert service.call("POST", "/api/logout-others", account["token"]).status_code == 204
        assert [told(look(service, other["token"])) for other in others] == [INVALID] * 3
        assert [told(refresh(service, other["refresh_token"])) for other in others] == [USED] * 3
        assert told(look(service, earlier)) == INVALID
        assert [one["session_id"] for one in listed(service, account["token"])] == [account["session_id"]]
        assert refreshed(service, account["refresh_token"])["session_id"] == account["session_id"]

    def test_a_session_is_ended_by_its_name(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        assert look(service, other["token"]).status_code == 200
        path = f"/api/user/sessions/{other['session_id']}"
        answer = service.call("DELETE", path, account["token"])
        assert (answer.status_code, answer.content) == (204, b"")
        assert told(look(service, other["token"])) == INVALID
        assert told(refresh(service, other["refresh_token"])) == USED
        assert told(service.call("DELETE", path, account["token"])) == (404, "session_not_found")
        assert look(service, account["token"]).status_code == 200

    def test_it_may_be_this_one(self, service: Service, account: Account) -> None:
        path = f"/api/user/sessions/{account['session_id']}"
        assert service.call("DELETE", path, account["token"]).status_code == 204
        assert told(look(service, account["token"])) == INVALID

    def test_ending_a_session_by_its_name_is_in_the_log(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        service.call("DELETE", f"/api/user/sessions/{other['session_id']}", account["token"])
        assert types_of(service, account["user_id"]) == ["registered", "signed_in", "signed_out"]

    def test_nobody_elses_can_be_ended(self, service: Service, new_account: NewAccount) -> None:
        one, other = new_account(), new_account()
        path = f"/api/user/sessions/{other['session_id']}"
        assert told(service.call("DELETE", path, one["token"])) == (404, "session_not_found")
        assert look(service, other["token"]).status_code == 200

    @pytest.mark.parametrize("name", ["x", "%00", "..%2F", "🎤", "x" * 1025, "x" * 5000, "' OR 1=1"])
    def test_no_other_name_is_a_session(self, service: Service, account: Account, name: str) -> None:
        answer = service.call("DELETE", f"/api/user/sessions/{name}", account["token"])
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/json"

    def test_a_change_of_password_ends_the_others(self, service: Service, account: Account) -> None:
        others = [signed_in(service, account) for _ in range(2)]
        earlier = minted(service, account["user_id"])
        tokens = [other["token"] for other in others] + [earlier]
        assert [look(service, token).status_code for token in tokens] == [200] * 3
        answer = change_password(service, account["token"])
        assert answer.status_code == 200
        changed = answer.json()
        assert changed["session_id"] == account["session_id"]
        assert [told(look(service, token)) for token in tokens] == [INVALID] * 3
        assert [told(refresh(service, other["refresh_token"])) for other in others] == [USED] * 2
        assert look(service, changed["token"]).status_code == 200
        assert len(listed(service, changed["token"])) == 1
        again = refreshed(service, changed["refresh_token"])
        assert again["session_id"] == account["session_id"]

    def test_a_change_that_is_refused_ends_nothing(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        earlier = minted(service, account["user_id"])
        assert change_password(service, account["token"], "not my password").status_code == 401
        for token in (account["token"], other["token"], earlier):
            assert look(service, token).status_code == 200

    def test_a_recovery_ends_them_all(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        earlier = minted(service, account["user_id"])
        tokens = [account["token"], other["token"], earlier]
        assert [look(service, token).status_code for token in tokens] == [200] * 3
        new = recovered(service, account)
        assert [told(look(service, token)) for token in tokens] == [INVALID] * 3
        for grant in (account, other):
            assert told(refresh(service, grant["refresh_token"])) == USED
        assert [one["session_id"] for one in listed(service, new["token"])] == [new["session_id"]]

    def test_a_ticket_dies_with_its_session(self, service: Service, account: Account) -> None:
        other = signed_in(service, account)
        kept, lost = playing(service, account), playing(service, account | other)
        path = f"/api/user/sessions/{other['session_id']}"
        assert service.call("DELETE", path, account["token"]).status_code == 204
        assert plays(lost) == (410, "playback_expired")
        assert requests.head(lost, timeout=30).status_code == 410
        assert plays(kept) == (200, "")


class TestTokensOfTheEarlierService:
    """They name no session: the account's epoch is all that can end them before they expire."""

    def test_they_work(self, service: Service, account: Account) -> None:
        long_ago = minted(service, account["user_id"], time.time() - 3600)
        assert look(service, long_ago).status_code == 200
        assert [one["current"] for one in listed(service, long_ago)] == [False]
        plays_at = playing(service, account | {"token": long_ago})
        assert service.call("POST", "/api/logout-others", account["token"]).status_code == 204
        assert plays(plays_at) == (410, "playback_expired")

    def test_those_of_a_row_that_the_earlier_service_wrote_work(self, service: Service) -> None:
        user_id = rows.put_user(service, f"{uuid.uuid4().hex}@example.com", PASSWORD, bytes(32))
        assert look(service, minted(service, user_id)).status_code == 200
        assert listed(service, minted(service, user_id)) == []

    def test_logout_ends_the_one_that_is_shown(self, service: Service, account: Account) -> None:
        token = minted(service, account["user_id"])
        assert service.call("POST", "/api/logout", token).status_code == 204
        assert told(look(service, token)) == INVALID
        assert look(service, account["token"]).status_code == 200

    def test_logout_others_spares_the_one_that_is_shown(self, service: Service, account: Account) -> None:
        earlier, this = (minted(service, account["user_id"], time.time() - age) for age in (3600, 60))
        assert [look(service, token).status_code for token in (earlier, this)] == [200, 200]
        assert service.call("POST", "/api/logout-others", this).status_code == 204
        assert look(service, this).status_code == 200
        assert told(look(service, earlier)) == INVALID
        assert told(look(service, account["token"])) == INVALID

    def test_logout_others_ends_those_that_are_younger_too(self, service: Service, account: Account) -> None:
        this, younger = (minted(service, account["user_id"], time.time() - age) for age in (3600, 60))
        assert [look(service, token).status_code for token in (this, younger)] == [200, 200]
        assert service.call("POST", "/api/logout-others", this).status_code == 204
        assert look(service, this).status_code == 200
        assert told(look(service, younger)) == INVALID

    def test_a_change_of_password_gives_a_session_of_its_own(
        self, service: Service, account: Account
    ) -> None:
        token = minted(service, account["user_id"])
        answer = change_password(service, token)
        assert answer.status_code == 200, answer.text
        assert told(look(service, token)) == INVALID
        assert [one["current"] for one in listed(service, answer.json()["token"])] == [True]

    def test_what_has_ended_does_not_come_back(
        self, service: Service, second: Service, account: Account
    ) -> None:
        """A thief's token, remembered for a moment by another process, must not move the epoch back."""
        thief = minted(service, account["user_id"], time.time() - 3600)
        assert look(second, thief).status_code == 200
        assert service.call("POST", "/api/logout-others", account["token"]).status_code == 204
        assert told(look(service, thief)) == INVALID
        second.call("POST", "/api/logout-others", thief)
        assert told(look(service, thief)) == INVALID


@dataclass
class Later:
    """What was begun before the one long wait of this module, and how it went on."""

    replayed: tuple[Account, Account]
    repeated: tuple[Account, Account]
    changed: tuple[Account, Account]
    # What the second process last said to each token, and after how many seconds it first refused it.
    refused_after: dict[str, float] = field(default_factory=dict)
    said: dict[str, tuple[int, str]] = field(default_factory=dict)


def ended_elsewhere(service: Service, second: Service, new_account: NewAccount) -> dict[str, str]:
    """Let the second process remember a token in each way to end one, then end it in the first process."""
    shown: dict[str, str] = {}
    accounts = {
        way: new_account()
        for way in ("logout", "by name", "others", "password", "recovery", "reuse", "epoch", "nothing")
    }
    for way, account in accounts.items():
        shown[way] = account["token"]
    shown["epoch"] = minted(service, accounts["epoch"]["user_id"])
    address = playing(second, accounts["by name"])
    shown["ticket"] = address
    for token in shown.values():
        assert (plays(token) if token.startswith("http") else told(look(second, token))) == (200, "")

    assert service.call("POST", "/api/logout", shown["logout"]).status_code == 204
    for way in ("by name", "others", "password", "recovery", "epoch"):
        accounts[way]["owner"] = signed_in(service, accounts[way])
    named = accounts["by name"]
    path = f"/api/user/sessions/{named['session_id']}"
    assert service.call("DELETE", path, named["owner"]["token"]).status_code == 204
    for way in ("others", "epoch"):
        assert service.call("POST", "/api/logout-others", accounts[way]["owner"]["token"]).status_code == 204
    assert change_password(service, accounts["password"]["owner"]["token"]).status_code == 200
    recovered(service, accounts["recovery"] | accounts["recovery"]["owner"])
    next_one = refreshed(service, accounts["reuse"]["refresh_token"])
    refreshed(service, next_one["refresh_token"])
    assert told(refresh(service, accounts["reuse"]["refresh_token"])) == USED
    return shown


@pytest.fixture(scope="module")
def later(service: Service, second: Service) -> Later:
    """Begin everything that takes time, and wait for all of it together."""

    def new_account() -> Account:
        return service.register(f"{uuid.uuid4().hex}@example.com")

    def with_successor() -> tuple[Account, Account]:
        account = new_account()
        return account, refreshed(service, account["refresh_token"])

    def says(shown: str) -> tuple[int, str]:
        return plays(shown) if shown.startswith("http") else told(look(second, shown))

    changed = new_account()
    waiting = Later(
        replayed=with_successor(),
        repeated=with_successor(),
        changed=(changed, change_password(service, changed["token"]).json()),
    )
    shown = ended_elsewhere(service, second, new_account)
    started = time.monotonic()
    while time.monotonic() - started < REVOKED_WITHIN_SECONDS + 5:
        for way in shown.keys() - waiting.refused_after.keys():
            if says(shown[way]) != (200, ""):
                waiting.refused_after[way] = time.monotonic() - started
        if len(waiting.refused_after) == len(shown) - 1:
            break
        time.sleep(1)
    # What was refused once stays so.
    waiting.said = {way: says(token) for way, token in shown.items()}
    # All of it took longer than the grace of a repeat.
    time.sleep(max(0.0, GRACE_SECONDS + 1 - (time.monotonic() - started)))
    return waiting


class TestAfterAWhile:
    def test_a_replay_after_the_grace_ends_the_session(self, service: Service, later: Later) -> None:
        account, successor = later.replayed
        other = signed_in(service, account)
        address = playing(service, account | successor)
        assert told(refresh(service, account["refresh_token"])) == USED
        assert told(look(service, successor["token"])) == INVALID
        assert told(look(service, account["token"])) == INVALID
        assert told(refresh(service, successor["refresh_token"])) == USED
        assert plays(address) == (410, "playback_expired")
        assert [one["session_id"] for one in listed(service, other["token"])] == [other["session_id"]]
        assert types_of(service, account["user_id"]).count("refresh_reused") == 1

    def test_a_successor_is_not_bound_to_the_grace(self, service: Service, later: Later) -> None:
        account, successor = later.repeated
        again = refreshed(service, successor["refresh_token"])
        assert again["session_id"] == account["session_id"]
        assert "refresh_reused" not in types_of(service, account["user_id"])

    def test_a_change_of_password_voids_the_refresh_token_before_it(
        self, service: Service, later: Later
    ) -> None:
        before, after = later.changed
        assert told(refresh(service, before["refresh_token"])) == USED
        assert told(refresh(service, after["refresh_token"])) == USED

    @pytest.mark.parametrize("way", ["logout", "by name", "others", "password", "recovery", "reuse", "epoch"])
    def test_a_second_process_refuses_what_has_ended(self, later: Later, way: str) -> None:
        assert later.said[way] == INVALID
        assert later.refused_after[way] < REVOKED_WITHIN_SECONDS

    def test_a_second_process_refuses_its_ticket(self, later: Later) -> None:
        assert later.said["ticket"] == (410, "playback_expired")
        assert later.refused_after["ticket"] < REVOKED_WITHIN_SECONDS

    def test_a_second_process_goes_on_with_what_has_not_ended(self, later: Later) -> None:
        assert later.said["nothing"] == (200, "")


@pytest.fixture(scope="module")
def brief(service: Service) -> Iterator[Service]:
    """The service with lifetimes that a test can wait for."""
    how = UNLIMITED | {"TOKEN_TTL": "3", "REFRESH_TTL": "6", "SECRET_KEY": service.secret_key()}
    with run_service(service.aws_url, **how) as running:
        yield running


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def test_lifetimes_are_kept(service: Service, brief: Service) -> None:
    going_on = brief.register(f"{uuid.uuid4().hex}@example.com")
    begun = time.monotonic()
    ends = datetime.fromisoformat(going_on["expires_at"])
    assert 0 < (ends - datetime.now(UTC)).total_seconds() <= 3
    assert look(brief, going_on["token"]).status_code == 200
    left_alone = brief.register(f"{uuid.uuid4().hex}@example.com")
    left_alone_at = time.monotonic()
    # A token that outlives its session, as 30 days do when a session is set to last for less.
    outliving = minted(service, left_alone["user_id"], sid=left_alone["session_id"])
    wait_until(begun + 3.5)
    assert told(look(brief, going_on["token"])) == INVALID
    grant = refreshed(brief, going_on["refresh_token"])
    assert look(brief, grant["token"]).status_code == 200
    # Six seconds after its beginning a session is over, unless it was refreshed since.
    wait_until(left_alone_at + 6.5)
    again = refreshed(brief, grant["refresh_token"])
    assert [one["session_id"] for one in listed(brief, again["token"])] == [going_on["session_id"]]
    assert told(refresh(brief, left_alone["refresh_token"])) == USED
    assert told(look(brief, outliving)) == INVALID
    assert "refresh_reused" not in types_of(brief, left_alone["user_id"])


def names_sessions(request: Request) -> bool:
    return b"panzoto-sessions" in request.body


class TestWithoutTheTable:
    """Nobody can tell then whether a session goes on, so nobody is told that a token is wrong."""

    @pytest.fixture(autouse=True)
    def _faultless(self, proxy: FaultProxy) -> Iterator[None]:
        yield
        proxy.clear()

    @pytest.mark.parametrize(
        "fault",
        [
            Answer.dynamodb("ProvisionedThroughputExceededException"),
            Answer.dynamodb("InternalServerError"),
            Refuse(),
            LoseReply(),
        ],
        ids=["throttled", "broken", "unreachable", "silent"],
    )
    def test_the_answer_is_503(
        self, service: Service, second: Service, proxy: FaultProxy, account: Account, fault: Any
    ) -> None:
        address = playing(service, account).replace(service.url, second.url)
        earlier = minted(service, account["user_id"])
        proxy.add(Fault(fault, where=names_sessions))
        answers = [
            look(second, account["token"]),
            second.call("GET", "/api/user/sessions", account["token"]),
            second.call("POST", "/api/logout", account["token"]),
            second.call("DELETE", f"/api/user/sessions/{uuid.uuid4()}", account["token"]),
            refresh(second, account["refresh_token"]),
            login(second, account),
            requests.get(address, timeout=30),
        ]
        assert {told(answer) for answer in answers} == {(503, "unavailable")}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)
        # These are told by the account's own row.
        assert look(second, earlier).status_code == 200
        proxy.clear()
        # A process may remember for a moment that nobody could tell.
        eventually(lambda: look(second, account["token"]).status_code == 200, "nobody can tell yet")
        assert plays(address) == (200, "")
        assert refreshed(second, account["refresh_token"])["session_id"] == account["session_id"]

    def test_a_session_that_was_just_seen_goes_on(
        self, second: Service, proxy: FaultProxy, account: Account
    ) -> None:
        assert look(second, account["token"]).status_code == 200
        fault = proxy.add(Fault(Answer.dynamodb("InternalServerError"), where=names_sessions))
        assert [look(second, account["token"]).status_code for _ in range(5)] == [200] * 5
        assert fault.matched == 0

    def test_many_calls_at_once_cost_one_look(
        self, second: Service, proxy: FaultProxy, account: Account
    ) -> None:
        seen = proxy.add(Fault(Action(), where=names_sessions))
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: look(second, account["token"]), range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert seen.matched == 1

    def test_a_table_that_hangs_holds_nobody_for_long(
        self, second: Service, proxy: FaultProxy, account: Account
    ) -> None:
        """A phone asks for several things at once; each may wait as long as one, not for all before it."""
        proxy.add(Fault(Hang(), where=names_sessions))
        started = time.monotonic()
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: look(second, account["token"]), range(6)))
        assert {told(answer) for answer in answers} == {(503, "unavailable")}
        # One after the other they would wait for 18 s.
        assert time.monotonic() - started < 12

    def test_a_reply_that_was_lost_costs_no_session(
        self, second: Service, proxy: FaultProxy, account: Account
    ) -> None:
        lost = proxy.add(Fault(LoseReply(), operation="UpdateItem", where=names_sessions, times=1))
        grant = refreshed(second, account["refresh_token"])
        assert lost.applied == 1
        assert refreshed(second, grant["refresh_token"])["session_id"] == account["session_id"]
        assert "refresh_reused" not in types_of(second, account["user_id"])

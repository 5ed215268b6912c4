"""Calls in a session that take a password or a code, counted together for each account."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from panzoto.blueprints.counted_calls import CALLS
from tests.conftest import UNLIMITED
from tests.support.recordings import decrypt, hear, store, version_2
from tests.support.service import PASSWORD, Service, run_service

Account = dict[str, Any]
WRONG = "not my password"
# What is a secret of the account, or proves that one holds it.
SECRETS = {"password", "new_password", "recovery_key", "code", "provider_token"}


@pytest.fixture(scope="module")
def limited(moto: str) -> Iterator[Service]:
    """Calls are counted by the day here, so that no window ends while a test counts in it."""
    with run_service(moto, **UNLIMITED | {"LIMIT_SESSION": "3 per day"}) as running:
        yield running


def fresh(service: Service) -> Account:
    return service.register(f"{uuid.uuid4().hex}@example.com")


def ways(service: Service, token: str) -> dict[str, Callable[[], requests.Response]]:
    """Every call in a session that takes a password or a code, with a wrong one."""

    def call(method: str, path: str, **body: Any) -> Callable[[], requests.Response]:
        return lambda: service.call(method, path, token, json=body)

    key = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFG-CC6W"
    new = {"new_password": "another quiet walk"}
    return {
        "/api/user/password": call("POST", "/api/user/password", password=WRONG, **new),
        "/api/user/email": call("POST", "/api/user/email", password=WRONG, email="a@example.com"),
        "/api/user/recovery-key": call("POST", "/api/user/recovery-key", password=WRONG),
        "/api/user/recover": call("POST", "/api/user/recover", recovery_key=key, **new),
        "/api/user": call("DELETE", "/api/user", provider_token="no token"),
        "/api/audio-file/<file_id>/upgrade": call("POST", "/api/audio-file/any/upgrade", password=WRONG),
    }


def held_back(answer: requests.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["RateLimit-Policy"] == '"session";q=3;w=86400'
    return True


def test_all_of_them_count_together(limited: Service) -> None:
    account = fresh(limited)
    asked = ways(limited, account["token"])
    before = [ask().status_code for ask in list(asked.values())[:3]]
    assert before == [401] * 3
    assert {path: held_back(ask()) for path, ask in asked.items()} == dict.fromkeys(asked, True)


def test_another_session_is_no_way_around_and_another_account_is_free(limited: Service) -> None:
    account, other = fresh(limited), fresh(limited)
    sign_in = {"email": account["user"]["email"], "password": PASSWORD}
    tokens = [account["token"], limited.call("POST", "/api/login", json=sign_in).json()["token"]]
    answers = [ways(limited, tokens[number % 2])["/api/user/email"]() for number in range(5)]
    assert [answer.status_code for answer in answers[:3]] == [401] * 3
    assert all(map(held_back, answers[3:]))
    assert ways(limited, other["token"])["/api/user/email"]().status_code == 401


def test_the_right_password_is_counted_too_and_hearing_is_not(limited: Service) -> None:
    account = fresh(limited)
    token = account["token"]
    s3_key = f"users/{account['user_id']}/talk.3gp"
    file_id = store(limited, account, s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\ntalk"))
    body = {"password": PASSWORD}
    made = [limited.call("POST", "/api/user/recovery-key", token, json=body) for _ in range(4)]
    assert [answer.status_code for answer in made] == [201, 201, 201, 429]
    assert all(decrypt(limited, token, file_id, PASSWORD).status_code == 200 for _ in range(4))
    assert hear(limited, token, file_id, PASSWORD) == b"#!AMR\ntalk"
    assert limited.call("GET", "/api/user", token).status_code == 200


def test_an_address_that_is_taken_is_told_no_more_often(limited: Service) -> None:
    account, other = fresh(limited), fresh(limited)
    body = {"password": PASSWORD, "email": other["user"]["email"]}
    answers = [limited.call("POST", "/api/user/email", account["token"], json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [409, 409, 409, 429]


def test_the_table_names_every_call_that_takes_a_secret(service: Service) -> None:
    document = service.call("GET", "/api/openapi.json").json()
    taking = set()
    for path, operations in document["paths"].items():
        for method in {"post", "delete", "patch"} & set(operations):
            operation = operations[method]
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = schema.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if SECRETS & set(document["components"]["schemas"].get(name, {}).get("properties", {})):
                taking.add((method.upper(), path.replace("{", "<").replace("}", ">")))
    # Asking for a code has no secret in it, but is how one comes by one.
    assert set(CALLS) == taking | {("POST", "/api/password/forgot")}
    inside = {path for (_, path), counted in CALLS.items() if counted.by == "account"}
    assert inside == set(ways(service, ""))

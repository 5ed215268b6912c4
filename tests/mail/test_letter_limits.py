"""How many letters one mailbox gets, whoever causes them: over the wire, with the default of five an hour."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.conftest import UNLIMITED
from tests.support import mails
from tests.support.service import PASSWORD, Service, run_service

Account = dict[str, Any]


@pytest.fixture(scope="module")
def limited(moto: str) -> Iterator[Service]:
    """Letters are counted by the day here, so that no window ends while a test counts in it."""
    with run_service(moto, **UNLIMITED | {"LIMIT_LETTERS": "5 per day"}) as running:
        yield running


def fresh() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def post(service: Service, path: str, token: str | None = None, **body: Any) -> requests.Response:
    return service.call("POST", path, token, json=body)


def ask(service: Service, account: Account, email: str) -> requests.Response:
    return post(service, "/api/user/email", account["token"], password=PASSWORD, email=email)


def all_is_sent(service: Service) -> None:
    """Return when all has left that was to be sent before: one hand sends, and the queue keeps the order."""
    email = fresh()
    service.register(email)
    mails.wait_for(service, email, "verification")


def confirmed(service: Service, email: str) -> Account:
    account = service.register(email)
    code = mails.code_in(mails.wait_for(service, email, "verification"))
    assert post(service, "/api/verify-email", code=code).status_code == 204
    return account


def is_held_back(answer: requests.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json()["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) >= 1
    return True


def test_of_many_who_ask_for_one_mailbox_all_together_may(limited: Service) -> None:
    """A stranger's mailbox, spelt in several ways, named by several accounts."""
    name = uuid.uuid4().hex
    spellings = (f"{name}@bücher.example", f"{name}@xn--bcher-kva.example", f"{name.upper()}@BÜCHER.example")
    answers = []
    for number in range(12):
        account = limited.register(fresh())
        answers.append(ask(limited, account, spellings[number % 3]))
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert all(is_held_back(answer) for answer in answers[5:])
    all_is_sent(limited)
    assert len(mails.sent(limited, f"{name}@xn--bcher-kva.example")) == 5


def test_to_and_fro_sends_no_more(limited: Service) -> None:
    account, one, other = limited.register(fresh()), fresh(), fresh()
    answers = [ask(limited, account, (one, other)[number % 2]) for number in range(14)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 4
    all_is_sent(limited)
    assert [len(mails.sent(limited, email)) for email in (one, other)] == [5, 5]


def test_what_is_asked_for_again_counts_with_what_came_at_register(limited: Service) -> None:
    email = fresh()
    account = limited.register(email)
    answers = [post(limited, "/api/user/verify-email", account["token"]) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 4 + [429] * 2
    assert is_held_back(answers[-1])
    all_is_sent(limited)
    assert mails.kinds(limited, email) == ["verification"] * 5


def test_who_has_forgotten_is_always_told_the_same(limited: Service) -> None:
    known = confirmed(limited, fresh())["user"]["email"]
    for email in (known, fresh()):
        answers = [post(limited, "/api/password/forgot", email=email) for _ in range(8)]
        assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
        assert {frozenset(answer.headers) for answer in answers} == {frozenset(answers[0].headers)}
    all_is_sent(limited)
    assert Counter(mails.kinds(limited, known)) == {"verification": 1, "reset": 4}
    # An operator who is asked why no letter came finds it; nothing of whose it was.
    told = [line for line in limited.log().splitlines() if "mail_over_limit" in line]
    assert len(told) >= 4
    assert all('"mail": "reset"' in line for line in told[-4:])
    assert known not in "".join(told)


def test_register_is_never_refused_for_the_letter(limited: Service) -> None:
    email = fresh()
    for _ in range(5):
        assert ask(limited, limited.register(fresh()), email).status_code == 200
    assert limited.register(email)["user"]["email"] == email
    all_is_sent(limited)
    assert mails.kinds(limited, email) == ["email-changed"] * 5


def test_notices_to_an_address_that_nobody_confirmed_count_with_the_others(limited: Service) -> None:
    email = fresh()
    limited.register(email)
    for number in range(8):
        body = {"email": email, "password": PASSWORD, "device_name": f"device {number}"}
        assert limited.call("POST", "/api/login", json=body).status_code == 200
    all_is_sent(limited)
    assert Counter(mails.kinds(limited, email)) == {"verification": 1, "new-device": 4}


def test_asking_keeps_no_notice_away_and_neither_keeps_the_way_back(limited: Service) -> None:
    email = fresh()
    account = confirmed(limited, email)
    for _ in range(8):
        assert post(limited, "/api/password/forgot", email=email).status_code == 202
    for number in range(8):
        body = {"email": email, "password": PASSWORD, "device_name": f"device {number}"}
        assert limited.call("POST", "/api/login", json=body).status_code == 200
    new = fresh()
    assert ask(limited, account, new).status_code == 200
    moving = mails.code_in(mails.wait_for(limited, new, "email-changed"))
    assert post(limited, "/api/verify-email", code=moving).status_code == 204
    code = mails.code_in(mails.wait_for(limited, email, "email-left"))
    assert Counter(mails.kinds(limited, email)) == {
        "verification": 1,
        "reset": 4,
        "new-device": 5,
        "email-left": 1,
    }
    assert post(limited, "/api/email/undo", code=code).status_code == 204


def test_a_deletion_begins_no_new_count(limited: Service) -> None:
    """Else who registers and deletes a stranger's address again and again would fill their mailbox."""
    email = fresh()
    for _ in range(7):
        account = limited.register(email)
        assert limited.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD}).ok
        wait_until_free(limited, email)
    all_is_sent(limited)
    assert mails.kinds(limited, email) == ["verification"] * 5


def wait_until_free(service: Service, email: str) -> None:
    deadline = time.monotonic() + 30
    claim = {"claim": {"S": f"email#{email}"}}
    while "Item" in service.dynamodb().get_item(TableName="panzoto-claims", Key=claim, ConsistentRead=True):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_count_names_no_address_and_ends_by_itself(limited: Service) -> None:
    email = fresh()
    limited.register(email)
    mails.wait_for(limited, email, "verification")
    pages = limited.dynamodb().get_paginator("scan").paginate(TableName="panzoto-throttle")
    counts = [item for page in pages for item in page["Items"] if item["subject"]["S"].startswith("letters#")]
    assert counts
    assert email.partition("@")[0] not in str(counts)
    assert all(int(item["expires_at"]["N"]) <= time.time() + 2 * 86400 for item in counts)

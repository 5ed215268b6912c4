"""The address of an account over the wire: moved when its owner is shown, and moved back by the former."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from panzoto.crypto.sealed import Sealer
from tests.conftest import UNLIMITED
from tests.support import mails, rows
from tests.support.service import PASSWORD, Service, run_service

Account = dict[str, Any]
NEW = "another quiet walk"
WEEK = 7 * 86400


def fresh() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def post(service: Service, path: str, token: str | None = None, **body: Any) -> requests.Response:
    return service.call("POST", path, token, json=body)


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def profile(service: Service, account: Account) -> Account:
    answer = service.call("GET", "/api/user", account["token"])
    assert answer.status_code == 200, answer.text
    found: Account = answer.json()
    return found


def login(service: Service, email: str, password: str = PASSWORD) -> requests.Response:
    return post(service, "/api/login", email=email, password=password)


def ask(service: Service, account: Account, email: str, password: str = PASSWORD) -> requests.Response:
    return post(service, "/api/user/email", account["token"], password=password, email=email)


def code_to(service: Service, email: str, kind: str = "email-changed", count: int = 1) -> str:
    return mails.code_in(mails.wait_for(service, email, kind, count))


def confirm(service: Service, code: str) -> requests.Response:
    return post(service, "/api/verify-email", code=code)


def move(service: Service, account: Account, email: str, count: int = 1) -> None:
    assert ask(service, account, email).status_code == 200
    answer = confirm(service, code_to(service, email, count=count))
    assert answer.status_code == 204, answer.text


def undo_code(service: Service, email: str, count: int = 1) -> str:
    return code_to(service, email, "email-left", count)


def undo(service: Service, code: str) -> requests.Response:
    return post(service, "/api/email/undo", code=code)


def events(service: Service, account: Account) -> list[dict[str, Any]]:
    told = service.call("GET", "/api/user/events", account["token"]).json()["events"]
    return [event for event in told if event["type"] == "email_changed"]


def let_pass(service: Service, user_id: str, seconds: int) -> None:
    """Let the kept addresses of an account be older by so much, in its row and in their claims."""
    row = rows.user_row(service, user_id)
    kept = row["kept_emails"]["S"]
    dynamodb = service.dynamodb()
    for page in dynamodb.get_paginator("scan").paginate(TableName="panzoto-claims"):
        for item in page["Items"]:
            if item["user_id"]["S"] == user_id and "kept_until" in item:
                until = str(float(item["kept_until"]["N"]) - seconds)
                dynamodb.put_item(TableName="panzoto-claims", Item=item | {"kept_until": {"N": until}})
                second = str(int(float(item["kept_until"]["N"])))
                kept = kept.replace(second, str(int(second) - seconds))
    dynamodb.put_item(TableName=rows.USERS_TABLE, Item=row | {"kept_emails": {"S": kept}})


class TestMoving:
    def test_the_account_stays_until_the_code_comes_back(self, service: Service, account: Account) -> None:
        old, new = account["user"]["email"], fresh()
        answer = ask(service, account, f" {new.upper()} ")
        assert (answer.status_code, answer.json()) == (200, {"user": account["user"]})
        told = profile(service, account)
        assert (told["email"], told["pending_email"]) == (old, new)
        refused(login(service, new), 401, "invalid_credentials")
        assert login(service, old).status_code == 200
        code = code_to(service, new)
        for _ in range(2):
            assert confirm(service, code).status_code == 204
        told = profile(service, account)
        assert (told["email"], told["pending_email"], told["email_verified"]) == (new, None, True)
        assert login(service, new).status_code == 200
        refused(login(service, old), 401, "invalid_credentials")
        (event,) = events(service, account)
        assert event["session_id"] == account["session_id"]

    def test_an_address_that_somebody_asks_for_is_taken_by_who_registers_it(
        self, service: Service, account: Account
    ) -> None:
        new = fresh()
        assert ask(service, account, new).status_code == 200
        code = code_to(service, new)
        assert service.register(new)["user_id"] != account["user_id"]
        refused(confirm(service, code), 400, "invalid_code")
        assert profile(service, account)["email"] == account["user"]["email"]

    def test_only_the_latest_wish_counts(self, service: Service, account: Account) -> None:
        first, second = fresh(), fresh()
        for email in (first, second):
            assert ask(service, account, email).status_code == 200
        refused(confirm(service, code_to(service, first)), 400, "invalid_code")
        assert confirm(service, code_to(service, second)).status_code == 204

    def test_its_own_address_takes_a_wish_back(self, service: Service, account: Account) -> None:
        new = fresh()
        assert ask(service, account, new).status_code == 200
        code = code_to(service, new)
        assert ask(service, account, account["user"]["email"]).status_code == 200
        assert profile(service, account)["pending_email"] is None
        refused(confirm(service, code), 400, "invalid_code")

    def test_a_new_password_takes_back_what_who_knew_the_former_one_wished(
        self, service: Service, account: Account
    ) -> None:
        new = fresh()
        assert ask(service, account, new).status_code == 200
        code = code_to(service, new)
        body = {"password": PASSWORD, "new_password": NEW}
        changed = post(service, "/api/user/password", account["token"], **body)
        assert changed.status_code == 200
        assert profile(service, changed.json())["pending_email"] is None
        refused(confirm(service, code), 400, "invalid_code")

    @pytest.mark.parametrize("spelling", [str, str.upper, lambda email: f" {email}"])
    def test_a_taken_address_is_refused(
        self, service: Service, new_account: Callable[..., Account], spelling: Callable[[str], str]
    ) -> None:
        account, other = new_account(), new_account()
        answer = ask(service, account, spelling(other["user"]["email"]))
        assert (answer.status_code, answer.json()["error"]) == (409, "User already exists")
        assert profile(service, account)["pending_email"] is None

    def test_an_account_of_the_earlier_service_moves_too(self, service: Service) -> None:
        old, new = fresh(), fresh()
        rows.put_user(service, old, PASSWORD, bytes(32))
        account = login(service, old).json()
        move(service, account, new)
        assert login(service, new).status_code == 200
        assert undo(service, undo_code(service, old)).status_code == 204
        assert login(service, old).status_code == 200

    def test_where_no_letters_leave_it_moves_at_once(self, moto: str) -> None:
        with run_service(moto, MAIL="off", **UNLIMITED) as silent:
            old, new = fresh(), fresh()
            account = silent.register(old)
            answer = ask(silent, account, new)
            assert (answer.status_code, answer.json()["user"]["email"]) == (200, new)
            told = profile(silent, account)
            assert (told["email"], told["pending_email"], told["email_verified"]) == (new, None, False)
            assert silent.register(old)["user_id"] != account["user_id"]


class TestUndoing:
    def test_the_former_address_is_the_accounts_again_and_every_session_ends(
        self, service: Service, account: Account
    ) -> None:
        old, new = account["user"]["email"], fresh()
        thief = login(service, old).json()
        move(service, thief, new)
        letter = mails.text(mails.wait_for(service, old, "email-left"))
        assert new not in letter
        code = undo_code(service, old)
        answer = undo(service, code)
        assert (answer.status_code, answer.content) == (204, b"")
        for one in (account, thief):
            refused(service.call("GET", "/api/user", one["token"]), 401, "token_invalid")
            gone = post(service, "/api/token/refresh", refresh_token=one["refresh_token"])
            refused(gone, 401, "invalid_refresh_token")
        refused(login(service, new), 401, "invalid_credentials")
        again = login(service, old).json()
        told = profile(service, again)
        assert (told["email"], told["pending_email"], told["email_verified"]) == (old, None, True)
        assert [event["detail"] for event in events(service, again)] == [{"undone": True}, {}]
        refused(undo(service, code), 400, "invalid_code")
        assert service.register(new)["user_id"] != account["user_id"]

    def test_it_works_whatever_the_password_is_by_then(self, service: Service, account: Account) -> None:
        old, new = account["user"]["email"], fresh()
        move(service, account, new)
        body = {"password": PASSWORD, "new_password": NEW}
        assert post(service, "/api/user/password", account["token"], **body).status_code == 200
        assert undo(service, undo_code(service, old)).status_code == 204
        assert login(service, old, NEW).status_code == 200

    def test_the_first_address_comes_before_those_in_between(
        self, service: Service, account: Account
    ) -> None:
        """Who took the account away cannot take it back by an address that they moved it over."""
        old, between, last = account["user"]["email"], fresh(), fresh()
        move(service, account, between)
        move(service, account, last)
        of_the_thief = undo_code(service, between)
        assert undo(service, undo_code(service, old)).status_code == 204
        refused(undo(service, of_the_thief), 400, "invalid_code")
        assert login(service, old).status_code == 200
        for free in (between, last):
            assert service.register(free)["user_id"] != account["user_id"]

    def test_one_in_between_leaves_the_first_its_right(self, service: Service, account: Account) -> None:
        old, between, last = account["user"]["email"], fresh(), fresh()
        move(service, account, between)
        move(service, account, last)
        assert undo(service, undo_code(service, between)).status_code == 204
        assert login(service, between).status_code == 200
        assert undo(service, undo_code(service, old)).status_code == 204
        assert login(service, old).status_code == 200

    def test_nobody_takes_the_address_while_it_is_kept(
        self, service: Service, new_account: Callable[..., Account]
    ) -> None:
        account, other = new_account(), new_account()
        old = account["user"]["email"]
        move(service, account, fresh())
        code = undo_code(service, old)
        taken = post(service, "/api/register", email=old, password=PASSWORD)
        refused(taken, 409, "user_exists")
        refused(ask(service, other, old), 409, "user_exists")
        let_pass(service, account["user_id"], WEEK - 60)
        refused(post(service, "/api/register", email=old, password=PASSWORD), 409, "user_exists")
        assert undo(service, code).status_code in (204, 400)

    def test_after_a_week_it_is_anybodys(self, service: Service, account: Account) -> None:
        old, new = account["user"]["email"], fresh()
        move(service, account, new)
        code = undo_code(service, old)
        let_pass(service, account["user_id"], WEEK)
        refused(undo(service, code), 400, "invalid_code")
        newcomer = service.register(old)
        assert newcomer["user_id"] != account["user_id"]
        move(service, account, fresh())
        assert login(service, old).json()["user_id"] == newcomer["user_id"]
        assert profile(service, account)["email"] not in (old, new)

    def test_the_account_itself_may_go_back_to_it(self, service: Service, account: Account) -> None:
        old, new = account["user"]["email"], fresh()
        move(service, account, new)
        move(service, account, old)
        assert login(service, old).status_code == 200
        refused(undo(service, undo_code(service, old)), 400, "invalid_code")
        assert undo(service, undo_code(service, new)).status_code == 204
        assert login(service, new).status_code == 200

    def test_its_code_is_good_for_a_week_and_nothing_else(self, service: Service, account: Account) -> None:
        old, new = account["user"]["email"], fresh()
        assert ask(service, account, new).status_code == 200
        moving = code_to(service, new)
        refused(undo(service, moving), 400, "invalid_code")
        assert confirm(service, moving).status_code == 204
        code = undo_code(service, old)
        refused(confirm(service, code), 400, "invalid_code")
        refused(post(service, "/api/password/reset", code=code, new_password=NEW), 400, "invalid_code")
        secret = service.secret_key()
        sealer, now = Sealer(secret, (), "undo-email"), time.time()
        content = sealer.open(code, now + WEEK - 600)
        refused(undo(service, sealer.seal(content, int(now) - 1)), 400, "invalid_code")
        for wrong in ("", None):
            refused(post(service, "/api/email/undo", code=wrong), 400, "invalid_request")
        assert undo(service, f"{code[:50]}\r\n{code[50:]}").status_code == 204

    def test_a_deleted_account_leaves_its_former_addresses_free(
        self, service: Service, account: Account
    ) -> None:
        old = account["user"]["email"]
        move(service, account, fresh())
        code = undo_code(service, old)
        assert service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD}).ok
        refused(undo(service, code), 400, "invalid_code")
        deadline = time.monotonic() + 30
        while (answer := post(service, "/api/register", email=old, password=PASSWORD)).status_code == 409:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert answer.status_code == 201

"""The pages to which letters lead, opened by a real browser from the letters themselves."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support import mails
from tests.support.browser import Browser, Page, chromium
from tests.support.recordings import hear, store, version_2
from tests.support.service import ITSELF, PASSWORD, Service, run_service

NEW = "another quiet walk"


@pytest.fixture(scope="module")
def public(moto: str) -> Iterator[Service]:
    """A service whose operator has said where it is reached, and whom pages of other origins may not call."""
    settings = {"PUBLIC_URL": ITSELF, "CORS_ORIGINS": "https://a.example"}
    with run_service(moto, **UNLIMITED, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.page()


@pytest.fixture
def account(public: Service) -> dict[str, Any]:
    return public.register(f"{uuid.uuid4().hex}@example.com")


def link_in(service: Service, email: str, kind: str) -> str:
    """Return the one link to a page in the latest letter of this kind."""
    text = mails.text(mails.wait_for(service, email, kind))
    (link,) = re.findall(r"^(http\S+#code=\S+)$", text, re.MULTILINE)
    return str(link)


def reset_link(service: Service, account: dict[str, Any]) -> str:
    email = account["user"]["email"]
    assert service.call("POST", "/api/password/forgot", json={"email": email}).status_code == 202
    return link_in(service, email, "reset")


def record(service: Service, account: dict[str, Any]) -> str:
    s3_key = f"users/{account['user_id']}/talk.3gp"
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, b"#!AMR\ntalk"))


def sessions(service: Service, email: str) -> list[dict[str, Any]]:
    login = {"email": email, "password": NEW, "device_name": "the one that asks"}
    token = service.call("POST", "/api/login", json=login).json()["token"]
    found: list[dict[str, Any]] = service.call("GET", "/api/user/sessions", token).json()["sessions"]
    return found


class TestVerify:
    def test_a_link_confirms_the_address_and_the_code_leaves_the_address_bar(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        page.go(link_in(public, account["user"]["email"], "verification"))
        page.until_shown("Your address is confirmed.")
        assert page.run("location.href") == f"{public.url}/verify"
        assert page.run("history.length") <= 2
        assert public.call("GET", "/api/user", account["token"]).json()["email_verified"] is True

    def test_a_link_that_is_over_says_so_and_a_code_can_be_typed(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        page.go(f"{public.url}/verify#code=no-code-of-ours")
        page.until_shown("This link has expired or was used before.")
        code = link_in(public, account["user"]["email"], "verification").partition("#code=")[2]
        page.type("Code from the letter", code)
        page.click("button", "Confirm address")
        page.until_shown("Your address is confirmed.")


class TestReset:
    def test_a_new_password_is_chosen(self, public: Service, account: dict[str, Any], page: Page) -> None:
        page.go(reset_link(public, account))
        page.the("heading", "New password")
        assert page.run("location.href") == f"{public.url}/reset"
        page.type("New password", NEW)
        page.click("button", "Set new password")
        page.until_shown("Your password is changed")
        # The page itself is no device that stays signed in.
        email = account["user"]["email"]
        page.until(lambda: all(one["device_name"] == "the one that asks" for one in sessions(public, email)))

    def test_with_recordings_it_asks_for_the_recovery_key_and_they_go_on_opening(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        file_id = record(public, account)
        made = public.call("POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD})
        page.go(reset_link(public, account))
        page.type("New password", NEW)
        assert page.find("textbox", "Recovery key") == []
        page.click("button", "Set new password")
        page.type("Recovery key", made.json()["recovery_key"][:-1])
        page.until_shown("every recording that was made until now stays locked for ever")
        page.click("button", "Set new password")
        page.until_shown("The recovery key is not written correctly")
        page.type("Recovery key", made.json()["recovery_key"].lower())
        page.click("button", "Set new password")
        page.until_shown("everything opens with it")
        login = {"email": account["user"]["email"], "password": NEW}
        token = public.call("POST", "/api/login", json=login).json()["token"]
        assert hear(public, token, file_id, NEW) == b"#!AMR\ntalk"

    def test_recordings_are_given_up_only_after_a_question(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        record(public, account)
        page.go(reset_link(public, account))
        page.type("New password", NEW)
        page.click("button", "Set new password")
        page.click("button", "I have no recovery key")
        page.until_shown("Give up all recordings that were made until now?")
        page.click("button", "No, keep them")
        page.the("textbox", "Recovery key")
        assert public.call("GET", "/api/user", account["token"]).status_code == 200
        page.click("button", "I have no recovery key")
        page.click("button", "Yes, give them up")
        page.until_shown("the account begins anew")
        login = {"email": account["user"]["email"], "password": NEW}
        assert public.call("POST", "/api/login", json=login).status_code == 200

    def test_a_password_that_is_none_is_told_and_the_link_stays_good(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        page.go(reset_link(public, account))
        page.type("New password", "password123")
        page.click("button", "Set new password")
        page.until_shown("one of the most common ones")
        page.type("New password", NEW)
        page.click("button", "Set new password")
        page.until_shown("Your password is changed")

    def test_nothing_is_asked_of_anybody_else(
        self, public: Service, account: dict[str, Any], browser: Browser
    ) -> None:
        browser.events.clear()
        page = browser.page()
        page.go(reset_link(public, account))
        page.type("New password", NEW)
        page.click("button", "Set new password")
        page.until_shown("Your password is changed")
        asked = {
            event["params"]["request"]["url"]
            for event in browser.events
            if event.get("method") == "Network.requestWillBeSent"
        }
        assert f"{public.url}/api/password/reset" in asked
        assert {url for url in asked if not url.startswith(f"{public.url}/")} == set()
        told = [
            event["params"]["entry"]["text"]
            for event in browser.events
            if event.get("method") == "Log.entryAdded"
        ]
        assert [text for text in told if "Content Security Policy" in text] == []


class TestUndo:
    def test_a_link_brings_the_account_back_when_the_person_says_so(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        old, new = account["user"]["email"], f"{uuid.uuid4().hex}@example.com"
        body = {"password": PASSWORD, "email": new}
        assert public.call("POST", "/api/user/email", account["token"], json=body).status_code == 200
        page.go(link_in(public, new, "email-changed"))
        page.until_shown("Your address is confirmed.")
        page.go(link_in(public, old, "email-left"))
        page.until_shown("every device is signed out")
        assert page.run("location.href") == f"{public.url}/undo"
        # A program that only looks at links undoes nothing.
        assert public.call("GET", "/api/user", account["token"]).json()["email"] == new
        page.click("button", "Get my account back")
        page.until_shown("Your account has its former address again")
        assert public.call("GET", "/api/user", account["token"]).status_code == 401
        login = {"email": old, "password": PASSWORD}
        assert public.call("POST", "/api/login", json=login).status_code == 200


class TestDescription:
    def test_the_page_of_all_calls_begins_with_what_to_do_first(self, public: Service, page: Page) -> None:
        page.go(f"{public.url}/api/docs")
        page.until_shown("Hear an opened recording, whole or a byte range of it.")
        shown = page.text()
        for said in ("A first call.", "Errors have one shape", "Signing in", "Make an account and sign in."):
            assert said in shown
        assert "entrance" not in shown

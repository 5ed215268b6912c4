"""The pages to which letters lead, opened by a real browser from the letters themselves."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import UNLIMITED
from tests.support import mails
from tests.support.browser import Axe
from tests.support.recordings import hear, store, version_2
from tests.support.service import ITSELF, PASSWORD, Service, run_service
from tests.support.waiting import eventually

NEW = "another quiet walk"


@pytest.fixture(scope="module")
def public(moto: str) -> Iterator[Service]:
    """A service whose operator has said where it is reached, and whom pages of other origins may not call."""
    settings = {"PUBLIC_URL": ITSELF, "CORS_ORIGINS": "https://a.example"}
    with run_service(moto, **UNLIMITED, **settings) as running:
        yield running


@pytest.fixture
def account(public: Service) -> dict[str, Any]:
    return public.register(f"{uuid.uuid4().hex}@example.com")


@pytest.fixture
def in_chromium(chromium: Browser, new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open a page in Chromium with these options of its context."""
    return lambda **options: new_page(chromium, **options)


def until_shown(page: Page, text: str) -> None:
    expect(page.locator("body")).to_contain_text(text, use_inner_text=True)


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
        page.goto(link_in(public, account["user"]["email"], "verification"))
        until_shown(page, "Your address is confirmed.")
        assert page.url == f"{public.url}/verify"
        assert page.evaluate("() => history.length") <= 2
        assert public.call("GET", "/api/user", account["token"]).json()["email_verified"] is True

    def test_a_link_that_is_over_says_so_and_a_code_can_be_typed(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        page.goto(f"{public.url}/verify#code=no-code-of-ours")
        until_shown(page, "This link has expired or was used before.")
        page.get_by_role("textbox", name="Code from the email").fill("mistyped")
        page.get_by_role("button", name="Confirm address").click()
        until_shown(page, "This code is not right, or it has expired or was used before.")
        code = link_in(public, account["user"]["email"], "verification").partition("#code=")[2]
        page.get_by_role("textbox", name="Code from the email").fill(code)
        page.get_by_role("button", name="Confirm address").click()
        until_shown(page, "Your address is confirmed.")

    @pytest.mark.parametrize("written", ["/{}/", "//{}"])
    def test_who_writes_a_slash_too_many_comes_to_the_page_with_the_code(
        self, public: Service, account: dict[str, Any], page: Page, written: str
    ) -> None:
        code = link_in(public, account["user"]["email"], "verification").partition("#code=")[2]
        page.goto(f"{public.url}{written.format('verify')}#code={code}")
        until_shown(page, "Your address is confirmed.")
        assert page.url == f"{public.url}/verify"


class TestReset:
    def test_a_new_password_is_chosen(self, public: Service, account: dict[str, Any], page: Page) -> None:
        page.goto(reset_link(public, account))
        expect(page.get_by_role("heading", name="New password")).to_be_visible()
        assert page.url == f"{public.url}/reset"
        page.get_by_role("textbox", name="New password").fill(NEW)
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "Your password is changed")
        email = account["user"]["email"]
        # The page itself is no device that stays signed in, and what it did is told as done by this browser.
        eventually(
            lambda: {one["device_name"] for one in sessions(public, email)} == {"the one that asks"},
            lambda: sessions(public, email),
        )
        login = {"email": email, "password": NEW}
        token = public.call("POST", "/api/login", json=login).json()["token"]
        events = public.call("GET", "/api/user/events", token).json()["events"]
        (changed,) = [event for event in events if event["type"] == "password_changed"]
        assert changed["detail"]["device_name"] == "Chrome on Linux"

    def test_with_recordings_it_asks_for_the_recovery_key_and_they_go_on_opening(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        file_id = record(public, account)
        made = public.call("POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD})
        page.goto(reset_link(public, account))
        page.get_by_role("textbox", name="New password").fill(NEW)
        expect(page.get_by_role("textbox", name="Recovery key")).not_to_be_visible()
        page.get_by_role("button", name="Set new password").click()
        page.get_by_role("textbox", name="Recovery key").fill(made.json()["recovery_key"][:-1])
        until_shown(page, "every recording that was made until now stays locked for ever")
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "The recovery key is not written correctly")
        page.get_by_role("textbox", name="Recovery key").fill(made.json()["recovery_key"].lower())
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "everything opens with it")
        login = {"email": account["user"]["email"], "password": NEW}
        token = public.call("POST", "/api/login", json=login).json()["token"]
        assert hear(public, token, file_id, NEW) == b"#!AMR\ntalk"

    def test_recordings_are_given_up_only_after_a_question(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        record(public, account)
        page.goto(reset_link(public, account))
        page.get_by_role("textbox", name="New password").fill(NEW)
        page.get_by_role("button", name="Set new password").click()
        page.get_by_role("button", name="I have no recovery key").click()
        until_shown(page, "Give up all recordings that were made until now?")
        page.get_by_role("button", name="No, keep them").click()
        expect(page.get_by_role("textbox", name="Recovery key")).to_be_visible()
        assert public.call("GET", "/api/user", account["token"]).status_code == 200
        page.get_by_role("button", name="I have no recovery key").click()
        page.get_by_role("button", name="Yes, give them up").click()
        until_shown(page, "the account begins anew")
        login = {"email": account["user"]["email"], "password": NEW}
        assert public.call("POST", "/api/login", json=login).status_code == 200

    def test_a_password_that_is_none_is_told_and_the_link_stays_good(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        page.goto(reset_link(public, account))
        page.get_by_role("textbox", name="New password").fill("password123")
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "one of the most common ones")
        page.get_by_role("textbox", name="New password").fill(NEW)
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "Your password is changed")

    def test_nothing_is_asked_of_anybody_else(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(reset_link(public, account))
        page.get_by_role("textbox", name="New password").fill(NEW)
        page.get_by_role("button", name="Set new password").click()
        until_shown(page, "Your password is changed")
        assert f"{public.url}/api/password/reset" in asked
        assert {url for url in asked if not url.startswith(f"{public.url}/")} == set()


class TestUndo:
    def test_a_link_brings_the_account_back_when_the_person_says_so(
        self, public: Service, account: dict[str, Any], page: Page
    ) -> None:
        old, new = account["user"]["email"], f"{uuid.uuid4().hex}@example.com"
        body = {"password": PASSWORD, "email": new}
        assert public.call("POST", "/api/user/email", account["token"], json=body).status_code == 200
        page.goto(link_in(public, new, "email-changed"))
        until_shown(page, "Your address is confirmed.")
        page.goto(link_in(public, old, "email-left"))
        until_shown(page, "every device is signed out")
        assert page.url == f"{public.url}/undo"
        # A program that only looks at links undoes nothing.
        assert public.call("GET", "/api/user", account["token"]).json()["email"] == new
        page.get_by_role("button", name="Get my account back").click()
        until_shown(page, "Your account has its former address again")
        assert public.call("GET", "/api/user", account["token"]).status_code == 401
        login = {"email": old, "password": PASSWORD}
        assert public.call("POST", "/api/login", json=login).status_code == 200


class TestByHand:
    @pytest.mark.parametrize("of", ["reset", "undo"])
    def test_a_code_that_is_mistyped_is_told_as_such_and_there_is_a_way_back(
        self, of: str, public: Service, page: Page
    ) -> None:
        page.goto(f"{public.url}/{of}")
        page.get_by_role("textbox", name="Code from the email").fill("mistyped")
        if of == "reset":
            page.get_by_role("textbox", name="New password").fill(NEW)
        page.locator("#submit").click()
        until_shown(page, "This code is not right, or it has expired or was used before")
        page.get_by_role("link", name="Sign in").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


class TestLooksAndLanguage:
    def test_whoever_reads_german_is_told_in_german(
        self, public: Service, account: dict[str, Any], in_chromium: Callable[..., Page]
    ) -> None:
        record(public, account)
        page = in_chromium(locale="de-AT")
        page.goto(reset_link(public, account))
        expect(page).to_have_title("Neues Passwort · Panzoto")
        assert page.evaluate("() => document.documentElement.lang") == "de"
        page.get_by_role("textbox", name="Neues Passwort").fill("password123")
        page.get_by_role("button", name="Neues Passwort setzen").click()
        expect(page.get_by_role("alert")).to_contain_text("keines der häufigsten")
        page.get_by_role("textbox", name="Neues Passwort").fill(NEW)
        page.get_by_role("button", name="Neues Passwort setzen").click()
        expect(page.get_by_role("alert")).to_contain_text("In diesem Konto sind Aufnahmen.")
        expect(page.get_by_role("textbox", name="Wiederherstellungsschlüssel")).to_be_focused()
        page.get_by_role("button", name="Ich habe keinen Wiederherstellungsschlüssel").click()
        expect(page.get_by_role("button", name="Nein, behalten")).to_be_focused()
        page.get_by_role("button", name="Ja, aufgeben").click()
        expect(page.get_by_role("status")).to_contain_text("das Konto beginnt neu")
        page.get_by_role("link", name="Panzoto öffnen").click()
        expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()

    @pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
    def test_nothing_keeps_anybody_from_them(
        self,
        locale: str,
        public: Service,
        account: dict[str, Any],
        in_chromium: Callable[..., Page],
        axe: Axe,
    ) -> None:
        record(public, account)
        page = in_chromium(locale=locale)
        page.goto(f"{public.url}/undo#code=no-code-of-ours")
        page.locator("#submit").click()
        expect(page.get_by_role("alert")).not_to_be_empty()
        axe.check(page)
        page.goto(f"{public.url}/verify#code=no-code-of-ours")
        expect(page.get_by_role("alert")).not_to_be_empty()
        axe.check(page)
        page.goto(reset_link(public, account))
        page.locator("#password").fill(NEW)
        page.locator("#submit").click()
        expect(page.locator("#recovery-key")).to_be_focused()
        axe.check(page)
        page.locator("#discard").click()
        axe.check(page)
        page.locator("#give-up").click()
        expect(page.get_by_role("status")).not_to_be_empty()
        axe.check(page)


class TestDescription:
    def test_the_page_of_all_calls_begins_with_what_to_do_first(self, public: Service, page: Page) -> None:
        page.goto(f"{public.url}/api/docs")
        until_shown(page, "Hear an opened recording, whole or a byte range of it.")
        for said in ("A first call.", "Errors have one shape", "Signing in", "Make an account and sign in."):
            until_shown(page, said)
        expect(page.locator("body")).not_to_contain_text("entrance", use_inner_text=True)

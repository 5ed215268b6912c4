"""The console's entrance: coming in, getting back in, locking, and several tabs of one session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.conftest import UNLIMITED
from tests.support import mails
from tests.support.browser import Axe, chromium
from tests.support.entrance import (
    button,
    fill_in,
    go,
    heading,
    new_email,
    open_at,
    part,
    sign_in,
    signed_in,
    textbox,
    unlock,
    until_it_is_locked,
)
from tests.support.service import ITSELF, PASSWORD, Service, run_service
from tests.support.stand_in import RunningStandIn
from tests.support.two_tabs import event_types, use_two_tabs
from tests.support.waiting import eventually

NEW = "another quiet walk"
NOT_TYPED_BACK = "A recovery key was made, but not typed back."
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
# How long a token of `brief` lives, and for how long two tabs go on with them.
TOKEN_SECONDS = 4
TABS_SECONDS = 60


def calls_of(page: Page) -> list[Request]:
    """Return a list that grows by every call that the page makes."""
    calls: list[Request] = []
    page.on("request", lambda request: calls.append(request) if "/api/" in request.url else None)
    return calls


def paths(calls: list[Request]) -> list[str]:
    return [request.url.partition("/api/")[2] for request in calls]


def devices(service: Service, token: str) -> list[str]:
    """Return what the devices are called at which the account is signed in."""
    listed = service.call("GET", "/api/user/sessions", token).json()["sessions"]
    return [one["device_name"] for one in listed]


def key_is_kept(page: Page) -> bool | None:
    """Return whether the browser's database holds a key; None where it holds no session at all."""
    kept: bool | None = page.evaluate(
        """() => new Promise((resolve) => {
            const asked = indexedDB.open("panzoto");
            asked.onsuccess = () => {
                const row = asked.result.transaction("session").objectStore("session").get("session");
                row.onsuccess = () => {
                    asked.result.close();
                    resolve(row.result === undefined ? null : row.result.key !== null);
                };
            };
        })"""
    )
    return kept


@pytest.fixture(scope="module")
def strict(stand_in: RunningStandIn) -> Iterator[Service]:
    """A service that holds back whoever was wrong once."""
    settings = UNLIMITED | {"LIMIT_FAILURES": "1", "PUBLIC_URL": ITSELF}
    with run_service(stand_in.url, **stand_in.variables, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def brief(stand_in: RunningStandIn) -> Iterator[Service]:
    """A service whose tokens live for seconds."""
    settings = UNLIMITED | {"TOKEN_TTL": str(TOKEN_SECONDS), "PUBLIC_URL": ITSELF}
    with run_service(stand_in.url, **stand_in.variables, **settings) as running:
        yield running


# A browser that refuses to copy, as where it was told so for this page.
NO_CLIPBOARD = """
    Clipboard.prototype.writeText = async () => { throw new DOMException("No", "NotAllowedError"); };
"""
# What somebody would have in the clipboard who copies what is selected.
COPIED_BY_HAND = """() => {
    const copied = new ClipboardEvent("copy", { clipboardData: new DataTransfer(), bubbles: true });
    getSelection().anchorNode.dispatchEvent(copied);
    return copied.clipboardData.getData("text/plain");
}"""
# When, in milliseconds, the way to the views, a banner and a view's own head first stood in the page.
FIRST_SEEN = """
    window.firstSeen = {};
    new MutationObserver(() => {
        for (const [name, where] of [["ways", "nav"], ["banner", ".banner"], ["view", ".view-head"]])
            if (!(name in firstSeen) && document.querySelector(where)) firstSeen[name] = performance.now();
    }).observe(document, { childList: true, subtree: true });
"""
# A view waits so long for its banners, and timers may be early by what browsers round.
BANNERS_WAITED_FOR_MS = 990


class TestBanners:
    def test_a_view_is_drawn_under_its_banners(
        self, console: Service, person: dict[str, Any], page: Page
    ) -> None:
        """What comes above it later moves what somebody is about to press."""
        page.add_init_script(FIRST_SEEN)
        sign_in(page, console, person["user"]["email"])
        expect(page.locator(".view-head")).to_be_visible()
        expect(page.locator(".banner")).to_be_visible()
        seen = page.evaluate("firstSeen")
        waited = seen["view"] - seen["ways"]
        assert seen["banner"] <= seen["view"] or waited >= BANNERS_WAITED_FOR_MS

    def test_a_view_does_not_wait_for_ever_for_its_banners(
        self, console: Service, person: dict[str, Any], page: Page
    ) -> None:
        held: list[Route] = []
        page.add_init_script(FIRST_SEEN)

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/api/user", hold)
        sign_in(page, console, person["user"]["email"])
        expect(page.locator(".view-head")).to_be_visible()
        seen = page.evaluate("firstSeen")
        assert seen["view"] - seen["ways"] >= BANNERS_WAITED_FOR_MS
        assert "banner" not in seen
        for route in held:
            route.continue_()
        expect(page.locator(".banner")).to_be_visible()


class TestCreateAccount:
    def test_a_new_account_is_asked_for_its_recovery_key_without_its_password_again(
        self, console: Service, page: Page
    ) -> None:
        open_at(page, console, "create-account")
        email = new_email()
        fill_in(page, email)
        button(page, "Create account").click()
        expect(heading(page, "Recovery key")).to_be_visible()
        button(page, "Make recovery key").click()
        shown = page.get_by_role("group", name="Your recovery key")
        expect(shown).to_be_visible()
        expect(shown).not_to_contain_text("void")
        key = "-".join(shown.locator(".shown span").all_inner_texts())
        # Nothing is typed back yet, so leaving is not without a word.
        textbox(page, "Recovery key").fill(key[:-1] + ("0" if key[-1] != "0" else "1"))
        button(page, "Check").click()
        expect(page.get_by_text("This is not the key that was made.")).to_be_visible()
        # As people write: in small letters, with spaces, and an O for a zero.
        textbox(page, "Recovery key").fill(key.lower().replace("-", " ").replace("0", "o"))
        button(page, "Check").click()
        expect(page.get_by_role("status")).to_contain_text("Your recovery key is written down.")
        expect(heading(page, "Recordings")).to_be_visible()
        expect(page.get_by_text(NOT_TYPED_BACK)).to_have_count(0)
        assert key not in page.content()
        answer = console.call(
            "POST", "/api/recover", json={"email": email, "recovery_key": key, "new_password": NEW}
        )
        assert answer.status_code == 200

    def test_a_banner_stays_until_there_is_a_key(self, console: Service, page: Page) -> None:
        open_at(page, console, "create-account")
        fill_in(page, new_email())
        button(page, "Create account").click()
        button(page, "Later").click()
        banner = page.get_by_text("You have no recovery key yet.")
        expect(banner).to_be_visible()
        go(page, "Trash")
        expect(banner).to_be_visible()
        page.get_by_role("link", name="Make recovery key").click()
        # It was given up, so now the password is asked for.
        textbox(page, "Password").fill(PASSWORD)
        button(page, "Make recovery key").click()
        expect(page.get_by_role("group", name="Your recovery key")).to_be_visible()
        go(page, "Recordings")
        expect(page.get_by_text(NOT_TYPED_BACK)).to_be_visible()
        expect(banner).to_have_count(0)

    def test_a_key_that_the_browser_does_not_copy_is_selected_and_can_be_had_otherwise(
        self, console: Service, page: Page
    ) -> None:
        page.add_init_script(NO_CLIPBOARD)
        open_at(page, console, "create-account")
        fill_in(page, new_email())
        button(page, "Create account").click()
        button(page, "Make recovery key").click()
        button(page, "Copy").click()
        told = page.get_by_role("alert")
        expect(told).to_contain_text("did not allow copying")
        # Whoever loads the page anew has lost the key.
        expect(told).not_to_contain_text("reload")
        key = "-".join(page.locator(".key.shown span").all_inner_texts())
        copied = page.evaluate(COPIED_BY_HAND)
        assert copied == key

    def test_a_key_that_was_not_typed_back_is_told_until_somebody_says_that_they_have_it(
        self, console: Service, page: Page
    ) -> None:
        email = new_email()
        open_at(page, console, "create-account")
        fill_in(page, email, stay=True)
        button(page, "Create account").click()
        button(page, "Make recovery key").click()
        expect(page.get_by_role("group", name="Your recovery key")).to_be_visible()
        go(page, "Recordings")
        told = page.get_by_text(NOT_TYPED_BACK)
        expect(told).to_be_visible()
        page.reload()
        expect(told).to_be_visible()
        button(page, "Sign out").click()
        expect(told).to_have_count(0)
        sign_in(page, console, email)
        expect(told).to_be_visible()
        go(page, "Account")
        section = part(page, "Recovery key")
        expect(section).to_contain_text(NOT_TYPED_BACK)
        button(section, "I have it").click()
        expect(section).not_to_contain_text(NOT_TYPED_BACK)
        go(page, "Recordings")
        expect(heading(page, "Recordings")).to_be_visible()
        expect(told).to_have_count(0)

    def test_another_key_is_made_in_place_of_the_one_that_was_not_typed_back(
        self, console: Service, page: Page
    ) -> None:
        open_at(page, console, "create-account")
        fill_in(page, new_email())
        button(page, "Create account").click()
        button(page, "Make recovery key").click()
        expect(page.get_by_role("group", name="Your recovery key")).to_be_visible()
        go(page, "Recordings")
        page.get_by_role("link", name="Make a new recovery key").click()
        textbox(page, "Password").fill(PASSWORD)
        button(page, "Make recovery key").click()
        shown = page.get_by_role("group", name="Your recovery key")
        expect(shown).to_contain_text("The one you had before is void already.")
        textbox(page, "Recovery key").fill("".join(shown.locator(".shown span").all_inner_texts()))
        button(page, "Check").click()
        expect(heading(page, "Recordings")).to_be_visible()
        expect(page.get_by_text(NOT_TYPED_BACK)).to_have_count(0)

    def test_an_address_that_is_taken_is_told_and_what_was_typed_stays(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        open_at(page, console, "create-account")
        fill_in(page, person["user"]["email"], "quite another password")
        button(page, "Create account").click()
        expect(page.get_by_role("alert")).to_contain_text("There is an account with this email already.")
        expect(textbox(page, "Email")).to_have_attribute("aria-invalid", "true")
        page.get_by_role("link", name="I have an account").click()
        expect(textbox(page, "Email")).to_have_value(person["user"]["email"])

    def test_a_password_that_is_too_common_is_told(self, console: Service, page: Page) -> None:
        open_at(page, console, "create-account")
        fill_in(page, new_email(), "password123")
        button(page, "Create account").click()
        expect(page.get_by_role("alert")).to_contain_text("none of the most common ones")
        expect(textbox(page, "Password")).to_have_value("password123")

    def test_a_lost_answer_to_the_first_attempt_is_no_dead_end(self, console: Service, page: Page) -> None:
        open_at(page, console, "create-account")
        fill_in(page, new_email())

        def lose(route: Any) -> None:
            route.fetch()
            route.abort()

        page.route("**/api/register", lose, times=1)
        button(page, "Create account").click()
        expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
        button(page, "Create account").click()
        expect(heading(page, "Recovery key")).to_be_visible()


class TestSignIn:
    # One that is too short for any account is a slip of the finger, and not to be chosen anew.
    @pytest.mark.parametrize("wrong", [NEW, "x"], ids=["long enough", "short"])
    def test_a_wrong_password_is_told(
        self, console: Service, page: Page, person: dict[str, Any], wrong: str
    ) -> None:
        open_at(page, console)
        fill_in(page, person["user"]["email"], wrong)
        button(page, "Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("The email or the password is wrong.")
        # It is no case for support.
        expect(page.get_by_role("alert")).not_to_contain_text("Reference for support")
        # What concerns few is told to who asks.
        aside = page.get_by_text("this page cannot sign you in through the provider")
        expect(aside).to_be_hidden()
        # The focus is where it was: Enter tries again.
        expect(button(page, "Sign in")).to_be_focused()
        page.get_by_text("I sign in through another provider").click()
        expect(aside).to_be_visible()

    def test_the_first_page_says_what_it_is_for(self, console: Service, page: Page) -> None:
        open_at(page, console)
        expect(heading(page, "Sign in")).to_be_visible()
        expect(page.get_by_text("Panzoto records what you say")).to_be_visible()
        stay = page.get_by_role("checkbox", name="Stay signed in on this device")
        expect(stay).to_have_accessible_description(
            "Only on a device that is yours alone."
            " Otherwise you are signed out when this page is reloaded or closed."
        )

    def test_the_first_empty_field_has_the_focus(self, console: Service, page: Page) -> None:
        open_at(page, console)
        page.get_by_role("link", name="Create account").click()
        expect(textbox(page, "Email")).to_be_focused()
        page.keyboard.type(new_email())
        page.get_by_role("link", name="I have an account").click()
        expect(textbox(page, "Password")).to_be_focused()
        page.get_by_role("link", name="Use a recovery key").click()
        expect(textbox(page, "Recovery key")).to_be_focused()

    def test_who_comes_by_the_keyboard_alone_gets_in(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        open_at(page, console)
        expect(textbox(page, "Email")).to_be_focused()
        page.keyboard.type(person["user"]["email"])
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        signed_in(page)

    def test_the_session_is_named_by_the_browser(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"])
        assert "Chrome on Linux" in devices(console, person["token"])

    def test_the_address_that_was_asked_for_is_shown_afterwards(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        open_at(page, console, "account")
        fill_in(page, person["user"]["email"])
        button(page, "Sign in").click()
        expect(heading(page, "Account")).to_be_visible()

    def test_what_is_held_back_counts_down_and_then_may_go_on(self, strict: Service, page: Page) -> None:
        email = new_email()
        strict.register(email)
        open_at(page, strict)
        fill_in(page, email, NEW)
        countdown = page.get_by_role("timer")
        button(page, "Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("The email or the password is wrong.")
        button(page, "Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("Too many attempts.")
        expect(countdown).to_contain_text("You can try again in 0:0")
        textbox(page, "Password").fill(PASSWORD)
        expect(page.get_by_role("status").filter(has_text="You can try again now.")).to_be_visible()
        expect(countdown).to_have_count(0)
        button(page, "Sign in").click()
        signed_in(page)

    def test_who_does_not_stay_is_gone_with_the_page(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"])
        assert key_is_kept(page) is None
        assert len(devices(console, person["token"])) == 2
        page.reload()
        expect(heading(page, "Sign in")).to_be_visible()
        # Nobody could go on with that session, so it is over.
        eventually(
            lambda: len(devices(console, person["token"])) == 1, lambda: devices(console, person["token"])
        )

    def test_a_tab_that_is_closed_ends_its_session_even_when_it_is_locked(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"])
        button(page, "Lock").click()
        expect(heading(page, "Locked")).to_be_visible()
        assert len(devices(console, person["token"])) == 2
        # The browser itself stays, as when one of several tabs is closed.
        page.context.new_page()
        page.close(run_before_unload=True)
        eventually(
            lambda: len(devices(console, person["token"])) == 1, lambda: devices(console, person["token"])
        )

    def test_who_stays_is_still_there_after_a_reload(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        calls = calls_of(page)
        page.reload()
        signed_in(page)
        assert not {"login", "register", "logout"} & set(paths(calls))
        assert len(devices(console, person["token"])) == 2
        raw = page.evaluate(
            """() => new Promise((resolve) => {
                const asked = indexedDB.open("panzoto");
                asked.onsuccess = () => {
                    const row = asked.result.transaction("session").objectStore("session").get("session");
                    row.onsuccess = () => {
                        const {extractable, algorithm} = row.result.key;
                        resolve([extractable, algorithm.name]);
                    };
                };
            })"""
        )
        assert raw == [False, "HKDF"]
        assert page.evaluate("() => localStorage.length + sessionStorage.length") == 0

    def test_a_browser_that_keeps_nothing_lets_in_all_the_same_and_says_so(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        page.add_init_script(
            "IDBFactory.prototype.open = () => { throw new DOMException('Not here', 'SecurityError'); };"
        )
        sign_in(page, console, person["user"]["email"], stay=True)
        expect(page.get_by_role("alert").filter(has_text="This browser keeps nothing")).to_be_visible()
        button(page, "Lock").click()
        unlock(page)
        signed_in(page)
        page.reload()
        expect(heading(page, "Sign in")).to_be_visible()

    def test_signing_out_ends_the_session_and_forgets_all_of_it(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        go(page, "Account")
        button(page, "Sign out").click()
        expect(heading(page, "Sign in")).to_be_visible()
        assert key_is_kept(page) is None
        assert page.url.endswith("#sign-in")
        listed = console.call("GET", "/api/user/sessions", person["token"]).json()["sessions"]
        assert [one["current"] for one in listed] == [True]


class TestGettingBackIn:
    def test_with_the_recovery_key(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        made = console.call(
            "POST", "/api/user/recovery-key", person["token"], json={"password": PASSWORD}
        ).json()["recovery_key"]
        open_at(page, console)
        page.get_by_role("link", name="Use a recovery key").click()
        expect(heading(page, "Recover")).to_be_visible()
        calls = calls_of(page)
        textbox(page, "Email").fill(person["user"]["email"])
        textbox(page, "Recovery key").fill(made[:-1])
        textbox(page, "New password").fill(NEW)
        button(page, "Recover").click()
        expect(page.get_by_role("alert")).to_contain_text("This is not a recovery key.")
        expect(textbox(page, "Recovery key")).to_have_attribute("aria-invalid", "true")
        # A slip of the pen costs no attempt.
        assert calls == []
        textbox(page, "Recovery key").fill(made)
        button(page, "Recover").click()
        expect(heading(page, "Recordings")).to_be_visible()
        expect(
            page.get_by_role("status").filter(has_text="Your recovery key stays the same.")
        ).to_be_visible()
        assert console.call("GET", "/api/user", person["token"]).status_code == 401
        login = {"email": person["user"]["email"], "password": NEW}
        answer = console.call("POST", "/api/login", json=login)
        assert answer.status_code == 200
        assert "Chrome on Linux" in devices(console, answer.json()["token"])

    def test_with_a_letter(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        email = person["user"]["email"]
        open_at(page, console)
        textbox(page, "Email").fill(email)
        page.get_by_role("link", name="Forgot your password?").click()
        expect(textbox(page, "Email")).to_have_value(email)
        button(page, "Send email").click()
        expect(page.get_by_role("status").filter(has_text=f"an account with {email}")).to_be_visible()
        assert mails.code_in(mails.wait_for(console, email, "reset"))

    @pytest.mark.parametrize(("asked", "lands"), [("reset", "Forgotten password"), ("verify", "Sign in")])
    def test_whoever_has_no_code_any_more_comes_to_where_one_asks(
        self, console: Service, page: Page, asked: str, lands: str
    ) -> None:
        page.goto(f"{console.url}/{asked}")
        page.get_by_role("link", name="Ask for a new code").click()
        expect(heading(page, lands)).to_be_visible()


class TestLocking:
    def test_locking_forgets_the_key_and_unlocking_needs_no_call(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        assert key_is_kept(page) is True
        button(page, "Lock").click()
        expect(heading(page, "Locked")).to_be_visible()
        expect(page.get_by_text(person["user"]["email"])).to_be_visible()
        assert key_is_kept(page) is False
        calls = calls_of(page)
        unlock(page)
        signed_in(page)
        assert {"login", "user/password"} & set(paths(calls)) == set()
        assert all(PASSWORD not in (request.post_data or "") for request in calls)
        assert key_is_kept(page) is True

    def test_a_wrong_password_does_not_open_it_and_is_sent_to_nobody(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"])
        button(page, "Lock").click()
        calls = calls_of(page)
        unlock(page, NEW)
        expect(page.get_by_role("alert")).to_contain_text("The password is wrong.")
        expect(textbox(page, "Password")).to_be_focused()
        assert all(request.post_data is None for request in calls)
        unlock(page)
        signed_in(page)

    def test_who_has_forgotten_the_password_behind_the_lock_gets_to_what_helps(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        button(page, "Lock").click()
        button(page, "Forgot your password?").click()
        expect(heading(page, "Forgotten password")).to_be_visible()
        expect(textbox(page, "Email")).to_have_value(person["user"]["email"])
        assert key_is_kept(page) is None

    def test_it_stays_locked_over_a_reload(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        button(page, "Lock").click()
        expect(heading(page, "Locked")).to_be_visible()
        page.reload()
        expect(heading(page, "Locked")).to_be_visible()
        unlock(page)
        signed_in(page)

    def test_every_tab_is_locked_and_opened_with_one(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        other = page.context.new_page()
        open_at(other, console, "account")
        signed_in(other)
        button(page, "Lock").click()
        expect(heading(other, "Locked")).to_be_visible()
        unlock(other)
        expect(heading(other, "Account")).to_be_visible()
        signed_in(page)
        button(page, "Sign out").click()
        expect(heading(other, "Sign in")).to_be_visible()

    def test_a_session_that_was_ended_locks_and_is_begun_anew(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        sign_in(page, console, person["user"]["email"], stay=True)
        assert console.call("POST", "/api/logout-others", person["token"]).status_code == 204
        account = page.get_by_role("navigation", name="Main").get_by_role("link", name="Account", exact=True)
        until_it_is_locked(page, account.click)
        assert key_is_kept(page) is False
        # It is known to have ended after a reload, too.
        page.reload()
        expect(page.get_by_text("This session was ended.")).to_be_visible()
        unlock(page, "x")
        expect(page.get_by_role("alert")).to_contain_text("The email or the password is wrong.")
        unlock(page)
        go(page, "Account")
        expect(part(page, "Sessions").get_by_role("listitem", name="Chrome on Linux")).to_be_visible()

    def test_a_password_that_was_changed_elsewhere_opens_the_locked_page(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        email = person["user"]["email"]
        sign_in(page, console, email)
        button(page, "Lock").click()
        changed = console.call(
            "POST", "/api/user/password", person["token"], json={"password": PASSWORD, "new_password": NEW}
        )
        assert changed.status_code == 200
        unlock(page, NEW)
        signed_in(page)
        go(page, "Account")
        expect(part(page, "Sessions").get_by_role("listitem", name="Chrome on Linux")).to_be_visible()

    def test_nobody_there_for_a_quarter_of_an_hour_locks(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        page.clock.install()
        sign_in(page, console, person["user"]["email"])
        page.clock.run_for(14 * 60_000)
        page.mouse.move(100, 100)
        page.clock.run_for(14 * 60_000)
        signed_in(page)
        page.clock.run_for(2 * 60_000)
        expect(heading(page, "Locked")).to_be_visible()

    def test_a_machine_that_has_slept_is_locked_before_anything_is_touched(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        page.clock.install()
        sign_in(page, console, person["user"]["email"])
        # It goes on while it is read, and is only stopped at a moment that is still to come.
        soon = page.evaluate("() => Date.now()") / 1000 + 60
        page.clock.pause_at(soon)
        # The clock goes on without any timer, as while a lid is closed.
        page.clock.set_system_time(soon + 16 * 60)
        page.mouse.move(200, 200)
        expect(heading(page, "Locked")).to_be_visible()

    def test_who_stays_is_not_locked_by_the_clock(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        page.clock.install()
        sign_in(page, console, person["user"]["email"], stay=True)
        page.clock.run_for(20 * 60_000)
        signed_in(page)
        expect(heading(page, "Locked")).to_have_count(0)

    def test_a_tab_that_is_used_keeps_the_others_open(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        # Both clocks begin before any time has passed.
        page.context.clock.install()
        sign_in(page, console, person["user"]["email"])
        other = page.context.new_page()
        sign_in(other, console, person["user"]["email"])
        page.clock.run_for(14 * 60_000)
        page.mouse.move(100, 100)
        page.clock.run_for(2 * 60_000)
        signed_in(other)
        expect(heading(other, "Locked")).to_have_count(0)


class TestTwoTabs:
    def test_both_go_on_while_their_tokens_are_renewed(self, brief: Service, page: Page) -> None:
        """For a minute; `bench.console_tabs` does so for an hour."""
        email = new_email()
        owner = brief.register(email)
        renewals = use_two_tabs(page, brief, email, TABS_SECONDS)
        assert len(renewals.used) >= TABS_SECONDS // TOKEN_SECONDS
        # Each refresh token was used once, by one of the two.
        assert renewals.repeated == 0
        login = brief.call("POST", "/api/login", json={"email": email, "password": PASSWORD}).json()
        assert "refresh_reused" not in event_types(brief, login["token"])
        assert owner["user_id"] == login["user_id"]

    def test_a_clock_that_is_wrong_renews_no_more_often(self, console: Service, page: Page) -> None:
        email = new_email()
        console.register(email)
        page.clock.install(time="2031-01-01T00:00:00")
        calls = calls_of(page)
        sign_in(page, console, email)
        go(page, "Account")
        expect(part(page, "Sessions").get_by_role("listitem")).to_have_count(2)
        assert "token/refresh" not in paths(calls)


class TestWhereItIsNotSafe:
    def test_over_plain_http_it_says_so_and_asks_for_nothing(
        self, console: Service, playwright: Any, new_page: Callable[..., Page]
    ) -> None:
        with chromium(playwright, "--host-resolver-rules=MAP recorder.example 127.0.0.1") as running:
            page = new_page(running)
            page.goto(console.url.replace("127.0.0.1", "recorder.example"))
            expect(page.get_by_text("opened over plain http")).to_be_visible()
            expect(page.get_by_text(f"at its loopback address: {console.url}.")).to_be_visible()
            assert page.get_by_role("textbox").count() == 0
            assert page.get_by_role("link").count() == page.get_by_role("button").count() == 0


class TestAnotherRelease:
    def test_the_page_offers_to_load_it(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        page.clock.install()
        sign_in(page, console, person["user"]["email"], stay=True)
        page.clock.run_for(11 * 60_000)
        offer = page.get_by_text("There is a newer version of this page.")
        expect(offer).to_have_count(0)
        page.route(
            f"{console.url}/",
            lambda route: route.fulfill(status=200, headers={"ETag": 'W/"00000000000000000000000000000000"'}),
        )
        page.clock.run_for(11 * 60_000)
        expect(offer).to_be_visible()
        page.unroute(f"{console.url}/")
        button(page, "Reload").click()
        expect(offer).to_have_count(0)
        signed_in(page)


ENTRANCE = {
    "en-GB": {
        "sign-in": "Sign in",
        "create-account": "Create account",
        "recover": "Recover",
        "forgot": "Forgotten password",
    },
    "de-DE": {
        "sign-in": "Anmelden",
        "create-account": "Konto anlegen",
        "recover": "Wiederherstellen",
        "forgot": "Vergessenes Passwort",
    },
}


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_nothing_keeps_anybody_out(
    locale: str, console: Service, chromium: Browser, new_page: Callable[..., Page], axe: Axe
) -> None:
    page = new_page(chromium, locale=locale, **PHONE)
    for view, title in ENTRANCE[locale].items():
        open_at(page, console, view)
        page.reload()
        expect(heading(page, title)).to_be_visible()
        assert page.evaluate("() => document.documentElement.lang") == locale[:2]
        axe.check(page)
    # With what went wrong in sight, too.
    open_at(page, console, "recover")
    page.locator("input[type=email]").fill(new_email())
    page.locator("input.key").fill("no key of anybody")
    page.locator("input[type=password]").fill(NEW)
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    axe.check(page)


def test_every_target_is_large_enough_for_a_thumb(
    console: Service, chromium: Browser, new_page: Callable[..., Page]
) -> None:
    page = new_page(chromium, **PHONE)
    for view in ENTRANCE["en-GB"]:
        open_at(page, console, view)
        expect(heading(page, ENTRANCE["en-GB"][view])).to_be_visible()
        small = page.evaluate(
            """() => [...document.querySelectorAll("main a, main button, main input:not([type=checkbox])")]
                .filter((one) => one.offsetHeight < 44 || one.offsetWidth < 44)
                .map((one) => one.outerHTML)"""
        )
        assert small == [], view
        sizes = page.evaluate(
            """() => [...document.querySelectorAll("input:not([type=checkbox])")]
                .map((one) => parseFloat(getComputedStyle(one).fontSize))"""
        )
        assert all(size >= 16 for size in sizes), view


def test_firefox_comes_in_locks_and_comes_back(
    console: Service, firefox: Browser, new_page: Callable[..., Page]
) -> None:
    page = new_page(firefox)
    open_at(page, console, "create-account")
    fill_in(page, new_email(), stay=True)
    button(page, "Create account").click()
    button(page, "Make recovery key").click()
    expect(page.get_by_role("group", name="Your recovery key")).to_be_visible()
    go(page, "Recordings")
    page.reload()
    signed_in(page)
    button(page, "Lock").click()
    unlock(page)
    signed_in(page)

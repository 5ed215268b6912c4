"""The console's view of the account, and the words for what happens in it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, Route, expect

from panzoto import errors
from panzoto.blueprints.answers import EVENT_TYPES
from panzoto.edge.http import REFUSALS
from tests.browser.listening import FOLDER
from tests.support import mails
from tests.support.browser import Axe
from tests.support.console import enter
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
from tests.support.recordings import hear, single_shot, store, version_2
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

NEW = "another quiet walk"
# Where transcripts were made: on the server itself by either name, elsewhere, and where nothing was noted.
ENGINES = {
    "en-GB": [
        "Transcribing 1 recording began on this server.",
        "Transcribing 1 recording began on this server.",
        "Transcribing 1 recording began at api.example.com.",
        "Transcribing 1 recording began.",
    ],
    "de-DE": [
        "Das Transkribieren von 1 Aufnahme begann auf diesem Server.",
        "Das Transkribieren von 1 Aufnahme begann auf diesem Server.",
        "Das Transkribieren von 1 Aufnahme begann bei api.example.com.",
        "Das Transkribieren von 1 Aufnahme begann.",
    ],
}
PLAIN = b"#!AMR\n" + b"an old talk " * 200


def at_account(page: Page, service: Service, account: dict[str, Any]) -> None:
    """Sign in and wait until the account's view has all that it asks for."""
    open_at(page, service, "account")
    fill_in(page, account["user"]["email"])
    button(page, "Sign in").click()
    expect(heading(page, "Account")).to_be_visible()
    expect(page.get_by_role("meter").first).to_be_visible()


def said(page: Page, text: str) -> None:
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


def types_of(service: Service, token: str) -> list[str]:
    events = service.call("GET", "/api/user/events?limit=1000", token).json()["events"]
    return [event["type"] for event in events]


class TestSessions:
    def test_one_is_ended_and_then_all_others(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        login = {"email": person["user"]["email"], "password": PASSWORD}
        tokens = {
            name: console.call("POST", "/api/login", json=login | {"device_name": name}).json()["token"]
            for name in ("Ada's telephone", "An old tablet")
        }
        at_account(page, console, person)
        sessions = part(page, "Sessions")
        expect(sessions.get_by_role("listitem")).to_have_count(4)
        expect(sessions.get_by_role("listitem").first).to_contain_text("this browser")
        button(sessions.get_by_role("listitem", name="Ada's telephone"), "End session").click()
        said(page, "The session “Ada's telephone” has ended.")
        expect(sessions.get_by_role("listitem")).to_have_count(3)
        assert console.call("GET", "/api/user", tokens["Ada's telephone"]).status_code == 401
        button(sessions, "End all other sessions").click()
        said(page, "All other sessions have ended.")
        expect(sessions.get_by_role("listitem")).to_have_count(1)
        assert console.call("GET", "/api/user", tokens["An old tablet"]).status_code == 401
        expect(button(sessions, "End all other sessions")).to_have_count(0)


class TestPassword:
    def test_another_one_opens_everything_here_and_elsewhere(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        s3_key = f"users/{person['user_id']}/talk.amr"
        file_id = store(console, person, s3_key, version_2(person, PASSWORD, s3_key, PLAIN))
        sign_in(page, console, person["user"]["email"], stay=True)
        other = page.context.new_page()
        open_at(other, console, "account")
        expect(heading(other, "Account")).to_be_visible()
        go(page, "Account")
        form = part(page, "Password")
        textbox(form, "Present password").fill("not my password")
        textbox(form, "New password").fill(NEW)
        button(form, "Change password").click()
        expect(page.get_by_role("alert")).to_contain_text("The password is wrong.")
        expect(textbox(form, "New password")).to_have_value(NEW)
        textbox(form, "Present password").fill(PASSWORD)
        button(form, "Change password").click()
        said(page, "Your password is changed")
        expect(textbox(form, "New password")).to_have_value("")
        assert console.call("GET", "/api/user", person["token"]).status_code == 401
        # The other tab is of the same session, which goes on; it is opened by the new password only.
        go(other, "Recordings")
        go(other, "Account")
        expect(part(other, "Sessions").get_by_role("listitem")).to_have_count(1)
        button(other, "Lock").click()
        unlock(other, PASSWORD)
        expect(other.get_by_role("alert")).to_contain_text("The password is wrong.")
        unlock(other, NEW)
        signed_in(other)
        signed_in(page)
        login = {"email": person["user"]["email"], "password": NEW}
        token = console.call("POST", "/api/login", json=login).json()["token"]
        assert hear(console, token, file_id, NEW) == PLAIN

    def test_a_lost_answer_is_made_out_by_signing_in(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        at_account(page, console, person)

        def lose(route: Any) -> None:
            route.fetch()
            route.abort()

        page.route("**/api/user/password", lose, times=1)
        form = part(page, "Password")
        textbox(form, "Present password").fill(PASSWORD)
        textbox(form, "New password").fill(NEW)
        button(form, "Change password").click()
        said(page, "Your password is changed")
        go(page, "Recordings")
        go(page, "Account")
        expect(part(page, "Sessions").get_by_role("listitem")).not_to_have_count(0)

    def test_an_attempt_that_never_arrived_changes_nothing(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        at_account(page, console, person)
        page.route("**/api/user/password", lambda route: route.abort(), times=1)
        form = part(page, "Password")
        textbox(form, "Present password").fill(PASSWORD)
        textbox(form, "New password").fill(NEW)
        button(form, "Change password").click()
        expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
        expect(textbox(form, "New password")).to_have_value(NEW)
        button(form, "Change password").click()
        said(page, "Your password is changed")


class TestEmail:
    def test_it_is_confirmed_and_moves_by_letters(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        old, new = person["user"]["email"], new_email()
        at_account(page, console, person)
        email = part(page, "Email")
        expect(email).to_contain_text("This address is not confirmed yet")
        button(email, "Send the email again").click()
        said(page, "The email has been sent.")
        mails.wait_for(console, old, "verification", count=2)
        textbox(email, "New email").fill(new)
        textbox(email, "Password").fill(PASSWORD)
        button(email, "Change email").click()
        said(page, f"An email is on its way to {new}.")
        expect(email).to_contain_text(f"You asked to move to {new}.")
        (link,) = re.findall(
            r"^(http\S+#code=\S+)$", mails.text(mails.wait_for(console, new, "email-changed")), re.MULTILINE
        )
        letter = page.context.new_page()
        letter.goto(str(link))
        expect(letter.get_by_role("status")).to_contain_text("Your address is confirmed.")
        go(page, "Recordings")
        go(page, "Account")
        expect(email).to_contain_text(f"You sign in with {new}.")
        button(page, "Lock").click()
        # The locked page knows it, too.
        expect(page.get_by_text(new)).to_be_visible()

    def test_a_code_does_where_letters_hold_no_link(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        old, new = person["user"]["email"], new_email()
        at_account(page, console, person)
        email = part(page, "Email")
        expect(email).to_contain_text("or enter its code here")
        textbox(email, "Code").fill("no code of anybody")
        button(email, "Confirm address").click()
        expect(page.get_by_role("alert")).to_contain_text("This code is not right, or it has expired")
        textbox(email, "Code").fill(mails.code_in(mails.wait_for(console, old, "verification")))
        button(email, "Confirm address").click()
        said(page, f"Your address {old} is confirmed.")
        expect(textbox(email, "Code")).to_have_count(0)
        textbox(email, "New email").fill(new)
        textbox(email, "Password").fill(PASSWORD)
        button(email, "Change email").click()
        expect(email).to_contain_text(f"You asked to move to {new}.")
        textbox(email, "Code").fill(f" {mails.code_in(mails.wait_for(console, new, 'email-changed'))} ")
        button(email, "Confirm address").click()
        said(page, f"Your address {new} is confirmed.")
        expect(email).to_contain_text(f"You sign in with {new}.")
        expect(textbox(email, "Code")).to_have_count(0)

    def test_an_address_that_is_taken_is_told(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        taken = console.register(new_email())["user"]["email"]
        at_account(page, console, person)
        email = part(page, "Email")
        textbox(email, "New email").fill(taken)
        textbox(email, "Password").fill(PASSWORD)
        button(email, "Change email").click()
        expect(page.get_by_role("alert")).to_contain_text("There is an account with this email already.")
        expect(textbox(email, "New email")).to_have_value(taken)
        button(page, "Lock").click()
        expect(page.get_by_role("heading", name="Locked")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_empty()


class TestRecoveryKey:
    def test_another_one_voids_the_first(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        first = console.call(
            "POST", "/api/user/recovery-key", person["token"], json={"password": PASSWORD}
        ).json()["recovery_key"]
        at_account(page, console, person)
        section = part(page, "Recovery key")
        expect(section).to_contain_text("Making another one voids it at once.")
        textbox(section, "Password").fill(PASSWORD)
        button(section, "Make recovery key").click()
        shown = page.get_by_role("group", name="Your recovery key")
        expect(shown).to_contain_text("The one you had before is void already.")
        second = "-".join(shown.locator(".shown span").all_inner_texts())
        with page.expect_download() as saving:
            page.get_by_role("link", name="Save as a file").click()
        saved = Path(saving.value.path()).read_text("utf-8")
        assert second in saved
        assert person["user"]["email"] in saved
        textbox(section, "Recovery key").fill(second)
        button(section, "Check").click()
        said(page, "Your recovery key is written down.")
        body = {"email": person["user"]["email"], "new_password": NEW}
        for key, status in ((first, 401), (second, 200)):
            answer = console.call("POST", "/api/recover", json=body | {"recovery_key": key})
            assert answer.status_code == status


class TestEvents:
    def test_they_are_told_in_words_newest_first_and_older_ones_follow(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        login = {"email": person["user"]["email"], "password": "a wrong one, surely"}
        for _ in range(3):
            console.call("POST", "/api/login", json=login)
        for number in range(20):
            s3_key = f"users/{person['user_id']}/{number}.amr"
            file_id = store(console, person, s3_key, b"PNZ2 and no more")
            console.call("DELETE", f"/api/audio-file/{file_id}", person["token"])
        at_account(page, console, person)
        events = part(page, "Security events")
        rows = events.get_by_role("listitem")
        expect(rows).to_have_count(20)
        expect(rows.first).to_contain_text("Somebody signed in with your password.")
        expect(rows.first).to_contain_text("Chrome on Linux")
        expect(rows.first).to_contain_text("from 127.0.0.1")
        expect(rows.nth(1)).to_contain_text("A recording was moved to the trash.")
        button(events, "Show older events").click()
        expect(rows).to_have_count(25)
        expect(rows.nth(23)).to_contain_text("A wrong password was entered.")
        expect(rows.last).to_contain_text("The account was made.")
        expect(button(events, "Show older events")).to_have_count(0)


class TestStorage:
    def test_all_old_recordings_are_upgraded_with_one_password_at_the_service_s_pace(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        files: dict[str, bytes] = {}
        for number in range(5):
            s3_key = f"users/{person['user_id']}/audio-{number}.3gp"
            plain = PLAIN + bytes([number])
            files[store(console, person, s3_key, single_shot(PASSWORD, person["key_salt"], plain))] = plain
        new_key = f"users/{person['user_id']}/new.3gp"
        new = store(console, person, new_key, version_2(person, PASSWORD, new_key, PLAIN))
        broken = store(console, person, f"users/{person['user_id']}/broken.3gp", b"nothing that opens" * 20)
        # One that the list knows and the bucket does not have.
        body = {"s3_key": f"users/{person['user_id']}/lost.3gp", "file_size": 100}
        assert console.call("POST", "/api/audio-file", person["token"], json=body).status_code == 201
        at_account(page, console, person)
        storage = part(page, "Storage")
        expect(storage).to_contain_text("8 of 100,000 recordings")
        # It asks for patience once, in the middle.
        held = {"Retry-After": "2"}
        told = {"error": "Too many attempts", "code": "too_many_requests", "request_id": "-"}
        page.route(
            f"**/{list(files)[2]}/upgrade",
            lambda route: route.fulfill(status=429, headers=held, json=told),
            times=1,
        )
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer) if "/upgrade" in answer.url else None)
        textbox(storage, "Password").fill(PASSWORD)
        button(storage, "Upgrade all old recordings").click()
        expect(storage.get_by_role("timer")).to_contain_text("The service hears the next one in 0:0")
        # It goes on while something else is looked at.
        go(page, "Trash")
        go(page, "Account")
        expect(storage).to_contain_text(
            "Upgraded: 5 recordings. Left as they were, since they do not open: 1."
        )
        assert {answer.url.split("/")[-2] for answer in answers} == {*files, broken}
        assert {answer.status for answer in answers} == {200, 422, 429}
        rows = console.call("GET", "/api/user/audio-files", person["token"]).json()["audio_files"]
        formats = {row["file_id"]: row["format"] for row in rows}
        assert {formats[file_id] for file_id in files} == {"v2"}
        assert formats[new] in (None, "v2")
        for file_id, plain in files.items():
            assert hear(console, person["token"], file_id, PASSWORD) == plain

    def test_an_account_without_recordings_is_offered_no_upgrade(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        at_account(page, console, person)
        storage = part(page, "Storage")
        expect(storage).to_contain_text("0 of 100,000 recordings")
        expect(storage.get_by_role("heading", name="Old recordings")).to_have_count(0)

    def test_a_few_bytes_are_several(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        store(console, person, f"users/{person['user_id']}/short.3gp", b"A" * 202)
        at_account(page, console, person)
        expect(part(page, "Storage")).to_contain_text("202 bytes of")

    def test_a_wrong_password_upgrades_nothing(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        s3_key = f"users/{person['user_id']}/audio-1.3gp"
        store(console, person, s3_key, single_shot(PASSWORD, person["key_salt"], PLAIN))
        at_account(page, console, person)
        storage = part(page, "Storage")
        textbox(storage, "Password").fill(NEW)
        button(storage, "Upgrade all old recordings").click()
        expect(page.get_by_role("alert")).to_contain_text("The password is wrong.")
        expect(button(storage, "Upgrade all old recordings")).to_be_visible()


def test_everything_is_exported(console: Service, page: Page, person: dict[str, Any], tmp_path: Path) -> None:
    s3_key = f"users/{person['user_id']}/talk.amr"
    data = version_2(person, PASSWORD, s3_key, PLAIN)
    file_id = store(console, person, s3_key, data)
    at_account(page, console, person)
    with page.expect_download() as saving:
        button(page, "Export everything").click()
    saving.value.save_as(tmp_path / "export.zip")
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        assert archive.read(f"objects/{file_id}") == data


class TestDeletion:
    @pytest.mark.parametrize(("locale", "word"), [("en-GB", "DELETE"), ("de-DE", "LÖSCHEN")])
    def test_it_takes_the_word_and_leaves_nothing_here(
        self, locale: str, word: str, console: Service, chromium: Browser, new_page: Callable[..., Page]
    ) -> None:
        page = new_page(chromium, locale=locale)
        person = console.register(new_email())
        open_at(page, console, "account")
        page.locator("input[type=email]").fill(person["user"]["email"])
        page.locator("input[type=password]").fill(PASSWORD)
        page.locator("input[type=checkbox]").check()
        page.locator("button[type=submit]").click()
        form = page.locator("section.ending")
        form.locator("input[type=password]").fill(PASSWORD)
        form.get_by_role("textbox", name=word).fill("delete it")
        form.locator("button[type=submit]").click()
        expect(form.locator(".fault")).to_contain_text(word)
        assert console.call("GET", "/api/user", person["token"]).status_code == 200
        form.get_by_role("textbox", name=word).fill(word)
        form.locator("button[type=submit]").click()
        expect(page.locator("input[autocomplete=username]")).to_be_visible()
        expect(page.get_by_role("status").first).not_to_be_empty()
        login = {"email": person["user"]["email"], "password": PASSWORD}
        assert console.call("POST", "/api/login", json=login).status_code == 401
        page.reload()
        expect(page.locator("input[autocomplete=username]")).to_be_visible()


def drafts(page: Page) -> int:
    """How many texts that were typed and not saved the browser keeps, sealed."""
    look = "async (folder) => (await (await import(folder + 'database.js')).keysOf('drafts', '')).length"
    return int(page.evaluate(look, page.evaluate(FOLDER)))


class TestDrafts:
    def title(self, page: Page, console: Service, person: dict[str, Any], *, stay: bool = False) -> str:
        """Come to a recording whose title is being written, and return its address."""
        s3_key = f"users/{person['user_id']}/talk.amr"
        file_id = store(console, person, s3_key, version_2(person, PASSWORD, s3_key, PLAIN))
        sign_in(page, console, person["user"]["email"], stay=stay)
        open_at(page, console, f"recording/{file_id}")
        textbox(page, "Title").fill("A title in the making")
        return page.url

    def test_what_was_typed_comes_back_behind_a_lock(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        self.title(page, console, person)
        button(page, "Lock").click()
        expect(heading(page, "Locked")).to_be_visible()
        kept = page.evaluate(
            """() => new Promise((resolve) => {
                const asked = indexedDB.open("panzoto");
                asked.onsuccess = () => {
                    const rows = asked.result.transaction("drafts").objectStore("drafts").getAll();
                    rows.onsuccess = () => {
                        const bytes = rows.result.map(({sealed}) => new TextDecoder().decode(sealed));
                        resolve(bytes.join());
                    };
                };
            })"""
        )
        assert kept
        assert "title" not in kept
        unlock(page)
        expect(textbox(page, "Title")).to_have_value("A title in the making")

    def test_it_comes_back_when_the_session_was_ended(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        self.title(page, console, person)
        console.call("POST", "/api/logout-others", person["token"])
        until_it_is_locked(page, button(page, "Save").click)
        unlock(page)
        expect(textbox(page, "Title")).to_have_value("A title in the making")
        button(page, "Save").click()
        expect(page.get_by_role("alert")).to_be_empty()

    def test_it_comes_back_after_a_reload(self, console: Service, page: Page, person: dict[str, Any]) -> None:
        self.title(page, console, person, stay=True)
        eventually(lambda: drafts(page) == 1, "what is typed is not sealed")
        page.reload()
        expect(textbox(page, "Title")).to_have_value("A title in the making")
        textbox(page, "Title").fill("")
        eventually(lambda: drafts(page) == 0, "what was taken back is still sealed")
        page.reload()
        expect(textbox(page, "Title")).to_have_value("")


def codes() -> set[str]:
    """Return every code that the service may answer with."""

    def below(kind: type[errors.PanzotoError]) -> Iterator[type[errors.PanzotoError]]:
        yield kind
        for closer in kind.__subclasses__():
            yield from below(closer)

    return {kind.code for kind in below(errors.PanzotoError) if kind.met_by_clients} | {
        code for code, _ in REFUSALS.values()
    }


class TestWords:
    @pytest.fixture
    def in_language(self, chromium: Browser, new_page: Callable[..., Page]) -> Callable[[str], Page]:
        """Open a page of somebody who speaks this language."""
        return lambda locale: new_page(chromium, locale=locale)

    @pytest.fixture
    def texts(self, console: Service, page: Page) -> dict[str, dict[str, str]]:
        """All texts of both languages; of those with something in them, how they are made."""
        page.goto(console.url)
        expect(heading(page, "Sign in")).to_be_visible()
        found: dict[str, dict[str, str]] = page.evaluate(
            """async () => {
                const [script] = document.querySelectorAll("script[type=module]");
                const [{en}, {de}] = await Promise.all(
                    ["en", "de"].map((language) => import(new URL(`texts/${language}.js`, script.src).href)));
                const shown = (all) =>
                    Object.fromEntries(Object.entries(all).map(([name, text]) => [name, `${text}`]));
                return {en: shown(en), de: shown(de)};
            }"""
        )
        return found

    def test_every_type_of_event_is_told_in_both_languages(self, texts: dict[str, dict[str, str]]) -> None:
        for language, all_of_it in texts.items():
            told = {name.removeprefix("event.") for name in all_of_it if name.startswith("event.")}
            assert set(EVENT_TYPES) <= told, language

    def test_every_error_is_told_in_both_languages(self, texts: dict[str, dict[str, str]]) -> None:
        for language, all_of_it in texts.items():
            told = {name.removeprefix("service.") for name in all_of_it if name.startswith("service.")}
            assert codes() <= told, language

    def test_nothing_is_told_in_english_alone(self, texts: dict[str, dict[str, str]]) -> None:
        assert texts["en"].keys() == texts["de"].keys()
        same = {name for name in texts["en"] if texts["en"][name] == texts["de"][name]}
        # What is made of values alone is the same in both.
        assert not {name for name in same if " " in texts["en"][name] and "=>" not in texts["en"][name]}

    def test_what_this_page_does_not_know_is_told_by_its_name(
        self, console: Service, page: Page, person: dict[str, Any]
    ) -> None:
        event = {
            "event_id": "1",
            "type": "teleported",
            "at": "2026-05-01T10:00:00Z",
            "session_id": None,
            "address": None,
            "detail": {},
        }
        page.route(
            "**/api/user/events*", lambda route: route.fulfill(json={"events": [event], "next_cursor": None})
        )
        page.route(
            "**/api/user/sessions*",
            lambda route: route.fulfill(
                status=418, json={"error": "A teapot", "code": "teapot", "request_id": "abc-1"}
            ),
        )
        at_account(page, console, person)
        expect(part(page, "Security events")).to_contain_text("does not know yet: teleported.")
        expect(page.get_by_role("alert")).to_contain_text("The service refused: A teapot.")
        expect(page.get_by_role("alert")).to_contain_text("Reference for support: abc-1")

    @pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
    def test_an_engine_of_the_server_itself_is_not_told_by_its_address(
        self, locale: str, console: Service, in_language: Callable[[str], Page], person: dict[str, Any]
    ) -> None:
        page = in_language(locale)

        def with_engine(route: Route) -> None:
            engine = {"available": True, "engine": "whisper.lan", "model": "large", "local": True}
            route.fulfill(json=route.fetch().json() | {"transcription": engine})

        events = [
            {
                "event_id": str(number),
                "type": "transcription_started",
                "at": "2026-05-01T10:00:00Z",
                "session_id": None,
                "address": None,
                "detail": {"file_ids": ["1"], **({"engine": engine} if engine else {})},
            }
            for number, engine in enumerate(["127.0.0.1", "whisper.lan", "api.example.com", ""])
        ]
        page.route("**/api/user", with_engine)
        page.route(
            "**/api/user/events*", lambda route: route.fulfill(json={"events": events, "next_cursor": None})
        )
        enter(page, console, person)
        page.evaluate("() => { location.hash = 'account'; }")
        expect(page.locator("ol.events span")).to_have_text(ENGINES[locale])


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_nothing_keeps_anybody_from_their_account(
    locale: str, console: Service, chromium: Browser, new_page: Callable[..., Page], axe: Axe
) -> None:
    page = new_page(chromium, locale=locale)
    person = console.register(new_email())
    open_at(page, console, "account")
    page.locator("input[type=email]").fill(person["user"]["email"])
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("meter").first).to_be_visible()
    axe.check(page)
    ending = page.locator("section.ending")
    ending.locator("input[type=password]").fill(PASSWORD)
    ending.locator("input").last.fill("no")
    ending.locator("button[type=submit]").click()
    expect(ending.locator(".fault")).to_be_visible()
    axe.check(page, widths=[360])
    open_at(page, console, "recovery-key")
    page.locator("input[type=password]").fill("not my password")
    page.locator("button[type=submit]").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    axe.check(page)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    expect(page.locator(".key.shown")).to_be_visible()
    axe.check(page)
    page.locator(".leaving button").first.click()
    expect(page.locator("form.entrance")).to_be_visible()
    axe.check(page)


def test_firefox_shows_the_account(console: Service, firefox: Browser, new_page: Callable[..., Page]) -> None:
    page = new_page(firefox)
    person = console.register(new_email())
    at_account(page, console, person)
    expect(part(page, "Sessions").get_by_role("listitem", name="Firefox on Linux")).to_be_visible()
    expect(part(page, "Security events")).to_contain_text("The account was made.")
    form = part(page, "Password")
    textbox(form, "Present password").fill(PASSWORD)
    textbox(form, "New password").fill(NEW)
    button(form, "Change password").click()
    said(page, "Your password is changed")
    assert "password_changed" in types_of(
        console,
        console.call("POST", "/api/login", json={"email": person["user"]["email"], "password": NEW}).json()[
            "token"
        ],
    )

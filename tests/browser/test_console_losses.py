"""What the console keeps when things go wrong at the worst moment: what is spoken, typed or chosen stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import listening
from tests.browser.listening import loaded, show, stop_workers, tone
from tests.browser.test_console_recorder import FULL_AFTER, KEPT
from tests.browser.test_console_uploads import BROKEN_DISK, NO_DISK, ROWS, sound_file
from tests.support.console import sign_in
from tests.support.console_uploads import (
    choose,
    duration_decoded,
    heard,
    listed,
    recording,
    stored,
    until_recorded,
    uploading,
)
from tests.support.recorder import Recorder
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

MIB = 1024 * 1024
# A database that cannot be opened, as where the disk is full, and whether the page has looked at its files.
NO_DATABASE = """
    globalThis.looks = 0;
    IDBFactory.prototype.open = () => { throw new DOMException("Internal error", "UnknownError"); };
    const { keys } = FileSystemDirectoryHandle.prototype;
    FileSystemDirectoryHandle.prototype.keys = function () { looks += 1; return keys.call(this); };
"""
# A database that takes nothing more once `full` is set.
FULL_DATABASE = """
    const { put } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.put = function (...row) {
        if (globalThis.full) throw new DOMException("full", "QuotaExceededError");
        return put.apply(this, row);
    };
"""


def enter(page: Page, account: dict[str, Any]) -> None:
    """Sign in at the page as it is, without loading it anew."""
    page.get_by_role("textbox", name="Email").fill(account["user"]["email"])
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def leave(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def holding_back(page: Page, pattern: str | re.Pattern[str]) -> list[Route]:
    """Have requests wait for the test, in the list that this returns."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.context.route(pattern, keep)
    return held


def until_held(page: Page, held: list[Route]) -> None:
    """Wait until a request is held back; what the browser tells is heard while something is asked of it."""
    eventually(lambda: page.evaluate("() => true") and bool(held), "nothing is sent")


def test_a_database_that_does_not_open_costs_no_upload(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    page.route("**/complete", lambda route: route.abort())
    sign_in(page, console, person)
    file = sound_file(tmp_path, "Waiting.wav", MIB)
    with page.expect_request("**/complete"):
        choose(page, file)
    second = page.context.new_page()
    page.close()
    second.add_init_script(NO_DATABASE)
    sign_in(second, console, person)
    eventually(lambda: second.evaluate("() => looks >= 2"), "the page does not look")
    expect(second.get_by_role("heading", name="Recordings")).to_be_visible()
    third = second.context.new_page()
    second.close()
    sign_in(third, console, person)
    expect(listed(third)).to_have_count(1)
    (row,) = stored(console, person)
    assert heard(console, person, row) == file.read_bytes()


@pytest.mark.parametrize("answer", ["", "{}"])
def test_an_answer_that_is_not_the_services_own_ends_no_upload(
    answer: str, page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    for path in ("**/complete", "**/api/audio-file/*"):
        page.route(path, lambda route: route.fulfill(status=200, body=answer), times=1)
    sign_in(page, console, person)
    file = sound_file(tmp_path, "Behind a portal.wav", MIB)
    with page.expect_request("**/complete"):
        choose(page, file)
    eventually(
        lambda: page.evaluate("() => dispatchEvent(new Event('online'))") and page.evaluate(ROWS) == [],
        lambda: page.evaluate(ROWS),
    )
    expect(listed(page).filter(has_text="Behind a portal")).to_have_count(1)
    (row,) = stored(console, person)
    assert heard(console, person, row) == file.read_bytes()


def test_what_was_spoken_and_is_in_memory_alone_outlives_signing_out(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(NO_DISK)
    sign_in(page, console, person)
    page.route("**/api/uploads", lambda route: route.abort())
    dialog = recording(page)
    until_recorded(dialog, 2)
    dialog.get_by_role("button", name="Stop and save").click()
    expect(uploading(page)).to_have_count(1)
    leave(page)
    page.unroute("**/api/uploads")
    enter(page, person)
    expect(listed(page)).to_have_count(1)


def test_a_full_disk_and_a_crash_cost_no_more_than_the_disk_did_not_take(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(FULL_AFTER % 2)
    sign_in(page, console, person)
    page.route("**/api/uploads", lambda route: route.abort())
    dialog = recording(page)
    until_recorded(dialog, 14)
    expect(dialog.get_by_role("alert")).to_contain_text("cannot keep the recording")
    dialog.get_by_role("button", name="Stop and save").click()
    expect(uploading(page)).to_have_count(1)
    # Another tab does not take for a crash what is in the memory of the first.
    other = page.context.new_page()
    sign_in(other, console, person)
    expect(uploading(other)).to_have_count(1)
    assert stored(console, person) == []
    page.close()
    expect(listed(other)).to_have_count(1)
    (row,) = stored(console, person)
    assert row["duration_ms"] > 4000
    eventually(lambda: other.evaluate(KEPT) == [], "something is left")


def test_pieces_that_cannot_be_read_for_a_moment_are_not_given_up(
    page: Page,
    console: Service,
    person: dict[str, Any],
    complaints: Callable[[Page], list[str]],
) -> None:
    """What the disk did not take is no recording by itself; both are kept for the person."""
    page.add_init_script(FULL_AFTER % 2 + BROKEN_DISK)
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 14)
    expect(dialog.get_by_role("alert")).to_contain_text("cannot keep the recording")
    page.evaluate("() => { globalThis.broken = true; }")
    dialog.get_by_role("button", name="Stop and save").click()
    expect(page.get_by_role("button", name="Save as a file")).to_be_visible()
    expect(uploading(page).locator(".fault")).to_be_visible()
    page.evaluate("() => { globalThis.broken = false; }")
    uploading(page).get_by_role("button", name="Resume").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    assert duration_decoded(heard(console, person, row)) > 4
    assert set(complaints(page)) == {"DiskError"}
    complaints(page).clear()


def test_what_nobody_could_keep_is_offered_to_its_owner_alone(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    other = console.register(f"another-{person['user_id']}@example.com")
    page.add_init_script(NO_DISK + FULL_DATABASE)
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 2)
    page.evaluate("() => { globalThis.full = true; }")
    dialog.get_by_role("button", name="Stop and save").click()
    offer = page.get_by_role("alert").filter(has=page.get_by_role("button", name="Save as a file"))
    expect(offer).to_have_count(1)
    leave(page)
    enter(page, other)
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    expect(offer).to_have_count(0)
    leave(page)
    enter(page, person)
    expect(offer).to_have_count(1)


@pytest.mark.parametrize("field", ["Title", "Note"])
def test_what_is_typed_while_something_is_saved_stays(
    field: str, page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = Recorder(console, person).record("typing")
    sign_in(page, console, person)
    page.evaluate("(id) => { location.hash = `recording/${id}`; }", file_id)
    held = holding_back(page, "**/api/audio-file/*")
    box = page.get_by_role("textbox", name=field)
    box.fill("One")
    page.get_by_role("button", name="Save").click()
    until_held(page, held)
    box.fill("One, and what came to mind")
    held[0].continue_()
    page.context.unroute("**/api/audio-file/*")
    expect(page.get_by_role("button", name="Save")).not_to_have_attribute("aria-busy", "true")
    expect(box).to_have_value("One, and what came to mind")


def test_segments_that_begin_together_are_corrected_each_by_itself(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    recorder = Recorder(console, person)
    file_id = recorder.record("together")
    recorder.say(file_id, "yes", "no", together=True)
    sign_in(page, console, person)
    page.evaluate("(id) => { location.hash = `recording/${id}`; }", file_id)
    region = page.get_by_role("region", name="Transcript")
    region.get_by_role("button", name="Edit").click()
    boxes = region.get_by_role("textbox")
    boxes.nth(1).fill("never")
    expect(boxes.nth(0)).to_have_value("yes")
    expect(boxes.nth(1)).to_have_value("never")
    boxes.nth(0).fill("always")
    region.get_by_role("button", name="Save").click()
    expect(region.get_by_role("button", name=re.compile("^(always|never)$"))).to_have_text(
        ["always", "never"]
    )


def test_who_leaves_a_page_that_was_loaded_locked_leaves_no_transcript(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    recorder = Recorder(console, person)
    recorder.say(recorder.record("said"), "the chestnuts are ripe")
    sign_in(page, console, person, stay=True)
    kept = """() => new Promise((resolve) => {
        const request = indexedDB.open("panzoto");
        request.onsuccess = () => {
            const rows = request.result.transaction("transcripts").objectStore("transcripts").count();
            rows.onsuccess = () => { request.result.close(); resolve(rows.result); };
        };
    })"""
    eventually(lambda: page.evaluate(kept) > 0, "no transcript is kept")
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    page.reload()
    leave(page)
    eventually(lambda: page.evaluate(kept) == 0, "a transcript is left", 20)


def test_a_clock_that_is_set_back_keeps_no_page_open(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.clock.install()
    sign_in(page, console, person)
    page.evaluate("() => { const { now } = Date; Date.now = () => now() - 86_400_000; }")
    page.clock.run_for(16 * 60_000)
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()


def test_a_file_that_changes_while_it_is_sent_is_not_sealed_with_the_same_secrets(
    *,
    new_page: Callable[..., Page],
    firefox: Browser,
    console: Service,
    person: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Firefox reads a file as it is by now, and Chromium refuses to read one that has changed."""
    page = new_page(firefox)
    # The empty page before the console is no secure context.
    page.add_init_script(f"if (globalThis.StorageManager) {NO_DISK.strip()}")
    sign_in(page, console, person)
    file = sound_file(tmp_path, "Changing.wav", MIB)
    bucket = re.compile("X-Amz-Signature")
    held = holding_back(page, bucket)
    choose(page, file)
    until_held(page, held)
    with file.open("r+b") as other:
        other.seek(1000)
        other.write(b"other sound")
    # As an address that has expired meanwhile.
    held[0].fulfill(status=403, headers={"Access-Control-Allow-Origin": "*"})
    page.context.unroute(bucket)
    expect(uploading(page)).to_contain_text("This is another file")
    assert stored(console, person) == []


def test_what_is_typed_into_a_transcript_while_it_is_saved_stays(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    recorder = Recorder(console, person)
    file_id = recorder.record("typing on")
    recorder.say(file_id, "one", "two", "three")
    sign_in(page, console, person)
    page.evaluate("(id) => { location.hash = `recording/${id}`; }", file_id)
    region = page.get_by_role("region", name="Transcript")
    region.get_by_role("button", name="Edit").click()
    held = holding_back(page, "**/transcript")
    boxes = region.get_by_role("textbox")
    # Taken away, so that what is typed since must find its place by something else than its number.
    boxes.nth(0).fill("")
    region.get_by_role("button", name="Save").click()
    until_held(page, held)
    boxes.nth(2).fill("three, and more")
    held[0].continue_()
    page.context.unroute("**/transcript")
    expect(boxes).to_have_count(2)
    expect(boxes.nth(0)).to_have_value("two")
    expect(boxes.nth(1)).to_have_value("three, and more")


def test_a_tab_that_opens_while_another_locks_is_locked(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    sign_in(page, console, person, stay=True)
    late = page.context.new_page()
    late.add_init_script(
        """
        const derive = SubtleCrypto.prototype.deriveBits;
        const leave = new Promise((resolve) => { globalThis.derive = resolve; });
        SubtleCrypto.prototype.deriveBits = async function (...what) {
            globalThis.deriving = true;
            await leave;
            return derive.apply(this, what);
        };
        """
    )
    late.goto(console.url)
    eventually(lambda: late.evaluate("() => globalThis.deriving === true"), "no key is derived")
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    late.evaluate("() => derive()")
    expect(late.get_by_role("button", name="Unlock")).to_be_visible()


def test_a_worker_that_was_started_anew_knows_why_nothing_is_read(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    """What cannot be read must not count as what no browser plays: the service would get its key."""
    file_id = listening.stored(console, person, tone(2))
    sign_in(page, console, person)
    show(page, file_id)
    loaded(page)
    opened = page.evaluate_handle(
        """async (id) => {
            const { src } = document.querySelector("script[type=module]");
            const { freshRow, openHere } = await import(src.replace("main.js", "playing/sounds.js"));
            return openHere(await freshRow(id));
        }""",
        file_id,
    )
    page.route("**/download", lambda route: route.abort())
    stop_workers(page)
    problem = opened.evaluate("async (sound) => (await sound.problem())?.code ?? null")
    assert problem == "unreachable"
    page.unroute("**/download")
    assert opened.evaluate("(sound) => sound.problem()") is None


def test_a_refresh_whose_answer_hangs_ends_no_session(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    sign_in(page, console, person)
    answers: list[int] = []
    hanging: list[Route] = []

    def hang(route: Route) -> None:
        """The service has rotated the token, and the page does not hear of it."""
        answers.append(route.fetch().status)
        hanging.append(route)

    page.route("**/api/token/refresh", hang, times=1)
    renewed = page.evaluate(
        """async () => {
            const { src } = document.querySelector("script[type=module]");
            const { freshToken, tokenAfter } = await import(src.replace("main.js", "session/tokens.js"));
            const used = await freshToken();
            const next = await tokenAfter(used);
            return next !== null && next !== used;
        }"""
    )
    assert answers == [200]
    assert renewed
    hanging[0].abort()


def test_a_database_that_the_browser_has_closed_is_opened_anew(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    """As where the person clears what the site has stored, or the disk fails for a moment."""
    sign_in(page, console, person)
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    told = {"origin": console.url, "storageTypes": "indexeddb"}
    page.context.new_cdp_session(page).send("Storage.clearDataForOrigin", told)
    choose(page, sound_file(tmp_path, "Afterwards.wav", MIB))
    expect(listed(page).filter(has_text="Afterwards")).to_have_count(1)


def test_deleting_the_account_ends_the_upgrade_of_its_old_recordings(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    """What goes on holds the password, and would send it in the name of whoever signs in next."""
    other = console.register(f"later-{person['user_id']}@example.com")
    for _ in range(2):
        listening.stored_single(console, person, tone(1))
    sign_in(page, console, person)
    held = holding_back(page, "**/upgrade")
    page.evaluate(
        """async (password) => {
            const { src } = document.querySelector("script[type=module]");
            const { upgradeAll } = await import(src.replace("main.js", "views/account/upgrading.js"));
            upgradeAll(password).catch(() => {});
        }""",
        PASSWORD,
    )
    until_held(page, held)
    page.evaluate(
        """async (password) => {
            const { src } = document.querySelector("script[type=module]");
            const { deleteAccount } = await import(src.replace("main.js", "session/session.js"));
            await deleteAccount(password);
        }""",
        PASSWORD,
    )
    enter(page, other)
    held.pop().fulfill(status=404, json={"code": "audio_file_not_found", "error": "There is none"})
    ended = """async () => {
        const { src } = document.querySelector("script[type=module]");
        const { upgrades } = await import(src.replace("main.js", "views/account/upgrading.js"));
        return upgrades.get().state !== "running";
    }"""
    eventually(lambda: page.evaluate(ended), "it goes on", 20)
    assert held == []


def test_a_recovery_key_is_shown_though_the_account_cannot_be_asked_for_anew(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    """That it was made is told by the key alone; a test fails where an error is left to the browser."""
    sign_in(page, console, person)
    page.evaluate("() => { location.hash = 'recovery-key'; }")
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.route("**/api/user", lambda route: route.fulfill(status=500, json={"code": "internal_error"}))
    with page.expect_response("**/api/user"):
        page.get_by_role("button", name="Make recovery key").click()
    expect(page.get_by_role("textbox", name="Recovery key")).to_be_visible()

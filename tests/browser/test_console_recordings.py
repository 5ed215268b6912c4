"""The console's recordings: the list, one recording, a conversation and the trash, on the real service."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.browser import Axe
from tests.support.console import enter, sign_in
from tests.support.many_recordings import record_many
from tests.support.recorder import Recorder
from tests.support.recordings import single_shot, store
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

# A Wednesday noon, in the zone that the pages here are opened in.
NOON = datetime(2026, 5, 6, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
HEBREW = "שלום עולם"


@pytest.fixture
def recorder(console: Service, person: dict[str, Any]) -> Recorder:
    return Recorder(console, person)


@pytest.fixture
def page(new_page: Callable[..., Page], chromium: Browser) -> Page:
    return new_page(chromium, timezone_id="UTC")


@pytest.fixture
def signed_in(page: Page, recorder: Recorder) -> Page:
    sign_in(page, recorder.service, recorder.account)
    return page


def rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Recordings").get_by_role("listitem")


def names(page: Page) -> list[str]:
    found: list[str] = rows(page).evaluate_all("items => items.map(item => item.ariaLabel)")
    return found


def view(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address; }", address)


def back(page: Page) -> None:
    # Firefox tells Playwright of no navigation within a page that it could wait for.
    page.evaluate("() => history.back()")


# ---- The list ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_recordings_are_listed_newest_first_by_day_with_title_or_time(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], recorder: Recorder
) -> None:
    recorder.record("a", NOON, 63 * SECOND, title="Mum about the garden")
    recorder.record("b", NOON - 5 * MINUTE)
    recorder.record("c", NOON - timedelta(days=1), 3723 * SECOND, title=HEBREW)
    page = new_page(request.getfixturevalue(name), timezone_id="Europe/Berlin")
    sign_in(page, recorder.service, recorder.account)
    expect(rows(page)).to_have_count(3)
    expect(rows(page).first).to_have_accessible_name("Mum about the garden, 6 May 2026, 14:00, 1:03")
    assert names(page)[1:] == [
        "13:55, Wednesday, 6 May 2026, length unknown",
        f"{HEBREW}, 5 May 2026, 14:00, 1:02:03",
    ]
    days = page.get_by_role("list", name="Recordings").get_by_role("heading")
    expect(days).to_have_text(["Wednesday, 6 May 2026", "Tuesday, 5 May 2026"])
    expect(rows(page).nth(1)).to_contain_text("–")
    title = rows(page).nth(2).get_by_text(HEBREW)
    assert title.get_attribute("dir") == "auto"
    assert title.evaluate("title => getComputedStyle(title).direction") == "rtl"
    rows(page).first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mum about the garden")
    back(page)
    expect(rows(page)).to_have_count(3)


def test_a_long_title_takes_one_line(signed_in: Page, recorder: Recorder) -> None:
    short = recorder.record("a", NOON, title="Short")
    recorder.record("b", NOON - 5 * MINUTE, title="long " * 600)
    signed_in.reload()
    sign_in(signed_in, recorder.service, recorder.account)
    expect(rows(signed_in)).to_have_count(2)
    heights = rows(signed_in).evaluate_all(
        "items => items.map(item => item.querySelector('.line').offsetHeight)"
    )
    assert heights[0] == heights[1]
    assert short in str(rows(signed_in).first.get_by_role("link").get_attribute("href"))


def test_a_long_title_is_read_in_full_where_its_recording_is(page: Page, recorder: Recorder) -> None:
    title = "long " * 40 + "w" * 300
    file_id = recorder.record("a", NOON, title=title)
    sign_in(page, recorder.service, recorder.account)
    page.set_viewport_size({"width": 360, "height": 740})
    view(page, f"recording/{file_id}")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(title)
    # Neither is it cut, nor does it make the page wider.
    for element in (heading, heading.locator("bdi"), page.locator("html")):
        assert element.evaluate("({scrollWidth, clientWidth}) => scrollWidth - clientWidth") <= 0
    assert heading.evaluate("({offsetHeight}) => offsetHeight") > 200


def test_an_account_without_recordings_says_so_and_offers_both_ways(signed_in: Page) -> None:
    expect(signed_in.get_by_text("Nothing recorded yet.")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Record", exact=True)).to_be_visible()
    expect(signed_in.get_by_role("button", name="Upload", exact=True)).to_be_visible()


def test_clips_of_one_conversation_stand_together_and_are_played_as_one(
    page: Page, recorder: Recorder
) -> None:
    clips = [recorder.record(f"clip-{place}", NOON + place * 70 * SECOND, 60 * SECOND) for place in range(3)]
    recorder.record("alone", NOON - timedelta(hours=1), 60 * SECOND, title="Alone")
    sign_in(page, recorder.service, recorder.account)
    group = page.get_by_role("group", name="Conversation, ")
    expect(group).to_have_count(1)
    expect(group.get_by_role("listitem")).to_have_count(3)
    expect(group).to_contain_text("3 recordings · 3:00")
    group.get_by_role("button", name="Play conversation").click()
    expect(page).to_have_url(re.compile(rf"#sitting/{clips[0]}$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Conversation")
    expect(page.get_by_role("region", name="Player")).to_be_visible()
    links = page.get_by_role("heading", name="Its recordings").locator("xpath=..").get_by_role("link")
    found = links.evaluate_all("links => links.map(link => link.hash)")
    assert found == [f"#recording/{clip}" for clip in clips]


def test_a_conversation_of_unknown_length_says_nothing_of_it(page: Page, recorder: Recorder) -> None:
    recorder.record("clip-0", NOON)
    recorder.record("clip-1", NOON + 10 * SECOND)
    sign_in(page, recorder.service, recorder.account)
    group = page.get_by_role("group", name="Conversation")
    expect(group.locator("small")).to_have_text("2 recordings")


@pytest.mark.parametrize("told", [0, 1, 2])
def test_a_conversation_tells_its_length_where_all_of_it_is_known(
    told: int, page: Page, recorder: Recorder
) -> None:
    first = recorder.record("clip-0", NOON, 5 * SECOND if told > 0 else None)
    recorder.record("clip-1", NOON + 10 * SECOND, 5 * SECOND if told > 1 else None)
    sign_in(page, recorder.service, recorder.account)
    view(page, f"sitting/{first}")
    expect(page.get_by_role("heading", name="Conversation")).to_be_visible()
    facts = ["Wednesday, 6 May 2026", "2 recordings", *(["0:10"] if told == 2 else [])]
    expect(page.locator(".facts span")).to_have_text(facts)


def test_a_conversation_within_a_minute_has_one_time(page: Page, recorder: Recorder) -> None:
    first = recorder.record("clip-0", NOON, 5 * SECOND)
    recorder.record("clip-1", NOON + 10 * SECOND, 5 * SECOND)
    sign_in(page, recorder.service, recorder.account)
    page.goto(f"{recorder.service.url}/#sitting/{first}")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"^Conversation, [^–]+$"))


def test_a_conversation_is_found_that_came_after_the_list(signed_in: Page, recorder: Recorder) -> None:
    expect(signed_in.get_by_text("Nothing recorded yet.")).to_be_visible()
    first = recorder.record("clip-0", NOON, 5 * SECOND)
    recorder.record("clip-1", NOON + 10 * SECOND, 5 * SECOND)
    signed_in.goto(f"{recorder.service.url}/#sitting/{first}")
    expect(signed_in.get_by_role("heading", level=1)).to_contain_text("Conversation, ")


def test_sittings_are_those_of_the_timeline(signed_in: Page, recorder: Recorder) -> None:
    chance = random.Random(7)
    at = NOON
    for number in range(60):
        at += chance.choice([0, 5, 29, 30, 31, 45, 100, 4000]) * SECOND
        lasting = chance.choice([None, SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 120 * MINUTE])
        recorder.record(f"clip-{number}", at, lasting)
    listed = recorder.call("GET", "/api/user/audio-files?order=recorded_at&limit=100")["audio_files"]
    timeline = recorder.call("GET", "/api/user/timeline?limit=100")["sittings"]
    ours = signed_in.evaluate(
        """async files => {
            const base = document.querySelector("script[type=module]").src;
            const {recordingFrom} = await import(new URL("recordings/known.js", base));
            const {sittingFrom, sittingsOf} = await import(new URL("recordings/sittings.js", base));
            return sittingsOf(files.map(recordingFrom)).map(clips => {
                const {clips: oldest, durationMs} = sittingFrom(clips);
                return [oldest.map(({file_id}) => file_id), durationMs ?? 0];
            });
        }""",
        listed,
    )
    assert ours == [[sitting["file_ids"], sitting["duration_ms"]] for sitting in timeline]
    assert 5 < len(timeline) < 55


# ---- Very many, and what changes ---------------------------------------------------------------------------


def test_of_very_many_recordings_only_those_that_are_seen_stand_in_the_page(
    page: Page, recorder: Recorder
) -> None:
    record_many(recorder, 1200, NOON)
    sign_in(page, recorder.service, recorder.account)
    expect(rows(page).first).to_be_visible()
    # Until all are known nobody knows how many there are.
    entries = page.locator("ul.recordings > li")
    expect(entries.first).not_to_have_attribute("aria-setsize", "-1")
    total = int(entries.first.get_attribute("aria-setsize") or 0)
    assert 600 < total < 1200
    for share in (0.2, 0.5, 0.9, 1.0, 0.3):
        page.evaluate("share => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        expect(page.locator("ul.recordings li").first).to_be_visible()
        assert rows(page).count() <= 200
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    last = page.locator(f"ul.recordings > li[aria-posinset='{total}']")
    expect(last).to_be_in_viewport()
    # Where it was left the list is found again.
    place = page.evaluate("() => scrollY")
    last.get_by_role("link").last.click()
    expect(page.get_by_role("textbox", name="Title")).to_be_visible()
    back(page)
    expect(last).to_be_in_viewport()
    assert page.evaluate("() => scrollY") == pytest.approx(place, abs=2)


def test_the_list_goes_on_by_cursors_while_changes_do_not_come(page: Page, recorder: Recorder) -> None:
    record_many(recorder, 300, NOON)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    page.route("**/api/user/changes*", hold)
    sign_in(page, recorder.service, recorder.account)
    expect(rows(page).first).to_be_visible()
    oldest = recorder.call("GET", "/api/user/audio-files?order=recorded_at&limit=1000")["audio_files"][-1]
    end = page.locator(f"ul.recordings a[href='#recording/{oldest['file_id']}']")

    def at_the_end() -> bool:
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
        return end.count() == 1

    eventually(at_the_end, "the list does not go on")
    assert waiting
    # What nobody answers stays under way when the page is gone, and is complained of in some other test.
    while waiting:
        waiting.pop().abort()
    page.unroute_all(behavior="ignoreErrors")


def test_what_other_devices_do_is_seen_after_half_a_minute(page: Page, recorder: Recorder) -> None:
    kept = recorder.record("kept", NOON, title="Kept")
    gone = recorder.record("gone", NOON - 5 * MINUTE, title="Thrown away elsewhere")
    page.clock.install()
    sign_in(page, recorder.service, recorder.account)
    expect(rows(page)).to_have_count(2)
    recorder.call("DELETE", f"/api/audio-file/{gone}")
    recorder.record("new", NOON + 5 * MINUTE, title="Recorded elsewhere")
    recorder.describe(kept, title="Renamed elsewhere")
    page.clock.run_for(36_000)
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first.get_by_role("link")).to_have_text("Recorded elsewhere")
    expect(rows(page).last.get_by_role("link")).to_have_text("Renamed elsewhere")


def test_a_list_that_does_not_come_says_so_and_can_be_asked_for_again(page: Page, recorder: Recorder) -> None:
    recorder.record("a", NOON, title="Here all the time")
    broken = {"error": "Something broke", "code": "internal_error", "request_id": "7c0ffee7"}
    for address in ("**/api/user/audio-files*", "**/api/user/changes*"):
        page.route(address, lambda route: route.fulfill(status=500, json=broken))
    sign_in(page, recorder.service, recorder.account)
    expect(page.get_by_role("alert").filter(has_text="7c0ffee7")).to_be_visible()
    expect(page.get_by_text("Nothing recorded yet.")).to_have_count(0)
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("alert").filter(has_text="7c0ffee7")).to_have_count(0)


def test_a_service_that_does_not_answer_is_told_of_once_and_until_it_does(
    page: Page, recorder: Recorder
) -> None:
    file_id = recorder.record("a", NOON, title="Thrown away")
    recorder.call("DELETE", f"/api/audio-file/{file_id}")
    page.clock.install()
    sign_in(page, recorder.service, recorder.account)
    told = page.get_by_role("alert").filter(has_text="The service cannot be reached.")

    def until(shown: Locator, count: int) -> None:
        # Attempts are made anew after pauses, and what is new is asked for every half minute.
        eventually(lambda: page.clock.run_for(5_000) or shown.count() == count, told.count)

    page.route("**/api/**", lambda route: route.abort())
    # What is on its way for a view that was left is nothing to the next.
    view(page, "account")
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    view(page, "trash")
    until(page.get_by_role("button", name="Try again"), 1)
    page.clock.run_for(30_000)
    assert told.count() == 1
    page.unroute_all()
    until(told, 0)
    expect(page.get_by_role("listitem", name="Thrown away")).to_be_visible()
    page.route("**/api/**", lambda route: route.abort())
    view(page, "account")
    until(told, 1)
    page.unroute_all()
    until(told, 0)
    expect(page.get_by_role("list", name="Sessions").get_by_role("listitem")).not_to_have_count(0)


KNOWN = """async () => {
    const base = document.querySelector("script[type=module]").src;
    const {Known} = await import(new URL("recordings/known.js", base));
    const file = (id, minute) => ({file_id: id, recorded_at: `2026-05-06T12:${minute}:00Z`});
    const upsert = (id, minute) => ({type: "upsert", file_id: id, audio_file: file(id, minute)});
    const ids = known => known.listed().map(({file_id}) => file_id).join("");
    %s
}"""


def test_a_page_of_the_list_brings_nothing_back_that_was_taken_away_meanwhile(signed_in: Page) -> None:
    assert signed_in.evaluate(
        KNOWN
        % """
        const known = new Known();
        known.takePage([file("c", 30)], false);
        known.takeChanges([{type: "delete", file_id: "b", audio_file: null}, upsert("a", 12)], false);
        known.takePage([file("b", 20), file("a", 10)], true);
        return [ids(known), known.get("a").recorded_at, known.whole];
        """
    ) == ["ca", "2026-05-06T12:12:00Z", True]


def test_what_is_older_than_the_pages_that_came_waits_until_there_is_no_gap(signed_in: Page) -> None:
    assert signed_in.evaluate(
        KNOWN
        % """
        const known = new Known();
        const seen = [];
        known.takePage([file("d", 40), file("c", 30)], false);
        known.takeChanges([upsert("a", 10), upsert("e", 50)], false);
        seen.push(ids(known));
        known.takePage([file("b", 20)], false);
        seen.push(ids(known));
        known.takeChanges([], true);
        seen.push(ids(known));
        return seen;
        """
    ) == ["edc", "edcb", "edcba"]


# ---- One recording -----------------------------------------------------------------------------------------


def test_what_fails_by_itself_does_not_take_back_what_was_said_to_go_well(
    page: Page, recorder: Recorder
) -> None:
    recorder.record("a", NOON, title="Before")
    sign_in(page, recorder.service, recorder.account)
    kept: list[Route] = []

    def keep(route: Route) -> None:
        kept.append(route)

    page.route("**/download", keep, times=1)
    rows(page).first.get_by_role("link").click()
    title = page.get_by_role("textbox", name="Title")
    expect(title).to_have_value("Before")
    title.fill("After")
    page.get_by_role("button", name="Save").click()
    saved = page.get_by_role("status").filter(has_text="Saved.")
    expect(saved).to_be_visible()
    # Nobody has asked for the sound, which is not there.
    kept[0].continue_()
    expect(page.get_by_role("alert")).to_contain_text("The sound of this recording is not there")
    expect(saved).to_be_visible()


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_title_and_note_are_sealed_as_all_clients_do(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], recorder: Recorder
) -> None:
    file_id = recorder.record("a", NOON, title="Before")
    page = new_page(request.getfixturevalue(name), timezone_id="UTC")
    sign_in(page, recorder.service, recorder.account)
    rows(page).first.get_by_role("link").click()
    expect(page.get_by_role("textbox", name="Title")).to_have_value("Before")
    page.get_by_role("textbox", name="Title").fill(f"  {HEBREW}, 🎈 ")
    page.get_by_role("textbox", name="Note").fill("Two\nlines")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{HEBREW}, 🎈")
    assert recorder.told(file_id, "title") == f"{HEBREW}, 🎈"
    assert recorder.told(file_id, "note") == "Two\nlines"
    page.get_by_role("textbox", name="Title").fill("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("6 May 2026"))
    assert recorder.call("GET", f"/api/audio-file/{file_id}")["audio_file"]["title"] is None
    assert recorder.told(file_id, "note") == "Two\nlines"


def test_a_title_that_is_too_long_is_told_before_it_is_saved(signed_in: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a", NOON, title="Before")
    view(signed_in, f"recording/{file_id}")
    title = signed_in.get_by_role("textbox", name="Title")
    expect(title).to_have_value("Before")
    title.fill("ä" * 1522)
    expect(signed_in.get_by_text("Too long")).to_have_count(0)
    title.fill("ä" * 1522 + "e")
    expect(title).to_have_accessible_description(re.compile("Too long by 1 bytes"))
    signed_in.get_by_role("button", name="Save").click()
    expect(title).to_be_focused()
    assert recorder.told(file_id, "title") == "Before"
    title.fill("ä" * 1522)
    signed_in.get_by_role("button", name="Save").click()
    expect(signed_in.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert recorder.told(file_id, "title") == "ä" * 1522


def test_a_title_that_does_not_open_is_neither_shown_nor_written_over(
    signed_in: Page, recorder: Recorder
) -> None:
    file_id = recorder.record("a", NOON)
    foreign = "QW5vdGhlciBhcHAgd3JvdGUgdGhpcyBvbmNl"
    recorder.call("PATCH", f"/api/audio-file/{file_id}", json={"title": foreign})
    view(signed_in, f"recording/{file_id}")
    title = signed_in.get_by_role("textbox", name="Title")
    expect(title).to_have_accessible_description(re.compile("does not open"))
    expect(title).to_have_value("")
    signed_in.get_by_role("textbox", name="Note").fill("A note beside it")
    signed_in.get_by_role("button", name="Save").click()
    expect(signed_in.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert recorder.call("GET", f"/api/audio-file/{file_id}")["audio_file"]["title"] == foreign
    title.fill("Mine")
    signed_in.get_by_role("button", name="Save").click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("Mine")
    assert recorder.told(file_id, "title") == "Mine"


def test_what_was_typed_is_there_again_after_the_page_was_locked(signed_in: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a", NOON, title="Before")
    view(signed_in, f"recording/{file_id}")
    # What comes into the field while something is typed would stand before it.
    expect(signed_in.get_by_role("textbox", name="Title")).to_have_value("Before")
    signed_in.get_by_role("textbox", name="Title").fill("Half a ti")
    signed_in.get_by_role("button", name="Lock").click()
    signed_in.get_by_role("textbox", name="Password").fill(PASSWORD)
    signed_in.get_by_role("button", name="Unlock").click()
    expect(signed_in.get_by_role("textbox", name="Title")).to_have_value("Half a ti")
    assert recorder.told(file_id, "title") == "Before"


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_trash_restore_and_erasing_for_good(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], recorder: Recorder
) -> None:
    file_id = recorder.record("a", NOON, title="Thrown away")
    page = new_page(request.getfixturevalue(name), timezone_id="UTC")
    sign_in(page, recorder.service, recorder.account)
    rows(page).first.get_by_role("link").click()
    page.get_by_role("button", name="Move to trash").click()
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    page.get_by_role("link", name="Trash", exact=True).click()
    trashed = page.get_by_role("list", name="Trash").get_by_role("listitem")
    expect(trashed).to_have_count(1)
    # How long it is nobody knows, and that is not told by a dash.
    expect(trashed.locator("small")).to_have_text(re.compile("^6 May 2026, 12:00 · in the trash since "))
    trashed.get_by_role("link").click()
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    # No transcript is there, and none can be asked for.
    expect(page.get_by_role("heading", name="Transcript")).to_have_count(0)
    page.go_back()
    trashed.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    page.get_by_role("link", name="Recordings", exact=True).click()
    expect(rows(page)).to_have_count(1)
    rows(page).first.get_by_role("link").click()
    page.get_by_role("button", name="Move to trash").click()
    page.get_by_role("button", name="Erase for good").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("Thrown away")
    question.get_by_role("button", name="Keep").click()
    expect(question).to_have_count(0)
    assert recorder.call("GET", f"/api/audio-file/{file_id}")["audio_file"]["deleted_at"]
    page.get_by_role("button", name="Erase for good").click()
    question.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("status").filter(has_text="Erased for good.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such recording")
    path = f"/api/audio-file/{file_id}"
    assert recorder.service.call("GET", path, recorder.account["token"]).status_code == 404


def test_a_dialog_is_closed_by_escape_and_by_back(signed_in: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a", NOON, title="Thrown away")
    recorder.call("DELETE", f"/api/audio-file/{file_id}")
    view(signed_in, "trash")
    erase = signed_in.get_by_role("button", name="Erase for good")
    question = signed_in.get_by_role("alertdialog")
    for by_escape in (True, False):
        erase.click()
        expect(question).to_be_visible()
        if by_escape:
            signed_in.keyboard.press("Escape")
        else:
            back(signed_in)
        expect(question).to_have_count(0)
        expect(erase).to_be_focused()
        expect(signed_in).to_have_url(re.compile("#trash$"))


def test_an_old_recording_is_upgraded_with_the_password(signed_in: Page, recorder: Recorder) -> None:
    account = recorder.account
    key = f"users/{recorder.user_id}/old.3gp"
    file_id = store(recorder.service, account, key, single_shot(PASSWORD, account["key_salt"], b"#!AMR\nold"))
    path = f"/api/audio-file/{file_id}"
    # What it is becomes known when it is opened for the first time.
    recorder.call("POST", "/api/decrypt-audio", json={"password": PASSWORD, "file_id": file_id})
    view(signed_in, f"recording/{file_id}")
    signed_in.get_by_role("button", name="Upgrade").click()
    dialog = signed_in.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill("not the one")
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_contain_text("This is not your password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_have_count(0)
    expect(signed_in.get_by_role("status").filter(has_text="Upgraded.")).to_be_visible()
    expect(signed_in.get_by_role("button", name="Upgrade")).to_have_count(0)
    assert recorder.call("GET", path)["audio_file"]["format"] == "v2"


@pytest.mark.parametrize("address", ["nonsense", "constructor", "recordings", ""])
def test_where_recordings_are_shown_the_navigation_says_so(address: str, signed_in: Page) -> None:
    view(signed_in, "trash")
    marked = signed_in.get_by_role("navigation", name="Main").locator("[aria-current=page]")
    expect(marked).to_have_text("Trash")
    view(signed_in, address)
    expect(signed_in.get_by_text("Nothing recorded yet.")).to_be_visible()
    expect(marked).to_have_text("Recordings")


def test_a_recording_that_there_is_not_is_told_in_words(signed_in: Page) -> None:
    view(signed_in, "recording/00000000-0000-4000-8000-000000000000")
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("There is no such recording")


def test_a_row_tells_what_was_said_first(page: Page, recorder: Recorder) -> None:
    recorder.say(recorder.record("a", NOON), "We met at the river.", "Then it rained.")
    sign_in(page, recorder.service, recorder.account)
    expect(rows(page)).to_contain_text("We met at the river. Then it rained.")


def test_on_paper_a_recording_is_title_time_and_transcript(page: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a", NOON, 60 * SECOND, title="Mum about the garden", note="Not for others")
    recorder.say(file_id, "We met at the river.", "Then it rained.")
    sign_in(page, recorder.service, recorder.account)
    view(page, f"recording/{file_id}")
    expect(page.get_by_role("region", name="Transcript")).to_contain_text("Then it rained.")
    page.emulate_media(media="print", color_scheme="dark")
    shown = page.evaluate("() => document.body.innerText").split("\n")
    assert [line for line in shown if line.strip()] == [
        "Mum about the garden",
        "6 May 2026, 12:00 · 1:00".replace(" · ", " "),
        "Transcript",
        "0:00",
        "We met at the river.",
        "0:02",
        "Then it rained.",
    ]
    assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(29, 31, 28)"


# ---- For everybody -----------------------------------------------------------------------------------------


def test_the_keyboard_alone_does_it(signed_in: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a", NOON, title="Mum about the garden")
    signed_in.reload()
    sign_in(signed_in, recorder.service, recorder.account)
    link = rows(signed_in).first.get_by_role("link")
    expect(link).to_be_visible()
    for _ in range(20):
        signed_in.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(link).to_be_focused()
    signed_in.keyboard.press("Enter")
    title = signed_in.get_by_role("textbox", name="Title")
    expect(title).to_have_value("Mum about the garden")
    title.focus()
    signed_in.keyboard.press("End")
    signed_in.keyboard.type(" and the cat")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert recorder.told(file_id, "title") == "Mum about the garden and the cat"


def test_a_button_that_goes_leaves_the_focus_to_what_takes_its_place(
    signed_in: Page, recorder: Recorder
) -> None:
    first, second = (recorder.record(name, NOON, title=name) for name in ("first", "second"))
    view(signed_in, f"recording/{first}")
    trash = signed_in.get_by_role("button", name="Move to trash")
    trash.press("Enter")
    expect(signed_in.get_by_role("button", name="Restore")).to_be_focused()
    recorder.call("DELETE", f"/api/audio-file/{second}")
    view(signed_in, "trash")
    signed_in.get_by_role("listitem", name="first").get_by_role("button", name="Restore").press("Enter")
    last = signed_in.get_by_role("listitem", name="second").get_by_role("button", name="Restore")
    expect(last).to_be_focused()
    last.press("Enter")
    # Nothing is left there that could be pressed.
    expect(signed_in.locator("#main")).to_be_focused()


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_axe_finds_nothing_in_the_list_a_recording_a_conversation_and_the_trash(
    language: str, new_page: Callable[..., Page], chromium: Browser, recorder: Recorder, axe: Axe
) -> None:
    page = new_page(chromium, locale=language)
    enter(page, recorder.service, recorder.account)
    axe.check(page)
    for place in range(3):
        recorder.record(f"clip-{place}", NOON + place * 70 * SECOND, 60 * SECOND)
    one = recorder.record("one", NOON - timedelta(days=1), title="long " * 100, note="A note")
    foreign = recorder.record("foreign", NOON - timedelta(days=2))
    recorder.call("PATCH", f"/api/audio-file/{foreign}", json={"title": "AAAA"})
    thrown = recorder.record("thrown", NOON - timedelta(days=3), title="Thrown away")
    page.reload()
    enter(page, recorder.service, recorder.account)
    expect(page.locator("ul.recordings li")).to_have_count(7)
    axe.check(page)
    recorder.call("DELETE", f"/api/audio-file/{thrown}")
    page.locator("ul.recordings [role=group] a").first.click()
    expect(page.locator(".clips a")).to_have_count(3)
    axe.check(page)
    for file_id in (one, foreign, thrown):
        view(page, f"recording/{file_id}")
        expect(page.locator("input[type=text]")).to_be_visible()
        axe.check(page)
    page.locator("input[type=text]").fill("ä" * 2000)
    axe.check(page)
    view(page, "trash")
    expect(page.locator("ul.trash li")).to_have_count(1)
    axe.check(page)
    page.locator("ul.trash button.danger").click()
    expect(page.get_by_role("alertdialog")).to_be_visible()
    axe.check(page)
    page.locator("dialog button.danger").click()
    expect(page.locator("ul.trash li")).to_have_count(0)
    axe.check(page)
    view(page, "recording/00000000-0000-4000-8000-000000000000")
    expect(page.locator(".way-back, main > p > a").first).to_be_visible()
    axe.check(page)

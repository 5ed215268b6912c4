"""What people met who saw the console for the first time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import listening
from tests.browser.listening import show, stored, tone
from tests.support.console import sign_in
from tests.support.console_uploads import choose, listed, recording, uploading
from tests.support.recorder import Recorder
from tests.support.service import Service
from tests.support.waiting import eventually

# Each word is longer than the letters that a wrong cut leaves of it.
LONG = " ".join(f"wordnumber{number:02}" for number in range(40))


@pytest.fixture
def recorder(console: Service, person: dict[str, Any]) -> Recorder:
    return Recorder(console, person)


def test_the_tab_is_called_after_what_it_shows_and_behind_the_lock_after_nothing(
    page: Page, recorder: Recorder
) -> None:
    file_id = recorder.record(
        "a.wav", datetime(2024, 5, 6, 7, 8, tzinfo=UTC), title="The orchard behind the mill"
    )
    sign_in(page, recorder.service, recorder.account)
    for view, called in (
        ("recordings", "Recordings"),
        ("search", "Search"),
        ("trash", "Trash"),
        ("account", "Account"),
        (f"recording/{file_id}", "Recording, 6 May 2024"),
    ):
        page.evaluate("(to) => { location.hash = to; }", view)
        expect(page).to_have_title(re.compile(f"^{called}.* – Panzoto$"))
    # Browsers keep it in their history.
    assert "orchard" not in page.title()
    page.get_by_role("button", name="Lock").click()
    expect(page).to_have_title("Locked – Panzoto")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in – Panzoto")
    page.get_by_role("link", name="Create account").click()
    expect(page).to_have_title("Create account – Panzoto")


def test_what_stands_around_a_hit_is_of_whole_words(page: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a.wav")
    recorder.say(file_id, LONG)
    sign_in(page, recorder.service, recorder.account)
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox", name="Search").fill("wordnumber20")
    words = page.get_by_role("list", name="Results").locator(".result-words")
    expect(words).to_contain_text("wordnumber20")
    said = words.inner_text()
    assert re.fullmatch(r"…\s*(wordnumber\d\d\s)+wordnumber20(\swordnumber\d\d)+\s*…", said.strip()), said


def test_what_each_save_is_for_is_said(page: Page, recorder: Recorder) -> None:
    file_id = recorder.record("a.wav")
    recorder.say(file_id, "something that was said")
    sign_in(page, recorder.service, recorder.account)
    show(page, file_id)
    details = page.get_by_role("form", name="Title and note")
    expect(details.get_by_role("button", name="Save")).to_have_accessible_description("Title and note")
    page.get_by_role("button", name="Edit").click()
    words = page.get_by_role("region", name="Transcript").get_by_role("button", name="Save")
    expect(words).to_have_accessible_description(re.compile("text"))


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_small_window_holds_all_of_the_recorder_and_its_level(
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    console: Service,
    person: dict[str, Any],
) -> None:
    page = new_page(request.getfixturevalue(name), viewport={"width": 360, "height": 480})
    sign_in(page, console, person)
    dialog = recording(page)
    expect(dialog.get_by_role("button", name="Discard")).to_be_in_viewport(ratio=1)
    expect(dialog.get_by_role("button", name="Stop and save")).to_be_in_viewport(ratio=1)
    meter = dialog.get_by_role("meter", name="Level")
    untold = dialog.get_by_text("does not tell how loud it is")

    def tells() -> bool:
        # Firefox looks at no sound where nothing can be heard, and then no bar stands still.
        levels = meter.evaluate_all("(meters) => meters.map(({ value }) => value)")
        return untold.count() == 1 or any(level > 0.3 for level in levels)

    eventually(tells, "the microphone beeps")
    assert untold.count() + meter.count() == 1
    assert name == "firefox" or meter.count() == 1


def test_names_of_files_are_not_told_behind_the_lock(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "tax-return-wilhelmina.pdf"
    file.write_bytes(b"%PDF")
    sign_in(page, console, person)
    choose(page, file)
    expect(page.get_by_role("alert").filter(has_text="wilhelmina")).to_be_visible()
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("textbox", name="Password")).to_be_visible()
    expect(page.get_by_text("wilhelmina")).to_have_count(0)


def test_a_download_ends_with_the_lock(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, listening.noise(40_000_000))
    sign_in(page, console, person)
    show(page, file_id)
    with page.expect_download() as told:
        page.get_by_role("button", name="Download", exact=True).click()
    page.get_by_role("button", name="Lock").click()
    assert told.value.failure() is not None


def test_each_conversation_has_its_own_bar_and_what_is_corrected_its_whole_ring(
    page: Page, recorder: Recorder
) -> None:
    begin = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    for number, minutes in enumerate((0, 1, 5, 6)):
        at = begin + timedelta(minutes=minutes)
        file_id = recorder.record(f"{number}.wav", at, lasting=timedelta(seconds=50))
    recorder.say(file_id, "something that was said")
    sign_in(page, recorder.service, recorder.account)
    groups = page.get_by_role("group", name="Conversation")
    expect(groups).to_have_count(2)
    ends = groups.evaluate_all(
        """(groups) => groups.map((group) => {
            const {top, bottom} = getComputedStyle(group, "::before");
            const {y, height} = group.getBoundingClientRect();
            return [y + parseFloat(top), y + height - parseFloat(bottom)];
        })"""
    )
    assert ends[1][0] - ends[0][1] > 8
    show(page, file_id)
    page.get_by_role("button", name="Edit").click()
    field = page.get_by_role("textbox", name="Text at 0:00")
    expect(field).to_be_focused()
    beyond = field.evaluate(
        """(field) => {
            const {outlineOffset, outlineWidth} = getComputedStyle(field);
            return parseFloat(outlineOffset) + parseFloat(outlineWidth);
        }"""
    )
    assert beyond <= 0


def test_why_recordings_stand_together_is_said(page: Page, recorder: Recorder) -> None:
    begin = datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    minute = timedelta(minutes=1)
    for number in range(2):
        recorder.record(f"{number}.wav", begin + number * minute, lasting=timedelta(seconds=50))
    sign_in(page, recorder.service, recorder.account)
    page.get_by_role("link", name="Conversation").click()
    expect(page.get_by_text("no more than half a minute between them")).to_be_visible()


def test_a_title_that_was_changed_elsewhere_is_not_written_over_unsaid(
    page: Page, recorder: Recorder
) -> None:
    file_id = recorder.record("a.wav", title="Before anybody came")
    sign_in(page, recorder.service, recorder.account)
    page.evaluate("(to) => { location.hash = to; }", f"recording/{file_id}")
    field = page.get_by_role("textbox", name="Title")
    expect(field).to_have_value("Before anybody came")
    field.fill("Written in this tab")
    recorder.describe(file_id, title="Written in another tab")
    page.get_by_role("button", name="Save").click()
    alert = page.get_by_role("alert").filter(has_text="Written in another tab")
    expect(alert).to_be_visible()
    expect(field).to_have_value("Written in this tab")
    assert recorder.told(file_id, "title") == "Written in another tab"
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    assert recorder.told(file_id, "title") == "Written in this tab"


def test_where_an_old_recording_went_is_said(
    page: Page, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "harbour.wav"
    file.write_bytes(tone(1))
    then = datetime(2019, 3, 14, 12, tzinfo=UTC).timestamp()
    os.utime(file, (then, then))
    sign_in(page, console, person)
    choose(page, file)
    expect(page.get_by_role("status").filter(has_text="14 March 2019")).to_be_visible()
    expect(uploading(page)).to_have_count(0)
    expect(listed(page)).to_have_count(1)

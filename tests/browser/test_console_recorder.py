"""Recording in the console: what was said arrives, whatever happens on the way."""

from __future__ import annotations

import os
import re
import signal
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, expect

from tests.suites import need
from tests.support import browser
from tests.support.browser import CHROMIUM_FLAGS, Axe
from tests.support.console import enter, sign_in
from tests.support.console_uploads import (
    duration_decoded,
    duration_told,
    heard,
    listed,
    play,
    recording,
    stored,
    until_recorded,
    uploading,
)
from tests.support.processes import descendants
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

BROWSERS = ["chromium", "firefox"]
# A packet of Opus, by which what is decoded may be shorter than what the file says.
PACKET = 0.08
# What a microphone hears within a second of being asked to stop, on a busy machine.
SLACK = 1.5
# Hands the microphone's stream to the test.
SHARE_STREAM = """
    const ask = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (...asked) {
        globalThis.microphone = await ask.apply(this, asked);
        return globalThis.microphone;
    };
"""
# Somebody who takes their time to allow the microphone.
WAIT_FOR_LEAVE = """
    const asked = MediaDevices.prototype.getUserMedia;
    const answered = new Promise((resolve) => { globalThis.leave = resolve; });
    MediaDevices.prototype.getUserMedia = async function (...what) {
        await answered;
        return asked.apply(this, what);
    };
"""
# A database that takes no rows of uploads.
NO_ROWS = """
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (value, key) {
        if (this.name === "uploads") throw new DOMException("full", "QuotaExceededError");
        return put.call(this, value, key);
    };
"""
LOCK = """async () => {
    const { src } = document.querySelector("script[type=module]");
    const { lock } = await import(src.replace("main.js", "session/session.js"));
    await lock();
}"""
# A private file system that has room for so many files and no more.
FULL_AFTER = """
    let room = %d;
    const create = FileSystemFileHandle.prototype.createWritable;
    FileSystemFileHandle.prototype.createWritable = function (...how) {
        if (room-- <= 0) throw new DOMException("full", "QuotaExceededError");
        return create.apply(this, how);
    };
"""


# The names of what is kept in the private file system for uploads.
KEPT = """async () => {
    const names = [];
    const disk = await navigator.storage.getDirectory();
    const root = await disk.getDirectoryHandle("uploads", { create: true });
    for await (const account of root.values()) for await (const name of account.keys()) names.push(name);
    return names;
}"""


@contextmanager
def kept_profile(playwright: Playwright, folder: Path) -> Iterator[tuple[Page, int]]:
    """Open a page in Chromium with its profile in `folder`; gives the page and the process of the browser."""
    context = playwright.chromium.launch_persistent_context(
        folder, executable_path=need("chromium"), args=list(CHROMIUM_FLAGS), locale="en-GB"
    )
    lock = (folder / "SingletonLock").readlink().name
    try:
        yield context.pages[0], int(lock.rpartition("-")[2])
    finally:
        with suppress(Error):
            context.close()


def kill(pid: int) -> None:
    """End a browser as a crash does, all its processes at once, and wait until it is gone."""
    family = [pid, *descendants(pid)]
    for member in family:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}/exe").exists(), "the browser goes on")


@pytest.mark.parametrize("name", BROWSERS)
def test_what_is_spoken_arrives_and_plays_with_its_duration(
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    console: Service,
    person: dict[str, Any],
) -> None:
    page = new_page(request.getfixturevalue(name))
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 4)
    dialog.get_by_role("button", name="Pause").click()
    expect(dialog.get_by_role("button", name="Resume")).to_be_visible()
    paused_at = dialog.get_by_role("timer").inner_text()
    expect(dialog.get_by_role("status")).to_contain_text("Paused")
    assert dialog.get_by_role("timer").inner_text() == paused_at
    dialog.get_by_role("button", name="Resume").click()
    until_recorded(dialog, 8)
    dialog.get_by_role("button", name="Stop and save").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    assert row["content_type"] == "audio/webm"
    data = heard(console, person, row)
    told = duration_told(data)
    assert told is not None
    assert 8 - SLACK < told < 8 + 2 * SLACK
    assert told == pytest.approx(duration_decoded(data), abs=PACKET)
    assert row["duration_ms"] / 1000 == pytest.approx(told, abs=0.01)
    for other in BROWSERS:
        elsewhere = new_page(request.getfixturevalue(other))
        elsewhere.goto(f"{console.url}/")
        played = play(elsewhere, data, "audio/webm", 5)
        assert played["duration"] == pytest.approx(told, abs=0.01)
        assert played["found"] == pytest.approx(5, abs=0.1)
        assert played["ended"] == pytest.approx(told, abs=PACKET)


def test_a_browser_that_dies_keeps_what_was_said(
    playwright: Playwright, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    with kept_profile(playwright, tmp_path) as (page, pid):
        sign_in(page, console, person)
        until_recorded(recording(page), 25)
        kill(pid)
    with kept_profile(playwright, tmp_path) as (page, _):
        sign_in(page, console, person)
        expect(page.get_by_role("status").filter(has_text="broke off")).to_be_visible()
        expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    data = heard(console, person, row)
    # It is written about every five seconds.
    assert row["duration_ms"] / 1000 > 18
    assert duration_told(data) == pytest.approx(duration_decoded(data), abs=PACKET)
    assert duration_told(data) == pytest.approx(row["duration_ms"] / 1000, abs=0.01)


def test_locking_saves_what_is_being_said_and_it_arrives_after_unlocking(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    sign_in(page, console, person)
    until_recorded(recording(page), 3)
    # The page's own button is behind the dialog: it locks as it does when nobody is there any more.
    page.evaluate(LOCK)
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    assert stored(console, person) == []
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    assert row["duration_ms"] > 2000


# By the system, of which the page is told; and by what tells it nothing.
@pytest.mark.parametrize("taken", ["dispatchEvent(new Event('ended'))", "stop()"])
def test_a_microphone_that_is_taken_away_loses_nothing(
    taken: str, page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(SHARE_STREAM)
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 3)
    page.evaluate("() => microphone.getAudioTracks()[0].dispatchEvent(new Event('mute'))")
    expect(dialog.get_by_role("status")).to_contain_text("muted by the system")
    page.evaluate("() => microphone.getAudioTracks()[0].dispatchEvent(new Event('unmute'))")
    expect(dialog.get_by_role("status")).to_contain_text("Recording")
    page.evaluate(f"() => microphone.getAudioTracks()[0].{taken}")
    expect(dialog.get_by_role("alert")).to_contain_text("The microphone was taken away")
    dialog.get_by_role("button", name="Close").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    assert row["duration_ms"] > 2000


def test_escape_saves_and_discarding_asks(page: Page, console: Service, person: dict[str, Any]) -> None:
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 2)
    dialog.get_by_role("button", name="Discard").click()
    question = page.get_by_role("alertdialog", name="Discard this recording?")
    question.get_by_role("button", name="Keep").click()
    expect(question).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(listed(page)).to_have_count(1)
    dialog = recording(page)
    until_recorded(dialog, 2)
    dialog.get_by_role("button", name="Discard").click()
    question.get_by_role("button", name="Discard").click()
    expect(dialog).to_have_count(0)
    expect(uploading(page)).to_have_count(0)
    assert len(stored(console, person)) == 1
    assert page.evaluate(KEPT) == []


def test_silence_is_told(
    playwright: Playwright, console: Service, person: dict[str, Any], tmp_path: Path
) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 48000 * 10))
    with browser.chromium(playwright, f"--use-file-for-fake-audio-capture={silence}") as running:
        page = running.new_page(locale="en-GB")
        sign_in(page, console, person)
        dialog = recording(page)
        expect(dialog.get_by_role("status")).to_contain_text("Nothing can be heard")
        assert page.evaluate("() => document.querySelector('meter').value") == 0
        dialog.get_by_role("button", name="Stop and save").click()
        expect(listed(page)).to_have_count(1)


def test_sound_moves_the_level(page: Page, console: Service, person: dict[str, Any]) -> None:
    sign_in(page, console, person)
    dialog = recording(page)
    meter = dialog.get_by_role("meter", name="Level")
    eventually(lambda: float(meter.evaluate("(meter) => meter.value")) > 0.3, "the microphone beeps")
    expect(dialog.get_by_role("status")).not_to_contain_text("Nothing can be heard")


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_disk_offers_a_file_and_uploads_from_memory(
    room: int, page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(FULL_AFTER % room)
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 12 if room else 2)
    expect(dialog.get_by_role("alert")).to_contain_text("cannot keep the recording")
    with page.expect_download() as saved:
        dialog.get_by_role("button", name="Save as a file").click()
    assert saved.value.suggested_filename == "Recording.webm"
    assert duration_decoded(saved.value.path().read_bytes()) > (11 if room else 1)
    dialog.get_by_role("button", name="Stop and save").click()
    expect(listed(page)).to_have_count(1)
    (row,) = stored(console, person)
    assert duration_decoded(heard(console, person, row)) == pytest.approx(
        row["duration_ms"] / 1000, abs=PACKET
    )


def test_what_can_neither_be_kept_nor_sent_stays_until_it_is_saved(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(FULL_AFTER % 0 + NO_ROWS)
    sign_in(page, console, person)
    dialog = recording(page)
    until_recorded(dialog, 3)
    dialog.get_by_role("button", name="Stop and save").click()
    told = page.get_by_role("alert").filter(has_text="can neither be kept nor uploaded")
    with page.expect_download() as saved:
        told.get_by_role("button", name="Save as a file").click()
    assert duration_decoded(saved.value.path().read_bytes()) > 2
    told.get_by_role("button", name="I have saved it").click()
    expect(told).to_have_count(0)


def test_a_refused_microphone_is_told(
    new_page: Callable[..., Page], chromium: Browser, console: Service, person: dict[str, Any]
) -> None:
    page = new_page(chromium)
    page.add_init_script(
        "MediaDevices.prototype.getUserMedia = async () => {"
        " throw new DOMException('no', globalThis.refusal ?? 'NotAllowedError'); };"
    )
    sign_in(page, console, person)
    page.get_by_role("button", name="Record", exact=True).click()
    dialog = page.get_by_role("dialog", name="Record")
    for refusal, told in (
        ("NotAllowedError", "may not use the microphone"),
        ("NotFoundError", "There is no microphone"),
        ("NotReadableError", "Another program holds the microphone"),
    ):
        page.evaluate("(name) => { globalThis.refusal = name; }", refusal)
        dialog.get_by_role("button", name="Start").click()
        expect(dialog.get_by_role("alert")).to_contain_text(told)
        expect(dialog.get_by_role("button", name="Start")).to_be_focused()


def test_a_microphone_that_comes_too_late_is_let_go(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    page.add_init_script(SHARE_STREAM + WAIT_FOR_LEAVE)
    sign_in(page, console, person)
    page.get_by_role("button", name="Record", exact=True).click()
    dialog = page.get_by_role("dialog", name="Record")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_role("status")).to_contain_text("Waiting for the microphone")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    page.evaluate("() => leave()")
    eventually(
        lambda: page.evaluate("() => globalThis.microphone?.getAudioTracks()[0].readyState") == "ended",
        "the microphone stays on",
    )
    assert page.evaluate(KEPT) == []
    until_recorded(recording(page), 2)


@pytest.mark.parametrize("waiting", [False, True], ids=["at once", "after a question"])
def test_who_clicks_twice_on_start_records(
    *, waiting: bool, page: Page, console: Service, person: dict[str, Any]
) -> None:
    """The second click hits what has taken the place of the first one's button."""
    page.add_init_script(WAIT_FOR_LEAVE)
    sign_in(page, console, person)
    page.get_by_role("button", name="Record", exact=True).click()
    dialog = page.get_by_role("dialog", name="Record")
    if not waiting:
        page.evaluate("() => leave()")
    place = dialog.get_by_role("button", name="Start").bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(x, y)
    now = "Waiting for the microphone" if waiting else "Recording"
    expect(dialog.get_by_role("status")).to_contain_text(now)
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    page.evaluate("() => leave()")
    expect(dialog.get_by_role("status")).to_contain_text("Recording")
    until_recorded(dialog, 2)
    # Whoever waits before they press it means it.
    expect(dialog.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("Paused")
    expect(dialog.get_by_role("button", name="Resume")).to_be_focused()


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_axe_finds_nothing_in_the_recorder(
    *,
    language: str,
    new_page: Callable[..., Page],
    chromium: Browser,
    console: Service,
    person: dict[str, Any],
    axe: Axe,
) -> None:
    page = new_page(chromium, locale=language)
    enter(page, console, person)
    page.get_by_role("button", name=re.compile("^(Record|Aufnehmen)$")).click()
    dialog = page.get_by_role("dialog")
    axe.check(page)
    dialog.get_by_role("button", name=re.compile("^Start")).click()
    discard = re.compile("^(Discard|Verwerfen)$")
    expect(dialog.get_by_role("button", name=discard)).to_be_visible()
    axe.check(page)
    dialog.get_by_role("button", name=discard).click()
    expect(page.get_by_role("alertdialog")).to_be_visible()
    axe.check(page)
    page.get_by_role("alertdialog").get_by_role("button", name=discard).click()
    expect(dialog).to_have_count(0)

"""What the console saves to files: whole, by its name, and with nothing said to anybody on the way."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Download, Page, Route, expect

from tests.browser import listening
from tests.browser.listening import FOLDER, show, stored, stored_single, tone
from tests.support import clips
from tests.support.console import sign_in
from tests.support.service import PASSWORD, Service

BROWSERS = pytest.mark.parametrize("name", ["chromium", "firefox"])
SAVE = """async ({folder, fileId, title}) => {
    const {downloadRecording} = await import(folder + "playing/downloads.js");
    const {freshRow} = await import(folder + "playing/sounds.js");
    await downloadRecording(await freshRow(fileId), title);
}"""
EXPORT = """async (folder) => (await import(folder + "playing/downloads.js")).downloadExport()"""


def saved(page: Page, file_id: str, title: str = "") -> Download:
    asked = {"folder": page.evaluate(FOLDER), "fileId": file_id, "title": title}
    with page.expect_download() as told:
        page.evaluate(SAVE, asked)
    return told.value


def saved_export(page: Page) -> Download:
    with page.expect_download() as told:
        page.evaluate(EXPORT, page.evaluate(FOLDER))
    return told.value


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


@BROWSERS
def test_a_recording_is_saved_whole_under_its_title(
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    console: Service,
    person: dict[str, Any],
) -> None:
    plain = listening.noise(5_000_000)
    file_id = stored(console, person, plain)
    page = new_page(request.getfixturevalue(name))
    sign_in(page, console, person)
    download = saved(page, file_id, 'Grüße: "Ängste" / 日記')
    assert download.suggested_filename == "Grüße Ängste 日記.wav"
    # Before it has ended, since what is said stays for ten seconds.
    expect(page.get_by_role("status")).to_have_text("The download has begun.")
    assert hashlib.sha256(content(download)).digest() == hashlib.sha256(plain).digest()
    # The page is where it was, and what follows a name is drawn at random.
    assert page.url.startswith(f"{console.url}/#") or page.url == f"{console.url}/"
    assert "Gr" not in download.url.removeprefix(console.url)
    assert "recording_decrypted" not in listening.event_types(console, person)


def test_what_has_no_title_is_named_by_its_time(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, clips.amr(7, 50), recorded_at="2026-05-01T12:34:56Z")
    sign_in(page, console, person)
    zone = page.evaluate("() => new Date('2026-05-01T12:34:56Z').getHours()")
    assert saved(page, file_id).suggested_filename == f"2026-05-01 {zone:02}.34.amr"


@BROWSERS
def test_everything_is_exported(
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    console: Service,
    person: dict[str, Any],
) -> None:
    file_id = stored(console, person, tone(1))
    page = new_page(request.getfixturevalue(name))
    sign_in(page, console, person)
    download = saved_export(page)
    assert download.suggested_filename.startswith("panzoto-")
    with zipfile.ZipFile(io.BytesIO(content(download))) as archive:
        assert archive.testzip() is None
        assert any(file_id in entry for entry in archive.namelist())


def test_what_a_page_fetches_is_not_broken_off_by_a_download(
    new_page: Callable[..., Page], firefox: Browser, console: Service, person: dict[str, Any]
) -> None:
    page = new_page(firefox)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/views/account/index.js", hold)
    with page.expect_request("**/views/account/index.js"):
        sign_in(page, console, person)
    saved_export(page)
    for route in held:
        route.continue_()
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()


def test_sound_goes_on_while_something_is_saved(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, tone(60))
    sign_in(page, console, person)
    page.evaluate("() => addEventListener('beforeunload', (event) => event.preventDefault())")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    show(page, file_id)
    page.get_by_role("button", name="Play", exact=True).click()
    listening.reach(page, 0.3)
    saved(page, file_id)
    listening.reach(page, 1.5)
    assert not listening.audio(page, "paused")
    # Nothing is left, so nobody is asked whether to leave.
    assert asked == []


def test_a_recording_that_is_damaged_is_not_saved(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(20))
    row = console.call("GET", f"/api/audio-file/{file_id}", person["token"]).json()["audio_file"]
    whole = console.s3().get_object(Bucket="panzoto-audio-dev", Key=row["s3_key"])["Body"].read()
    console.put_object(row["s3_key"], whole[:-1] + bytes([whole[-1] ^ 1]))
    sign_in(page, console, person)
    asked = {"folder": page.evaluate(FOLDER), "fileId": file_id, "title": ""}
    told = page.evaluate(f"async (asked) => ({SAVE})(asked).catch(String)", asked)
    assert "does not open with your keys" in told


def test_an_older_recording_is_saved_with_the_password(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    plain = tone(3)
    file_id = stored_single(console, person, plain)
    sign_in(page, console, person)
    asked = {"folder": page.evaluate(FOLDER), "fileId": file_id, "title": "Old"}
    page.evaluate(f"(asked) => {{ ({SAVE})(asked); }}", asked)
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    with page.expect_download() as told:
        dialog.get_by_role("button", name="Open").click()
    assert told.value.suggested_filename == "Old.wav"
    assert content(told.value) == plain


def test_without_workers_a_recording_is_decrypted_in_the_page(
    chromium: Browser, new_page: Callable[..., Page], console: Service, person: dict[str, Any]
) -> None:
    plain = tone(30)
    file_id = stored(console, person, plain)
    page = new_page(chromium, service_workers="block")
    sign_in(page, console, person)
    download = saved(page, file_id, "Walk")
    assert download.suggested_filename == "Walk.wav"
    assert content(download) == plain
    assert "recording_decrypted" not in listening.event_types(console, person)
    with zipfile.ZipFile(io.BytesIO(content(saved_export(page)))) as archive:
        assert archive.testzip() is None

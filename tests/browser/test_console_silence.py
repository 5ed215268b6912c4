"""What leaves the browser while somebody uses the console: never what is theirs alone.

All requests pass through a proxy, those of the service worker too. They are searched after every test of this
folder (`conftest.py`), and here, after a walk through everything, call by call.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.listening import audio, loaded, reach, show, stored, stored_single, tone
from tests.support.console import sign_in
from tests.support.overheard import OWN_HOSTS, spelled, whole
from tests.support.recorder import Recorder
from tests.support.recording_proxy import RecordingProxy, Sent
from tests.support.service import PASSWORD, Service

TITLE = "The orchard behind the mill"
NOTE = "ask Wilhelmina about the ladder"
WORDS = "yesterday the chestnuts were ripening early"
# What is looked for letter by letter, and is a part of the words above.
SEARCHED = "chestnuts"


def told(sent: list[Sent], secret: bytes) -> list[tuple[str, str]]:
    """Which requests hold it, by method and path."""
    needles = spelled(secret)
    return [(one.method, one.path) for one in sent if any(needle in whole(one) for needle in needles)]


def test_after_the_sign_in_nothing_of_theirs_leaves_the_browser(
    page: Page, line: RecordingProxy, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(20))
    older = stored_single(console, person, tone(20))
    Recorder(console, person).say(file_id, WORDS)
    sign_in(page, console, person)
    signed_in = len(line.sent)
    _name(page, file_id)
    _listen(page)
    _save(page)
    _search(page)
    _lock_and_unlock(page)
    walked = line.sent[signed_in:]
    _open_older(page, older)
    opened = line.sent[signed_in + len(walked) :]

    # What was looked at is the whole: pages, calls, and what only the worker asks of the bucket.
    paths = [one.path for one in walked]
    assert f"/api/audio-file/{file_id}" in paths
    assert any(dict(one.headers).get("Range", "").startswith("bytes=65664-") for one in walked)
    assert told(line.sent[:signed_in], PASSWORD.encode()) == [("POST", "/api/login")]
    assert told(walked, PASSWORD.encode()) == []
    assert told(opened, PASSWORD.encode()) == [("POST", "/api/decrypt-audio")]
    assert not any(one.path.startswith("/api/playback/") for one in walked)
    everything = line.sent
    for text in (TITLE, NOTE, WORDS, SEARCHED, "orchard", "ladder"):
        assert told(everything, text.encode()) == [], text
    plain = tone(20)
    assert told(everything, plain[1000:1064]) == []
    # Nobody else is spoken to.
    theirs = [one for one in everything if not OWN_HOSTS.match(one.url)]
    assert {one.url.split("/")[2].split(":")[0] for one in theirs} == {"127.0.0.1"}


def _name(page: Page, file_id: str) -> None:
    show(page, file_id)
    page.get_by_role("textbox", name="Title").fill(TITLE)
    page.get_by_role("textbox", name="Note").fill(NOTE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible()


def _listen(page: Page) -> None:
    assert "/console-sound/" in loaded(page)
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("slider", name="Position").fill("12")
    reach(page, 12.2)
    page.get_by_role("button", name="Pause", exact=True).click()


def _save(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == f"{TITLE}.wav"


def _search(page: Page) -> None:
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox", name="Search").press_sequentially(SEARCHED)
    hit = page.get_by_role("list", name="Results").get_by_role("link").first
    expect(hit).to_contain_text(SEARCHED)
    hit.click()
    reach(page, 0.1)


def _lock_and_unlock(page: Page) -> None:
    page.get_by_role("button", name="Lock").click()
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    loaded(page)


def _open_older(page: Page, file_id: str) -> None:
    show(page, file_id)
    page.get_by_role("button", name="Play", exact=True).click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Open").click()
    reach(page, 0.2)
    assert "/api/playback/" in audio(page, "src")

"""The player of the console: what is heard is what was recorded, and what goes wrong is told and mended."""

from __future__ import annotations

import base64
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from tests.browser import listening
from tests.browser.listening import ANSWERS, audio, loaded, reach, show, stored, stored_single, tone
from tests.conftest import UNLIMITED
from tests.support import clips
from tests.support.browser import WAIT_MILLISECONDS, Axe
from tests.support.console import enter, sign_in
from tests.support.fault_proxy import Answer, Cut, Fault, FaultProxy, Request
from tests.support.recorder import Recorder
from tests.support.service import BUCKET, ITSELF, PASSWORD, Service, run_service
from tests.support.stand_in import RunningStandIn
from tests.support.waiting import eventually

BROWSERS = pytest.mark.parametrize("name", ["chromium", "firefox"])
# How a bucket refuses an address that is over, to a page of any origin.
OVER = Answer(
    403,
    b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
    "application/xml",
    {"Access-Control-Allow-Origin": "*"},
)


@pytest.fixture
def in_browser(request: pytest.FixtureRequest, new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open a page of a browser, by the browser's name."""
    return lambda name, **options: new_page(request.getfixturevalue(name), **options)


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def answers(page: Page, *ranges: str | None, method: str = "GET") -> list[dict[str, Any]]:
    """Ask the address of `<audio>` for ranges; `body` becomes bytes."""
    asked = {"address": audio(page, "src"), "ranges": ranges, "method": method}
    said: list[dict[str, Any]] = page.evaluate(ANSWERS, asked)
    return [{**one, "body": base64.b64decode(one["body"])} for one in said]


# ---- What is heard is what was recorded --------------------------------------------------------------------


@BROWSERS
def test_a_recording_plays_from_the_worker_and_is_silent_for_the_service(
    name: str, in_browser: Callable[..., Page], console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(20))
    page = in_browser(name)
    page.route("**/api/decrypt-audio", lambda route: route.abort())
    page.route("**/api/playback/**", lambda route: route.abort())
    sign_in(page, console, person)
    player = show(page, file_id)
    address = loaded(page)
    assert "/console-sound/" in address
    assert audio(page, "duration") == 20
    # The service, which has never opened it, does not know that.
    expect(page.get_by_text("encrypted on your device")).to_be_visible()
    player.get_by_role("button", name="Play", exact=True).click()
    reach(page, 0.5)
    player.get_by_role("slider", name="Position").fill("15")
    reach(page, 15.2)
    player.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("[data-player]")).to_have_js_property("paused", True)
    assert "recording_decrypted" not in listening.event_types(console, person)


@BROWSERS
def test_all_ranges_are_those_of_the_plain_sound(
    name: str, in_browser: Callable[..., Page], console: Service, person: dict[str, Any]
) -> None:
    plain = tone(20)
    size = len(plain)
    file_id = stored(console, person, plain)
    page = in_browser(name)
    sign_in(page, console, person)
    show(page, file_id)
    loaded(page)
    for header, (start, stop) in {
        "bytes=0-1": (0, 2),
        "bytes=0-": (0, size),
        "bytes=65479-65480": (65479, 65481),
        "bytes=-7": (size - 7, size),
        f"bytes={size - 1}-{size + 50}": (size - 1, size),
    }.items():
        (said,) = answers(page, header)
        assert said["status"] == 206, header
        assert said["body"] == plain[start:stop], header
        assert said["headers"]["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert said["headers"]["content-type"] == "audio/wav"
        assert said["headers"]["cache-control"] == "no-store"
    whole, several, beyond = answers(page, None, "bytes=0-1,5-6", f"bytes={size}-")
    assert (whole["status"], whole["body"]) == (200, plain)
    assert (several["status"], several["body"]) == (200, plain)
    assert (beyond["status"], beyond["headers"]["content-range"]) == (416, f"bytes */{size}")
    (head,) = answers(page, None, method="HEAD")
    assert (head["status"], head["headers"]["content-length"], head["body"]) == (200, str(size), b"")


def test_random_ranges_are_right_though_the_worker_is_killed_between_them(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    chance = random.Random(19)
    plain = listening.noise(3_000_000)
    file_id = stored(console, person, plain)
    sign_in(page, console, person)
    show(page, file_id)
    address = loaded(page)
    for number in range(40):
        if number % 10 == 5:
            listening.stop_workers(page)
        start = chance.randrange(len(plain))
        stop = min(len(plain), start + chance.randrange(1, 200_000))
        asked = {"address": address, "ranges": [f"bytes={start}-{stop - 1}"], "method": "GET"}
        (said,) = page.evaluate(ANSWERS, asked)
        assert base64.b64decode(said["body"]) == plain[start:stop], (number, start, stop, said["status"])


def test_a_page_that_was_loaded_past_the_worker_gets_it_back(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(5))
    sign_in(page, console, person, stay=True)
    show(page, file_id)
    loaded(page)
    devtools = page.context.new_cdp_session(page)
    with page.expect_event("load"):
        devtools.send("Page.reload", {"ignoreCache": True})
    assert "/console-sound/" in loaded(page)
    button(page, "Play").click()
    reach(page, 0.3)


def test_nothing_is_given_out_behind_the_lock(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, tone(5))
    sign_in(page, console, person)
    show(page, file_id)
    address = loaded(page)
    button(page, "Lock").click()
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    expect(page.locator("[data-player]")).to_have_count(0)
    asked = {"address": address, "ranges": ["bytes=0-1"], "method": "GET"}
    # The worker is told by a message, which a request may overtake.
    eventually(lambda: page.evaluate(ANSWERS, asked)[0]["status"] == 502, "the worker remembers")
    assert not page.evaluate(ANSWERS, asked)[0]["body"]
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    assert loaded(page) != address


def test_a_tab_is_not_shown_what_only_the_player_is_given(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, b"<script>document.title = 'run'</script>", content_type="text/html")
    sign_in(page, console, person)
    show(page, file_id)
    expect(page.get_by_role("region", name="Player")).to_contain_text("No browser plays sound of this kind")
    button(page, "Play").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot play sound of this kind")
    expect(page.get_by_text("turns it into one that they do")).to_have_count(0)
    sound = stored(console, person, tone(1))
    show(page, sound)
    address = loaded(page)
    tab = page.context.new_page()
    with pytest.raises(Error, match="ERR_HTTP_RESPONSE_CODE_FAILURE"):
        tab.goto(address)


def test_a_file_that_holds_no_sound_is_called_damaged_and_not_of_another_kind(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, b"a letter, and no sound\n" * 20, content_type="audio/wav")
    sign_in(page, console, person)
    player = show(page, file_id)
    expect(player).to_contain_text("it may be damaged")
    expect(player).not_to_contain_text("No browser plays")
    button(page, "Play").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "This file seems damaged; no sound could be found in it."
    )


# ---- The player's buttons, keys and memory -----------------------------------------------------------------


def test_the_handle_goes_to_the_end_of_a_short_recording(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(4.73))
    sign_in(page, console, person)
    player = show(page, file_id)
    loaded(page)
    position = player.get_by_role("slider", name="Position")
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:05")
    assert position.evaluate("({step, max}) => [step, max]") == ["0.1", "4.8"]
    position.press("End")
    expect(position).to_have_attribute("aria-valuetext", "0:05 of 0:05")
    assert position.evaluate("({value, max}) => value === max")
    assert audio(page, "currentTime") == audio(page, "duration")


def test_where_nothing_is_loaded_any_more_it_does_not_stand_for_long(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    """No page can bring the browser there, so the element only says that it stands."""
    file_id = stored(console, person, tone(60))
    sign_in(page, console, person)
    player = show(page, file_id)
    loaded(page)
    player.get_by_role("button", name="Play").click()
    reach(page, 0.1)
    sent = page.locator("[data-player]").evaluate(
        """(audio, patience) => new Promise((resolve, reject) => {
            setTimeout(() => reject(new Error("it still stands")), patience);
            const said = { readyState: 2, networkState: 1 };
            for (const [name, value] of Object.entries(said)) {
                Object.defineProperty(audio, name, { get: () => value, configurable: true });
            }
            audio.addEventListener("seeking", () => {
                for (const name of Object.keys(said)) delete audio[name];
                resolve(audio.currentTime);
            }, { once: true });
        })""",
        WAIT_MILLISECONDS,
    )
    reach(page, sent + 0.5)


def test_buttons_keys_and_speed(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, tone(60))
    sign_in(page, console, person)
    player = show(page, file_id)
    loaded(page)
    position = player.get_by_role("slider", name="Position")
    player.get_by_role("button", name="Forward 15 seconds").click()
    expect(position).to_have_attribute("aria-valuetext", "0:15 of 1:00")
    player.get_by_role("button", name="Back 15 seconds").click()
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 1:00")
    page.locator("#main").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(position).to_have_attribute("aria-valuetext", "0:05 of 1:00")
    position.focus()
    page.keyboard.press("ArrowRight")
    expect(position).to_have_attribute("aria-valuetext", "0:10 of 1:00")
    speed = player.get_by_role("combobox", name="Speed")
    for key, shown in {"]": "1.25", "[": "1"}.items():
        page.keyboard.press(key)
        expect(speed).to_have_value(shown)
    speed.select_option("2")
    assert audio(page, "playbackRate") == 2
    page.locator("#main").focus()
    page.keyboard.press("Space")
    expect(button(page, "Pause")).to_be_visible()
    reach(page, 10.5)
    page.keyboard.press("Space")
    expect(button(page, "Play")).to_be_visible()
    player.get_by_role("slider", name="Volume").fill("40")
    assert audio(page, "volume") == pytest.approx(0.4)
    # What is typed is typed, and no key of the player.
    title = page.get_by_role("textbox", name="Title")
    title.fill("")
    title.press_sequentially("a [ b")
    expect(title).to_have_value("a [ b")
    expect(speed).to_have_value("2")
    expect(button(page, "Play")).to_be_visible()


def test_another_recording_silences_the_one_before_and_each_keeps_its_place(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    first, second = (stored(console, person, tone(30, hertz=hertz)) for hertz in (300, 500))
    sign_in(page, console, person)
    player = show(page, first)
    loaded(page)
    player.get_by_role("slider", name="Position").fill("12")
    button(page, "Play").click()
    reach(page, 12.3)
    show(page, second)
    expect(button(page, "Play")).to_be_visible()
    loaded(page)
    assert audio(page, "paused")
    assert audio(page, "currentTime") == 0
    show(page, first)
    loaded(page)
    reach(page, 12.2)
    assert audio(page, "paused")


def test_a_jump_plays_from_there(page: Page, console: Service, person: dict[str, Any]) -> None:
    file_id = stored(console, person, tone(30))
    sign_in(page, console, person)
    jump = """async ({folder, to, seconds}) => {
        (await import(folder + "playing/current.js")).playAt(to, seconds);
        location.hash = `recording/${to}`;
    }"""
    folder = page.evaluate(listening.FOLDER)
    page.evaluate(jump, {"folder": folder, "to": file_id, "seconds": 21})
    reach(page, 21.2)
    page.evaluate(jump, {"folder": folder, "to": file_id, "seconds": 3})
    reach(page, 3.2)
    assert audio(page, "currentTime") < 20
    told = page.evaluate(
        "async (folder) => (await import(folder + 'playing/current.js')).current.get()", folder
    )
    assert told["fileId"] == file_id
    assert told["playing"]
    assert 3 <= told["seconds"] < 20


def test_play_that_is_pressed_early_is_not_forgotten(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(10))
    sign_in(page, console, person)
    waiting: list[Route] = []

    def keep(route: Route) -> None:
        waiting.append(route)

    page.route("**/download", keep, times=1)
    show(page, file_id)
    button(page, "Play").click()
    expect(button(page, "Pause")).to_be_visible()
    eventually(lambda: _turned(page) and bool(waiting), "nothing was asked for")
    assert audio(page, "src") == ""
    waiting[0].continue_()
    reach(page, 0.3)


def _turned(page: Page) -> bool:
    """Let Playwright hear what has happened."""
    page.evaluate("() => new Promise((resolve) => setTimeout(resolve, 20))")
    return True


def test_the_waveform_shows_where_it_is_loud(page: Page, console: Service, person: dict[str, Any]) -> None:
    loud, silent = tone(4), bytearray(tone(4))
    silent[44:] = bytes(len(silent) - 44)
    half = loud[:44] + loud[44 : 44 + (len(loud) - 44) // 2] + bytes((len(loud) - 44) // 2)
    sign_in(page, console, person)
    columns = """(canvas) => {
        const {width, height} = canvas;
        const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
        const inked = (from, to) => {
            let count = 0;
            for (let y = 0; y < height; y++) {
                for (let x = from; x < to; x++) count += data[(y * width + x) * 4 + 3] > 0;
            }
            return count / (height * (to - from));
        };
        return [inked(0, width / 2 | 0), inked(width / 2 | 0, width)];
    }"""
    show(page, stored(console, person, half))
    canvas = page.get_by_role("img", name="Waveform")
    expect(canvas).not_to_have_class(re.compile("bar"))
    first, second = canvas.evaluate(columns)
    assert first > 0.2
    assert 0 < second < 0.1


# ---- Sittings ----------------------------------------------------------------------------------------------


def test_a_sitting_has_one_position_over_all_its_clips(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = [
        stored(
            console, person, tone(6, hertz=hertz), recorded_at=f"2026-05-01T10:00:0{at}Z", duration_ms=6000
        )
        for at, hertz in ((0, 300), (7, 500))
    ]
    sign_in(page, console, person)
    player = show(page, ids[0], "sitting")
    position = player.get_by_role("slider", name="Position")
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:12")
    loaded(page)
    first = audio(page, "src")
    position.fill("5.5")
    button(page, "Play").click()
    expect(page.locator("[data-player]")).not_to_have_attribute("src", first)
    reach(page, 0.3)
    expect(position).to_have_attribute("aria-valuetext", re.compile("0:0[67] of 0:12"))
    position.fill("1")
    reach(page, 1.1)
    position.fill("11.6")
    expect(button(page, "Play")).to_be_visible()
    expect(position).to_have_attribute("aria-valuetext", "0:12 of 0:12")
    assert "recording_decrypted" not in listening.event_types(console, person)


def test_clips_whose_length_nobody_told_are_measured(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = [stored(console, person, tone(seconds)) for seconds in (3, 4, 5)]
    sign_in(page, console, person)
    position = show(page, ids[0], "sitting").get_by_role("slider", name="Position")
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:12")


def conversation(service: Service, person: dict[str, Any], **more: Any) -> list[str]:
    """Three recordings of four seconds, a second apart, the middle one with a title."""
    moments = [f"2026-05-01T10:00:{at:02}Z" for at in (0, 5, 10)]
    ids = [
        stored(service, person, tone(4, hertz=300 + 100 * at), recorded_at=moment, **more)
        for at, moment in enumerate(moments)
    ]
    Recorder(service, person).describe(ids[1], title="Mum about the garden")
    return ids


def lose(service: Service, person: dict[str, Any], file_id: str) -> None:
    """Take a recording's object out of the bucket, and leave its row."""
    row = service.call("GET", f"/api/audio-file/{file_id}", person["token"]).json()["audio_file"]
    service.s3().delete_object(Bucket=BUCKET, Key=row["s3_key"])


@BROWSERS
def test_a_sitting_goes_on_behind_a_clip_that_is_lost_and_names_it(
    name: str, in_browser: Callable[..., Page], console: Service, person: dict[str, Any]
) -> None:
    page = in_browser(name)
    ids = conversation(console, person, duration_ms=4000)
    lose(console, person, ids[1])
    sign_in(page, console, person)
    player = show(page, ids[0], "sitting")
    loaded(page)
    position = player.get_by_role("slider", name="Position")
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:12")
    position.fill("3.5")
    button(page, "Play").click()
    alert = page.get_by_role("alert").filter(has_text="Recording 2 of 3")
    expect(alert).to_contain_text("Recording 2 of 3 (Mum about the garden) cannot be played.")
    expect(alert).to_contain_text("The sound of this recording is not there")
    expect(button(page, "Pause")).to_be_visible()
    reach(page, 0.3)
    # What is not there takes no time, so that every way over it leads to what is.
    expect(position).to_have_attribute("aria-valuetext", re.compile("0:0[4-8] of 0:08"))
    position.fill("3")
    reach(page, 3.2)
    position.fill("7.8")
    expect(button(page, "Play")).to_be_visible()
    expect(position).to_have_attribute("aria-valuetext", "0:08 of 0:08")
    position.fill("2")
    button(page, "Forward 15 seconds").click()
    expect(position).to_have_attribute("aria-valuetext", "0:08 of 0:08")
    button(page, "Back 15 seconds").click()
    expect(position).to_have_attribute("aria-valuetext", "0:00 of 0:08")


def test_a_lost_clip_that_is_wanted_itself_is_told_again(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = conversation(console, person)
    lose(console, person, ids[1])
    sign_in(page, console, person)
    show(page, ids[0], "sitting")
    loaded(page)
    jump = """async ([folder, to]) => (await import(folder + "playing/current.js")).playAt(to, 2)"""
    alert = page.get_by_role("alert").filter(has_text="Recording 2 of 3 (Mum about the garden)")
    for _ in range(2):
        page.evaluate(jump, [page.evaluate(listening.FOLDER), ids[1]])
        expect(alert).to_be_visible()
        reach(page, 0.3)
        alert.get_by_role("button").click()
        expect(alert).to_have_count(0)


def test_a_sitting_begins_with_the_first_clip_that_is_there(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = conversation(console, person)
    lose(console, person, ids[0])
    lose(console, person, ids[1])
    sign_in(page, console, person)
    show(page, ids[0], "sitting")
    loaded(page)
    expect(page.get_by_role("alert").first).to_contain_text("Recordings 1 and 2 of 3 cannot be played:")
    button(page, "Play").click()
    reach(page, 0.3)


def test_a_sitting_ends_before_a_last_clip_that_was_lost_meanwhile(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = conversation(console, person, duration_ms=4000)
    sign_in(page, console, person)
    position = show(page, ids[0], "sitting").get_by_role("slider", name="Position")
    loaded(page)
    lose(console, person, ids[2])
    position.fill("7")
    button(page, "Play").click()
    expect(page.get_by_role("alert").first).to_contain_text(re.compile(r"Recording 3 of 3 \(.*2026.*\)"))
    expect(button(page, "Play")).to_be_visible()
    expect(position).to_have_attribute("aria-valuetext", "0:08 of 0:08")
    # From its beginning once more.
    button(page, "Play").click()
    reach(page, 0.3)
    expect(position).to_have_attribute("aria-valuetext", re.compile("0:0[0-4] of 0:08"))


def test_a_sitting_of_which_nothing_is_there_stops_and_is_tried_when_play_is_pressed(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = conversation(console, person)
    for file_id in ids:
        lose(console, person, file_id)
    sign_in(page, console, person)
    show(page, ids[0], "sitting")
    alert = page.get_by_role("alert").filter(
        has_text=re.compile("Recordings 1, 2,? and 3 of 3 cannot be played:")
    )
    expect(alert).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert not [url for url in asked if url.endswith("/download")]
    listening.put_anew(console, person, ids[1], tone(4))
    button(page, "Play").click()
    reach(page, 0.3)
    expect(page.get_by_role("alert").first).to_contain_text("Recording 1 of 3 (")


def test_a_lost_recording_alone_is_told_as_before(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(4))
    lose(console, person, file_id)
    sign_in(page, console, person)
    show(page, file_id)
    alert = page.get_by_role("alert").filter(has_text="The sound of this recording is not there")
    expect(alert).to_be_visible()
    expect(alert).not_to_contain_text("Recording 1")


# ---- What only the service opens ---------------------------------------------------------------------------


def test_an_older_recording_asks_for_the_password_and_forgets_it(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored_single(console, person, tone(10))
    sign_in(page, console, person)
    player = show(page, file_id)
    expect(player).to_contain_text("An older app recorded this")
    button(page, "Play").click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill("not my password")
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_contain_text("This is not your password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_have_count(0)
    reach(page, 0.3)
    assert "/api/playback/" in audio(page, "src")
    other = stored_single(console, person, tone(10))
    show(page, other)
    button(page, "Play").click()
    expect(dialog.get_by_role("textbox", name="Password")).to_have_value("")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button(page, "Play")).to_be_visible()


def test_an_upgraded_recording_opens_in_the_browser_from_then_on(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored_single(console, person, tone(10))
    sign_in(page, console, person)
    show(page, file_id)
    button(page, "Play").click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Upgrade").click()
    expect(dialog).to_have_count(0)
    reach(page, 0.3)
    assert "/console-sound/" in audio(page, "src")
    row = console.call("GET", f"/api/audio-file/{file_id}", person["token"]).json()["audio_file"]
    assert row["format"] == "v2"


def test_a_sitting_of_older_clips_asks_once(page: Page, console: Service, person: dict[str, Any]) -> None:
    parts = [clips.encoded("adts", "aac", 16000, 3, tone_) for tone_ in (300, 500)]
    ids = [
        stored_single(console, person, part, recorded_at=f"2026-05-01T10:00:0{at}Z", duration_ms=3000)
        for at, part in zip((0, 4), parts, strict=True)
    ]
    sign_in(page, console, person)
    show(page, ids[0], "sitting")
    button(page, "Play").click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_have_count(0)
    reach(page, 3.3)
    assert audio(page, "duration") == pytest.approx(6, abs=0.3)


def test_older_clips_that_cannot_be_joined_play_one_by_one_after_one_question(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = [
        stored_single(console, person, tone(3), recorded_at=f"2026-05-01T10:00:0{at}Z", duration_ms=3000)
        for at in (0, 4)
    ]
    sign_in(page, console, person)
    position = show(page, ids[0], "sitting").get_by_role("slider", name="Position")
    open_with_password(page)
    reach(page, 0.3)
    first = audio(page, "src")
    position.fill("4")
    expect(page.locator("[data-player]")).not_to_have_attribute("src", re.compile(re.escape(first) + "$"))
    reach(page, 1.2)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_address_of_the_service_that_is_over_asks_again(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored_single(console, person, listening.noise(20_000_000))
    sign_in(page, console, person)
    show(page, file_id)
    open_with_password(page)
    reach(page, 0.3)

    def late(route: Route) -> None:
        # Meanwhile the element has failed, and is where it was before.
        time.sleep(1)
        route.fulfill(status=410)

    page.route("**/api/playback/**", late)
    page.get_by_role("slider", name="Position").fill("180")
    expect(page.get_by_role("status")).to_contain_text("enter your password again")
    page.unroute("**/api/playback/**")
    # The sound is known, and the element not yet sent on: whoever looks just then finds it at its beginning.
    page.locator("[data-player]").evaluate(
        """(audio) => {
            audio.addEventListener("durationchange", () => audio.dispatchEvent(new Event("timeupdate")));
        }"""
    )
    open_with_password(page)
    reach(page, 180.2)


def open_with_password(page: Page) -> None:
    """Press Play, and enter what is asked for."""
    button(page, "Play").click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Open").click()
    expect(dialog).to_have_count(0)


def test_amr_plays_as_the_service_renders_it_and_says_so(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, clips.amr(7, 500))
    sign_in(page, console, person)
    player = show(page, file_id)
    expect(player).to_contain_text("No browser plays sound of this kind")
    button(page, "Play").click()
    reach(page, 0.3)
    assert audio(page, "src").endswith("?as=wav")


def test_a_window_without_workers_says_so_and_plays_by_the_service(
    chromium: Browser, new_page: Callable[..., Page], console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, tone(10))
    page = new_page(chromium, service_workers="block")
    sign_in(page, console, person)
    player = show(page, file_id)
    expect(player).to_contain_text("This window cannot decrypt while it plays")
    assert audio(page, "src") == ""
    button(page, "Play").click()
    reach(page, 0.3)
    assert "/api/playback/" in audio(page, "src")


# ---- What goes wrong ---------------------------------------------------------------------------------------


@pytest.fixture
def bucket(stand_in: RunningStandIn) -> Iterator[FaultProxy]:
    """A proxy between everybody and the bucket."""
    with FaultProxy(stand_in.url) as proxy:
        yield proxy


@pytest.fixture
def beyond(stand_in: RunningStandIn, bucket: FaultProxy) -> Iterator[Service]:
    """A service whose bucket is behind that proxy."""
    settings = {**stand_in.variables, **UNLIMITED, "PUBLIC_URL": ITSELF, "AWS_ENDPOINT_URL_S3": bucket.url}
    with run_service(stand_in.url, **settings) as running:
        yield running


def test_a_replaced_object_is_told_and_opened_anew(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    file_id = stored(console, person, listening.noise(20_000_000))
    sign_in(page, console, person)
    show(page, file_id)
    loaded(page)
    listening.put_anew(console, person, file_id, tone(90))
    page.get_by_role("slider", name="Position").fill("60")
    button(page, "Play").click()
    expect(page.get_by_role("status")).to_contain_text("This recording was replaced meanwhile")
    reach(page, 60.2)
    assert audio(page, "duration") == 90


def test_a_dead_network_is_told_and_playing_goes_on_by_itself(
    page: Page, beyond: Service, bucket: FaultProxy
) -> None:
    person = beyond.register("far@example.com")
    file_id = stored(beyond, person, listening.noise(26_000_000))
    sign_in(page, beyond, person)
    show(page, file_id)
    loaded(page)
    with bucket.down():
        page.get_by_role("slider", name="Position").fill("250")
        button(page, "Play").click()
        expect(page.get_by_role("status")).to_contain_text("The connection was lost")
        expect(button(page, "Pause")).to_be_visible()
    reach(page, 250.2)


def minute_loaded(page: Page, service: Service, email: str) -> bytes:
    """Let a newcomer's page have a minute of sound ready to be played; return that."""
    person = service.register(email)
    plain = tone(60, rate=44100)
    file_id = stored(service, person, plain)
    sign_in(page, service, person)
    show(page, file_id)
    loaded(page)
    return plain


def test_a_range_that_breaks_off_is_asked_for_again(page: Page, beyond: Service, bucket: FaultProxy) -> None:
    plain = minute_loaded(page, beyond, "near@example.com")
    cut = bucket.add(Fault(Cut(1000), times=2))
    (said,) = answers(page, "bytes=1000000-1100000")
    assert said["body"] == plain[1_000_000:1_100_001]
    assert cut.applied == 2


def test_an_address_whose_time_is_over_is_renewed(page: Page, stand_in: RunningStandIn) -> None:
    settings = {**stand_in.variables, **UNLIMITED, "PUBLIC_URL": ITSELF, "TICKET_TTL": "3"}
    with run_service(stand_in.url, **settings) as short:
        plain = minute_loaded(page, short, "brief@example.com")
        # By then the stand-in takes none of those that the page has.
        page.wait_for_timeout(4000)
        (said,) = answers(page, "bytes=2000000-2000099")
        assert said["body"] == plain[2_000_000:2_000_100]


def is_signed_get(request: Request) -> bool:
    """Whether a browser reads at an address that the service has made for it."""
    return request.method == "GET" and "X-Amz-Signature" in request.query


def test_an_address_that_is_over_is_renewed(page: Page, beyond: Service, bucket: FaultProxy) -> None:
    plain = minute_loaded(page, beyond, "short@example.com")
    # On a slow line the new one may be over as well before it is asked at.
    for start, times in ((2_000_000, 1), (3_000_000, 2), (4_000_000, 4)):
        over = bucket.add(Fault(OVER, times=times, where=is_signed_get))
        (said,) = answers(page, f"bytes={start}-{start + 99}")
        assert said["body"] == plain[start : start + 100]
        assert over.applied == times


# ---- For everybody -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
def test_axe_finds_nothing_in_the_player(
    locale: str, in_browser: Callable[..., Page], console: Service, person: dict[str, Any], axe: Axe
) -> None:
    plays, older = stored(console, person, tone(20)), stored_single(console, person, tone(20))
    page = in_browser("chromium", locale=locale)
    enter(page, console, person)
    show(page, plays)
    loaded(page)
    axe.check(page)
    show(page, older)
    expect(page.locator(".player-notice")).to_be_visible()
    axe.check(page)
    page.locator(".play").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .fault")).to_be_visible()
    axe.check(page)


def test_a_sitting_from_its_first_second_by_keyboard_alone(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    ids = [
        stored(console, person, tone(6), recorded_at=f"2026-05-01T10:00:0{at}Z", duration_ms=6000)
        for at in (0, 7)
    ]
    sign_in(page, console, person)
    show(page, ids[0], "sitting")
    loaded(page)
    # The way back is the first of the view; from there on every control comes by Tab.
    page.locator("#main").focus()
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.getAttribute('aria-label')"))
    wanted = {"Position", "Back 15 seconds", "Play", "Forward 15 seconds", "Speed", "Volume"}
    assert wanted <= reached
    button(page, "Play").focus()
    page.keyboard.press("Enter")
    reach(page, 0.3)

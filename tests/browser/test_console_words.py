"""The console's transcripts and its search, on the real service: read, heard, corrected, asked for, found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import SETTINGS
from tests.support.browser import Axe
from tests.support.console import enter, sign_in
from tests.support.engines import Handler, SpeechEngine, says
from tests.support.recorder import Recorder
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import PASSWORD, ROOT, Service
from tests.support.stand_in import RunningStandIn
from tests.support.transcribing import Transcribing, transcribing
from tests.support.transcripts import Owner, path
from tests.support.waiting import eventually

SOUND = ROOT / "examples" / "spoken.flac"
QUERIES = (
    "strasse ",
    "creme",
    '"garden the"',
    "garden -budget",
    "co-operate",
    "東京",
    "bud",
    "еще",
    "nothing",
)
SAID = (
    ("We met in the garden.", "The budget was agreed upon.", "Une Crème brûlée!"),
    ("Die Straße, die STRAẞE.", "co operate; co-operating"),
    ("私は東京へ", "Ещё раз", "A quiet garden, and no more"),
)
TIMED = {
    "start_ms": 0,
    "end_ms": 900,
    "text": "Mind the gap",
    "words": [
        {"start_ms": 0, "end_ms": 300, "text": "Mind"},
        {"start_ms": 300, "end_ms": 500, "text": "the"},
        {"start_ms": 600, "end_ms": 900, "text": "gap"},
    ],
}
LATER = {"start_ms": 1000, "end_ms": 2500, "text": "between <train> & platform", "speaker": "A", "own": 1}
HEARD = {
    "language": "english",
    "duration": 3.0,
    "segments": [{"start": 0.2, "end": 1.5, "text": " Ask not."}],
}
LONG_AGO = "2020-01-01T10:00:00Z"


@pytest.fixture
def owner(console: Service, person: dict[str, Any]) -> Owner:
    return Owner(console, person)


@pytest.fixture
def signed_in(page: Page, owner: Owner) -> Page:
    sign_in(page, owner.service, owner.account)
    return page


def audible(owner: Owner, **more: Any) -> str:
    """Record a sound that plays; return its file_id."""
    s3_key = f"users/{owner.user_id}/{owner.service.call('GET', '/api/health').headers['X-Request-ID']}"
    data = version_2(owner.account, PASSWORD, s3_key, SOUND.read_bytes())
    return store(owner.service, owner.account, s3_key, data, content_type="audio/flac", **more)


def write(owner: Owner, file_id: str, *segments: dict[str, Any]) -> None:
    document = {"version": 1, "file_id": file_id, "language": "en", "own": "kept", "segments": list(segments)}
    sealed = owner.seal_bytes(file_id, b"\0" + json.dumps(document).encode())
    assert owner.put(file_id, sealed).status_code == 200


def go(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address; }", address)


def look(page: Page, query: str) -> Locator:
    """Search for this; return what is found."""
    go(page, "search")
    page.get_by_role("searchbox", name="Search").fill(query)
    return page.get_by_role("list", name="Results").get_by_role("link")


def region(page: Page) -> Locator:
    return page.get_by_role("region", name="Transcript")


def player(page: Page) -> Locator:
    return page.get_by_role("region", name="Player")


# ---- Finding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_search_finds_what_the_services_finds(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], owner: Owner
) -> None:
    for texts in SAID:
        owner.write(owner.record(), *texts)
    page = new_page(request.getfixturevalue(name))
    sign_in(page, owner.service, owner.account)
    go(page, "search")
    expect(page.get_by_text("Transcripts that are searched: 3.")).to_be_visible()
    for query in QUERIES:
        matches = [match for hit in owner.find(query)["hits"] for match in hit["matches"]]
        results = look(page, query)
        expect(results).to_have_count(len(matches))
        expect(results.locator("mark")).to_have_text([match["text"] for match in matches])
        for at, match in enumerate(matches):
            expect(results.nth(at)).to_contain_text(f"{match['before']}{match['text']}{match['after']}")


def test_titles_are_found_as_well(signed_in: Page, owner: Owner) -> None:
    file_id = audible(owner)
    owner.write(file_id, "about mum")
    Recorder(owner.service, owner.account).describe(file_id, title="Mum about the garden")
    results = look(signed_in, "garden")
    expect(results).to_have_count(0)
    signed_in.reload()
    sign_in(signed_in, owner.service, owner.account)
    results = look(signed_in, "garden")
    expect(results).to_have_accessible_name(re.compile(", .* in the title Mum about the garden$"))
    expect(results.locator("mark")).to_have_text("garden")
    expect(look(signed_in, "mum")).to_have_count(2)


def test_a_hit_plays_from_there(signed_in: Page, owner: Owner) -> None:
    file_id = audible(owner)
    write(owner, file_id, TIMED, LATER)
    signed_in.reload()
    sign_in(signed_in, owner.service, owner.account)
    look(signed_in, "platform").click()
    expect(region(signed_in).get_by_role("button", name=LATER["text"])).to_have_attribute(
        "aria-current", "true"
    )
    assert signed_in.evaluate("() => document.querySelector('audio[data-player]').currentTime") >= 1


@pytest.mark.parametrize(("locale", "place"), [("en-GB", "at 0:01"), ("de-DE", "bei 0:01")])
def test_a_hit_says_that_it_means_a_place_and_no_length(
    locale: str, place: str, chromium: Browser, new_page: Callable[..., Page], owner: Owner
) -> None:
    write(owner, audible(owner), TIMED, LATER)
    page = new_page(chromium, locale=locale)
    enter(page, owner.service, owner.account)
    go(page, "search")
    page.get_by_role("searchbox").fill("platform")
    expect(page.locator(".result-head small")).to_have_text(place)


def test_what_is_in_the_trash_is_not_found(signed_in: Page, owner: Owner) -> None:
    file_id = owner.record()
    owner.write(file_id, "gone tomorrow")
    signed_in.reload()
    sign_in(signed_in, owner.service, owner.account)
    expect(look(signed_in, "tomorrow")).to_have_count(1)
    go(signed_in, f"recording/{file_id}")
    signed_in.get_by_role("button", name="Move to trash").click()
    expect(signed_in.get_by_role("button", name="Restore")).to_be_visible()
    results = look(signed_in, "tomorrow")
    expect(signed_in.get_by_text("Nothing was found.")).to_be_visible()
    expect(results).to_have_count(0)


def test_a_query_without_a_wanted_word_says_so(signed_in: Page) -> None:
    look(signed_in, "-never")
    expect(signed_in.get_by_text("Type at least one word that must occur.")).to_be_visible()
    look(signed_in, "anything")
    expect(signed_in.get_by_text("Nothing was found.")).to_be_visible()
    expect(signed_in.get_by_text("There is nothing to search yet")).to_be_visible()


EVERYTHING_KEPT = """async () => {
    const database = await new Promise((resolve) => {
        const request = indexedDB.open("panzoto");
        request.onsuccess = () => resolve(request.result);
    });
    const store = database.transaction("transcripts").objectStore("transcripts");
    const rows = await new Promise((resolve) => {
        const request = store.getAll();
        request.onsuccess = () => resolve(request.result);
    });
    database.close();
    const decode = (bytes) => new TextDecoder("latin1").decode(bytes);
    const texts = rows.map((row) => (row.sealed ? decode(row.sealed) : String(row)));
    return texts.join("\\n") + JSON.stringify(localStorage);
}"""


def test_transcripts_lie_sealed_in_the_browser_and_are_fetched_once(page: Page, owner: Owner) -> None:
    owner.write(owner.record(), "a xylophone")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.post_data}"))
    sign_in(page, owner.service, owner.account, stay=True)
    expect(look(page, "xylophone")).to_have_count(1)
    kept = page.evaluate(EVERYTHING_KEPT)
    assert len(kept) > 49
    assert "xylophone" not in kept
    page.reload()
    expect(look(page, "xylophon")).to_have_count(1)
    fetched = [request for request in asked if "/api/user/transcripts" in request]
    assert len([request for request in fetched if "since=" not in request]) == 1
    assert not [request for request in asked if "xylophon" in request]
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    eventually(lambda: page.evaluate(EVERYTHING_KEPT) == "{}", lambda: page.evaluate(EVERYTHING_KEPT))


def test_the_list_says_what_was_said_first_after_a_reload_too(page: Page, owner: Owner) -> None:
    owner.write(owner.record(), "a xylophone in the garden")
    sign_in(page, owner.service, owner.account, stay=True)
    rows = page.get_by_role("list", name="Recordings")
    expect(rows.get_by_text("a xylophone in the garden")).to_be_visible()
    page.reload()
    expect(rows.get_by_text("a xylophone in the garden")).to_be_visible()


def test_a_locked_page_shows_and_finds_nothing(signed_in: Page, owner: Owner) -> None:
    owner.write(owner.record(), "a xylophone")
    signed_in.reload()
    sign_in(signed_in, owner.service, owner.account)
    expect(look(signed_in, "xylophone")).to_have_count(1)
    signed_in.get_by_role("button", name="Lock").click()
    expect(signed_in.get_by_text("xylophone")).to_have_count(0)
    signed_in.get_by_role("textbox", name="Password").fill(PASSWORD)
    signed_in.get_by_role("button", name="Unlock").click()
    expect(signed_in.get_by_role("searchbox", name="Search")).to_have_value("")
    expect(look(signed_in, "xylophone")).to_have_count(1)


# ---- Reading and correcting --------------------------------------------------------------------------------


@pytest.fixture
def told(page: Page, owner: Owner) -> str:
    """A recording with a transcript, and the page open at it; its file_id."""
    file_id = audible(owner)
    write(owner, file_id, TIMED, LATER)
    page.goto(f"{owner.service.url}/#recording/{file_id}")
    sign_in(page, owner.service, owner.account)
    go(page, f"recording/{file_id}")
    expect(region(page).get_by_role("button", name=LATER["text"])).to_be_visible()
    return file_id


def test_a_segment_plays_from_its_beginning_and_is_marked_while_it_sounds(page: Page, told: str) -> None:
    del told
    first, second = (region(page).get_by_role("button", name=one["text"]) for one in (TIMED, LATER))
    expect(first).not_to_have_attribute("aria-current", "true")
    second.press("Enter")
    expect(second).to_have_attribute("aria-current", "true")
    expect(player(page).get_by_role("button", name="Pause")).to_be_visible()
    player(page).get_by_role("button", name="Pause").click()
    first.press("Enter")
    expect(first).to_have_attribute("aria-current", "true")
    expect(second).not_to_have_attribute("aria-current", "true")


def test_a_click_on_a_word_plays_from_it(page: Page, told: str) -> None:
    del told
    place = page.evaluate("""() => {
        const text = document.querySelector(".segment").firstChild;
        const range = new Range();
        range.setStart(text, 10);
        range.setEnd(text, 11);
        const { x, y, width, height } = range.getBoundingClientRect();
        return { x: x + width / 2, y: y + height / 2 };
    }""")
    page.evaluate("""() => {
        globalThis.least = Infinity;
        const audio = document.querySelector("audio[data-player]");
        audio.addEventListener("timeupdate", () => {
            if (audio.currentTime > 0) least = Math.min(least, audio.currentTime);
        });
    }""")
    page.mouse.click(place["x"], place["y"])
    page.wait_for_function("() => least < Infinity")
    assert 0.55 <= page.evaluate("() => least") < 5


@pytest.mark.parametrize("kind", ["text", "srt", "vtt", "json"])
def test_downloads_are_what_the_service_renders(
    page: Page, owner: Owner, told: str, kind: str, tmp_path: Path
) -> None:
    name = {"text": "text", "srt": "SRT", "vtt": "WebVTT", "json": "JSON"}[kind]
    with page.expect_download() as coming:
        region(page).get_by_role("link", name=f"Download as {name}").click()
    coming.value.save_as(tmp_path / "saved")
    answer = owner.call("POST", path(told), json={"password": PASSWORD, "format": kind})
    assert (tmp_path / "saved").read_bytes() == answer.content
    assert coming.value.suggested_filename.endswith({"text": ".txt"}.get(kind, f".{kind}"))


def test_the_text_is_copied(page: Page, told: str) -> None:
    del told
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    region(page).get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    assert (
        page.evaluate("() => navigator.clipboard.readText()")
        == "Mind the gap\nA: between <train> & platform\n"
    )


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_correction_is_sealed_and_keeps_all_else(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], owner: Owner
) -> None:
    file_id = audible(owner)
    write(owner, file_id, TIMED, LATER)
    page = new_page(request.getfixturevalue(name))
    sign_in(page, owner.service, owner.account)
    go(page, f"recording/{file_id}")
    region(page).get_by_role("button", name="Edit").click()
    region(page).get_by_role("textbox", name="Text at 0:00").fill("Mind the big gap")
    region(page).get_by_role("button", name="Save").click()
    expect(region(page).get_by_role("button", name="Mind the big gap")).to_be_visible()
    opened = owner.opened(file_id)
    assert (opened["own"], opened["source"], opened["segments"][1]) == ("kept", "client", LATER)
    assert [word["text"] for word in opened["segments"][0]["words"]] == ["Mind", "the", "big", "gap"]
    assert owner.state(file_id)["source"] == "client"  # type: ignore[index]
    expect(look(page, "big")).to_have_count(1)


def test_a_correction_over_somebody_elses_is_not_lost(page: Page, owner: Owner, told: str) -> None:
    region(page).get_by_role("button", name="Edit").click()
    region(page).get_by_role("textbox", name="Text at 0:01").fill("between train and platform")
    write(owner, told, {**TIMED, "text": "Mind any gap"}, {**LATER, "start_ms": 1010})
    region(page).get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="changed elsewhere")).to_be_visible()
    expect(region(page).get_by_role("textbox", name="Text at 0:00")).to_have_value("Mind any gap")
    expect(region(page).get_by_role("textbox", name="Text at 0:01")).to_have_value(
        "between train and platform"
    )
    region(page).get_by_role("button", name="Save").click()
    expect(region(page).get_by_role("button", name="between train and platform")).to_be_visible()
    assert [segment["text"] for segment in owner.opened(told)["segments"]] == [
        "Mind any gap",
        "between train and platform",
    ]


def test_what_was_typed_outlives_a_lock(page: Page, told: str) -> None:
    del told
    region(page).get_by_role("button", name="Edit").click()
    region(page).get_by_role("textbox", name="Text at 0:01").fill("half a th")
    page.get_by_role("button", name="Lock").click()
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    expect(region(page).get_by_role("textbox", name="Text at 0:01")).to_have_value("half a th")
    region(page).get_by_role("button", name="Discard changes").click()
    expect(region(page).get_by_role("button", name=LATER["text"])).to_be_visible()


def test_a_damaged_transcript_says_so(page: Page, owner: Owner) -> None:
    file_id = owner.record()
    owner.put(file_id, owner.seal(owner.record(), "of another recording"))
    sign_in(page, owner.service, owner.account)
    go(page, f"recording/{file_id}")
    expect(region(page).get_by_role("alert")).to_contain_text("does not open with your keys")


def test_where_the_account_names_a_foreign_key_nothing_is_asked_or_shown(page: Page, owner: Owner) -> None:
    file_id = owner.record()
    owner.write(file_id, "secret")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def with_another_key(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        body["vault"]["transcripts_public_key"] = "A" * 43 + "="
        route.fulfill(response=answer, json=body)

    page.route("**/api/login", with_another_key)
    sign_in(page, owner.service, owner.account)
    go(page, f"recording/{file_id}")
    expect(region(page).get_by_role("alert")).to_contain_text("a key that is not yours")
    expect(region(page).get_by_role("button")).to_have_count(0)
    go(page, "search")
    expect(page.get_by_role("alert").filter(has_text="a key that is not yours")).to_be_visible()
    assert not [url for url in asked if "/api/" in url and "transcript" in url]


# ---- Asking for one ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[SpeechEngine]:
    with SpeechEngine(says(HEARD)) as running:
        yield running


@pytest.fixture(scope="module")
def listening(stand_in: RunningStandIn, engine: SpeechEngine) -> Iterator[Transcribing]:
    """A service with an engine, and its worker."""
    with transcribing(
        stand_in.url, engine, **stand_in.variables, **SETTINGS, TRANSCRIPTION_ATTEMPTS="1"
    ) as running:
        running.start_worker()
        yield running


@pytest.fixture
def speaker(listening: Transcribing, engine: SpeechEngine, person: dict[str, Any]) -> Owner:
    engine.manner = says(HEARD)
    engine.requests.clear()
    return listening.owner(f"speaker-{person['user']['email']}")


def at_a_recording(page: Page, owner: Owner, **more: Any) -> str:
    file_id = audible(owner, **more)
    sign_in(page, owner.service, owner.account)
    go(page, f"recording/{file_id}")
    return file_id


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_a_recording_is_transcribed_and_found(
    name: str,
    request: pytest.FixtureRequest,
    new_page: Callable[..., Page],
    speaker: Owner,
    engine: SpeechEngine,
) -> None:
    page = new_page(request.getfixturevalue(name))
    file_id = at_a_recording(page, speaker)
    expect(region(page)).to_contain_text("on this server")
    region(page).get_by_role("combobox", name="Language").select_option(label="English")
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page).get_by_role("button", name="Ask not.")).to_be_visible()
    assert engine.requests[-1].fields["language"] == ["en"]
    expect(look(page, "ask")).to_have_count(1)
    go(page, "recordings")
    row = page.get_by_role("list", name="Recordings").get_by_role("listitem")
    expect(row.get_by_text("Ask not.")).to_be_in_viewport()
    # Another language takes the place of the first, and where the sound goes is known by now.
    engine.manner = says({**HEARD, "segments": [{"start": 0, "end": 1, "text": "Frage nicht."}]})
    go(page, f"recording/{file_id}")
    region(page).get_by_role("combobox", name="Language").select_option(label="German")
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page).get_by_role("button", name="Frage nicht.")).to_be_visible()


def test_agreeing_is_remembered_and_can_be_taken_back(page: Page, speaker: Owner) -> None:
    at_a_recording(page, speaker)
    expect(region(page)).to_contain_text("From then on each new recording")
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page).get_by_role("button", name="Ask not.")).to_be_visible()
    another = audible(speaker, recorded_at=LONG_AGO)
    page.reload()
    sign_in(page, speaker.service, speaker.account)
    go(page, f"recording/{another}")
    expect(region(page)).to_contain_text("Speech is turned into text on this server.")
    expect(region(page)).not_to_contain_text("From then on each new recording")
    go(page, "account")
    always = page.get_by_role("checkbox", name="Transcribe recordings without asking again")
    expect(always).to_be_checked()
    expect(page.get_by_text("when you ask for a transcript")).to_have_count(0)
    always.uncheck()
    expect(page.get_by_text("when you ask for a transcript")).to_be_visible()
    go(page, f"recording/{another}")
    expect(region(page)).to_contain_text("From then on each new recording")


def test_a_transcription_can_be_canceled(page: Page, speaker: Owner, engine: SpeechEngine) -> None:
    engine.manner = Handler.wait_until_left
    file_id = at_a_recording(page, speaker)
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page).get_by_role("progressbar", name="Transcription")).to_be_visible()
    region(page).get_by_role("button", name="Cancel transcription").click()
    expect(region(page).get_by_role("button", name="Transcribe")).to_be_visible()
    assert speaker.state(file_id) is None


def test_a_failure_is_told_and_tried_again(page: Page, speaker: Owner, engine: SpeechEngine) -> None:
    engine.manner = says({"error": "no"}, status=400)
    at_a_recording(page, speaker)
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page)).to_contain_text("the speech engine refused this recording")
    engine.manner = says(HEARD)
    region(page).get_by_role("button", name="Try again").click()
    expect(region(page).get_by_role("button", name="Ask not.")).to_be_visible()


def test_a_recording_of_an_older_app_needs_the_password(page: Page, speaker: Owner) -> None:
    data = single_shot(PASSWORD, speaker.account["key_salt"], SOUND.read_bytes())
    file_id = store(speaker.service, speaker.account, f"users/{speaker.user_id}/old", data)
    sign_in(page, speaker.service, speaker.account)
    go(page, f"recording/{file_id}")
    region(page).get_by_role("button", name="Transcribe").click()
    asking = page.get_by_role("dialog", name="Password")
    asking.get_by_role("textbox", name="Password").fill("a wrong one")
    asking.get_by_role("button", name="Transcribe").click()
    expect(asking.get_by_role("textbox", name="Password")).to_have_attribute("aria-invalid", "true")
    asking.get_by_role("textbox", name="Password").fill(PASSWORD)
    asking.get_by_role("button", name="Transcribe").click()
    expect(region(page).get_by_role("button", name="Ask not.")).to_be_visible()


def test_silence_is_told(page: Page, speaker: Owner, engine: SpeechEngine) -> None:
    engine.manner = says({**HEARD, "segments": []})
    at_a_recording(page, speaker)
    region(page).get_by_role("button", name="Transcribe").click()
    expect(region(page)).to_contain_text("No speech was heard in this recording.")


def test_where_nothing_transcribes_one_sentence_says_so(page: Page, owner: Owner) -> None:
    at_a_recording(page, owner)
    expect(region(page)).to_contain_text("This service has nothing that could make transcripts.")
    expect(region(page).get_by_role("button")).to_have_count(0)


# ---- For everybody -----------------------------------------------------------------------------------------


@pytest.fixture(params=["en-GB", "de-DE"])
def localized(request: pytest.FixtureRequest, new_page: Callable[..., Page], chromium: Browser) -> Page:
    """A page in each language."""
    return new_page(chromium, locale=request.param)


def test_axe_finds_nothing(localized: Page, speaker: Owner, engine: SpeechEngine, axe: Axe) -> None:
    file_id = audible(speaker)
    write(speaker, file_id, TIMED, LATER)
    waiting, failing = (audible(speaker, recorded_at=f"201{n}-01-01T10:00:00Z") for n in (1, 2))
    page = localized
    enter(page, speaker.service, speaker.account)
    expect(page.locator(".recordings")).to_be_visible()
    go(page, f"recording/{file_id}")
    expect(page.locator(".segment")).to_have_count(2)
    axe.check(page)
    page.locator(".transcript-tools button").first.click()
    expect(page.locator(".segments textarea")).to_have_count(2)
    axe.check(page)
    go(page, "search")
    axe.check(page)
    page.get_by_role("searchbox").fill("gap")
    expect(page.locator(".result")).to_have_count(1)
    axe.check(page)
    go(page, f"recording/{failing}")
    axe.check(page)
    engine.manner = says({"error": "no"}, status=400)
    page.locator(".wish button").click()
    expect(page.locator(".transcript .said-alert")).to_be_visible()
    axe.check(page)
    engine.manner = Handler.wait_until_left
    go(page, f"recording/{waiting}")
    page.locator(".wish button").click()
    expect(page.locator(".job progress")).to_be_visible()
    axe.check(page)
    page.locator(".job button").click()
    expect(page.locator(".wish")).to_be_visible()

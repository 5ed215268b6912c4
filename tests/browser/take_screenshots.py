"""Takes the pictures of `docs/screenshots`, in Chromium, of an account that nobody has.

    .venv/bin/python -m tests.browser.take_screenshots

`make screenshots` runs it. The sentence that is heard is `examples/spoken.flac`, which no person has spoken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import UNLIMITED
from tests.support.browser import WAIT_MILLISECONDS, chromium
from tests.support.console import sign_in
from tests.support.recorder import Recorder
from tests.support.recordings import store, version_2
from tests.support.service import ITSELF, PASSWORD, ROOT, Service, run_service
from tests.support.stand_in import start_stand_in
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

PICTURES = ROOT / "docs" / "screenshots"
SPOKEN = ROOT / "examples" / "spoken.flac"
MOST_BYTES = 150_000
DESK: dict[str, Any] = {"viewport": {"width": 1200, "height": 750}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 700},
    "color_scheme": "dark",
    "device_scale_factor": 1.5,
}
SEARCHED = "river"
SENTENCE = "On Sunday afternoon we walked along the river and talked about the summer."
# The share of the waveform's picture that is drawn on: until the sound is decoded it is one thin bar.
DRAWN = """() => {
    const canvas = document.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, at) => at % 4 === 3 && value > 0).length / (data.length / 4);
}"""
PLAIN_BAR = 0.15
# Days ago, time of day, length in seconds, title, what was said.
DAY = (
    (
        0,
        "08:12",
        95,
        "Plan for the week",
        "First the garden, then the letters, and the roof before it rains.",
    ),
    (0, "07:50", 41, "Shopping", "Flour, lemons, a lamp for the cellar."),
    (1, "18:40", 1284, "Interview with the ferryman", "He has rowed people over the river for thirty years."),
    (1, "11:05", 63, "Idea on the bridge", "A river is never heard twice in the same place."),
    (2, "21:30", 312, "Bedtime story", "And then the hedgehog asked the moon for a little light."),
    (4, "09:15", 2710, "Choir rehearsal", "Once more from the beginning, and softer, please."),
)
HEARD = (3, "17:20", 5, "A walk", SENTENCE)


def words_of(text: str, seconds: float) -> list[dict[str, Any]]:
    """Return the words with times, as long as they are in letters."""
    at, step, words = 0.0, seconds * 1000 / len(text), []
    for word in text.split():
        end = at + step * len(word)
        words.append({"start_ms": round(at), "end_ms": round(end), "text": word})
        at = end + step
    return words


def moment(days: int, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    today = datetime.now(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today - timedelta(days=days + 1)


def fill(service: Service, account: dict[str, Any]) -> str:
    """Give the account its recordings; return the one that can be heard."""
    recorder, owner = Recorder(service, account), Owner(service, account)
    s3_key = f"users/{owner.user_id}/walk"
    heard = ""
    recorder.call("POST", "/api/user/recovery-key", json={"password": PASSWORD})
    for days, clock, seconds, title, said in (*DAY, HEARD):
        at = moment(days, clock)
        if said is SENTENCE:
            sound = version_2(account, PASSWORD, s3_key, SPOKEN.read_bytes())
            more = {"recorded_at": at.isoformat(), "duration_ms": 4790, "content_type": "audio/flac"}
            file_id = heard = store(service, account, s3_key, sound, **more)
            recorder.describe(file_id, title=title, note="With the new microphone.")
        else:
            file_id = recorder.record(f"{days}-{clock}", at, timedelta(seconds=seconds), title)
        words = words_of(said, min(seconds, 5))
        times = {"start_ms": 0, "end_ms": words[-1]["end_ms"]}
        document = {"language": "en", "segments": [{**times, "text": said, "words": words}]}
        answer = owner.put(file_id, owner.seal(file_id, **document))
        assert answer.ok, answer.text
    return heard


@contextmanager
def opened(
    browser: Browser, service: Service, account: dict[str, Any], how: dict[str, Any]
) -> Iterator[Page]:
    with browser.new_context(locale="en-GB", reduced_motion="reduce", **how) as context:
        page = context.new_page()
        sign_in(page, service, account)
        yield page


def take(page: Page, name: str) -> None:
    """Write one picture. Raises `AssertionError` for one that would make the page slow to open."""
    page.evaluate("() => document.fonts.ready")
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size < MOST_BYTES, f"{path} has {path.stat().st_size} bytes"


def take_all(browser: Browser, service: Service, account: dict[str, Any], heard: str) -> None:
    for how, ending in ((DESK, ""), (PHONE, "-phone")):
        with opened(browser, service, account, how) as page:
            expect(page.get_by_role("list", name="Recordings")).to_contain_text(SENTENCE[:20])
            take(page, f"recordings{ending}")
            page.goto(f"{service.url}/#recording/{heard}")
            expect(page.get_by_role("region", name="Transcript")).to_contain_text("along the river")
            eventually(lambda: page.evaluate(DRAWN) > PLAIN_BAR, "the waveform is not drawn")
            position = page.get_by_role("slider", name="Position")
            position.fill("2")
            position.blur()
            expect(page.locator("[aria-current=true]")).to_be_visible()
            take(page, f"recording{ending}")
            page.goto(f"{service.url}/#search")
            page.get_by_role("searchbox", name="Search").fill(SEARCHED)
            expect(page.get_by_role("list", name="Results").get_by_role("link")).not_to_have_count(0)
            take(page, f"search{ending}")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=WAIT_MILLISECONDS)
    with tempfile.TemporaryDirectory() as folder, start_stand_in(Path(folder)) as stand_in:
        settings = UNLIMITED | stand_in.variables | {"PUBLIC_URL": ITSELF}
        with run_service(stand_in.url, **settings) as service, sync_playwright() as playwright:
            account = service.register("somebody@example.com")
            heard = fill(service, account)
            with chromium(playwright) as browser:
                take_all(browser, service, account, heard)


if __name__ == "__main__":
    main()

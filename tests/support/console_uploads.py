"""The console's recorder and its list of uploads, as a person uses them, and what has come of them."""

from __future__ import annotations

import base64
import io
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from playwright.sync_api import Locator, Page, expect

from tests.support.recordings import hear
from tests.support.service import PASSWORD, Service

# Plays bytes as a player is given them: how long they say they are, and where a seek leads.
_PLAY = """async ({ base64, type, at }) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const sound = new Audio(URL.createObjectURL(new Blob([bytes], { type })));
    const happens = (name) => new Promise((resolve, reject) => {
        sound.addEventListener(name, resolve, { once: true });
        sound.addEventListener("error", () => reject(new Error(sound.error.message)), { once: true });
    });
    sound.muted = true;
    sound.preload = "auto";
    if (sound.readyState < 1) await happens("loadedmetadata");
    const duration = sound.duration;
    const sought = happens("seeked");
    sound.currentTime = at;
    await sought;
    const found = sound.currentTime;
    const ended = happens("ended");
    await sound.play();
    await ended;
    return { duration, found, ended: sound.currentTime };
}"""


def listed(page: Page) -> Locator:
    """Return the entries of the list of recordings."""
    return page.get_by_role("list", name="Recordings").get_by_role("listitem")


def uploading(page: Page) -> Locator:
    return page.get_by_role("list", name="Uploads").get_by_role("listitem")


def recording(page: Page) -> Locator:
    """Open the recorder, begin to record, and return its dialog."""
    page.get_by_role("button", name="Record", exact=True).click()
    dialog = page.get_by_role("dialog", name="Record")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_role("button", name="Stop and save")).to_be_visible()
    return dialog


def until_recorded(dialog: Locator, seconds: int) -> None:
    """Wait until the recorder shows so many seconds, below a minute, or more."""
    expect(dialog.get_by_role("timer")).to_have_text(
        re.compile(rf"^0:({'|'.join(f'{second:02}' for second in range(seconds, 60))})$")
    )


def choose(page: Page, *files: Path) -> None:
    page.get_by_label("Choose files").set_input_files([str(file) for file in files])


def stored(service: Service, person: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the account's recordings as the service lists them."""
    answer = service.call("GET", "/api/user/audio-files?limit=1000", person["token"])
    rows: list[dict[str, Any]] = answer.json()["audio_files"]
    return rows


def heard(service: Service, person: dict[str, Any], row: dict[str, Any]) -> bytes:
    return hear(service, person["token"], row["file_id"], PASSWORD)


def duration_told(data: bytes) -> float | None:
    """Return the seconds that a file says it has, as FFmpeg reads them; None where it says nothing."""
    with av.open(io.BytesIO(data)) as container:
        return None if container.duration is None else container.duration / av.time_base


def duration_decoded(data: bytes) -> float:
    """Return when the last sound of a file ends, in seconds, having decoded all of it.

    A microphone on a busy machine leaves holes, so this is more than what its frames add up to.
    """
    end = Fraction()
    with av.open(io.BytesIO(data)) as container:
        for frame in container.decode(audio=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            end = frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate)
    return float(end)


def play(page: Page, data: bytes, content_type: str, at: float) -> dict[str, float]:
    """Let the browser play bytes: the `duration` it tells, where a seek to `at` led, and where it `ended`."""
    told: dict[str, float] = page.evaluate(
        _PLAY, {"base64": base64.b64encode(data).decode(), "type": content_type, "at": at}
    )
    return told

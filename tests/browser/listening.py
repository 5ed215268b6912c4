"""What tests of the player share: recordings to hear, the way to them, and what `<audio>` was given."""

from __future__ import annotations

import itertools
import math
import random
import struct
from array import array
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import WAIT_MILLISECONDS
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import PASSWORD, Service

WAV_HEADER = 44
_serial = itertools.count()

# Given ranges as header values: what the address of `<audio>` answers to each, its bytes as base64.
ANSWERS = """async ({address, ranges, method}) => {
    const answer = async (range) => {
        const said = await fetch(address, {method, headers: range === null ? {} : {Range: range}});
        const bytes = new Uint8Array(await said.arrayBuffer());
        let text = "";
        for (let at = 0; at < bytes.length; at += 8192) {
            text += String.fromCharCode(...bytes.subarray(at, at + 8192));
        }
        return {status: said.status, headers: Object.fromEntries(said.headers), body: btoa(text)};
    };
    const answers = [];
    for (const range of ranges) answers.push(await answer(range));
    return answers;
}"""
# The folder of the console's modules, for `import` from a test.
FOLDER = "() => new URL('.', document.querySelector('script[type=module]').src).href"


def tone(seconds: float, rate: int = 8000, hertz: int = 400) -> bytes:
    """Return a WAV of one channel and 16 bits, each second another tone, swelling and ebbing."""

    def sample(number: int) -> int:
        second, swell = number // rate, abs(math.sin(number / rate))
        return int(9000 * swell * math.sin(number / rate * math.tau * (hertz + 20 * (second % 40))))

    return _wav(array("h", map(sample, range(int(seconds * rate)))).tobytes(), rate)


def noise(size: int, seed: int = 19) -> bytes:
    """Return a WAV of `size` bytes, no two places of which are alike."""
    return _wav(random.Random(seed).randbytes(size - WAV_HEADER), 44100)


def wav_header(size: int, rate: int = 44100) -> bytes:
    """Return the beginning of a WAV that has `size` bytes in all: 16 bits, one channel."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", size - 8, b"WAVE") + form + struct.pack("<4sI", b"data", size - 44)


def _wav(samples: bytes, rate: int) -> bytes:
    return wav_header(WAV_HEADER + len(samples), rate) + samples


def _key(person: dict[str, Any]) -> str:
    return f"users/{person['user_id']}/audio-{next(_serial)}.bin"


def stored(service: Service, person: dict[str, Any], plain: bytes, **more: Any) -> str:
    """Store a version 2 recording and return its file_id."""
    s3_key = _key(person)
    return store(service, person, s3_key, version_2(person, PASSWORD, s3_key, plain), **more)


def stored_single(service: Service, person: dict[str, Any], plain: bytes, **more: Any) -> str:
    """Store a recording as an app of before wrote it, and return its file_id."""
    return store(service, person, _key(person), single_shot(PASSWORD, person["key_salt"], plain), **more)


def show(page: Page, file_id: str, view: str = "recording") -> Locator:
    """Go to a recording, or a sitting, and return its player."""
    page.evaluate("(to) => { location.hash = to; }", f"{view}/{file_id}")
    return page.get_by_role("region", name="Player")


def audio(page: Page, name: str) -> Any:
    """A property of the `<audio>` element."""
    return page.locator("[data-player]").evaluate("(audio, name) => audio[name]", name)


def loaded(page: Page) -> str:
    """Wait until the element has its sound, and return the address of it."""
    expect(page.locator("[data-player]")).to_have_js_property("readyState", 4)
    address: str = audio(page, "src")
    return address


def reach(page: Page, seconds: float) -> None:
    """Wait until the element has come to this second. Raises `AssertionError` saying how it stands."""
    stands = page.locator("[data-player]").evaluate(
        """(audio, [seconds, patience]) => new Promise((resolve) => {
            const until = performance.now() + patience;
            const stands = () => {
                const {currentTime, paused, seeking, ended, readyState, networkState} = audio;
                const told = {currentTime, paused, seeking, ended, readyState, networkState};
                const buffered = [...Array(audio.buffered.length).keys()].map(
                    (number) => [audio.buffered.start(number), audio.buffered.end(number)]);
                return {...told, error: audio.error?.message, buffered};
            };
            const look = () => {
                if (audio.currentTime >= seconds) resolve(null);
                else if (performance.now() > until) resolve(stands());
                else setTimeout(look, 20);
            };
            look();
        })""",
        [seconds, WAIT_MILLISECONDS],
    )
    assert stands is None, stands


def put_anew(service: Service, person: dict[str, Any], file_id: str, plain: bytes) -> None:
    """Replace the object of a recording by another, under the same key."""
    answer = service.call("GET", f"/api/audio-file/{file_id}", person["token"])
    s3_key = answer.json()["audio_file"]["s3_key"]
    service.put_object(s3_key, version_2(person, PASSWORD, s3_key, plain))


def event_types(service: Service, person: dict[str, Any]) -> list[str]:
    """What the account's security log says that happened."""
    answer = service.call("GET", "/api/user/events?limit=100", person["token"])
    return [event["type"] for event in answer.json()["events"]]


def stop_workers(page: Page) -> None:
    """End the service worker as Chromium does when it has been idle."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("ServiceWorker.enable")
    devtools.send("ServiceWorker.stopAllWorkers")
    devtools.detach()

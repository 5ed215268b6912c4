"""A long recording in the console: random ranges and seeks, the worker killed in between, and memory.

Each range that the service worker answers is compared with the plain sound, byte for byte, and so is all of
it, read as a stream. Between them Chromium's worker is ended, as it is when it has been idle, and has to
ask its page for the key anew. The memory is that of all of the browser's renderers, of which the page and
the worker are some. It needs `chromium`, and in this environment playwright.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from playwright.sync_api import Browser, Page, sync_playwright

from bench.support.process import resident_mib
from bench.support.recordings import MIB, encrypted, upload
from bench.support.report import Target, percentile, print_table, print_targets
from tests.browser.listening import ANSWERS, audio, loaded, show, stop_workers, wav_header
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.console import sign_in
from tests.support.service import BUCKET, ITSELF, PASSWORD, Service, run_service
from tests.support.stand_in import start_stand_in

LONGEST_RANGE = 512 * 1024
ELEMENT_SEEKS = 40
# Renderers collect the garbage of a long stream late: what they hold levels off some 200 MiB higher, whatever
# its length, so this says something only of recordings that are several times as long.
GROWTH_BOUND_MIB = 256
# Ranges after which all that the browser keeps anyway is there.
WARM_AFTER = 40
SEEK_BOUND_MS = 500
METADATA_BOUND_MS = 1000

SEEK = """(audio, seconds) => new Promise((resolve, reject) => {
    const begun = performance.now();
    audio.addEventListener("seeked", () => resolve(performance.now() - begun), {once: true});
    audio.addEventListener("error", () => reject(new Error(audio.error.message)), {once: true});
    audio.currentTime = seconds;
})"""
# Reads everything as it comes, and gives its SHA-256 by pieces of 1 MiB, since no browser digests a stream.
STREAM = """async (address) => {
    const twoDigits = (byte) => byte.toString(16).padStart(2, "0");
    const hex = (bytes) => Array.from(new Uint8Array(bytes), twoDigits).join("");
    const reader = (await fetch(address)).body.getReader();
    const digests = [];
    const piece = new Uint8Array(1 << 20);
    let filled = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
        for (let at = 0; at < read.value.length; ) {
            const taken = read.value.subarray(at, at + piece.length - filled);
            piece.set(taken, filled);
            [filled, at] = [filled + taken.length, at + taken.length];
            if (filled < piece.length) continue;
            digests.push(hex(await crypto.subtle.digest("SHA-256", piece)));
            filled = 0;
        }
    }
    if (filled) digests.push(hex(await crypto.subtle.digest("SHA-256", piece.subarray(0, filled))));
    return digests;
}"""


@dataclass(frozen=True)
class Plain:
    """A WAV whose samples are the stream of a cipher: any part of it is computed when it is asked for."""

    size: int
    _key: bytes = field(default=bytes(range(32)), repr=False)

    def part(self, start: int, stop: int) -> bytes:
        header = wav_header(self.size)
        block = max(0, start - len(header)) // 16
        stream = Cipher(AES(self._key), CTR(block.to_bytes(16, "big"))).encryptor()
        first = len(header) + 16 * block
        samples = stream.update(bytes(max(0, stop - first)))
        if start < len(header):
            return (header + samples)[start:stop]
        return samples[start - first :]

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, self.size, MIB):
            yield self.part(at, min(at + MIB, self.size))


class Memory:
    """How much the browser's renderers hold: at first, the most while warming up, and the most afterwards.

    A renderer collects its garbage when there is some, so that it grows at first whatever it does.
    """

    def __init__(self, running: Browser) -> None:
        self._devtools = running.new_browser_cdp_session()
        self.first = self.warm = self.most = self.now()

    def is_warm(self) -> None:
        self.warm, self.most = self.most, self.now()

    def now(self) -> float:
        processes = self._devtools.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(_resident(int(one["id"])) for one in processes if one["type"] == "renderer")

    def look(self) -> None:
        self.most = max(self.most, self.now())


def _resident(pid: int) -> float:
    try:
        return resident_mib(pid)
    except OSError:
        # It ended after it was listed.
        return 0


def main() -> None:
    arguments = _arguments()
    plain = Plain(arguments.size_mib * MIB)
    with ExitStack() as stack:
        service, person, file_id = stack.enter_context(_stored(plain))
        running = stack.enter_context(browser.chromium(stack.enter_context(sync_playwright())))
        page = running.new_page(locale="en-GB")
        sign_in(page, service, person)
        begun = time.perf_counter()
        show(page, file_id)
        address = loaded(page)
        first = time.perf_counter() - begun
        memory = Memory(running)
        targets = [Target("until it can be played", first * 1000, METADATA_BOUND_MS, unit=" ms")]
        targets += _ranges(page, address, plain, arguments, memory)
        ranges = memory.most
        targets += _seeks(page, memory)
        seeks = memory.most
        targets += _whole(page, address, plain, memory)
    print_table(
        "Renderers of the browser",
        ("once it plays, MiB", "most while warming up", "in ranges", "in seeks", "in the stream"),
        [tuple(f"{mib:.0f}" for mib in (memory.first, memory.warm, ranges, seeks, memory.most))],
    )
    grown = memory.most - memory.warm
    targets.append(Target("growth of the renderers once warm", grown, GROWTH_BOUND_MIB, unit=" MiB"))
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--ranges", type=int, default=200)
    parser.add_argument("--kill-every", type=int, default=10, help="after so many ranges the worker is ended")
    parser.add_argument("--seed", type=int, default=19)
    return parser.parse_args()


@contextmanager
def _stored(plain: Plain) -> Iterator[tuple[Service, dict[str, Any], str]]:
    """Run a service with one recording of an account: gives all three."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panzoto-bench-console-")))
        aws = stack.enter_context(start_stand_in(folder))
        settings = {**aws.variables, **UNLIMITED, "PUBLIC_URL": ITSELF}
        service = stack.enter_context(run_service(aws.url, **settings))
        person = service.register("listener@example.com")
        s3_key = f"users/{person['user_id']}/audio-1.wav"
        size = upload(service.s3(), BUCKET, s3_key, encrypted("v2", plain, PASSWORD, person, s3_key))
        recorded = {"s3_key": s3_key, "file_size": size}
        answer = service.call("POST", "/api/audio-file", person["token"], json=recorded)
        yield service, person, answer.json()["audio_file"]["file_id"]


def _ranges(
    page: Page, address: str, plain: Plain, arguments: argparse.Namespace, memory: Memory
) -> list[Target]:
    chance = random.Random(arguments.seed)
    wrong, milliseconds, revived = 0, [], []
    for number in range(arguments.ranges):
        killed = arguments.kill_every > 0 and number % arguments.kill_every == arguments.kill_every - 1
        if killed:
            stop_workers(page)
        start = chance.randrange(plain.size)
        stop = min(plain.size, start + chance.randrange(1, LONGEST_RANGE))
        asked = {"address": address, "ranges": [f"bytes={start}-{stop - 1}"], "method": "GET"}
        begun = time.perf_counter()
        (said,) = page.evaluate(ANSWERS, asked)
        (revived if killed else milliseconds).append((time.perf_counter() - begun) * 1000)
        wrong += said["status"] != 206 or base64.b64decode(said["body"]) != plain.part(start, stop)
        memory.look()
        if number == WARM_AFTER:
            memory.is_warm()
    rows = [("worker at hand", milliseconds), ("worker killed before", revived)]
    print_table(
        f"{arguments.ranges} random ranges of up to {LONGEST_RANGE // 1024} KiB",
        ("", "ranges", "median ms", "95 % ms"),
        [
            (name, str(len(took)), f"{statistics.median(took):.0f}", f"{percentile(took, 0.95):.0f}")
            for name, took in rows
            if took
        ],
    )
    return [Target("ranges that were not the plain sound", wrong, 0)]


def _seeks(page: Page, memory: Memory) -> list[Target]:
    chance = random.Random(5)
    element = page.locator("[data-player]")
    duration = audio(page, "duration")
    took = []
    for _ in range(ELEMENT_SEEKS):
        took.append(element.evaluate(SEEK, chance.random() * duration))
        memory.look()
    return [Target("seek of <audio>, median", statistics.median(took), SEEK_BOUND_MS, unit=" ms")]


def _whole(page: Page, address: str, plain: Plain, memory: Memory) -> list[Target]:
    begun = time.perf_counter()
    # The page says what it found at the end, and is looked at meanwhile.
    page.evaluate(f"(address) => {{ globalThis.found = ({STREAM})(address); }}", address)
    pending = "() => Promise.race([found.then(() => true), new Promise((go) => setTimeout(go, 250))])"
    while not page.evaluate(pending):
        memory.look()
    seconds = time.perf_counter() - begun
    found = page.evaluate("() => found")
    wrong = sum(
        digest != hashlib.sha256(piece).hexdigest() for digest, piece in zip(found, plain, strict=True)
    )
    print(f"  all of it as a stream: {plain.size / MIB / seconds:.0f} MiB/s")
    return [Target("MiB of the stream that were not the plain sound", wrong, 0)]


if __name__ == "__main__":
    main()

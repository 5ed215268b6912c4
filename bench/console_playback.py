"""A long recording in the console: random ranges and seeks, the worker killed in between, and memory.

Each range that the service worker answers is compared with the plain sound, byte for byte, and so is all of
it, read as a stream. Between them Chromium's worker is ended, as it is when it has been idle, and has to
ask its page for the key anew. The memory is that of all of the browser's renderers, of which the page and
the worker are some, once their garbage is collected. S3 is a plain file server, since the stand-in reads an
object whole for each of its ranges, and Playwright does not watch the tab, since what it has renderers keep
grows with each answer. It needs `chromium`, and in this environment playwright.
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
from playwright.sync_api import sync_playwright

from bench.support.recordings import MIB, encrypted
from bench.support.report import Target, percentile, print_table, print_targets
from bench.support.s3_file import serving, write
from bench.support.unwatched import Held, Tab
from tests.browser.listening import ANSWERS, wav_header
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.service import ITSELF, PASSWORD, Service, run_service
from tests.support.stand_in import start_stand_in

LONGEST_RANGE = 512 * 1024
ELEMENT_SEEKS = 200
# Ranges after which all that the browser keeps anyway is there.
WARM_AFTER = 40
SCRIPTS_BOUND_MIB = 4
GROWTH_BOUND_MIB = 8
SEEK_BOUND_MS = 500
METADATA_BOUND_MS = 1000

# `found` is a function's value as soon as it has one; everything else waits in the page itself.
FOUND = """const found = (look) => new Promise((resolve) => {
        const again = () => look() ? resolve(look()) : setTimeout(again, 20);
        again();
    });"""
SIGN_IN = f"""async ({{email, password}}) => {{
    {FOUND}
    const type = (field, text) => {{
        field.value = text;
        field.dispatchEvent(new InputEvent("input", {{bubbles: true}}));
    }};
    type(await found(() => document.querySelector("input[type=email]")), email);
    type(document.querySelector("input[autocomplete=current-password]"), password);
    // The view takes up what was typed before it is sent.
    await new Promise(requestAnimationFrame);
    await new Promise((next) => setTimeout(next));
    document.querySelector("button[type=submit]").click();
    await found(() => document.querySelector("nav"));
}}"""
LOADED = f"""async (fileId) => {{
    {FOUND}
    location.hash = `recording/${{fileId}}`;
    const audio = await found(() => document.querySelector("[data-player]"));
    await found(() => audio.readyState === 4);
    return audio.src;
}}"""
DURATION = """() => document.querySelector("[data-player]").duration"""
SEEK = """(seconds) => new Promise((resolve, reject) => {
    const audio = document.querySelector("[data-player]");
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
    """What renderers held at each stage, once their garbage was collected, and the most between."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self.stages: dict[str, tuple[Held, float]] = {}
        self._alike: dict[str, list[Held]] = {}
        self._most = 0.0

    def look(self) -> None:
        self._most = max(self._most, self._tab.resident())

    def stage(self, name: str, what: str = "all together") -> None:
        """Look closely; `what` is what was done until now, by which stages are compared."""
        self.look()
        held = self._tab.held()
        self.stages[name] = held, self._most
        self._most = 0.0
        self._alike.setdefault(what, []).append(held)

    def targets(self) -> list[Target]:
        """What is held while ranges are asked for and while the element plays differs, but neither grows."""
        found = []
        for what, (first, *later) in self._alike.items():
            if later:
                resident = max(held.resident for held in later) - first.resident
                scripts = max(held.scripts for held in later) - first.scripts
                found += [
                    Target(f"growth of what scripts hold by {what}", scripts, SCRIPTS_BOUND_MIB, unit=" MiB"),
                    Target(f"growth of the renderers by {what}", resident, GROWTH_BOUND_MIB, unit=" MiB"),
                ]
        return found

    def print(self) -> None:
        rows = [
            (name, f"{held.resident:.0f}", f"{held.by_page:.1f}", f"{held.by_worker:.1f}", f"{most:.0f}")
            for name, (held, most) in self.stages.items()
        ]
        columns = ("after", "renderers", "held by the page", "held by the worker", "renderers' most before")
        print_table("Memory once its garbage is collected, MiB", columns, rows)


def main() -> None:
    arguments = _arguments()
    plain = Plain(arguments.size_mib * MIB)
    with ExitStack() as stack:
        service, person, file_id = stack.enter_context(_stored(plain))
        running = stack.enter_context(browser.chromium(stack.enter_context(sync_playwright())))
        tab = Tab(running, service.url)
        tab.evaluate(SIGN_IN, {"email": person["user"]["email"], "password": PASSWORD})
        begun = time.perf_counter()
        address = tab.evaluate(LOADED, file_id)
        first = time.perf_counter() - begun
        memory = Memory(tab)
        memory.stage("loading")
        targets = [Target("until it can be played", first * 1000, METADATA_BOUND_MS, unit=" ms")]
        targets += _ranges(tab, address, plain, arguments, memory)
        targets += _seeks(tab, memory)
        targets += _whole(tab, address, plain, memory)
    memory.print()
    print_targets(targets + memory.targets())


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
        s3 = stack.enter_context(serving(folder / "object"))
        settings = {**aws.variables, **UNLIMITED, "PUBLIC_URL": ITSELF, "AWS_ENDPOINT_URL_S3": s3}
        service = stack.enter_context(run_service(aws.url, **settings))
        person = service.register("listener@example.com")
        s3_key = f"users/{person['user_id']}/audio-1.wav"
        size = write(folder / "object", encrypted("v2", plain, PASSWORD, person, s3_key))
        recorded = {"s3_key": s3_key, "file_size": size}
        answer = service.call("POST", "/api/audio-file", person["token"], json=recorded)
        yield service, person, answer.json()["audio_file"]["file_id"]


def _ranges(
    tab: Tab, address: str, plain: Plain, arguments: argparse.Namespace, memory: Memory
) -> list[Target]:
    chance = random.Random(arguments.seed)
    wrong, milliseconds, revived = 0, [], []
    for number in range(arguments.ranges):
        killed = arguments.kill_every > 0 and number % arguments.kill_every == arguments.kill_every - 1
        if killed:
            tab.stop_workers()
        start = chance.randrange(plain.size)
        stop = min(plain.size, start + chance.randrange(1, LONGEST_RANGE))
        asked = {"address": address, "ranges": [f"bytes={start}-{stop - 1}"], "method": "GET"}
        begun = time.perf_counter()
        (said,) = tab.evaluate(ANSWERS, asked)
        (revived if killed else milliseconds).append((time.perf_counter() - begun) * 1000)
        wrong += said["status"] != 206 or base64.b64decode(said["body"]) != plain.part(start, stop)
        memory.look()
        if number + 1 == min(WARM_AFTER, arguments.ranges // 2):
            memory.stage(f"{WARM_AFTER} ranges", "ranges")
        elif number + 1 == (WARM_AFTER + arguments.ranges) // 2:
            memory.stage("half of the ranges", "ranges")
    memory.stage("all ranges", "ranges")
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


def _seeks(tab: Tab, memory: Memory) -> list[Target]:
    chance = random.Random(5)
    duration = tab.evaluate(DURATION)
    took = []
    for share in ("a quarter", "half", "three quarters", "all"):
        for _ in range(ELEMENT_SEEKS // 4):
            took.append(tab.evaluate(SEEK, chance.random() * duration))
            memory.look()
        memory.stage(f"{share} of the seeks", "seeks")
    return [Target("seek of <audio>, median", statistics.median(took), SEEK_BOUND_MS, unit=" ms")]


def _whole(tab: Tab, address: str, plain: Plain, memory: Memory) -> list[Target]:
    begun = time.perf_counter()
    # The page says what it found at the end, and is looked at meanwhile.
    tab.evaluate(f"(address) => {{ globalThis.found = ({STREAM})(address); }}", address)
    pending = "() => Promise.race([found.then(() => true), new Promise((go) => setTimeout(go, 250))])"
    while not tab.evaluate(pending):
        memory.look()
    seconds = time.perf_counter() - begun
    found = tab.evaluate("() => found")
    memory.stage("all of it as a stream")
    wrong = sum(
        digest != hashlib.sha256(piece).hexdigest() for digest, piece in zip(found, plain, strict=True)
    )
    print(f"  all of it as a stream: {plain.size / MIB / seconds:.0f} MiB/s")
    return [Target("MiB of the stream that were not the plain sound", wrong, 0)]


if __name__ == "__main__":
    main()

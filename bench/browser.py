"""What a browser makes of recordings: every shape of file in an `<audio>` element and in a tab of its own.

ffprobe says which of them are sound at all, and how long; Chromium says what it plays.  A sitting is tried
for each family of clips that differ only around the sound.  It needs `chromium` and `ffprobe`, and in this
environment playwright, which nothing else uses.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import requests
from playwright.sync_api import Page, sync_playwright

from bench.support.report import Target, print_table, print_targets
from tests.support.aws import start_moto
from tests.support.crowd_server import CrowdServer
from tests.support.recordings import store, version_2
from tests.support.service import PASSWORD, Service, run_service
from tests.support.sounds import families, shapes

PATIENCE_MS = 8_000
IN_AN_ELEMENT = """url => new Promise(resolve => {
    const audio = new Audio();
    const told = () => resolve({duration: audio.duration, error: audio.error && audio.error.code});
    audio.addEventListener("ended", told);
    audio.addEventListener("error", told);
    audio.addEventListener("loadedmetadata", () => {
        if (isFinite(audio.duration)) audio.currentTime = Math.max(0, audio.duration - 0.4);
    });
    audio.muted = true;
    audio.src = url;
    audio.play().catch(() => {});
    setTimeout(() => resolve({duration: audio.duration, error: "nothing for 6 s"}), 6000);
})"""
IN_A_TAB = """() => new Promise(resolve => {
    const media = document.querySelector("video, audio");
    if (!media) return resolve({error: "no player"});
    const told = () => resolve({duration: media.duration, error: media.error && media.error.code});
    if (media.error || media.readyState > 1) return told();
    media.addEventListener("loadeddata", told);
    media.addEventListener("error", told);
    setTimeout(() => resolve({duration: media.duration, error: "nothing for 6 s"}), 6000);
})"""


@dataclass(frozen=True)
class Heard:
    """One recording: what ffprobe, an element and a tab say of it, and how it is served."""

    name: str
    served: str
    called: str
    probe: str
    element: str
    tab: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    parser.add_argument("--only", default="", help="shapes whose name holds this")
    wanted = parser.parse_args()
    with (
        _elsewhere() as page_url,
        start_moto() as aws,
        run_service(aws, LIMIT_DECRYPT="100000 per minute") as service,
    ):
        account = service.register(f"browser-{uuid.uuid4()}@example.com")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=wanted.chromium,
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = chromium.new_page()
            page.goto(page_url)
            alone = [
                _heard(service, account, page, name, [one.data], one.declared)
                for name, one in shapes().items()
                if wanted.only in name
            ]
            together = [
                _heard(service, account, page, name, clips, None)
                for name, clips in families().items()
                if wanted.only in name
            ]
            chromium.close()
    for title, heard in (("alone", alone), ("sittings", together)):
        print_table(
            title,
            ("file", "served as", "called", "ffprobe", "<audio>", "tab"),
            [(one.name, one.served, one.called, one.probe, one.element, one.tab) for one in heard],
        )
    _judge(alone + together)


@contextmanager
def _elsewhere() -> Iterator[str]:
    """The address of an empty page of another origin, as somebody's app would be.

    It must come over the loopback too: a page from anywhere else may not ask for what is there.
    """

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with CrowdServer(("127.0.0.1", 0), Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _judge(heard: list[Heard]) -> None:
    """What an element plays, a tab plays too, or loads to a file; we keep nothing from it."""
    plays = [one for one in heard if one.element.startswith("plays")]
    kept = [one.name for one in plays if one.tab.startswith("blocked")]
    print(f"{len(heard)} files, {len(plays)} play in an element, of which in a tab:")
    print(
        f"{sum(one.tab.startswith('plays') for one in plays)}; loaded to a file instead: "
        f"{[one.name for one in plays if one.tab.startswith('download')]}"
    )
    print_targets([Target("played by an element, blocked in a tab", len(kept), 0)])


def _heard(  # noqa: PLR0917 - who, where and what
    service: Service, account: dict[str, Any], page: Page, name: str, plain: list[bytes], declared: str | None
) -> Heard:
    url = _opened(service, account, plain, declared)
    answer = requests.get(url, timeout=60)
    called = answer.headers["Content-Disposition"].partition("filename=")[2].strip('"')
    assert len(called.rpartition(".")[0]) <= 80
    heard = Heard(
        name,
        answer.headers["Content-Type"],
        "…." + called.rpartition(".")[2],
        _probed(answer.content),
        _told(page.evaluate(IN_AN_ELEMENT, url)),
        _in_a_tab(page, url),
    )
    print(f"{name}: {heard.probe}; element {heard.element}; tab {heard.tab}", flush=True)
    return heard


def _opened(service: Service, account: dict[str, Any], plain: list[bytes], declared: str | None) -> str:
    file_ids = []
    for clip in plain:
        s3_key = f"users/{account['user_id']}/{uuid.uuid4()}"
        file_id = store(
            service, account, s3_key, version_2(account, PASSWORD, s3_key, clip), content_type=declared
        )
        file_ids.append(file_id)
    which: dict[str, Any] = {"file_id": file_ids[0]} if len(file_ids) == 1 else {"file_ids": file_ids}
    answer = service.call(
        "POST", "/api/decrypt-audio", account["token"], json={"password": PASSWORD, **which}
    )
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["download_url"]
    return url


def _probed(data: bytes) -> str:
    command = [
        "ffprobe",
        "-v",
        "error",
        "-of",
        "json",
        "-show_entries",
        "format=duration:stream=codec_name",
        "-",
    ]
    found = subprocess.run(command, input=data, capture_output=True, check=False)
    told = json.loads(found.stdout or b"{}")
    streams = [stream.get("codec_name", "?") for stream in told.get("streams", [])]
    seconds = told.get("format", {}).get("duration")
    return f"{'+'.join(streams) or 'nothing'}" + (f", {float(seconds):.2f} s" if seconds else "")


def _in_a_tab(page: Page, url: str) -> str:
    messages: list[str] = []
    page = page.context.browser.new_page()
    page.on("console", lambda message: messages.append(message.text))
    try:
        return _shown(page, url, messages)
    finally:
        page.close()


def _shown(page: Page, url: str, messages: list[str]) -> str:
    try:
        page.goto(url, timeout=PATIENCE_MS, wait_until="commit")
    except Exception as error:  # noqa: BLE001 - playwright says by an error that there is nothing to show
        return "download" if "Download" in str(error) or "ERR_ABORTED" in str(error) else f"blocked: {error}"
    told = _told(page.evaluate(IN_A_TAB))
    blocked = any("Content Security Policy" in message for message in messages)
    return f"blocked: {told}" if blocked else told


def _told(found: dict[str, Any]) -> str:
    if found.get("error"):
        return f"error {found['error']}"
    duration = found.get("duration")
    return f"plays, {duration:.2f} s" if isinstance(duration, (int, float)) else "plays"


if __name__ == "__main__":
    main()

"""Searching in the console: how soon the first hit is drawn, among very many transcripts of a minute each.

The page is the real one, in Chromium and over the real wire. Told are the time from signing in until every
transcript can be searched, the same after a reload, when they lie sealed in the browser already, and for
each query the time from a key press until the first hit has been drawn. Beside them stand the page's
longest task and the memory of Chromium's renderer, in which the Worker lives that holds the opened texts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from bench.support.report import Target, percentile, print_table, print_targets
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.many_transcripts import SELDOM, write_many
from tests.support.service import ITSELF, PASSWORD, run_service
from tests.support.stand_in import start_stand_in
from tests.support.transcripts import Owner

PATIENCE_MS = 900_000
# A single letter is typed; what is longer comes at once, as from a phone's keyboard.
QUERIES = {
    "the first letter of a seldom word": SELDOM[0],
    "a seldom word": SELDOM,
    "a word that is everywhere": "budget",
    "two words": "quiet garden",
    "a phrase": '"quiet garden"',
    "a seldom word without a common one": f"{SELDOM} -zebra",
    "letters within words, no hit": "eeting",
    "no such word": "zebra",
}
# Tells when the key was pressed, and when what it found had been drawn.
WATCH = """() => {
    globalThis.watched = {};
    addEventListener("beforeinput", ({ timeStamp }) => (watched = { pressed: timeStamp }), true);
    const isThere = () => document.querySelector("ul.results mark") !== null
        || /Nothing was found/.test(document.querySelector("main").textContent);
    new MutationObserver(() => {
        if (watched.pressed === undefined || watched.drawn !== undefined || !isThere()) return;
        watched.drawn = 0;
        const { pressed } = watched;
        requestAnimationFrame(() => setTimeout(() => (watched.drawn = performance.now() - pressed)));
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
    globalThis.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask", buffered: true });
}"""


@dataclass(frozen=True)
class Opening:
    """How long it took until all could be searched, what the renderer held then, the page's longest task."""

    name: str
    seconds: float
    mib: float
    longest_ms: float

    def row(self) -> tuple[str, ...]:
        return (self.name, f"{self.seconds:.1f}", f"{self.mib:.0f}", f"{self.longest_ms:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transcripts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with (
        TemporaryDirectory() as folder,
        start_stand_in(Path(folder)) as aws,
        run_service(aws.url, **aws.variables, **UNLIMITED, PUBLIC_URL=ITSELF) as service,
    ):
        owner = Owner(service, service.register("many@example.com"))
        write_many(owner, arguments.transcripts - 1)
        with chromium_page() as (page, pid):
            sign_in(page, owner)
            openings = [opened(page, pid, "after signing in", arguments.transcripts)]
            first = times(page, arguments.rounds)
            page.reload()
            openings.append(opened(page, pid, "after a reload", arguments.transcripts))
            again = times(page, arguments.rounds)
    print_table(
        f"{arguments.transcripts} transcripts",
        ("until all can be searched", "s", "renderer MiB", "longest task ms"),
        [opening.row() for opening in openings],
    )
    rows = [(name, *figures(first[name]), *figures(again[name])) for name in QUERIES]
    columns = ("query", "median ms", "worst ms", "after a reload", "worst ms")
    print_table("From the key press until the first hit is drawn", columns, rows)
    worst = max(max(first[name] + again[name]) for name in QUERIES)
    print_targets([Target("key press to the first hit", worst, 300, unit=" ms")])


@contextmanager
def chromium_page() -> Iterator[tuple[Page, int]]:
    """Give a page of Chromium, and the id of the browser's own process."""
    with sync_playwright() as playwright, browser.chromium(playwright) as running:
        page = running.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(f"addEventListener('DOMContentLoaded', {WATCH})")
        told: dict[str, Any] = running.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        pid = next(process["id"] for process in told["processInfo"] if process["type"] == "browser")
        yield page, pid


def sign_in(page: Page, owner: Owner) -> None:
    page.goto(owner.service.url)
    page.get_by_label("Email").fill(owner.account["user"]["email"])
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Stay signed in").check()
    page.get_by_role("button", name="Sign in").click()


def opened(page: Page, pid: int, name: str, count: int) -> Opening:
    """Wait until so many transcripts can be searched."""
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    begun = time.monotonic()
    page.get_by_role("link", name="Search").click()
    told = page.get_by_text(f"Transcripts that are searched: {count:,}.")
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    seconds = time.monotonic() - begun
    return Opening(name, seconds, renderer_mib(pid), page.evaluate("() => longest"))


def times(page: Page, rounds: int) -> dict[str, list[float]]:
    """Type each query so often; return the milliseconds from its last key to its first hit."""
    field = page.get_by_role("searchbox", name="Search")
    results = page.get_by_role("list", name="Results")
    found: dict[str, list[float]] = {name: [] for name in QUERIES}
    for _ in range(rounds):
        for name, text in QUERIES.items():
            field.fill("")
            expect(results).to_have_count(0)
            field.focus()
            page.keyboard.insert_text(text)
            page.wait_for_function("() => watched.drawn > 0")
            found[name].append(page.evaluate("() => watched.drawn"))
    return found


def figures(samples: list[float]) -> tuple[str, str]:
    return f"{percentile(samples, 0.5):.0f}", f"{max(samples):.0f}"


def renderer_mib(pid: int) -> float:
    """Return what the largest process below the browser's holds, in MiB."""
    sizes = [
        _resident_mib(status) for status in Path("/proc").glob("[0-9]*/status") if _is_below(status, pid)
    ]
    return max(sizes, default=0.0)


def _is_below(status: Path, pid: int) -> bool:
    while (parent := int(_field(status, "PPid") or 0)) > 1:
        if parent == pid:
            return True
        status = Path(f"/proc/{parent}/status")
    return False


def _resident_mib(status: Path) -> float:
    return int((_field(status, "VmRSS") or "0 kB").split()[0]) / 1024


def _field(status: Path, name: str) -> str | None:
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), None)


if __name__ == "__main__":
    main()

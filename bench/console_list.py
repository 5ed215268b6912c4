"""A list of very many recordings in Chromium: how long until it is there, and whether scrolling stays fluent.

Scrolling is compared with that of a page of the same length without a script, by the longest task of each;
both take turns. A task is counted by the CPU time of the page's main thread, which what else the machine does
leaves as it is, and by the time that passed. How many rows stand in the page is counted after every frame.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.support.report import Target, percentile, print_table, print_targets
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.console import sign_in
from tests.support.many_recordings import record_many
from tests.support.recorder import Recorder
from tests.support.service import ITSELF, run_service
from tests.support.stand_in import start_stand_in

MOST_ROWS = 200
LONG_TASK_MS = 50
FIRST_ROWS_SECONDS = 1.0
ANSWERED = """() => performance.getEntriesByType("resource")
    .find(({name}) => name.includes("/api/user/audio-files")).responseEnd / 1000"""
# Down the page and up again by the wheel's steps, then by jumps as with the scrollbar.
SCROLL = """async ({steps, rows}) => {
    const frames = [];
    let most = 0, blank = 0, last = performance.now();
    const end = document.documentElement.scrollHeight - innerHeight;
    const places = [];
    for (let step = 0; step < steps; step++) places.push(step * 240);
    for (let step = steps; step > 0; step--) places.push(step * 240);
    for (let jump = 0; jump < 60; jump++) places.push((jump * 7919 % 60) / 60 * end);
    for (const place of places) {
        scrollTo(0, place);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
        most = Math.max(most, document.querySelectorAll(rows).length);
        if (!document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest(rows)) blank++;
    }
    scrollTo(0, 0);
    return {frames, most, blank};
}"""
TRACED = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]


@dataclass(frozen=True)
class Task:
    """One task of a page's main thread, in milliseconds."""

    cpu: float
    passed: float


@dataclass(frozen=True)
class Scrolled:
    """What one page did while it was scrolled; `blank` counts frames without a row in the middle."""

    name: str
    tasks: list[Task]
    frames: list[float]
    most: int
    blank: int

    @property
    def longest_task(self) -> float:
        """CPU time of the longest task, in milliseconds."""
        return max(task.cpu for task in self.tasks)

    def row(self) -> tuple[str, ...]:
        passed = [task.passed for task in self.tasks]
        return (
            self.name,
            f"{self.longest_task:.1f}",
            f"{max(passed):.0f}",
            str(sum(milliseconds > LONG_TASK_MS for milliseconds in passed)),
            f"{percentile(self.frames, 0.5):.1f}",
            f"{percentile(self.frames, 0.99):.1f}",
            str(self.most),
            str(self.blank),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150, help="how far to scroll, in steps of 240 px")
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_stand_in(Path(folder)) as stand_in,
        run_service(stand_in.url, **stand_in.variables, **UNLIMITED, PUBLIC_URL=ITSELF) as service,
        sync_playwright() as playwright,
        browser.chromium(playwright) as chromium,
    ):
        recorder = Recorder(service, service.register("many@example.com"))
        record_many(recorder, wanted.recordings, datetime.now(UTC))
        page = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(300_000)
        expect.set_options(timeout=300_000)
        seconds = arrive(page, recorder)
        static = chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()
        static.set_content(static_page(page))
        rounds = []
        for _ in range(wanted.rounds):
            rounds.append(scrolled("a static page", chromium, static, wanted.steps, "li"))
            rounds.append(scrolled("the list", chromium, page, wanted.steps, "ul.recordings li"))
    print_table("Until it is there, in seconds after the sign-in", ("what", "s"), seconds.rows())
    columns = ("scrolling", "task CPU ms", "task ms", "over 50 ms", "frame p50", "p99", "rows", "blank")
    print_table("Scrolling", columns, [one.row() for one in rounds])
    lists = [one for one in rounds if one.name == "the list"]
    others = [one for one in rounds if one.name != "the list"]
    beyond = max(one.longest_task for one in lists) - max(one.longest_task for one in others)
    met = print_targets(
        [
            Target("rows in the page", max(one.most for one in lists), MOST_ROWS),
            Target("CPU of the longest task beyond a static page's", beyond, LONG_TASK_MS, unit=" ms"),
            Target("first rows after their answer", seconds.drawing, FIRST_ROWS_SECONDS, unit=" s"),
        ]
    )
    raise SystemExit(not met)


@dataclass(frozen=True)
class Arrival:
    """When there was something to see, and when all of it was known, in seconds after the vault was open.

    `drawing` is how long after the service's answer the first rows were there.
    """

    first_rows: float
    drawing: float
    whole: float

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("first rows", f"{self.first_rows:.2f}"),
            ("of which after their answer", f"{self.drawing:.2f}"),
            ("all rows", f"{self.whole:.2f}"),
        ]


def arrive(page: Page, recorder: Recorder) -> Arrival:
    """Sign in and wait for the list."""
    sign_in(page, recorder.service, recorder.account)
    began = time.perf_counter()
    expect(page.get_by_role("listitem").first).to_be_visible()
    first_rows = time.perf_counter() - began
    drawing = page.evaluate("() => performance.now() / 1000") - page.evaluate(ANSWERED)
    # As long as the list is not whole, nobody knows how many entries it has.
    expect(page.locator("ul.recordings > li").first).not_to_have_attribute("aria-setsize", "-1")
    return Arrival(first_rows, drawing, time.perf_counter() - began)


def static_page(page: Page) -> str:
    """Return a page without a script that is as long as the list, with all of its rows in it."""
    height = page.evaluate("() => document.documentElement.scrollHeight")
    rows = "".join(f"<li>{number}</li>" for number in range(height // 68))
    return f"<!doctype html><style>li {{ height: 68px; list-style: none }}</style><ul>{rows}</ul>"


def scrolled(name: str, chromium: Browser, page: Page, steps: int, rows: str) -> Scrolled:
    page.bring_to_front()
    chromium.start_tracing(page=page, categories=TRACED)
    told: dict[str, Any] = page.evaluate(SCROLL, {"steps": steps, "rows": rows})
    tasks = tasks_of(json.loads(chromium.stop_tracing())["traceEvents"])
    return Scrolled(name, tasks, told["frames"], told["most"], told["blank"])


def tasks_of(events: list[dict[str, Any]]) -> list[Task]:
    """Return the tasks of the page's main thread from a trace, whose times are microseconds."""
    threads = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event["name"] == "thread_name"
    }
    return [
        Task(event["tdur"] / 1000, event["dur"] / 1000)
        for event in events
        if event["name"] == "RunTask"
        and threads.get((event["pid"], event["tid"])) == "CrRendererMain"
        and "tdur" in event
    ]


if __name__ == "__main__":
    main()

"""The largest transcript there may be, in the console: the page's longest task as it opens, scrolls, jumps.

It has as many lines as fit into 16 MiB of JSON, once with the times of all words and once without any. A task
is counted by the CPU time of the page's main thread. It needs `chromium`, and in this environment playwright.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.console_list import LONG_TASK_MS, SCROLL, TRACED, Task, tasks_of
from bench.support.report import Target, print_table, print_targets
from panzoto.transcripts.document import MAX_JSON_BYTES, packed
from tests.browser.listening import show, stored, tone
from tests.conftest import UNLIMITED
from tests.support import browser
from tests.support.console import sign_in
from tests.support.many_transcripts import SAID
from tests.support.service import ITSELF, run_service
from tests.support.stand_in import start_stand_in
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

LINE_MS = 5000
MOST_LINES_DRAWN = 600
STEPS = 150
ENDS_WITH = """(text) => {
    const last = document.querySelector(".segments")?.lastElementChild;
    return Boolean(last?.textContent.includes(text));
}"""
JUMP = """async () => {
    const main = document.querySelector("script[type=module]").src;
    const {playAt} = await import(new URL("playing/current.js", main));
    const id = location.hash.split("/")[1];
    for (const seconds of [40_000, 100, 60_000, 20_000]) {
        playAt(id, seconds);
        for (let frames = 0; frames < 10; frames++) await new Promise(requestAnimationFrame);
    }
}"""


@dataclass(frozen=True)
class Stage:
    """The tasks of one stage, and how many lines were drawn at most."""

    name: str
    tasks: list[Task]
    drawn: int

    @property
    def longest(self) -> float:
        return max(task.cpu for task in self.tasks)

    def row(self) -> tuple[str, ...]:
        long = sum(task.cpu > LONG_TASK_MS for task in self.tasks)
        passed = max(task.passed for task in self.tasks)
        return self.name, f"{self.longest:.0f}", str(long), f"{passed:.0f}", str(self.drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json-mib", type=float, default=MAX_JSON_BYTES / 2**20)
    size = int(parser.parse_args().json_mib * 2**20)
    stages = []
    with (
        tempfile.TemporaryDirectory() as folder,
        start_stand_in(Path(folder)) as stand_in,
        run_service(stand_in.url, **stand_in.variables, **UNLIMITED, PUBLIC_URL=ITSELF) as service,
        sync_playwright() as playwright,
        browser.chromium(playwright) as chromium,
    ):
        expect.set_options(timeout=120_000)
        for kind, with_words in (("lines alone", False), ("words with times", True)):
            owner = Owner(service, service.register(f"{len(stages)}@example.com"))
            file_id = stored(service, owner.account, tone(5))
            segments = lines(size, with_words)
            document = packed({"version": 1, "file_id": file_id, "segments": segments})
            answer = owner.put(file_id, owner.seal_bytes(file_id, document))
            assert answer.ok, answer.text
            page = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}).new_page()
            page.set_default_timeout(300_000)
            sign_in(page, service, owner.account)
            page.wait_for_timeout(5000)
            stages += measured(f"{len(segments)} {kind}", chromium, page, file_id, segments)
            page.context.close()
    columns = ("", "longest task, CPU ms", "over 50 ms", "longest, ms passed", "lines drawn")
    print_table("Tasks of the page's main thread", columns, [stage.row() for stage in stages])
    met = print_targets(
        [
            Target("longest task", max(stage.longest for stage in stages), LONG_TASK_MS, unit=" ms of CPU"),
            Target("lines drawn at once", max(stage.drawn for stage in stages), MOST_LINES_DRAWN),
        ]
    )
    raise SystemExit(not met)


def lines(size: int, with_words: bool) -> list[dict[str, Any]]:
    """Return as many segments as fit into `size` bytes of JSON beside what else a document has."""
    chance = random.Random(19)
    found: list[dict[str, Any]] = []
    left = size - 1000
    while True:
        start = LINE_MS * len(found)
        said = [chance.choice(SAID) for _ in range(chance.randrange(3, 30))]
        segment: dict[str, Any] = {"start_ms": start, "end_ms": start + 4900, "text": " ".join(said)}
        if with_words:
            segment["words"] = [
                {"start_ms": start + 100 * at, "end_ms": start + 100 * at + 90, "text": word}
                for at, word in enumerate(said)
            ]
        left -= len(json.dumps(segment)) + 2
        if left < 0:
            return found
        found.append(segment)


def measured(
    kind: str, chromium: Browser, page: Page, file_id: str, segments: list[dict[str, Any]]
) -> list[Stage]:
    def traced(name: str, work: Any) -> Stage:
        chromium.start_tracing(page=page, categories=TRACED)
        drawn = work()
        tasks = tasks_of(json.loads(chromium.stop_tracing())["traceEvents"])
        return Stage(f"{kind}: {name}", tasks, drawn)

    def opened() -> int:
        begun = time.perf_counter()
        show(page, file_id)
        expect(page.locator(".segment").first).to_be_visible()
        print(f"  {kind}: seen after {time.perf_counter() - begun:.1f} s")
        # Only the end is looked at: to look for a text in all of it would be the longest task there is.
        eventually(lambda: page.evaluate(ENDS_WITH, segments[-1]["text"]), "the last line is not there")
        return page.locator(".segment").count()

    def scrolled() -> int:
        return int(page.evaluate(SCROLL, {"steps": STEPS, "rows": ".segment"})["most"])

    def jumped() -> int:
        page.evaluate(JUMP)
        return page.locator(".segment").count()

    return [traced("opening", opened), traced("scrolling", scrolled), traced("jumping", jumped)]


if __name__ == "__main__":
    main()

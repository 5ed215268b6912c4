"""Browsers, and a service whose pages they open. What the modules of this folder build on:

- `console`: the running `Service` with the console at `console.url`, beside the stand-in of `make run`, which
  judges signatures; `console_on_moto`: the same beside moto, for what depends on versions of objects.
- `chromium`, `firefox`: running browsers (Playwright's `Browser`). Both have a microphone that beeps.
  `each_browser` is one after the other, for a test that runs in both.
- `page`: a tab of Chromium, 1280 px wide, in a profile of its own, in English. `new_page(browser, **options)`
  opens more of them, in either browser and with any option of Playwright's `new_context`: `locale="de-DE"`,
  `viewport={"width": 360, "height": 740}`. Another tab of the same profile is `page.context.new_page()`.
  A test fails in the end when one of its pages has raised an error or broken its policy; `complaints(page)`
  is the list of that, from which a test takes what it expected.
- `line`: the proxy through which all browsers speak. A test fails in the end when a request has carried a
  key, a password (but calls that ask for it), a title, a note, a transcript or what else was typed.
- `person`: a fresh account at `console`, as `register` answered it; the address is `person["user"]["email"]`,
  the password `PASSWORD` of `tests.support.service`.
- `axe`: `axe.check(page)` fails where axe-core finds anything at three widths, in light and dark.

`expect(page.get_by_role(...)).to_be_visible()` waits. `page.wait_for_function` takes no string, since the
policy forbids `eval`; `page.evaluate` takes anything.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.clients.conftest import build
from tests.conftest import UNLIMITED
from tests.suites import need
from tests.support import browser, overheard
from tests.support.browser import WAIT_MILLISECONDS, Axe, Complaints
from tests.support.recording_proxy import RecordingProxy, recording_proxy
from tests.support.service import ITSELF, Service, run_service
from tests.support.stand_in import RunningStandIn

HERE = Path(__file__).parent
SETTINGS = UNLIMITED | {"PUBLIC_URL": ITSELF}
ENGLISH: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}}

# Of the names of files, too, of which titles are made.
TELL_WHAT_IS_TYPED = """addEventListener("input", ({target}) => {
    const {files, type, value} = target;
    for (const {name} of files ?? []) wasTyped(name.replace(/[.][^.]*$/, ""), type);
    if (!files && typeof value === "string" && target.tagName !== "SELECT") wasTyped(value, type);
}, {capture: true})"""

_serial = itertools.count()
_complaints: dict[Page, Complaints] = {}


# For as long as tests of this folder run, and no longer: it holds the thread's event loop.
@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=WAIT_MILLISECONDS)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def line() -> Iterator[RecordingProxy]:
    """What all browsers speak through, to this machine too: it keeps each request of a test."""
    with recording_proxy() as proxy:
        yield proxy


@pytest.fixture(scope="package")
def chromium(playwright: Playwright, line: RecordingProxy) -> Iterator[Browser]:
    with browser.chromium(playwright, *browser.chromium_through(line.url)) as running:
        yield running


@pytest.fixture(scope="package")
def firefox(playwright: Playwright, line: RecordingProxy) -> Iterator[Browser]:
    with browser.firefox(playwright, **browser.firefox_through(line.url)) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_told(line: RecordingProxy) -> Iterator[None]:
    """After every test: no request has carried what only somebody's owner may know."""
    line.sent.clear()
    overheard.listen()
    yield
    assert overheard.judge(line.sent) == []


@pytest.fixture(params=["chromium", "firefox"])
def each_browser(request: pytest.FixtureRequest) -> Browser:
    running: Browser = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="package")
def console(stand_in: RunningStandIn, console_libraries: None) -> Iterator[Service]:
    """A service with the console, beside the stand-in of `make run`."""
    with run_service(stand_in.url, **stand_in.variables, **SETTINGS) as running:
        yield running


@pytest.fixture(scope="package")
def console_on_moto(moto: str, console_libraries: None) -> Iterator[Service]:
    """A service with the console, beside moto."""
    with run_service(moto, **SETTINGS) as running:
        yield running


@pytest.fixture
def new_page() -> Iterator[Callable[..., Page]]:
    """Open pages, each in a profile of its own; fail in the end for what they complained of."""
    with ExitStack() as opened:
        pages: list[Page] = []

        def open_page(of: Browser, **options: Any) -> Page:
            context = opened.enter_context(of.new_context(**ENGLISH | options))
            context.set_default_timeout(WAIT_MILLISECONDS)
            context.on("page", watch)
            context.expose_binding("wasTyped", lambda _, value, kind: overheard.typed(value, kind))
            context.add_init_script(TELL_WHAT_IS_TYPED)
            return context.new_page()

        def watch(page: Page) -> None:
            pages.append(page)
            _complaints[page] = Complaints(page)

        yield open_page
        told = [complaint for page in pages for complaint in _complaints.pop(page).all]
    assert told == []


@pytest.fixture
def page(new_page: Callable[..., Page], chromium: Browser) -> Page:
    return new_page(chromium)


@pytest.fixture
def complaints() -> Callable[[Page], list[str]]:
    return lambda page: _complaints[page].all


@pytest.fixture
def person(console: Service) -> dict[str, Any]:
    return console.register(f"person-{next(_serial)}-{uuid.uuid4().hex[:8]}@example.com")


@pytest.fixture(scope="package")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Axe:
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    build([need("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    return Axe(folder / "node_modules" / "axe-core" / "axe.min.js")

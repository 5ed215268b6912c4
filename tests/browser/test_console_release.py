"""The console as it is served: under its hash, with one policy, and with nothing from anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from panzoto.console.release import release
from tests.browser.listening import FOLDER
from tests.support.console import sign_in
from tests.support.crowd_server import CrowdServer
from tests.support.service import Service
from tests.support.waiting import eventually

# Each tries to run a script, or to speak with somebody, that the console's files do not name.
TRIES = {
    "inline script": """() => {
        const script = document.createElement("script");
        script.append("document.title = 'taken'");
        document.body.append(script);
    }""",
    "markup": """() => { document.body.innerHTML = "<img src=x onerror='document.title = 1'>"; }""",
    "eval": """() => { setTimeout("document.title = 'taken'"); }""",
    "script of another": """(there) => {
        const script = document.createElement("script");
        script.setAttribute("src", there);
        document.body.append(script);
    }""",
    "call": "(there) => fetch(there, { mode: 'no-cors' })",
    "picture": "(there) => { new Image().src = there; }",
}
# The second is drawn while the part is on its way for the first, and has not run its effects when that comes:
# they follow with the next frame.
DRAWN_BEFORE_IT_CAME = """async (folder) => {
    const {later} = await import(folder + "later.js");
    const {html, render} = await import(folder + "ui.js");
    let comes;
    const wanted = Promise.withResolvers();
    const Part = later(() => new Promise((resolve) => {
        comes = () => resolve(() => html`here`);
        wanted.resolve();
    }));
    const drawn = () => {
        const place = document.createElement("p");
        place.className = "part";
        document.body.append(place);
        render(html`<${Part} />`, place);
    };
    drawn();
    await wanted.promise;
    drawn();
    comes();
}"""


class Somebody(BaseHTTPRequestHandler):
    """Another host, which notes that it was asked, and frames what `framed` says."""

    def do_GET(self) -> None:
        asked: list[str] = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        framed = self.path.partition("?")[2]
        body = f"<!doctype html><title>Elsewhere</title><iframe src='{framed}'></iframe>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    with CrowdServer(("127.0.0.1", 0), Somebody) as server:
        server.asked = []  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def bare(
    each_browser: Browser, new_page: Callable[..., Page], complaints: Callable[[Page], list[str]]
) -> tuple[Page, list[str]]:
    """A page in each browser, and what it complains of."""
    page = new_page(each_browser)
    return page, complaints(page)


def attempted(page: Page, what: str, there: str) -> str:
    """Try one of `TRIES`, and return the page's title once it would have happened."""
    tried = f"async (there) => {{ try {{ await ({TRIES[what]})(there); }} catch {{ }} }}"
    page.evaluate(tried, there)
    page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(done), 200))")
    return page.title()


@pytest.mark.parametrize("what", TRIES)
def test_the_page_obeys_its_policy(
    what: str,
    bare: tuple[Page, list[str]],
    console: Service,
    elsewhere: Any,
) -> None:
    page, told = bare
    there = f"http://127.0.0.1:{elsewhere.server_port}/"
    # It would work, were there no policy.
    page.goto(f"{there}?about:blank")
    asked = len(elsewhere.asked)
    title = attempted(page, what, there)
    eventually(lambda: title in ("taken", "1") or len(elsewhere.asked) > asked, "it does not work anywhere")
    page.goto(console.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    asked, title = len(elsewhere.asked), page.title()
    assert attempted(page, what, there) == title
    assert len(elsewhere.asked) == asked
    assert page.url.startswith(console.url)
    # What it refuses it says, each browser in its own words.
    told.clear()


def test_nobody_frames_it(
    page: Page, complaints: Callable[[Page], list[str]], console: Service, elsewhere: Any
) -> None:
    page.goto(f"http://127.0.0.1:{elsewhere.server_port}/?{console.url}/")
    frame = page.frames[1]
    assert frame.get_by_role("heading", name="Sign in").count() == 0
    assert any("frame-ancestors" in told for told in complaints(page))
    complaints(page).clear()


def test_nothing_comes_from_anybody_else_and_all_of_one_release(
    page: Page, console: Service, person: dict[str, Any]
) -> None:
    asked: set[str] = set()
    page.context.on("request", lambda one: asked.add(one.url))
    sign_in(page, console, person)
    expect(page.get_by_role("button", name="Record")).to_be_visible()
    assert {url for url in asked if not url.startswith(f"{console.url}/")} == set()
    files = {url for url in asked if "/console/" in url}
    assert len(files) > 10
    assert all(url.startswith(f"{console.url}/console/{release().digest}/") for url in files)
    assert page.locator("meta[name=panzoto-release]").get_attribute("content") == release().digest


def test_a_part_that_comes_between_drawing_and_what_follows_on_it_is_drawn_all_the_same(
    page: Page, console: Service
) -> None:
    page.goto(console.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.evaluate(DRAWN_BEFORE_IT_CAME, page.evaluate(FOLDER))
    expect(page.locator(".part")).to_have_text(["here", "here"])


# As a browser asks for a page, and for a picture.
OF_A_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OF_A_PICTURE = "image/avif,image/webp,image/*,*/*;q=0.8"


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_whoever_mistypes_an_address_is_led_to_the_console(
    name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], console: Service
) -> None:
    page = new_page(request.getfixturevalue(name))
    answer = page.goto(f"{console.url}/some/nonsense")
    assert answer is not None
    assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    page.get_by_role("link", name="Open Panzoto").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/nonsense", "*/*"),
        ("/nonsense", OF_A_PICTURE),
        ("/api", OF_A_PAGE),
        ("/api/nonsense", OF_A_PAGE),
        ("//api/nonsense", OF_A_PAGE),
    ],
)
def test_a_program_reads_json_where_nothing_is(console: Service, path: str, accept: str) -> None:
    answer = console.call("GET", path, headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

"""Real browsers, Debian's Chromium and Firefox, driven by Playwright; elements are found by role and name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Playwright, expect

from tests.suites import need

WIDTHS = (360, 768, 1440)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 900
# Of a default that waits half a minute: this machine does several things at once.
WAIT_MILLISECONDS = 30_000
CHROMIUM_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # A microphone that beeps, and nobody who has to allow it.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
# The same for Firefox.
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
}
# How each browser begins what it says about a page that breaks its own Content-Security-Policy.
POLICY_BROKEN = ("Content Security Policy", "Content-Security-Policy", "The page’s settings blocked")
# Firefox asks for it where a page names no icon, and tells that the page's policy forbids it.
ICON = "/favicon.ico"
# Chromium's: the answer to a request was an error, which the page itself tells where it matters.
FAILED_ANSWER = "Failed to load resource"
# What Firefox says of a request that it dropped itself, as with a page that is closed, while the page's
# worker was answering it. Of one that the worker failed to answer it tells the address.
DROPPED = "Failed to load ‘’. A ServiceWorker intercepted the request"


@contextmanager
def chromium(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """Run Debian's Chromium with these flags beside `CHROMIUM_FLAGS` while the block runs.

    `--use-file-for-fake-audio-capture=FILE.wav` lets the microphone hear a file.
    """
    with playwright.chromium.launch(
        executable_path=need("chromium"), args=[*CHROMIUM_FLAGS, *flags]
    ) as running:
        yield running


@contextmanager
def firefox(playwright: Playwright, **preferences: str | float | bool) -> Iterator[Browser]:
    """Run Debian's Firefox ESR, which speaks WebDriver BiDi, while the block runs."""
    with playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=need("firefox-esr"),
        firefox_user_prefs=FIREFOX_PREFERENCES | preferences,
    ) as running:
        yield running


def chromium_through(proxy: str) -> tuple[str, ...]:
    """Flags by which Chromium sends everything through a proxy, what goes to this machine too."""
    return f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>"


def firefox_through(proxy: str) -> dict[str, str | int | bool]:
    """The same for Firefox, as its preferences."""
    where = urlsplit(proxy)
    return {
        "network.proxy.type": 1,
        "network.proxy.http": where.hostname or "",
        "network.proxy.http_port": where.port or 0,
        "network.proxy.no_proxies_on": "",
        "network.proxy.allow_hijacking_localhost": True,
    }


class Complaints:
    """What a page's own scripts raised, and where it broke its policy."""

    def __init__(self, page: Page) -> None:
        self.all: list[str] = []
        page.on("pageerror", self._catch)
        page.on("console", self._hear)

    def _catch(self, error: Error) -> None:
        if ICON not in str(error):
            self.all.append(str(error))

    def _hear(self, message: ConsoleMessage) -> None:
        text = message.text
        if any(broken in text for broken in POLICY_BROKEN) or (
            message.type == "error" and not text.startswith((FAILED_ANSWER, DROPPED))
        ):
            self.all.append(text)


class Axe:
    """axe-core, which finds what keeps people from using a page; `source` is its script."""

    _RUN = """async () => {
        const found = await axe.run(document, {resultTypes: ["violations"]});
        return found.violations.map(({id, help, nodes}) =>
            `${id}: ${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
    }"""

    def __init__(self, source: Path) -> None:
        self._script = source.read_text("utf-8")

    def violations(self, page: Page) -> list[str]:
        """Return what it finds on the page as it stands, a line each."""
        # Scripts of the protocol are no scripts of the page, so its policy lets them be.
        page.evaluate(self._script + "; 0")
        found: list[str] = page.evaluate(self._RUN)
        return found

    def check(
        self,
        page: Page,
        widths: Sequence[int] = WIDTHS,
        schemes: Sequence[Literal["light", "dark"]] = SCHEMES,
    ) -> None:
        """Raise `AssertionError` for what it finds at these widths in CSS pixels and in these colour schemes.

        The same where the page is wider than its window. Afterwards the page is as wide as before and follows
        the scheme that it was opened with.
        """
        # Nothing can be said of a page that is not drawn yet, and each has a heading.
        expect(page.locator("h1").first).to_be_attached()
        before = page.viewport_size
        found = []
        for scheme in schemes:
            # A colour on its way to another would be judged in the middle of it.
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for width in widths:
                page.set_viewport_size({"width": width, "height": HEIGHT})
                found += [f"{width} px, {scheme}: {line}" for line in self.violations(page)]
                shown = page.evaluate("() => document.documentElement.scrollWidth")
                if shown > width:
                    found.append(f"{width} px: the page is {shown} px wide")
        page.emulate_media(color_scheme="null", reduced_motion="null")
        if before:
            page.set_viewport_size(before)
        assert found == [], "\n".join(found)

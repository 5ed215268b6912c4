"""A real Chromium, driven over its own debugging pipe: pages are read as a screen reader reads them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.suites import need
from tests.support.waiting import eventually

WAIT_SECONDS = 30.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


class Browser:
    """One running browser; `page` opens a tab."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._rest = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def page(self) -> Page:
        """Open a tab of its own profile."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "DOM", "Accessibility", "Log", "Network"):
            page.ask(f"{domain}.enable")
        return page

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Page:
    """One tab. Elements are found by role and accessible name."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.ask(method, self._session, **params)

    def go(self, url: str) -> None:
        self.ask("Page.navigate", url=url)
        self.until(lambda: self.run("document.readyState") == "complete")

    def run(self, script: str) -> Any:
        """Return the value of an expression on the page, in a world of ours that its policy does not bind."""
        frame = self.ask("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = self.ask("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
        result = self.ask("Runtime.evaluate", expression=script, contextId=world, returnByValue=True)
        return result["result"].get("value")

    def find(self, role: str, name: str) -> list[int]:
        """Return the shown elements of this role and accessible name."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        found = self.ask("Accessibility.queryAXTree", nodeId=root, role=role, accessibleName=name)["nodes"]
        return [node["backendDOMNodeId"] for node in found if not node["ignored"]]

    def the(self, role: str, name: str) -> int:
        """Return the one such element, once it is there."""
        self.until(lambda: self.find(role, name))
        (found,) = self.find(role, name)
        return found

    def click(self, role: str, name: str) -> None:
        node = self.ask("DOM.resolveNode", backendNodeId=self.the(role, name))["object"]["objectId"]
        self.ask("Runtime.callFunctionOn", objectId=node, functionDeclaration="function () { this.click(); }")

    def type(self, name: str, text: str) -> None:
        """Type into the text box of this name, instead of what is there."""
        node = self.the("textbox", name)
        self.ask("DOM.focus", backendNodeId=node)
        target = self.ask("DOM.resolveNode", backendNodeId=node)["object"]["objectId"]
        self.ask(
            "Runtime.callFunctionOn", objectId=target, functionDeclaration="function () { this.select(); }"
        )
        self.ask("Input.insertText", text=text)

    def text(self) -> str:
        """Return what is shown."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def until_shown(self, text: str) -> None:
        self.until(lambda: text in self.text(), self.text)

    def until(self, true: Callable[[], Any], told: Callable[[], Any] = lambda: "") -> None:
        eventually(lambda: bool(true()), told)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser while the block runs; fails with what to install where there is none."""
    program = need("chromium")
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4.
    shell = f'exec 3<&{commands_out} 4>&{answers_in}; exec "$0" "$@"'
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [need("bash"), "-c", shell, program, *FLAGS, f"--user-data-dir={Path(folder) / 'profile'}"],
            pass_fds=(commands_out, answers_in),
            env={"PATH": os.environ["PATH"], "HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands_out)
        os.close(answers_in)
        try:
            yield Browser(commands_in, answers_out)
        finally:
            os.close(commands_in)
            os.close(answers_out)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

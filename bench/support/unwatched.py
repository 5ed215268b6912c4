"""A tab of Chromium that Playwright does not watch, and what its renderers hold.

Playwright has each renderer keep the bodies of all answers that its pages and workers get, up to some
hundred MiB, which would be taken for the console's own. A tab in a profile that Playwright knows nothing of
is left alone, and driven by Chromium's DevTools protocol. Nor does a renderer collect its garbage before
there is some, so that it is collected before it is looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser

from bench.support.process import resident_mib
from tests.support.waiting import eventually

MIB = 1024 * 1024
COUNTED = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
ANSWER_SECONDS = 300


@dataclass(frozen=True)
class Held:
    """MiB: resident memory of all renderers, and what scripts of page and worker still refer to."""

    resident: float
    by_page: float
    by_worker: float

    @property
    def scripts(self) -> float:
        return self.by_page + self.by_worker


class Tab:
    """A tab in a profile of its own, at this address."""

    def __init__(self, running: Browser, address: str) -> None:
        self._browser = running.new_browser_cdp_session()
        self._browser.on("Target.receivedMessageFromTarget", self._hear)
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        profile = self._browser.send("Target.createBrowserContext")
        made = self._browser.send("Target.createTarget", {"url": address, **profile})
        self._session = self._attached(made["targetId"])
        eventually(self._is_loaded, "the page did not load")
        self._ask(self._session, "ServiceWorker.enable")

    def _is_loaded(self) -> bool:
        try:
            return bool(
                self.evaluate("() => location.href !== 'about:blank' && document.readyState === 'complete'")
            )
        except RuntimeError:
            # The page that was there has given way to the one that was asked for.
            return False

    def evaluate(self, function: str, argument: object = None) -> Any:
        """Call a function of JavaScript in the page, and return what it resolves to."""
        call = {
            "expression": f"({function})({json.dumps(argument)})",
            "awaitPromise": True,
            "returnByValue": True,
        }
        answer = self._ask(self._session, "Runtime.evaluate", call)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def stop_workers(self) -> None:
        """End the service worker as Chromium does when it has been idle."""
        self._ask(self._session, "ServiceWorker.stopAllWorkers")

    def resident(self) -> float:
        """Resident memory of all renderers as they are, in MiB."""
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(_resident(int(one["id"])) for one in processes if one["type"] == "renderer")

    def held(self) -> Held:
        """Collect all garbage, and return what is held then."""
        by_page = self._held_by(self._session)
        by_worker = 0.0
        for one in self._browser.send("Target.getTargets")["targetInfos"]:
            if one["type"] == "service_worker":
                session = self._attached(one["targetId"])
                by_worker += self._held_by(session)
                self._browser.send("Target.detachFromTarget", {"sessionId": session})
        return Held(self.resident(), by_page, by_worker)

    def _held_by(self, session: str) -> float:
        self._ask(session, "HeapProfiler.collectGarbage")
        usage = self._ask(session, "Runtime.getHeapUsage")
        return float(sum(usage.get(name, 0) for name in COUNTED)) / MIB

    def _attached(self, target: str) -> str:
        attached = self._browser.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        return str(attached["sessionId"])

    def _ask(self, session: str, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        self._asked += 1
        number = self._asked
        message = json.dumps({"id": number, "method": method, "params": parameters or {}})
        self._browser.send("Target.sendMessageToTarget", {"sessionId": session, "message": message})

        # Another question lets the client hear what has come meanwhile.
        def answered() -> bool:
            self._browser.send("Target.getTargets")
            return number in self._answers

        eventually(answered, f"no answer to {method}", ANSWER_SECONDS)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def _hear(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message


def _resident(pid: int) -> float:
    try:
        return resident_mib(pid)
    except OSError:
        # It ended after it was listed.
        return 0

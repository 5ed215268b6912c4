"""The console of `make run`: where it is opened, and its libraries, which are fetched beside the service."""

from __future__ import annotations

import sys
from collections.abc import Callable

from deploy.local.listening import LOOPBACK
from deploy.local.roles import start_role
from deploy.packages import console as packages
from deploy.serving.processes import Child, Signals
from panzoto.config import Settings, child_environment
from panzoto.console.release import LibrariesMissing, release

COMMAND = [sys.executable, "-m", "deploy.packages.console"]
STOP_SECONDS = 10.0


class Console:
    """What a person is told of the console, and the process that fetches what it lacks, once for each run."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._say = say
        self.address = f"http://{LOOPBACK}:{settings.port}"
        self._must_fetch = not packages.Console().is_complete()
        self._fetching: Child | None = None

    def opening(self) -> str:
        """Return the sentence by which a person gets in."""
        if self._must_fetch:
            return f"The console is being fetched; in a moment it is at {self.address}"
        return f"Open {self.address} in a browser of this machine."

    def release(self) -> str:
        """Return the hash over the console's files, by which it is compared with what was released."""
        try:
            return f"release {release().digest}"
        except LibrariesMissing:
            return "being fetched"

    def go_on(self) -> None:
        """Fetch what is missing, and tell when it is there: the service takes it up by itself."""
        if self._must_fetch:
            self._must_fetch = False
            self._fetching = start_role("the console's libraries", COMMAND, child_environment({}))
        elif self._fetching and (status := self._fetching.process.poll()) is not None:
            self._fetching = None
            # What went wrong the process has said itself.
            if status == 0:
                self._say(f"console: {self.opening()} It is {self.release()}.")

    def end(self, signals: Signals) -> None:
        if self._fetching:
            self._fetching.end(signals, STOP_SECONDS)

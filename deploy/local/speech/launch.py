"""Starting the speech engine of `make run`, and where the service finds it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from deploy.local.listening import LOOPBACK, bound, port_of
from deploy.local.roles import start_role
from deploy.serving.processes import Child, Signals
from panzoto.config import Settings, child_environment

COMMAND = [sys.executable, "-m", "deploy.local.speech.front"]
STOP_SECONDS = 10.0
# One that ends as soon as it starts would keep the machine busy.
RESTART_SECONDS = 5.0


def is_wanted(settings: Settings) -> bool:
    """Whether this service shall have an engine of this machine, which it shall not where it has another."""
    has_another = child_environment({}, inherit=("TRANSCRIPTION_URL",)).get("TRANSCRIPTION_URL", "").strip()
    return settings.speech and not has_another


class Speech:
    """The engine's process, on a socket that stays open while it is started anew."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._say = say
        model = settings.speech_model
        self._options = ["--model", str(model.absolute())] if model else []
        self._listener = bound(LOOPBACK, 0)
        self._child: Child | None = None
        self._restart_at = 0.0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{port_of(self._listener)}/v1"

    def variables(self) -> dict[str, str]:
        """Return what tells the service of this engine."""
        own = child_environment({}, inherit=("TRANSCRIPTION_MODEL",))
        return {
            "TRANSCRIPTION_URL": self.url,
            "TRANSCRIPTION_MODEL": own.get("TRANSCRIPTION_MODEL") or "whisper",
        }

    def go_on(self) -> None:
        """Start the process when it is not there, which is no reason for the service to end."""
        if self._child and self._child.process.poll() is not None:
            self._say("speech: the engine's process has ended; another one is started")
            self._child, self._restart_at = None, time.monotonic() + RESTART_SECONDS
        if self._child is None and time.monotonic() >= self._restart_at:
            number = self._listener.fileno()
            command = [*COMMAND, str(number), *self._options]
            self._child = start_role("the speech engine", command, child_environment({}), [number])

    def end(self, signals: Signals) -> None:
        """Stop the process; what it hears at the moment is asked again at the next start."""
        self._listener.close()
        if self._child:
            self._child.end(signals, STOP_SECONDS)

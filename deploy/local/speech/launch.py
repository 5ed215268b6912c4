"""Starting the speech engine of `make run`, and where the service finds it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.listening import LOOPBACK, bound, port_of
from deploy.local.roles import start_role
from deploy.serving.processes import Child, Signals
from panzoto.config import Settings, child_environment
from panzoto.errors import SettingsError

COMMAND = [sys.executable, "-m", "deploy.local.speech.front"]
STOP_SECONDS = 10.0
# One that ends as soon as it starts would keep the machine busy.
RESTART_SECONDS = 5.0
# What the engine opens of a model. Without the last, which a conversion may leave out, it asks the network.
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


def is_wanted(settings: Settings) -> bool:
    """Whether this service shall have an engine of this machine, which it shall not where it has another."""
    has_another = child_environment({}, inherit=("TRANSCRIPTION_URL",)).get("TRANSCRIPTION_URL", "").strip()
    return settings.speech and not has_another


def require_model(settings: Settings) -> None:
    """See that a model that was chosen is there. Raises `SettingsError`."""
    folder = settings.speech_model
    if folder and is_wanted(settings) and (lacking := _lacking(folder)):
        raise SettingsError(
            f"SPEECH_MODEL must be a folder with a model in CTranslate2's form ({folder} {lacking})"
        )


def _lacking(folder: Path) -> str:
    """Return what keeps a folder from being a model; nothing where it is one."""
    if not folder.exists():
        return "is not there"
    if not folder.is_dir():
        return "is no folder"
    lacking = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARIES):
        lacking.append(" or ".join(VOCABULARIES))
    return f"lacks {', '.join(lacking)}" if lacking else ""


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

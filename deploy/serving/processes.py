"""What `make run` and the supervisor need to look after processes: signals, children, make as a parent."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

PR_SET_PDEATHSIG = 1
# One wish to stop can arrive twice, from make and from whoever told make; a second wish comes later.
AGAIN_SECONDS = 0.5


class ChildEnded(Exception):
    """A child ended by itself; the sentence says which, how, and where it may have said why."""


class Signals:
    """SIGINT, SIGTERM, SIGHUP and the end of a child, as something that can be waited for.

    `stops` counts how often somebody has asked to stop.
    """

    def __init__(self) -> None:
        self.stops = 0
        self._latest = -AGAIN_SECONDS
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._note)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        now = time.monotonic()
        if now - self._latest >= AGAIN_SECONDS:
            self.stops += 1
        self._latest = now

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`, or until the next signal."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 512)


class MakeWatch:
    """Tells whether the `make` that started this process was killed or interrupted by itself.

    make hands a SIGTERM on to what it runs, but leaves SIGINT and SIGHUP to the terminal, which sends them
    to all. When only make gets one of them (`kill -INT`, a test, an editor's stop button) it puts the
    signal's default action back and waits for us; where there is a /proc, that can be seen.
    """

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._is_make = self._field("Name") in ("make", "gmake")
        self._caught = self._catches()

    def stopped(self) -> bool:
        if not self._is_make:
            return False
        return os.getppid() != self._parent or (self._caught and not self._catches())

    def _catches(self) -> bool:
        mask = self._field("SigCgt")
        wanted = (1 << (signal.SIGINT - 1)) | (1 << (signal.SIGHUP - 1))
        return mask is not None and int(mask, 16) & wanted == wanted

    def _field(self, name: str) -> str | None:
        try:
            lines = Path(f"/proc/{self._parent}/status").read_text().splitlines()
        except OSError:
            return None
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(name + ":")), None)


@dataclass
class Child:
    """A process of ours, the leader of its own session and process group."""

    name: str
    process: subprocess.Popen[bytes]
    hint: str

    def require_alive(self) -> None:
        status = self.process.poll()
        if status is not None:
            how = f"with status {status}" if status >= 0 else f"by signal {-status}"
            raise ChildEnded(f"{self.name} ended {how}; {self.hint}")

    def end(self, signals: Signals, seconds: float, hurry: signal.Signals | None = None) -> bool:
        """Ask it to stop and wait for it, `seconds` at most; return False when it had to be killed.

        `hurry` is what to send it when somebody asks a second time.
        """
        stops = signals.stops
        self.process.terminate()
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            signals.wait(0.2)
            if hurry and signals.stops > stops:
                stops = signals.stops
                self.process.send_signal(hurry)
        in_time = self.process.poll() is not None
        # Nothing of its group may live on: a worker without its master would still hold the port.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return in_time


def end_with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` by which a child gets SIGTERM when this process dies, or None without Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return arrange

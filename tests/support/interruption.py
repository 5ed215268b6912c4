"""Whoever ends a run of the tests, by Ctrl-C or SIGTERM, is left with none of its processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType

from tests.support.processes import descendants

# prctl(2): orphans among the descendants become children of this process.
PR_SET_CHILD_SUBREAPER = 36
# What is asked to end has this long, all of it together.
PATIENCE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def heed() -> None:
    """Take SIGTERM as Ctrl-C, in this process: fixtures are torn down.

    A shell has what it starts in the background ignore SIGINT, and every child would inherit that.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> None:
    # From now on, what a process that ends leaves behind comes to this one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for each in _SIGNALS:
        signal.signal(each, _insisted)
    raise KeyboardInterrupt


def _insisted(number: int, frame: FrameType | None) -> None:
    end_descendants(0)
    os._exit(128 + number)


def end_descendants(patience: float = PATIENCE_SECONDS) -> None:
    """End every process that this one and its descendants have started, politely for so many seconds."""
    deadline = time.monotonic() + patience
    while pids := descendants(os.getpid()):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)

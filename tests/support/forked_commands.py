"""Commands of the service in processes that are forked from one that has loaded the code already.

Each runs in a process of its own, as one that `python -m` starts anew does, but for the second that importing
takes: `flask panzoto …`, gunicorn with the service, AWS's stand-in, or another module of the tests.
`python -m tests.support.forked_commands SOCKET MODULE…` is the process that they are forked from, with these
modules loaded, for as long as its standard input is open. Whoever connects to its socket sends a line of
JSON, a `_Start`, and is told the number of the process, and in the end its exit status.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# No command takes longer.
PATIENCE_SECONDS = 240
# A signal that nothing else here has a use for, and how long a process has to write its stacks after it.
TELL_STACKS = signal.SIGRTMIN + 5
STACKS_SECONDS = 1.0
# glibc reads its tunables when a process is started, so gunicorn's configuration starts itself anew unless it
# finds some, for which these stand.
ALLOCATION = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}
# prometheus-client counts in files, as it does under gunicorn, if it finds this when it is imported.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Code:
    """What is loaded before anything is forked, and the environment variable that names who shares it."""

    modules: tuple[str, ...]
    shared: str


SERVICE = Code(
    (
        "flask.cli",
        "gunicorn.app.wsgiapp",
        "gunicorn.arbiter",
        "prometheus_client.multiprocess",
        "panzoto.operations.cli",
        "panzoto.lifecycle.unfinished_deletions",
        "deploy.serving.worker",
        "tests.support.descriptions_read_once",
        "tests.support.fewer_shards",
        "tests.support.least_hashes",
        "tests.support.looked_for_at_once",
        "tests.support.routes_built_later",
    ),
    "PANZOTO_TEST_FORKED_COMMANDS",
)
STAND_IN = Code(("tests.support.moto_loaded",), "PANZOTO_TEST_FORKED_STAND_INS")


@dataclass(frozen=True)
class _Start:
    """What is started: its module and words, and where; it adds what it prints to two files."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    output: str
    errors: str
    leads_a_session: bool


class Command:
    """A command that runs, with what `subprocess.Popen` has of it."""

    def __init__(self, path: Path, start: _Start) -> None:
        """Start it; `path` is the socket of the process that has the code."""
        self.returncode: int | None = None
        self._output, self._errors = Path(start.output), Path(start.errors)
        with ExitStack() as ours:
            self._connection = ours.enter_context(socket.socket(socket.AF_UNIX))
            self._connection.connect(str(path))
            self._connection.sendall(json.dumps(asdict(start)).encode() + b"\n")
            self._told = ours.enter_context(self._connection.makefile())
            self.pid = int(self._told.readline())
            self._ours = ours.pop_all()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return its exit status if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return its exit status once it has ended. Raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise self._timed_out(timeout)
            with self._ours:
                told = self._told.readline()
            if not told:
                # Who waited for it was killed, and nobody else can say how it ends.
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self.returncode = int(told or -signal.SIGKILL)
        return self.returncode

    def _timed_out(self, timeout: float) -> subprocess.TimeoutExpired:
        """Return an error that tells, after some waiting, what it is at instead of ending."""
        error = subprocess.TimeoutExpired(str(self.pid), timeout)
        if timeout:
            with suppress(ProcessLookupError):
                os.kill(self.pid, TELL_STACKS)
            time.sleep(STACKS_SECONDS)
            error.add_note(self._errors.read_text("utf-8", errors="replace"))
        return error

    def communicate(self, timeout: float = PATIENCE_SECONDS) -> tuple[str, None]:
        """Return what it printed, and None, once it has ended. Raises `subprocess.TimeoutExpired`."""
        self.wait(timeout)
        return self._output.read_text("utf-8", errors="replace"), None


# What tests are given, however it was started.
Process = Command | subprocess.Popen[bytes]


class ForkedCommands:
    """Starts commands; several threads may do so at once."""

    def __init__(
        self, more: Mapping[str, str] | None = None, at: str | None = None, code: Code = SERVICE
    ) -> None:
        """Start the process that has the code, or use the one whose socket is `at`.

        `more` is added to the environment of the one that is started.
        """
        self._code = code
        self._folder = tempfile.TemporaryDirectory(prefix="panzoto-commands-")
        self.socket = Path(at or Path(self._folder.name) / "socket")
        self._process = None if at else self._started(dict(more or {}))
        self._starter = os.getpid()

    def _started(self, more: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_commands", str(self.socket), *self._code.modules],
            cwd=ROOT,
            env=os.environ | ALLOCATION | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # A Ctrl-C is for whoever runs the tests, who then ends what was forked: without this process, and
            # those that wait for the forked ones, nobody would know whose they are.
            start_new_session=True,
        )

    def start(self, environment: Mapping[str, str], *words: str, output: Path | None = None) -> Command:
        """Start `flask panzoto` with these words, in exactly this environment."""
        return self.start_module(environment, "flask", "panzoto", *words, output=output)

    def start_module(
        self,
        environment: Mapping[str, str],
        *words: str,
        folder: Path = ROOT,
        output: Path | None = None,
        errors: Path | None = None,
        leads_a_session: bool = False,
    ) -> Command:
        """Start what `python -m` starts with these words, in `folder`.

        What it prints is added to `output`, as are its errors unless they have a file of their own.
        """
        output = output or self._new_file()
        # Who starts it may read what it has printed before it is there.
        output.touch()
        self._wait_until_ready()
        whole = ALLOCATION | dict(environment)
        start = _Start(words, whole, str(folder), str(output), str(errors or output), leads_a_session)
        return Command(self.socket, start)

    def _wait_until_ready(self) -> None:
        eventually(
            lambda: self.socket.exists() or self._has_ended(),
            f"nobody listens at {self.socket}",
        )

    def _has_ended(self) -> bool:
        # Only who has started it can tell, and not a process that was forked since.
        return self._process is not None and self._starter == os.getpid() and self._process.poll() is not None

    def _new_file(self) -> Path:
        file, name = tempfile.mkstemp(dir=self._folder.name)
        os.close(file)
        return Path(name)

    def run_module(
        self, environment: Mapping[str, str], *words: str, folder: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Run what `python -m` runs with these words to its end."""
        output, errors = self._new_file(), self._new_file()
        command = self.start_module(environment, *words, folder=folder, output=output, errors=errors)
        status = command.wait()
        return subprocess.CompletedProcess(
            words, status, output.read_text("utf-8"), errors.read_text("utf-8")
        )

    def run(self, environment: Mapping[str, str], *words: str) -> tuple[int, str]:
        """Run `flask panzoto` with these words to its end; return its exit status, and what it printed."""
        command = self.start(environment, *words)
        printed, _ = command.communicate()
        return command.wait(), printed

    def end(self) -> None:
        """Let the process that has the code end, if it is ours; nobody hears of the end of what goes on."""
        if self._process is not None:
            self._process.communicate(timeout=60)
        self._folder.cleanup()


_forked: dict[Code, ForkedCommands] = {}


def forked(code: Code = SERVICE) -> ForkedCommands:
    """Return what starts them for this process, which is shared with its parent if that has said so."""
    if code not in _forked:
        _forked[code] = ForkedCommands(at=os.environ.get(code.shared), code=code)
    return _forked[code]


def share_forked() -> None:
    """Let all processes that this one starts from now on use the same, once they are ready."""
    for code in (SERVICE, STAND_IN):
        os.environ[code.shared] = str(forked(code).socket)


def end_forked() -> None:
    """End what this process has started of them."""
    while _forked:
        _, commands = _forked.popitem()
        commands.end()


def main() -> None:
    """Fork a process for each command, and tell whoever wanted it how it has ended."""
    _load(sys.argv[2:])
    connection = _next_command(sys.argv[1])
    if connection is None:
        return
    start = _Start(**json.loads(connection.makefile().readline()))
    if start.leads_a_session:
        os.setsid()
    # Who is told a number may kill the whole session that it leads at once.
    connection.sendall(f"{os.getpid()}\n".encode())
    connection.close()
    _become(start)
    _end(_run(start.words[0]))


def _run(module: str) -> int:
    """Run a module as `python -m` does, and return its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - it ends the process, which says why
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End as an interpreter does, but leave it to the kernel to take back all that was loaded."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _load(modules: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[METRICS_FOLDER] = folder
        for module in modules:
            importlib.import_module(module)
        del os.environ[METRICS_FOLDER]


@dataclass(frozen=True)
class _Running:
    """A process that was forked, who is to be told of its end, and the descriptor that says when that is."""

    pid: int
    connection: socket.socket
    descriptor: int

    def tell(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        # Whoever started it may have ended without waiting for it.
        with suppress(ConnectionError):
            self.connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)
        self.connection.close()


def _next_command(path: str) -> socket.socket | None:
    """Return who wants a command, in a process of its own each time; None in the first when all is over."""
    running: dict[int, _Running] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.unheard")
        listener.listen(64)
        # What is here for good need not be looked through, nor copied, by each process that collects garbage.
        gc.freeze()
        # Who sees it there is heard.
        Path(f"{path}.unheard").rename(path)
        while True:
            ready, _, _ = select.select([listener, sys.stdin, *running], [], [])
            for ended in running.keys() & ready:
                running.pop(ended).tell()
            if sys.stdin in ready:
                return None
            if listener in ready:
                connection, _ = listener.accept()
                pid = os.fork()
                if pid == 0:
                    # What others are told they are told by one process, and by its end if it has ended.
                    for other in running.values():
                        other.close()
                    return connection
                descriptor = os.pidfd_open(pid)
                running[descriptor] = _Running(pid, connection, descriptor)


def _added(path: str) -> BinaryIO:
    return Path(path).open("ab")


def _become(start: _Start) -> None:
    """Be what a process is that was started so."""
    with (
        Path(os.devnull).open("rb") as nothing,
        _added(start.output) as output,
        _added(start.errors) as errors,
    ):
        for at, file in enumerate((nothing, output, errors)):
            os.dup2(file.fileno(), at)
    faulthandler.register(TELL_STACKS)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv = list(start.words)


if __name__ == "__main__":
    main()

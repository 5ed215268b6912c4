"""A plugin of pytest: `--processes=N` runs modules side by side, in forks of the process that collected them.

With `--processes-when-idle=M` there are up to M as long as cores have nothing to do: many a test waits.
With `--together=FOLDER` a process that has begun there goes on there, with what the folder's tests share.

To load the tests and to make thousands of them takes longer than to run many a module, and processes that
each do so for themselves, as those of pytest-xdist do, take that long each. These have it from their parent.
Each takes one module after the other, in the order in which they were collected, and keeps what its session
shares. One that dies fails the test that it was at, and another goes on behind that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count, groupby, pairwise
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from _pytest import runner

# Within so many seconds the parent knows which of them are about to end anyway.
KNOWN_SECONDS = 1.0
# So often is looked at whether the machine has something to do.
LOOK_SECONDS = 1.0
# With so many cores without work, on the average since the last look, there is room for one process more; and
# with so few there is none for those that were started so.
IDLE_CORES, BUSY_CORES = 0.2, 0.05

Module = list[pytest.Item]


def add_option(parser: pytest.Parser) -> None:
    """Add the option, for whoever registers this plugin where it `is_wanted`."""
    parser.addoption("--processes", type=int, default=1, help="run modules side by side in so many processes")
    parser.addoption("--processes-when-idle", type=int, default=1, help="in so many while cores have no work")
    parser.addoption("--together", metavar="FOLDER", help="its modules in as few of them as have begun there")


def is_wanted(config: pytest.Config) -> bool:
    """Whether more than one process was asked for."""
    return config.getoption("processes", 1) > 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run what was collected, unless nothing is to be run."""
    option = session.config.option
    if option.collectonly or (session.testsfailed and not option.continue_on_collection_errors):
        return None
    _Parent(session).run()
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True


class _Machine:
    """The whole machine, and how many of its cores have no work."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._were = self._idle_seconds()
        self.idle_cores = 0.0

    def look(self) -> bool:
        """Count anew, if the last time was long enough ago; return whether that was done."""
        passed = time.monotonic() - self._since
        if passed < LOOK_SECONDS:
            return False
        idle = self._idle_seconds()
        self.idle_cores = (idle - self._were) / passed
        self._since, self._were = self._since + passed, idle
        return True

    def _idle_seconds(self) -> float:
        """Return how long cores have had no work until now, all together; nothing where nobody tells."""
        try:
            told = Path("/proc/stat").read_text().split(maxsplit=6)
        except OSError:
            return 0.0
        # Those that wait for a disk count as well (proc(5)).
        return (int(told[4]) + int(told[5])) / os.sysconf("SC_CLK_TCK")


@dataclass
class _Child:
    """A process as its parent knows it, with the tests that it has not begun, and the one that it is at."""

    number: int
    pid: int
    connection: Connection
    left: deque[pytest.Item]
    # As long as there are modules, and room for it.
    goes_on: bool = True
    # While it is one too many: what it has set up is there for when there is room again.
    rests: bool = False
    at: pytest.Item | None = None
    is_ending: bool = False


class _Parent:
    """Gives out modules, and tells this session what became of their tests."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._hook = session.config.hook
        self._modules = [list(items) for _, items in groupby(session.items, key=lambda item: item.path)]
        self._waiting = deque(range(len(self._modules)))
        self._children: dict[Connection, _Child] = {}
        self._numbers = count()
        self._machine = _Machine()
        option = session.config.option
        self._always, self._when_idle = option.processes, option.processes_when_idle
        self._together = option.together and session.config.invocation_params.dir / option.together
        self._is_ending = False

    def run(self) -> None:
        """Return once all is run, or as much as is to be."""
        reporter: Any = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            # Modules are not one behind the other, so their names are no headings.
            reporter.showfspath = False
        # Before any is forked: each gets a folder in it.
        self._session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        try:
            while (self._children or self._waiting) and not self._is_stopped():
                while self._waiting and self._going_on() < self._wanted():
                    self._let_one_more_go_on()
                if not self._waiting:
                    self._let_the_resting_end()
                for child in self._with_news(LOOK_SECONDS if self._waiting else None):
                    self._hear(child)
        finally:
            self._end()

    def _wanted(self) -> int:
        """Return how many there should be by now, of which each takes one module after the other."""
        if self._machine.look() and self._machine.idle_cores > IDLE_CORES:
            return max(self._always, min(self._when_idle, self._going_on() + 1))
        return self._always

    def _let_one_more_go_on(self) -> None:
        resting = [child for child in self._children.values() if child.rests]
        if resting:
            self._answer(resting[0], self._waiting[0])
        else:
            self._start(self._modules[self._waiting.popleft()])

    def _let_the_resting_end(self) -> None:
        for child in self._children.values():
            if child.rests:
                self._answer(child, None)

    def _going_on(self) -> int:
        """Return how many will take another module."""
        return sum(child.goes_on for child in self._children.values())

    def _with_news(self, seconds: float | None = None) -> list[_Child]:
        ready = wait(list(self._children), seconds)
        return [child for child in self._children.values() if child.connection in ready]

    def _start(self, module: Module) -> None:
        number = next(self._numbers)
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            # What belongs to others ends when they do, and not when this one does.
            for connection in (ours, *self._children):
                connection.close()
            _become_child(_Child(number, os.getpid(), theirs, deque(module)), self._session, self._modules)
        theirs.close()
        self._children[ours] = _Child(number, pid, ours, deque(module))

    def _hear(self, child: _Child) -> None:
        try:
            name, told = child.connection.recv()
        except (EOFError, OSError):
            self._forget(child)
        else:
            getattr(self, f"_on_{name}")(child, *told)

    def _on_next(self, child: _Child) -> None:
        """It is through with the last test that it has, but for tearing down what that has set up."""
        if self._is_stopped() or not self._waiting:
            self._answer(child, None)
        elif (number := self._next_behind(child)) is not None:
            self._answer(child, number)
        else:
            child.goes_on, child.rests = False, True

    def _answer(self, child: _Child, number: int | None) -> None:
        """Give it a module, or none, upon which it ends."""
        child.goes_on, child.rests = number is not None, False
        if number is not None:
            self._waiting.remove(number)
            child.left += self._modules[number]
        # Whoever asked and died has left it for another one.
        with suppress(ConnectionError):
            child.connection.send(number)

    def _next_behind(self, child: _Child) -> int | None:
        """Return the module of those that wait that a process goes on with; none if it is one too many.

        Who has set up what a folder's tests share goes on there in any case.
        """
        there = child.at.path.parent if child.at else None
        if there == self._together:
            for number in self._waiting:
                if self._modules[number][0].path.parent == there:
                    return number
        is_one_too_many = self._going_on() > self._always and self._machine.idle_cores < BUSY_CORES
        return None if is_one_too_many else self._waiting[0]

    def _on_begin(self, child: _Child) -> None:
        child.at = child.left.popleft()

    def _on_report(self, child: _Child, data: dict[str, Any]) -> None:
        report = self._hook.pytest_report_from_serializable(config=self._session.config, data=data)
        self._tell(child, report)

    def _on_finish(self, child: _Child) -> None:
        if child.at is not None:
            self._hook.pytest_runtest_logfinish(nodeid=child.at.nodeid, location=child.at.location)
        child.at = None

    def _on_warning(self, _child: _Child, text: str, filename: str, line: int, told: dict[str, Any]) -> None:
        message = warnings.WarningMessage(text, UserWarning, filename, line)
        self._hook.pytest_warning_recorded.call_historic(kwargs={"warning_message": message, **told})

    def _on_ending(self, child: _Child) -> None:
        child.is_ending = True

    def _tell(self, child: _Child, report: Any) -> None:
        # By this attribute pytest knows that modules run side by side; no line tells more of the process.
        report.node = SimpleNamespace(gateway=SimpleNamespace(id=child.number), _workerinfocache="")
        self._hook.pytest_runtest_logreport(report=report)

    def _is_stopped(self) -> bool:
        return bool(self._session.shouldfail or self._session.shouldstop)

    def _forget(self, child: _Child) -> None:
        """See how it has ended; the test that it was at has failed, and another one does what is left."""
        del self._children[child.connection]
        child.connection.close()
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        is_through = code == 0 and child.at is None and (not child.left or self._is_stopped())
        if self._is_ending or is_through:
            return
        how = f"ended by signal {-code}" if code < 0 else f"ended with status {code}"
        at = child.at = child.at or (child.left.popleft() if child.left else None)
        if at is None:
            self._session.shouldfail = f"a process that was through {how}"
            return
        sentence = f"The process that ran this test {how}."
        report = pytest.TestReport(at.nodeid, at.location, {}, "failed", sentence, "call")
        self._tell(child, report)
        self._on_finish(child)
        if child.left:
            self._start(list(child.left))

    def _end(self) -> None:
        """Interrupt those that still run, and wait until they have torn down what they have set up.

        A terminal interrupts all of them itself, and who is interrupted while tearing down leaves things.
        """
        self._is_ending = True
        deadline = time.monotonic() + KNOWN_SECONDS
        while self._children and (left := deadline - time.monotonic()) > 0:
            for child in self._with_news(left):
                self._hear(child)
        for child in self._children.values():
            with suppress(ProcessLookupError):
                if not child.is_ending:
                    os.kill(child.pid, signal.SIGTERM)
            # From now on nothing is heard, so nobody has to wait until it is.
            child.connection.close()
        for child in self._children.values():
            os.waitpid(child.pid, 0)


class _Teller:
    """In a child, tells the parent what is to be told to whoever runs the tests."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config = config
        self._connection = connection

    def tell(self, name: str, *told: Any) -> None:
        # The parent may have ended, or want to hear no more.
        with suppress(ConnectionError):
            self._connection.send((name, told))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self.tell("report", data)

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        text = f"{warning_message.category.__name__}: {warning_message.message}"
        told = {"when": when, "nodeid": nodeid, "location": location}
        self.tell("warning", text, warning_message.filename, warning_message.lineno, told)


def _become_child(child: _Child, session: pytest.Session, modules: Sequence[Module]) -> NoReturn:
    """Be the process that runs the module that is left to it and those that it is given behind it."""
    status = 1
    try:
        # What a test forks must not keep the parent from seeing that this process has died.
        os.register_at_fork(after_in_child=child.connection.close)
        teller = _Teller(session.config, child.connection)
        _keep_apart(session.config, str(child.pid))
        # A plugin that comes late is told of all warnings that there were, of which the parent knows.
        session.config.hook.pytest_warning_recorded._call_history.clear()  # type: ignore[union-attr]
        session.config.pluginmanager.register(teller)
        try:
            ask = partial(_Behind, modules, child.connection, teller)
            _run(session, list(child.left), ask, teller)
        finally:
            # It ends by itself now, and what it starts meanwhile heeds the signal as ever.
            signal.signal(signal.SIGTERM, lambda *_: None)
            teller.tell("ending")
            runner.pytest_sessionfinish(session)
        status = 0
    except KeyboardInterrupt:
        status = 2
    except BaseException:  # noqa: BLE001 - it ends the process, which says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # What is registered for the end of the run is the parent's.
        os._exit(status)


def _keep_apart(config: pytest.Config, name: str) -> None:
    """Share neither the terminal with others, nor the files of what is printed, nor a temporary folder."""
    plugins = config.pluginmanager
    plugins.unregister(name="terminalreporter")
    capture: Any = plugins.get_plugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()
        capture.start_global_capturing()
        capture.suspend_global_capture()
    factory = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = factory.getbasetemp() / name
    factory._basetemp.mkdir()


class _Behind:
    """What comes behind the last test that a process has; pytest looks at it when it tears that one down.

    Whoever asked earlier would keep a module from all others for as long as that test takes.
    """

    def __init__(self, modules: Sequence[Module], connection: Connection, teller: _Teller) -> None:
        self._modules = modules
        self._connection = connection
        self._teller = teller

    @cached_property
    def module(self) -> Module:
        """The next module, for which the parent is asked once; empty if there is none."""
        self._teller.tell("next")
        number = self._connection.recv()
        return [] if number is None else self._modules[number]

    @property
    def path(self) -> Path | None:
        return self.module[0].path if self.module else None

    def listchain(self) -> list[Any]:
        """Return what its first test shares with others, which stays; by nothing all is torn down."""
        return self.module[0].listchain() if self.module else []


def _run(session: pytest.Session, module: Module, ask: Callable[[], _Behind], teller: _Teller) -> None:
    while module:
        behind = ask()
        for item, following in pairwise([*module, behind]):
            teller.tell("begin")
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            teller.tell("finish")
            if session.shouldfail or session.shouldstop:
                return
        module = behind.module

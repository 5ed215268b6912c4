"""What tests share: one AWS stand-in and one running service, both real and over sockets."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.support.descriptions_read_once  # noqa: F401 - to load it is what it is for
from panzoto.config import Settings
from panzoto.models import bind_models
from tests import suites
from tests.support import interruption, side_by_side
from tests.support.aws import aws_environment, start_moto
from tests.support.aws_calls import RECORD
from tests.support.fault_proxy import FaultProxy
from tests.support.forked_commands import end_forked, share_forked
from tests.support.service import Service, empty_tables, let_hashes_cost_least, run_service
from tests.support.stand_in import RunningStandIn, start_stand_in
from tests.support.waiting import eventually

# All tests come from one address; those about the limits run services of their own.
UNLIMITED = {
    "LIMIT_REGISTER": "1000000 per minute",
    "LIMIT_LOGIN": "1000000 per minute",
    "LIMIT_DECRYPT": "1000000 per minute",
    "LIMIT_SESSION": "1000000 per minute",
    "LIMIT_LETTERS": "1000000 per hour",
}

# What the whole suite asked of AWS is judged once all of it has been asked.
LAST = "tests/deploy/aws/test_policy.py"
# What takes longest begins first, in this order: a process that begins it when the others are through lets
# them wait.
FIRST = (
    "tests/deploy/machine/test_install.py",
    "tests/deploy/machine/test_upgrade_from_1_0_0.py",
    "tests/browser/test_console_entrance.py",
    "tests/deploy/local/test_make_run.py",
    "tests/deploy/aws/test_cleanup.py",
    "tests/browser/test_console_words.py",
    "tests/mail/test_mail_queue.py",
    "tests/transcripts/test_hardship.py",
    "tests/lifecycle/test_chores_under_kills.py",
    "tests/test_faults.py",
    "tests/transcripts/test_job_workers.py",
    "tests/operations/test_size.py",
    "tests/host/test_sandbox.py",
    "tests/media/test_sound.py",
    "tests/transcripts/test_job_results.py",
    "tests/test_removal.py",
    "tests/examples/test_conformance.py",
    "tests/accounts/test_sessions.py",
    "tests/accounts/test_throttle_over_the_wire.py",
    "tests/operations/test_helpdesk.py",
    "tests/queues/test_consumer.py",
    "tests/host/test_aws_credentials.py",
    "tests/operations/test_command_group.py",
    "tests/lifecycle/test_chores.py",
    "tests/transcripts/test_jobs.py",
    "tests/migrations_from_rds/test_resuming.py",
    "tests/migrations_from_rds/test_following.py",
    "tests/playback/test_sittings.py",
    "tests/mail/test_mailbox.py",
    "tests/recordings/test_uploading_under_hardship.py",
    "tests/auth/test_openid.py",
    "tests/accounts/test_addresses.py",
)
# Two processes begin here by what is above, and go on here with the browsers that they have started; others
# do what is left in the end.
BROWSERS = "tests/browser/"
# The property of a test that has judged only a part.
PARTLY = "partly"
# No module takes longer.
LONGEST_SECONDS = 900
_COLLECTED = pytest.StashKey[set[Path]]()
_DESELECTED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--suite",
        choices=[suites.PLAIN, *suites.SUITES],
        help=f"run this suite of tests/suites.py alone; {suites.PLAIN} is all that needs nothing but Python",
    )
    side_by_side.add_option(parser)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of other suites than the chosen one, and their folders with what they load."""
    chosen = config.getoption("--suite")
    if chosen is None:
        return None
    suite = suites.suite_of(collection_path)
    # Other suites lie in folders of this one.
    leads_on = collection_path.suffix != ".py" and suite == suites.PLAIN
    return None if leads_on or suite == chosen else True


def pytest_configure(config: pytest.Config) -> None:
    """Let every stand-in of this session, in all its processes, write down what the service asks of AWS."""
    if RECORD not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="panzoto-aws-calls-")
        config.add_cleanup(folder.cleanup)
        os.environ[RECORD] = folder.name
    # Thousands of tests are made before the first is run, and all of them stay.
    gc.disable()
    config.stash[_DESELECTED] = 0
    config.add_cleanup(end_forked)
    interruption.heed()
    # The clients of other suites take nothing below OWASP's minima.
    if config.getoption("--suite") == suites.PLAIN:
        let_hashes_cost_least()
    config.add_cleanup(interruption.end_descendants)
    if side_by_side.is_wanted(config):
        config.pluginmanager.register(side_by_side)
        share_forked()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest modules before all others, and the judgement over the whole suite behind them."""
    items.sort(key=lambda item: (item.nodeid.startswith(LAST), _turn(item.nodeid)))
    config.stash[_COLLECTED] = {item.path for item in items if "::" in item.nodeid}


def pytest_collection_finish() -> None:
    """Let no collection of garbage look through what was made until now."""
    gc.freeze()
    gc.enable()


def _turn(nodeid: str) -> int:
    """Return which module's turn a test comes in: after `FIRST` come all others, as they were collected."""
    behind = len(FIRST) + nodeid.startswith(BROWSERS)
    return next((turn for turn, module in enumerate(FIRST) if nodeid.startswith(module)), behind)


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[_DESELECTED] += len(items)


def is_whole_suite(config: pytest.Config) -> bool:
    """Whether this session runs every test there is, and each of them whole."""
    there = set(Path(__file__).parent.rglob("test_*.py"))
    picked = any("::" in argument for argument in config.args)
    return not picked and not config.stash[_DESELECTED] and config.stash[_COLLECTED] >= there


def wait_for_the_others(config: pytest.Config) -> None:
    """Return once all other modules of this session have ended, if other processes run some of them."""
    if not side_by_side.is_wanted(config):
        return
    others = {_ended(path) for path in config.stash[_COLLECTED] if path != Path(__file__).parents[1] / LAST}
    eventually(
        lambda: all(mark.exists() for mark in others),
        lambda: f"never ended: {sorted(mark.name for mark in others if not mark.exists())}",
        LONGEST_SECONDS,
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Say that a module has ended after its last test, however that went."""
    try:
        yield
    finally:
        if nextitem is None or nextitem.path != item.path:
            _ended(item.path).touch()


def _ended(path: Path) -> Path:
    """Return the file that says that a module's tests have ended."""
    name = "-".join(path.relative_to(Path(__file__).parent).parts)
    return Path(os.environ[RECORD]) / f"{name}.ended"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    chosen = terminalreporter.config.getoption("--suite")
    if chosen == suites.PLAIN:
        terminalreporter.section("Not covered here")
        for name, suite in suites.SUITES.items():
            lacking = f" ({line})" if (line := suites.lacking([name])) else ""
            terminalreporter.write_line(f"make test-{name}: {suite.about}{lacking}")
        terminalreporter.write_line("make test-all: everything in one run")
    judged = [report for report in terminalreporter.getreports("passed") if report.nodeid.startswith(LAST)]
    if any((PARTLY, True) in report.user_properties for report in judged):
        terminalreporter.write_line(
            "A part of the suite was run, so the AWS policies were only judged for what they lack."
        )


_stand_ins: list[str] = []


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of an AWS stand-in."""
    with start_moto() as url:
        _stand_ins.append(url)
        yield url
        _stand_ins.remove(url)


@pytest.fixture(scope="module", autouse=True)
def _nothing_from_others() -> Iterator[None]:
    """Leave nothing to the next module: the more a table holds, the longer it takes to look through."""
    yield
    for url in _stand_ins:
        empty_tables(url)


@pytest.fixture(scope="session")
def service(moto: str) -> Iterator[Service]:
    """The running service, with cheap hashes, and as it is without what npm brings."""
    with run_service(moto, **UNLIMITED, CONSOLE="0") as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service: Service) -> Iterator[FaultProxy]:
    """What stands between AWS and `second`, and does to its calls what a test wants."""
    with FaultProxy(service.aws_url) as between:
        yield between


@pytest.fixture(scope="module")
def second(service: Service, proxy: FaultProxy) -> Iterator[Service]:
    """Another process of the same service, with the same secret, whose calls to AWS a test can disturb."""
    how = UNLIMITED | {"SECRET_KEY": service.secret_key()}
    with run_service(proxy.url, create_at=service.aws_url, **how) as running:
        yield running


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStandIn]:
    """The stand-in of `make run`, which judges the signatures of uploads and downloads."""
    with start_stand_in(tmp_path_factory.mktemp("stand-in")) as running:
        _stand_ins.append(running.url)
        yield running
        _stand_ins.remove(running.url)


@pytest.fixture(scope="session")
def service_on_stand_in(stand_in: RunningStandIn) -> Iterator[Service]:
    """A service beside the stand-in of `make run`, for what its signatures decide."""
    with run_service(stand_in.url, **stand_in.variables, **UNLIMITED) as running:
        yield running


@pytest.fixture(scope="session")
def console_libraries() -> None:
    """What the console needs of npm, fetched unless it is there."""
    fetched = subprocess.run(
        [sys.executable, "-m", "deploy.packages.console"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr


@pytest.fixture
def bound_here(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process use the tables of the running service, as its own code does."""
    for name, value in aws_environment(service.aws_url).items():
        monkeypatch.setenv(name, value)
    bind_models(Settings(custom_aws_endpoint=True))


_serial = itertools.count()


@pytest.fixture
def new_account(service: Service) -> Callable[..., dict[str, Any]]:
    """Make an account with an address nobody has; give it `password=` for another than the usual one."""

    def make(**how: Any) -> dict[str, Any]:
        return service.register(f"person-{next(_serial)}@example.com", **how)

    return make


@pytest.fixture
def account(new_account: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A fresh account, as register returned it."""
    return new_account()

"""Tests that run side by side tell the same as one after the other, whatever becomes of a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT

CONFTEST = """
import os
import pytest
from tests.support import side_by_side

def pytest_addoption(parser):
    side_by_side.add_option(parser)

def pytest_configure(config):
    if side_by_side.is_wanted(config):
        config.pluginmanager.register(side_by_side)

@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    yield os.getpid()
    with open("{folder}/torn-down", "a") as file:
        file.write(f"{{os.getpid()}}\\n")
"""
MODULE = """
import os, warnings
import pytest

@pytest.mark.parametrize("number", range(3))
def test_passes(number, shared, tmp_path):
    assert shared == os.getpid()
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").touch()

def test_fails():
    print("what module {number} printed")
    warnings.warn("what module {number} warned of")
    assert {number} == "another"

@pytest.fixture
def broken():
    raise LookupError("in a fixture")

def test_errs(broken):
    pass

@pytest.mark.skip(reason="not now")
def test_skipped():
    pass

@pytest.mark.xfail(strict=True)
def test_fails_as_expected():
    assert False
"""
DIES = """
import os

def test_before():
    pass

def test_dies():
    os._exit(3)

def test_behind():
    pass

def test_ends_well():
    os._exit(0)

def test_killed():
    os.kill(os.getpid(), 9)
"""


# Each waits until all three have begun.
WAITS = """
import pathlib, time

def test_waits(shared):
    here = pathlib.Path(__file__)
    here.with_suffix(".begun").touch()
    deadline = time.monotonic() + 60
    while len(list(here.parent.glob("*.begun"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
"""
# As if nothing else ran on the machine, and as if it had far too much to do.
IDLE = "side_by_side.LOOK_SECONDS, side_by_side.IDLE_CORES = 0.01, -1.0\n"
BUSY = "side_by_side.BUSY_CORES = float('inf')\n"
# One of another folder is held until those of this one have begun.
TOLD = """
import os, pathlib, time

HERE = pathlib.Path(__file__)
ABOVE = HERE.parents[1]

def test_tells():
    with open(ABOVE / f"of-{os.getpid()}", "a") as told:
        told.write(f"{HERE.parent.name}/{HERE.stem} ")
    deadline = time.monotonic() + 60
    while HERE.stem == "test_1" and "test_5" not in "".join(told.read_text() for told in ABOVE.glob("of-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
"""
IN_ORDER = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name)
"""


def run(folder: Path, *words: str, more: str = "") -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST.format(folder=folder) + more)
    options = ["-q", "-rA", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(folder), *words]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def summary(printed: str) -> list[str]:
    """Return which test ended how, and the count of each, without the seconds."""
    outcomes = sorted(re.findall(r"^(?:PASSED|FAILED|ERROR|SKIPPED|XFAIL) .*", printed, re.MULTILINE))
    return [*outcomes, printed.strip().splitlines()[-1].rpartition(" in ")[0]]


def test_they_tell_the_same(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"test_{number}.py").write_text(MODULE.format(number=number))
    alone = run(tmp_path)
    (tmp_path / "torn-down").unlink()
    together = run(tmp_path, "--processes=3")
    assert summary(together[1]) == summary(alone[1])
    assert summary(together[1])[-1] == "5 failed, 15 passed, 5 skipped, 5 xfailed, 5 warnings, 5 errors"
    assert together[0] == alone[0] == 1
    for number in range(5):
        assert together[1].count(f"what module {number} printed\n") == 1
        assert f"what module {number} warned of" in together[1]
    # What a process's session shares is there once for it, and torn down at its end.
    processes = (tmp_path / "torn-down").read_text().split()
    assert len(processes) == len(set(processes)) == 3


def test_a_process_that_dies_fails_its_test_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "test_1.py").write_text(DIES)
    (tmp_path / "test_2.py").write_text("def test_other(): pass")
    status, printed = run(tmp_path, "--processes=2")
    assert status == 1
    assert summary(printed)[-1] == "3 failed, 3 passed"
    assert "The process that ran this test ended with status 0." in printed
    assert "The process that ran this test ended with status 3." in printed
    assert "The process that ran this test ended by signal 9." in printed


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_failure_ends_it_if_that_is_wanted(tmp_path: Path, processes: int) -> None:
    (tmp_path / "test_1.py").write_text("def test_fails(): assert False\ndef test_behind(): pass")
    (tmp_path / "test_2.py").write_text(
        "import time\ndef test_long(): time.sleep(3)\ndef test_behind(): pass"
    )
    status, printed = run(tmp_path, f"--processes={processes}", "-x")
    assert status == 1
    assert "stopping after 1 failures" in printed
    assert "test_behind" not in printed


def test_what_cannot_be_collected_ends_it_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "test_1.py").write_text("import nothing_of_the_kind")
    (tmp_path / "test_2.py").write_text("def test_other(): pass")
    status, printed = run(tmp_path, "--processes=2")
    assert status == 2
    assert "1 error" in summary(printed)[-1]


def test_cores_without_work_are_used_by_more_of_them(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"test_{number}.py").write_text(WAITS)
    status, printed = run(tmp_path, "--processes=2", "--processes-when-idle=3", more=IDLE)
    assert status == 0, printed
    assert summary(printed)[-1] == "3 passed"


def test_who_is_one_too_many_rests_until_there_is_room_and_nothing_is_left_out(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"test_{number}.py").write_text(WAITS)
    for number in range(3, 9):
        (tmp_path / f"test_{number}.py").write_text(MODULE.format(number=number))
    words = ("--processes=2", "--processes-when-idle=3")
    status, printed = run(tmp_path, *words, more=IDLE + BUSY)
    assert status == 1
    assert summary(printed)[-1] == "6 failed, 21 passed, 6 skipped, 6 xfailed, 6 warnings, 6 errors"
    # Of those that have begun none has ended early, and no other was needed.
    assert len((tmp_path / "torn-down").read_text().split()) == 3


@pytest.mark.parametrize("more", ["", IDLE + BUSY], ids=["as always", "one too many"])
def test_who_has_begun_in_a_folder_of_which_much_is_shared_goes_on_there(tmp_path: Path, more: str) -> None:
    for number, folder in enumerate(("shared", "other", "other", "other", "shared", "shared")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"test_{number}.py").write_text(TOLD)
    words = ("--processes=2", "--processes-when-idle=3", "--together=shared")
    status, printed = run(tmp_path, *words, more=IN_ORDER + more)
    assert status == 0, printed
    first = next(told for file in tmp_path.glob("of-*") if "test_0" in (told := file.read_text()))
    assert first.startswith("shared/test_0 shared/test_4 shared/test_5 ")

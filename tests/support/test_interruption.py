"""A run of the tests that is interrupted takes along what it started, and what that started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import ROOT
from tests.support.waiting import eventually

# What takes no time to load is forked as what does.
CODE = """Code(("http.server",), "PANZOTO_TEST_FORKED_HERE")"""
CONFTEST = """
import os
from tests.support import forked_commands, interruption, side_by_side
from tests.support.forked_commands import Code

def pytest_addoption(parser):
    side_by_side.add_option(parser)

def pytest_configure(config):
    config.add_cleanup(forked_commands.end_forked)
    interruption.heed()
    config.add_cleanup(interruption.end_descendants)
    if side_by_side.is_wanted(config):
        config.pluginmanager.register(side_by_side)
    os.environ[{code}.shared] = str(forked_commands.forked({code}).socket)
"""
# A child in a session of its own, which has a child as well, and one that is forked.
TEST = """
import subprocess, sys
from pathlib import Path
from tests.support.forked_commands import Code, forked

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
CHILD = '''
import os, subprocess, sys, time
grandchild = subprocess.Popen(sys.argv[2:])
open(sys.argv[1], "w").write(f"{{os.getpid()}} {{grandchild.pid}} ")
time.sleep(600)
'''

def test_{number}():
    server = forked({code}).start_module({{}}, "http.server", "0", leads_a_session=True)
    Path("{folder}/pids-{number}-forked").write_text(f"{{server.pid}} ")
    child = [sys.executable, "-c", CHILD, "{folder}/pids-{number}", *SLEEP]
    subprocess.Popen(child, start_new_session=True).wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_nothing_is_left(tmp_path: Path, number: signal.Signals, processes: str) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.format(code=CODE))
    for one in (1, 2):
        (tmp_path / f"test_{one}.py").write_text(TEST.format(number=one, folder=tmp_path, code=CODE))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--processes={processes}"]
    with (tmp_path / "output").open("wb") as output:
        run = subprocess.Popen(
            [*command, "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wanted = 6 if processes == "2" else 3
    eventually(lambda: len(started(tmp_path)) == wanted, (tmp_path / "output").read_text)
    # As a terminal does it, and timeout(1): to all that run in it.
    os.killpg(run.pid, number)
    assert run.wait(120) == 2, (tmp_path / "output").read_text()
    eventually(lambda: not any(map(is_there, started(tmp_path))), lambda: started(tmp_path))


def started(folder: Path) -> list[int]:
    return [int(pid) for file in folder.glob("pids-*") for pid in file.read_text().split()]


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()

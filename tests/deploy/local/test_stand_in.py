"""What uploads, downloads and playback are tested against is the very program that `make run` starts."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from deploy.local import stand_in_launch as starting
from tests.playback import test_opening
from tests.recordings import test_uploads
from tests.support.make_run import started
from tests.support.processes import command, opened
from tests.support.service import Service
from tests.support.stand_in import RunningStandIn


def listening_pid(url: str) -> int:
    """The process that listens on the port of `url`, by its socket's inode."""
    port = urlsplit(url).port
    assert port is not None
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    (inode,) = [row.split()[9] for row in rows if re.search(rf" [0-9A-F]+:{port:04X} [0-9A-F:]+ 0A ", row)]
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = opened(int(folder.parent.name)).values()
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            return int(folder.parent.name)
    raise AssertionError(f"nobody listens at {url}")


def program(pid: int) -> list[str]:
    """The words of a command, but for the numbers of its sockets."""
    return [word for word in command(pid).split() if not word.isdigit()]


def variables(pid: int) -> set[str]:
    text = Path(f"/proc/{pid}/environ").read_text()
    return {pair.partition("=")[0] for pair in text.split("\0") if pair}


@pytest.mark.parametrize("module", [test_uploads, test_opening])
def test_the_tests_of_uploads_and_playback_use_it(
    module: object, service_on_stand_in: Service, stand_in: RunningStandIn
) -> None:
    assert hasattr(module, "service")
    account = service_on_stand_in.register(f"{getattr(module, '__name__', '')}@example.com")
    upload = service_on_stand_in.call("POST", "/api/uploads", account["token"], json={"file_size": 5}).json()
    url = upload["upload"]["url"]
    assert listening_pid(url) == stand_in.pid
    assert program(stand_in.pid) == starting.COMMAND
    put = requests.put(url, b"hello", headers=upload["upload"]["headers"], timeout=30)
    assert put.status_code == 200
    damaged = url.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert requests.put(damaged, b"hello", headers=upload["upload"]["headers"], timeout=30).status_code == 403


def test_make_run_starts_that_program_in_that_environment(stand_in: RunningStandIn, tmp_path: Path) -> None:
    with started(tmp_path) as run:
        pid = listening_pid(run.aws_url())
        assert program(pid) == program(stand_in.pid) == starting.COMMAND
        assert variables(pid) == variables(stand_in.pid)

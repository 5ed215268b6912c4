"""README.md as a newcomer walks it: every line of its shell blocks, in order, beside a `make run`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suites import need
from tests.support.aws import free_port
from tests.support.make_run import SUPERVISOR, started
from tests.support.readme import WALK
from tests.support.service import ROOT

# The service and the stand-in are on free ports here; the tour says which lines name the usual ones.
USUAL_PORTS = ("127.0.0.1:5000", "127.0.0.1:5566")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tour_works_to_its_last_line(shell: str, tmp_path: Path) -> None:
    """An interactive zsh reads comments and words as a Mac's does."""
    need("curl")
    folder = tmp_path / "panzoto"
    folder.mkdir()
    for name in (".venv", "examples", "deploy", "panzoto", "wsgi.py"):
        (folder / name).symlink_to(ROOT / name)
    port, aws_port = free_port(), free_port()
    with started(
        folder,
        SUPERVISOR,
        PORT=str(port),
        PANZOTO_AWS_PORT=str(aws_port),
        PANZOTO_DATA_DIR=".panzoto",
        SPEECH="1",
    ):
        text = "".join(WALK)
        assert all(usual in text for usual in USUAL_PORTS)
        script = text.replace(USUAL_PORTS[0], f"127.0.0.1:{port}").replace(
            USUAL_PORTS[1], f"127.0.0.1:{aws_port}"
        )
        # A shell that reads lines as they are typed; `-e` stops at the first that fails.
        walked = subprocess.run(
            [need(shell), "-e", *(["-i"] if shell == "zsh" else [])],
            input=f"set -o pipefail\n{script}\necho 'walked to the end'\n",
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "ZDOTDIR": str(tmp_path),
                "TERM": "dumb",
                "PYTHON": sys.executable,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert walked.returncode == 0, walked.stdout + walked.stderr
    for told in (
        "RIFF",
        "the same to the last byte",
        "On Sunday afternoon we walked along the river and talked about the summer.",
        '"text": "along the river"',
        "It works.",
        "panzoto-users",
        "walked to the end",
    ):
        assert told in walked.stdout, walked.stdout + walked.stderr
    # The wrong password opened nothing.
    assert '"code":"invalid_password"' in walked.stdout.replace(" ", "")

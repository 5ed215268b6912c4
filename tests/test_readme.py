"""README.md as a newcomer walks it: every line of its shell blocks, in order, beside a `make run`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.aws import free_port
from tests.support.make_run import SUPERVISOR, started
from tests.support.service import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# The first block gets the project and starts it, which is done otherwise here.
GETTING, *WALK = BLOCKS
# The service and the stand-in are on free ports here; the tour says which lines name the usual ones.
USUAL_PORTS = ("127.0.0.1:5000", "127.0.0.1:5566")


def shells() -> list[str]:
    """bash, and zsh where it is: an interactive shell's reading of comments and words, which Macs have."""
    return [shell for shell in ("bash", "zsh") if shutil.which(shell)]


def test_no_line_holds_a_comment_that_zsh_would_run() -> None:
    for block in BLOCKS:
        assert "#" not in block
    indented = re.findall(r"^ {4}\S.*$", README, re.MULTILINE)
    assert not any("#" in line or "`" in line for line in indented)


def test_it_says_how_to_get_and_to_start_it() -> None:
    assert GETTING.split("\n")[0].startswith("git clone ")
    assert GETTING.splitlines()[-1] == "make run"


@pytest.mark.parametrize("shell", shells())
def test_the_tour_works_to_its_last_line(shell: str, tmp_path: Path) -> None:
    folder = tmp_path / "panzoto"
    folder.mkdir()
    for name in (".venv", "examples", "deploy", "panzoto", "wsgi.py"):
        (folder / name).symlink_to(ROOT / name)
    port, aws_port = free_port(), free_port()
    with started(
        folder, SUPERVISOR, PORT=str(port), PANZOTO_AWS_PORT=str(aws_port), PANZOTO_DATA_DIR=".panzoto"
    ):
        text = "".join(WALK)
        assert all(usual in text for usual in USUAL_PORTS)
        script = text.replace(USUAL_PORTS[0], f"127.0.0.1:{port}").replace(
            USUAL_PORTS[1], f"127.0.0.1:{aws_port}"
        )
        # A shell that reads lines as they are typed; `-e` stops at the first that fails.
        walked = subprocess.run(
            [shell, "-e", "-i"] if shell == "zsh" else [shell, "-e"],
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
    for told in ("RIFF", "the same to the last byte", "It works.", "panzoto-users", "walked to the end"):
        assert told in walked.stdout, walked.stdout + walked.stderr
    # The wrong password opened nothing.
    assert '"code":"invalid_password"' in walked.stdout.replace(" ", "")

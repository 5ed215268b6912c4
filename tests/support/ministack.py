"""The AWS stand-in that `make run` starts, in a process of its own on a free loopback port."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.listening import LOOPBACK
from deploy.local.stand_in_launch import COMMAND
from deploy.local.stand_in_settings import StandInSettings
from tests.support.aws import REGION, ROOT
from tests.support.service import BUCKET

START_SECONDS = 60.0


@contextmanager
def start_ministack(**environment: str) -> Iterator[str]:
    """Run the stand-in while the block runs; gives its URL once it answers.

    `environment` is added to its own, such as what moves its clock. Raises
    `RuntimeError` with its output when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="panzoto-ministack-") as folder, tempfile.TemporaryFile() as log:
        (Path(folder) / "tmp").mkdir()
        with socket.create_server((LOOPBACK, 0), backlog=128) as listener:
            port = listener.getsockname()[1]
            process = subprocess.Popen(
                [*COMMAND, str(listener.fileno())],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(Path(folder), port) | environment,
                pass_fds=(listener.fileno(),),
            )
        url = f"http://{LOOPBACK}:{port}"
        try:
            if not _answers(process, url):
                log.seek(0)
                raise RuntimeError("ministack did not start:\n" + log.read().decode(errors="replace")[-4000:])
            yield url
        finally:
            # The end of its standard input stops it.
            process.communicate(timeout=30)


def _environment(folder: Path, port: int) -> dict[str, str]:
    settings = StandInSettings(folder, port, REGION, BUCKET, "testing")
    settings.make_folders()
    own = {"PATH": os.environ["PATH"], "HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
    return settings.environment() | own


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/_ministack/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False

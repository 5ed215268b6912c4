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

from deploy.local.make_run import LOOPBACK, STAND_IN, STAND_IN_SERVICES
from tests.support.aws import REGION, ROOT

START_SECONDS = 60.0


@contextmanager
def start_ministack(**environment: str) -> Iterator[str]:
    """Run the stand-in while the block runs; gives its URL once it answers.

    `environment` is added to its own, such as what moves its clock. Raises
    `RuntimeError` with its output when it does not come up.
    """
    with tempfile.TemporaryDirectory(prefix="panzoto-ministack-") as folder, tempfile.TemporaryFile() as log:
        for name in ("state", "objects", "tmp"):
            (Path(folder) / name).mkdir()
        with socket.create_server((LOOPBACK, 0), backlog=128) as listener:
            port = listener.getsockname()[1]
            process = subprocess.Popen(
                [*STAND_IN, str(listener.fileno())],
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
    return {
        "PATH": os.environ["PATH"],
        "GATEWAY_PORT": str(port),
        "SERVICES": STAND_IN_SERVICES,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "objects"),
        "MINISTACK_REGION": REGION,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder / 'tmp' / 'no-docker'}",
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/_ministack/health", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False

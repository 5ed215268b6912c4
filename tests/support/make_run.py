"""`make run` for tests: the supervisor in its own processes, its ports, folder, output and signals."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.aws import free_port
from tests.support.processes import children
from tests.support.service import BUCKET, CHEAP_HASHES, PASSWORD, ROOT, aws_client
from tests.support.waiting import eventually

SUPERVISOR = [sys.executable, "-m", "deploy.local.make_run"]
# What is spawned so has a terminal, as a person has one.
AT_A_TERMINAL = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *SUPERVISOR]
BANNER_END = "Accounts and recordings are kept."
SECONDS = 60.0
ADDRESS = {"email": "test@example.com", "password": PASSWORD}
RECORDING = os.urandom(200_000)


@dataclass
class Run:
    """One `make run`: what it printed, and how to reach what it started."""

    process: subprocess.Popen[bytes]
    output: Path
    url: str
    data_dir: Path
    kept_token: str = ""

    def text(self) -> str:
        return self.output.read_text("utf-8", errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        def over() -> bool:
            # Whether it runs is asked first: what it printed last would be missed otherwise.
            return self.process.poll() is not None or re.search(pattern, self.text()) is not None

        eventually(over, lambda: f"{pattern!r} was not printed:\n{self.text()}")
        found = re.search(pattern, self.text())
        assert found is not None, f"{pattern!r} was not printed:\n{self.text()}"
        return found

    def ended(self) -> int:
        return self.process.wait(SECONDS)

    def aws_url(self) -> str:
        return self.wait_for(r"AWS +(http://127\.0\.0\.1:\d+)").group(1)

    def s3(self) -> Any:
        return aws_client("s3", self.aws_url())

    def children(self) -> list[int]:
        """The processes that the supervisor started, the stand-in first."""
        return children(self.process.pid)

    def register(self) -> str:
        answer = requests.post(self.url + "/api/register", json=ADDRESS, timeout=30)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["token"]
        return token

    def token(self) -> str:
        """The access token of the one account, in a session of its own for each run."""
        if not self.kept_token:
            self.kept_token = self.log_in().json()["token"]
        return self.kept_token

    def user_id_of(self, token: str) -> str:
        answer = requests.get(self.url + "/api/user", headers=bearer(token), timeout=30)
        user_id: str = answer.json()["user_id"]
        return user_id

    def log_in(self) -> requests.Response:
        return requests.post(self.url + "/api/login", json=ADDRESS, timeout=30)

    def record(self, token: str) -> None:
        """Put a recording into the bucket and tell the service of it."""
        self.s3().put_object(Bucket=BUCKET, Key="users/me/audio-1.3gp", Body=RECORDING)
        answer = requests.post(
            self.url + "/api/audio-file",
            json={"s3_key": "users/me/audio-1.3gp"},
            headers=bearer(token),
            timeout=30,
        )
        assert answer.status_code == 201, answer.text

    def assert_all_is_there(self) -> None:
        login = self.log_in()
        assert login.status_code == 200, login.text
        listed = requests.get(
            self.url + "/api/user/audio-files", headers=bearer(login.json()["token"]), timeout=30
        )
        assert [file["s3_key"] for file in listed.json()["audio_files"]] == ["users/me/audio-1.3gp"]
        stored = self.s3().get_object(Bucket=BUCKET, Key="users/me/audio-1.3gp")
        assert stored["Body"].read() == RECORDING


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def running(folder: Path, command: list[str] | None = None, **settings: str) -> Iterator[Run]:
    """Start the supervisor in a session of its own, as a terminal would, and see that nothing of it is left.

    `folder` holds its data and what it prints; `command` is what starts it.
    """
    folder.mkdir(exist_ok=True)
    port = settings.get("PORT") or str(free_port())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PANZOTO_DATA_DIR": str(folder / "data"),
        "PANZOTO_AWS_PORT": str(free_port()),
        "METRICS_PORT": "0",
        # They would be fetched; those who want them say so.
        "SPEECH": "0",
        "CONSOLE": "0",
        "PORT": port,
        **CHEAP_HASHES,
        **settings,
    }
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command or SUPERVISOR,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    run = Run(process, output, f"http://127.0.0.1:{port}", folder / "data")
    try:
        yield run
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(SECONDS)


@contextmanager
def started(folder: Path, command: list[str] | None = None, **settings: str) -> Iterator[Run]:
    with running(folder, command, **settings) as run:
        run.wait_for(BANNER_END)
        yield run


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def is_free(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0

"""The service under test: real gunicorn with its real configuration, and a client for it."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.aws import aws_environment, free_port
from tests.support.processes import children
from tests.support.server_process import end
from tests.support.waiting import comes_up

ROOT = Path(__file__).resolve().parents[2]
GUNICORN_SETTINGS = ROOT / "deploy" / "serving" / "gunicorn.conf.py"
SECRET_KEY = "bench-only-6Zb1vQ0dTq8xYc3LrNw7Jm5Ks2Hf9Pg4"


@dataclass(frozen=True)
class Service:
    """A running service: where it answers, its one worker (or one of them), and its folders."""

    port: int
    worker: int
    data_dir: Path
    temp_dir: Path
    log: Path

    def connect(self) -> Client:
        return Client("127.0.0.1", self.port)

    def log_text(self) -> str:
        """What the service has logged so far."""
        return self.log.read_text(errors="replace")


class Client:
    """One kept connection that speaks JSON; reconnects when the other side has closed."""

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=120)
        self.token = token

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """The status and the decoded JSON of one request."""
        status, content = self.raw(method, path, body)
        return status, json.loads(content)

    def expect(
        self, status: int, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The decoded answer. Raises `RuntimeError` when it has another status than `status`."""
        got, answer = self.call(method, path, body)
        if got != status:
            raise RuntimeError(f"{method} {path.partition('?')[0]} answered {got}: {answer}")
        decoded: dict[str, Any] = answer
        return decoded

    def raw(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if self._was_closed():
            self._connection.close()
        self._connection.request(method, path, body=content, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()

    def _was_closed(self) -> bool:
        """Whether the service has closed the idle connection: nothing else can be readable on it."""
        connection = self._connection.sock
        return connection is not None and bool(select.select([connection], [], [], 0)[0])


def environment(aws_url: str, folder: Path, **more: str) -> dict[str, str]:
    """What a bench's child processes run with; nothing of the caller's AWS or Panzoto settings remains."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    return {
        **kept,
        **aws_environment(aws_url),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder / "tmp"),
        "PANZOTO_DATA_DIR": str(folder / "data"),
        "FLASK_ENV": "development",
        "SECRET_KEY": SECRET_KEY,
        "WEB_CONCURRENCY": "1",
        "METRICS_PORT": "0",
        "LIMIT_REGISTER": "100000 per minute",
        "LIMIT_LOGIN": "100000 per minute",
        "LIMIT_DECRYPT": "100000 per minute",
        "LIMIT_FAILURES": "100000",
        "LIMIT_SESSION": "100000 per minute",
        **more,
    }


@contextmanager
def running(
    aws_url: str, app: str = "wsgi:app", health: str = "/api/health", **more: str
) -> Iterator[Service]:
    """Run `app` behind gunicorn with the service's own configuration file while the block runs.

    Raises `RuntimeError` with the log when it does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="panzoto-bench-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        (folder / "data").mkdir()
        port = free_port()
        log = folder / "log"
        command = [sys.executable, "-m", "gunicorn", "--config", str(GUNICORN_SETTINGS), app]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(aws_url, folder, PORT=str(port), **more),
                stdout=output,
                stderr=output,
            )
        try:
            if not comes_up(process, f"http://127.0.0.1:{port}{health}"):
                raise RuntimeError("the service did not start:\n" + log.read_text(errors="replace")[-4000:])
            worker = _worker(process.pid, int(more.get("WEB_CONCURRENCY", "1")))
            yield Service(port, worker, folder / "data", folder / "tmp", log)
        finally:
            end(process, 30)


def create_resources(aws_url: str) -> None:
    """Make the tables and the bucket, by the service's own command."""
    with tempfile.TemporaryDirectory(prefix="panzoto-bench-") as name:
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi:app", "panzoto", "resources", "create"],
            cwd=ROOT,
            env=environment(aws_url, Path(name)),
            stdout=subprocess.DEVNULL,
            check=True,
        )


def path_of(url: str) -> str:
    """The path and query of an absolute URL, for a connection that is already open."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _worker(master: int, expected: int) -> int:
    workers = children(master)
    if len(workers) != expected:
        raise RuntimeError(f"expected {expected} gunicorn workers, found {len(workers)}")
    return workers[0]

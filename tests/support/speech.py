"""The speech engine's interface for tests, in a process of its own, with whatever is to hear behind it."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from deploy.local.speech.front import serve
from tests.support.forked_commands import Command, forked
from tests.support.server_process import end

PROGRAM = "tests.support.speech"
DEAF = str(Path(__file__).with_name("deaf_listener.py"))
STOP_SECONDS = 10.0
START_SECONDS = 60.0


@dataclass(frozen=True)
class Front:
    """A running interface, and the folder of the marks by which a test leads what stands behind it."""

    process: Command
    url: str
    folder: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def mark(self, name: str) -> None:
        (self.folder / name).touch()

    def held(self) -> list[int]:
        """The processes that have begun to hold a sound, one entry for each sound."""
        path = self.folder / "held"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ask(self, content: bytes = b"sound", **fields: Any) -> requests.Response:
        return ask(self.url, content, **fields)

    def health(self) -> requests.Response:
        return requests.get(self.url + "/health", timeout=60)


def ask(url: str, content: bytes, **fields: Any) -> requests.Response:
    """Ask an engine as the service's worker does; `fields` are further ones."""
    data = {
        "model": "whisper",
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["segment", "word"],
        "temperature": "0",
        **fields,
    }
    return requests.post(
        url + "/v1/audio/transcriptions",
        data=data,
        files={"file": ("audio.flac", content, "audio/flac")},
        timeout=300,
    )


@contextmanager
def front(
    folder: Path, command: Sequence[str] = (), patience: float = 0.0, fetch: Sequence[str] = ()
) -> Iterator[Front]:
    """Run the interface before `command`, by default a process that does what a test wants."""
    scratch = folder / "tmp"
    scratch.mkdir()
    words = command or (sys.executable, DEAF, str(folder))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = _started(listener, scratch, str(patience), str(len(fetch)), *fetch, *words)
    try:
        yield Front(process, f"http://127.0.0.1:{port}", folder)
    finally:
        end(process, STOP_SECONDS)


def _started(listener: socket.socket, scratch: Path, *words: str) -> Command:
    """Start the process, and hand it the socket: forked from another than this one, it inherits none."""
    # A test's own folder may have a longer path than a socket may.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as waiting:
        waiting.bind(path := f"{folder}/listener")
        waiting.listen()
        waiting.settimeout(START_SECONDS)
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(scratch)}
        process = forked().start_module(environment, PROGRAM, path, *words)
        with waiting.accept()[0] as connection:
            socket.send_fds(connection, [b"\0"], [listener.fileno()])
    return process


def _handed_over(path: str) -> socket.socket:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        _, (number,), _, _ = socket.recv_fds(connection, 1, 1)
    return socket.socket(fileno=number)


def main() -> None:
    path, patience, length = sys.argv[1:4]
    fetch, command = sys.argv[4 : 4 + int(length)], sys.argv[4 + int(length) :]
    # Who it was forked from has made temporary files elsewhere than it is to, and would be remembered.
    tempfile.tempdir = None
    with _handed_over(path) as listener:
        serve(listener, lambda: command, fetch, float(patience))


if __name__ == "__main__":
    main()

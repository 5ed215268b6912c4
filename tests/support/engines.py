"""A speech engine for tests: a real server on a free port whose manners a test chooses.

with SpeechEngine(says({"text": "Hello"})) as engine:
    Engine(EngineSettings(engine.url)).transcribe(...)
    assert engine.requests[0].fields["model"] == ["whisper-1"]
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Heard:
    """One request as it came; `fields` are the form's, in order of their names' first appearance."""

    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, Sequence[str]]
    file_name: str | None
    file: bytes


class Handler(BaseHTTPRequestHandler):
    """Takes a form, then does what the engine's manner says."""

    protocol_version = "HTTP/1.1"
    server: _Server
    # The request that is being answered.
    heard: Heard

    def do_POST(self) -> None:
        self.close_connection = True
        engine = self.server.engine
        self.heard = self._heard()
        engine.requests.append(self.heard)
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            engine.manner(self)
        engine.finished.set()

    do_GET = do_POST  # noqa: N815 - the name is the library's

    def _heard(self) -> Heard:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = f"Content-Type: {self.headers.get('Content-Type', 'text/plain')}\r\n\r\n".encode()
        fields: dict[str, list[str]] = {}
        name, content = None, b""
        whole = message_from_bytes(kind + body)
        for part in whole.walk():
            if part.is_multipart() or part.get_content_disposition() != "form-data":
                continue
            key, payload = _name_and_payload(part)
            if part.get_filename() is not None:
                name, content = part.get_filename(), payload
            fields.setdefault(key, []).append("" if part.get_filename() else payload.decode())
        return Heard(self.path, dict(self.headers.items()), fields, name, content)

    def send(self, status: int, content: bytes, **headers: str) -> None:
        """Send an answer as it should be, unless `headers` say otherwise."""
        self.send_response(status)
        told = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        for name, value in {**told, **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def wait_until_left(self) -> None:
        """Return when the client has closed its side."""
        with suppress(OSError):
            while self.connection.recv(1024):
                pass

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


def _name_and_payload(part: Message) -> tuple[str, bytes]:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    key = part.get_param("name", header="content-disposition")
    assert isinstance(key, str)
    return key, payload


Manner = Callable[[Handler], None]


def says(answer: object, status: int = 200, **headers: str) -> Manner:
    """Answer JSON."""
    return lambda handler: handler.send(status, json.dumps(answer).encode(), **headers)


def sends(content: bytes, status: int = 200, **headers: str) -> Manner:
    """Answer these bytes."""
    return lambda handler: handler.send(status, content, **headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    engine: SpeechEngine

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves, or does not trust the certificate, is nothing to print."""


@dataclass
class SpeechEngine:
    """Listens on loopback while its `with` block runs; over TLS when it is given a context."""

    manner: Manner
    tls: ssl.SSLContext | None = None
    requests: list[Heard] = field(default_factory=list)
    finished: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.engine = self
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}/v1"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

"""An HTTP proxy that a browser is told to use: it passes everything on, and keeps every request whole.

A browser's own instruments do not see all that its workers send; what goes over the line does.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.support.crowd_server import CrowdServer

PIECE = 64 * 1024
# Of one connection alone: RFC 9110 (7.6.1).
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "transfer-encoding"}
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Sent:
    """One request as it left the browser."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def holds(self, needle: bytes) -> bool:
        """Whether the bytes stand in it anywhere."""
        lines = [self.url, *(f"{name}: {value}" for name, value in self.headers)]
        return needle in self.body or any(needle in line.encode("utf-8", "replace") for line in lines)


@dataclass
class RecordingProxy:
    """Where it listens, and what has passed through it."""

    url: str
    sent: list[Sent] = field(default_factory=list)


@contextmanager
def recording_proxy() -> Iterator[RecordingProxy]:
    """Run one on a free loopback port while the block runs."""
    server = CrowdServer(("127.0.0.1", 0), _Handler)
    proxy = RecordingProxy(f"http://127.0.0.1:{server.server_address[1]}")
    server.proxy = proxy  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        # What ends a connection on either side ends it on the other, and is nobody's fault here.
        with suppress(OSError, http.client.HTTPException):
            super().handle()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.proxy.sent.append(  # type: ignore[attr-defined]
            Sent(self.command, self.path, tuple(self.headers.items()), body)
        )
        target = urlsplit(self.path)
        where = target.path + (f"?{target.query}" if target.query else "")
        with closing(
            http.client.HTTPConnection(target.hostname or "", target.port, timeout=TIMEOUT_SECONDS)
        ) as upstream:
            upstream.putrequest(self.command, where, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            with closing(upstream.getresponse()) as answer:
                self._answer(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815 - the names are the library's

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        # Without a length the end of the connection is the end of the body.
        self.close_connection = True
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while piece := answer.read(PIECE):
                self.wfile.write(piece)
        except (BrokenPipeError, ConnectionResetError):
            # Browsers break off what they have enough of.
            pass

    def log_message(self, *_: object) -> None:
        """Say nothing: what passes is kept, not printed."""

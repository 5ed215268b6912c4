"""An S3 of one object that lies in a file: GET and HEAD with ranges and If-Match, by sendfile, for pages too.

The stand-ins read an object whole for every range of it, which costs them a second and a gigabyte for a long
recording.  This one costs nearly nothing, as S3 costs the service's machine nothing, so it shows what the
service itself can do, and lets many players read one long recording at once.
"""

from __future__ import annotations

import http.server
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.support import server_process
from tests.support.crowd_server import CrowdServer

ETAG = '"5f2b3c0d9e8a47616e2d1c0b3a495867-64"'
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
# As the bucket's own rules have it, so that pages of any origin may read it.
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "range, if-match",
    "Access-Control-Expose-Headers": "ETag, Content-Range",
    "Access-Control-Max-Age": "600",
}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    path_to_object: Path

    def handle(self) -> None:
        # Players break off what they have enough of.
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def do_GET(self) -> None:
        with self.path_to_object.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if self.headers.get("If-Match", ETAG) != ETAG:
                self._head(412, 0)
                return
            start, stop, status = self._part(size)
            self._head(status, stop - start, f"bytes {start}-{stop - 1}/{size}" if status == 206 else None)
            self.wfile.flush()
            while start < stop and self.command == "GET":
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, min(stop - start, 2**20))

    do_HEAD = do_GET  # noqa: N815 - http.server's name for it

    def do_OPTIONS(self) -> None:
        self._head(200, 0)

    def _part(self, size: int) -> tuple[int, int, int]:
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted is None:
            return 0, size, 200
        return int(wanted[1]), min(size, int(wanted[2]) + 1) if wanted[2] else size, 206

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Type", "binary/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", ETAG)
        if content_range:
            self.send_header("Content-Range", content_range)
        for name, value in _CORS.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: a line for each request would be measured too."""


def _serve(ready: Connection, path: Path) -> None:
    _Handler.path_to_object = path
    server = CrowdServer(("127.0.0.1", 0), _Handler)
    ready.send(server.server_port)
    server.serve_forever()


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Serve the file under every key of every bucket while the block runs; gives the URL."""
    with server_process.serving(_serve, path) as url:
        yield url


def write(path: Path, content: Iterable[bytes]) -> int:
    """Write the object that is to be served and return its size."""
    with path.open("wb") as file:
        for piece in content:
            file.write(piece)
        return file.tell()

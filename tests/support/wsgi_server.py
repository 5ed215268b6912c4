"""Serves a WSGI application on loopback to clients that ask much: their connections stay.

The server that moto brings closes each connection after one answer, so that every call costs a connection
and a thread, and reads heads as if they were mails. Sources: PEP 3333; RFC 9112.
"""

from __future__ import annotations

import io
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from tests.support.wire import BrokenMessage, Head, Peer

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
BACKLOG = 256
WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def listen(port: int) -> socket.socket:
    """Return what listens on this port of loopback, on a free one for 0."""
    return socket.create_server(("127.0.0.1", port), backlog=BACKLOG)


def serve(listener: socket.socket, application: Application) -> None:
    """Serve until `listener` is shut down, each connection in a thread of its own."""
    port = listener.getsockname()[1]
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, port, application), daemon=True).start()


def _converse(connection: socket.socket, port: int, application: Application) -> None:
    """Answer what comes on one connection until either side wants no more."""
    with connection, suppress(OSError, BrokenMessage):
        peer = Peer(connection)
        while head := peer.head():
            if (head.get("Expect") or "").lower() == "100-continue":
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b"".join(piece.data for piece in peer.pieces(head, until_close=False) if piece.payload)
            answer, closes = _answer(application, _environ(head, body, port), head)
            peer.send(answer)
            if closes:
                return


def _environ(head: Head, body: bytes, port: int) -> dict[str, Any]:
    method, target, protocol = head.start.split(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": protocol,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in head.fields:
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    if body or head.length is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _answer(application: Application, environ: dict[str, Any], head: Head) -> tuple[bytes, bool]:
    """Return the whole answer, and whether the connection ends with it."""
    told: list[Any] = []

    def start_response(status: str, fields: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], None]:
        told[:] = [status, fields]
        return pieces.append

    pieces: list[bytes] = []
    try:
        parts = application(environ, start_response)
        try:
            pieces.extend(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, fields = told
    except Exception:  # noqa: BLE001 - one request must not end the server
        traceback.print_exc()
        status, fields, pieces = "500 Internal Server Error", [], []
    return _written(status, fields, b"".join(pieces), head)


def _written(status: str, fields: list[tuple[str, str]], body: bytes, asked: Head) -> tuple[bytes, bool]:
    has_body = not asked.start.startswith("HEAD ") and int(status[:3]) not in WITHOUT_BODY
    answer = Head(f"HTTP/1.1 {status}", tuple(fields))
    if answer.get("Date") is None:
        answer = answer.replaced("Date", formatdate(usegmt=True))
    if has_body:
        # What an application says of its length may be what it would have sent of the whole.
        answer = answer.replaced("Content-Length", str(len(body)))
    closes = (asked.get("Connection") or "").lower() == "close" or asked.start.endswith("/1.0")
    if closes:
        answer = answer.replaced("Connection", "close")
    return answer.encode() + (body if has_body else b""), closes

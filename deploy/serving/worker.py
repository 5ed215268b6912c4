"""gunicorn's threaded worker and logger, as Panzoto needs them; `gunicorn.conf.py` chooses them."""

from __future__ import annotations

import errno
import json
import secrets
import selectors
import socket
import time
from concurrent.futures import Future
from typing import Any, ClassVar

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from panzoto.edge.http import REFUSALS, SECURITY_HEADERS

# The release whose `ThreadWorker` this was written beside.  It does not promise to keep the methods that are
# replaced here, nor `poller`, `nr_conns`, `sockets` and `alive`.  tests/deploy/serving/test_worker.py fails
# with another release; whoever raises this has read what changed there.
SEEN_WITH = {"gunicorn": "27.0.1"}

# How long, and for how many bytes, a connection that is being closed is still read from.
LINGER_SECONDS = 10.0
LINGER_BYTES = 16 * 1024 * 1024
UNEXPECTED = ("internal_error", "Something went wrong on our side; please try again")


class JsonLogger(Logger):  # type: ignore[misc]
    """gunicorn's own messages, as log lines of the service's shape and without anything a client sent."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def exception(self, msg: object, *_args: object, **_kwargs: object) -> None:
        """Log the exception in hand by its type and the places it passed.

        gunicorn's arguments hold the request's address, in which there may be a ticket.
        """
        self.error_log.error(str(msg).split("%", 1)[0].strip(), exc_info=True)


class BodyReader:
    """A request body whose malformed chunks look like a connection that broke, which frameworks expect.

    gunicorn's own exceptions for them are unknown to Werkzeug, so each would be answered as our mistake.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._reader.read(size)
        except errors.ParseException as error:
            raise ConnectionResetError(errno.ECONNRESET, "The request body is malformed") from error
        return data


class Worker(ThreadWorker):  # type: ignore[misc]
    """A threaded worker that answers in our shape where gunicorn answers by itself, and closes patiently.

    When an answer is the last of its connection, the client may still be sending, as one does whose body was
    refused for its size.  Closing the socket then resets the connection, and the client may never see the
    answer.  So only our half is closed, and what still comes is read and thrown away (RFC 9112, section 9.6).
    gunicorn does that too, but for 64 KiB, and in the one thread that also accepts connections, which each
    client that leaves its own half open stops for two seconds.  Here the poller does it.
    """

    # The headers by which pages may read a refusal; gunicorn.conf.py knows the settings.
    cors: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each closing connection with the bytes that it may still send and the moment of its end.
        self.lingering: dict[Any, tuple[int, float]] = {}

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting; a worker that is asked to end first takes whoever has connected already.

        They have sent their request into the kernel's queue, and closing the last copy of the listening
        socket would reset them.  After that it is closed at once, so that whoever comes later is refused and
        can go elsewhere, instead of waiting in vain while the last downloads finish.
        """
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            for _ in range(self.cfg.backlog):
                connections = self.nr_conns
                self.accept(listener)
                if self.nr_conns == connections:
                    break
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()

    def handle_request(self, req: Any, conn: Any) -> bool:
        req.body.reader = BodyReader(req.body.reader)
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self.discard(conn))
        except (OSError, ValueError):
            self.close(conn)
        else:
            self.lingering[conn] = (LINGER_BYTES, time.monotonic() + LINGER_SECONDS)

    def discard(self, conn: Any) -> None:
        """Throw away what a closing connection sent; close it at its end, or beyond its allowance."""
        left, end = self.lingering[conn]
        try:
            received = len(conn.sock.recv(256 * 1024))
        except BlockingIOError:
            return
        except OSError:
            received = 0
        if 0 < received < left:
            self.lingering[conn] = (left - received, end)
        else:
            self.close(conn)

    def murder_pending(self) -> None:
        """Close what has waited for too long; gunicorn calls this at every turn of its loop."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, (_, end) in self.lingering.items() if end <= now]:
            self.close(conn)

    def close(self, conn: Any) -> None:
        if self.lingering.pop(conn, None):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer what is not HTTP, and what failed outside of the application."""
        status, reason = refusal(exc)
        request_id = secrets.token_hex(8)
        details = {"request_id": request_id, "status": status, "reason": type(exc).__name__}
        if status == 500:
            self.log.error("Error outside of the application", exc_info=exc, extra=details)
        else:
            self.log.info("Refused what is not a request", extra=details)
        code, sentence = REFUSALS.get(status, UNEXPECTED)
        body = json.dumps({"error": sentence, "code": code, "request_id": request_id}).encode()
        headers = {
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
            **SECURITY_HEADERS,
            **self.cors,
        }
        head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{name}: {headers[name]}\r\n" for name in headers)
        try:
            util.write_nonblock(client, head.encode() + b"\r\n" + body)
        except OSError:
            self.log.debug("A refusal could not be sent")


def refusal(exc: Exception) -> tuple[int, str]:
    """Return the status and the reason phrase for what gunicorn could not hand to the application."""
    if isinstance(exc, errors.LimitRequestLine):
        return 414, "URI Too Long"
    if isinstance(exc, errors.LimitRequestHeaders):
        return 431, "Request Header Fields Too Large"
    ours = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
    if isinstance(exc, errors.ParseException) and not isinstance(exc, ours):
        return 400, "Bad Request"
    return 500, "Internal Server Error"

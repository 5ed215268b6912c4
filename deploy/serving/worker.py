"""gunicorn's threaded worker and logger, as Panzoto needs them; `gunicorn.conf.py` chooses them."""

from __future__ import annotations

import errno
import json
import re
import secrets
import selectors
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import Any, ClassVar

from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import errors, wsgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from deploy.serving.connections import Answer, Connection, Listener, Outbox
from panzoto.edge.http import LISTENER, REFUSALS, SECURITY_HEADERS

# The release whose `ThreadWorker` this was written beside.  It does not promise to keep the methods that are
# replaced here, nor `poller`, `nr_conns`, `sockets` and `alive`.  tests/deploy/serving/test_worker.py fails
# with another release; whoever raises this has read what changed there.
SEEN_WITH = {"gunicorn": "27.0.1"}

# How long, and for how many bytes, a connection that is being closed is still read from.
LINGER_SECONDS = 10.0
LINGER_BYTES = 16 * 1024 * 1024
# From its first byte a request has so long to come; a telephone's has a kilobyte or two.
REQUEST_SECONDS = 30.0
# A thread waits so long for a client that takes an answer as fast as it can, and works so long for one.
PATIENCE_SECONDS = 0.02
TURN_SECONDS = 0.25
# Whoever takes less in so many seconds is ended; the thinnest sound needs 180 KB. A proxy in between takes
# nothing from us for minutes while its own buffers last.
TAKING_SECONDS = 300.0
LEAST_TAKEN_BYTES = 64 * 1024
LOOK_SECONDS = 0.5
# What unfinished requests, and answers that wait for their clients, may take of a worker's memory; what is
# streamed is bounded by the application, in places.
MOST_RECEIVED_BYTES = 64 * 1024 * 1024
# However many have no more than this, they stay below that.
UNLOOKED_BYTES = 4 * 1024
MOST_UNSENT_BYTES = 64 * 1024 * 1024
# What has threads of its own, and how many at least.
STREAMED = re.compile(r"/api/playback/|/api/user/export/?$")
FEWEST_STREAMING = 8
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


class RequestTimeout(Exception):
    """A client has begun a request and did not come to its end."""


class Outcome(Enum):
    """What becomes of a connection after a turn of its answer in a thread."""

    KEPT = "it may bring another request"
    LAST = "its client was told that this is the last answer, or it broke"
    WAITING = "its client has to take something first"
    UNFINISHED = "there is more to make and send; others first"


class Worker(ThreadWorker):  # type: ignore[misc]
    """A threaded worker in which no client can hold a thread, and which answers in our shape by itself.

    gunicorn reads a request and writes its answer in one thread, which so waits for a client that sends or
    takes slowly. Here the main thread gathers requests until they are whole, sends what is left of answers
    when clients take it, and gives threads only work. What is played and exported has threads of its own, so
    that however many listen, and however the storage behaves, the others stay for ordinary calls.

    When an answer is the last of its connection, the client may still be sending, as one does whose body was
    refused for its size.  Closing the socket then resets the connection, and the client may never see the
    answer.  So only our half is closed, and what still comes is read and thrown away (RFC 9112, section 9.6).
    """

    # The headers by which pages may read a refusal; gunicorn.conf.py knows the settings.
    cors: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the order in which they began: to send a request, to take an answer, to come to their end.
        self.receiving: dict[Connection, None] = {}
        self.taking: dict[Connection, None] = {}
        self.lingering: dict[Connection, None] = {}
        # Its threads are started when they are needed, after the fork.
        self.streaming = ThreadPoolExecutor(max(FEWEST_STREAMING, self.cfg.threads // 4), "streaming")
        self.next_look = 0.0

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
                if not self.accept(listener):
                    break
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        for conn in self.receiving:
            conn.deadline = min(conn.deadline, time.monotonic() + STOP_KEEPALIVE_LINGER)

    def accept(self, listener: Any) -> bool:
        """Take one client and return whether there was one; where no place is left, somebody idle goes."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.make_room()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return False
        if self.nr_conns >= self.worker_connections - 1:
            self.make_room()
        self.nr_conns += 1
        conn = Connection(self.cfg, sock, client, listener.getsockname())
        self.wait_for_request(conn)
        return True

    def make_room(self) -> None:
        """Close the connection that has waited longest for its client.

        An ordinary client has sent its request within a moment, so a crowd that says nothing, however large,
        displaces itself.
        """
        for crowd in (self.lingering, self.receiving, self.taking):
            if crowd:
                self.abandon(next(iter(crowd)))
                return

    def wait_for_request(self, conn: Connection) -> None:
        """Gather the next request of a client, which may have sent it already."""
        patience = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.deadline = time.monotonic() + patience
        self.receiving[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self.receive(conn))
        if conn.received:
            self.understand(conn)
        else:
            self.receive(conn)

    def receive(self, conn: Connection) -> None:
        """Take what a client has sent."""
        if conn not in self.receiving:
            # It was closed for another's sake since the poller has spoken of it; below likewise.
            return
        begun = conn.has_begun
        try:
            came = conn.receive()
        except BlockingIOError:
            return
        except OSError:
            self.abandon(conn)
            return
        if not came:
            self.come_to_an_end(conn)
            return
        if not begun:
            conn.deadline = time.monotonic() + REQUEST_SECONDS
        self.understand(conn)
        if len(conn.received) > UNLOOKED_BYTES:
            self.bound_what_is_received()

    def come_to_an_end(self, conn: Connection) -> None:
        """Take leave of a client that sends no more; one whose body is too short may still read why."""
        if not conn.cut_short():
            self.abandon(conn)
            return
        self.leave(conn)
        self.enqueue_req(conn)

    def understand(self, conn: Connection) -> None:
        """Give a thread the request, if it is whole."""
        try:
            is_whole = conn.understand()
        except Exception as error:  # noqa: BLE001 - gunicorn's many, and a socket's
            self.leave(conn)
            self.handle_error(None, conn.sock, conn.client, error)
            self.linger(conn)
            return
        if is_whole:
            self.leave(conn)
            self.enqueue_req(conn)

    def bound_what_is_received(self) -> None:
        """Keep unfinished requests within their memory; the largest go first."""
        while sum(len(conn.received) for conn in self.receiving) > MOST_RECEIVED_BYTES:
            self.abandon(max(self.receiving, key=lambda conn: len(conn.received)))

    def enqueue_req(self, conn: Connection) -> None:
        conn.is_stream = bool(STREAMED.match(conn.path()))
        pool = self.streaming if conn.is_stream or conn.answer is not None else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def handle(self, conn: Connection) -> Outcome:
        """Make an answer, or some more of it. Runs in a thread."""
        return conn.context.run(self.answer, conn)

    def answer(self, conn: Connection) -> Outcome:
        try:
            if conn.answer is None:
                conn.answer = self.handle_request(conn.request, conn)
            outcome = self.go_on(conn.answer)
        except StopIteration:
            self.log.debug("Closing connection")
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                self.log.exception("Socket error processing request.")
        except (Exception, SystemExit) as error:
            if conn.answer is not None and conn.answer.response.headers_sent:
                self.log.exception("Error handling request")
            else:
                self.handle_error(conn.request, conn.sock, conn.client, error)
        else:
            if outcome in (Outcome.KEPT, Outcome.LAST):
                conn.end_answer()
            return outcome
        self.end_answer(conn)
        return Outcome.LAST

    def handle_request(self, req: Any, conn: Connection) -> Answer:
        """Let the application begin its answer."""
        self.cfg.pre_request(self, req)
        outbox = Outbox(conn.sock)
        response, environ = wsgi.create(req, outbox, conn.client, conn.server, self.cfg)
        environ["wsgi.multithread"] = True
        conn.listener = environ[LISTENER] = Listener(conn, partial(self.method_queue.defer, self.give_way))
        self.nr += 1
        if not self.alive or not self.cfg.keepalive:
            response.force_close()
        return Answer(response, self.wsgi(environ, response.start_response), outbox)

    def go_on(self, answer: Answer) -> Outcome:
        """Make and send an answer until its client takes no more for now, or it is others' turn."""
        end = time.monotonic() + TURN_SECONDS
        while True:
            if not answer.outbox.flush(PATIENCE_SECONDS):
                return Outcome.WAITING
            if answer.is_made:
                break
            if time.monotonic() > end:
                return Outcome.UNFINISHED
            answer.make_more()
        return Outcome.LAST if answer.response.should_close() else Outcome.KEPT

    def finish_request(self, conn: Connection, fs: Future[Outcome]) -> None:
        """See to a connection after its turn, in the main thread."""
        outcome = Outcome.LAST
        if not fs.cancelled() and fs.exception() is None:
            outcome = fs.result()
        elif not fs.cancelled():
            self.log.error("Error outside of the application", exc_info=fs.exception())
        if outcome is Outcome.UNFINISHED:
            self.enqueue_req(conn)
        elif outcome is Outcome.WAITING:
            self.wait_for_taking(conn)
        elif outcome is Outcome.KEPT:
            conn.begin_anew()
            self.wait_for_request(conn)
        else:
            self.linger(conn)

    def wait_for_taking(self, conn: Connection) -> None:
        """Let an answer wait for its client, without a thread."""
        conn.taken = conn.bytes_taken()
        conn.deadline = time.monotonic() + TAKING_SECONDS
        self.taking[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_WRITE, lambda _sock: self.send(conn))
        ordinary = [one for one in self.taking if not one.is_stream]
        while sum(one.bytes_unsent() for one in ordinary) > MOST_UNSENT_BYTES:
            self.abandon(ordinary.pop(0))

    def send(self, conn: Connection) -> None:
        """Send what a client takes now, and go on with its answer when it has taken all."""
        if conn not in self.taking or conn.answer is None:
            return
        try:
            is_taken = conn.answer.outbox.flush(0)
        except OSError:
            self.abandon(conn)
            return
        if is_taken:
            self.leave(conn)
            self.enqueue_req(conn)

    def linger(self, conn: Connection) -> None:
        """Close our half of a connection, and let the client finish what it is sending."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, lambda _sock: self.discard(conn))
        except (OSError, ValueError):
            self.close(conn)
        else:
            conn.allowance, conn.deadline = LINGER_BYTES, time.monotonic() + LINGER_SECONDS
            self.lingering[conn] = None

    def discard(self, conn: Connection) -> None:
        """Throw away what a closing connection sent; close it at its end, or beyond its allowance."""
        if conn not in self.lingering:
            return
        try:
            received = len(conn.sock.recv(256 * 1024))
        except BlockingIOError:
            return
        except OSError:
            received = 0
        conn.allowance -= received
        if not received or conn.allowance <= 0:
            self.abandon(conn)

    def murder_pending(self) -> None:
        """Close what has waited for too long; gunicorn calls this at every turn of its loop."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + LOOK_SECONDS
        for conn in [conn for conn in self.receiving if conn.deadline <= now]:
            self.leave(conn)
            if conn.has_begun:
                self.handle_error(None, conn.sock, conn.client, RequestTimeout())
                self.linger(conn)
            else:
                self.close(conn)
        for conn in [conn for conn in self.lingering if conn.deadline <= now]:
            self.abandon(conn)
        for conn in self.taking:
            conn.note_progress()
        for conn in [conn for conn in self.taking if conn.deadline <= now]:
            taken = conn.bytes_taken()
            if taken - conn.taken < LEAST_TAKEN_BYTES:
                self.abandon(conn)
            else:
                conn.taken, conn.deadline = taken, now + TAKING_SECONDS

    def give_way(self, conn: Connection) -> None:
        """End an answer that waits for its client, because the application wants its place for another."""
        if conn in self.taking:
            self.abandon(conn)

    def leave(self, conn: Connection) -> None:
        """Wait for nothing of a client any more."""
        for crowd in (self.receiving, self.taking, self.lingering):
            if conn in crowd:
                del crowd[conn]
                self.poller.unregister(conn.sock)

    def abandon(self, conn: Connection) -> None:
        """Close a connection whatever its client still sends or takes."""
        self.leave(conn)
        if conn.answer is not None:
            conn.reset_on_close()
            # What the application does at the end of an answer must not hold up the main thread.
            self.streaming.submit(conn.context.run, self.end_answer, conn)
        self.close(conn)

    def end_answer(self, conn: Connection) -> None:
        try:
            conn.end_answer()
        except Exception:
            self.log.exception("Error at the end of an answer")

    def close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.listener = None
        conn.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ARG002
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


def refusal(exc: BaseException) -> tuple[int, str]:
    """Return the status and the reason phrase for what gunicorn could not hand to the application."""
    if isinstance(exc, RequestTimeout):
        return 408, "Request Timeout"
    if isinstance(exc, errors.LimitRequestLine):
        return 414, "URI Too Long"
    if isinstance(exc, errors.LimitRequestHeaders):
        return 431, "Request Header Fields Too Large"
    ours = (errors.ConfigurationProblem, errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
    if isinstance(exc, errors.ParseException) and not isinstance(exc, ours):
        return 400, "Bad Request"
    return 500, "Internal Server Error"

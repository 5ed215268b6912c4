"""An HTTP proxy before an AWS stand-in: it breaks what a test asks for, and keeps count.

    with FaultProxy(upstream_url) as proxy:
        lost = proxy.add(Fault(LoseReply(), operation="TransactWriteItems", times=1))
        client = boto3.client("dynamodb", endpoint_url=proxy.url)
        ...
        assert lost.applied == 1
        assert [record.operation for record in proxy.requests] == ["TransactWriteItems", "GetItem"]

Bodies stream in both directions in constant memory.  The Host field is forwarded as it came, because
signatures cover it.  Clients keep their connection; each request gets an upstream connection of its own.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.faults import (
    Action,
    Answer,
    Control,
    Cut,
    CutSent,
    Delay,
    Drip,
    DropConnection,
    Fault,
    FlipBit,
    Hang,
    LoseReply,
    Meanwhile,
    Refuse,
    Repeat,
    Request,
)
from tests.support.wire import PIECE, BrokenMessage, Head, Peer, Piece

__all__ = [
    "Action",
    "Answer",
    "Cut",
    "CutSent",
    "Delay",
    "Drip",
    "Fault",
    "FaultProxy",
    "FlipBit",
    "Hang",
    "LoseReply",
    "Meanwhile",
    "Record",
    "Refuse",
    "Repeat",
    "Request",
]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# DynamoDB refuses a request above 16 MiB, so its bodies may be held for the predicates to look at.
LARGEST_HELD_BODY = 16 * 1024 * 1024


@dataclass
class Record:
    """One request as the proxy saw it; the figures grow while it is under way.

    `status` is None when the client got no answer.  `bytes_sent` counts body bytes given to the client and
    `bytes_received` those taken from it, both without chunk framing.  `faults` names the actions applied.
    """

    method: str
    path: str
    query: str
    operation: str | None
    range: str | None
    faults: tuple[str, ...] = ()
    status: int | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    finished: bool = False


class FaultProxy:
    """Listens on a free loopback port while its `with` block runs."""

    def __init__(self, upstream_url: str) -> None:
        parts = urlsplit(upstream_url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._faults: list[Fault] = []
        self._records: list[Record] = []
        self._live: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = _listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = self._start_accepting()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> Sequence[Record]:
        """Everything that came since the start or the last `forget`, in the order of arrival."""
        with self._lock:
            return tuple(self._records)

    def forget(self) -> None:
        """Empty `requests`."""
        with self._lock:
            self._records.clear()

    def add(self, fault: Fault) -> Fault:
        """Apply `fault` from the next request on; several faults may hit the same request, in order."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections at the port itself for a while, and break those that are open."""
        self._stop_accepting()
        self._break_live()
        try:
            yield
        finally:
            self._listener = _listen(self.port)
            self._accepting = self._start_accepting()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, break what is open and wait for the proxy's threads."""
        self._stopping.set()
        self._stop_accepting()
        self._break_live()
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(5)

    def _start_accepting(self) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        thread.start()
        return thread

    def _stop_accepting(self) -> None:
        # Linux wakes a thread out of accept() for a shutdown, not for a close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._live.add(connection)
                self._threads.add(thread)
            thread.start()

    def _break_live(self) -> None:
        with self._lock:
            live = tuple(self._live)
        for connection in live:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        client = Peer(connection)
        try:
            while self._exchange(client):
                pass
        except DropConnection as drop:
            if not drop.cleanly:
                client.reset_on_close()
        except (BrokenMessage, OSError):
            # A message that broke on one side is broken for the other side too: never a clean end.
            with suppress(OSError):
                client.reset_on_close()
        finally:
            with self._lock:
                self._live.discard(connection)
                self._threads.discard(threading.current_thread())
            connection.close()

    def _exchange(self, client: Peer) -> bool:
        """Serve one request; whether the client's connection can carry another."""
        head = client.head()
        if head is None:
            return False
        exchange = _Exchange(client, head)
        request = exchange.request
        with self._lock:
            programmed = tuple(self._faults)
        faults = [fault for fault in programmed if fault.takes(request)]
        record = Record(request.method, request.path, request.query, request.operation, request.range)
        record.faults = tuple(type(fault.action).__name__ for fault in faults)
        with self._lock:
            self._records.append(record)
        control = Control(self._stopping, lambda: _has_left(client.socket))
        try:
            return exchange.run([fault.action for fault in faults], control, record, self._connect)
        finally:
            record.finished = True

    @contextmanager
    def _connect(self) -> Iterator[Peer]:
        with socket.create_connection(self._upstream) as connection:
            with self._lock:
                self._live.add(connection)
            try:
                yield Peer(connection)
            finally:
                with self._lock:
                    self._live.discard(connection)


class _Exchange:
    """One request of one client and its answer."""

    def __init__(self, client: Peer, head: Head) -> None:
        self.client = client
        self.head = head
        self.expects_continue = (head.get("Expect") or "").lower() == "100-continue"
        self.held: bytes | None = None
        if head.get("X-Amz-Target") is not None and (head.length or 0) <= LARGEST_HELD_BODY:
            self.held = self._hold()
        method, target, self.version = _split_start(head.start)
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, value in reversed(head.fields)}
        self.request = Request(method, path, query, headers, self.held or b"")

    def run(
        self,
        actions: Sequence[Action],
        control: Control,
        record: Record,
        connect: Callable[[], AbstractContextManager[Peer]],
    ) -> bool:
        for action in actions:
            answer = action.before_forwarding(self.request, control)
            if answer is not None:
                return self._answer(answer, record)
        for _ in range(sum(action.repeats for action in actions)):
            self._send_before(connect, record)
        with connect() as upstream:
            self._forward(upstream, record, actions)
            reply = self._reply_head(upstream)
            for action in actions:
                action.before_reply(self.request)
            return self._relay(reply, upstream, actions, control, record)

    def _send_before(self, connect: Callable[[], AbstractContextManager[Peer]], record: Record) -> None:
        """Let the upstream do the work once, its answer unread by the client."""
        if self.held is None:
            self.held = self._hold()
        with connect() as upstream:
            self._forward(upstream, record, ())
            reply = self._reply_head(upstream)
            bodiless = self.request.method == "HEAD" or _status(reply) in (204, 304)
            for _ in () if bodiless else upstream.pieces(reply, until_close=True):
                pass

    def _hold(self) -> bytes:
        if self.expects_continue:
            self.client.send(CONTINUE)
        pieces = self.client.pieces(self.head, until_close=False)
        return b"".join(piece.data for piece in pieces)

    def _body(self) -> Iterator[Piece]:
        if self.held is not None:
            yield Piece(self.held)
            return
        if self.expects_continue:
            self.client.send(CONTINUE)
        yield from self.client.pieces(self.head, until_close=False)

    def _forward(self, upstream: Peer, record: Record, actions: Sequence[Action]) -> None:
        """Send the request on, its body to the end even when the upstream has stopped listening.

        Closing on a client that is still sending would reset the connection and lose the upstream's answer.
        """
        # The proxy answers the expectation itself: botocore leaves Expect and Connection unsigned.
        head = self.head.replaced("Expect", None).replaced("Connection", "close")
        with suppress(OSError):
            upstream.send(head.encode())
        body = self._body()
        for action in actions:
            body = action.request_body(body)
        for piece in body:
            record.bytes_received += len(piece.data) if piece.payload else 0
            with suppress(OSError):
                upstream.send(piece.data)

    def _reply_head(self, upstream: Peer) -> Head:
        while True:
            reply = upstream.head()
            if reply is None:
                raise BrokenMessage("the upstream closed without an answer")
            if _status(reply) >= 200:
                return reply

    def _relay(
        self, reply: Head, upstream: Peer, actions: Sequence[Action], control: Control, record: Record
    ) -> bool:
        status = _status(reply)
        bodiless = self.request.method == "HEAD" or status in (204, 304)
        delimited = bodiless or reply.chunked or reply.length is not None
        keeps = delimited and self._client_keeps_alive()
        pieces: Iterator[Piece] = iter(()) if bodiless else upstream.pieces(reply, until_close=True)
        for action in actions:
            pieces = action.body(pieces, control)
        record.status = status
        self.client.send(reply.replaced("Connection", "keep-alive" if keeps else "close").encode())
        for piece in pieces:
            # Counted first, so that a client that has read everything finds everything counted.
            record.bytes_sent += len(piece.data) if piece.payload else 0
            self.client.send(piece.data)
        return keeps

    def _answer(self, answer: Answer, record: Record) -> bool:
        # A client that waits for 100 Continue and gets a final answer keeps its body, as with S3 itself.
        keeps_body = self.expects_continue and self.held is None
        keeps = self._client_keeps_alive() and not keeps_body
        if not keeps_body:
            for piece in self._body():
                record.bytes_received += len(piece.data) if piece.payload else 0
        fields = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.content)),
            "Connection": "keep-alive" if keeps else "close",
            **answer.headers,
        }
        record.status = answer.status
        self.client.send(Head(f"HTTP/1.1 {answer.status} Fault", tuple(fields.items())).encode())
        if self.request.method != "HEAD":
            record.bytes_sent += len(answer.content)
            self.client.send(answer.content)
        return keeps

    def _client_keeps_alive(self) -> bool:
        return self.version == "HTTP/1.1" and (self.head.get("Connection") or "").lower() != "close"


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def _has_left(connection: socket.socket) -> bool:
    """Whether the client has closed its side; whatever else it sends is thrown away.

    An upload nobody reads fills the window, and then the client's close could not arrive either.
    """
    try:
        while connection.recv(PIECE, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _split_start(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3:
        raise BrokenMessage("not a request line")
    return parts[0], parts[1], parts[2]


def _status(head: Head) -> int:
    parts = head.start.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        raise BrokenMessage("not a status line")
    return int(parts[1])

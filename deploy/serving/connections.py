"""One client's connection: what it has sent so far, and what it has yet to take.

A slow client costs memory here and never a thread: a request goes to a thread when all of it has come, and
an answer leaves its thread when the client takes no more for now.
"""

from __future__ import annotations

import contextvars
import errno
import fcntl
import io
import re
import select
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from gunicorn import util
from gunicorn.http import errors, get_parser
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.unreader import Unreader

from panzoto.edge.bodies import MAX_BODY_BYTES, longest_body

# The fields of a head together; a browser's have 2 KB, and a ticket in the address 4 KB.
MOST_HEAD_BYTES = 64 * 1024
# What is chunked finely has as much around its bytes; one that is too long is told by what it has more.
MOST_CHUNKED = 2
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
RECEIVED_AT_ONCE = 64 * 1024


class Gathered(Unreader):  # type: ignore[misc]
    """What has come of one request; gunicorn's parser finds an end behind them, and never waits."""

    def feed(self, data: bytes) -> None:
        self.buf.seek(0, io.SEEK_END)
        self.buf.write(data)

    def chunk(self, size_hint: int | None = None) -> bytes:  # noqa: ARG002
        return b""


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


class Chunks:
    """Finds where a chunked body ends (RFC 9112, 7.1), however small the pieces are in which it comes."""

    def __init__(self, most_bytes: int = MAX_BODY_BYTES) -> None:
        self._most_bytes = MOST_CHUNKED * most_bytes
        self._at = 0
        self._in_trailers = False
        self.is_doubtful = False

    def end(self, data: bytearray) -> int | None:
        """Return how long the body at the beginning of `data` is, None as long as more is to come.

        What is malformed or too long ends where that shows; whoever reads it refuses it.
        """
        while not self._in_trailers:
            line_end = data.find(b"\r\n", self._at)
            if line_end < 0:
                return self._unfinished(data)
            size = CHUNK_SIZE.fullmatch(bytes(data[self._at : line_end]).partition(b";")[0].rstrip(b" \t"))
            if size is None:
                return self._doubtful(data)
            following = line_end + 2 + int(size[0], 16) + 2
            if int(size[0], 16) == 0:
                self._at, self._in_trailers = line_end, True
            elif following > len(data):
                return self._unfinished(data)
            elif data[following - 2 : following] != b"\r\n":
                return self._doubtful(data)
            else:
                self._at = following
        end = data.find(b"\r\n\r\n", self._at)
        return self._unfinished(data) if end < 0 else end + 4

    def _unfinished(self, data: bytearray) -> int | None:
        return self._doubtful(data) if len(data) > self._most_bytes else None

    def _doubtful(self, data: bytearray) -> int:
        self.is_doubtful = True
        return len(data)


class Outbox:
    """What a client has yet to take; in place of its socket for whoever writes, and never waits by itself."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: deque[memoryview] = deque()
        self._handed_over = 0

    def sendall(self, data: bytes) -> None:
        self._waiting.append(memoryview(data))
        self.flush(0)

    def flush(self, seconds: float) -> bool:
        """Send what waits and return True; or False when the client has taken nothing for so many seconds."""
        while self._waiting:
            first = self._waiting[0]
            try:
                sent = self._sock.send(first)
            except BlockingIOError:
                if not seconds or not _is_writable(self._sock, seconds):
                    return False
                continue
            self._handed_over += sent
            if sent < len(first):
                self._waiting[0] = first[sent:]
            else:
                self._waiting.popleft()
        return True

    @property
    def size(self) -> int:
        """How many bytes wait in this process."""
        return sum(map(len, self._waiting))

    def taken(self) -> int:
        """Return how many bytes the client's machine has acknowledged, as far as the kernel tells."""
        try:
            left = fcntl.ioctl(self._sock, termios.TIOCOUTQ, struct.pack("i", 0))
        except (OSError, ValueError):
            # It may be closed by now.
            return self._handed_over
        return self._handed_over - int(struct.unpack("i", left)[0])


def _is_writable(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


class Answer:
    """An answer on its way: gunicorn's response, and the pieces that the application makes."""

    def __init__(self, response: Any, pieces: Any, outbox: Outbox) -> None:
        self.response = response
        self.outbox = outbox
        self._made = pieces
        self._pieces: Iterator[bytes] = iter(pieces)
        self.is_made = False

    def make_more(self) -> None:
        """Let the application make its next piece, or find that it has made all."""
        piece = next(self._pieces, None)
        if piece is not None:
            self.response.write(piece)
            return
        self.response.close()
        self.is_made = True

    def close(self) -> None:
        """Tell the application that it is over; repeating it does nothing."""
        made, self._made = self._made, None
        if hasattr(made, "close"):
            made.close()


class Connection:
    """A client, until its connection is closed. `deadline` is for what it is to do next."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        self.sock = sock
        self.client = client
        self.server = server
        self.deadline = 0.0
        self.allowance = 0
        self.taken = 0
        self.is_stream = False
        self.listener: Listener | None = None
        self.received = bytearray()
        self.request: Any = None
        self.answer: Answer | None = None
        # The context variables of one request, whichever threads its answer passes through.
        self.context = contextvars.copy_context()
        self._cfg = cfg
        self._searched = 0
        self._head: Any = None
        self._framing: Any = None
        self._gathered = Gathered()
        self._chunks = Chunks()
        self._most_bytes = MAX_BODY_BYTES
        sock.setblocking(False)

    @property
    def has_begun(self) -> bool:
        """Whether a part of a request has come."""
        return bool(self.received) or self._head is not None

    def receive(self) -> int:
        """Take what has come and return how much; nothing at the end. Raises what a socket raises."""
        data = self.sock.recv(RECEIVED_AT_ONCE)
        self.received += data
        return len(data)

    def understand(self) -> bool:
        """Return whether a whole request is here, and is `request` from now on.

        Raises gunicorn's exceptions for what is none.
        """
        if self._head is None and not self._read_head():
            return False
        length = self._length_of_body()
        if length is None:
            self._ask_to_continue()
            return False
        self._take(length)
        return True

    def cut_short(self) -> bool:
        """Return whether there is a request, though not all of its body, that is `request` from now on."""
        if self._head is None:
            return False
        self._head.force_close()
        self._take(len(self.received))
        return True

    def _take(self, length: int) -> None:
        self._gathered.feed(bytes(self.received[:length]))
        del self.received[:length]
        self.request, self._head = self._head, None
        self.request._expected_100_continue = False  # noqa: SLF001 - it has been answered, or need not be

    def _read_head(self) -> bool:
        end = self.received.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(self.received)
            most = self._cfg.limit_request_line
            if len(self.received) > most + 2 and b"\r\n" not in self.received[: most + 2]:
                raise errors.LimitRequestLine(len(self.received), most)
        if max(end, self._searched) > MOST_HEAD_BYTES:
            raise errors.LimitRequestHeaders("limit request headers size")
        if end < 0:
            return False
        parser = get_parser(self._cfg, [], self.client)
        self._gathered, self._searched = Gathered(), 0
        parser.unreader = self._gathered
        self._gathered.feed(bytes(self.received[: end + 4]))
        del self.received[: end + 4]
        self._head = next(parser)
        self._most_bytes = longest_body(self._head.method, unquote(self._head.path))
        self._chunks = Chunks(self._most_bytes)
        self._framing = self._head.body.reader
        self._head.body.reader = BodyReader(self._framing)
        return True

    def _length_of_body(self) -> int | None:
        """Return how many of the bytes that are here are the body; None while too few are.

        A body that is refused for its length is not waited for, and is the last of its connection.
        """
        if isinstance(self._framing, ChunkedReader):
            end = self._chunks.end(self.received)
            if self._chunks.is_doubtful:
                self._head.force_close()
            return end
        length = self._framing.length if isinstance(self._framing, LengthReader) else 0
        if length > self._most_bytes:
            self._head.force_close()
            return min(length, len(self.received))
        return int(length) if length <= len(self.received) else None

    def _ask_to_continue(self) -> None:
        if self._head._expected_100_continue:  # noqa: SLF001 - gunicorn tells it nowhere else
            self._head._expected_100_continue = False  # noqa: SLF001
            self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def path(self) -> str:
        """Return the path that `request` asks for, decoded, as the application will see it."""
        return unquote(self.request.path)

    def begin_anew(self) -> None:
        """Forget the last request and its answer; what came behind it stays."""
        self.request = self.answer = self.listener = None
        self.context = contextvars.copy_context()

    def bytes_taken(self) -> int:
        """Return how much of its answer the client has."""
        return self.answer.outbox.taken() if self.answer else 0

    def note_progress(self) -> None:
        """Look whether the client has taken something since the last time."""
        if self.listener is not None:
            self.listener.idle_seconds()

    def bytes_unsent(self) -> int:
        """Return how much of its answer waits here for the client."""
        return self.answer.outbox.size if self.answer else 0

    def end_answer(self) -> None:
        """Tell the application that its answer is over; to be called in the context that made it."""
        answer, self.answer = self.answer, None
        if answer is not None:
            answer.close()

    def reset_on_close(self) -> None:
        """Leave nothing to the kernel: what a client does not take would lie there for minutes."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        util.close(self.sock)


class Listener:
    """What the application may know and do about the client that takes an answer; for any thread."""

    def __init__(self, conn: Connection, give_way: Callable[[Connection], None]) -> None:
        self._conn = conn
        self._give_way = give_way
        self._seen = -1
        self._moved_at = time.monotonic()

    def idle_seconds(self) -> float:
        """Return for how long the client has taken nothing, as far as it was looked at meanwhile."""
        now, taken = time.monotonic(), self._conn.bytes_taken()
        if taken != self._seen:
            self._seen, self._moved_at = taken, now
        return now - self._moved_at

    def end(self) -> None:
        """End the answer, if it waits for the client."""
        self._give_way(self._conn)

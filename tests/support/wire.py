"""Just enough of HTTP/1.1 (RFC 9112) for a proxy: heads, and bodies as a stream of pieces.

Memory stays constant whatever the length of a body: a piece is at most `PIECE` bytes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

PIECE = 256 * 1024
LARGEST_HEAD = 256 * 1024


class BrokenMessage(Exception):
    """The other side closed or reset in the middle of a message, or sent something that is not HTTP."""


class Piece(NamedTuple):
    """Some bytes of a body; `payload` is False for the framing of a chunked one."""

    data: bytes
    payload: bool = True


@dataclass(frozen=True)
class Head:
    """A start line and its header fields, in their order and spelling."""

    start: str
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The first value of a field, whatever the case of its name."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    def replaced(self, name: str, value: str | None) -> Head:
        """The same head with this field set to `value`, or without it when `value` is None."""
        kept = tuple(field for field in self.fields if field[0].lower() != name.lower())
        return Head(self.start, kept if value is None else (*kept, (name, value)))

    def encode(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def chunked(self) -> bool:
        return "chunked" in (self.get("Transfer-Encoding") or "").lower()

    @property
    def length(self) -> int | None:
        value = self.get("Content-Length")
        if value is None:
            return None
        if not value.isascii() or not value.isdigit():
            raise BrokenMessage("Content-Length is not a number")
        return int(value)


class Peer:
    """One side of an exchange: a socket with a buffer for what was read ahead."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = bytearray()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Head | None:
        """The next head, or None when the peer closed between two messages."""
        end = self._buffer_until(b"\r\n\r\n")
        if end is None:
            return None
        lines = self._take(end).decode("latin-1").split("\r\n")[:-2]
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BrokenMessage("a header field without a colon")
            fields.append((name, value.strip()))
        return Head(lines[0], tuple(fields))

    def pieces(self, head: Head, *, until_close: bool) -> Iterator[Piece]:
        """The body that `head` announces; `until_close` says what no announcement at all means."""
        if head.chunked:
            yield from self._chunks()
        elif head.length is not None:
            yield from self._exactly(head.length)
        elif until_close:
            while data := self._some(PIECE):
                yield Piece(data)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset_on_close(self) -> None:
        """Make the next close a reset (RST), as a machine that dies or a firewall would send it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _exactly(self, length: int) -> Iterator[Piece]:
        while length:
            data = self._some(min(PIECE, length))
            if not data:
                raise BrokenMessage("the body ended early")
            length -= len(data)
            yield Piece(data)

    def _chunks(self) -> Iterator[Piece]:
        while True:
            line = self._line()
            yield Piece(line, payload=False)
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as error:
                raise BrokenMessage("a chunk without a size") from error
            if size == 0:
                break
            yield from self._exactly(size)
            yield Piece(self._line(), payload=False)
        while True:
            line = self._line()
            yield Piece(line, payload=False)
            if line == b"\r\n":
                return

    def _line(self) -> bytes:
        end = self._buffer_until(b"\r\n")
        if end is None:
            raise BrokenMessage("the body ended early")
        return self._take(end)

    def _buffer_until(self, mark: bytes) -> int | None:
        """Read ahead until `mark` is buffered; the offset behind it, or None at a clean end."""
        while (found := self._buffer.find(mark)) < 0:
            if len(self._buffer) > LARGEST_HEAD:
                raise BrokenMessage("a head without an end")
            data = self.socket.recv(65536)
            if not data:
                if self._buffer:
                    raise BrokenMessage("the message ended early")
                return None
            self._buffer += data
        return found + len(mark)

    def _some(self, limit: int) -> bytes:
        return self._take(limit) if self._buffer else self.socket.recv(limit)

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

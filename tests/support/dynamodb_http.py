"""The HTTP in front of what plays DynamoDB: just enough of it, and fast."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_TARGET = re.compile(rb"x-amz-target:\s*\w+\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"

# An operation's name, empty where none is named, and the body; the answer as bytes, or None to break off.
Reply = Callable[[str, bytes], bytes | None]


class _Protocol(asyncio.Protocol):
    """Content-Length bodies, keep-alive and pipelining; an answer to HEAD is only its head.

    Each answer comes so many seconds later than it could.
    """

    def __init__(self, reply: Reply, later_seconds: float) -> None:
        self._reply = reply
        self._later_seconds = later_seconds
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(_END)) >= 0:
            length = _LENGTH.search(buffer, 0, end)
            stop = end + len(_END) + (int(length[1]) if length else 0)
            if len(buffer) < stop:
                break
            target = _TARGET.search(buffer, 0, end)
            answer = self._reply(target[1].decode() if target else "", buffer[end + len(_END) : stop])
            if answer is None:
                self._transport.abort()
                return
            head = buffer.startswith(b"HEAD ")
            self._write(answer.partition(_END)[0] + _END if head else answer)
            buffer = buffer[stop:]
        self._buffer = buffer

    def _write(self, answer: bytes) -> None:
        assert self._transport is not None
        if self._later_seconds:
            asyncio.get_running_loop().call_later(self._later_seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


def rendered(status: int, body: dict[str, Any]) -> bytes:
    """Return an answer as it goes to the wire, with the headers that clients of DynamoDB look at."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nServer: Server\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(content)}\r\nConnection: keep-alive\r\n"
        f"x-amzn-RequestId: {'A' * 52}\r\nx-amz-crc32: {zlib.crc32(content)}\r\n\r\n"
    )
    return head.encode() + content


def serve(ready: Connection, make: Callable[[], Reply], later_seconds: float = 0) -> None:
    """Serve what `make()` replies, so many seconds later, for `server_process.serving`."""

    async def run() -> None:
        reply = make()
        server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(reply, later_seconds), "127.0.0.1", 0, backlog=512
        )
        ready.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())

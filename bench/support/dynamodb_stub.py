"""A DynamoDB that answers at once with what was prepared: for measuring what stands in front of it.

It keeps nothing.  Query gives fifty recordings, or none where it asks whose a key is, GetItem an account, a
session or a recording by its table, and every write succeeds.  Answers are whole prepared byte strings, so
that the stub is never the bottleneck; `python -m bench.support.dynamodb_stub` prints how many requests a
second it answers.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import socket
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

USER_ID = "3f0c5a52-6c1e-4a57-9d0b-6f3a4f0f1c11"
SESSION_ID = "5d0f3f1e-0b0e-4a55-8a53-0d7f4a2f7c21"
RECORDINGS = 50
FIRST_UPLOAD = 1_760_000_000

_TARGET = re.compile(rb"x-amz-target:\s*DynamoDB_20120810\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_TABLE = re.compile(rb'"TableName":\s*"([^"]+)"')


def recording(number: int) -> dict[str, dict[str, str]]:
    """An item of the audio-files table: the contract's attributes and those newer clients send."""
    uploaded = FIRST_UPLOAD - number * 97
    file_id = str(uuid.UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128, version=4))
    return {
        "file_id": {"S": file_id},
        "user_id": {"S": USER_ID},
        "s3_key": {
            "S": f"audio_upload/{USER_ID}/audio_{USER_ID[:8]}_{uploaded}123_{number:04d}.3gp_encrypted"
        },
        "file_size": {"N": str(48_000 + number * 1031)},
        "uploaded_at": {"N": f"{uploaded}.{number * 9973 % 1_000_000:06d}"},
        "uploaded_at_iso": {"S": "2025-10-09T08:53:20.000000Z"},
        "listed_at": {"N": str(uploaded - 60)},
        "status": {"S": "stored"},
        "format": {"S": "v2"},
        "change_number": {"N": str(RECORDINGS - number)},
        "content_type": {"S": "audio/3gpp"},
        "recorded_at": {"N": str(uploaded - 60)},
        "duration_ms": {"N": str(31_000 + number)},
    }


def account() -> dict[str, dict[str, Any]]:
    """An item of the users table."""
    return {
        "user_id": {"S": USER_ID},
        "email": {"S": "listener@example.com"},
        "password_hash": {"S": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43},
        "key_salt": {"S": "o5dqVQHaPJ05MsuHlvrr/d3YcPVS/OFxnLjunEncF24="},
        "created_at": {"N": str(FIRST_UPLOAD)},
        "created_at_iso": {"S": "2025-10-09T08:53:20Z"},
        "version": {"N": "1"},
        "claims_complete": {"BOOL": True},
        "change_number": {"N": "50"},
        "used_recordings": {"N": "50"},
        "used_bytes": {"N": "3600000"},
    }


def session() -> dict[str, dict[str, str]]:
    """An item of the sessions table that was used just now and goes on for a month."""
    now = int(time.time())
    return {
        "user_id": {"S": USER_ID},
        "session_id": {"S": SESSION_ID},
        "device_name": {"S": "bench"},
        "created_at": {"N": str(now)},
        "last_seen_at": {"N": str(now)},
        "generation": {"N": "1"},
        "expires_at": {"N": str(now + 30 * 86400)},
    }


def _rendered(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(content)}\r\nConnection: keep-alive\r\n"
        f"x-amzn-RequestId: {'A' * 52}\r\nx-amz-crc32: {zlib.crc32(content)}\r\n\r\n"
    )
    return head.encode() + content


class Answers:
    """Every answer the stub gives, prepared as the bytes that go to the wire."""

    def __init__(self) -> None:
        items = [recording(number) for number in range(RECORDINGS)]
        self.page = _rendered({"Items": items, "Count": RECORDINGS, "ScannedCount": RECORDINGS})
        self.nobodys = _rendered({"Items": [], "Count": 0, "ScannedCount": 0})
        self.written = _rendered({})
        self.found = {
            b"users": _rendered({"Item": account()}),
            b"audio-files": _rendered({"Item": items[0]}),
            b"sessions": _rendered({"Item": session()}),
        }

    def to(self, operation: bytes, body: bytes) -> bytes:
        if operation == b"Query":
            return self.nobodys if b'"s3-key-index"' in body else self.page
        if operation == b"GetItem":
            table = _TABLE.search(body)
            suffix = table[1].rpartition(b"panzoto-")[2] if table else b""
            return self.found.get(suffix, self.written)
        return self.written


class _Protocol(asyncio.Protocol):
    """Just enough HTTP: Content-Length bodies, keep-alive and pipelining."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(buffer, 0, end)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(buffer) < stop:
                break
            target = _TARGET.search(buffer, 0, end)
            operation = target[1] if target else b""
            answer = self._answers.to(operation, buffer[end + 4 : stop])
            # The bucket is asked by HEAD whether it is there.
            head = buffer.startswith(b"HEAD ")
            self._transport.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head else answer)
            buffer = buffer[stop:]
        self._buffer = buffer


def _serve(ready: Connection) -> None:
    async def run() -> None:
        answers = Answers()
        server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(answers), "127.0.0.1", 0, backlog=512
        )
        ready.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@contextmanager
def running_stub() -> Iterator[str]:
    """Run the stub in a process of its own while the block runs; gives its URL."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join(5)


def most_per_second(url: str, operation: str = "Query", seconds: float = 1.0, connections: int = 8) -> float:
    """How many requests a second the stub answers to a client that only moves bytes.

    One thread keeps several connections busy, a request under way on each.
    """
    port = int(url.rpartition(":")[2])
    body = b'{"TableName": "panzoto-audio-files"}'
    request = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    answers = Answers()
    length = len(answers.to(operation.encode(), body))
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    buffer = memoryview(bytearray(length))
    for peer in peers:
        peer.sendall(request)
    answered, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for peer in peers:
            peer.recv_into(buffer, length, socket.MSG_WAITALL)
            peer.sendall(request)
        answered += connections
    rate = answered / (time.perf_counter() - started)
    for peer in peers:
        peer.close()
    return rate


def main() -> None:
    with running_stub() as url:
        for operation in ("Query", "GetItem", "TransactWriteItems"):
            print(f"{operation:20} {most_per_second(url, operation):8.0f} requests/s")


if __name__ == "__main__":
    main()

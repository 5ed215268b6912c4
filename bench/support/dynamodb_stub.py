"""A DynamoDB that answers at once with what was prepared: for measuring what stands in front of it.

It keeps nothing.  Query gives fifty recordings, or none where it asks whose a key is, GetItem an account, a
session or a recording by its table, and every write succeeds.  Answers are whole prepared byte strings, so
that the stub is never the bottleneck; `python -m bench.support.dynamodb_stub` prints how many requests a
second it answers.
"""

from __future__ import annotations

import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.dynamodb_http import Reply, rendered, serve
from tests.support.server_process import serving

USER_ID = "3f0c5a52-6c1e-4a57-9d0b-6f3a4f0f1c11"
SESSION_ID = "5d0f3f1e-0b0e-4a55-8a53-0d7f4a2f7c21"
RECORDINGS = 50
FIRST_UPLOAD = 1_760_000_000

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


class Answers:
    """Every answer the stub gives, prepared as the bytes that go to the wire."""

    def __init__(self) -> None:
        items = [recording(number) for number in range(RECORDINGS)]
        self.page = rendered(200, {"Items": items, "Count": RECORDINGS, "ScannedCount": RECORDINGS})
        self.nobodys = rendered(200, {"Items": [], "Count": 0, "ScannedCount": 0})
        self.written = rendered(200, {})
        self.found = {
            b"users": rendered(200, {"Item": account()}),
            b"audio-files": rendered(200, {"Item": items[0]}),
            b"sessions": rendered(200, {"Item": session()}),
        }

    def to(self, operation: str, body: bytes) -> bytes:
        if operation == "Query":
            return self.nobodys if b'"s3-key-index"' in body else self.page
        if operation == "GetItem":
            table = _TABLE.search(body)
            suffix = table[1].rpartition(b"panzoto-")[2] if table else b""
            return self.found.get(suffix, self.written)
        return self.written


def _replies() -> Reply:
    return Answers().to


@contextmanager
def running_stub() -> Iterator[str]:
    """Run the stub in a process of its own while the block runs; gives its URL."""
    with serving(serve, _replies) as url:
        yield url


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

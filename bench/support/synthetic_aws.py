"""DynamoDB, S3 and SQS of any number of people, in one process that keeps only what was written.

Every call waits for a latency that can be set, is counted by its kind, and then happens at once, so that
conditions hold as they do in DynamoDB. `with synthetic_aws() as aws: aws.reset(rows=10_000_000, …)`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import orjson

from bench.support.synthetic_bucket import Bucket, Queue
from bench.support.synthetic_check import differences
from bench.support.synthetic_people import People
from bench.support.synthetic_tables import SWEEPS, Tables
from tests.support.dynamodb_fake import Refusal
from tests.support.server_process import serving

_TARGET = re.compile(rb"x-amz-target:\s*(\w+)\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
LOOK_AGAIN_SECONDS = 0.05
# The parts of the slow pass over everybody, which is measured apart from a day's chores.
PASS = (
    "account",
    *(f"{kind} {folder}" for kind in ("folder", "uploads") for folder in
      ("users/", "audio_upload/", "transcripts/", "sittings/")),
    "aside",
    "seen",
)  # fmt: skip


class _World:
    """Everything that is asked, and what was counted."""

    def __init__(self) -> None:
        self.url = ""
        self.reset(rows=1000, changed=10)

    def reset(self, rows: int, changed: int, latency: float = 0.0, passed: bool = True) -> None:
        """Begin anew; with `passed` the pass of the day has been begun already."""
        moment = int(time.time())
        self.latency = latency
        self.people = People(rows, changed, moment)
        self.tables = Tables(self.people)
        self.bucket = Bucket(self.people)
        self.queue = Queue()
        self.counts: Counter[str] = Counter()
        self.first_call = 0.0
        if passed:
            for name in PASS:
                place = {"kind": {"S": "place"}, "name": {"S": name}, "at": {"N": str(moment)}}
                self.tables.answer("PutItem", {"TableName": SWEEPS, "Item": place})

    def standing(self) -> dict[str, Any]:
        """Return what is left, how long it took so far, and the calls by kind."""
        began, ended = self.first_call, self.tables.finished_at
        return {
            "left": self.tables.unmarked_due(),
            "empty": self.queue.is_empty(),
            "seconds": max(0.0, ended - began),
            "counts": dict(self.counts),
        }

    async def answer(self, method: str, target: str, service: str, operation: str, body: bytes) -> bytes:
        if target.startswith("/_bench/"):
            return self._told(target.removeprefix("/_bench/"), orjson.loads(body or b"{}"))
        if self.latency:
            await asyncio.sleep(self.latency)
        self.first_call = self.first_call or time.monotonic()
        if service.startswith("DynamoDB"):
            self.counts[f"DynamoDB {operation}"] += 1
            return self._of_tables(operation, orjson.loads(body))
        if service == "AmazonSQS":
            self.counts[f"SQS {operation}"] += 1
            return await self._of_queue(operation, orjson.loads(body))
        name, (status, headers, content) = self.bucket.answer(method, target)
        self.counts[f"S3 {name}"] += 1
        return _rendered(status, headers, content)

    def _told(self, what: str, how: dict[str, Any]) -> bytes:
        if what == "reset":
            self.reset(**how)
            return _json({})
        if what == "differences":
            return _json({"differences": differences(self.tables, self.bucket)})
        return _json(self.standing())

    def _of_tables(self, operation: str, request: dict[str, Any]) -> bytes:
        try:
            return _json(self.tables.answer(operation, request))
        except Refusal as refusal:
            name = f"com.amazonaws.dynamodb.v20120810#{refusal.code}"
            return _json({"__type": name, "message": refusal.code, **refusal.more}, 400)

    async def _of_queue(self, operation: str, request: dict[str, Any]) -> bytes:
        until = time.monotonic() + request.get("WaitTimeSeconds", 0)
        while (answer := self.queue.answer(operation, request, self.url)) is None:
            if time.monotonic() >= until:
                return _json({})
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return _json(answer)


def _json(answer: dict[str, Any], status: int = 200) -> bytes:
    return _rendered(status, {"Content-Type": "application/x-amz-json-1.0"}, orjson.dumps(answer))


def _rendered(status: int, headers: dict[str, str], content: bytes) -> bytes:
    fields = {"Content-Length": str(len(content)), "Connection": "keep-alive"} | headers
    head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + content


class _Protocol(asyncio.Protocol):
    """Content-Length bodies and kept connections, one request at a time on each."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            stop = end + len(_END) + (int(length[1]) if length else 0)
            if len(self._buffer) < stop:
                return
            head, body = self._buffer[:end], self._buffer[end + len(_END) : stop]
            self._buffer = self._buffer[stop:]
            task = asyncio.get_running_loop().create_task(self._serve(head, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
        named = _TARGET.search(head)
        service, operation = (named[1].decode(), named[2].decode()) if named else ("", "")
        try:
            answer = await self._world.answer(method, target, service, operation, body)
        except (KeyError, ValueError) as error:
            print(f"not known: {method} {target} {operation}: {error!r} {body[:600]!r}", flush=True)
            answer = _json({"__type": "UnknownOperationException"}, 400)
        if self._transport is not None:
            self._transport.write(answer)


def _serve(ready: Connection) -> None:
    async def run() -> None:
        world = _World()
        server = await asyncio.get_running_loop().create_server(
            lambda: _Protocol(world), "127.0.0.1", 0, backlog=512
        )
        port = server.sockets[0].getsockname()[1]
        world.url = f"http://127.0.0.1:{port}"
        ready.send(port)
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@dataclass(frozen=True)
class SyntheticAws:
    """One that runs, and what a bench asks of it."""

    url: str

    def reset(self, rows: int, changed: int, latency: float = 0.0, *, passed: bool = True) -> None:
        """Make so many rows, and let so many accounts have changed."""
        self._ask("reset", {"rows": rows, "changed": changed, "latency": latency, "passed": passed})

    def standing(self) -> dict[str, Any]:
        """Return `left`, `empty`, `seconds` from the first call to the last account, and `counts`."""
        return self._ask("standing")

    def differences(self) -> dict[str, int]:
        """Return how much is otherwise than it has to be after the day's chores, by what it is."""
        found: dict[str, int] = self._ask("differences")["differences"]
        return found

    def _ask(self, what: str, how: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/_bench/{what}", json.dumps(how or {}).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            told: dict[str, Any] = json.loads(answer.read())
            return told


@contextmanager
def synthetic_aws() -> Iterator[SyntheticAws]:
    """Run one in a process of its own while the block runs."""
    with serving(_serve) as url:
        yield SyntheticAws(url)

"""A proxy before a stand-in that keeps each request's name, and asks DynamoDB for what it consumed.

`ReturnConsumedCapacity` is put into requests that write and its answer taken out again, so that the service
sees neither. ministack computes the units of single writes and of their indexes by sizes, as AWS documents
them; those of reads and of transactions it does not.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.aws_requests import COMPUTED, of_dynamodb, of_others

TIMEOUT_SECONDS = 120
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class CapacityProxy:
    """Where it listens, and what has passed since it was last asked."""

    url: str
    _calls: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, told: dict[str, Any] | None) -> None:
        """Keep one request, with the stand-in's `ConsumedCapacity` where it told one."""
        call: dict[str, Any] = {"name": name}
        if told is not None:
            call["touched"] = list(_touched(told))
        with self._lock:
            self._calls.append(call)

    def take(self) -> list[dict[str, Any]]:
        """Return all calls since the last time."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls


def _touched(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    units = told.get("Table", {}).get("CapacityUnits", told["CapacityUnits"])
    yield {"table": told["TableName"], "index": "", "key": "", "writes": units}
    for index, of_index in told.get("GlobalSecondaryIndexes", {}).items():
        yield {
            "table": told["TableName"],
            "index": index,
            "key": "",
            "writes": of_index["CapacityUnits"],
        }


@contextmanager
def capacity_proxy(upstream: str) -> Iterator[CapacityProxy]:
    """Run one on a free loopback port while the block runs."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream = urlsplit(upstream).netloc
    server.proxy = CapacityProxy(f"http://127.0.0.1:{server.server_address[1]}")
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    upstream: str
    proxy: CapacityProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = headers.get("x-amz-target", "")
        family, _, operation = target.partition(".")
        if not family.startswith("DynamoDB_"):
            name = of_others(self.command, self.path, headers, body)
            self._answer(*self._ask(body), name)
            return
        request = json.loads(body)
        name = of_dynamodb(operation, request)
        if operation not in COMPUTED:
            self._answer(*self._ask(body), name)
            return
        asking = json.dumps(request | {"ReturnConsumedCapacity": "INDEXES"}).encode()
        response, content = self._ask(asking)
        answer = json.loads(content)
        told = answer.pop("ConsumedCapacity", None)
        self._answer(response, json.dumps(answer).encode(), name, told[0] if isinstance(told, list) else told)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the names are the library's

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=TIMEOUT_SECONDS)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP | {"expect"}:
                upstream.putheader(name, value)
        upstream.putheader("Content-Length", str(len(body)))
        upstream.endheaders(body)
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        return response, content

    def _answer(
        self,
        response: http.client.HTTPResponse,
        content: bytes,
        name: str,
        told: dict[str, Any] | None = None,
    ) -> None:
        self.server.proxy.note(name, told)
        self.send_response_only(response.status, response.reason)
        for header, value in response.getheaders():
            # The checksum is of the body as it came.
            if header.lower() not in HOP_BY_HOP | {"x-amz-crc32"}:
                self.send_header(header, value)
        length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: what passes is kept, not printed."""

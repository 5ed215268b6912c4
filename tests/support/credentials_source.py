"""Where a machine or a container gets its credentials from: two of AWS's own endpoints, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.aws_calls import KEY_PREFIX
from tests.support.crowd_server import CrowdServer

ROLE = "panzoto-machine"
METADATA = "/latest/meta-data/iam/security-credentials/"
CONTAINER = "/v2/credentials/task"


class Source:
    """The state of the source; a test changes `is_there` while it runs. Before, every answer is 500."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_there = False
        self.asked = 0

    def metadata(self) -> dict[str, str]:
        """The variables by which a process finds the instance's metadata here."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url, "AWS_EC2_METADATA_DISABLED": "false"}

    def container(self) -> dict[str, str]:
        """The variables by which a process finds its container's credentials here."""
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + CONTAINER}


@contextmanager
def run_source(role: str) -> Iterator[Source]:
    """Run a source of the credentials of one of the policy's roles while the block runs."""
    with CrowdServer(("127.0.0.1", 0), _Handler) as server:
        server.source = Source(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        server.role = role  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.source  # type: ignore[attr-defined]
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_PUT(self) -> None:
        self._answer("a-session-of-the-metadata")

    def do_GET(self) -> None:
        if self.path == METADATA:
            self._answer(ROLE)
        elif self.path in (METADATA + ROLE, CONTAINER):
            self._answer(json.dumps(self._credentials()))
        else:
            self.send_error(404)

    def _credentials(self) -> dict[str, str]:
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": KEY_PREFIX + self.server.role,
            "SecretAccessKey": "testing",
            "Token": "testing",
            "LastUpdated": _written(datetime.now(UTC)),
            "Expiration": _written(datetime.now(UTC) + timedelta(hours=6)),
        }

    def _answer(self, text: str) -> None:
        self.server.source.asked += 1
        if not self.server.source.is_there:
            self.send_error(500)
            return
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

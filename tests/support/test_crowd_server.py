"""A crowd finds room before the tests' own HTTP servers."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler

from tests.support.crowd_server import CrowdServer


def test_who_comes_while_nobody_is_served_waits() -> None:
    with CrowdServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server, ExitStack() as crowd:
        for _ in range(200):
            crowd.enter_context(socket.create_connection(server.server_address, timeout=10))

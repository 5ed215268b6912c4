"""A client that costs next to nothing: raw sockets, one prepared request, several connections kept busy."""

from __future__ import annotations

import re
import socket
import time

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)


def request_bytes(method: str, path: str, port: int, token: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class RawPeer:
    """One connection; an answer must announce its Content-Length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> bytes:
        """The status line and everything behind it, one whole answer."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        length = _LENGTH.search(data, 0, end)
        if length is None:
            raise ValueError("an answer without Content-Length")
        stop = end + 4 + int(length[1])
        while len(data) < stop:
            data += self._more()
        return data

    def ask(self, request: bytes, status: int) -> bytes:
        self.send(request)
        answer = self.receive()
        expect(answer, status)
        return answer

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the service closed the connection")
        return data


def expect(answer: bytes, status: int) -> None:
    if not answer.startswith(f"HTTP/1.1 {status} ".encode()):
        raise RuntimeError(f"expected {status}, got: {answer[:400]!r}")


def per_second(port: int, request: bytes, status: int, seconds: float, connections: int) -> float:
    """How many requests a second are answered while each connection always has one under way."""
    peers = [RawPeer(port) for _ in range(connections)]
    for peer in peers:
        peer.send(request)
    answered, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for peer in peers:
            expect(peer.receive(), status)
            peer.send(request)
        answered += connections
    rate = answered / (time.perf_counter() - started)
    for peer in peers:
        expect(peer.receive(), status)
        peer.close()
    return rate

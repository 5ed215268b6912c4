"""The server of the tests' own stand-in: what WSGI and HTTP/1.1 promise to those on either side of it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.support.wsgi_server import listen, serve

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Told:
    """An application that notes what it is asked, and answers what it was sent."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(environ)
        self.bodies.append(environ["wsgi.input"].read())
        if environ["PATH_INFO"] == "/broken":
            raise LookupError(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", "1000")] if environ["PATH_INFO"] == "/large" else [])
        return [b"sent: ", self.bodies[-1]]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def port(told: Told) -> Iterator[int]:
    with listen(0) as listener:
        thread = threading.Thread(target=serve, args=(listener, told))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(20)


@pytest.fixture
def client(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    yield connection
    connection.close()


def test_one_connection_is_enough_for_many_calls(client: http.client.HTTPConnection, told: Told) -> None:
    kept = []
    for path in ("/a?x=%2F", "/b%20c", "/broken", "/d"):
        client.request("POST", path, b"some words", {"X-Amz-Target": "one"})
        answer = client.getresponse()
        kept.append((client.sock, answer.status, answer.read()))
    said = b"sent: some words"
    assert [one[1:] for one in kept] == [(200, said), (200, said), (500, b""), (200, said)]
    assert len({id(one[0]) for one in kept}) == 1
    first, second, *_ = told.asked
    assert (first["PATH_INFO"], first["QUERY_STRING"], first["RAW_URI"]) == ("/a", "x=%2F", "/a?x=%2F")
    assert (second["PATH_INFO"], second["HTTP_X_AMZ_TARGET"]) == ("/b c", "one")
    assert second["CONTENT_LENGTH"] == "10"


def test_what_comes_in_chunks_is_whole(client: http.client.HTTPConnection, told: Told) -> None:
    client.request("PUT", "/a", iter([b"some ", b"words"]), encode_chunked=True)
    assert client.getresponse().read() == b"sent: some words"
    assert told.asked[0]["CONTENT_LENGTH"] == "10"


def test_a_head_tells_a_length_and_brings_nothing(client: http.client.HTTPConnection) -> None:
    for method, length in (("HEAD", "1000"), ("GET", "6")):
        client.request(method, "/large")
        answer = client.getresponse()
        assert (answer.headers["Content-Length"], answer.read()) == (
            length,
            b"" if method == "HEAD" else b"sent: ",
        )


def test_who_asks_whether_to_go_on_is_told_so(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        client.sendall(b"abc")
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.read() == b"sent: abc"


def test_half_a_body_is_no_request(port: int, told: Told) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nsome")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert told.asked == []


@pytest.mark.parametrize("asked", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"])
def test_who_wants_no_more_is_told_that_it_was_the_last(port: int, asked: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(asked)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nsent: ")

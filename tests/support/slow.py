"""Clients that are slow on purpose, all in one thread, and the tickets and tokens that they use."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.support.recordings import decrypt, store, version_2
from tests.support.service import PASSWORD, Service

# A telephone's window. With loopback's own, megabytes would lie unread on the client's side.
WINDOW_BYTES = 64 * 1024


def connected(service: Service, window: int = WINDOW_BYTES) -> socket.socket:
    """Return a new connection to the service's own gunicorn."""
    address = urlsplit(service.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.settimeout(60)
    client.connect((address.hostname, address.port))
    return client


def request(service: Service, path: str, token: str | None = None, **fields: str) -> bytes:
    """Return the head of a GET."""
    host = urlsplit(service.url).netloc
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields.items())]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def opened(service: Service, account: dict[str, Any], plain: bytes, name: str = "audio-1.v2") -> str:
    """Upload, record and open a version 2 recording; return the path that plays it."""
    s3_key = f"users/{account['user_id']}/{name}"
    file_id = store(service, account, s3_key, version_2(account, PASSWORD, s3_key, plain))
    return ticket(service, account, file_id)


def ticket(service: Service, account: dict[str, Any], file_id: str) -> str:
    """Open a recording once more; return the path that plays it."""
    answer = decrypt(service, account["token"], file_id, PASSWORD)
    assert answer.status_code == 200, answer.text
    return urlsplit(answer.json()["download_url"]).path


@contextmanager
def crowd(
    service: Service, sent: bytes, count: int, window: int = WINDOW_BYTES
) -> Iterator[list[socket.socket]]:
    """Let so many clients connect, send `sent` and then do nothing, while the block runs."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(connected(service, window))
            client.sendall(sent)
            clients.append(client)
        yield clients


@contextmanager
def dripping(clients: list[socket.socket], byte: bytes = b"a", every_seconds: float = 0.5) -> Iterator[None]:
    """Let each client send one more byte now and then, while the block runs; who was refused stops."""
    over = threading.Event()

    def drip() -> None:
        open_still = list(clients)
        while not over.wait(every_seconds):
            for client in list(open_still):
                try:
                    client.send(byte)
                except OSError:
                    open_still.remove(client)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def statuses(clients: list[socket.socket]) -> list[int]:
    """Return the status that each client was answered, in the order of the clients."""
    return [int(client.recv(12).split(b" ")[1]) for client in clients]


def heard(clients: list[socket.socket], bytes_per_second: float, most_seconds: float = 300) -> list[bytes]:
    """Let all clients read whole bodies of a known length, each at its pace; return the bodies."""
    bodies = [bytearray() for _ in clients]
    heads: list[int | None] = [None] * len(clients)
    ends = [0] * len(clients)
    step = max(1, int(bytes_per_second / 10))
    waiting = set(range(len(clients)))
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ, number)
        due = time.monotonic()
        deadline = due + most_seconds
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} of {len(clients)} have not heard all"
            for key, _ in selector.select(0):
                number = key.data
                data = key.fileobj.recv(step)  # type: ignore[union-attr]
                bodies[number] += data
                if heads[number] is None and b"\r\n\r\n" in bodies[number]:
                    head, _, rest = bytes(bodies[number]).partition(b"\r\n\r\n")
                    heads[number] = int(head.split(b" ")[1])
                    bodies[number] = bytearray(rest)
                    lower = head.lower()
                    ends[number] = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
                if not data or (heads[number] is not None and len(bodies[number]) >= ends[number]):
                    waiting.discard(number)
                    selector.unregister(key.fileobj)
            due += 0.1
            time.sleep(max(0.0, due - time.monotonic()))
    return [bytes(body) for body in bodies]


def answers_at_once(service: Service, patience_seconds: float = 20) -> None:
    """Fail unless a bystander's health and login, on new connections, are answered while others are slow."""
    person = {"email": "bystander@example.com", "password": PASSWORD}
    for _ in range(3):
        assert requests.get(f"{service.url}/api/health", timeout=patience_seconds).ok
        answer = requests.post(f"{service.url}/api/login", json=person, timeout=patience_seconds)
        assert answer.status_code == 200, answer.text

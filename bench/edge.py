"""nginx before the service: a gigabyte with a range at its end, half-open connections and a flood.

Everything is on loopback: the attacker comes from 127.0.0.2, the client who must not notice from 127.0.0.1.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import multiprocessing
import os
import re
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from bench.support.process import Watch, files_below, watched, written_bytes
from bench.support.recordings import FORMATS, MIB, READ, Plain, encrypted
from bench.support.report import Target, percentile, print_table, print_targets
from bench.support.s3_file import serving
from bench.support.service import Service, create_resources, running
from bench.support.stand_in import default_kind, stand_in
from tests.support.edge import Nginx, nginx_before
from tests.support.processes import children

PASSWORD = "a long walk by the quiet river"
ATTACKER = "127.0.0.2"
RANGE_BYTES = 64 * 1024
CONNECTIONS = 20
TICK_SECONDS = 0.05
PAUSE_SECONDS = 0.1
HEALTH_BOUND_SECONDS = 0.5
# Logs; a recording would be a thousand times this.
WRITTEN_BOUND_KIB = 256
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Setting:
    """Who is measured: nginx, its workers, and the service behind it."""

    nginx: Nginx
    workers: list[int]
    service: Service


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panzoto-bench-")))
        stored = folder / "object"
        s3 = stack.enter_context(serving(stored))
        service = stack.enter_context(running(aws, TRUSTED_PROXIES="1", AWS_ENDPOINT_URL_S3=s3))
        nginx = stack.enter_context(nginx_before(service.port, folder / "edge"))
        setting = Setting(nginx, children(nginx.pid), service)
        targets = _play(arguments, setting, stored)
        targets += _attack(arguments, setting)
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--format", choices=FORMATS, default="single")
    parser.add_argument("--half-open", type=int, default=500, help="idle connections")
    parser.add_argument("--rate", type=int, default=2000, help="requests a second of the flood")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


# ---- Playback


def _play(arguments: argparse.Namespace, setting: Setting, stored: Path) -> list[Target]:
    url, plain = _opened(arguments, setting, stored)
    # Only what is still in the buffers of a log is on its way to a file.
    files_before = files_below(setting.nginx.folder, setting.service.data_dir, setting.service.temp_dir)
    processes = [*setting.workers, setting.service.worker]
    written_before = {pid: written_bytes(pid) for pid in processes}
    with ExitStack() as stack:
        watches = [stack.enter_context(watched(pid)) for pid in processes]
        started = time.perf_counter()
        size, digest = _download(setting.nginx, url, 200)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        at_end = f"bytes={plain.size - RANGE_BYTES}-{plain.size - 1}"
        range_size, _ = _download(setting.nginx, url, 206, at_end)
        range_seconds = time.perf_counter() - started
    if (size, digest, range_size) != (plain.size, plain.digest.hexdigest(), RANGE_BYTES):
        raise RuntimeError("what was played is not what was encrypted")
    rows = [
        ("whole, every byte checked", f"{seconds:.2f}", f"{size / MIB / seconds:.0f}"),
        (f"last {RANGE_BYTES // 1024} KiB", f"{range_seconds:.2f}", ""),
    ]
    print_table(f"{arguments.size_mib} MiB through TLS and nginx", ("", "seconds", "MiB/s"), rows)
    written = sum(written_bytes(pid) - written_before[pid] for pid in processes) / 1024
    new = files_below(setting.nginx.folder, setting.service.data_dir, setting.service.temp_dir)
    grown = sum(size - files_before.get(name, 0) for name, size in new.items())
    return [
        Target("written by nginx and the worker", written, WRITTEN_BOUND_KIB, unit=" KiB"),
        Target("files of nginx and the service grew by", grown / 1024, WRITTEN_BOUND_KIB, unit=" KiB"),
        Target("bytes in other files held open", sum(map(_held, watches)), 0),
        Target("files in nginx's temporary folders", len(files_below(setting.nginx.folder / "state")), 0),
        Target("tickets in nginx's files", setting.nginx.everything_written().count(_ticket(url)), 0),
        Target("growth of the largest process", max(watch.growth_mib for watch in watches), 48, unit=" MiB"),
    ]


def _opened(arguments: argparse.Namespace, setting: Setting, stored: Path) -> tuple[str, Plain]:
    """Make an account with one recording and open it, through nginx; the address that plays it."""
    account = setting.nginx.call(
        "POST", "/api/register", json={"email": "edge@example.com", "password": PASSWORD}
    ).json()
    token, s3_key = account["token"], f"users/{account['user_id']}/audio-1.3gp"
    plain = Plain(arguments.size_mib * MIB)
    with stored.open("wb") as file:
        for piece in encrypted(arguments.format, plain, PASSWORD, account, s3_key):
            file.write(piece)
    setting.nginx.call("POST", "/api/audio-file", token, json={"s3_key": s3_key})
    opened = setting.nginx.call(
        "POST", "/api/decrypt-audio", token, json={"password": PASSWORD, "s3_key": s3_key}
    )
    if opened.status_code != 200:
        raise RuntimeError(f"decrypt-audio answered {opened.status_code}: {opened.text}")
    url: str = opened.json()["download_url"]
    return url, plain


def _download(nginx: Nginx, url: str, status: int, byte_range: str | None = None) -> tuple[int, str]:
    """Read an answer to its end through one buffer; its size and SHA-256."""
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection("localhost", parts.port, timeout=300, context=nginx.tls())
    connection.request("GET", parts.path, headers={"Range": byte_range} if byte_range else {})
    response = connection.getresponse()
    if response.status != status:
        raise RuntimeError(f"status {response.status}: {response.read(400)!r}")
    digest, buffer, size = hashlib.sha256(), memoryview(bytearray(READ)), 0
    while count := response.readinto(buffer):
        digest.update(buffer[:count])
        size += count
    connection.close()
    return size, digest.hexdigest()


def _held(watch: Watch) -> int:
    """Bytes by which files grew that the process held open, logs excepted."""
    return sum(size for name, size in watch.files.items() if not name.endswith(("log", ".log")))


def _ticket(url: str) -> bytes:
    return urlsplit(url).path.rpartition("/")[2].encode()


# ---- The attack


def _attack(arguments: argparse.Namespace, setting: Setting) -> list[Target]:
    port = urlsplit(setting.nginx.url).port or 0
    quiet = _health(setting.nginx, port, 3.0)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    flood = context.Process(
        target=_flood,
        args=(theirs, port, str(setting.nginx.certificate), arguments.rate, arguments.seconds),
        daemon=True,
    )
    with _HalfOpen(port, arguments.half_open) as half_open:
        flood.start()
        theirs.close()
        ours.recv()
        under_attack = _health(setting.nginx, port, arguments.seconds)
        open_at_end = half_open.count()
        statuses: Counter[str] = ours.recv()
    flood.join(30)
    sent = sum(statuses.values()) / arguments.seconds
    rows = [
        (name, str(len(seconds)), *(f"{figure * 1000:.1f}" for figure in _figures(seconds)))
        for name, seconds in (("nobody else", quiet), ("half-open and flood", under_attack))
    ]
    title = "GET /api/health of another client, a new TLS connection each time"
    print_table(title, ("beside", "requests", "median ms", "p99 ms", "slowest ms"), rows)
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"  flood: {sent:.0f} requests a second were answered: {told}")
    print(f"  half-open connections: {open_at_end} at the end; who is closed for idling comes back")
    return [
        Target("slowest /api/health under attack", max(under_attack), HEALTH_BOUND_SECONDS, unit=" s"),
        Target("flood's requests a second", sent, 0.95 * arguments.rate, at_most=False),
        Target("half-open connections", open_at_end, 0.9 * arguments.half_open, at_most=False),
    ]


def _figures(seconds: list[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), percentile(seconds, 0.99), max(seconds)


def _health(nginx: Nginx, port: int, duration: float) -> list[float]:
    """Seconds that /api/health took, again and again; raises when it is not answered by 200."""
    tls, samples = nginx.tls(), []
    end = time.monotonic() + duration
    while time.monotonic() < end:
        started = time.perf_counter()
        connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=tls)
        connection.request("GET", "/api/health")
        response = connection.getresponse()
        response.read()
        connection.close()
        samples.append(time.perf_counter() - started)
        if response.status != 200:
            raise RuntimeError(f"/api/health answered {response.status}")
        time.sleep(PAUSE_SECONDS)
    return samples


class _HalfOpen:
    """Connections that say nothing; one that nginx closes is opened again."""

    def __init__(self, port: int, wanted: int) -> None:
        self._port = port
        self._wanted = wanted
        self._open: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._open = [self._connected() for _ in range(self._wanted)]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._open:
            client.close()

    def count(self) -> int:
        return sum(not _was_closed(client) for client in self._open)

    def _connected(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port), timeout=30, source_address=(ATTACKER, 0))
        client.setblocking(False)
        return client

    def _keep(self) -> None:
        while not self._stop.wait(0.25):
            for number, client in enumerate(self._open):
                if _was_closed(client):
                    client.close()
                    self._open[number] = self._connected()


def _was_closed(client: socket.socket) -> bool:
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _flood(pipe: Connection, port: int, certificate: str, rate: int, seconds: int) -> None:
    """Ask at the rate over several connections for so many seconds; send how often each status came."""
    os.nice(1)
    statuses: Counter[str] = Counter()
    lock = threading.Lock()
    peers = [_Peer(port, certificate) for _ in range(CONNECTIONS)]
    start = time.monotonic() + 0.2

    def ask(peer: _Peer, number: int) -> None:
        mine: Counter[str] = Counter()
        sent = 0
        while (elapsed := time.monotonic() - start) < seconds:
            due = int(max(0.0, elapsed) * rate / CONNECTIONS) - sent
            if due > 0:
                mine.update(peer.ask(due))
                sent += due
            time.sleep(TICK_SECONDS * (1 + number / CONNECTIONS) / 2)
        with lock:
            statuses.update(mine)

    threads = [
        threading.Thread(target=ask, args=(peer, number), daemon=True) for number, peer in enumerate(peers)
    ]
    for thread in threads:
        thread.start()
    pipe.send("flooding")
    for thread in threads:
        thread.join()
    pipe.send(statuses)


class _Peer:
    """One TLS connection over which requests are sent several at a time."""

    REQUEST = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, port: int, certificate: str) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=certificate)
        self._connect()

    def _connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=60, source_address=(ATTACKER, 0))
        self._client = self._tls.wrap_socket(plain, server_hostname="localhost")
        self._received = b""

    def ask(self, count: int) -> list[str]:
        """Send so many requests; the statuses of the answers, sent again where the connection ended."""
        statuses: list[str] = []
        while len(statuses) < count:
            try:
                self._client.sendall(self.REQUEST * (count - len(statuses)))
                while len(statuses) < count:
                    statuses.append(self._answer())
            except (ConnectionError, ssl.SSLError):
                self._client.close()
                self._connect()
        return statuses

    def _answer(self) -> str:
        while (end := self._received.find(HEAD_END)) < 0:
            self._more()
        length: Any = LENGTH.search(self._received, 0, end)
        stop = end + len(HEAD_END) + int(length[1])
        while len(self._received) < stop:
            self._more()
        status = self._received[9:12].decode()
        self._received = self._received[stop:]
        return status

    def _more(self) -> None:
        data = self._client.recv(262_144)
        if not data:
            raise ConnectionResetError
        self._received += data


if __name__ == "__main__":
    main()

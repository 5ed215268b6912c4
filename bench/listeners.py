"""A hundred listeners at 8 KB/s each, and what they do to a list and a login meanwhile.

Once with a clip of a minute, which should leave the worker for the kernel's buffers at once, and once with a
long recording, which has a place in the worker for as long as somebody listens, and now and then a thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import selectors
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from bench.support.process import cpu_seconds, watched
from bench.support.recordings import MIB, Plain, encrypted, upload
from bench.support.report import Target, interleaved, percentile, print_table, print_targets
from bench.support.service import Client, Service, create_resources, path_of, running
from bench.support.stand_in import BUCKET, client, default_kind, stand_in

PASSWORD = "a long walk by the quiet river"
BYTES_PER_SECOND = 8000
TICK_SECONDS = 0.1
CLIP_SECONDS = 60
LATENCY_BOUND = 2.0
RECORDINGS_LISTED = 50
# A ticket has eight places and an account 64, so listeners come to more of both.
ACCOUNTS = 4
TICKETS_OF_EACH = 5


def main() -> None:
    arguments = _arguments()
    sizes = {"a minute": CLIP_SECONDS * BYTES_PER_SECOND, "long": arguments.long_mib * MIB}
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        service = stack.enter_context(running(aws))
        http = service.connect()
        urls: dict[str, list[str]] = {name: [] for name in sizes}
        for number in range(ACCOUNTS):
            account = http.expect(201, "POST", "/api/register", _credentials(number))
            http.token = account["token"]
            for name, size in sizes.items():
                urls[name] += _opened(http, aws, account, size, arguments.format)
        for number in range(RECORDINGS_LISTED - len(urls)):
            http.expect(201, "POST", "/api/audio-file", {"s3_key": f"users/bench/audio-{number}.3gp"})
        targets = []
        rows = []
        before = _latencies(http, arguments.samples)
        for name, paths in urls.items():
            loaded, heard = _with_listeners(arguments, service, http, paths)
            after = _latencies(http, arguments.samples)
            # Idle is before and after, so that a change in what else the machine does falls on both sides.
            idle = {call: before[call] + after[call] for call in before}
            before = after
            rows += [*_rows("nobody", idle, idle), *_rows(f"{name}: {heard}", loaded, idle)]
            targets += [
                Target(
                    f"{call}, {name} / idle (median)",
                    statistics.median(loaded[call]) / statistics.median(idle[call]),
                    LATENCY_BOUND,
                )
                for call in idle
            ]
        http.close()
    columns = ("listeners", "call", "median ms", "p90 ms", "of idle")
    print_table(f"{arguments.listeners} listeners at {BYTES_PER_SECOND} bytes a second", columns, rows)
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--arrivals", type=float, default=20, help="listeners that tune in a second")
    parser.add_argument("--samples", type=int, default=30, help="lists and logins in each phase")
    parser.add_argument("--long-mib", type=int, default=16)
    parser.add_argument("--format", choices=("single", "v2"), default="single")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


def _credentials(number: int = ACCOUNTS - 1) -> dict[str, str]:
    return {"email": f"listener-{number}@example.com", "password": PASSWORD}


def _opened(http: Client, aws: str, account: dict[str, Any], size: int, form: str) -> list[str]:
    """Upload and record a recording of `size` plain bytes; the paths that play it, of a ticket each."""
    s3_key = f"users/{account['user_id']}/audio-{size}.3gp"
    stored = upload(
        client("s3", aws), BUCKET, s3_key, encrypted(form, Plain(size), PASSWORD, account, s3_key)
    )
    http.expect(201, "POST", "/api/audio-file", {"s3_key": s3_key, "file_size": stored})
    wanted = {"password": PASSWORD, "s3_key": s3_key}
    answers = [http.expect(200, "POST", "/api/decrypt-audio", wanted) for _ in range(TICKETS_OF_EACH)]
    return [path_of(answer["download_url"]) for answer in answers]


def _latencies(http: Client, samples: int) -> dict[str, list[float]]:
    def timed(call: Callable[[], object]) -> Callable[[], float]:
        def run() -> float:
            started = time.perf_counter()
            call()
            return time.perf_counter() - started

        return run

    listed = f"/api/user/audio-files?limit={RECORDINGS_LISTED}"
    return interleaved(
        samples,
        {
            "list": timed(lambda: http.expect(200, "GET", listed)),
            "login": timed(lambda: http.expect(200, "POST", "/api/login", _credentials())),
        },
    )


def _rows(name: str, samples: dict[str, list[float]], idle: dict[str, list[float]]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            call,
            f"{statistics.median(seconds) * 1000:.1f}",
            f"{percentile(seconds, 0.9) * 1000:.1f}",
            f"{statistics.median(seconds) / statistics.median(idle[call]):.2f}",
        )
        for call, seconds in samples.items()
    ]


def _with_listeners(
    arguments: argparse.Namespace, service: Service, http: Client, paths: list[str]
) -> tuple[dict[str, list[float]], str]:
    """Latencies while everybody listens, and a few words about how that went."""
    finished_before = _playbacks_finished(service)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_listen,
        args=(theirs, service.port, paths, arguments.listeners, arguments.arrivals),
        daemon=True,
    )
    process.start()
    # With our copy of its end closed, a listener that fails ends our wait.
    theirs.close()
    ours.recv()
    time.sleep(2)
    finished = _playbacks_finished(service) - finished_before
    cpu, started = cpu_seconds(service.worker), time.perf_counter()
    with watched(service.worker) as watch:
        latencies = _latencies(http, arguments.samples)
    busy = (cpu_seconds(service.worker) - cpu) / (time.perf_counter() - started)
    ours.send("stop")
    heard: list[int] = ours.recv()
    process.join(10)
    if min(heard) == 0:
        raise RuntimeError(f"{heard.count(0)} of {len(heard)} listeners heard nothing")
    print(
        f"  worker: {busy:.0%} of a core, {watch.resident_peak:.0f} MiB; "
        f"every listener heard at least {min(heard) / 1000:.0f} KB"
    )
    return latencies, f"{finished} of {arguments.listeners} had left the worker after 2 s"


def _playbacks_finished(service: Service) -> int:
    """How many playback requests the service has logged as over."""
    count = 0
    for line in service.log_text().splitlines():
        if "playback" in line and line.startswith("{"):
            count += "playback" in str(json.loads(line).get("route", ""))
    return count


def _listen(
    pipe: Connection, port: int, paths: list[str], listeners: int, arrivals_per_second: float
) -> None:
    """Read every stream at its pace until told to stop; then send how many bytes each has heard."""
    sockets = []
    for number in range(listeners):
        sockets.append(_tuned_in(port, paths[number % len(paths)]))
        # The stand-in reads an object whole for every request, so a hundred at once would measure its queue.
        time.sleep(1 / arrivals_per_second)
    heard = [0] * listeners
    step = int(BYTES_PER_SECOND * TICK_SECONDS)
    buffer = bytearray(step)
    # Everybody has the first bytes before anything is measured.
    _first_bytes(sockets, heard)
    pipe.send("listening")
    due = time.monotonic()
    while not pipe.poll():
        for number, listener in enumerate(sockets):
            try:
                heard[number] += listener.recv_into(buffer, step)
            except BlockingIOError:
                continue
        due += TICK_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
    pipe.recv()
    for listener in sockets:
        listener.close()
    pipe.send(heard)


def _tuned_in(port: int, path: str) -> socket.socket:
    listener = socket.socket()
    # A phone's window: with loopback's own, megabytes would lie in this process unheard.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.connect(("127.0.0.1", port))
    listener.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    listener.setblocking(False)
    return listener


def _first_bytes(sockets: list[socket.socket], heard: list[int]) -> None:
    deadline = time.monotonic() + 60
    waiting = dict(enumerate(sockets))
    with selectors.DefaultSelector() as selector:
        for number, listener in waiting.items():
            selector.register(listener, selectors.EVENT_READ, number)
        while waiting and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                head = waiting.pop(key.data).recv(512)
                if not head.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"a listener got {head[:100]!r}")
                heard[key.data] += len(head)
                selector.unregister(key.fileobj)


if __name__ == "__main__":
    main()

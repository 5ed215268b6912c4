"""A bystander's health and login while others are slow on purpose, in every way that one can be.

Each kind of slow client keeps at it while the bystander calls, over a new connection each time; the quiet
service is measured before and after. The service has as few threads as any in production.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from urllib.parse import urlsplit

from bench.support.process import resident_mib
from bench.support.report import Target, percentile, print_table, print_targets
from tests.conftest import UNLIMITED
from tests.support import slow
from tests.support.aws import start_moto
from tests.support.service import PASSWORD, Service, run_service

MIB = 1024 * 1024
BOUND_SECONDS = 1.0
THREADS = 32
POST = b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BYSTANDER = {"email": "bystander@example.com", "password": PASSWORD}
# In the network of no other client; the bench stands behind itself as its own proxy.
FLOOD_ADDRESS, BYSTANDER_ADDRESS = "192.0.2.1", "198.51.100.1"
FLOODS = 24


def main() -> None:
    arguments = _arguments()
    settings = UNLIMITED | {"TRUSTED_PROXIES": "1", "THREADS": str(THREADS), "LIMIT_FAILURES": "1000000"}
    with start_moto() as aws, run_service(aws, **settings) as service:
        service.register(BYSTANDER["email"])
        listener = service.register("listener@example.com")
        path = slow.opened(service, listener, os.urandom(arguments.mib * MIB))
        export = slow.request(service, "/api/user/export", listener["token"])
        count = arguments.clients
        kinds: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "listeners who read nothing": lambda: slow.crowd(service, slow.request(service, path), count),
            "exports that nobody reads": lambda: slow.crowd(service, export, count),
            "dripping heads": lambda: _dripping(service, b"GET /api/health HTTP/1.1\r\nX: ", count),
            "dripping bodies": lambda: _dripping(service, POST + b"Content-Length: 900\r\n\r\n", count),
            "half-open connections": lambda: slow.crowd(service, b"", arguments.half_open, 4096),
            "logins from one address": lambda: _flood(service, "nobody-{}@example.com"),
            "logins at one account": lambda: _flood(service, "listener@example.com"),
        }
        quiet = _calls(service, arguments.samples)
        figures = {}
        (worker,) = service.worker_pids()
        for name, kind in ((name, kind) for name, kind in kinds.items() if arguments.kind in name):
            with kind():
                figures[name] = _calls(service, arguments.samples)
            print(f"  {name}: the worker has {resident_mib(worker):.0f} MiB")
        again = _calls(service, arguments.samples)
    # Before and after, so that a change in what else the machine does falls on both sides.
    quiet = {call: quiet[call] + again[call] for call in quiet}
    _report(figures, quiet)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100, help="calls of each sort beside each kind")
    parser.add_argument("--clients", type=int, default=150)
    parser.add_argument("--half-open", type=int, default=1500)
    parser.add_argument("--mib", type=int, default=12, help="the length of the recording")
    parser.add_argument("--kind", default="", help="only the kinds of slow clients that are called so")
    return parser.parse_args()


def _calls(service: Service, samples: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"health": [], "login": []}
    for _ in range(samples):
        found["health"].append(_seconds(service, "GET", "/api/health"))
        found["login"].append(_seconds(service, "POST", "/api/login", BYSTANDER))
    return found


def _seconds(service: Service, method: str, path: str, body: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    status, answer = _answer(service, method, path, body, BYSTANDER_ADDRESS)
    if status != 200:
        raise RuntimeError(f"{method} {path} answered {status}: {answer!r}")
    return time.perf_counter() - began


def _answer(
    service: Service, method: str, path: str, body: dict[str, str] | None, address: str
) -> tuple[int, bytes]:
    server = urlsplit(service.url)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=60)
    fields = {"X-Forwarded-For": address, "Content-Type": "application/json"}
    try:
        connection.request(method, path, body=json.dumps(body) if body else None, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def _dripping(service: Service, begun: bytes, count: int) -> Iterator[None]:
    with slow.crowd(service, begun, count) as clients, slow.dripping(clients):
        yield


@contextmanager
def _flood(service: Service, email: str) -> Iterator[None]:
    """Let two dozen connections sign in again and again: from one address, or at one account from many."""
    over = threading.Event()

    def sign_in(number: int) -> None:
        times = 0
        while not over.is_set():
            times += 1
            person = {"email": email.format(f"{number}-{times}"), "password": "some other password"}
            address = FLOOD_ADDRESS if "{}" in email else f"203.0.113.{number + 1}"
            if _answer(service, "POST", "/api/login", person, address)[0] in (429, 503):
                # So that all of them together ask as often as nginx lets one address ask.
                over.wait(0.5)

    threads = [threading.Thread(target=sign_in, args=(number,)) for number in range(FLOODS)]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield


def _report(figures: dict[str, dict[str, list[float]]], quiet: dict[str, list[float]]) -> None:
    rows, targets = [], []
    for name, found in {"nobody": quiet, **figures}.items():
        for call, seconds in found.items():
            slowest = percentile(seconds, 0.99)
            ratio = statistics.median(seconds) / statistics.median(quiet[call])
            median = f"{statistics.median(seconds) * 1000:.1f}"
            rows.append((name, call, median, f"{slowest * 1000:.0f}", f"{ratio:.2f}"))
            if found is not quiet:
                targets.append(Target(f"{call}, {name} (p99)", slowest, BOUND_SECONDS, unit=" s"))
    print_table("A bystander's calls", ("others", "call", "median ms", "p99 ms", "of quiet"), rows)
    print_targets(targets)


if __name__ == "__main__":
    main()

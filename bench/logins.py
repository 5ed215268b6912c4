"""Logins: one against a bare Argon2 verify, and sixteen clients at once beside somebody who asks for health.

A login and a bare verify of the same password under the same parameters take turns in the same run.  In the
crowd each client logs in again and again; one told 503 waits as long as Retry-After says.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from argon2 import PasswordHasher

from bench.support.process import resident_mib, watched
from bench.support.report import Target, interleaved, percentile, print_table, print_targets
from bench.support.service import Client, Service, create_resources, running
from bench.support.stand_in import default_kind, stand_in
from panzoto.config import Settings

PASSWORD = "a long walk by the quiet river"
LOGIN_BOUND = 1.1
# What sixteen requests hold beside their hashes: buffers, stacks, connections.
REQUESTS_MIB = 8
HEALTH_BOUND_SECONDS = 0.2
HEALTH_PAUSE_SECONDS = 0.02


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        service = stack.enter_context(running(aws))
        for number in range(arguments.clients):
            http = service.connect()
            http.expect(201, "POST", "/api/register", _credentials(number))
            http.close()
        targets = [*_one_login(arguments.rounds, service), *_crowd(arguments, service)]
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="pairs of a login and a bare verify")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15, help="how long the crowd lasts")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


def _credentials(number: int) -> dict[str, str]:
    return {"email": f"sleeper-{number}@example.com", "password": PASSWORD}


def _one_login(rounds: int, service: Service) -> list[Target]:
    argon2 = Settings().argon2
    hasher = PasswordHasher(argon2.time_cost, argon2.memory_cost_kib, argon2.parallelism)
    encoded = hasher.hash(PASSWORD)
    http = service.connect()

    def login() -> float:
        started = time.perf_counter()
        http.expect(200, "POST", "/api/login", _credentials(0))
        return time.perf_counter() - started

    def unknown() -> float:
        started = time.perf_counter()
        http.expect(401, "POST", "/api/login", {"email": "nobody@example.com", "password": PASSWORD})
        return time.perf_counter() - started

    def verify() -> float:
        started = time.perf_counter()
        hasher.verify(encoded, PASSWORD)
        return time.perf_counter() - started

    def health() -> float:
        started = time.perf_counter()
        http.expect(200, "GET", "/api/health")
        return time.perf_counter() - started

    samples = interleaved(
        rounds,
        {"bare verify": verify, "login": login, "login, unknown account": unknown, "GET /api/health": health},
    )
    http.close()
    bare = statistics.median(samples["bare verify"])
    rows = [
        (
            name,
            f"{statistics.median(seconds) * 1000:.1f}",
            f"{percentile(seconds, 0.9) * 1000:.1f}",
            f"{statistics.median(seconds) / bare:.3f}",
        )
        for name, seconds in samples.items()
    ]
    print_table(f"One at a time, {rounds} rounds", ("", "median ms", "p90 ms", "of a bare verify"), rows)
    fastest = {name: sum(sorted(seconds)[: len(seconds) // 4 + 1]) for name, seconds in samples.items()}
    print(
        f"  of the fastest quarter, a login takes {fastest['login'] / fastest['bare verify']:.3f} of a verify"
    )
    login_ratio = statistics.median(samples["login"]) / bare
    unknown_ratio = statistics.median(samples["login, unknown account"]) / statistics.median(samples["login"])
    return [
        Target("login / bare verify (time)", login_ratio, LOGIN_BOUND),
        Target("unknown account / known (time)", unknown_ratio, 1.05),
        Target("unknown account / known (time)", unknown_ratio, 0.95, at_most=False),
    ]


@dataclass
class _Crowd:
    """What the clients of the crowd met with."""

    answers: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def log_in(self, service: Service, number: int) -> None:
        while not self.over.is_set():
            http = service.connect()
            try:
                started = time.perf_counter()
                status, _ = http.call("POST", "/api/login", _credentials(number))
                taken = time.perf_counter() - started
            except OSError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                return
            finally:
                http.close()
            with self.lock:
                self.answers[status] += 1
                if status == 200:
                    self.seconds.append(taken)
            if status == 503:
                self.over.wait(1 + random.random())

    def ask_for_health(self, http: Client) -> None:
        while not self.over.wait(HEALTH_PAUSE_SECONDS):
            started = time.perf_counter()
            http.expect(200, "GET", "/api/health")
            self.health.append(time.perf_counter() - started)


def _gather(clients: int, seconds: float, service: Service) -> _Crowd:
    crowd = _Crowd()
    http = service.connect()
    threads = [threading.Thread(target=crowd.log_in, args=(service, number)) for number in range(clients)]
    threads.append(threading.Thread(target=crowd.ask_for_health, args=(http,)))
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    crowd.over.set()
    for thread in threads:
        thread.join()
    http.close()
    if crowd.failures:
        raise RuntimeError(f"{len(crowd.failures)} clients failed, the first with {crowd.failures[0]}")
    return crowd


def _crowd(arguments: argparse.Namespace, service: Service) -> list[Target]:
    # The idle size is that of a worker whose threads and connections exist already.
    _gather(arguments.clients, 2, service)
    with watched(service.worker) as watch:
        crowd = _gather(arguments.clients, arguments.seconds, service)
    settings = Settings()
    hashes_mib = settings.hashes_at_once * settings.argon2.memory_cost_kib / 1024
    answers = ", ".join(f"{count} with {status}" for status, count in sorted(crowd.answers.items()))
    print_table(
        f"{arguments.clients} clients for {arguments.seconds:.0f} s: {answers}",
        ("", "median ms", "p99 ms", "most ms"),
        [
            (name, *(f"{value * 1000:.1f}" for value in figures))
            for name, figures in (
                ("login", _figures(crowd.seconds)),
                ("GET /api/health", _figures(crowd.health)),
            )
        ],
    )
    print(
        f"  worker: idle {watch.resident_before:.0f} MiB, peak {watch.resident_peak:.0f} MiB, "
        f"afterwards {resident_mib(service.worker):.0f} MiB; "
        f"{settings.hashes_at_once} hashes at once of {settings.argon2.memory_cost_kib / 1024:.0f} MiB"
    )
    return [
        Target(
            "GET /api/health, 99th percentile",
            percentile(crowd.health, 0.99),
            HEALTH_BOUND_SECONDS,
            unit=" s",
        ),
        Target(
            "peak memory", watch.resident_peak, watch.resident_before + hashes_mib + REQUESTS_MIB, unit=" MiB"
        ),
        Target("logins that were answered", crowd.answers[200], arguments.clients, at_most=False),
    ]


def _figures(seconds: list[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), percentile(seconds, 0.99), max(seconds)


if __name__ == "__main__":
    main()

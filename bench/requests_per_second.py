"""What a list of fifty and a create cost beside bare SDKs, and a plain Flask view, that do the same calls.

All of them talk to one DynamoDB stub that answers at once, take turns in short batches, and are compared
within each round.  CPU seconds are the kernel's: of the gunicorn worker for the service and the plain view,
of a process of its own for each other reference.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.support.bare_calls import (
    Cost,
    Measured,
    application_workloads,
    boto3_workloads,
    measured,
    pynamodb_workloads,
)
from bench.support.dynamodb_stub import SESSION_ID, USER_ID, most_per_second, running_stub
from bench.support.process import cpu_seconds
from bench.support.report import Target, interleaved, print_table, print_targets, ratio
from bench.support.saturate import RawPeer, per_second, request_bytes
from bench.support.service import SECRET_KEY, Service, environment, running
from panzoto.auth.tokens import Tokens

LIST_BOUND = 1.5
PLAIN_LIST_BOUND = 0.8
PLAIN_CREATE_BOUND = 2.0
READY_BOUND = 3.0
PLAIN_VIEW = "bench.support.plain_view:app"
CONNECTIONS = 8


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        stub = stack.enter_context(running_stub())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panzoto-bench-")))
        environ = environment(stub, folder)
        os.environ.update({name: environ[name] for name in environ if name.startswith("AWS_")})
        contenders = _Contenders(
            boto=stack.enter_context(measured(boto3_workloads, stub, environ)),
            pynamo=stack.enter_context(measured(pynamodb_workloads, stub, environ)),
            application=stack.enter_context(measured(application_workloads, stub, environ)),
            http=_OverHttp(stack.enter_context(running(stub, LOG_LEVEL=arguments.log_level))),
            plain=_OverHttp(stack.enter_context(running(stub, PLAIN_VIEW))),
        )
        _print_stub_speed(stub)
        _compare(arguments, contenders)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds that count; one more warms up")
    parser.add_argument("--batch", type=int, default=150, help="calls of each kind in a round")
    parser.add_argument("--log-level", default="INFO", help="LOG_LEVEL of the service")
    return parser.parse_args()


def _print_stub_speed(stub: str) -> None:
    calls = ("Query", "TransactWriteItems")
    rows = [(call, f"{most_per_second(stub, call, 0.5):.0f}") for call in calls]
    print_table("The stub alone (it must be far above everything below)", ("call", "requests/s"), rows)


class _OverHttp:
    """The service, or the plain view, behind gunicorn, over one kept connection a batch."""

    def __init__(self, service: Service) -> None:
        token = Tokens(SECRET_KEY, (), 86400).mint(USER_ID, SESSION_ID)[0]
        self.service = service
        self.list_request = request_bytes("GET", "/api/user/audio-files?limit=50", service.port, token)
        self.health_request = request_bytes("GET", "/api/health", service.port, token)
        self.ready_request = request_bytes("GET", "/api/health/ready", service.port, token)
        body = json.dumps({"s3_key": "users/bench/audio-1.3gp", "file_size": 1024}).encode()
        self.create_request = request_bytes("POST", "/api/audio-file", service.port, token, body)
        peer = RawPeer(service.port)
        listed = json.loads(peer.ask(self.list_request, 200).partition(b"\r\n\r\n")[2])
        peer.close()
        if len(listed["audio_files"]) != 50:
            raise RuntimeError("it does not list the fifty recordings of the stub")

    def run(self, request: bytes, status: int, times: int) -> Cost:
        # Between two batches the service may well close an idle connection, so each batch has its own.
        peer = RawPeer(self.service.port)
        cpu, wall = cpu_seconds(self.service.worker), time.perf_counter()
        for _ in range(times):
            peer.ask(request, status)
        wall = time.perf_counter() - wall
        peer.close()
        return Cost((cpu_seconds(self.service.worker) - cpu) / times, wall / times)


@dataclass(frozen=True)
class _Contenders:
    """All that takes turns."""

    boto: Measured
    pynamo: Measured
    application: Measured
    http: _OverHttp
    plain: _OverHttp

    def measures(self, batch: int) -> dict[str, Callable[[], Cost]]:
        boto, pynamo, application = self.boto, self.pynamo, self.application
        http, plain = self.http, self.plain
        return {
            "boto3 query": lambda: boto.run("query", batch),
            "pynamodb raw connection": lambda: pynamo.run("raw", batch),
            "pynamodb model": lambda: pynamo.run("model", batch),
            "service list, in process": lambda: application.run("list", batch),
            "plain view list, gunicorn": lambda: plain.run(plain.list_request, 200, batch),
            "service list, gunicorn": lambda: http.run(http.list_request, 200, batch),
            "boto3 transact": lambda: boto.run("transact", batch),
            "service create, in process": lambda: application.run("create", batch),
            "plain view create, gunicorn": lambda: plain.run(plain.create_request, 201, batch),
            "service create, gunicorn": lambda: http.run(http.create_request, 201, batch),
            "service health, gunicorn": lambda: http.run(http.health_request, 200, batch),
            "service ready, gunicorn": lambda: http.run(http.ready_request, 200, batch),
        }


def _compare(arguments: argparse.Namespace, contenders: _Contenders) -> None:
    batch = arguments.batch
    costs: dict[str, list[Cost]] = {}

    def keep(name: str, measure: Callable[[], Cost]) -> Callable[[], float]:
        def run() -> float:
            cost = measure()
            costs.setdefault(name, []).append(cost)
            return cost.cpu

        return run

    measures = contenders.measures(batch)
    samples = interleaved(arguments.rounds, {name: keep(name, run) for name, run in measures.items()})
    rows = []
    for name, values in samples.items():
        write = "transact" in name or "create" in name
        reference = "boto3 transact" if write else "pynamodb raw connection"
        view = f"plain view {'create' if write else 'list'}, gunicorn"
        walls = sorted(cost.wall for cost in costs[name][1:])
        wall = walls[len(walls) // 2]
        rows.append(
            (
                name,
                f"{sorted(values)[len(values) // 2] * 1000:.2f}",
                f"{wall * 1000:.2f}",
                f"{1 / wall:.0f}",
                f"{ratio(samples, name, reference):.2f}",
                f"{ratio(samples, name, 'boto3 transact' if write else 'boto3 query'):.2f}",
                f"{ratio(samples, name, view):.2f}",
            )
        )
    columns = ("what", "CPU ms", "ms", "1/s, one at a time", "CPU / raw", "CPU / boto3", "CPU / plain view")
    print_table(f"Fifty recordings, and one new one (batches of {batch}, medians)", columns, rows)
    http = contenders.http
    port = http.service.port
    rates = [
        (name, f"{per_second(port, request, status, 3, CONNECTIONS):.0f}")
        for name, request, status in (("list", http.list_request, 200), ("create", http.create_request, 201))
    ]
    print_table(f"One worker kept busy over {CONNECTIONS} connections", ("call", "requests/s"), rates)
    print_targets(
        [
            Target(
                "list request / raw read (CPU)",
                ratio(samples, "service list, gunicorn", "pynamodb raw connection"),
                LIST_BOUND,
            ),
            Target(
                "list request / plain view (CPU)",
                ratio(samples, "service list, gunicorn", "plain view list, gunicorn"),
                PLAIN_LIST_BOUND,
            ),
            Target(
                "create request / plain view (CPU)",
                ratio(samples, "service create, gunicorn", "plain view create, gunicorn"),
                PLAIN_CREATE_BOUND,
            ),
            Target(
                "ready / health (CPU)",
                ratio(samples, "service ready, gunicorn", "service health, gunicorn"),
                READY_BOUND,
            ),
            Target(
                "list in process / raw read (CPU)",
                ratio(samples, "service list, in process", "pynamodb raw connection"),
                LIST_BOUND,
            ),
        ]
    )


if __name__ == "__main__":
    main()

"""Workers: what a message takes of a core, and what a worker takes of memory.

Service, workers and queues are real processes and real sockets; moto stands in for AWS. How many messages a
second a worker does follows from the core that it is given, not from this stand-in, which does one call at a
time.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import requests

from bench.support.process import cpu_seconds, resident_mib
from bench.support.report import Target, print_table, print_targets
from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.commands import command
from tests.support.service import Service, aws_client, run_service
from tests.support.waiting import eventually

SOUND = b"sound"
# Of what docs/operations.md reckons with, so that it is known when it is no longer so.
EVENT_CORE_MS, CHORE_CORE_MS, MEMORY_MIB = 25, 40, 150
NAMES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
HANDS = 8


def left(service: Service, queue: str) -> int:
    """Return how many messages wait or are in hand."""
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(NAMES))["Attributes"]
    return sum(int(told[one]) for one in NAMES)


def put_without_a_word(service: Service, count: int) -> None:
    """Let so many people announce an upload each and put it, and say nothing."""

    def one(_: int) -> None:
        token = service.register(f"{uuid.uuid4()}@example.com")["token"]
        answer = service.call("POST", "/api/uploads", token, json={"file_size": len(SOUND)})
        assert answer.status_code == 201, answer.text
        upload = answer.json()["upload"]
        assert requests.put(upload["url"], SOUND, headers=upload["headers"], timeout=60).ok

    with ThreadPoolExecutor(HANDS) as pool:
        list(pool.map(one, range(count)))


def change_accounts(service: Service, count: int) -> None:
    """Let so many people register, record something and bin it, so that each is due."""

    def one(_: int) -> None:
        account = service.register(f"{uuid.uuid4()}@example.com")
        key = f"users/{account['user_id']}/{uuid.uuid4()}"
        service.put_object(key, SOUND)
        sent = {"s3_key": key, "file_size": len(SOUND)}
        made = service.call("POST", "/api/audio-file", account["token"], json=sent).json()["audio_file"]
        service.call("DELETE", f"/api/audio-file/{made['file_id']}", account["token"])

    with ThreadPoolExecutor(HANDS) as pool:
        list(pool.map(one, range(count)))


def accounts_due(service: Service) -> int:
    """Return how many accounts are due now."""
    rows = service.dynamodb().scan(TableName="panzoto-users")["Items"]
    return sum(int(one.get("due_at", {"N": "9e18"})["N"].split(".")[0] or 0) <= time.time() for one in rows)


class Taken(NamedTuple):
    """What a worker took: core-seconds, and MiB in the end."""

    cores: float
    memory: float


def measured(service: Service, role: str, words: Sequence[str], is_over: Callable[[], bool]) -> Taken:
    """Run a worker until all is done."""
    worker = command(service, role, *words)
    try:
        eventually(is_over, service.log, 900)
        return Taken(cpu_seconds(worker.pid), resident_mib(worker.pid))
    finally:
        worker.kill()
        worker.wait()


def events(arguments: argparse.Namespace) -> Iterator[Target]:
    """Events of uploads that were only put, each of another person."""
    with start_moto() as moto, run_service(moto, **UNLIMITED, MAIL="off") as service:
        put_without_a_word(service, arguments.messages)
        waiting = left(service, "panzoto-bucket-events")
        words = ("events",)
        taken = measured(service, "events", words, lambda: not left(service, "panzoto-bucket-events"))
        yield from told("Events", waiting, taken, EVENT_CORE_MS)


def chores(arguments: argparse.Namespace) -> Iterator[Target]:
    """Accounts that are due: one worker with quick answers."""
    with start_moto() as moto, run_service(moto, **UNLIMITED, MAIL="off") as service:
        change_accounts(service, arguments.messages)
        due = accounts_due(service)
        taken = measured(service, "chores", ("chores", "work"), lambda: not accounts_due(service))
        yield from told("Chores", due, taken, CHORE_CORE_MS)


def told(title: str, messages: int, taken: Taken, bound: float) -> Iterator[Target]:
    each = 1000 * taken.cores / messages
    row = (str(messages), f"{each:.1f}", f"{taken.memory:.0f}")
    print_table(title, ("messages", "core ms each", "MiB"), [row])
    yield Target(f"{title}: core ms of each message", each, bound, unit=" ms")
    yield Target(f"{title}: memory of a worker", taken.memory, MEMORY_MIB, unit=" MiB")


TRIALS = {"events": events, "chores": chores}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], default=list(TRIALS), metavar="trial")
    parser.add_argument("--messages", type=int, default=200)
    arguments = parser.parse_args()
    targets = [target for name in arguments.trials for target in TRIALS[name](arguments)]
    sys.exit(0 if print_targets(targets) else 1)


if __name__ == "__main__":
    main()

"""Forty-eight devices that record at one account, over several processes, beside one that does so alone.

Both take turns. Whether the list of changes has a gap or a repeat is read while they write, and at the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.support.report import Target, print_table, print_targets
from bench.support.service import Client
from bench.support.stand_in import default_kind, stand_in
from tests.conftest import UNLIMITED
from tests.support.service import Service, run_service

PASSWORD = "a password for the bench"
EMAIL = "writers@example.com"


@dataclass
class Round:
    """What one round of so many writers came to."""

    recorded: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def rate(self) -> float:
        return self.recorded / self.seconds


def main() -> None:
    arguments = _arguments()
    settings = UNLIMITED | {"WEB_CONCURRENCY": str(arguments.processes)}
    with stand_in(arguments.stand_in) as aws, run_service(aws, **settings) as service:
        account = service.register(EMAIL, PASSWORD)
        follower = _Follower(service, account["token"])
        rounds: dict[int, list[Round]] = {1: [], arguments.writers: []}
        for _ in range(arguments.rounds + 1):
            for writers, measured in rounds.items():
                measured.append(_write(service, account, writers, arguments.seconds))
        recorded = sum(one.recorded for of_writers in rounds.values() for one in of_writers)
        lists = follower.end(), _all_changes(_client(service, account["token"]))
    warm = {writers: measured[1:] for writers, measured in rounds.items()}
    sys.exit(0 if print_targets(_targets(warm, recorded, lists)) else 1)


def _client(service: Service, token: str) -> Client:
    address = urlsplit(service.url)
    return Client(str(address.hostname), address.port or 80, token)


def _write(service: Service, account: dict[str, str], writers: int, seconds: float) -> Round:
    """Let so many writers record until the time is over; each has a connection of its own."""
    result, guard = Round(), threading.Lock()
    begun = time.monotonic()
    until = begun + seconds

    def write(number: int) -> None:
        client = _client(service, account["token"])
        count = 0
        while (started := time.monotonic()) < until:
            key = f"users/{account['user_id']}/{begun:.6f}-{number}-{count}"
            status, _ = client.call("POST", "/api/audio-file", {"s3_key": key, "file_size": 1000})
            count += 1
            with guard:
                result.statuses[status] += 1
                result.recorded += status == 201
                result.slowest = max(result.slowest, time.monotonic() - started)
        client.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    result.seconds = time.monotonic() - begun
    return result


class _Follower:
    """Follows the list of changes while others write, as a phone that synchronises does."""

    def __init__(self, service: Service, token: str) -> None:
        self._client = _client(service, token)
        self._stopping = threading.Event()
        self._told: list[str] = []
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def end(self) -> list[str]:
        """Read the rest, and return the ids in the order in which they were told."""
        self._stopping.set()
        self._thread.join()
        return self._told

    def _follow(self) -> None:
        since = ""
        while True:
            is_last = self._stopping.is_set()
            since, told = _page(self._client, since)
            self._told += told
            if not told:
                if is_last:
                    return
                self._stopping.wait(0.5)


def _page(client: Client, since: str) -> tuple[str, list[str]]:
    page = client.expect(200, "GET", f"/api/user/changes?limit=200{since}")
    return f"&since={page['next']}", [change["file_id"] for change in page["changes"]]


def _all_changes(client: Client) -> list[str]:
    found, since = list[str](), ""
    while True:
        since, told = _page(client, since)
        if not told:
            return found
        found += told


def _targets(
    rounds: dict[int, list[Round]], recorded: int, lists: tuple[list[str], list[str]]
) -> list[Target]:
    print_table(
        "Records at one account",
        ("devices", "records/s", "slowest s", "answers"),
        [
            (str(writers), f"{one.rate:.0f}", f"{one.slowest:.2f}", str(dict(one.statuses)))
            for of_round in zip(*rounds.values(), strict=True)
            for writers, one in zip(rounds, of_round, strict=True)
        ],
    )
    (alone, crowd), (followed, walked) = rounds.values(), lists
    share = statistics.median(many.rate / one.rate for one, many in zip(alone, crowd, strict=True))
    refused = sum(count for one in crowd for status, count in one.statuses.items() if status != 201)
    return [
        Target("records of all devices / of one alone", share, 1.0, at_most=False),
        Target("records of all devices a second", min(one.rate for one in crowd), 100, at_most=False),
        Target("records that were refused", refused, 0),
        Target("changes missing at the end", recorded - len(set(walked)), 0),
        Target("changes told twice at the end", len(walked) - len(set(walked)), 0),
        Target("changes missed by who followed", len(set(walked) - set(followed)), 0),
        Target("changes told twice to who followed", len(followed) - len(set(followed)), 0),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.writers", description=__doc__)
    parser.add_argument("--writers", type=int, default=48)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10, help="of each round")
    parser.add_argument("--rounds", type=int, default=3, help="that count; one more warms up")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or its URL")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""First sign-ins after a move: so many phones at once, each of which makes its account's vault.

Every phone has an address of its own and does what phones do: signs in, and when it is told 503 it waits as
long as `Retry-After` says and tries again. Beside them somebody asks for health and for a list of recordings.

What the machine could do at best is measured before and after: the same Argon2 computations, as many at once
as the service has permits, in threads of the bench. All figures are told as shares of that.

With `--queue` it is the queue alone, in this process: computations that take their time and no processor, so
that the figures are the queue's, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection

from argon2 import PasswordHasher

from bench.support.report import Target, percentile, print_table, print_targets
from bench.support.service import Service, create_resources, running
from bench.support.stand_in import client, default_kind, stand_in
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits, ask_for, begin_asking, come_back_with
from panzoto.errors import Busy

PASSWORD = "a long walk by the quiet river"
# A verification of the old hash, and a vault. A hash of other costs than today's would be made anew as well.
COMPUTATIONS = 2
PAUSE_SECONDS = 0.1
# What a computation takes where the queue alone is looked at.
QUEUE_SECONDS = 0.4
# A wait is told in whole seconds, and a turn itself takes some.
NEARLY_SECONDS = 2.0
# Who is refused again and again is refused for ever, as far as a person is concerned.
PATIENCE = 100

# Asks for one phone; returns the code of the error, empty for none, and what `Retry-After` says.
Ask = Callable[[int], tuple[str, int]]


@dataclass
class Phone:
    """One phone: when it was told to wait and for how long, and when it was in."""

    number: int
    began: float = 0.0
    told: list[tuple[float, int]] = field(default_factory=list)
    # Answers of 503 for which the stand-in was the reason: it shares the machine with the hashes.
    unavailable: int = 0
    done: float = 0.0

    @property
    def is_in(self) -> bool:
        return self.done > 0

    def error(self, own_seconds: float) -> float:
        """By how many seconds the last wait that it was told was wrong."""
        moment, seconds = self.told[-1]
        return self.done - moment - own_seconds - seconds

    def sign_in(self, ask: Ask, arrival: float, started: float) -> None:
        """Sign in as a phone does; `arrival` is when it begins, in seconds after `started`."""
        time.sleep(max(0.0, started + arrival - time.monotonic()))
        self.began = time.monotonic()
        for _ in range(PATIENCE):
            code, retry_after = ask(self.number)
            moment = time.monotonic()
            if code == "":
                self.done = moment
                return
            if code == "busy":
                self.told.append((moment, retry_after))
            else:
                self.unavailable += 1
            time.sleep(retry_after + random.random() * 0.3)


def over_the_wire(port: int) -> Ask:
    """Return what asks the service at `port`."""

    def ask(number: int) -> tuple[str, int]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        body = json.dumps({"email": email(number), "password": PASSWORD})
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
        try:
            connection.request("POST", "/api/login", body, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            code = "" if answer.status == 200 else told["code"]
            if code not in ("", "busy", "unavailable"):
                raise RuntimeError(f"a phone was answered {answer.status}: {told}")
            return code, int(answer.getheader("Retry-After", "0"))
        finally:
            connection.close()

    return ask


def email(number: int) -> str:
    return f"moved-{number}@example.com"


def put_moved(aws: str, phones: int) -> None:
    """Write accounts as the move does: a hash of the earlier service, and no vault."""
    argon2 = Settings().argon2
    hasher = PasswordHasher(argon2.time_cost, argon2.memory_cost_kib, argon2.parallelism)
    encoded = hasher.hash(PASSWORD)
    dynamodb = client("dynamodb", aws)
    for number in range(phones):
        dynamodb.put_item(
            TableName="panzoto-users",
            Item={
                "user_id": {"S": str(uuid.UUID(int=number + 1))},
                "email": {"S": email(number)},
                "password_hash": {"S": encoded},
                "key_salt": {"S": base64.b64encode(bytes(32)).decode()},
                "created_at": {"N": "1700000000"},
                "created_at_iso": {"S": "2023-11-14T22:13:20"},
            },
        )


def best_seconds(at_once: int, seconds: float) -> float:
    """Return the seconds that the machine takes for one computation when it does nothing else."""
    argon2 = Settings().argon2
    hasher = PasswordHasher(argon2.time_cost, argon2.memory_cost_kib, argon2.parallelism)
    began = time.monotonic()

    def compute(_: int) -> int:
        count = 0
        while time.monotonic() - began < seconds:
            hasher.hash(PASSWORD)
            count += 1
        return count

    with ThreadPoolExecutor(at_once) as pool:
        count = sum(pool.map(compute, range(at_once)))
    return (time.monotonic() - began) / count


@dataclass
class Bystanders:
    """Somebody who asks for health, and somebody who asks for a list, all the time."""

    health: list[float] = field(default_factory=list)
    listing: list[float] = field(default_factory=list)
    failed: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, service: Service, path: str, seconds: list[float], token: str | None = None) -> None:
        http = service.connect()
        http.token = token
        while not self.over.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            status, _ = http.call("GET", path)
            seconds.append(time.perf_counter() - began)
            self.failed += status != 200
        http.close()

    def watch(self, service: Service, token: str) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self.ask, args=(service, "/api/health", self.health)),
            threading.Thread(target=self.ask, args=(service, "/api/user/audio-files", self.listing, token)),
        ]
        for thread in threads:
            thread.start()
        return threads


class Queue:
    """So many processes' permits, and what the table of attempts would keep between two tries of a phone."""

    def __init__(self, processes: int, computations: int) -> None:
        settings = Settings()
        places = max(4, settings.threads // 4)
        self._permits = [
            HashPermits(settings.hashes_at_once, settings.hash_wait_seconds, places) for _ in range(processes)
        ]
        self._turns: dict[int, str] = {}
        self._computations = computations

    def answer(self, phone: int) -> tuple[str, int]:
        """Answer a try to sign in, by a process of chance's choice, as the service would."""
        permits = random.choice(self._permits)
        begin_asking(f"address {phone}")
        ask_for(f"account {phone}")
        come_back_with(self._turns.pop(phone, ""))
        try:
            for _ in range(self._computations):
                with permits.one():
                    time.sleep(QUEUE_SECONDS)
        except Busy as busy:
            self._turns[phone] = busy.turn
            return "busy", busy.retry_after or 0
        return "", 0


def queue_alone(arguments: argparse.Namespace) -> None:
    """Let the crowd come to the queue alone, and print what became of it."""
    queue = Queue(arguments.workers, COMPUTATIONS)
    phones = [Phone(number) for number in range(arguments.phones)]
    _crowd(phones, queue.answer, arguments.within)
    best = QUEUE_SECONDS / (arguments.workers * Settings().hashes_at_once)
    targets = _figures(arguments, phones, best)
    sys.exit(0 if print_targets(targets) else 1)


def main() -> None:
    arguments = _arguments()
    if arguments.queue:
        queue_alone(arguments)
    settings = Settings()
    permits = arguments.workers * settings.hashes_at_once
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        put_moved(aws, arguments.phones)
        best = best_seconds(permits, arguments.measured)
        service = stack.enter_context(
            running(aws, WEB_CONCURRENCY=str(arguments.workers), TRUSTED_PROXIES="1", MAIL="off")
        )
        http = service.connect()
        body = {"email": "bystander@example.com", "password": PASSWORD}
        token = http.expect(201, "POST", "/api/register", body)["token"]
        http.close()
        quiet, crowded = Bystanders(), Bystanders()
        _while_watching(quiet, service, token, lambda: time.sleep(5))
        phones = [Phone(number) for number in range(arguments.phones)]
        _while_watching(
            crowded, service, token, lambda: _crowd(phones, over_the_wire(service.port), arguments.within)
        )
        after = best_seconds(permits, arguments.measured)
    print(f"  a computation, the machine at its best: before {best:.3f} s, after {after:.3f} s")
    targets = [
        *_figures(arguments, phones, (best + after) / 2),
        *_told_of_bystanders(quiet, crowded),
    ]
    sys.exit(0 if print_targets(targets) else 1)


def _while_watching(bystanders: Bystanders, service: Service, token: str, happen: Callable[[], None]) -> None:
    threads = bystanders.watch(service, token)
    happen()
    bystanders.over.set()
    for thread in threads:
        thread.join()


def _crowd(phones: list[Phone], ask: Ask, within: float) -> None:
    chance = random.Random(7)
    started = time.monotonic()
    with ThreadPoolExecutor(len(phones)) as pool:
        for phone in phones:
            pool.submit(phone.sign_in, ask, chance.random() * within, started)


def _figures(arguments: argparse.Namespace, phones: list[Phone], best: float) -> list[Target]:
    """Print what became of the phones; `best` are the seconds of a computation at the machine's best."""
    inside = [phone for phone in phones if phone.is_in]
    ideal = arguments.phones * COMPUTATIONS * best
    all_in = max(phone.done for phone in inside) - min(phone.began for phone in phones)
    # What a sign-in itself takes while all permits are taken.
    own = COMPUTATIONS * best * arguments.workers * Settings().hashes_at_once
    refused = sum(len(phone.told) for phone in phones)
    print_table(
        f"{arguments.phones} phones within {arguments.within:g} s at {arguments.workers} processes",
        ("", "figure"),
        [
            ("all sign-ins, if nothing but hashes were made", f"{ideal:.1f} s"),
            ("until all are in", f"{all_in:.1f} s"),
            ("answers that were 503 busy", f"{refused} of {refused + len(inside)}"),
            ("answers that the stand-in could not give", f"{sum(phone.unavailable for phone in phones)}"),
            *(
                (f"phones that were told to wait {times} times", str(count))
                for times, count in sorted(Counter(len(phone.told) for phone in phones).items())
            ),
        ],
    )
    waited = [phone for phone in inside if phone.told]
    true = [
        phone for phone in waited if abs(phone.error(own)) <= max(NEARLY_SECONDS, 0.2 * phone.told[-1][1])
    ]
    if waited:
        errors = [phone.error(own) for phone in waited]
        longest = max(seconds for phone in waited for _, seconds in phone.told)
        print(
            "  what the last wait was, less what it was told to be: "
            f"median {statistics.median(errors):+.1f} s, p10 {percentile(errors, 0.1):+.1f} s, "
            f"p90 {percentile(errors, 0.9):+.1f} s; longest told {longest} s"
        )
    few = sum(len(phone.told) <= 2 for phone in phones) / len(phones)
    return [
        Target("phones that are in", len(inside), arguments.phones, at_most=False),
        Target("hash time / time until all are in", ideal / all_in, 0.7, at_most=False),
        Target("share of phones told to wait twice at most", few, 0.9, at_most=False),
        Target("times that a phone was told to wait, most", max(len(phone.told) for phone in phones), 4),
        Target("last waits true within 20 % or 2 s", len(true) / max(1, len(waited)), 0.9, at_most=False),
    ]


def _told_of_bystanders(quiet: Bystanders, crowded: Bystanders) -> list[Target]:
    print_table(
        f"Bystanders; answers that the stand-in could not give them: {crowded.failed}",
        ("", "median ms", "p99 ms"),
        [
            (name, f"{statistics.median(seconds) * 1000:.1f}", f"{percentile(seconds, 0.99) * 1000:.1f}")
            for name, seconds in (
                ("health, quiet", quiet.health),
                ("health, in the crowd", crowded.health),
                ("list, quiet", quiet.listing),
                ("list, in the crowd", crowded.listing),
            )
        ],
    )
    return [
        Target("health, p99", percentile(crowded.health, 0.99), 0.5, unit=" s"),
        Target("list, p99", percentile(crowded.listing, 0.99), 1.0, unit=" s"),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phones", type=int, default=200)
    parser.add_argument("--within", type=float, default=3.0, help="seconds in which all of them begin")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measured", type=float, default=5.0, help="seconds for the machine's best")
    parser.add_argument("--queue", action="store_true", help="the queue alone, without service and hashes")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


if __name__ == "__main__":
    main()

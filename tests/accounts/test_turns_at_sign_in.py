"""A crowd of first sign-ins over the wire: each is told when to come back, and all get in."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import boto3
import pytest
import requests

from panzoto.accounts.throttle import TURNS, Throttle, account_subject
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits, begin_asking
from panzoto.crypto.turns import Turn
from panzoto.errors import Busy, TooManyRequests, Unavailable
from panzoto.models import bind_models
from panzoto.models.attempts import Attempts
from panzoto.models.attributes import now
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import aws_environment
from tests.support.service import CHEAP_HASHES, PASSWORD, Service, run_service
from tests.support.waiting import eventually

PHONES = 16
# Of more tries than this nobody would say that they are let in.
TRIES = 60
LONG = 60.0


@pytest.fixture(scope="module")
def crowded(service: Service) -> Iterator[Service]:
    """Two processes with one permit each: whoever finds it taken is told to come back."""
    few = {"WEB_CONCURRENCY": "2", "HASHES_AT_ONCE": "1", "HASH_WAIT_SECONDS": "0", "TRUSTED_PROXIES": "1"}
    with run_service(service.aws_url, **UNLIMITED, **few, **CHEAP_HASHES, CONSOLE="0") as running:
        yield running


def sign_in(service: Service, email: str, number: int) -> requests.Response:
    how = {"headers": {"X-Forwarded-For": f"2001:db8:77:{number:x}::1"}}
    return service.call("POST", "/api/login", json={"email": email, "password": PASSWORD}, **how)


def as_a_phone(service: Service, email: str, number: int) -> list[requests.Response]:
    """Sign in as phones do, which come back when they are told to; return all answers."""
    answers: list[requests.Response] = []
    for _ in range(TRIES):
        answers.append(sign_in(service, email, number))
        if answers[-1].status_code != 503:
            break
        time.sleep(int(answers[-1].headers["Retry-After"]))
    return answers


def shape(answer: requests.Response) -> tuple[Any, ...]:
    """All that an answer tells, apart from how long to wait."""
    body = answer.json() | {"request_id": ""}
    names = sorted(name for name in answer.headers if name not in ("Date", "X-Request-ID", "Content-Length"))
    return answer.status_code, body, names


class TestACrowd:
    def test_all_get_in_and_strangers_are_told_the_same(self, crowded: Service) -> None:
        crowd = uuid.uuid4().hex
        moved = [f"{crowd}-{number}@example.com" for number in range(PHONES)]
        strangers = [f"{crowd}-stranger-{number}@example.com" for number in range(PHONES // 2)]
        for email in moved:
            rows.put_user(crowded, email, PASSWORD, b"s" * 32)
        everybody = [*moved[::2], *strangers, *moved[1::2]]
        with ThreadPoolExecutor(len(everybody)) as pool:
            answers = dict(
                zip(
                    everybody,
                    pool.map(lambda at: as_a_phone(crowded, everybody[at], at), range(len(everybody))),
                    strict=True,
                )
            )
        assert {answers[email][-1].status_code for email in moved} == {200}
        assert {answers[email][-1].status_code for email in strangers} == {401}
        refused = {
            kind: [answer for email in emails for answer in answers[email][:-1]]
            for kind, emails in (("moved", moved), ("strangers", strangers))
        }
        assert refused["moved"]
        assert refused["strangers"]
        assert len({repr(shape(answer)) for kind in refused.values() for answer in kind}) == 1
        assert {answer.json()["code"] for answer in refused["moved"]} == {"busy"}
        for answer in (*refused["moved"], *refused["strangers"]):
            assert int(answer.headers["Retry-After"]) >= 1

    def test_what_is_kept_of_a_turn_tells_no_address(self, crowded: Service) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        let_in = self.be_refused(crowded, email)
        subject = account_subject(email)
        found = crowded.dynamodb().get_item(TableName="panzoto-throttle", Key={"subject": {"S": subject}})
        asked_at, due_at, whose = found["Item"]["turn"]["S"].split()
        assert float(asked_at) <= float(due_at) < time.time() + LONG
        assert len(whose) == 16
        # Who is told to come back has not tried.
        assert found["Item"]["tries"]["N"] == str(let_in)

    def be_refused(self, service: Service, email: str) -> int:
        """Ask beside many others until nothing is free; return how often something was."""
        answers: list[int] = []
        over = threading.Event()

        def asked() -> int:
            answers.append(sign_in(service, email, 999).status_code)
            return answers[-1]

        def occupy(number: int) -> None:
            while not over.is_set():
                sign_in(service, f"{uuid.uuid4().hex}@example.com", 1000 + number)

        threads = [threading.Thread(target=occupy, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: asked() == 503, "it is never busy", LONG)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        return len(answers) - 1


class Process:
    """What one process of the service knows: its throttle and its permits."""

    def __init__(self) -> None:
        self.throttle = Throttle({}, 5)
        self.permits = HashPermits(1, LONG)
        self.order: list[str] = []

    def attempt(self, subject: str, address: str) -> None:
        """Ask for one computation, as a sign-in at `subject` from `address` does."""
        copy_context().run(self._attempt, subject, address)

    def _attempt(self, subject: str, address: str) -> None:
        begin_asking(address)
        with self.throttle.attempt(subject), self.permits.one():
            self.order.append(subject)


@pytest.fixture
def process(service: Service, monkeypatch: pytest.MonkeyPatch) -> Process:
    # The session of this process remembers the credentials that it met first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in aws_environment(service.aws_url).items():
        monkeypatch.setenv(name, value)
    bind_models(Settings(secret_key="s" * 40, custom_aws_endpoint=True))
    return Process()


def fresh() -> str:
    return f"account#{uuid.uuid4().hex}"


def two() -> tuple[str, str]:
    """Return two accounts at which attempts may be made at the same time, as may not at any two."""
    one, other = fresh(), fresh()
    return (one, other) if hash(one) % TURNS != hash(other) % TURNS else two()


class TestAnotherProcess:
    def test_it_honours_the_turn_that_one_has_told(self, process: Process) -> None:
        """Whoever is told comes back to whichever process takes the connection."""
        newcomer, told = two()
        self.tell(told, "203.0.113.7", seconds_ago=1)
        assert self.order_of(process, (newcomer, "203.0.113.6"), (told, "203.0.113.7")) == [told, newcomer]

    def test_it_honours_it_for_the_address_that_was_told(self, process: Process) -> None:
        newcomer, told = two()
        self.tell(told, "203.0.113.7", seconds_ago=1)
        assert self.order_of(process, (newcomer, "203.0.113.6"), (told, "203.0.113.8")) == [newcomer, told]

    def test_a_turn_is_good_for_one_attempt(self, process: Process) -> None:
        newcomer, told = two()
        self.tell(told, "203.0.113.7", seconds_ago=1)
        process.attempt(told, "203.0.113.7")
        process.order.clear()
        assert self.order_of(process, (newcomer, "203.0.113.6"), (told, "203.0.113.7")) == [newcomer, told]

    def test_who_is_refused_is_told_the_turn_that_the_next_one_reads(self, process: Process) -> None:
        subject = fresh()
        process.permits = HashPermits(1, 0.0)
        with process.permits.one(), pytest.raises(Busy) as refusal:
            process.attempt(subject, "203.0.113.7")
        assert Attempts.reserve(subject, 5).turn == refusal.value.turn
        assert Attempts.reserve(subject, 5).turn != refusal.value.turn

    def test_of_an_attempt_that_came_to_no_answer_it_is_given_back(self, process: Process) -> None:
        newcomer, told = two()
        self.tell(told, "203.0.113.7", seconds_ago=1)
        with pytest.raises(Unavailable), process.throttle.attempt(told):
            raise Unavailable()
        assert self.order_of(process, (newcomer, "203.0.113.6"), (told, "203.0.113.7")) == [told, newcomer]

    def test_nor_does_such_an_attempt_hold_back_the_next_one(self, process: Process) -> None:
        """However often somebody else has guessed: whoever is told to come back is heard then."""
        told, over = fresh(), now() - timedelta(seconds=1)
        process.throttle.reserve(told)
        Attempts(told).update(actions=[Attempts.tries.set(12), Attempts.blocked_until.set(over)])
        with pytest.raises(Busy), process.throttle.attempt(told):
            raise Busy(retry_after=3)
        assert process.throttle.reserve(told).wait == 0
        # This one has not been given back.
        with pytest.raises(TooManyRequests) as held_back:
            process.throttle.reserve(told)
        assert held_back.value.retry_after is not None
        assert held_back.value.retry_after > 60

    def tell(self, subject: str, address: str, seconds_ago: float) -> None:
        """Let the table hold what another process has told."""
        due_at = time.time() - seconds_ago
        turn = Turn(due_at - 10, due_at).written_for(frozenset({address, subject}))
        Attempts.reserve(subject, 5)
        Attempts.give_back(subject, turn)

    def order_of(self, process: Process, *asking: tuple[str, str]) -> list[str]:
        """Let them ask one after the other while the permit is taken; return in which order they get it."""
        threads = []
        with process.permits.one():
            for subject, address in asking:
                threads.append(threading.Thread(target=process.attempt, args=(subject, address)))
                threads[-1].start()
                eventually(lambda: process.permits.waiting == len(threads), "nobody waits")
        for thread in threads:
            thread.join()
        return process.order

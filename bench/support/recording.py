"""Does each kind of action for real, by several people, and keeps what it costs as a profile."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.support import people
from bench.support.day import Done
from bench.support.people import ACTIONS, HISTORY, Person, hearing, prepared
from bench.support.profiles import (
    ADDRESS,
    CHECK,
    CHORE,
    DUE_INDEX,
    EVENT,
    LAST,
    PASS,
    PERSON,
    SEVERAL,
    SHARD,
    SYNCED,
    WORK,
    Calls,
    Cost,
    cost_of,
)
from bench.support.stand_in import stand_in
from tests.conftest import UNLIMITED
from tests.support.aws_calls import KEY_PREFIX
from tests.support.capacity_proxy import capacity_proxy
from tests.support.commands import command, done
from tests.support.engines import SpeechEngine
from tests.support.metered_moto import metered_moto, take
from tests.support.service import Service, aws_client, run_service
from tests.support.waiting import eventually

SAMPLES = 3
OF_THE_DAY = ("Scan", "DescribeTable", "panzoto-sweeps")
# So much has an account changed when chores look at it.
CHANGES = 5
SENDER = "voice@example.com"
QUIET_SECONDS = 0.25
SESSION_READ = "dynamodb GetItem panzoto-sessions"
FINDING = {"sync": 0, SYNCED: 1, SEVERAL: 2}
# The workers by what they work on: the role, the command, the queue.
WORKERS = {
    # One after the other: what several threads of a worker do for one account at once, they do in one call.
    EVENT: ("events", ("events", "--at-once", "1"), "panzoto-bucket-events"),
    WORK: ("transcriptions", ("transcriptions", "work"), "panzoto-transcriptions"),
}


@dataclass
class Running:
    """The service, and what counts in front of its stand-in: it gives all calls since it was last asked."""

    service: Service
    url: str
    take: Callable[[], Calls]

    def settled(self, quiet_seconds: float = QUIET_SECONDS) -> Calls:
        """Return what was asked until nothing more is, what goes on behind answers included."""
        calls: Calls = []
        last = time.monotonic()
        while time.monotonic() - last < quiet_seconds:
            if more := self.take():
                calls += more
                last = time.monotonic()
            time.sleep(0.05)
        return calls

    def work_off(self, kind: str) -> Calls:
        """Let a worker take everything that waits in its queue, and return what it asked for."""
        with self.working(kind):
            self.wait_for(kind)
            return self.settled(1)

    @contextmanager
    def working(self, kind: str) -> Iterator[None]:
        """Let a worker take what comes while the block runs; what it asks for afterwards is not counted."""
        role, words, _ = WORKERS[kind]
        worker = command(self.service, role, *words, at=self.url)
        try:
            yield
        finally:
            worker.terminate()
            worker.communicate(timeout=60)
            self.take()

    def wait_for(self, kind: str) -> None:
        """Wait until nothing is left in a worker's queue, nor in its hands."""
        eventually(lambda: self._waiting(kind) == 0, lambda: f"the queue of {kind} is not empty", 3600)

    def _waiting(self, kind: str) -> int:
        sqs = aws_client("sqs", self.service.aws_url)
        url = sqs.get_queue_url(QueueName=WORKERS[kind][2])["QueueUrl"]
        told = sqs.get_queue_attributes(
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(int(value) for value in told.values())

    def chores(self) -> Calls:
        """Do what is due at everybody, and return what that asked for."""
        self.settled()
        done(self.service, "chores", "chores", "run", "--at-once", "1", at=self.url)
        return self.settled(1)

    def forget_events(self) -> None:
        """Empty the queue of the bucket's events."""
        sqs = aws_client("sqs", self.service.aws_url)
        sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=WORKERS[EVENT][2])["QueueUrl"])


@contextmanager
def running() -> Iterator[Running]:
    """Run the service with an engine and letters by SES, on a stand-in that counts."""
    with metered_moto() as url, serving_at(url, url, lambda: take(url)) as run:
        yield run


@contextmanager
def running_on_ministack() -> Iterator[Running]:
    """Run the same on the stand-in of `make run`, behind a proxy that asks it for what writes consume."""
    with (
        stand_in("ministack", KEY_PREFIX + "web") as url,
        capacity_proxy(url) as proxy,
        serving_at(proxy.url, url, proxy.take) as run,
    ):
        yield run


@contextmanager
def serving_at(url: str, create_at: str, take_calls: Callable[[], Calls]) -> Iterator[Running]:
    """Run the service on AWS at `url`, of which `take_calls` tells; who prepares asks `create_at`."""
    aws_client("sesv2", create_at).create_email_identity(EmailIdentity=SENDER)
    with hearing() as engine, run_service(url, create_at=create_at, **settings(engine)) as behind:
        run = Running(replace(behind, aws_url=create_at), url, take_calls)
        # Each process looks once, soon after it has begun, whether an account is being deleted.
        eventually(lambda: any(map(_looks, run.take())), "nobody looked for deletions", 60)
        yield run


def _looks(call: dict[str, Any]) -> bool:
    return bool(call["name"] == "dynamodb GetItem panzoto-claims")


def settings(engine: SpeechEngine) -> dict[str, str]:
    """Return how the service runs: behind a proxy, so that people come from addresses of their own."""
    return UNLIMITED | {
        "TRUSTED_PROXIES": "1",
        "TRANSCRIPTION_URL": engine.url,
        "LIMIT_TRANSCRIBE": "1000000 per hour",
        "MAIL": "ses",
        "MAIL_FROM": SENDER,
        "LOG_LEVEL": "WARNING",
    }


def recorded_profiles(samples: int = SAMPLES, history: int = HISTORY) -> dict[str, Cost]:
    """Do every kind of action for real, by several people, and return what it costs on the mean."""
    with running() as run:
        needs = dict.fromkeys(people.SPARE, 1)
        crowd = [prepared(run.service, number, needs, history, objects=True) for number in range(samples)]
        run.forget_events()
        found: dict[str, list[Calls]] = defaultdict(list)
        for kind in (*ACTIONS, SYNCED, SEVERAL, CHECK):
            if kind == LAST:
                continue
            for person in crowd:
                found[kind].append(_recorded(run, person, kind))
        for kind in WORKERS:
            found[kind].append(run.work_off(kind))
        chores = _chores(run, crowd)
        leaving = [prepared(run.service, number, {}, history) for number in range(samples, 2 * samples)]
        found[LAST] = [_recorded(run, person, LAST) for person in leaving]
        crowd += leaving
    return {**_profiles(found, crowd), **chores}


def _chores(run: Running, crowd: list[Person]) -> dict[str, Cost]:
    """Return what the chores cost for each account, a look and a sweep.

    A run looks at who has changed something since the last, and so few accounts are all swept each time.
    Nobody has changed anything before the last run.
    """
    run.chores()
    for person in crowd:
        person.list()
        for _ in range(CHANGES):
            person.owner.record()
    run.settled()
    costs = [run.chores(), run.chores()]
    # What a day's share costs whoever has their turn is no account's.
    looked, nobody = (
        cost_of((one for one in calls if not any(w in one["name"] for w in OF_THE_DAY)), _named(crowd))
        for calls in costs
    )
    look, sweep = Cost(), Cost()
    look.add(looked, 1 / len(crowd))
    look.add(nobody, -1 / len(crowd))
    # Whoever changes something for the first time since a look comes into the index by it.
    look.writes["panzoto-users", DUE_INDEX, SHARD] += 1
    # A piece is sent, ten at a time, and taken out of the queue again.
    look.requests["sqs SendMessageBatch panzoto-chores"] += 0.1
    look.requests["sqs DeleteMessage panzoto-chores"] += 1
    sweep.add(nobody, 1 / len(crowd))
    return {CHORE: look, PASS: sweep}


def _recorded(run: Running, person: Person, kind: str) -> Calls:
    """Return the calls of one action, from a device whose session has just been asked about."""
    person.use(*person.new_device())
    run.settled()
    if kind == LAST:
        # This is no part of a visit, so it asks about its session itself.
        person.do(Done(0, kind))
        return run.settled(2)
    person.list()
    calls = run.settled()
    if kind == CHECK:
        return [call for call in calls if call["name"] == SESSION_READ]
    if kind in FINDING:
        person.sync()
        for _ in range(FINDING[kind]):
            person.owner.record()
        run.settled()
    person.do(Done(0, "sync" if kind in FINDING else kind))
    return run.settled() if kind != "register" else _until_the_letter_left(run)


def _until_the_letter_left(run: Running) -> Calls:
    calls: Calls = []

    def left() -> bool:
        calls.extend(run.take())
        return any(call["name"].startswith("ses ") for call in calls)

    eventually(left, "no letter left", 120)
    return calls + run.settled()


def _profiles(found: Mapping[str, list[Calls]], crowd: list[Person]) -> dict[str, Cost]:
    whose = _named(crowd)
    profiles = {}
    for kind, several in found.items():
        shared = _shared(several)
        named = {**{key: key for key in shared}, **whose}
        # Of what works on messages, one message is the action.
        parts = _messages(several) if kind in WORKERS else len(several)
        together = Cost()
        for calls in several:
            together.add(cost_of(calls, named), 1 / parts)
        profiles[kind] = together
    return profiles


def _named(crowd: list[Person]) -> dict[str, str]:
    """Return whose the keys are that one can tell."""
    whose = {person.owner.user_id: PERSON for person in crowd}
    whose |= {person.email: PERSON for person in crowd}
    return whose | {f"#{person.address}#": ADDRESS for person in crowd}


def _messages(several: list[Calls]) -> int:
    return sum(call["name"].startswith("sqs DeleteMessage") for calls in several for call in calls)


def _shared(several: list[Calls]) -> set[str]:
    """Return the keys that everybody touched who did this."""
    if len(several) < 2:
        return set()
    keys = [{touch["key"] for call in calls for touch in call.get("touched", ())} for calls in several]
    return set.intersection(*keys)

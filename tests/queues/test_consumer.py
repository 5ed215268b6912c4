"""The loop on a queue: what it holds, gives back, tries again and puts aside, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.queue import Queue
from panzoto.queues.trouble import Trouble
from tests.support.aws import REGION, acting_as, aws_environment
from tests.support.fault_proxy import Answer, Fault, FaultProxy
from tests.support.faults import Before
from tests.support.forked_commands import ROOT, Command, forked
from tests.support.stand_in import RunningStandIn
from tests.support.waiting import eventually

# Far longer than any test waits: what is seen again so soon was given back.
LONG = 600


@dataclass
class Worker:
    """A worker's process and what it prints."""

    process: Command
    output: Path

    def text(self) -> str:
        return self.output.read_text("utf-8", errors="replace")

    def lines(self) -> list[str]:
        return [line for line in self.text().splitlines() if not line.startswith("{")]

    def wait_for(self, line: str) -> None:
        eventually(lambda: line in self.lines() or self.process.poll() is not None, self.text)
        assert line in self.lines(), self.text()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@dataclass
class Place:
    """A queue of a test's own, who works on it, and what a test may do to it."""

    sqs: Any
    name: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    ours: ExitStack = field(repr=False)

    def make(self, **attributes: str) -> None:
        dead = self.sqs.create_queue(QueueName=f"{self.name}-dead")["QueueUrl"]
        if "RedrivePolicy" in attributes:
            told = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
            tries = int(attributes["RedrivePolicy"])
            attributes["RedrivePolicy"] = json.dumps(
                {"deadLetterTargetArn": told["QueueArn"], "maxReceiveCount": tries}
            )
        self.sqs.create_queue(QueueName=self.name, Attributes=attributes)

    def worker(self, **rules: Any) -> Worker:
        output = self.folder / uuid.uuid4().hex
        command = ("tests.support.queue_worker", self.name, REGION, json.dumps(rules))
        process = forked().start_module(self.environment, *command, output=output)
        self.ours.callback(process.wait)
        self.ours.callback(process.kill)
        return Worker(process, output)

    def send(self, name: str, **told: Any) -> None:
        self.sqs.send_message(QueueUrl=self.url(), MessageBody=json.dumps({"name": name, **told}))

    def url(self, ending: str = "") -> str:
        url: str = self.sqs.get_queue_url(QueueName=self.name + ending)["QueueUrl"]
        return url

    def taken(self, ending: str = "", seconds: int = 5) -> list[str]:
        """Who else asks, and waits for so long, is given these."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url(ending), MaxNumberOfMessages=10, WaitTimeSeconds=seconds
        )
        return [json.loads(message["Body"])["name"] for message in answer.get("Messages", [])]

    def count(self, ending: str = "") -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.url(ending), AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def wait_until_empty(self, worker: Worker) -> None:
        eventually(lambda: self.count() == 0, worker.text)


def place_at(environment: dict[str, str], folder: Path, ours: ExitStack) -> Place:
    sqs = boto3.client(
        "sqs",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    around = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    return Place(sqs, f"test-{uuid.uuid4().hex}", folder, around, ours)


@pytest.fixture
def place(stand_in: RunningStandIn, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as ours:
        yield place_at(aws_environment(stand_in.url) | stand_in.variables, tmp_path, ours)


class TestHolding:
    def test_what_is_worked_on_comes_to_nobody_else_however_long_it_takes(self, place: Place) -> None:
        place.make()
        gate = place.folder / "gate"
        place.send("slow", until=str(gate))
        worker = place.worker(hold_seconds=2)
        worker.wait_for("begun slow")
        assert place.taken(seconds=5) == []
        gate.touch()
        worker.wait_for("done slow")
        place.wait_until_empty(worker)
        assert worker.lines() == ["begun slow", "done slow"]

    def test_no_more_is_taken_than_there_is_room_for(self, place: Place) -> None:
        place.make()
        gate = place.folder / "gate"
        worker = place.worker(at_once=2, hold_seconds=LONG)
        for number in range(3):
            place.send(f"{number}", until=str(gate))
        eventually(lambda: len(worker.lines()) == 2, worker.text)
        (left,) = place.taken()
        assert sorted([*worker.lines(), f"begun {left}"]) == ["begun 0", "begun 1", "begun 2"]

    def test_what_a_killed_worker_held_comes_to_another_when_its_time_is_over(self, place: Place) -> None:
        place.make()
        gate = place.folder / "gate"
        place.send("orphan", until=str(gate))
        first = place.worker(hold_seconds=3)
        first.wait_for("begun orphan")
        first.end(signal.SIGKILL)
        gate.touch()
        second = place.worker(hold_seconds=3)
        second.wait_for("done orphan")
        place.wait_until_empty(second)


class TestStopping:
    def test_who_waits_for_messages_ends_within_the_poll(self, place: Place) -> None:
        place.make()
        worker = place.worker()
        place.send("first")
        worker.wait_for("done first")
        assert worker.end() == 0

    def test_a_signal_that_does_not_wake_the_thread_it_is_for_ends_it_too(self, place: Place) -> None:
        place.make()
        place.send("stops", stops=True)
        worker = place.worker()
        assert worker.process.wait(60) == 0
        assert worker.lines() == ["begun stops", "done stops"]

    def test_what_is_in_work_comes_to_its_end(self, place: Place) -> None:
        place.make()
        gate = place.folder / "gate"
        place.send("almost", until=str(gate))
        worker = place.worker(hold_seconds=LONG)
        worker.wait_for("begun almost")
        worker.process.send_signal(signal.SIGTERM)
        gate.touch()
        assert worker.process.wait(60) == 0
        assert worker.lines() == ["begun almost", "done almost"]
        assert place.count() == 0

    def test_what_does_not_end_in_time_is_given_back(self, place: Place) -> None:
        place.make()
        place.send("endless", until=str(place.folder / "never"))
        worker = place.worker(hold_seconds=LONG, finish_seconds=0.1)
        worker.wait_for("begun endless")
        assert worker.end() == 0
        assert place.taken() == ["endless"]


class TestFailures:
    def test_one_that_raises_comes_again_and_stops_nothing(self, place: Place) -> None:
        place.make()
        place.send("stumbling", failures=1)
        worker = place.worker(at_once=1, hold_seconds=1)
        worker.wait_for("begun stumbling")
        place.send("next")
        worker.wait_for("done next")
        worker.wait_for("done stumbling")
        place.wait_until_empty(worker)
        # Its trace is told, and not what it quotes.
        assert "LookupError" in worker.text()
        assert "failures" not in worker.text()

    def test_the_queue_itself_puts_aside_what_fails_too_often(self, place: Place) -> None:
        place.make(RedrivePolicy="2")
        place.send("hopeless", failures=LONG)
        # The loop itself would be quicker, were it to.
        worker = place.worker(hold_seconds=1, tries=1)
        eventually(lambda: place.count("-dead") == 1, worker.text)
        assert place.taken("-dead") == ["hopeless"]
        assert place.count() == 0
        assert worker.lines() == ["begun hopeless"] * 2

    def test_without_a_rule_of_the_queue_the_loop_puts_aside_what_fails_too_often(self, place: Place) -> None:
        place.make()
        place.send("hopeless", failures=LONG)
        worker = place.worker(hold_seconds=1, tries=2)
        eventually(lambda: place.count("-dead") == 1, worker.text)
        assert place.taken("-dead") == ["hopeless"]
        place.wait_until_empty(worker)
        assert worker.lines() == ["begun hopeless"] * 2

    def test_one_that_takes_every_process_with_it_is_put_aside_unread(self, place: Place) -> None:
        place.make()
        place.send("deadly", dies=True)
        first = place.worker(hold_seconds=1, tries=1)
        assert first.process.wait(60) == 9
        second = place.worker(hold_seconds=1, tries=1)
        eventually(lambda: place.count("-dead") == 1, second.text)
        place.wait_until_empty(second)
        assert second.lines() == []

    def test_a_queue_that_is_not_there_yet_is_asked_for_again(self, place: Place) -> None:
        worker = place.worker()
        worker.wait_for(f"There is no queue {place.name}; trying again")
        place.make()
        place.send("late")
        worker.wait_for("done late")

    def test_what_keeps_a_worker_from_its_work_is_told_once_and_again_when_it_comes_back(
        self, place: Place
    ) -> None:
        place.make()
        with FaultProxy(place.environment["AWS_ENDPOINT_URL"]) as proxy:
            place.environment["AWS_ENDPOINT_URL"] = proxy.url
            told = "SQS refused ReceiveMessage: AccessDeniedException; trying again"
            worker = place.worker(pause_seconds=0.2, poll_seconds=1)
            for number in range(2):
                fault = proxy.add(Fault(Answer.dynamodb("AccessDeniedException"), operation="ReceiveMessage"))
                eventually(lambda fault=fault: fault.applied > 3, worker.text)  # type: ignore[misc]
                assert worker.lines().count(told) == number + 1, worker.text()
                proxy.clear()
                place.send(f"after {number}")
                worker.wait_for(f"done after {number}")
            assert worker.end() == 0

    def test_an_answer_that_is_none_ends_no_worker(self, place: Place) -> None:
        place.make()
        with FaultProxy(place.environment["AWS_ENDPOINT_URL"]) as proxy:
            place.environment["AWS_ENDPOINT_URL"] = proxy.url
            empty = Answer(200, b"{}", "application/x-amz-json-1.0")
            fault = proxy.add(Fault(empty, operation="GetQueueUrl", times=3))
            worker = place.worker(pause_seconds=0.2, poll_seconds=1)
            eventually(lambda: fault.applied == 3, worker.text)
            place.send("after")
            worker.wait_for("done after")
            assert worker.end() == 0

    def test_rights_of_an_earlier_release_are_enough_to_work(self, place: Place) -> None:
        """Nothing is renewed then and nothing put aside, as it was before; what is handled is deleted."""
        place.make()
        with FaultProxy(place.environment["AWS_ENDPOINT_URL"]) as proxy:
            denied = Answer.dynamodb("AccessDeniedException")
            faults = [
                proxy.add(Fault(denied, operation=name))
                for name in ("GetQueueAttributes", "ChangeMessageVisibility")
            ]
            place.environment["AWS_ENDPOINT_URL"] = proxy.url
            gate = place.folder / "gate"
            worker = place.worker(hold_seconds=15)
            place.send("ordinary", until=str(gate))
            eventually(lambda: faults[1].applied > 0, worker.text)
            gate.touch()
            worker.wait_for("done ordinary")
            place.wait_until_empty(worker)
            assert worker.end() == 0
        assert faults[0].applied > 0


def test_the_rights_of_the_events_worker_reach_as_far_as_the_loop_does(moto: str, tmp_path: Path) -> None:
    """What is asked here `test_policy` compares with the policy: holding on, giving back, putting aside."""
    with ExitStack() as ours:
        place = place_at(aws_environment(moto), tmp_path, ours)
        place.environment = acting_as("events", place.environment)
        place.make()
        place.send("hopeless", failures=LONG)
        worker = place.worker(hold_seconds=1, tries=1, finish_seconds=0.1)
        eventually(lambda: place.count("-dead") == 1, worker.text)
        place.send("endless", until=str(tmp_path / "never"))
        worker.wait_for("begun endless")
        assert worker.end() == 0
        assert place.taken() == ["endless"]


def test_what_was_done_is_deleted_before_the_loop_has_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process ends with its loop, and whoever is still deleting with it: the message would come again."""
    place.make()
    deleting, over = threading.Event(), threading.Event()

    def hold() -> None:
        deleting.set()
        over.wait(LONG)

    with FaultProxy(place.environment["AWS_ENDPOINT_URL"]) as proxy:
        proxy.add(Fault(Before(hold), operation="DeleteMessage"))
        for name, value in (place.environment | {"AWS_ENDPOINT_URL": proxy.url}).items():
            monkeypatch.setenv(name, value)
        consumer = Consumer(Queue(place.name, REGION), lambda _: None, Rules(at_once=1, poll_seconds=1))
        running = threading.Thread(target=consumer.run, args=(Trouble(print),), daemon=True)
        running.start()
        try:
            place.send("done")
            eventually(deleting.is_set, "nothing was deleted")
            consumer.stop()
            running.join(3)
            assert running.is_alive()
        finally:
            over.set()
        running.join(60)
        assert place.count() == 0


class TestResting:
    def test_a_loop_that_rests_asks_nothing_until_it_is_woken_or_stopped(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.make()
        done: list[str] = []
        with FaultProxy(place.environment["AWS_ENDPOINT_URL"]) as proxy:
            for name, value in (place.environment | {"AWS_ENDPOINT_URL": proxy.url}).items():
                monkeypatch.setenv(name, value)
            rules = Rules(at_once=1, poll_seconds=1, rest_seconds=LONG)
            consumer = Consumer(Queue(place.name, REGION), lambda message: done.append(message.body), rules)
            running = threading.Thread(target=consumer.run, args=(Trouble(print),), daemon=True)
            running.start()

            def polls() -> int:
                return sum(one.operation == "ReceiveMessage" and one.finished for one in proxy.requests)

            eventually(lambda: polls() == 1, "the queue was not asked")
            place.send("a letter")
            consumer.wake()
            # One that brings it, and the next, which brings nothing and lets the loop rest again.
            eventually(lambda: polls() == 3, lambda: f"{polls()} polls")
            assert len(done) == 1
            consumer.stop()
            running.join(60)
            assert not running.is_alive()
            assert polls() == 3

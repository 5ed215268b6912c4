"""Sending without waiting: who is told at once that a queue is away, who tries, that it is found again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from panzoto.queues.outbox import Outbox
from panzoto.queues.queue import QueueUnavailable
from tests.support.aws import REGION, aws_environment
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Fault, Hang
from tests.support.service import aws_client

LONG = 600.0


@pytest.fixture
def way(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with FaultProxy(moto) as proxy:
        for name, value in aws_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def name(moto: str) -> str:
    made = f"test-{uuid.uuid4().hex}"
    aws_client("sqs", moto).create_queue(QueueName=made)
    return made


def bodies(moto: str, name: str) -> list[str]:
    sqs = aws_client("sqs", moto)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def sends(way: FaultProxy) -> int:
    return sum(one.operation == "SendMessage" for one in way.requests)


def test_what_is_sent_is_there_and_the_queue_is_looked_up_once(moto: str, way: FaultProxy, name: str) -> None:
    outbox = Outbox(name, REGION)
    for body in ("one", "two"):
        outbox.send(body)
    assert sorted(bodies(moto, name)) == ["one", "two"]
    assert [one.operation for one in way.requests] == ["GetQueueUrl", "SendMessage", "SendMessage"]


def test_while_it_hangs_one_waits_and_the_others_are_told_at_once(way: FaultProxy, name: str) -> None:
    way.add(Fault(Hang(), operation="SendMessage"))
    outbox = Outbox(name, REGION, LONG)
    told = []
    for _ in range(4):
        with pytest.raises(QueueUnavailable) as refusal:
            outbox.send("a letter")
        told.append(refusal.value.reason)
    assert told == ["ReadTimeoutError", "resting", "resting", "resting"]
    assert sends(way) == 1


def test_after_its_rest_it_is_tried_again(moto: str, way: FaultProxy, name: str) -> None:
    way.add(Fault(Answer.dynamodb("AccessDeniedException"), operation="SendMessage", times=2))
    outbox = Outbox(name, REGION, 0.0)
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            outbox.send("lost")
    outbox.send("a letter")
    assert bodies(moto, name) == ["a letter"]


def test_a_queue_that_is_missing_is_told_and_found_once_it_is_there(moto: str, way: FaultProxy) -> None:
    missing = f"test-{uuid.uuid4().hex}"
    outbox = Outbox(missing, REGION, 0.0)
    with pytest.raises(QueueUnavailable) as refusal:
        outbox.send("lost")
    assert refusal.value.reason == "missing"
    sqs = aws_client("sqs", moto)
    url = sqs.create_queue(QueueName=missing)["QueueUrl"]
    outbox.send("a letter")
    assert bodies(moto, missing) == ["a letter"]
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(QueueUnavailable):
        outbox.send("lost")
    sqs.create_queue(QueueName=missing)
    outbox.send("another")
    assert bodies(moto, missing) == ["another"]

"""Handing out: the pass over everybody leaves room in the queue for what has changed, and is not lost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from panzoto.errors import Unavailable
from panzoto.lifecycle import chores as lifecycle
from panzoto.lifecycle.account_look import Done
from panzoto.models import SweepMemory
from panzoto.models.sweep_memory import PLACE
from panzoto.operations import chores
from panzoto.queues.queue import Queue, QueueUnavailable
from panzoto.queues.trouble import Trouble
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import REGION, start_moto
from tests.support.fewer_shards import FEWER
from tests.support.recordings import store
from tests.support.service import Service, aws_client, run_service

QUEUE = "panzoto-chores"
GROUP, MOST_OF_PASS, ACCOUNTS = 10, 30, 60


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with start_moto() as aws, run_service(aws, **UNLIMITED, **FEWER) as running:
        yield running


@pytest.fixture
def handing(bound_here: None, monkeypatch: pytest.MonkeyPatch) -> chores.Handing:
    """Hand out from the running service's tables, with a pass of many groups for few accounts."""
    for name, value in FEWER.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lifecycle, "PASS_DAYS", 1)
    monkeypatch.setattr(lifecycle, "LEAST_ACCOUNTS", GROUP)
    monkeypatch.setattr(chores, "MOST_OF_PASS", MOST_OF_PASS)
    # Nothing is looked at here, it is only handed out.
    none: Any = None
    return chores.Handing(lifecycle.Chores(none, none), Queue(QUEUE, REGION), Trouble(pytest.fail))


def changed(service: Service) -> str:
    """Let an account change something, and return it."""
    account = service.register(f"{uuid.uuid4()}@example.com")
    user_id: str = account["user_id"]
    store(service, account, f"users/{user_id}/{uuid.uuid4()}", b"sound")
    return user_id


def taken(service: Service, queue: str = QUEUE) -> list[tuple[str, str]]:
    """Take all that waits in the queue: kinds of pieces, and of whom."""
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            piece = json.loads(message["Body"])
            found.append((piece["kind"], piece["of"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_what_has_changed_finds_room_and_the_pass_goes_on_when_there_is_some(
    service: Service, handing: chores.Handing
) -> None:
    everybody = {changed(service)}
    for number in range(ACCOUNTS):
        everybody.add(rows.put_user(service, f"{number}@example.com", "a quiet walk", b"s" * 32))
    waiting = Queue(QUEUE, REGION).waiting
    handing.hand_out()
    # Groups are handed out whole.
    assert waiting() == 1 + MOST_OF_PASS
    # Nobody works, and the pass waits.
    everybody.add(later := changed(service))
    handing.hand_out()
    assert waiting() == 2 + MOST_OF_PASS
    first = taken(service)
    assert (lifecycle.CHANGED, later) in first
    handed_out = []
    while some := [of for kind, of in first if kind == lifecycle.ACCOUNT]:
        handed_out += some
        handing.hand_out()
        first = taken(service)
    # As many as there were when the pass began.
    assert len(handed_out) == len(set(handed_out)) == 1 + ACCOUNTS
    assert set(handed_out) <= everybody


@pytest.mark.usefixtures("handing")
def test_what_the_queue_does_not_take_is_handed_out_when_it_does(service: Service) -> None:
    emails = [f"{number}@example.net" for number in range(30)]
    everybody = {rows.put_user(service, email, "a quiet walk", b"s" * 32) for email in emails}
    SweepMemory(PLACE, lifecycle.ACCOUNT).delete()
    name = f"late-{uuid.uuid4()}"
    none: Any = None
    handing = chores.Handing(lifecycle.Chores(none, none), Queue(name, REGION), Trouble(pytest.fail))
    # The first finds who has changed something, and the second whose turn in the pass it is.
    for _ in range(2):
        with suppress(QueueUnavailable):
            handing.hand_out()
    assert SweepMemory.place(lifecycle.ACCOUNT) is not None
    aws_client("sqs", service.aws_url).create_queue(QueueName=name)
    handed_out: set[str] = set()
    handing.hand_out()
    while some := {of for kind, of in taken(service, name) if kind == lifecycle.ACCOUNT}:
        handed_out |= some
        handing.hand_out()
    assert everybody <= handed_out


@pytest.mark.usefixtures("handing")
def test_a_run_tries_the_accounts_of_the_pass_once_more_that_failed(service: Service) -> None:
    """Their next turn comes with the next pass, weeks later."""
    of_the_pass = rows.put_user(service, f"{uuid.uuid4()}@example.net", "a quiet walk", b"s" * 32)
    SweepMemory(PLACE, lifecycle.ACCOUNT).delete()
    tried: list[str] = []

    class AwayAtFirst(lifecycle.Chores):
        def do(self, piece: lifecycle.Piece) -> Done:
            if piece.kind == lifecycle.ACCOUNT:
                tried.append(piece.of)
                if tried.count(piece.of) == 1:
                    raise Unavailable()
            return Done()

    none: Any = None
    done = chores.do_what_is_due(AwayAtFirst(none, none), 1, lambda _: None)
    assert tried.count(of_the_pass) == 2
    assert not done.failures


@pytest.mark.usefixtures("handing")
def test_one_worker_hands_out_as_long_as_it_lives() -> None:
    name, length = uuid.uuid4().hex, timedelta(minutes=1)
    assert SweepMemory.lease(name, "first", length)
    assert not SweepMemory.lease(name, "second", length)
    assert SweepMemory.lease(name, "first", timedelta(seconds=-1))
    assert SweepMemory.lease(name, "second", length)

"""What comes of asking for a transcript when the queue or the tables fail on the way, and of asking again."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from panzoto.recordings.ledger import CHANGED_PER_TRANSACTION
from tests.support.aws import start_moto
from tests.support.engines import SpeechEngine
from tests.support.fault_proxy import Fault, FaultProxy, Hang, LoseReply, Meanwhile, Refuse, Request
from tests.support.faults import Before
from tests.support.jobs import HEARD, JOBS, ask, asked, made_a_day_older, recorded, stored_to_transcribe
from tests.support.service import aws_client, wait_until_healthy
from tests.support.transcribing import Transcribing, job_of, transcribing
from tests.support.transcripts import Owner, refused

# The contract allows a queue that hangs to cost 6 s; the rest is for a machine that others use as well.
HANG_SECONDS = 15.0


def lets_rows_wait(request: Request) -> bool:
    return request.operation == "TransactWriteItems" and b"queued" in request.body


def begins_a_job(request: Request) -> bool:
    return lets_rows_wait(request) and JOBS.encode() in request.body


def cancels_a_job(request: Request) -> bool:
    return JOBS.encode() in request.body and b"canceled" in request.body


def further_rows_wait(request: Request) -> bool:
    """Whether a request lets the rows of a job wait that its first transaction had no room for."""
    return lets_rows_wait(request) and not begins_a_job(request)


def notes_a_message(request: Request) -> bool:
    return JOBS.encode() in request.body and b"is_sent" in request.body


def started(owner: Owner) -> list[dict[str, Any]]:
    """Return what the account is told of the jobs that were begun."""
    events = owner.call("GET", "/api/user/events").json()["events"]
    return [event["detail"] for event in events if event["type"] == "transcription_started"]


@pytest.fixture(scope="module")
def on_the_way() -> Iterator[tuple[Transcribing, FaultProxy]]:
    """A service that reaches AWS through a proxy only, and takes two jobs of an account."""
    with (
        start_moto() as url,
        SpeechEngine(HEARD) as engine,
        FaultProxy(url) as proxy,
        transcribing(proxy.url, engine, create_at=url, LIMIT_TRANSCRIBE="2 per day") as running,
    ):
        yield running, proxy


@pytest.fixture
def proxy(on_the_way: tuple[Transcribing, FaultProxy]) -> Iterator[FaultProxy]:
    yield on_the_way[1]
    on_the_way[1].clear()


@pytest.fixture
def owner(on_the_way: tuple[Transcribing, FaultProxy]) -> Owner:
    return on_the_way[0].owner(f"{uuid.uuid4().hex}@example.com")


@pytest.fixture
def queue(on_the_way: tuple[Transcribing, FaultProxy]) -> Callable[[], list[str]]:
    """Takes what is in the queue, and returns whose job each message is about."""
    sqs = aws_client("sqs", on_the_way[0].service.aws_url)
    url = sqs.get_queue_url(QueueName=JOBS)["QueueUrl"]

    def taken() -> list[str]:
        about: list[str] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            about += [json.loads(message["Body"])["transcription_id"] for message in messages]
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return about

    taken()
    return taken


class TestOnceStored:
    def test_a_job_whose_asker_was_killed_before_the_message_is_sent(
        self, on_the_way: tuple[Transcribing, FaultProxy], owner: Owner, queue: Callable[[], list[str]]
    ) -> None:
        (running, proxy), body = on_the_way, stored_to_transcribe(owner)

        def kill(_: Request) -> None:
            for pid in running.service.worker_pids():
                os.kill(pid, signal.SIGKILL)

        killing = proxy.add(Fault(Meanwhile(kill), where=begins_a_job, times=1))
        with pytest.raises(requests.ConnectionError):
            owner.call("POST", "/api/audio-file", json=body)
        assert (killing.applied, queue()) == (1, [])
        wait_until_healthy(running.service)
        for _ in range(2):
            told = owner.call("POST", "/api/audio-file", json=body).json()
            assert told["transcription"]["status"] == "queued", told
        assert queue() == [told["transcription"]["transcription_id"]]

    def test_a_job_of_the_day_before_is_over_and_another_begins(
        self, owner: Owner, queue: Callable[[], list[str]]
    ) -> None:
        body = stored_to_transcribe(owner)
        first = owner.call("POST", "/api/audio-file", json=body).json()["transcription"]
        older = made_a_day_older(owner, first)
        told = owner.call("POST", "/api/audio-file", json=body).json()["transcription"]
        assert told["status"] == "queued"
        assert queue() == [first["transcription_id"], told["transcription_id"]]
        assert job_of(owner, older)["status"] == "failed"


def test_nothing_waits_for_one_that_was_asked_for_while_another_was_canceled(
    proxy: FaultProxy, owner: Owner
) -> None:
    file_id, key = recorded(owner)
    first = asked(owner, file_id=file_id, file_key=key)["transcription_id"]
    second: list[str] = []

    def again(_: Request) -> None:
        second.append(asked(owner, file_id=file_id, file_key=key)["transcription_id"])

    crossing = proxy.add(Fault(Meanwhile(again), operation="UpdateItem", where=cancels_a_job, times=1))
    assert owner.call("DELETE", f"/api/transcriptions/{first}").status_code == 204
    assert crossing.applied == 1
    assert owner.state(file_id)["transcription_id"] == second[0]  # type: ignore[index]
    assert owner.call("DELETE", f"/api/transcriptions/{second[0]}").status_code == 204
    assert owner.state(file_id) is None


class TestHalfBegun:
    @pytest.mark.parametrize("failing", ["further rows", "noting"])
    def test_who_asks_again_finishes_it_and_it_is_told_and_counts_once(
        self, proxy: FaultProxy, owner: Owner, queue: Callable[[], list[str]], failing: str
    ) -> None:
        """A sitting that takes two transactions, of which the second fails; or what follows its message."""
        keys = dict(recorded(owner) for _ in range(CHANGED_PER_TRANSACTION + 1))
        body = {"file_ids": [*keys], "file_keys": keys}
        fault = {"further rows": further_rows_wait, "noting": notes_a_message}[failing]
        failed = proxy.add(Fault(Refuse(), where=fault))
        refused(ask(owner, **body), 503, "unavailable")
        assert failed.applied > 0
        proxy.clear()
        (file_id, key), *_ = keys.items()
        refused(ask(owner, file_id=file_id, file_key=key), 409, "transcription_running")
        for _ in range(2):
            again = ask(owner, **body)
            assert again.status_code == 200, again.text
        job = again.json()["transcription"]["transcription_id"]
        assert set(queue()) == {job}
        assert [owner.state(one)["transcription_id"] for one in keys] == [job] * len(keys)  # type: ignore[index]
        assert started(owner) == [{"file_ids": [*keys], "engine": "127.0.0.1"}]
        one, other = recorded(owner), recorded(owner)
        asked(owner, file_id=one[0], file_key=one[1])
        refused(ask(owner, file_id=other[0], file_key=other[1]), 429, "too_many_requests")

    def test_one_whose_answer_was_lost_counts_as_well(self, proxy: FaultProxy, owner: Owner) -> None:
        file_id, key = recorded(owner)
        lost = proxy.add(Fault(LoseReply(), where=begins_a_job))
        asked(owner, file_id=file_id, file_key=key)
        assert lost.applied > 1
        proxy.clear()
        one, other = recorded(owner), recorded(owner)
        asked(owner, file_id=one[0], file_key=one[1])
        refused(ask(owner, file_id=other[0], file_key=other[1]), 429, "too_many_requests")

    def test_one_that_was_refused_is_told_nowhere(self, proxy: FaultProxy, owner: Owner) -> None:
        file_id, key = recorded(owner)
        proxy.add(Fault(Refuse(), operation="SendMessage"))
        refused(ask(owner, file_id=file_id, file_key=key), 503, "unavailable")
        assert started(owner) == []


class TestWithoutTheQueue:
    def test_clients_are_told_what_they_know(self, proxy: FaultProxy, owner: Owner) -> None:
        """What SQS or its SDK call a failure is no code of this service."""
        file_id, key = recorded(owner)
        proxy.add(Fault(Refuse(), operation="SendMessage"))
        answer = ask(owner, file_id=file_id, file_key=key)
        refused(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        stored = owner.call("POST", "/api/audio-file", json=stored_to_transcribe(owner))
        assert (stored.status_code, stored.json()["transcribe_error"]["code"]) == (201, "unavailable")

    def test_one_that_hangs_is_not_waited_for(self, proxy: FaultProxy, owner: Owner) -> None:
        """A request asks it once, for as long as the contract lets a service hang."""
        file_id, key = recorded(owner)
        hanging = proxy.add(Fault(Hang(), operation="SendMessage"))
        began = time.monotonic()
        refused(ask(owner, file_id=file_id, file_key=key), 503, "unavailable")
        assert time.monotonic() - began < HANG_SECONDS
        assert hanging.applied == 1

    def test_what_it_refused_does_not_count(self, proxy: FaultProxy, owner: Owner) -> None:
        file_id, key = recorded(owner)
        away = proxy.add(Fault(Refuse(), operation="SendMessage"))
        for _ in range(2):
            refused(ask(owner, file_id=file_id, file_key=key), 503, "unavailable")
        assert away.applied == 2
        proxy.clear()
        asked(owner, file_id=file_id, file_key=key)

    def test_who_is_one_too_many_beside_it_does_not_count_either(
        self, proxy: FaultProxy, owner: Owner
    ) -> None:
        first, second, third, fourth = (
            {"file_id": file_id, "file_key": key} for file_id, key in (recorded(owner) for _ in range(4))
        )
        asked(owner, **first)
        meanwhile: list[requests.Response] = []
        for action in (Before(lambda: meanwhile.append(ask(owner, **third))), Refuse()):
            proxy.add(Fault(action, operation="SendMessage", times=1))
        refused(ask(owner, **second), 503, "unavailable")
        refused(meanwhile[0], 429, "too_many_requests")
        asked(owner, **fourth)

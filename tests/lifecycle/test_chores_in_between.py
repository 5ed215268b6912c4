"""What comes in between while chores are done: a change as a look ends, a hold, what falls due later."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest

from panzoto.models.due import shard_of
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.commands import command, done
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.faults import Before
from tests.support.forked_commands import PATIENCE_SECONDS, Command
from tests.support.service import Service, aws_client, run_service
from tests.support.waiting import eventually

ROLE = "chores"
QUEUE = "panzoto-chores"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with start_moto() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(aws: str) -> Iterator[FaultProxy]:
    with FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(aws: str, proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, create_at=aws, **UNLIMITED) as running:
        yield running


@pytest.fixture
def account(service: Service) -> dict[str, Any]:
    return service.register(f"{uuid.uuid4()}@example.com")


def record(service: Service, account: dict[str, Any]) -> None:
    sent = {"s3_key": f"users/{account['user_id']}/{uuid.uuid4()}", "file_size": 10}
    answer = service.call("POST", "/api/audio-file", account["token"], json=sent)
    assert answer.status_code == 201, answer.text


def change_row(service: Service, account: dict[str, Any], expression: str, **values: dict[str, str]) -> None:
    aws_client("dynamodb", service.aws_url).update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression=expression,
        **(
            {"ExpressionAttributeValues": {f":{name}": value for name, value in values.items()}}
            if values
            else {}
        ),
    )


def test_a_change_that_is_written_as_a_look_ends_is_announced(
    service: Service, proxy: FaultProxy, account: dict[str, Any]
) -> None:
    record(service, account)

    def ends() -> None:
        # As `finish_chores` does, which does not touch the number of changes.
        change_row(service, account, "REMOVE due_at, due_shard")

    fault = proxy.add(Fault(Before(ends), operation="TransactWriteItems", times=1))
    try:
        record(service, account)
    finally:
        proxy.clear()
    assert fault.applied == 1
    after = rows.user_row(service, account["user_id"])
    assert after["change_number"]["N"] == "2"
    assert float(after["due_at"]["N"]) <= time.time()
    assert after["due_shard"]["S"] == shard_of(account["user_id"])


def test_what_falls_due_later_is_left_until_then(service: Service, account: dict[str, Any]) -> None:
    record(service, account)
    due_at = {"N": str(int(time.time()) + 10 * 3600)}
    change_row(service, account, "SET due_at = :moment", moment=due_at)
    done(service, ROLE, "chores", "run")
    assert rows.user_row(service, account["user_id"])["due_at"] == due_at


def test_what_another_worker_has_just_erased_is_no_failure(
    service: Service, proxy: FaultProxy, aws: str, account: dict[str, Any]
) -> None:
    record(service, account)
    listed = service.call("GET", "/api/user/audio-files", account["token"]).json()["audio_files"]
    file_id = listed[0]["file_id"]
    assert service.call("DELETE", f"/api/audio-file/{file_id}", account["token"]).status_code == 200
    aws_client("dynamodb", service.aws_url).update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET deleted_at = :moment",
        ExpressionAttributeValues={":moment": {"N": str(int(time.time()) - 31 * 86_400)}},
    )
    slower: SimpleQueue[Command] = SimpleQueue()
    others: list[str] = []

    def others_are_faster() -> None:
        first = slower.get(timeout=PATIENCE_SECONDS)
        # It would ask once more while it waits for its answer, and be faster after all.
        first.send_signal(signal.SIGSTOP)
        # Whoever is at it looks at everybody, those too whom the first has taken.
        others.append(done(service, ROLE, "chores", "run", at=aws))
        first.send_signal(signal.SIGCONT)

    names = file_id.encode()
    faster = Before(others_are_faster)
    proxy.add(Fault(faster, operation="TransactWriteItems", where=lambda asked: names in asked.body, times=1))
    try:
        first = command(service, ROLE, "chores", "run")
        slower.put(first)
        told, _ = first.communicate()
    finally:
        proxy.clear()
    assert first.returncode == 0, told
    assert "recordings past their days in the trash" in others[0]
    assert "not done" not in told


def is_so(count: Callable[[], int], expected: int) -> bool:
    return count() == expected


def test_a_piece_of_the_pass_outlasts_a_hold(service: Service, account: dict[str, Any]) -> None:
    record(service, account)
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]

    def hidden() -> int:
        name = "ApproximateNumberOfMessagesNotVisible"
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

    done(service, "sweep", "sweeps", "hold", "by-test")
    try:
        worker = command(service, ROLE, "chores", "work")
        try:
            # Whoever takes the second has the first in hand.
            for taken, kind in enumerate(("aside", "seen"), 1):
                sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"kind": kind, "of": ""}))
                eventually(partial(is_so, hidden, taken), "nobody takes it")
        finally:
            # What it has in hand it comes to its end with.
            worker.terminate()
            worker.wait()
        assert hidden() >= 1
    finally:
        done(service, "sweep", "sweeps", "release", "by-test")

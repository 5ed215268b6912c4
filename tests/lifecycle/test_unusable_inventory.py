"""An inventory that cannot be used is told, and keeps nothing else of the pass from being done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.commands import command, done
from tests.support.recordings import store
from tests.support.service import BUCKET, Service, aws_client, run_service
from tests.support.waiting import eventually

ROLE = "chores"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with start_moto() as aws, run_service(aws, INVENTORY="s3://reports/panzoto", **UNLIMITED) as running:
        running.s3().create_bucket(Bucket="reports")
        yield running


def test_a_worker_asks_no_more_for_a_report_that_is_gone(service: Service) -> None:
    account = service.register(f"{uuid.uuid4()}@example.com")
    store(service, account, f"users/{account['user_id']}/{uuid.uuid4()}", b"sound")
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName="panzoto-chores")["QueueUrl"]
    sent = {"kind": "report", "of": "panzoto/daily/2026-11-01T01-00Z/manifest.json 3"}
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(sent))
    waiting = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def is_empty() -> bool:
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=waiting)["Attributes"]
        return set(told.values()) == {"0"}

    worker = command(service, ROLE, "chores", "work")
    try:
        eventually(is_empty, "it stays")
    finally:
        worker.terminate()
        worker.wait()


def test_what_has_nothing_to_do_with_it_is_done(service: Service) -> None:
    account = service.register(f"{uuid.uuid4()}@example.com")
    store(service, account, f"users/{account['user_id']}/{uuid.uuid4()}", b"sound")
    # Twice, since by the second run all of it has begun once.
    for _ in range(2):
        told = done(service, ROLE, "chores", "run", status=1)
        assert f"not done, 1 times: report: There is no inventory of {BUCKET}" in told
    places = service.dynamodb().query(
        TableName="panzoto-sweeps",
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues={":kind": {"S": "place"}},
    )["Items"]
    begun = {item["name"]["S"] for item in places}
    assert {"account", "report", "uploads users/", "aside", "seen"} <= begun

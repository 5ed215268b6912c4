"""A row of which an attribute is of a wrong type hides no other, is named, and is never removed for that."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.fewer_shards import FEWER
from tests.support.recordings import store
from tests.support.service import BUCKET, PASSWORD, Service, empty_tables, run_service
from tests.support.waiting import eventually

WRONG = {"N": "5"}


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with start_moto() as aws, run_service(aws, **UNLIMITED, **FEWER) as running:
        yield running


@pytest.fixture
def service(running: Service) -> Service:
    """The service, its tables and its bucket empty, since sweeps and chores go over all that is there."""
    empty_tables(running.aws_url)
    for entry in running.s3().list_object_versions(Bucket=BUCKET).get("Versions", ()):
        running.s3().delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    return running


@pytest.fixture
def account(service: Service) -> dict[str, Any]:
    return service.register(f"{uuid.uuid4()}@example.com")


def record(service: Service, account: dict[str, Any]) -> tuple[str, str]:
    """Record something; return its id and key."""
    key = f"users/{account['user_id']}/{uuid.uuid4()}"
    return store(service, account, key, b"sound"), key


def damage(service: Service, file_id: str, name: str = "title", value: dict[str, str] = WRONG) -> None:
    """Let an attribute of a recording be of a wrong type."""
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def named(printed: str) -> set[str]:
    """Return the rows that a log names as damaged."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {line["row"] for line in lines if line["event"] == "damaged_record"}


def recordings(service: Service) -> set[str]:
    """Return the ids of all recordings that there is a row of."""
    return {item["file_id"]["S"] for item in service.dynamodb().scan(TableName=rows.FILES_TABLE)["Items"]}


def keys(service: Service) -> set[str]:
    return {one["Key"] for one in service.s3().list_objects_v2(Bucket=BUCKET).get("Contents", ())}


class TestDeletingAnAccount:
    @pytest.mark.parametrize(
        ("table", "key", "name"),
        [
            ("events", "event_id", "address"),
            ("sessions", "session_id", "device_name"),
            ("erasures", "erasure_id", "file_id"),
            ("transcripts", "file_id", "revision"),
            ("transcriptions", "transcription_id", "status"),
        ],
    )
    def test_a_damaged_row_of_any_table_goes_with_it(
        self, service: Service, account: dict[str, Any], table: str, key: str, name: str
    ) -> None:
        item = {"user_id": {"S": account["user_id"]}, key: {"S": "damaged"}, name: WRONG}
        service.dynamodb().put_item(TableName=f"panzoto-{table}", Item=item)
        delete(service, account)
        assert service.dynamodb().scan(TableName=f"panzoto-{table}")["Items"] == []


def delete(service: Service, account: dict[str, Any]) -> None:
    """Delete an account, which begins at once, and wait for its end."""
    answer = service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    assert answer.status_code == 202, answer.text

    def has_ended() -> bool:
        lines = [line for line in service.log().splitlines() if "account_deleted" in line]
        return any(account["user_id"] in line for line in lines)

    eventually(has_ended, service.log, 20)

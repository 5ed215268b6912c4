"""Plans of sittings go a day after they were made, whatever else falls due at their account, and when."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from panzoto import object_keys
from panzoto.models.due import shard_of
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.fault_proxy import Action, Answer, Fault, FaultProxy
from tests.support.faults import Control
from tests.support.recordings import hear, store, version_2
from tests.support.service import BUCKET, PASSWORD, Service, aws_client, run_service
from tests.support.wire import Piece

DAY = 86_400
ROLE = "chores"
# Half a second of AMR at its lowest rate (RFC 4867, section 5): a frame of 20 ms has 13 bytes.
CLIP = b"#!AMR\n" + (b"\x04" + bytes(12)) * 25


class AYearAgo(Action):
    """Lets what is listed have been put a year ago."""

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:  # noqa: ARG002
        year = datetime.now(UTC).year
        for piece in pieces:
            data = piece.data.replace(b"Modified>%d-" % year, b"Modified>%d-" % (year - 1))
            yield Piece(data, piece.payload)


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with start_moto() as aws, FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, **UNLIMITED) as running:
        yield running


def record(service: Service, account: dict[str, Any]) -> str:
    s3_key = f"users/{account['user_id']}/{uuid.uuid4()}.amr"
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, CLIP))


def due_in_days(service: Service, account: dict[str, Any]) -> float:
    return (float(rows.user_row(service, account["user_id"])["due_at"]["N"]) - time.time()) / DAY


def test_days_in_the_trash_do_not_keep_them_longer(service: Service, account: dict[str, Any]) -> None:
    binned, *clips = (record(service, account) for _ in range(3))
    for clip in clips:
        # What opening notes of a recording is no news any more, so that the sitting changes nothing else.
        hear(service, account["token"], clip, PASSWORD)
    assert service.call("DELETE", f"/api/audio-file/{binned}", account["token"]).status_code == 200
    done(service, ROLE, "chores", "run")
    assert due_in_days(service, account) == pytest.approx(30, abs=0.1)
    sent = {"password": PASSWORD, "file_ids": clips}
    opened = service.call("POST", "/api/decrypt-audio", account["token"], json=sent)
    assert opened.status_code == 200, opened.text
    assert due_in_days(service, account) == pytest.approx(1, abs=0.1)
    # Another one is not put off by the next.
    time.sleep(0.01)
    before = rows.user_row(service, account["user_id"])["due_at"]
    assert service.call("POST", "/api/decrypt-audio", account["token"], json=sent).status_code == 200
    assert rows.user_row(service, account["user_id"])["due_at"] == before


def test_one_that_cannot_be_removed_stays_in_sight(
    service: Service, proxy: FaultProxy, account: dict[str, Any]
) -> None:
    record(service, account)
    key = object_keys.plan_key(account["user_id"], str(uuid.uuid4()))
    service.put_object(key, b"PNZ2" + bytes(200))
    aws_client("dynamodb", service.aws_url).update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression="SET plans_at = :m, due_at = :m, due_shard = :s",
        ExpressionAttributeValues={
            ":m": {"N": str(int(time.time()))},
            ":s": {"S": shard_of(account["user_id"])},
        },
    )
    proxy.add(Fault(AYearAgo(), method="GET", path=f"^/{BUCKET}", where=lambda one: "versions" in one.query))
    proxy.add(Fault(Answer.s3(500, "InternalError"), method="DELETE", path=key))
    try:
        told = done(service, ROLE, "chores", "run", status=1)
    finally:
        proxy.clear()
    assert "plans of sittings" in told
    assert "plans_at" in rows.user_row(service, account["user_id"])
    assert due_in_days(service, account) == pytest.approx(0.25, abs=0.1)
    assert service.s3().list_objects_v2(Bucket=BUCKET, Prefix=key)["KeyCount"] == 1

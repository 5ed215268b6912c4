"""Deletions of accounts that were interrupted are noted where the next worker to start looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from panzoto.errors import ObjectsKept, PanzotoError, Unavailable
from panzoto.lifecycle.deletion import Deletion
from panzoto.lifecycle.unfinished_deletions import finish
from panzoto.models import User
from tests.support.service import Service, run_service
from tests.support.waiting import eventually

DELETIONS = {"claim": {"S": "deletions"}}


def noted(service: Service) -> set[str]:
    found = service.dynamodb().get_item(TableName="panzoto-claims", Key=DELETIONS, ConsistentRead=True)
    return set(found.get("Item", {}).get("user_ids", {}).get("SS", ()))


def note(service: Service, user_id: str) -> None:
    service.dynamodb().update_item(
        TableName="panzoto-claims",
        Key=DELETIONS,
        UpdateExpression="ADD user_ids :one",
        ExpressionAttributeValues={":one": {"SS": [user_id]}},
    )


def mark(service: Service, user_id: str) -> None:
    service.dynamodb().update_item(
        TableName="panzoto-users",
        Key={"user_id": {"S": user_id}},
        UpdateExpression="SET deletion_started_at = :now",
        ExpressionAttributeValues={":now": {"N": "1764000000"}},
    )


def is_there(service: Service, user_id: str) -> bool:
    key = {"user_id": {"S": user_id}}
    return "Item" in service.dynamodb().get_item(TableName="panzoto-users", Key=key, ConsistentRead=True)


def test_a_deletion_that_ends_leaves_no_note(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    account = new_account(password="to be deleted soon")
    answer = service.call("DELETE", "/api/user", account["token"], json={"password": "to be deleted soon"})
    assert answer.status_code == 202
    eventually(lambda: not is_there(service, account["user_id"]), service.log)
    eventually(lambda: account["user_id"] not in noted(service), service.log)


def test_the_next_worker_finishes_and_leaves_alone_who_is_not_marked(
    moto: str, service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    marked, unmarked = new_account(), new_account()
    mark(service, marked["user_id"])
    for account in (marked, unmarked):
        note(service, account["user_id"])
    note(service, "of-nobody")
    with run_service(moto) as another:
        eventually(lambda: not is_there(service, marked["user_id"]), another.log)
        # The second look forgets who was noted and never marked.
        eventually(lambda: not noted(service), another.log)
    assert is_there(service, unmarked["user_id"])


def test_a_damaged_account_keeps_nobody_behind_it_waiting(
    moto: str, service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    damaged, whole = sorted(new_account()["user_id"] for _ in range(2))
    for user_id, more in ((damaged, {":iso": {"N": "5"}}), (whole, {":iso": {"S": "2023-11-14T22:13:20"}})):
        service.dynamodb().update_item(
            TableName="panzoto-users",
            Key={"user_id": {"S": user_id}},
            UpdateExpression="SET deletion_started_at = :now, created_at_iso = :iso",
            ExpressionAttributeValues={":now": {"N": "1764000000"}, **more},
        )
        note(service, user_id)
    with run_service(moto) as another:
        eventually(lambda: noted(service) == {damaged}, another.log)
        eventually(lambda: "deletion_interrupted" in another.log(), another.log)
        told = [json.loads(line) for line in another.log().splitlines() if "deletion_interrupted" in line]
    assert {line["row"] for line in told} == {damaged}
    assert (is_there(service, damaged), is_there(service, whole)) == (True, False)
    service.dynamodb().delete_item(TableName="panzoto-claims", Key=DELETIONS)


@pytest.mark.parametrize(("kept_by", "failed"), [(Unavailable(), 1), (ObjectsKept(3), 0), (None, 0)])
@pytest.mark.usefixtures("bound_here")
def test_what_the_bucket_keeps_is_not_asked_for_every_few_seconds(
    service: Service, account: dict[str, Any], kept_by: PanzotoError | None, failed: int
) -> None:
    """As long as one has failed, the worker that has started looks again soon."""

    class Kept:
        def run_or_log(self, user: User) -> PanzotoError | None:
            assert user.user_id == account["user_id"]
            return kept_by

    mark(service, account["user_id"])
    note(service, account["user_id"])
    try:
        assert finish(cast("Deletion", Kept()), set()) == (set(), failed)
    finally:
        service.dynamodb().delete_item(TableName="panzoto-claims", Key=DELETIONS)

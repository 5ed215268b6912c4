"""Whole accounts: filled with all that can belong to one, deleted under kills, and looked for afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from tests.support.fault_proxy import FaultProxy
from tests.support.forked_commands import forked
from tests.support.recordings import store
from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import BUCKET, Service

SWEEP = ("accounts", "sweep")


def fill(service: Service, account: dict[str, Any], recordings: int) -> None:
    """Give an account recordings, objects with versions, unrecorded objects and unfinished uploads."""
    user_id, s3 = account["user_id"], service.s3()
    for number in range(recordings):
        folder = (f"users/{user_id}", f"audio_upload/{user_id}", "users/of-nobody-in-particular")[number % 3]
        file_id = store(service, account, f"{folder}/{user_id}-{number}.3gp", b"x" * 100)
        if number % 3 == 2:
            # As a row of an earlier release: what has only been named would stay where it is.
            service.dynamodb().update_item(
                TableName=FILES_TABLE, Key={"file_id": {"S": file_id}}, UpdateExpression="REMOVE unproved"
            )
        if number % 5 == 0:
            service.put_object(f"{folder}/{user_id}-{number}.3gp", b"again")
    service.put_object(f"users/{user_id}/never-recorded", b"x")
    s3.delete_object(Bucket=BUCKET, Key=f"users/{user_id}/never-recorded")
    s3.create_multipart_upload(Bucket=BUCKET, Key=f"users/{user_id}/unfinished")


def remains(service: Service, user_id: str, email: str) -> list[str]:
    """Return where anything of an account is still found: any table, any version of any object."""
    found = []
    dynamodb = service.dynamodb()
    for table in dynamodb.list_tables()["TableNames"]:
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            found += [table for item in page["Items"] if user_id in str(item) or email in str(item)]
    for page in service.s3().get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        entries = (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        found += [entry["Key"] for entry in entries if user_id in entry["Key"]]
    uploads = service.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return found + [upload["Key"] for upload in uploads if user_id in upload["Key"]]


def interrupted(
    service: Service,
    user_id: str,
    *,
    kills: int,
    apart: int,
    seed: int,
    killed: Callable[[], None] | None = None,
) -> str:
    """Mark an account for deletion, kill the sweep so many times, and return what the last one prints.

    Each kill comes after a random number of the sweep's calls to AWS, `apart` at most.
    `killed` is called after each. Raises `AssertionError` when the last sweep fails.
    """
    service.dynamodb().update_item(
        TableName=USERS_TABLE,
        Key={"user_id": {"S": user_id}},
        UpdateExpression="SET deletion_started_at = :now",
        ExpressionAttributeValues={":now": {"N": "1700000000"}},
    )
    chance = random.Random(seed)
    with FaultProxy(service.aws_url) as proxy:
        environment = service.environment | {"AWS_ENDPOINT_URL": proxy.url}
        for _ in range(kills):
            proxy.forget()
            sweep = forked().start(environment, *SWEEP)
            calls = chance.randint(1, apart)
            while len(proxy.requests) < calls and sweep.poll() is None:
                time.sleep(0.002)
            sweep.kill()
            sweep.wait()
            if killed is not None:
                killed()
    status, printed = forked().run(service.environment, *SWEEP)
    assert status == 0, printed
    return printed

"""Rows as the earlier service wrote them, exactly its attributes and nothing else."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from argon2 import PasswordHasher

from tests.support.service import Service

USERS_TABLE = "panzoto-users"
FILES_TABLE = "panzoto-audio-files"
# Less than OWASP's minimum, as an earlier service may well have had it; a login rehashes it.
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def put_user(
    service: Service, email: str, password: str, key_salt: bytes, user_id: str | None = None, **more: Any
) -> str:
    """Write a user of the earlier service and return its id; `more` are attributes in DynamoDB's JSON."""
    user_id = user_id or str(uuid.uuid4())
    service.dynamodb().put_item(
        TableName=USERS_TABLE,
        Item={
            "user_id": {"S": user_id},
            "email": {"S": email},
            "password_hash": {"S": HASHER.hash(password)},
            "key_salt": {"S": base64.b64encode(key_salt).decode()},
            "created_at": {"N": "1700000000"},
            "created_at_iso": {"S": "2023-11-14T22:13:20"},
            **more,
        },
    )
    return user_id


def put_file(service: Service, user_id: str, s3_key: str, uploaded_at: int = 1700000100, **more: Any) -> str:
    """Write a recording of the earlier service and return its id."""
    file_id = str(uuid.uuid4())
    service.dynamodb().put_item(
        TableName=FILES_TABLE,
        Item={
            "file_id": {"S": file_id},
            "user_id": {"S": user_id},
            "s3_key": {"S": s3_key},
            "file_size": {"N": "4096"},
            "uploaded_at": {"N": str(uploaded_at)},
            "uploaded_at_iso": {"S": "2023-11-14T22:15:00"},
            **more,
        },
    )
    return file_id


def user_row(service: Service, user_id: str) -> dict[str, Any]:
    """Return a user's item as it lies in the table."""
    found = service.dynamodb().get_item(TableName=USERS_TABLE, Key={"user_id": {"S": user_id}})
    item: dict[str, Any] = found["Item"]
    return item


def file_row(service: Service, file_id: str) -> dict[str, Any] | None:
    """Return a recording's item as it lies in the table, None when there is none."""
    key = {"file_id": {"S": file_id}}
    found = service.dynamodb().get_item(TableName=FILES_TABLE, Key=key, ConsistentRead=True)
    item: dict[str, Any] | None = found.get("Item")
    return item

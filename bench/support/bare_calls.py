"""The same reads and writes without the service: bare boto3, PynamoDB's raw connection, a PynamoDB model.

Each reference runs in a process of its own, so that its CPU time is nobody else's; so does the whole
application in Flask's test client.  The processes are asked for one batch at a time, so that batches can be
interleaved.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, ClassVar

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.connection.base import MetaTable
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from bench.support.dynamodb_stub import SESSION_ID, USER_ID, account, recording
from bench.support.stand_in import client
from panzoto import create_app
from panzoto.auth.tokens import Tokens
from panzoto.config import Settings
from panzoto.models import Claim
from tests.support.aws import REGION

TABLE = "panzoto-audio-files"
INDEX = "user-files-index"
PAGE = 50
_HASH_AND_RANGE = [
    {"AttributeName": "user_id", "KeyType": "HASH"},
    {"AttributeName": "uploaded_at", "KeyType": "RANGE"},
]
_TABLE_DESCRIPTION = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "file_id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "file_id", "AttributeType": "S"},
        {"AttributeName": "user_id", "AttributeType": "S"},
        {"AttributeName": "uploaded_at", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [{"IndexName": INDEX, "KeySchema": _HASH_AND_RANGE}],
}

Workload = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """What one call of a workload costs on average, in seconds."""

    cpu: float
    wall: float


class ByUser(GlobalSecondaryIndex["BareFile"]):
    class Meta:
        index_name = INDEX
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True)
    uploaded_at = NumberAttribute(range_key=True)


class BareFile(Model):
    """The stored attributes of a recording as PynamoDB's own attribute classes read them."""

    class Meta:
        table_name = TABLE
        region = REGION

    by_user: ClassVar[ByUser] = ByUser()
    file_id = UnicodeAttribute(hash_key=True)
    user_id = UnicodeAttribute()
    s3_key = UnicodeAttribute()
    file_size = NumberAttribute(null=True)
    uploaded_at = NumberAttribute()
    uploaded_at_iso = UnicodeAttribute(null=True)
    listed_at = NumberAttribute(null=True)
    status = UnicodeAttribute(null=True)
    format = UnicodeAttribute(null=True)
    change_number = NumberAttribute(null=True)
    content_type = UnicodeAttribute(null=True)
    recorded_at = NumberAttribute(null=True)
    duration_ms = NumberAttribute(null=True)


def boto3_workloads(url: str) -> dict[str, Workload]:
    dynamodb = client("dynamodb", url)
    query = {
        "TableName": TABLE,
        "IndexName": INDEX,
        "KeyConditionExpression": "user_id = :user",
        "ExpressionAttributeValues": {":user": {"S": USER_ID}},
        "Limit": PAGE,
        "ScanIndexForward": False,
    }
    item = recording(0)
    claim = {"claim": {"S": Claim.name_of_s3_key(item["s3_key"]["S"])}, "user_id": item["user_id"]}
    change = {"user_id": item["user_id"], "change_number": {"N": "51"}, "file_id": item["file_id"]}
    writes = [
        {
            "Update": {
                "TableName": "panzoto-users",
                "Key": {"user_id": account()["user_id"]},
                "UpdateExpression": "SET change_number = :next ADD used_recordings :one, used_bytes :size",
                "ConditionExpression": "change_number = :last",
                "ExpressionAttributeValues": {
                    ":next": {"N": "51"},
                    ":last": {"N": "50"},
                    ":one": {"N": "1"},
                    ":size": item["file_size"],
                },
            }
        },
        {"Put": {"TableName": "panzoto-changes", "Item": change}},
        {
            "Put": {
                "TableName": "panzoto-claims",
                "Item": claim,
                "ConditionExpression": "attribute_not_exists(claim)",
            }
        },
        {
            "Put": {
                "TableName": TABLE,
                "Item": item,
                "ConditionExpression": "attribute_not_exists(file_id)",
            }
        },
    ]
    return {
        "query": lambda: dynamodb.query(**query)["Items"],
        "transact": lambda: dynamodb.transact_write_items(TransactItems=writes),
    }


def pynamodb_workloads(url: str) -> dict[str, Workload]:
    BareFile.Meta.host = url  # type: ignore[attr-defined]
    raw = Connection(region=REGION, host=url)
    raw.add_meta_table(MetaTable(_TABLE_DESCRIPTION))
    return {
        "raw": lambda: raw.query(TABLE, USER_ID, index_name=INDEX, limit=PAGE, scan_index_forward=False),
        "model": lambda: list(BareFile.by_user.query(USER_ID, limit=PAGE, scan_index_forward=False)),
    }


def application_workloads(_: str) -> dict[str, Workload]:
    """The whole application in one process, with neither a socket nor gunicorn before it."""
    settings = Settings.from_environment()
    token = Tokens(settings.secret_key, (), 3600).mint(USER_ID, SESSION_ID)[0]
    http = create_app(settings).test_client()
    headers = {"Authorization": f"Bearer {token}"}
    create = {"s3_key": "users/bench/audio-1.3gp", "file_size": 1024}

    def ask(status: int, **how: Any) -> bytes:
        response = http.open(headers=headers, **how)
        if response.status_code != status:
            raise RuntimeError(f"expected {status}, got {response.status}: {response.get_data(as_text=True)}")
        return response.get_data()

    listed = f"/api/user/audio-files?limit={PAGE}"
    return {
        "list": lambda: ask(200, path=listed),
        "create": lambda: ask(201, path="/api/audio-file", method="POST", json=create),
    }


class Measured:
    """A process that runs its workloads on demand."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def run(self, workload: str, times: int) -> Cost:
        self._pipe.send((workload, times))
        cost: Cost = self._pipe.recv()
        return cost


@contextmanager
def measured(
    make: Callable[[str], dict[str, Workload]], url: str, environ: Mapping[str, str] | None = None
) -> Iterator[Measured]:
    """Run `make(url)`'s workloads in a process of their own while the block runs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make, url, dict(environ or {})), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Measured(ours)
    finally:
        ours.close()
        process.join(10)


def _serve(pipe: Pipe, make: Callable[[str], dict[str, Workload]], url: str, environ: dict[str, str]) -> None:
    os.environ.update(environ)
    # The application logs every request; a terminal would make that dear, and gunicorn writes it to a file.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    workloads: dict[str, Any] = make(url)
    while True:
        try:
            name, times = pipe.recv()
        except EOFError:
            return
        workload = workloads[name]
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(times):
            workload()
        pipe.send(Cost((time.process_time() - cpu) / times, (time.perf_counter() - wall) / times))

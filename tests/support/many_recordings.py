"""An account with very many recordings, as copies of one that was made by the calls."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from tests.support.example_clients import python_module
from tests.support.recorder import Recorder
from tests.support.rows import FILES_TABLE, USERS_TABLE

CHANGES_TABLE = "panzoto-changes"
BATCH = 25
WRITERS = 4
SAID = ("Mum", "about", "the", "garden", "meeting", "budget", "Thursday", "choir", "doctor", "bicycle")


def record_many(
    recorder: Recorder, count: int, newest: datetime, apart_seconds: int = 1800, seed: int = 5
) -> None:
    """Write so many recordings of some minutes, half an hour apart, `newest` the last; each has a title.

    Every tenth is followed by five clips of the same conversation.
    """
    first = recorder.record("the-first", newest)
    dynamodb = recorder.service.dynamodb()
    row = dynamodb.get_item(TableName=FILES_TABLE, Key={"file_id": {"S": first}})["Item"]
    chance = random.Random(seed)
    rows = [
        _copy(recorder, row, number, moment, chance)
        for number, moment in enumerate(_moments(count, newest.timestamp(), apart_seconds), 2)
    ]

    def write(copies: list[dict[str, Any]]) -> None:
        changes = [
            {"user_id": copy["user_id"], "number": copy["change_number"], "file_id": copy["file_id"]}
            for copy in copies
        ]
        for table, items in ((FILES_TABLE, copies), (CHANGES_TABLE, changes)):
            puts = [{"PutRequest": {"Item": item}} for item in items]
            dynamodb.batch_write_item(RequestItems={table: puts})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))))
    dynamodb.update_item(
        TableName=USERS_TABLE,
        Key={"user_id": {"S": recorder.user_id}},
        UpdateExpression="SET change_number = :number, used_recordings = :count",
        ExpressionAttributeValues={":number": {"N": str(count + 1)}, ":count": {"N": str(count)}},
    )


def _moments(count: int, newest: float, apart_seconds: int) -> Iterator[float]:
    """Yield when each was recorded, the oldest first."""
    moment = newest - (count + 1) * apart_seconds
    for number in range(count - 1):
        moment += 65 if number % 10 in range(5) else apart_seconds
        yield moment


def _copy(
    recorder: Recorder, row: dict[str, Any], number: int, moment: float, chance: random.Random
) -> dict[str, Any]:
    file_id = str(uuid.uuid4())
    title = " ".join(chance.choices(SAID, k=4))
    at = {"N": str(moment)}
    return row | {
        "file_id": {"S": file_id},
        "s3_key": {"S": f"{row['s3_key']['S']}-{number}"},
        "change_number": {"N": str(number)},
        "title": {"S": python_module().seal_name(recorder.vault, "title", file_id, title)},
        "duration_ms": {"N": "60000"},
        "recorded_at": at,
        "listed_at": at,
        "uploaded_at": at,
        "uploaded_at_iso": {"S": datetime.fromtimestamp(moment, UTC).isoformat()},
    }

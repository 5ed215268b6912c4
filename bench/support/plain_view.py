"""A list and a create as a plain Flask view writes them: boto3's resource, the same calls, no promise kept.

Nobody's token is looked at, nothing is read back, tried again, timed or logged.  What the service costs
beside it is the price of its promises.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key
from flask import Flask, jsonify, request

from bench.support.dynamodb_stub import USER_ID

app = Flask(__name__)
dynamodb: Any = boto3.resource("dynamodb")
recordings = dynamodb.Table("panzoto-audio-files")
users = dynamodb.Table("panzoto-users")
SHOWN = ("file_id", "user_id", "s3_key", "status", "content_type", "format", "title", "note")
NUMBERS = ("file_size", "duration_ms")
MOMENTS = ("uploaded_at", "recorded_at", "deleted_at")


@app.get("/api/health")
def health() -> Any:
    return jsonify(status="healthy")


@app.get("/api/user/audio-files")
def newest() -> Any:
    limit = int(request.args["limit"])
    found = recordings.query(
        IndexName="user-files-index",
        KeyConditionExpression=Key("user_id").eq(USER_ID),
        Limit=limit + 1,
        ScanIndexForward=False,
    )
    shown = [_shown(item) for item in found["Items"][:limit]]
    return jsonify(audio_files=shown, next_cursor=found.get("LastEvaluatedKey"))


@app.post("/api/audio-file")
def record() -> Any:
    new = request.get_json()
    user = users.get_item(Key={"user_id": USER_ID}, ConsistentRead=True)["Item"]
    named = recordings.query(
        IndexName="s3-key-index", KeyConditionExpression=Key("s3_key").eq(new["s3_key"]), Limit=10
    )
    if any(row["user_id"] != USER_ID for row in named["Items"]):
        return jsonify(error="taken"), 409
    moment = datetime.now(UTC)
    item = {
        "file_id": str(uuid.uuid4()),
        "user_id": USER_ID,
        "s3_key": new["s3_key"],
        "file_size": new["file_size"],
        "uploaded_at": Decimal(str(moment.timestamp())),
        "uploaded_at_iso": moment.isoformat(),
        "listed_at": Decimal(str(moment.timestamp())),
        "change_number": user["change_number"] + 1,
    }
    _write(user, item)
    return jsonify(audio_file=_shown(item)), 201


def _write(user: dict[str, Any], item: dict[str, Any]) -> None:
    number = item["change_number"]
    change = {"user_id": USER_ID, "number": number, "file_id": item["file_id"]}
    claim = {"claim": f"s3key#{item['s3_key']}", "user_id": USER_ID, "file_id": item["file_id"]}
    counted = {
        "TableName": "panzoto-users",
        "Key": {"user_id": USER_ID},
        "UpdateExpression": "SET change_number = :next ADD used_recordings :one, used_bytes :size",
        "ConditionExpression": "change_number = :last",
        "ExpressionAttributeValues": {
            ":next": number,
            ":last": user["change_number"],
            ":one": 1,
            ":size": item["file_size"],
        },
    }
    dynamodb.meta.client.transact_write_items(
        TransactItems=[
            {"Update": counted},
            {"Put": {"TableName": "panzoto-changes", "Item": change}},
            {"Put": _new("panzoto-claims", claim, "claim")},
            {"Put": _new("panzoto-audio-files", item, "file_id")},
        ]
    )


def _new(table: str, item: dict[str, Any], key: str) -> dict[str, Any]:
    return {"TableName": table, "Item": item, "ConditionExpression": f"attribute_not_exists({key})"}


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: item.get(name) for name in SHOWN}
    shown |= {name: int(item[name]) if name in item else None for name in NUMBERS}
    for name in MOMENTS:
        moment = item.get(name)
        shown[name] = None if moment is None else datetime.fromtimestamp(float(moment), UTC).isoformat()
    return shown

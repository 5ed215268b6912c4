"""What a request to AWS is about: its name, DynamoDB's tables and keys that it touches, S3's class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.units import Item

WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
# Writes whose units ministack computes; those of transactions it does not.
COMPUTED = (*WRITES, "BatchWriteItem")
# S3's classes of requests, as its price list has them; those that delete cost nothing.
PUTS, GETS, LISTS, DELETES = "PUT", "GET", "LIST", "DELETE"


def written(operation: str, request: Mapping[str, Any]) -> Iterator[tuple[str, Item, str]]:
    """Yield table and key of each item that a request writes or whose condition it checks, and how.

    The key of one that is put is the item itself.
    """
    if operation in WRITES:
        yield request["TableName"], request.get("Key") or request["Item"], WRITES[operation]
    elif operation == "TransactWriteItems":
        for entry in request["TransactItems"]:
            ((kind, what),) = entry.items()
            yield what["TableName"], what.get("Key") or what["Item"], kind
    elif operation == "BatchWriteItem":
        for table, entries in request["RequestItems"].items():
            for entry in entries:
                ((kind, what),) = entry.items()
                yield table, what.get("Key") or what["Item"], kind


def asked(operation: str, request: Mapping[str, Any]) -> Iterator[tuple[str, Item, bool]]:
    """Yield table and key of each item that a request reads, and whether strongly consistent."""
    if operation == "GetItem":
        yield request["TableName"], request["Key"], bool(request.get("ConsistentRead"))
    elif operation == "BatchGetItem":
        for table, wanted in request["RequestItems"].items():
            for key in wanted["Keys"]:
                yield table, key, bool(wanted.get("ConsistentRead"))
    elif operation == "TransactGetItems":
        for entry in request["TransactItems"]:
            yield entry["Get"]["TableName"], entry["Get"]["Key"], True


def queried(request: Mapping[str, Any]) -> str:
    """Return the partition key of a query: its condition's first value, as PynamoDB and boto3 write it."""
    condition = request["KeyConditionExpression"].replace("(", " ").replace(")", " ")
    placeholder = next(word for word in condition.split() if word.startswith(":"))
    return text(request["ExpressionAttributeValues"][placeholder])


def text(value: Mapping[str, Any]) -> str:
    """Return a key's value without its type."""
    return str(next(iter(value.values())))


def of_dynamodb(operation: str, request: Mapping[str, Any]) -> str:
    """Return the name of a request: its operation and its tables, with the index that it asks."""
    tables = {table for table, *_ in (*written(operation, request), *asked(operation, request))}
    if "TableName" in request:
        tables.add("/".join(name for name in (request["TableName"], request.get("IndexName")) if name))
    return " ".join(("dynamodb", operation, "+".join(sorted(tables)))).strip()


def of_others(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the name of a request to SQS, SES or S3; `target` is path and query, header names are small."""
    operation = headers.get("x-amz-target", "")
    if operation.startswith("AmazonSQS."):
        wanted = json.loads(body)
        queue = str(wanted.get("QueueUrl") or wanted.get("QueueName", "")).rpartition("/")[2]
        # Services that run side by side have queues of their own, by their ports.
        return f"sqs {operation.rpartition('.')[2]} {queue.lstrip('0123456789-')}"
    if "/ses/" in headers.get("authorization", ""):
        return "ses SendEmail"
    path, _, query = target.partition("?")
    return f"s3 {_kind(method, path, query)}"


def _kind(method: str, path: str, query: str) -> str:
    is_object = "/" in path.strip("/")
    if method == "DELETE" or (method == "POST" and query.startswith("delete")):
        return DELETES
    if method in ("GET", "HEAD"):
        return GETS if is_object and "uploadId" not in query else LISTS
    return PUTS

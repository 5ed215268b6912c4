"""With its shortcuts, moto answers what it answers without them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.support.aws import REGION, running_moto, start_moto

Answer = Any
# What differs from answer to answer, or is told by Flask alone, whom DynamoDB's answers pass by.
OF_ONE_ANSWER = {
    "RequestId",
    "date",
    "x-amzn-requestid",
    "x-amz-version-id",
    "x-amz-crc32",
    "content-length",
    "last-modified",
    "expires",
    "access-control-allow-origin",
    "UploadId",
    "ReceiptHandle",
    "TableId",
    "QueueUrl",
    "LatestStreamArn",
}
SETS = ("SS", "NS", "BS")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

ITEM: dict[str, Any] = {
    "words": {"S": "as it wäs"},
    "empty": {"S": ""},
    "number": {"N": "12.50"},
    "small": {"N": "0.00000001"},
    "whole": {"N": "-7"},
    "bytes": {"B": b"\x00\xff"},
    "truth": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["one", "two"]},
    "numbers": {"NS": ["1", "2.5"]},
    "many": {"BS": [b"\xfe", b"\xff"]},
    "list": {"L": [{"S": "first"}, {"M": {"deep": {"B": b"\x01"}}}, {"L": []}]},
    "mapped": {"M": {"list": {"L": [{"N": "1"}]}, "in": {"M": {"most": {"S": "here"}}}, "none": {"M": {}}}},
}
PROJECTIONS = [
    "words, #n, whole",
    "small",
    "#n",
    "mapped.#in.most, words",
    "#list[1]",
    "texts",
    "absent",
    "a, b",
    "1x",
]
CONDITIONS = [
    "attribute_exists(words)",
    "attribute_not_exists(absent) AND NOT #n < :one",
    "begins_with(#t, :as) OR (whole BETWEEN :one AND :two)",
    "whole IN (:one, :two)",
    "size(#t) > :one and contains(texts, :as)",
    "mapped.#in.most = :as",
    "attribute_type(#t, :as)",
    "#list[0] <> :as",
    "((words = :as))",
    "words = :missing",
    "#missing = :as",
    "name = :as",
    "words = = :as",
    "words",
]
UPDATES = [
    "SET whole = whole + :one, #n = #n - :two",
    "SET fresh = if_not_exists(fresh, :as), words = if_not_exists(#t, :as)",
    "SET #list = list_append(#list, :more)",
    "SET #list[1] = :as, mapped.#in.most = :one REMOVE nothing, #list[0]",
    "ADD texts :set, counted :one DELETE numbers :gone",
    "REMOVE truth, mapped.none",
    "SET words = :as, words = :one",
    "SET mapped.#in = :as, mapped.#in.most = :one",
    "SET words = :as SET whole = :one",
    "SET a = :as",
    "SET absent = elsewhere",
    "SET absent.deep = :as",
    "SET whole = words + :one",
    "SET indexed = :one",
    "SET name = :as",
    "SET words = :missing",
    "SET #missing = :as",
    "SET words",
    " ",
]
NAMES = {"#n": "number", "#t": "words", "#in": "in", "#list": "list"}
GIVEN: dict[str, Any] = {
    ":as": {"S": "as"},
    ":one": {"N": "1"},
    ":two": {"N": "2"},
    ":more": {"L": [{"S": "more"}]},
    ":set": {"SS": ["three"]},
    ":gone": {"NS": ["1", "2.5"]},
}


def client(service: str, url: str) -> Any:
    """Return a client that asks once, also when moto fails."""
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return boto3.client(service, endpoint_url=url, region_name=REGION, config=config, **keys)


def ask(call: Callable[..., Any], **words: Any) -> Answer:
    try:
        return call(**words)
    except ClientError as error:
        return error.response


def comparable(told: Any, name: str = "") -> Any:
    """Return an answer without what differs from answer to answer."""
    if isinstance(told, dict):
        return {key: comparable(value, key) for key, value in told.items() if key not in OF_ONE_ANSWER}
    if isinstance(told, list):
        return [comparable(value) for value in (sorted(told) if name in SETS else told)]
    if isinstance(told, str):
        return UUID.sub("a number", told)
    if hasattr(told, "read"):
        return told.read()
    return "then" if isinstance(told, datetime) else told


def used(expression: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return those of the placeholders that an expression uses."""
    return {name: value for name, value in given.items() if name in re.findall(r"[#:]\w+", expression)}


def worded(kind: str, expression: str) -> dict[str, Any]:
    named = {"ExpressionAttributeNames": used(expression, NAMES)}
    valued = {"ExpressionAttributeValues": used(expression, GIVEN)}
    words = {kind: expression, **named, **({} if kind == "ProjectionExpression" else valued)}
    return {name: value for name, value in words.items() if value != {}}


def create_table(dynamodb: Any) -> Answer:
    kinds = {"a": "S", "b": "N", "indexed": "S"}
    return ask(
        dynamodb.create_table,
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": kind} for n, kind in kinds.items()],
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "index",
                "KeySchema": [{"AttributeName": "indexed", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def expressions(dynamodb: Any) -> Iterator[Answer]:
    where = {"TableName": "table", "Key": {"a": {"S": "x"}, "b": {"N": "1"}}}
    item = where["Key"] | ITEM
    yield create_table(dynamodb)
    yield ask(dynamodb.put_item, TableName="table", Item=item)
    yield ask(dynamodb.get_item, **where)
    for expression in PROJECTIONS:
        yield ask(dynamodb.get_item, **where, **worded("ProjectionExpression", expression))
    for expression in CONDITIONS:
        words = worded("ConditionExpression", expression)
        yield ask(dynamodb.put_item, TableName="table", Item=item, ReturnValues="ALL_OLD", **words)
        check = {"ConditionCheck": {**where, **words, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}
        yield ask(dynamodb.transact_write_items, TransactItems=[check])
        yield ask(dynamodb.scan, TableName="table", **worded("FilterExpression", expression))
    for returned, expression in zip(
        ("ALL_NEW", "UPDATED_NEW", "ALL_OLD", "UPDATED_OLD") * 9, UPDATES, strict=False
    ):
        words = worded("UpdateExpression", expression)
        yield ask(dynamodb.update_item, **where, **words, ReturnValues=returned)
        yield ask(dynamodb.transact_write_items, TransactItems=[{"Update": {**where, **words}}])
        yield ask(dynamodb.get_item, **where)
    yield ask(dynamodb.put_item, TableName="table", Item=item | {"large": {"S": "ä" * 210_000}})
    yield ask(dynamodb.delete_item, **where, ReturnValues="ALL_OLD")


def tables(dynamodb: Any) -> Iterator[Answer]:
    yield create_table(dynamodb)
    for number in range(12):
        keys = {"a": {"S": "xyz"[number % 3]}, "b": {"N": str(number)}}
        more = {"indexed": {"S": "even" if number % 2 else "odd"}} if number % 5 else {}
        yield ask(dynamodb.put_item, TableName="table", Item=keys | more | {"n": {"N": str(number)}})
    first = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "y"}}}
    yield ask(dynamodb.query, TableName="table", **first)
    yield ask(dynamodb.query, TableName="table", **first, ScanIndexForward=False, Limit=2)
    page = ask(dynamodb.query, TableName="table", **first, Limit=2)
    yield page
    yield ask(dynamodb.query, TableName="table", **first, ExclusiveStartKey=page["LastEvaluatedKey"])
    yield ask(dynamodb.query, TableName="table", **first, Select="COUNT")
    ranged = {":a": {"S": "y"}, ":b": {"N": "4"}}
    given = {"ExpressionAttributeValues": ranged}
    yield ask(dynamodb.query, TableName="table", KeyConditionExpression="a = :a AND b > :b", **given)
    indexed = {"IndexName": "index", "KeyConditionExpression": "indexed = :i"}
    for words in ({}, {"FilterExpression": "n > :n"}):
        values = {":i": {"S": "even"}, **({":n": {"N": "4"}} if words else {})}
        given = {**indexed, **words, "ExpressionAttributeValues": values}
        yield ask(dynamodb.query, TableName="table", **given)
    for segment in range(3):
        yield ask(dynamodb.scan, TableName="table", Segment=segment, TotalSegments=3)
    page = ask(dynamodb.scan, TableName="table", Limit=5)
    yield page
    yield ask(dynamodb.scan, TableName="table", ExclusiveStartKey=page["LastEvaluatedKey"])
    yield ask(dynamodb.scan, TableName="table", IndexName="index")
    gone = {"a": {"S": "x"}, "b": {"N": "0"}}
    requested = {
        "table": [{"DeleteRequest": {"Key": gone}}, {"PutRequest": {"Item": gone | {"a": {"S": "n"}}}}]
    }
    yield ask(dynamodb.batch_write_item, RequestItems=requested)
    keys = [gone, gone | {"a": {"S": "n"}}]
    yield ask(dynamodb.batch_get_item, RequestItems={"table": {"Keys": keys}})
    yield ask(dynamodb.describe_table, TableName="table")
    yield ask(dynamodb.describe_table, TableName="none")
    yield ask(dynamodb.list_tables)


def objects(s3: Any) -> Iterator[Answer]:
    yield ask(s3.create_bucket, Bucket="bucket")
    yield ask(s3.put_bucket_versioning, Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for key in ("users/one", "users/ein ä+%", "users//two", "users/folder/"):
        where = {"Bucket": "bucket", "Key": key}
        yield ask(s3.put_object, **where, Body=b"what it holds", Metadata={"told": "by us"})
        yield ask(s3.get_object, **where)
        yield ask(s3.get_object, **where, Range="bytes=5-6")
        yield ask(s3.head_object, **where)
        yield ask(s3.head_object, **where, VersionId="none")
    yield ask(s3.get_object, Bucket="bucket", Key="none")
    yield ask(s3.head_object, Bucket="bucket", Key="none")
    yield ask(s3.get_object, Bucket="none", Key="none")
    where = {"Bucket": "bucket", "Key": "users/parts"}
    upload = {**where, "UploadId": ask(s3.create_multipart_upload, **where)["UploadId"]}
    part = ask(s3.upload_part, **upload, PartNumber=1, Body=b"a part")
    yield part
    yield ask(s3.list_parts, **upload)
    yield ask(s3.list_multipart_uploads, Bucket="bucket")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    yield ask(s3.complete_multipart_upload, **upload, MultipartUpload=parts)
    yield ask(s3.complete_multipart_upload, **upload, MultipartUpload=parts)
    yield ask(s3.list_objects_v2, Bucket="bucket", Prefix="users/")
    yield ask(s3.list_object_versions, Bucket="bucket", Prefix="users/", MaxKeys=2)
    yield ask(s3.delete_object, Bucket="bucket", Key="users/one")
    yield ask(s3.get_public_access_block, Bucket="bucket")
    yield ask(s3.head_bucket, Bucket="bucket")
    yield ask(s3.list_buckets)


def links(s3: Any) -> Iterator[Answer]:
    yield ask(s3.create_bucket, Bucket="linked")
    where = {"Bucket": "linked", "Key": "users/linked"}
    for method, call in (("PUT", "put_object"), ("GET", "get_object"), ("HEAD", "head_object")):
        url = s3.generate_presigned_url(call, Params=where)
        for headers in ({}, {"Origin": "https://example.com"}):
            answer = requests.request(method, url, data=b"sent", headers=headers, timeout=60)
            fields = {name.lower(): value for name, value in answer.headers.items()}
            yield [answer.status_code, fields, answer.text]
    yield requests.options(url, headers={"Origin": "https://example.com"}, timeout=60).status_code


def messages(sqs: Any) -> Iterator[Answer]:
    created = ask(sqs.create_queue, QueueName="queue", Attributes={"VisibilityTimeout": "60"})
    queue = {"QueueUrl": created["QueueUrl"]}
    yield created
    yield ask(sqs.get_queue_url, QueueName="queue")
    yield ask(sqs.get_queue_url, QueueName="none")
    told = {"kind": {"DataType": "String", "StringValue": "of ours"}}
    yield ask(sqs.send_message, **queue, MessageBody="a body = ä & more", MessageAttributes=told)
    yield ask(sqs.send_message_batch, **queue, Entries=[{"Id": "1", "MessageBody": "another"}])
    asked = {"MaxNumberOfMessages": 5, "MessageAttributeNames": ["All"]}
    received = ask(sqs.receive_message, **queue, **asked)
    yield received
    held = {"ReceiptHandle": received["Messages"][0]["ReceiptHandle"]}
    yield ask(sqs.change_message_visibility, **queue, **held, VisibilityTimeout=30)
    yield ask(sqs.delete_message, **queue, **held)
    yield ask(sqs.delete_message, **queue, ReceiptHandle="none")
    yield ask(sqs.receive_message, **queue)
    yield ask(sqs.get_queue_attributes, **queue, AttributeNames=["VisibilityTimeout", "QueueArn"])


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[str, str]]:
    """The addresses of moto as it is and of moto with its shortcuts."""
    with running_moto("tests.support.plain_moto") as plain, start_moto() as quick:
        yield plain, quick


@pytest.mark.parametrize(
    ("service", "asked"),
    [("dynamodb", expressions), ("dynamodb", tables), ("s3", objects), ("s3", links), ("sqs", messages)],
)
def test_answers_are_the_same(
    both: tuple[str, str], service: str, asked: Callable[[Any], Iterator[Answer]]
) -> None:
    plain, quick = ([comparable(answer) for answer in asked(client(service, url))] for url in both)
    assert quick == plain

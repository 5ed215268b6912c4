"""The tests' own stand-in: what it does otherwise than moto by itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.service import aws_client, empty_tables

Item = dict[str, dict[str, str]]


class Table:
    """A table with a hash key, and a range key if it is `deep`."""

    def __init__(self, dynamodb: Any, deep: bool) -> None:
        self._dynamodb = dynamodb
        self.name = f"table-{uuid.uuid4()}"
        self._names = ("a", "b") if deep else ("a",)
        dynamodb.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in self._names],
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}
                for name, kind in zip(self._names, ("HASH", "RANGE"), strict=False)
            ],
        )

    def key(self, value: str) -> Item:
        return {name: {"S": value} for name in self._names}

    def put(self, value: str, says: str) -> None:
        self._dynamodb.put_item(TableName=self.name, Item=self.key(value) | {"says": {"S": says}})

    def items(self) -> dict[str, Any]:
        return {
            item["a"]["S"]: item["says"]["S"] for item in self._dynamodb.scan(TableName=self.name)["Items"]
        }

    def delete(self) -> None:
        self._dynamodb.delete_table(TableName=self.name)


@pytest.fixture
def dynamodb(moto: str) -> Any:
    return aws_client("dynamodb", moto)


@pytest.fixture(params=[False, True], ids=["a hash key", "a range key"])
def table(dynamodb: Any, request: pytest.FixtureRequest) -> Iterator[Table]:
    made = Table(dynamodb, request.param)
    for value in ("changed", "deleted", "replaced", "left alone"):
        made.put(value, "as it was")
    yield made
    made.delete()


def all_changes(table: Table) -> list[dict[str, Any]]:
    update = {"UpdateExpression": "SET says = :new", "ExpressionAttributeValues": {":new": {"S": "anew"}}}
    new = {"says": {"S": "anew"}}
    return [
        {"Update": {"TableName": table.name, "Key": table.key("changed")} | update},
        {"Update": {"TableName": table.name, "Key": table.key("made by an update")} | update},
        {"Delete": {"TableName": table.name, "Key": table.key("deleted")}},
        {"Put": {"TableName": table.name, "Item": table.key("replaced") | new}},
        {"Put": {"TableName": table.name, "Item": table.key("made") | new}},
    ]


def test_a_transaction_does_all_of_it(dynamodb: Any, table: Table) -> None:
    dynamodb.transact_write_items(TransactItems=all_changes(table))
    assert table.items() == {
        "changed": "anew",
        "made by an update": "anew",
        "replaced": "anew",
        "made": "anew",
        "left alone": "as it was",
    }


def test_or_nothing(dynamodb: Any, table: Table) -> None:
    before = table.items()
    never = {
        "TableName": table.name,
        "Key": table.key("nobody"),
        "ConditionExpression": "attribute_exists(a)",
    }
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        dynamodb.transact_write_items(TransactItems=[*all_changes(table), {"ConditionCheck": never}])
    assert table.items() == before


def test_what_names_an_item_twice_is_refused_whole(dynamodb: Any, table: Table) -> None:
    before = table.items()
    changes = all_changes(table)
    with pytest.raises(ClientError, match="multiple operations on one item"):
        dynamodb.transact_write_items(TransactItems=[*changes, changes[0]])
    assert table.items() == before


def test_a_list_of_versions_leaves_what_they_hold(moto: str) -> None:
    s3 = aws_client("s3", moto)
    bucket = f"test-{uuid.uuid4()}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    parts = s3.create_multipart_upload(Bucket=bucket, Key="in parts")["UploadId"]
    sent = s3.upload_part(Bucket=bucket, Key="in parts", UploadId=parts, PartNumber=1, Body=b"all of it")
    for body in (b"the first", b"the second"):
        s3.put_object(Bucket=bucket, Key="at once", Body=body)
    uploaded = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="in parts", UploadId=parts, MultipartUpload=uploaded)
    for _ in range(2):
        listed = s3.list_object_versions(Bucket=bucket)["Versions"]
        told = {(one["Key"], one["IsLatest"], one["Size"]) for one in listed}
        assert told == {("at once", False, 9), ("at once", True, 10), ("in parts", True, 9)}
        held = {
            s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
            for one in listed
        }
        assert held == {b"the first", b"the second", b"all of it"}
        heads = [s3.head_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"]) for one in listed]
        assert [one["ETag"] for one in heads] == [one["ETag"] for one in listed]
    s3.delete_object(Bucket=bucket, Key="at once")
    empty_tables(moto)
    assert not {"Versions", "DeleteMarkers"} & s3.list_object_versions(Bucket=bucket).keys()
    s3.delete_bucket(Bucket=bucket)


def test_emptied_it_has_its_tables_without_items(moto: str, table: Table) -> None:
    empty_tables(moto)
    assert table.items() == {}
    table.put("another", "is kept")
    assert table.items() == {"another": "is kept"}


# Of every kind, and within each other.
VALUES: dict[str, Any] = {
    "text": {"S": "as it was"},
    "number": {"N": "12.5"},
    "bytes": {"B": b"\x00\xff"},
    "truth": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["one", "two"]},
    "numbers": {"NS": ["1", "2"]},
    "many bytes": {"BS": [b"\xfe", b"\xff"]},
    "list": {"L": [{"S": "first"}, {"M": {"deep": {"B": b"\x01"}}}, {"L": []}]},
    "map": {"M": {"list": {"L": [{"N": "1"}, {"BOOL": True}]}, "bytes": {"B": b"\x02"}, "empty": {"M": {}}}},
}


def test_values_of_every_kind_come_back_as_they_were(dynamodb: Any, table: Table) -> None:
    item = table.key("of every kind") | VALUES
    dynamodb.put_item(TableName=table.name, Item=item)
    where = {"TableName": table.name, "Key": table.key("of every kind")}
    assert dynamodb.get_item(**where)["Item"] == item
    asked = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": item["a"]}}
    assert dynamodb.query(TableName=table.name, **asked)["Items"] == [item]
    assert item in dynamodb.scan(TableName=table.name)["Items"]
    values = {"ExpressionAttributeValues": {":new": {"M": {"new": {"B": b"\x03"}}}}}
    update = {"UpdateExpression": "SET says = :new", **values, "ReturnValues": "ALL_NEW"}
    assert dynamodb.update_item(**where, **update)["Attributes"] == item | {
        "says": values["ExpressionAttributeValues"][":new"]
    }


def test_a_failed_transaction_leaves_what_is_in_lists_maps_and_sets(dynamodb: Any, table: Table) -> None:
    item = table.key("of every kind") | VALUES
    dynamodb.put_item(TableName=table.name, Item=item)
    update = {
        "TableName": table.name,
        "Key": table.key("of every kind"),
        "UpdateExpression": "SET #list[0] = :text, #map.#empty = :text, #number = #number + :one "
        "ADD #texts :set",
        "ExpressionAttributeNames": {
            f"#{name}": name for name in ("list", "map", "empty", "number", "texts")
        },
        "ExpressionAttributeValues": {":text": {"S": "new"}, ":one": {"N": "1"}, ":set": {"SS": ["three"]}},
    }
    never = {
        "TableName": table.name,
        "Key": table.key("nobody"),
        "ConditionExpression": "attribute_exists(a)",
    }
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        dynamodb.transact_write_items(TransactItems=[{"Update": update}, {"ConditionCheck": never}])
    where = {"TableName": table.name, "Key": update["Key"]}
    assert dynamodb.get_item(**where)["Item"] == item
    dynamodb.transact_write_items(TransactItems=[{"Update": update}])
    changed = dynamodb.get_item(**where)["Item"]
    assert changed["list"]["L"][0] == changed["map"]["M"]["empty"] == {"S": "new"}
    assert changed["number"] == {"N": "13.5"}
    assert set(changed["texts"]["SS"]) == {"one", "two", "three"}


def test_a_table_is_read_in_the_order_of_its_keys(dynamodb: Any) -> None:
    name = f"table-{uuid.uuid4()}"
    keys = [("a", "S", "HASH"), ("b", "N", "RANGE")]
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind, _ in keys],
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, _, role in keys],
    )
    for number in (10, 9, -1, 100):
        dynamodb.put_item(TableName=name, Item={"a": {"S": "x"}, "b": {"N": str(number)}})
    asked = {"KeyConditionExpression": "a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
    for items in (dynamodb.scan(TableName=name)["Items"], dynamodb.query(TableName=name, **asked)["Items"]):
        assert [item["b"]["N"] for item in items] == ["-1", "9", "10", "100"]
    dynamodb.delete_table(TableName=name)


def test_emptied_it_has_its_queues_without_messages(moto: str) -> None:
    sqs = aws_client("sqs", moto)
    url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4()}")["QueueUrl"]

    def waiting() -> str:
        counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return str(counted["Attributes"]["ApproximateNumberOfMessages"])

    for _ in range(2):
        for _ in range(3):
            sqs.send_message(QueueUrl=url, MessageBody="of one module")
        assert waiting() == "3"
        empty_tables(moto)
        assert waiting() == "0"
    sqs.send_message(QueueUrl=url, MessageBody="of the next")
    assert [one["Body"] for one in sqs.receive_message(QueueUrl=url)["Messages"]] == ["of the next"]
    sqs.delete_queue(QueueUrl=url)

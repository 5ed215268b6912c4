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

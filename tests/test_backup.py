"""`flask panzoto backup verify`: a good backup is told from one in which rows are missing or otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, Meanwhile, Request
from tests.support.rows import USERS_TABLE
from tests.support.service import PASSWORD, Service, run_service


@pytest.fixture(scope="module")
def house() -> Iterator[Service]:
    """A service with accounts, sessions and a recording in tables of its own."""
    with start_moto() as url, run_service(url) as service:
        for number in range(3):
            account = service.register(f"kept-{number}@example.com")
        service.call("POST", "/api/audio-file", account["token"], json={"s3_key": "users/kept/audio-1.3gp"})
        yield service


@pytest.fixture
def users(house: Service) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = house.dynamodb().scan(TableName=USERS_TABLE)["Items"]
    return sorted(items, key=lambda item: str(item["user_id"]["S"]))


def tables(service: Service) -> list[str]:
    names: list[str] = service.dynamodb().list_tables()["TableNames"]
    return names


def row_of(printed: str, table: str) -> list[str]:
    """Return the counts that were printed for `table`: same, changed, missing, different."""
    (line,) = [line for line in printed.splitlines() if line.startswith(table + " ")]
    return line.split()[-4:]


def test_every_table_comes_back(house: Service) -> None:
    before = tables(house)
    printed = done(house, "backup", "backup", "verify", "--settle", "0")
    for table in before:
        same, changed, missing, different = row_of(printed, table)
        count = house.dynamodb().scan(TableName=table, Select="COUNT")["Count"]
        assert (int(same), changed, missing, different) == (count, "0", "0", "0")
    assert row_of(printed, USERS_TABLE)[0] == "3"
    assert "came back as it was" in printed
    assert tables(house) == before


def test_what_is_missing_or_otherwise_is_found(house: Service, users: list[dict[str, Any]]) -> None:
    lost, altered, busy = (item["user_id"] for item in users)
    dynamodb = house.dynamodb()

    def damage(request: Request) -> None:
        """Damage the copy as a bad backup would be, and change a row of the table as its users do."""
        copy = request.json()["TargetTableName"]
        dynamodb.delete_item(TableName=copy, Key={"user_id": lost})
        for table, user_id in ((copy, altered), (USERS_TABLE, busy)):
            dynamodb.update_item(
                TableName=table,
                Key={"user_id": user_id},
                UpdateExpression="SET change_number = :n",
                ExpressionAttributeValues={":n": {"N": "77"}},
            )

    with FaultProxy(house.aws_url) as proxy:
        proxy.add(Fault(Meanwhile(damage), operation="RestoreTableToPointInTime"))
        verify = ("backup", "verify", "--settle", "0", "--table", USERS_TABLE)
        printed = done(house, "backup", *verify, at=proxy.url, status=1)
    assert row_of(printed, USERS_TABLE) == ["0", "1", "1", "1"]
    named = {line.rpartition(" ")[2] for line in printed.splitlines() if line.startswith("not as it was")}
    assert named == {lost["S"], altered["S"]}
    assert "@example.com" not in printed
    assert PASSWORD not in printed
    assert not [table for table in tables(house) if "restored" in table]


def test_wrong_usage_is_told(house: Service) -> None:
    printed = done(house, "backup", "backup", "verify", "--table", "panzoto-nothing", status=2)
    assert "There is no table panzoto-nothing" in printed
    assert USERS_TABLE in printed

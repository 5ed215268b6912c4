"""The tables: made, hardened, looked at and deleted. All derived from the models.

Every verb may be repeated and be used by several processes at once. What
DynamoDB raises leaves as it is; `resources` says what it means.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from panzoto.models.refusals import code_of
from panzoto.operations.resource_states import (
    CONFIG,
    Prepared,
    Report,
    ResourceError,
    State,
    noting_refusals,
)
from panzoto.operations.table_definitions import TableDefinition, all_definitions

POLL_SECONDS = 1.0
WAIT_SECONDS = 600


class Tables:
    """The tables of one region. `report` gets a line for each step."""

    def __init__(self, region: str, report: Report) -> None:
        self._dynamodb = boto3.client("dynamodb", region_name=region, config=CONFIG)
        self._report = report
        self.definitions = all_definitions()

    def create(self) -> None:
        """Make what is missing, wait until it is active, harden it."""
        for definition in self.definitions:
            self._create_table(definition)
        for definition in self.definitions:
            self._wait_until_active(definition.name)
            self.harden(definition)

    def optimize(self) -> None:
        """Add what existing tables lack; no data is touched."""
        for definition in self.definitions:
            self._add_missing_indexes(definition)
            self.harden(definition)

    def states(self) -> Iterator[State]:
        """Yield each table's state."""
        yield from map(self._state, self.definitions)

    def delete(self) -> None:
        """Delete every table."""
        for definition in self.definitions:
            self._delete_table(definition.name)

    def prepare(self, definition: TableDefinition, outcome: Prepared) -> None:
        """Make the table if it is not there, and note in `outcome` what the rights do not allow."""
        table = definition.name
        with noting_refusals(outcome.unseen, f"table {table}"):
            described = self._describe(table)
            if described is not None:
                there = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", [])}
                names = [index["IndexName"] for index in definition.indexes]
                outcome.without_index += [f"{table}: {name}" for name in names if name not in there]
                return
            with noting_refusals(outcome.refused, f"table {table}"):
                self._create_table(definition)
                outcome.made.append(f"table {table}")
                self._wait_until_active(table)
                self.harden(definition)

    def _create_table(self, definition: TableDefinition) -> None:
        if self._describe(definition.name) is not None:
            self._report(f"table {definition.name}: is there")
            return
        try:
            self._dynamodb.create_table(**definition.create_arguments())
        except ClientError as error:
            # Another process may be making it at this moment.
            if code_of(error) != "ResourceInUseException":
                raise
        self._report(f"table {definition.name}: created")

    def _describe(self, table: str) -> dict[str, Any] | None:
        try:
            described: dict[str, Any] = self._dynamodb.describe_table(TableName=table)["Table"]
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise
        return described

    def _wait_until_active(self, table: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            described = self._describe(table)
            indexes = (described or {}).get("GlobalSecondaryIndexes", [])
            states = [(described or {}).get("TableStatus"), *(index.get("IndexStatus") for index in indexes)]
            if all(state in ("ACTIVE", None) for state in states) and described is not None:
                return
            time.sleep(POLL_SECONDS)
        raise ResourceError(f"Table {table} did not become active within {WAIT_SECONDS} seconds")

    def harden(self, definition: TableDefinition) -> None:
        """Turn on what the table must have and lacks."""
        table = definition.name
        described = self._describe(table)
        if described is None:
            self._report(f"table {table}: missing; run `flask panzoto resources create`")
            return
        if described.get("SSEDescription", {}).get("Status") not in ("ENABLED", "ENABLING", "UPDATING"):
            self._dynamodb.update_table(TableName=table, SSESpecification={"Enabled": True})
            self._wait_until_active(table)
            self._report(f"table {table}: encryption turned on")
        if not self._recovery_on(table):
            self._turn_on_recovery(table)
        if definition.ttl_attribute and not self._ttl_on(table):
            self._dynamodb.update_time_to_live(
                TableName=table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": definition.ttl_attribute},
            )
            self._report(f"table {table}: TTL turned on")

    def _recovery_on(self, table: str) -> bool:
        backups = self._dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")

    def _turn_on_recovery(self, table: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._dynamodb.update_continuous_backups(
                    TableName=table,
                    PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
                )
                self._report(f"table {table}: point-in-time recovery turned on")
                return
            except ClientError as error:
                # A table is active a little before its backups can be turned on.
                if code_of(error) != "ContinuousBackupsUnavailableException" or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)

    def _ttl_on(self, table: str) -> bool:
        described = self._dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        return described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")

    def _add_missing_indexes(self, definition: TableDefinition) -> None:
        described = self._describe(definition.name)
        if described is None:
            return
        there = {index["IndexName"] for index in described.get("GlobalSecondaryIndexes", [])}
        for index in definition.indexes:
            if index["IndexName"] in there:
                continue
            # DynamoDB adds one index at a time.
            self._dynamodb.update_table(
                TableName=definition.name,
                AttributeDefinitions=definition.key_attributes(index),
                GlobalSecondaryIndexUpdates=[{"Create": index}],
            )
            self._wait_until_active(definition.name)
            self._report(f"table {definition.name}: index {index['IndexName']} added")

    def _state(self, definition: TableDefinition) -> State:
        described = self._describe(definition.name)
        if described is None:
            return State(definition.name, "table", "missing")
        billing = described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
        facts = {
            "items": str(described.get("ItemCount", 0)),
            "billing": "on demand" if billing == "PAY_PER_REQUEST" else "provisioned",
            "encryption": described.get("SSEDescription", {}).get("Status", "off").lower(),
            "recovery": "on" if self._recovery_on(definition.name) else "off",
        }
        if definition.ttl_attribute:
            facts["ttl"] = "on" if self._ttl_on(definition.name) else "off"
        there = {i["IndexName"]: i for i in described.get("GlobalSecondaryIndexes", [])}
        indexes = {
            index["IndexName"]: there.get(index["IndexName"], {"IndexStatus": "missing"})
            .get("IndexStatus", "ACTIVE")
            .lower()
            for index in definition.indexes
        }
        return State(definition.name, "table", described["TableStatus"].lower(), facts, indexes)

    def _delete_table(self, table: str) -> None:
        if self._describe(table) is None:
            self._report(f"table {table}: not there")
            return
        self._dynamodb.delete_table(TableName=table)
        deadline = time.monotonic() + WAIT_SECONDS
        while self._describe(table) is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._report(f"table {table}: deleted")

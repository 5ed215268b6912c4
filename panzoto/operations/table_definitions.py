"""The tables as their models say they must be: keys, indexes and what expires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynamodb.attributes import TTLAttribute

from panzoto.models import ALL_MODELS, StoredModel


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One table as its model says it must be."""

    name: str
    keys: list[dict[str, str]]
    attributes: list[dict[str, str]]
    indexes: list[dict[str, Any]]
    ttl_attribute: str | None

    @classmethod
    def of(cls, model: type[StoredModel]) -> TableDefinition:
        schema: Any = model._get_schema()  # noqa: SLF001 - PynamoDB has no public way to it
        ttl = [a.attr_name for a in model.get_attributes().values() if isinstance(a, TTLAttribute)]
        return cls(
            name=model.Meta.table_name,
            keys=_hash_first(schema["key_schema"]),
            attributes=schema["attribute_definitions"],
            indexes=[
                {
                    "IndexName": index["index_name"],
                    "KeySchema": _hash_first(index["key_schema"]),
                    "Projection": index["projection"],
                }
                for index in schema["global_secondary_indexes"]
            ],
            ttl_attribute=next(iter(ttl), None),
        )

    def create_arguments(self) -> dict[str, Any]:
        """Return what CreateTable takes: on-demand and encrypted from the start."""
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "KeySchema": self.keys,
            "AttributeDefinitions": self.attributes,
            "BillingMode": "PAY_PER_REQUEST",
            "SSESpecification": {"Enabled": True},
        }
        return arguments | ({"GlobalSecondaryIndexes": self.indexes} if self.indexes else {})

    def key_attributes(self, index: dict[str, Any]) -> list[dict[str, str]]:
        names = {key["AttributeName"] for key in (*index["KeySchema"], *self.keys)}
        return [attribute for attribute in self.attributes if attribute["AttributeName"] in names]


def _hash_first(keys: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return `keys` in the order in which DynamoDB insists to be told them; the models' is alphabetical."""
    return sorted(keys, key=lambda key: key["KeyType"])


def all_definitions() -> list[TableDefinition]:
    """Return every table's, by the names to which the models are bound."""
    return [TableDefinition.of(model) for model in ALL_MODELS]

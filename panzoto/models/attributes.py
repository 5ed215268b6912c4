"""Attribute types and the base model: how values lie in DynamoDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from pynamodb.attributes import Attribute
from pynamodb.constants import NUMBER
from pynamodb.models import Model

from panzoto.errors import DamagedRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PER_SECOND = 1_000_000


class EpochAttribute(Attribute[datetime]):
    """A moment as N, epoch seconds with up to six decimals; whole seconds of older rows read the same."""

    attr_type = NUMBER

    def serialize(self, value: datetime) -> str:
        microseconds = (value - EPOCH) // MICROSECOND
        return (
            str(Decimal(microseconds).scaleb(-6))
            if microseconds % PER_SECOND
            else str(microseconds // PER_SECOND)
        )

    def deserialize(self, value: str) -> datetime:
        whole, _, fraction = value.partition(".")
        if whole.isdigit() and (not fraction or fraction.isdigit()):
            return EPOCH + timedelta(seconds=int(whole), microseconds=int((fraction + "000000")[:6]))
        return EPOCH + timedelta(microseconds=int(Decimal(value) * PER_SECOND))


class StoredModel(Model):
    """Base of all models."""

    _by_stored_name: ClassVar[dict[str, tuple[str, Attribute[Any]]]]

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Any:
        """Build an instance from a stored item.

        PynamoDB's own way goes through every attribute of the class and looks
        for discriminators and defaults, which no model here has; without that
        a page of 50 items costs a third. Raises `DamagedRecord`.
        """
        instance = cls.__new__(cls)
        values: dict[str, Any] = {}
        known = cls._attributes_by_stored_name()
        try:
            for stored_name, stored in attribute_values.items():
                name, attribute = known.get(stored_name, (None, None))
                if attribute is not None and name is not None and "NULL" not in stored:
                    values[name] = attribute.deserialize(attribute.get_value(stored))
        except (TypeError, ValueError, ArithmeticError) as error:
            key = (
                attribute_values.get(cls._attributes[cls._hash_keyname].attr_name, {})
                if cls._hash_keyname
                else {}
            )
            # Behind its kind, a claim's key holds an address.
            raise DamagedRecord(str(key.get("S", "")).partition("#")[0]) from error
        instance.attribute_values = values
        return instance

    def value(self, name: str) -> Any:
        """Return an attribute that a row may lack, or None; PynamoDB's types do not know of None."""
        return self.attribute_values.get(name)

    @classmethod
    def _attributes_by_stored_name(cls) -> dict[str, tuple[str, Attribute[Any]]]:
        if "_by_stored_name" not in cls.__dict__:
            named = cls._attributes.items()
            cls._by_stored_name = {attribute.attr_name: (name, attribute) for name, attribute in named}
        return cls._by_stored_name


def now() -> datetime:
    """Return this moment, to the microsecond, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime | None) -> Any:
    """Return `moment` as RFC 3339 in UTC ending in Z, and None for a moment that a row lacks."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

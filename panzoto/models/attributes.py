"""Attribute types and the base model: how values lie in DynamoDB."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from pynamodb.attributes import Attribute
from pynamodb.constants import BINARY, NUMBER

from panzoto.models.wire import ReadPlainly

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


class BytesAttribute(Attribute[bytes]):
    """Bytes as B, in the base64 that stands on the wire: requests and answers are JSON, see `wire`."""

    attr_type = BINARY

    def serialize(self, value: bytes) -> str:
        return base64.b64encode(value).decode("ascii")

    def deserialize(self, value: str) -> bytes:
        return base64.b64decode(value, validate=True)


class StoredModel(ReadPlainly):
    """Base of all models."""

    # Which attributes a process reads of rows that it finds by their key; None for all of them.
    readable: ClassVar[list[str] | None] = None

    def value(self, name: str) -> Any:
        """Return an attribute that a row may lack, or None; PynamoDB's types do not know of None."""
        return self.attribute_values.get(name)


def now() -> datetime:
    """Return this moment, to the microsecond, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime | None) -> Any:
    """Return `moment` as RFC 3339 in UTC ending in Z, and None for a moment that a row lacks."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

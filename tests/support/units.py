"""What DynamoDB charges for a call, in units: from the items that it touches, as they lie in the tables.

Sources: Amazon DynamoDB Developer Guide, "DynamoDB read and write operations" (a read unit is 4 KB, half of
it when eventually consistent, a write unit 1 KB, both twice in a transaction), "Item sizes and formats", and
"Using Global Secondary Indexes" (what an index is charged for a write of its table). Items and values are in
DynamoDB's JSON, such as `{"user_id": {"S": "x"}}`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

Item = dict[str, dict[str, Any]]

WRITE_BYTES = 1024
READ_BYTES = 4096
# A list or a map has so much around it, and a byte for each of its members.
NESTED_BYTES = 3


def item_bytes(item: Item | None) -> int:
    """Return the size of an item: names and values, in UTF-8; 0 for none."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in (item or {}).items())


def value_bytes(value: dict[str, Any]) -> int:
    """Return the size of one value without its name."""
    ((kind, content),) = value.items()
    if kind == "L":
        return NESTED_BYTES + sum(1 + value_bytes(one) for one in content)
    if kind == "M":
        return NESTED_BYTES + sum(1 + len(name.encode()) + value_bytes(one) for name, one in content.items())
    if kind in ("SS", "NS", "BS"):
        return sum(_scalar_bytes(kind[0], one) for one in content)
    return _scalar_bytes(kind, content)


def _scalar_bytes(kind: str, content: Any) -> int:
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return _number_bytes(content)
    if kind == "B":
        return len(content if isinstance(content, bytes) else base64.b64decode(content))
    # A truth value, or null.
    return 1


def _number_bytes(text: str) -> int:
    """A byte for two significant digits, one more, and one for a sign."""
    number = Decimal(text)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    return (len(digits) + 1) // 2 + 1 + (number < 0)


def written_units(old: Item | None, new: Item | None, *, transactional: bool = False) -> int:
    """Return the write units of a table for one write: the larger of what was and what is counts."""
    size = max(item_bytes(old), item_bytes(new))
    return max(1, -(-size // WRITE_BYTES)) * (2 if transactional else 1)


def read_units(
    sizes: Iterable[int], *, consistent: bool = False, transactional: bool = False, together: bool = False
) -> float:
    """Return the read units of items of these sizes.

    Those of a Query or a Scan are summed up first (`together`); what is not there costs as much as 4 KB.
    """
    counted = [sum(sizes)] if together else list(sizes)
    whole = sum(max(1, -(-size // READ_BYTES)) for size in counted)
    return whole * (2.0 if transactional else 1.0 if consistent else 0.5)


def view(item: Item | None, keys: Iterable[str], projection: dict[str, Any]) -> Item | None:
    """Return what an index holds of an item; None when it lacks one of the index's keys.

    `keys` are the index's own keys and the table's.
    """
    if item is None or any(name not in item for name in keys):
        return None
    if projection["ProjectionType"] == "ALL":
        return item
    kept = {*keys, *projection.get("NonKeyAttributes", ())}
    return {name: value for name, value in item.items() if name in kept}


def index_units(old: Item | None, new: Item | None, keys: Iterable[str]) -> int:
    """Return the write units of an index whose view of an item goes from `old` to `new`; `keys` are its own.

    An entry that moves to another key is deleted and written anew; one that stays as it is costs nothing.
    """
    if old == new:
        return 0
    if old is not None and new is not None and any(old[key] != new[key] for key in keys):
        return written_units(old, None) + written_units(None, new)
    return written_units(old, new)

"""Shortcuts for moto's items and tables of DynamoDB, in requests, where they lie, and in answers.

See `moto_shortcuts`.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.core.model import MapShape, StructureShape
from moto.core.parse import JSONParser
from moto.core.serialize import JSONSerializer
from moto.dynamodb import responses
from moto.dynamodb.models import utilities
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.utilities.utils import md5_hash

# The kinds of attribute values that are written just as moto keeps them.
WRITTEN_AS_KEPT = ("S", "N", "BOOL", "NULL", "SS", "NS")
# Those that are replaced as a whole.
NEVER_CHANGED = ("S", "N", "B", "BOOL", "NULL")
# Numbers that stay as they are written when moto computes with them and writes them anew.
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,37})")
# moto's own limit, between the one that DynamoDB tells and the one that it has.
LARGEST_ITEM_BYTES = 405_000


def take_all() -> None:
    """Let moto take each of them from now on."""
    write_values_as_kept()
    read_values_as_sent()
    expand_items_by_their_kinds()
    share_what_never_changes()
    weigh_items_once()
    project_without_translation()
    cast_texts_at_once()
    sort_by_plain_values()
    find_segments_once()


def write_values_as_kept() -> None:
    """Let attribute values of DynamoDB into answers as they are.

    moto looks for each of the ten members that a value might have, under several spellings, to write the one
    that it has: a millisecond for an item.
    """
    write, write_map = JSONSerializer._serialize_type_structure, JSONSerializer._serialize_type_map

    def written(
        serializer: JSONSerializer, serialized: dict[str, Any], value: Any, shape: StructureShape, key: str
    ) -> None:
        if shape.name == "AttributeValue" and key and is_written_as_kept(value):
            serialized[serializer.get_serialized_name(shape, key)] = value
        else:
            write(serializer, serialized, value, shape, key)

    def written_map(
        serializer: JSONSerializer, serialized: dict[str, Any], value: Any, shape: MapShape, key: str
    ) -> None:
        if shape.value.name == "AttributeValue" and all(map(is_written_as_kept, value.values())):
            serializer._default_serialize(serialized, value, shape, key)
        else:
            write_map(serializer, serialized, value, shape, key)

    JSONSerializer._serialize_type_structure = written
    JSONSerializer._serialize_type_map = written_map


def read_values_as_sent() -> None:
    """Let attribute values out of requests as they are; moto looks there for ten members of each as well."""
    read = JSONParser._parse_structure

    def parsed(parser: JSONParser, shape: StructureShape, value: Any) -> Any:
        if shape.name == "AttributeValue" and is_written_as_kept(value):
            return value
        return read(parser, shape, value)

    JSONParser._parse_structure = parsed


def is_written_as_kept(value: Any) -> bool:
    """Whether nothing in an attribute value needs to be translated, as bytes do."""
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, held),) = value.items()
    if kind in WRITTEN_AS_KEPT:
        return held is not None
    if kind == "M":
        return all(map(is_written_as_kept, held.values()))
    return kind == "L" and all(map(is_written_as_kept, held))


def expand_items_by_their_kinds() -> None:
    """Let items be made ready for an answer by what each part of them is.

    moto asks of every string in an item whether it is a date, an attribute, or something that tells itself as
    JSON, and imports a module to do so.
    """
    expand = utilities.dynamo_to_dict

    def expanded(told: Any) -> Any:
        kind = type(told)
        if kind is DynamoType and told.type in WRITTEN_AS_KEPT:
            held = told.value
            return {told.type: held[:] if type(held) is list else held}
        if kind is str:
            return told
        if kind is dict or kind is LimitedSizeDict:
            return {name: expanded(value) for name, value in told.items()}
        return expand(told)

    utilities.dynamo_to_dict = responses.dynamo_to_dict = expanded


def share_what_never_changes() -> None:
    """Let copies of an item have its strings, numbers and the like in common.

    moto copies whatever it reads, and changes nothing but lists, maps and sets where they are.
    """
    copied = DynamoType.__deepcopy__

    def shared(value: DynamoType, memo: dict[int, Any]) -> DynamoType:
        return value if value.type in NEVER_CHANGED else copied(value, memo)

    def shared_item(item: Item, memo: dict[int, Any]) -> Item:
        made: Item = object.__new__(Item)
        made.hash_key, made.range_key = item.hash_key, item.range_key
        made.attrs = _limited({name: shared(value, memo) for name, value in item.attrs.items()})
        return made

    DynamoType.__deepcopy__, Item.__deepcopy__ = shared, shared_item


def _limited(attributes: dict[str, DynamoType]) -> LimitedSizeDict:
    """Return attributes whose size is known to be allowed as moto keeps them."""
    made: LimitedSizeDict = LimitedSizeDict.__new__(LimitedSizeDict)
    dict.update(made, attributes)
    return made


def weigh_items_once() -> None:
    """Let an item be weighed when all of it is there, and maps without copies of what they hold.

    moto weighs what it has so far anew for each attribute that comes to it.
    """
    make, weigh = Item.__init__, DynamoType.size

    def made(item: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
        item.hash_key, item.range_key = hash_key, range_key
        item.attrs = _limited({name: DynamoType(value) for name, value in attrs.items()})
        if item.size() > LARGEST_ITEM_BYTES:
            make(item, hash_key, range_key, attrs)

    def size(value: DynamoType) -> int:
        held = value.value
        if type(held) is str and held.isascii():
            return len(held)
        if type(held) is dict:
            return sum(utilities.bytesize(name) + part.size() for name, part in held.items())
        weight: int = weigh(value)
        return weight

    Item.__init__, DynamoType.size = made, size


def project_without_translation() -> None:
    """Let an answer have the attributes that were asked for as they are.

    For each of them, moto translates the whole item into Python's own values first, and back afterwards.
    """
    project = Item.project

    def projected(item: Item, paths: list[list[str]]) -> Item:
        plain = all(len(path) == 1 and "[" not in path[0] for path in paths)
        wanted = {path[0]: item.attrs[path[0]] for path in paths if path[0] in item.attrs} if plain else {}
        if not plain or not all(map(_stays_as_it_is, wanted.values())):
            return project(item, paths)
        return Item(item.hash_key, item.range_key, wanted)

    Item.project = projected


def _stays_as_it_is(value: DynamoType) -> bool:
    """Whether moto's translation there and back leaves a value as it is; the order in a set is any."""
    kind, held = value.type, value.value
    if kind == "M":
        return all(map(_stays_as_it_is, held.values()))
    if kind == "L":
        return all(map(_stays_as_it_is, held))
    return kind in ("S", "BOOL", "NULL") or (kind == "N" and bool(PLAIN_NUMBER.fullmatch(held)))


def cast_texts_at_once() -> None:
    """Let a text be its own value; moto asks first whether it is of five other kinds."""
    cast = DynamoType.cast_value

    def cast_value(value: DynamoType) -> Any:
        return value.value if value.type == "S" else cast.fget(value)

    DynamoType.cast_value = property(cast_value)


def sort_by_plain_values() -> None:
    """Let a table be sorted by what its keys hold, taken out of each once; and only what is asked for.

    moto sorts the whole table for each query, and for each segment of a scan, to leave out most of it then.
    """
    query, scan = Table.query, Table.scan

    @functools.wraps(query)
    def query_under_key(table: Table, hash_key: DynamoType | None, *given: Any, **named: Any) -> Any:
        conditions = named.get("hash_key_conditions") or ()
        texts = {name: value for name, value in conditions if value.type == "S"}
        with _asked(table, lambda: _with_texts(table, texts)):
            return query(table, hash_key, *given, **named)

    @functools.wraps(scan)
    def scan_segment(table: Table, *given: Any, **named: Any) -> Any:
        segments = named.get("segments", (None, None))
        with _asked(table, lambda: (item for item in _items(table) if item.is_within_segment(segments))):
            return scan(table, *given, **named)

    def all_items(table: Table) -> list[Item]:
        return sorted(vars(table).get("asked", lambda: _items(table))(), key=_plain_key)

    Table.query, Table.scan, Table.all_items = query_under_key, scan_segment, all_items


@contextmanager
def _asked(table: Table, items: Callable[[], Iterable[Item]]) -> Iterator[None]:
    """Let a table have but these items; only one request is here at a time."""
    table.asked = items
    try:
        yield
    finally:
        del table.asked


def _items(table: Table) -> Iterable[Item]:
    kept: dict[DynamoType, Any] = table.items
    return (
        itertools.chain.from_iterable(map(dict.values, kept.values()))
        if table.range_key_attr
        else kept.values()
    )


def _with_texts(table: Table, texts: dict[str, DynamoType]) -> Iterable[Item]:
    """Return the items of a table that have these texts."""
    items = _items(table)
    if key := texts.get(table.hash_key_attr):
        found = table.items.get(key, {})
        items = found.values() if table.range_key_attr else [found] if found else []
    wanted = [(name, value.value) for name, value in texts.items() if name != table.hash_key_attr]
    return [item for item in items if all(_is_text(item.attrs.get(name), text) for name, text in wanted)]


def _is_text(value: DynamoType | None, text: str) -> bool:
    return value is not None and value.type == "S" and value.value == text


def _plain_key(item: Item) -> tuple[Any, ...]:
    return tuple(key.cast_value for key in (item.hash_key, item.range_key) if key)


def find_segments_once() -> None:
    """Let the segment of a key be computed once; moto does so for each item and each segment of each scan."""

    @functools.lru_cache(65_536)
    def place(text: str) -> int:
        return md5_hash(text.encode()).digest()[0]

    def is_within(item: Item, segments: tuple[None, None] | tuple[int, int]) -> bool:
        segment, number = segments
        return number is None or place(item.hash_key.value) % number == segment

    Item.is_within_segment = is_within

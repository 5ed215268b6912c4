"""Ways that moto goes again and again, cut short for this process: the answers stay the same.

Of what the suite asks of its stand-in, most of the work was in these; and for a page of a megabyte moto took
longer than the service waits for DynamoDB.
"""

from __future__ import annotations

import copy
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.model import StructureShape
from moto.core.serialize import JSONSerializer
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.responses import DynamoHandler
from moto.moto_server.werkzeug_app import BackendRequest
from moto.s3.models import S3Backend
from moto.s3.utils import _VersionedKeyStore
from moto.sqs import models as sqs

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# The kinds of attribute values that are written just as moto keeps them.
WRITTEN_AS_KEPT = ("S", "N", "BOOL", "NULL", "SS", "NS")
# Those that are replaced as a whole.
NEVER_CHANGED = ("S", "N", "B", "BOOL", "NULL")


def take_all() -> None:
    """Let moto take each of them from now on."""
    look_up_once()
    write_values_as_kept()
    read_updates_once()
    share_what_never_changes()
    sort_by_plain_values()
    look_at_a_cheaper_clock()
    copy_only_versions_that_are_listed()


def look_up_once() -> None:
    """Let moto look into itself once, and not again for each request."""
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules


def write_values_as_kept() -> None:
    """Let attribute values of DynamoDB into answers as they are.

    moto looks for each of the ten members that a value might have, under several spellings, to write the one
    that it has: a millisecond for an item.
    """
    write = JSONSerializer._serialize_type_structure

    def written(
        serializer: JSONSerializer, serialized: dict[str, Any], value: Any, shape: StructureShape, key: str
    ) -> None:
        if shape.name == "AttributeValue" and key and is_written_as_kept(value):
            serialized[serializer.get_serialized_name(shape, key)] = value
        else:
            write(serializer, serialized, value, shape, key)

    JSONSerializer._serialize_type_structure = written


def is_written_as_kept(value: Any) -> bool:
    """Whether nothing in an attribute value needs to be translated, as bytes do."""
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, held),) = value.items()
    if kind == "M":
        return all(map(is_written_as_kept, held.values()))
    return all(map(is_written_as_kept, held)) if kind == "L" else kind in WRITTEN_AS_KEPT


def read_updates_once() -> None:
    """Let an update's expression be taken apart once.

    moto does so twice for each update, and works on copies of what it has found; ten times it walks through
    one, and at each of its nodes tells anew which kinds of nodes it is looking for.
    """
    UpdateExpressionParser.make = functools.lru_cache(1024)(UpdateExpressionParser.make)
    Node.__deepcopy__ = _copy_of_node
    wanted = DepthFirstTraverser.nodes_to_be_processed

    def once(traverser: DepthFirstTraverser) -> tuple[type[Node], ...]:
        kept: dict[str, Any] = vars(traverser)
        if "_wanted" not in kept:
            kept["_wanted"] = wanted(traverser)
        return kept["_wanted"]

    DepthFirstTraverser.nodes_to_be_processed = once


def _copy_of_node(node: Node, memo: dict[int, Any]) -> Node:
    """Return a copy of a node and of those below it, which know their parents; above it there is nobody."""
    made: Node = object.__new__(type(node))
    children = node.children and [copy.deepcopy(child, memo) for child in node.children]
    vars(made).update(vars(node), children=children, parent=None)
    for child in children or ():
        if isinstance(child, Node):
            child.parent = made
    return made


def share_what_never_changes() -> None:
    """Let copies of an item have its strings, numbers and the like in common.

    moto copies whatever it reads, and changes nothing but lists, maps and sets where they are.
    """
    copied = DynamoType.__deepcopy__

    def shared(value: DynamoType, memo: dict[int, Any]) -> DynamoType:
        return value if value.type in NEVER_CHANGED else copied(value, memo)

    DynamoType.__deepcopy__ = shared


def sort_by_plain_values() -> None:
    """Let a table be sorted by what its keys hold, taken out of each once; a query sorts the whole table."""

    def all_items(table: Table) -> list[Item]:
        items = table.items.values()
        if table.range_key_attr:
            items = itertools.chain.from_iterable(parts.values() for parts in items)
        return sorted(items, key=_plain_key)

    Table.all_items = all_items


def _plain_key(item: Item) -> tuple[Any, ...]:
    return tuple(key.cast_value for key in (item.hash_key, item.range_key) if key)


def look_at_a_cheaper_clock() -> None:
    """Let queues take the time from the system at once, without a calendar.

    For each message that is sent, moto asks four times of each that is there whether it can be seen by now.
    """
    sqs.unix_time_millis = lambda: time.time() * 1000


def copy_only_versions_that_are_listed() -> None:
    """Let a list of versions begin with those under its prefix; moto copies all that a bucket holds first."""
    all_lists, list_versions = _VersionedKeyStore.iterlists, S3Backend.list_object_versions
    # Of the list that this thread is just making.
    listing = threading.local()

    def lists(keys: _VersionedKeyStore) -> Iterator[tuple[str, list[Any]]]:
        prefix = getattr(listing, "prefix", "")
        return ((key, versions) for key, versions in all_lists(keys) if key.startswith(prefix))

    @functools.wraps(list_versions)
    def list_under_prefix(self: S3Backend, bucket_name: str, *given: Any, **named: Any) -> Any:
        listing.prefix = named.get("prefix") or ""
        try:
            return list_versions(self, bucket_name, *given, **named)
        finally:
            listing.prefix = ""

    _VersionedKeyStore.iterlists = lists
    S3Backend.list_object_versions = list_under_prefix


class StraightToDynamoDB:
    """A WSGI application that hands DynamoDB's calls to what answers them, and all others to `application`.

    moto finds out for each whose it is, and answers in a Flask application of that service's own, which is as
    much work as most of the answers.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_20120810."):
            return self._application(environ, start_response)
        status, headers, body = DynamoHandler.dispatch(BackendRequest(environ))
        fields = [(name, str(value)) for name, value in headers.items()]
        start_response(f"{status} {HTTPStatus(int(status)).phrase}", fields)
        return [body if isinstance(body, bytes) else body.encode()]

"""moto's server that counts what it is asked: `python -m tests.support.metered_moto PORT`.

Every request is one line of what `Meter` keeps: which service and operation, and for DynamoDB which table and
index, under which partition key, at how many units by `units`, computed from the items as they lie in moto's
own tables before and after.  At `METER`, GET gives all of them as JSON and forgets them.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from inspect import BoundArguments, signature
from typing import Any

import requests
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.support import moto_shortcuts, units
from tests.support.aws import REGION, running_moto
from tests.support.aws_calls import role_of
from tests.support.aws_requests import asked, of_dynamodb, of_others, queried, text, written
from tests.support.serial_moto import (
    OneAtATime,
    list_without_contents,
    undo_item_by_item,
)
from tests.support.units import Item
from tests.support.wsgi_server import listen, serve

METER = "/tests/meter"
# What an index held of an item, and what it holds.
Change = tuple[Item | None, Item | None]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Meter:
    """A WSGI application in front of moto that keeps what each request costs."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._calls: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._tables = Tables()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == METER:
            with self._lock:
                calls, self._calls = self._calls, []
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(calls).encode()]
        told: list[int] = []

        def started(line: str, *more: Any) -> Any:
            told.append(int(line[:3]))
            return start_response(line, *more)

        operation = environ.get("HTTP_X_AMZ_TARGET", "")
        if operation.startswith("DynamoDB_"):
            body = environ["wsgi.input"].getvalue()
            call = self._tables.metered(
                operation.rpartition(".")[2],
                json.loads(body),
                lambda: self._application(environ, started),
                told,
            )
        else:
            answer = self._application(environ, started)
            call = answer, {"name": _other(environ), "status": told[-1]}
        # What a test itself asks is signed by another key than that of a role, and is not counted.
        if role_of(environ) is not None:
            with self._lock:
                self._calls.append(call[1])
        return call[0]


class Tables:
    """moto's tables, seen before and after each request."""

    def __init__(self) -> None:
        # Where the items of an index lie: table, index, key, and then the key in the table.
        self._indexed: dict[tuple[str, str], dict[str, dict[str, MotoItem]]] = {}
        self._sizes: list[int] = []
        self._look_closely()

    def metered(
        self, operation: str, request: dict[str, Any], answer: Callable[[], Iterable[bytes]], told: list[int]
    ) -> tuple[Iterable[bytes], dict[str, Any]]:
        """Return the answer, and the call with what it touched."""
        targets = list(written(operation, request))
        before = [self._item(table, key) for table, key, _ in targets]
        self._sizes = []
        body = answer()
        touched: list[dict[str, Any]] = []
        transactional = operation.startswith("Transact")
        for (table, key, kind), old in zip(targets, before, strict=True):
            new = self._item(table, key) if told[-1] < 300 and kind != "ConditionCheck" else old
            touched += self._write(table, key, old, new, transactional=transactional)
        touched += self._read(operation, request)
        return body, {
            "name": of_dynamodb(operation, request),
            "status": told[-1],
            "touched": touched,
        }

    def _table(self, name: str) -> Table | None:
        return next(iter(dynamodb_backends.values()))[REGION].tables.get(name)

    def _item(self, name: str, key: Item) -> Item | None:
        found = self._found(name, key)
        return None if found is None else _json(found)

    def _found(self, name: str, key: Item) -> MotoItem | None:
        table = self._table(name)
        if table is None:
            return None
        ends = [table.hash_key_attr, table.range_key_attr]
        first, second = (DynamoType(key[end]) if end else None for end in ends)
        under = table.items.get(first)
        return under if second is None or under is None else under.get(second)

    def _write(
        self, name: str, key: Item, old: Item | None, new: Item | None, *, transactional: bool
    ) -> Iterator[dict[str, Any]]:
        table = self._table(name)
        if table is None:
            return
        key = {one: key[one] for one in table.table_key_attrs}
        grown = units.item_bytes(new) - units.item_bytes(old)
        yield {
            "table": name,
            "index": "",
            "key": text(key[table.hash_key_attr]),
            "writes": units.written_units(old, new, transactional=transactional),
            "items": (new is not None) - (old is not None),
            "bytes": grown,
            "largest": units.item_bytes(new),
        }
        for index in table.global_indexes:
            own = [one["AttributeName"] for one in index.schema]
            keys = [*own, *table.table_key_attrs]
            was, now = (units.view(item, keys, index.projection) for item in (old, new))
            self._note(table, (index.name, own[0]), key, (was, now))
            if cost := units.index_units(was, now, own):
                holder = now or was
                assert holder is not None
                yield {
                    "table": name,
                    "index": index.name,
                    "key": text(holder[own[0]]),
                    "writes": cost,
                    "items": (now is not None) - (was is not None),
                    "bytes": units.item_bytes(now) - units.item_bytes(was),
                }

    def _note(self, table: Table, index: tuple[str, str], key: Item, change: Change) -> None:
        """Remember what lies where in an index; `index` is its name and its partition key's."""
        (name, own), (was, now) = index, change
        held = self._indexed.setdefault((table.name, name), {})
        place = json.dumps(key, sort_keys=True)
        if was is not None:
            held.get(text(was[own]), {}).pop(place, None)
        if now is not None and (found := self._found(table.name, key)) is not None:
            held.setdefault(text(now[own]), {})[place] = found

    def _read(self, operation: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        consistent = bool(request.get("ConsistentRead"))
        if operation in ("Query", "Scan"):
            table, index = self._table(request["TableName"]), request.get("IndexName", "")
            if table is not None:
                key = queried(request) if operation == "Query" else "*"
                cost = units.read_units(self._sizes, consistent=consistent, together=True)
                yield {"table": table.name, "index": index, "key": key, "reads": cost}
            return
        for name, key, strongly in asked(operation, request):
            table = self._table(name)
            if table is not None:
                size = units.item_bytes(self._item(name, key))
                cost = units.read_units(
                    [size], consistent=strongly, transactional=operation.startswith("Transact")
                )
                yield {"table": name, "index": "", "key": text(key[table.hash_key_attr]), "reads": cost}

    def _look_closely(self) -> None:
        """Let moto look at the items under one key alone, and tell the sizes of those that it looked at.

        By itself it goes through the whole table for each query.
        """
        query, scan, all_items = Table.query, Table.scan, Table.all_items
        meter = self

        def narrow_query(table: Table, *words: Any, **more: Any) -> Any:
            asked = signature(query).bind(table, *words, **more)
            table.narrowed = meter._under(table, asked.arguments)
            try:
                return meter._sized(asked, query)
            finally:
                del table.narrowed

        def sized_scan(table: Table, *words: Any, **more: Any) -> Any:
            return meter._sized(signature(scan).bind(table, *words, **more), scan)

        def narrow_items(table: Table) -> Any:
            return table.narrowed if hasattr(table, "narrowed") else all_items(table)

        Table.query, Table.scan, Table.all_items = narrow_query, sized_scan, narrow_items

    def _under(self, table: Table, asked: dict[str, Any]) -> list[MotoItem]:
        """Return the items under the key that a query names."""
        if index := asked.get("index_name"):
            conditions = asked.get("hash_key_conditions")
            value = conditions[0][1] if conditions else asked["hash_key"]
            return list(self._indexed.get((table.name, index), {}).get(text(value.to_json()), {}).values())
        under = table.items.get(asked["hash_key"], {})
        return list(under.values()) if table.range_key_attr else [under] if under else []

    def _sized(self, asked: BoundArguments, ask: Callable[..., Any]) -> Any:
        """Ask without filter and projection, which spare no units, and apply them behind."""
        words = asked.arguments
        (named,) = [name for name in asked.signature.parameters if name.startswith("projection_expression")]
        filtered, projected = words.pop("filter_expression", None), words.get(named)
        words[named] = None
        results, scanned, last = ask(*asked.args, **asked.kwargs)
        self._sizes += [units.item_bytes(_json(item)) for item in results]
        if filtered is not None:
            results = [item for item in results if filtered.expr(item)]
        if projected:
            results = [item.project(projected) for item in results]
        return results, scanned, last


def _json(item: MotoItem) -> Item:
    told: Item = item.to_json()["Attributes"]
    return told


def _other(environ: dict[str, Any]) -> str:
    names = ("AUTHORIZATION", "X_AMZ_TARGET")
    headers = {name.lower().replace("_", "-"): environ.get(f"HTTP_{name}", "") for name in names}
    target = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
    return of_others(environ["REQUEST_METHOD"], target, headers, environ["wsgi.input"].getvalue())


@contextmanager
def metered_moto() -> Iterator[str]:
    """Run a metered stand-in while the block runs; gives its URL."""
    with running_moto("tests.support.metered_moto") as url:
        yield url


def take(url: str) -> list[dict[str, Any]]:
    """Return what a metered stand-in was asked since it was last looked at, in the order of the answers."""
    answer = requests.get(url + METER, timeout=60)
    answer.raise_for_status()
    calls: list[dict[str, Any]] = answer.json()
    return calls


if __name__ == "__main__":
    undo_item_by_item()
    moto_shortcuts.take_all()
    list_without_contents()
    # Going through all that it holds would keep a caller waiting for so long that it asks anew.
    gc.disable()
    with listen(int(sys.argv[1])) as listener:
        serve(listener, OneAtATime(Meter(DomainDispatcherApplication(create_backend_app))))

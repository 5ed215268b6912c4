"""A small DynamoDB that keeps what it is given and is fast: the operations of a migration and no others.

Transactions are serial and all or nothing, conditions are evaluated, request
tokens are honoured, and what DynamoDB would refuse is refused.  It can
throttle a share of all writes, by request or by item as DynamoDB does, leave
keys of a BatchGetItem unprocessed, and lose replies after the write happened.
It runs in a process of its own: `with running_fake() as fake: fake.reset(throttled=0.5); ... fake.url`.
"""

from __future__ import annotations

import json
import random
import re
import urllib.request
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.dynamodb_http import Reply, rendered, serve
from tests.support.server_process import serving

Item = dict[str, dict[str, Any]]

TABLES = {"panzoto-users": "user_id", "panzoto-audio-files": "file_id", "panzoto-claims": "claim"}
CHANGES = "panzoto-changes"
INDEXES = {"email-index": ("email",), "user-files-index": ("user_id", "uploaded_at")}
KEY_TYPES = {
    "email": "S",
    "user_id": "S",
    "uploaded_at": "N",
    "listed_at": "N",
    "number": "N",
    "file_id": "S",
    "claim": "S",
}
ITEMS_PER_PAGE = 1000
MOST_ACTIONS = 100
MOST_KEYS = 100
MOST_REMEMBERED_TOKENS = 100_000

_TERM = re.compile(r"(attribute_exists|attribute_not_exists)\(([#\w]+)\)|([#\w]+) = (:\w+)")

_UPDATE = re.compile(r"SET (\w+) = (:\w+) REMOVE (\w+(?:, \w+)*)")


class Refusal(Exception):
    """What DynamoDB answers instead of doing it."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass
class Table:
    """The items of one table as JSON texts, in the order in which they came."""

    key: str
    items: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    position: dict[str, int] = field(default_factory=dict)

    def get(self, key: str) -> Item | None:
        found = self.items.get(key)
        return None if found is None else json.loads(found)

    def put(self, key: str, item: Item) -> None:
        if key not in self.position:
            self.position[key] = len(self.order)
            self.order.append(key)
        self.items[key] = json.dumps(item, separators=(",", ":"))

    def drop(self, key: str) -> None:
        self.items.pop(key, None)


class Store:
    """All tables, and what the fake was told to do wrong."""

    def __init__(
        self,
        throttled: float = 0,
        unprocessed: float = 0,
        lost: float = 0,
        seed: int = 1,
        refused_after: int | None = None,
    ) -> None:
        self.identity = uuid.uuid4()
        # An entry of the list of changes lies under the key that `key_in` makes of owner and number.
        self.tables = {name: Table(key) for name, key in {**TABLES, CHANGES: "user_id"}.items()}
        self.counts: Counter[str] = Counter()
        self._throttled, self._unprocessed, self._lost = throttled, unprocessed, lost
        self._chance = random.Random(seed)
        self._tokens: dict[str, int] = {}
        self.refused_after = refused_after

    def answer(self, operation: str, body: bytes) -> dict[str, Any] | None:
        """Return the answer's body, or None for a reply that is lost. Raises `Refusal`."""
        self.counts[operation] += 1
        request = json.loads(body)
        if self.refused_after is not None and self.counts["writes"] >= self.refused_after:
            raise Refusal("ExpiredTokenException")
        act = getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if act is None:
            raise Refusal("UnknownOperationException")
        answer: dict[str, Any] = act(request, body)
        if operation == "TransactWriteItems" and self._chance.random() < self._lost:
            self.counts["lost"] += 1
            return None
        return answer

    def _describe_table(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        name = request["TableName"]
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException")
        identity = str(uuid.uuid5(self.identity, name))
        return {"Table": {"TableName": name, "TableStatus": "ACTIVE", "TableArn": name, "TableId": identity}}

    def _batch_get_item(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        found: dict[str, list[Item]] = {name: [] for name in request["RequestItems"]}
        left: dict[str, Any] = {}
        keys = [(name, key) for name, asked in request["RequestItems"].items() for key in asked["Keys"]]
        if not 1 <= len(keys) <= MOST_KEYS or len({str(key) for key in keys}) < len(keys):
            raise Refusal("ValidationException")
        for name, key in keys:
            table = self._table(name)
            if self._chance.random() < self._unprocessed:
                left.setdefault(name, {"Keys": []})["Keys"].append(key)
            elif (item := table.get(key[table.key]["S"])) is not None:
                found[name].append(item)
        return {"Responses": found, "UnprocessedKeys": left}

    def _get_item(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        table = self._table(request["TableName"])
        item = table.get(request["Key"][table.key]["S"])
        return {} if item is None else {"Item": item}

    def _query(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """There are no sessions."""
        if "sessions" not in request["TableName"]:
            raise Refusal("ValidationException")
        return {"Items": [], "Count": 0}

    def _scan(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        table = self._table(request["TableName"])
        segment, total = request.get("Segment", 0), request.get("TotalSegments", 1)
        limit = request.get("Limit", ITEMS_PER_PAGE)
        start = request.get("ExclusiveStartKey")
        name = request["TableName"]
        at = segment if start is None else table.position[key_in(name, start)] + total
        needed = INDEXES[request["IndexName"]] if "IndexName" in request else ()
        page: list[Item] = []
        last = None
        while at < len(table.order) and len(page) < limit:
            last = table.order[at]
            item = table.get(last)
            if item is not None and all(name in item for name in needed):
                page.append(item)
            at += total
        key = _key_of(name, last) if last else {}
        more = {"LastEvaluatedKey": key} if at < len(table.order) and last else {}
        return {"Items": page, "Count": len(page), "ScannedCount": len(page), **more}

    def _put_item(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        self._perhaps_throttle(1)
        name, key = self._place(request, request["Item"])
        if not self._holds(request, self.tables[name].get(key)):
            raise Refusal("ConditionalCheckFailedException")
        self.counts["writes"] += 1
        self.tables[name].put(key, request["Item"])
        return {}

    def _delete_item(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        name, key = self._place(request, request["Key"])
        if not self._holds(request, self.tables[name].get(key)):
            raise Refusal("ConditionalCheckFailedException")
        self.tables[name].drop(key)
        return {}

    def _transact_write_items(self, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        actions = [next(iter(entry.items())) for entry in request["TransactItems"]]
        places = [self._place(what, what.get("Item") or what["Key"]) for _, what in actions]
        if not 1 <= len(actions) <= MOST_ACTIONS or len(set(places)) < len(places):
            raise Refusal("ValidationException")
        self._perhaps_throttle(len(actions))
        token = request.get("ClientRequestToken")
        if token in self._tokens:
            if self._tokens[token] != zlib.crc32(body):
                raise Refusal("IdempotentParameterMismatchException")
            return {}
        reasons = [
            "None" if self._holds(what, self.tables[name].get(key)) else "ConditionalCheckFailed"
            for (_, what), (name, key) in zip(actions, places, strict=True)
        ]
        if set(reasons) != {"None"}:
            raise Refusal("TransactionCanceledException", CancellationReasons=[{"Code": r} for r in reasons])
        for (kind, what), (name, key) in zip(actions, places, strict=True):
            self.counts["writes"] += 1
            if kind == "Put":
                self.tables[name].put(key, what["Item"])
            elif kind == "Update":
                self.tables[name].put(key, _updated(self.tables[name].get(key), what))
            else:
                self.tables[name].drop(key)
        if token is not None:
            self._remember(token, body)
        return {}

    def _remember(self, token: str, body: bytes) -> None:
        self._tokens[token] = zlib.crc32(body)
        if len(self._tokens) > MOST_REMEMBERED_TOKENS:
            self._tokens.pop(next(iter(self._tokens)))

    def _perhaps_throttle(self, items: int) -> None:
        if self._chance.random() >= self._throttled:
            return
        self.counts["throttled"] += 1
        if items > 1 and self._chance.random() < 0.5:
            codes = ["None"] * items
            codes[self._chance.randrange(items)] = self._chance.choice(
                ["ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"]
            )
            raise Refusal("TransactionCanceledException", CancellationReasons=[{"Code": c} for c in codes])
        raise Refusal(self._chance.choice(["ThrottlingException", "ProvisionedThroughputExceededException"]))

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise Refusal("ResourceNotFoundException")
        return self.tables[name]

    def _place(self, what: dict[str, Any], item: Item) -> tuple[str, str]:
        """Return table and key; refuse what DynamoDB would for its types."""
        table = self._table(what["TableName"])
        for name, kind in KEY_TYPES.items():
            value = item.get(name, {kind: "x"})
            if set(value) != {kind} or not value[kind] or len(value[kind].encode()) > 2048:
                raise Refusal("ValidationException")
        if table.key not in item or (what["TableName"] == CHANGES and "number" not in item):
            raise Refusal("ValidationException")
        return what["TableName"], key_in(what["TableName"], item)

    def _holds(self, what: dict[str, Any], stored: Item | None) -> bool:
        expression = what.get("ConditionExpression")
        if expression is None:
            return True
        names, values = what.get("ExpressionAttributeNames", {}), what.get("ExpressionAttributeValues", {})
        for term in expression.split(" AND "):
            found = _TERM.fullmatch(term)
            if found is None:
                raise Refusal("ValidationException")
            function, subject, left, right = found.groups()
            name = names.get(subject or left, subject or left)
            value = (stored or {}).get(name)
            if function is None:
                met = value == values[right]
            else:
                met = (value is None) == (function == "attribute_not_exists")
            if not met:
                return False
        return True


def _updated(item: Item | None, what: dict[str, Any]) -> Item:
    """Only what a migration asks for: one attribute is set and others are removed, where there is an item."""
    found = _UPDATE.fullmatch(what["UpdateExpression"])
    if found is None or item is None:
        raise Refusal("ValidationException")
    name, value, removed = found.groups()
    left = {name: value for name, value in item.items() if name not in removed.split(", ")}
    return left | {name: what["ExpressionAttributeValues"][value]}


def _key_of(table: str, place: str) -> Item:
    if table == CHANGES:
        user_id, _, number = place.partition("/")
        return {"user_id": {"S": user_id}, "number": {"N": number}}
    return {TABLES[table]: {"S": place}}


def key_in(table: str, item: Item) -> str:
    """Return what an item lies under."""
    if table == CHANGES:
        return f"{item['user_id']['S']}/{item['number']['N']}"
    return str(item[TABLES[table]]["S"])


class _Replies:
    """What the store answers, and what a test wants of the store itself."""

    def __init__(self) -> None:
        self.store = Store()

    def to(self, operation: str, body: bytes) -> bytes | None:
        if operation == "Reset":
            self.store = Store(**json.loads(body))
            return rendered(200, {})
        if operation == "RefuseAfter":
            more = json.loads(body)["writes"]
            self.store.refused_after = None if more is None else self.store.counts["writes"] + more
            return rendered(200, {})
        if operation == "Counts":
            return rendered(200, dict(self.store.counts))
        try:
            answer = self.store.answer(operation, body)
        except Refusal as refusal:
            name = f"com.amazonaws.dynamodb.v20120810#{refusal.code}"
            return rendered(400, {"__type": name, "message": refusal.code, **refusal.more})
        return None if answer is None else rendered(200, answer)


@dataclass(frozen=True)
class Fake:
    """A running fake: where it is, and what it has counted."""

    url: str

    def counts(self) -> Counter[str]:
        """Requests by operation, `writes` (items written or deleted), `throttled` and `lost`."""
        return Counter(self._ask("Counts", {}))

    def reset(self, throttled: float = 0, unprocessed: float = 0, lost: float = 0, seed: int = 1) -> None:
        """Make all tables anew, empty; the shares, from 0 to 1, are what goes wrong from now on."""
        faults = {"throttled": throttled, "unprocessed": unprocessed, "lost": lost, "seed": seed}
        self._ask("Reset", faults)

    def refuse_after(self, writes: int | None) -> None:
        """Let the credentials be over when so many items have been written from now on, or not at all."""
        self._ask("RefuseAfter", {"writes": writes})

    def _ask(self, what: str, body: dict[str, Any]) -> Any:
        headers = {"X-Amz-Target": f"Fake.{what}"}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def _replies() -> Reply:
    return _Replies().to


@contextmanager
def running_fake() -> Iterator[Fake]:
    """Run a fake with empty tables while the block runs."""
    with serving(serve, _replies) as url:
        yield Fake(url)

"""A DynamoDB whose items are made from their keys; it keeps only what was written since."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bench.support.expressions import Item, condition, plain, update
from bench.support.synthetic_people import EACH, People, Recording
from tests.support.dynamodb_fake import Refusal

USERS, FILES, CLAIMS = "panzoto-users", "panzoto-audio-files", "panzoto-claims"
CHANGES, SWEEPS, ERASURES = "panzoto-changes", "panzoto-sweeps", "panzoto-erasures"
KEYS: dict[str, tuple[str, str | None]] = {
    USERS: ("user_id", None),
    FILES: ("file_id", None),
    CLAIMS: ("claim", None),
    CHANGES: ("user_id", "number"),
    SWEEPS: ("kind", "name"),
    ERASURES: ("user_id", "erasure_id"),
    "panzoto-transcripts": ("user_id", "file_id"),
}
# By which attributes of the rows an index is asked; that of due accounts and that of the trash are sparse.
INDEXES = {
    "user-due-index": ("due_shard", "due_at"),
    "user-trash-index": ("user_id", "deleted_at"),
    "user-files-index": ("user_id", "uploaded_at"),
    "s3-key-index": ("s3_key", None),
}
LARGEST_PAGE = 1000
Place = tuple[str, str]


@dataclass
class Table:
    """What was written into one table, by its hash key and its range key; None is what was removed."""

    hash_name: str
    range_name: str | None
    written: defaultdict[str, dict[str, Item | None]] = field(default_factory=lambda: defaultdict(dict))

    def place(self, item: Item) -> Place:
        (hash_key,) = item[self.hash_name].values()
        if self.range_name is None:
            return hash_key, ""
        (range_key,) = item[self.range_name].values()
        return hash_key, range_key

    def key_of(self, item: Item) -> Item:
        return {name: item[name] for name in (self.hash_name, self.range_name) if name}


class Tables:
    """All tables of the service, as of `people` and what was written since."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.tables = {name: Table(*keys) for name, keys in KEYS.items()}
        # Where the sparse indexes are, since they cannot be made from a key.
        self._due: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        self._trash: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        self.finished: set[str] = set()
        self.finished_at = 0.0
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "BatchWriteItem": self._batch_write_item,
            "PutItem": self._put_item,
            "DeleteItem": self._delete_item,
            "UpdateItem": self._update_item,
            "TransactWriteItems": self._transact_write_items,
            "Query": self._query,
            "Scan": self._scan,
            "DescribeTable": self._describe_table,
        }
        for owner in people.who_changed():
            self._index(USERS, people.user_item(owner), None)
            special = people.special(owner)
            self._index(FILES, people.row_item(special), None)

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return what DynamoDB answers. Raises `Refusal`, `KeyError` for what it does not know."""
        return self._operations[operation](request)

    def get(self, name: str, place: Place) -> Item | None:
        """Return an item as it is now."""
        of_hash = self.tables[name].written.get(place[0])
        if of_hash is not None and place[1] in of_hash:
            return of_hash[place[1]]
        return self._made(name, place)

    def unmarked_due(self) -> int:
        """Return how many accounts that changed nobody has finished with."""
        return self.people.changed - len(self.finished)

    def _made(self, name: str, place: Place) -> Item | None:
        people = self.people
        if name == USERS:
            owner = people.owner(place[0])
            return None if owner is None else people.user_item(owner)
        if name == FILES:
            one = people.of_file_id(place[0])
            return None if one is None else people.row_item(one)
        if name == CLAIMS and place[0].startswith("s3key#"):
            one = people.of_key(place[0].removeprefix("s3key#"))
            return None if one is None else _claim(place[0], one)
        if name == CHANGES:
            owner, index = people.owner(place[0]), int(place[1]) - 1
            if owner is not None and 0 <= index < EACH:
                return people.change_item(people.recording(owner, index))
        return None

    def _put(self, name: str, place: Place, item: Item | None) -> None:
        before = self.get(name, place)
        self.tables[name].written[place[0]][place[1]] = item
        self._index(name, item, before)

    def _index(self, name: str, item: Item | None, before: Item | None) -> None:
        if name == USERS:
            _move(self._due, "due_shard", "due_at", "user_id", (item, before))
        elif name == FILES:
            _move(self._trash, "user_id", "deleted_at", "file_id", (item, before))

    def _get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TableName"]
        item = self.get(name, self.tables[name].place(request["Key"]))
        return {} if item is None else {"Item": item}

    def _batch_get_item(self, request: dict[str, Any]) -> dict[str, Any]:
        found = {
            name: [
                item
                for key in asked["Keys"]
                if (item := self.get(name, self.tables[name].place(key))) is not None
            ]
            for name, asked in request["RequestItems"].items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}

    def _batch_write_item(self, request: dict[str, Any]) -> dict[str, Any]:
        for name, asked in request["RequestItems"].items():
            for one in asked:
                ((kind, what),) = one.items()
                item = what["Item"] if kind == "PutRequest" else None
                self._put(name, self.tables[name].place(item or what["Key"]), item)
        return {"UnprocessedItems": {}}

    def _put_item(self, request: dict[str, Any]) -> dict[str, Any]:
        self._write_one("Put", request)
        return {}

    def _delete_item(self, request: dict[str, Any]) -> dict[str, Any]:
        self._write_one("Delete", request)
        return {}

    def _update_item(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self._write_one("Update", request)
        if request["TableName"] == USERS and "swept_to" in request["ExpressionAttributeNames"].values():
            self.finished.add(request["Key"]["user_id"]["S"])
            self.finished_at = time.monotonic()
        return {"Attributes": item} if request.get("ReturnValues") == "ALL_NEW" else {}

    def _write_one(self, kind: str, request: dict[str, Any]) -> Item | None:
        name, place, item = self._planned(kind, request)
        if not _holds(request, self.get(name, place)):
            raise Refusal("ConditionalCheckFailedException")
        self._put(name, place, item)
        return item

    def _planned(self, kind: str, what: dict[str, Any]) -> tuple[str, Place, Item | None]:
        """Return where something is written, and the item that is there after it."""
        name = what["TableName"]
        place = self.tables[name].place(what.get("Item") or what["Key"])
        if kind == "Put":
            return name, place, what["Item"]
        before = self.get(name, place)
        if kind == "Delete":
            return name, place, None
        if kind == "ConditionCheck":
            return name, place, before
        item = dict(before) if before is not None else dict(what["Key"])
        names = what.get("ExpressionAttributeNames", {})
        update(what["UpdateExpression"])(item, names, what.get("ExpressionAttributeValues", {}))
        return name, place, item

    def _transact_write_items(self, request: dict[str, Any]) -> dict[str, Any]:
        actions = [next(iter(entry.items())) for entry in request["TransactItems"]]
        planned = [self._planned(kind, what) for kind, what in actions]
        if len({(name, place) for name, place, _ in planned}) < len(planned):
            raise Refusal("ValidationException")
        met = [
            _holds(what, self.get(name, place))
            for (_, what), (name, place, _) in zip(actions, planned, strict=True)
        ]
        if not all(met):
            reasons = [{"Code": "None" if one else "ConditionalCheckFailed"} for one in met]
            raise Refusal("TransactionCanceledException", CancellationReasons=reasons)
        for (kind, _), (name, place, item) in zip(actions, planned, strict=True):
            if kind != "ConditionCheck":
                self._put(name, place, item)
        return {}

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        name, index = request["TableName"], request.get("IndexName")
        hash_name, range_name = self.tables[name].hash_name, self.tables[name].range_name
        if index is not None:
            hash_name, range_name = INDEXES[index]
        names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
        text = request["KeyConditionExpression"]
        (wanted,) = values[_value_of(hash_name, text, names)].values()
        within = condition(text)
        found = [item for item in self._of_hash(name, index, wanted) if within(item, names, values)]
        if range_name is not None:
            found.sort(key=lambda item: plain(item[range_name]))
        if not request.get("ScanIndexForward", True):
            found.reverse()
        return self._paged(name, found, request)

    def _of_hash(self, name: str, index: str | None, wanted: str) -> Iterable[Item]:
        if index == "user-due-index":
            return self._there(USERS, [(user_id, "") for user_id in self._due[wanted]])
        if index == "user-trash-index":
            return self._there(FILES, [(file_id, "") for file_id in self._trash[wanted]])
        if index == "s3-key-index":
            one = self.people.of_key(wanted)
            rows = self._there(FILES, [] if one is None else [(one.file_id, "")])
            return (row for row in rows if row["s3_key"]["S"] == wanted)
        owner = self.people.owner(wanted)
        if index == "user-files-index":
            of_owner = [] if owner is None else [self.people.file_id(owner, at) for at in range(EACH)]
            rows = self._there(FILES, [(file_id, "") for file_id in of_owner])
            return (row for row in rows if "uploaded_at" in row)
        places = dict.fromkeys(self.tables[name].written.get(wanted, {}))
        if name == CHANGES and owner is not None:
            places |= dict.fromkeys(str(number) for number in range(1, EACH + 1))
        return self._there(name, [(wanted, range_key) for range_key in places])

    def _there(self, name: str, places: list[Place]) -> Iterator[Item]:
        return (item for place in places if (item := self.get(name, place)) is not None)

    def _paged(self, name: str, found: list[Item], request: dict[str, Any]) -> dict[str, Any]:
        start = request.get("ExclusiveStartKey")
        table = self.tables[name]
        begin = 0
        if start is not None:
            places = [table.place(item) for item in found]
            begin = places.index(table.place(start)) + 1
        end = begin + request.get("Limit", LARGEST_PAGE)
        page = found[begin:end]
        more = {"LastEvaluatedKey": table.key_of(page[-1])} if end < len(found) and page else {}
        if "FilterExpression" in request:
            names, values = request["ExpressionAttributeNames"], request.get("ExpressionAttributeValues", {})
            page = [item for item in page if condition(request["FilterExpression"])(item, names, values)]
        if request.get("Select") == "COUNT":
            return {"Count": len(page), "ScannedCount": len(page), **more}
        return {"Items": page, "Count": len(page), "ScannedCount": len(page), **more}

    def _scan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Accounts go in the order of their numbers; of recordings and claims only whether there are any."""
        name, limit = request["TableName"], request.get("Limit", LARGEST_PAGE)
        if name == USERS:
            return self._scan_users(request.get("ExclusiveStartKey"), limit)
        if name in (FILES, CLAIMS) and limit == 1:
            first = self.people.recording(0, 0)
            item = self.people.row_item(first) if name == FILES else _claim(f"s3key#{first.s3_key}", first)
            return {"Items": [item], "Count": 1, "ScannedCount": 1}
        written = self.tables[name].written
        found = [item for of_hash in written.values() for item in of_hash.values() if item is not None]
        return self._paged(name, found, request)

    def _scan_users(self, start: Item | None, limit: int) -> dict[str, Any]:
        begin = 0 if start is None else int(start["user_id"]["S"][:8], 16) + 1
        end = min(begin + limit, self.people.count)
        items = list(self._there(USERS, [(self.people.user_id(number), "") for number in range(begin, end)]))
        more = {"LastEvaluatedKey": {"user_id": items[-1]["user_id"]}} if end < self.people.count else {}
        return {"Items": items, "Count": len(items), "ScannedCount": len(items), **more}

    def _describe_table(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TableName"]
        count = {USERS: self.people.count, FILES: self.people.count * EACH}.get(name, 0)
        table = self.tables[name]
        names = [one for one in (table.hash_name, table.range_name) if one]
        schema = [
            {"AttributeName": one, "KeyType": kind}
            for one, kind in zip(names, ("HASH", "RANGE"), strict=False)
        ]
        return {
            "Table": {
                "TableName": name,
                "TableStatus": "ACTIVE",
                "ItemCount": count,
                "KeySchema": schema,
                "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in names],
            }
        }


def _claim(name: str, one: Recording) -> Item:
    return {"claim": {"S": name}, "user_id": {"S": one.user_id}, "file_id": {"S": one.file_id}}


def _holds(what: dict[str, Any], stored: Item | None) -> bool:
    text = what.get("ConditionExpression")
    if text is None:
        return True
    names, values = what.get("ExpressionAttributeNames", {}), what.get("ExpressionAttributeValues", {})
    return condition(text)(stored or {}, names, values)


def _move(
    index: defaultdict[str, dict[str, Decimal]],
    hash_name: str,
    range_name: str,
    key: str,
    change: tuple[Item | None, Item | None],
) -> None:
    """Take what an item was out of a sparse index, and what it is now into it."""
    item, before = change
    if before is not None and hash_name in before:
        index[before[hash_name]["S"]].pop(before[key]["S"], None)
    if item is not None and hash_name in item and range_name in item:
        index[item[hash_name]["S"]][item[key]["S"]] = Decimal(item[range_name]["N"])


def _value_of(hash_name: str, text: str, names: dict[str, str]) -> str:
    """Return which value a key condition compares the hash key with."""
    words = text.replace("(", " ").replace(")", " ").split()
    for at, word in enumerate(words):
        if names.get(word, word) == hash_name and words[at + 1] == "=":
            return words[at + 2]
    raise Refusal("ValidationException")

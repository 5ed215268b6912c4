"""A DynamoDB whose tables hold as many accounts and recordings of the earlier service as are asked for.

No row is kept: each follows from its number. Kept is what operators' commands
write: which claims are taken, which recordings are numbered, which accounts
counted. Answers are JSON made for each request, in a process of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support.dynamodb_http import Reply, rendered, serve
from tests.support.server_process import serving

Item = dict[str, Any]

USERS, FILES, CLAIMS, CHANGES = "panzoto-users", "panzoto-audio-files", "panzoto-claims", "panzoto-changes"
KEYS = {USERS: ("user_id",), FILES: ("file_id",), CLAIMS: ("claim",), CHANGES: ("user_id", "number")}
COPY = "-restored-"
SIZE = 4096
ONE_PAGE = 3400


def user_id(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


def file_id(number: int) -> str:
    return f"{number:08d}-1111-4000-8000-000000000000"


@dataclass
class Tables:
    """So many accounts, each with so many recordings, which are numbered one account after the other."""

    users: int
    of_each: int
    claims: dict[str, Item] = field(default_factory=dict)
    # Of a recording that is numbered: its number among the changes of its account.
    numbered: dict[int, str] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)
    copies: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def answer(self, operation: str, body: bytes) -> bytes:
        request = json.loads(body) if body else {}
        if operation == "Counts":
            counts, self.counts = self.counts, Counter()
            return rendered(200, dict(counts))
        self.counts[operation] += 1
        acts = {
            "DescribeTable": self._describe,
            "Scan": self._scan,
            "BatchGetItem": self._batch_get,
            "GetItem": lambda asked: {"Item": self._item(asked["TableName"], asked["Key"])},
            "Query": self._query,
            "UpdateItem": self._update,
            "TransactWriteItems": self._transact,
            "RestoreTableToPointInTime": self._restore,
            "DeleteTable": self._delete,
        }
        answer = acts[operation](request)
        if answer is None:
            kind = "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
            return rendered(400, {"__type": kind, "message": "not there"})
        return rendered(200, answer)

    def _describe(self, asked: Item) -> Item | None:
        name = asked["TableName"]
        table = name.partition(COPY)[0]
        if COPY in name and name not in self.copies:
            return None
        restored = {"RestoreSummary": {"RestoreDateTime": 4_000_000_000}} if COPY in name else {}
        schema = [{"AttributeName": key, "KeyType": "HASH"} for key in KEYS[table]]
        described = {"TableName": name, "TableStatus": "ACTIVE", "TableArn": name, "TableId": "1"}
        return {"Table": {**described, "KeySchema": schema, "ItemCount": self._many(table), **restored}}

    def _many(self, table: str) -> int:
        return {USERS: self.users, FILES: self.users * self.of_each}.get(table, 0)

    def _restore(self, asked: Item) -> Item:
        self.copies.add(asked["TargetTableName"])
        return {}

    def _delete(self, asked: Item) -> Item:
        self.copies.discard(asked["TableName"])
        return {}

    def _scan(self, asked: Item) -> Item:
        table = asked["TableName"].partition(COPY)[0]
        step, limit = asked["TotalSegments"], min(asked.get("Limit", ONE_PAGE), ONE_PAGE)
        start = asked.get("ExclusiveStartKey")
        first = asked["Segment"] if start is None else _number_of(start) + step
        numbers = range(first, self._many(table), step)[:limit]
        expression = asked.get("FilterExpression", "")
        items = [self._row(table, number) for number in numbers]
        if "claims_complete" in expression:
            wanted = "attribute_not_exists(claims_complete)" not in expression
            items = [item for item in items if ("claims_complete" in item) == wanted]
        page = {"Items": items, "Count": len(items), "ScannedCount": len(numbers)}
        if numbers and numbers[-1] + step < self._many(table):
            (name,) = KEYS[table]
            page["LastEvaluatedKey"] = {name: self._row(table, numbers[-1])[name]}
        return page

    def _row(self, table: str, number: int) -> Item:
        return self._user(number) if table == USERS else self._file(number)

    def _user(self, number: int) -> Item:
        found = {
            "user_id": {"S": user_id(number)},
            "email": {"S": f"person.{number}@example.com"},
            "password_hash": {"S": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43},
            "key_salt": {"S": "o5dqVQHaPJ05MsuHlvrr/d3YcPVS/OFxnLjunEncF24="},
            "created_at": {"N": "1700000000"},
        }
        theirs = sum(file in self.numbered for file in self._files_of(number))
        if theirs:
            found["change_number"] = found["used_recordings"] = {"N": str(theirs)}
            found["used_bytes"] = {"N": str(theirs * SIZE)}
        if number in self.counted:
            found["claims_complete"] = {"BOOL": True}
        return found

    def _files_of(self, number: int) -> range:
        return range(number * self.of_each, (number + 1) * self.of_each)

    def _file(self, number: int) -> Item:
        found = {
            "file_id": {"S": file_id(number)},
            "user_id": {"S": user_id(number // self.of_each)},
            "s3_key": {"S": f"audio_upload/{user_id(number // self.of_each)}/audio-{number}.3gp"},
            "file_size": {"N": str(SIZE)},
            "uploaded_at": {"N": str(1_700_000_000 + number % 1_000_000)},
            "uploaded_at_iso": {"S": "2023-11-14T22:15:00"},
        }
        if number in self.numbered:
            found["change_number"] = {"N": self.numbered[number]}
        return found

    def _item(self, table: str, key: Item) -> Item | None:
        if table == CLAIMS:
            return self.claims.get(key["claim"]["S"])
        return self._row(table, _number_of(key))

    def _batch_get(self, asked: Item) -> Item:
        answers = {}
        for table, wanted in asked["RequestItems"].items():
            items = (self._item(table, key) for key in wanted["Keys"])
            answers[table] = [item for item in items if item is not None]
        return {"Responses": answers, "UnprocessedKeys": {}}

    def _query(self, asked: Item) -> Item:
        number = next(_number(one["S"]) for one in asked["ExpressionAttributeValues"].values() if "S" in one)
        files = self._files_of(number)
        if asked["TableName"] == CHANGES:
            numbered = [file for file in files if file in self.numbered]
            items = [
                {
                    "user_id": {"S": user_id(number)},
                    "number": {"N": self.numbered[file]},
                    "file_id": {"S": file_id(file)},
                }
                for file in numbered
            ]
        else:
            unnumbered = "FilterExpression" in asked
            items = [self._file(file) for file in files if not unnumbered or file not in self.numbered]
        return {"Items": items, "Count": len(items), "ScannedCount": len(files)}

    def _update(self, asked: Item) -> Item:
        number = _number_of(asked["Key"])
        self.counted.add(number)
        return {"Attributes": self._user(number)}

    def _transact(self, asked: Item) -> Item:
        for entry in asked["TransactItems"]:
            put, update = entry.get("Put"), entry.get("Update")
            if put is not None and put["TableName"] == CLAIMS:
                self.claims[put["Item"]["claim"]["S"]] = put["Item"]
            elif put is not None and put["TableName"] == CHANGES:
                self.numbered[_number(put["Item"]["file_id"]["S"])] = put["Item"]["number"]["N"]
            else:
                assert put is None
                assert update is not None
        return {}


def _number(identity: str) -> int:
    return int(identity[:8])


def _number_of(key: Item) -> int:
    (value,) = key.values()
    return _number(value["S"])


def _replies(users: int, of_each: int) -> Reply:
    return Tables(users, of_each).answer


@contextmanager
def running_tables(users: int, of_each: int, later_seconds: float) -> Iterator[str]:
    """Run it while the block runs, each answer so many seconds late; gives its URL."""
    with serving(serve, partial(_replies, users, of_each), later_seconds) as url:
        yield url

"""Tables full of what the earlier service wrote, some of it taken up already, and what must become of it."""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import Service

CLAIMS_TABLE = "panzoto-claims"
CHANGES_TABLE = "panzoto-changes"
TABLES = (USERS_TABLE, FILES_TABLE, CLAIMS_TABLE, CHANGES_TABLE)
BATCH = 25

Item = dict[str, Any]


@dataclass
class EarlierRows:
    """So many accounts with so many recordings; every tenth of both shares its name with the one before.

    The `others` are accounts that sign in by OpenID and are being deleted: they fill the table, and whoever
    goes through it has to leave them alone.
    """

    users: int
    files: int
    seed: int = 1
    others: int = 0
    items: dict[str, list[Item]] = field(default_factory=lambda: {table: [] for table in TABLES})

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        identity = lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4))  # noqa: E731
        for number in range(self.users):
            self.items[USERS_TABLE].append(
                {
                    "user_id": {"S": identity()},
                    "email": {"S": f"person.{number - (number % 10 == 9)}@example.com"},
                    "password_hash": {"S": "unused"},
                    "key_salt": {"S": "c2FsdA=="},
                    "created_at": {"N": str(1_700_000_000 + number)},
                }
            )
        for number in range(self.files):
            owner = chance.choice(self.items[USERS_TABLE])
            named = number - (number % 10 == 9)
            self.items[FILES_TABLE].append(
                {
                    "file_id": {"S": identity()},
                    "user_id": owner["user_id"],
                    "s3_key": {"S": f"legacy/{named}"},
                    "file_size": {"N": str(100 + number)},
                    "uploaded_at": {"N": str(1_700_000_100 + number)},
                }
            )
        self._of_others = [
            {
                "user_id": {"S": identity()},
                "created_at": {"N": str(1_700_000_000 + number)},
                "deletion_started_at": {"N": str(1_700_000_200 + number)},
            }
            for number in range(self.others)
        ]

    @property
    def shared(self) -> int:
        """How many rows name what another row names."""
        return self.users // 10 + self.files // 10

    @property
    def seen(self) -> int:
        """How many rows are looked at: accounts for their claims and for their counts."""
        return 2 * (self.users + self.others) + self.files

    def write(self, service: Service) -> None:
        """Put all of it into the tables."""
        for table, items in (*self.items.items(), (USERS_TABLE, self._of_others)):
            for start in range(0, len(items), BATCH):
                puts = [{"PutRequest": {"Item": item}} for item in items[start : start + BATCH]]
                service.dynamodb().batch_write_item(RequestItems={table: puts})

    def check(self, service: Service) -> None:
        """Raises `AssertionError` unless each row has its claim, and each account its numbers and counts."""
        found = contents(service)
        files = {item["file_id"]["S"]: item for item in found[FILES_TABLE]}
        assert set(files) == {item["file_id"]["S"] for item in self.items[FILES_TABLE]}
        used: Counter[str] = Counter()
        size: Counter[str] = Counter()
        for item in files.values():
            used[item["user_id"]["S"]] += 1
            size[item["user_id"]["S"]] += int(item["file_size"]["N"])
        left_alone = [user for user in found[USERS_TABLE] if "deletion_started_at" in user]
        assert left_alone == sorted(self._of_others, key=str)
        for user in found[USERS_TABLE]:
            if user in left_alone:
                continue
            user_id = user["user_id"]["S"]
            assert user["claims_complete"] == {"BOOL": True}
            counted = [int(user[name]["N"]) for name in ("used_recordings", "used_bytes")]
            assert counted == [used[user_id], size[user_id]]
        self._check_claims(found)
        self._check_changes(found, files)

    def _check_claims(self, found: dict[str, list[Item]]) -> None:
        owners: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for user in self.items[USERS_TABLE]:
            owners[f"email#{user['email']['S']}"].append((user["user_id"]["S"], None))
        for file in self.items[FILES_TABLE]:
            owners[f"s3key#{file['s3_key']['S']}"].append((file["user_id"]["S"], file["file_id"]["S"]))
        claims = {item["claim"]["S"]: item for item in found[CLAIMS_TABLE]}
        assert set(claims) == set(owners)
        for name, claim in claims.items():
            assert (claim["user_id"]["S"], claim.get("file_id", {}).get("S")) in owners[name]

    def _check_changes(self, found: dict[str, list[Item]], files: dict[str, Item]) -> None:
        told = {
            (one["user_id"]["S"], one["file_id"]["S"], one["number"]["N"]) for one in found[CHANGES_TABLE]
        }
        assert told == {
            (file["user_id"]["S"], file_id, file["change_number"]["N"]) for file_id, file in files.items()
        }
        assert len(found[CHANGES_TABLE]) == len(files)


def contents(service: Service) -> dict[str, list[Item]]:
    """Return all items of the tables, in the order of their keys, without what differs each time."""
    found = {}
    for table in TABLES:
        pages = service.dynamodb().get_paginator("scan").paginate(TableName=table)
        items = [item for page in pages for item in page["Items"]]
        for item in items:
            item.pop("mark", None)
            item.pop("due_at", None)
        found[table] = sorted(items, key=str)
    return found

"""Accounts in every state that chores are for, and what has to have become of them in the end.

What phones do is done by the service. Where time has passed, or a process was killed long ago, rows are
rewritten to what they would be then.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from panzoto import object_keys
from panzoto.models.due import shard_of
from tests.support.rows import FILES_TABLE, USERS_TABLE
from tests.support.service import BUCKET, Service

DAY = 86_400
SOUND = b"a sound that nobody may lose"
SWEEPS_TABLE, CLAIMS_TABLE, CHANGES_TABLE = "panzoto-sweeps", "panzoto-claims", "panzoto-changes"
# What is sent in parts is longer than that; see `SINGLE_UPLOAD_MAX`.
SINGLE_MAX = 64
LONG = SOUND * 4
SETTINGS = {"SINGLE_UPLOAD_MAX": str(SINGLE_MAX)}
# How long somebody who takes an account may keep it, and a little more.
TAKEN_SECONDS = 2 * 3600
AGAIN_SECONDS = 0.5
# So little that an account changes many times on each of the days that workers are killed on: such a day
# lasts some seconds, and each time brings seven changes.
BETWEEN_CHANGES_SECONDS = 1.5


@dataclass
class States:
    """What was made so far; each list is of (file_id, s3_key)."""

    service: Service
    gone: list[tuple[str, str]] = field(default_factory=list)
    listed: list[tuple[str, str]] = field(default_factory=list)
    binned: list[tuple[str, str]] = field(default_factory=list)
    pending: list[tuple[str, str]] = field(default_factory=list)
    # (account, file_id, s3_key): in the trash for too long, until their phone takes them back.
    restorable: list[tuple[dict[str, Any], str, str]] = field(default_factory=list)
    objects_gone: list[str] = field(default_factory=list)
    of_nobody: list[str] = field(default_factory=list)
    accounts: list[dict[str, Any]] = field(default_factory=list)
    accounts_gone: list[dict[str, Any]] = field(default_factory=list)
    _new: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add_account(self) -> None:
        """Make one more account that has one recording in each state."""
        account = self.service.register(f"{uuid.uuid4()}@example.com")
        self.listed.append(self.record(account))
        self.gone.append(self._in_the_trash(account, 31))
        self.binned.append(self._in_the_trash(account, 3))
        self.restorable.append((account, *self._in_the_trash(account, 31)))
        self.listed += [self._announced(account, SOUND, 1.1), self._announced(account, LONG, 1.1)]
        self.gone += [self._announced(account, SOUND, 1.1, comes=False)]
        self.gone += [self._announced(account, LONG, 1.1, comes=False)]
        self.pending.append(self._announced(account, SOUND, 0.1, comes=False))
        self.gone.append(self._being_erased(account))
        self._half_upgraded(account)
        self._plan(account)
        self._of_nobody()
        self.accounts.append(account)
        with self._guard:
            self._new.append(account["user_id"])

    def add_deletion(self) -> None:
        """Make an account whose deletion was interrupted hours ago, with recordings in it."""
        account = self.service.register(f"{uuid.uuid4()}@example.com")
        self.gone += [self.record(account), self._in_the_trash(account, 3)]
        self._update(
            USERS_TABLE, "user_id", account["user_id"], "SET deletion_started_at = :m", {":m": _ago(0.1)}
        )
        self.accounts_gone.append(account)
        with self._guard:
            self._new.append(account["user_id"])

    def restore_one(self) -> None:
        """Let a phone take back what chores are about to erase; either may be faster."""
        if not self.restorable:
            return
        account, file_id, s3_key = self.restorable.pop()
        answer = self.call("POST", f"/api/audio-file/{file_id}/restore", account["token"])
        assert answer.status_code in (200, 404), answer.text
        (self.listed if answer.status_code == 200 else self.gone).append((file_id, s3_key))

    def give_up_restoring(self) -> None:
        """Leave what nobody takes back to chores."""
        self.gone += [(file_id, s3_key) for _, file_id, s3_key in self.restorable]
        self.restorable.clear()

    def let_a_day_pass(self) -> None:
        """Let what killed processes have taken be due again, and the pass and what it remembers be older."""
        with self._guard:
            new, self._new = self._new, []
        for user_id in new:
            # Rewriting rows announced nothing, as a row of an earlier release that knew of no chores.
            due = {":m": _ago(0), ":s": {"S": shard_of(user_id)}}
            self._update(
                USERS_TABLE, "user_id", user_id, "SET due_at = :m, due_shard = :s REMOVE swept_to", due
            )
        for item in self.scan(USERS_TABLE):
            due_at = float(item.get("due_at", {"N": "0"})["N"])
            if time.time() < due_at < time.time() + TAKEN_SECONDS:
                self._update(USERS_TABLE, "user_id", item["user_id"]["S"], "SET due_at = :m", {":m": _ago(0)})
        for item in self.scan(FILES_TABLE):
            if "erase_after" in item:
                self._update(
                    FILES_TABLE, "file_id", item["file_id"]["S"], "SET erase_after = :m", {":m": _ago(1)}
                )
        for item in self.scan(SWEEPS_TABLE):
            days = 31 if item["kind"]["S"].startswith("seen#") else 1
            item["at"] = {"N": str(float(item["at"]["N"]) - days * DAY)}
            self.service.dynamodb().put_item(TableName=SWEEPS_TABLE, Item=item)

    def pass_is_handed_out(self) -> bool:
        """Whether the last part of the pass has begun on this day."""
        key = {"kind": {"S": "place"}, "name": {"S": "seen"}}
        found = self.service.dynamodb().get_item(TableName=SWEEPS_TABLE, Key=key).get("Item")
        return found is not None and float(found["at"]["N"]) > time.time() - DAY / 2

    def let_others_hand_out(self) -> None:
        """Let the time be over for which a killed worker alone would hand out what is due."""
        key = {"kind": {"S": "place"}, "name": {"S": "handing out"}}
        self.service.dynamodb().update_item(
            TableName=SWEEPS_TABLE,
            Key=key,
            UpdateExpression="SET #at = :m",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":m": _ago(1)},
        )

    def call(self, method: str, path: str, token: str, **how: Any) -> requests.Response:
        """Call the service as phones do, again when its storage is too busy."""
        while True:
            answer = self.service.call(method, path, token, **how)
            if answer.status_code != 503:
                return answer
            time.sleep(AGAIN_SECONDS)

    def record(self, account: dict[str, Any]) -> tuple[str, str]:
        """Record something; return its id and key."""
        key = f"users/{account['user_id']}/{uuid.uuid4()}"
        self.service.put_object(key, SOUND)
        sent = {"s3_key": key, "file_size": len(SOUND)}
        answer = self.call("POST", "/api/audio-file", account["token"], json=sent)
        # A call that was repeated finds what the first has recorded.
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["audio_file"]["file_id"], key

    def bin(self, account: dict[str, Any], file_id: str) -> None:
        answer = self.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        assert answer.status_code == 200, answer.text

    def scan(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a table as it is now."""
        for page in self.service.dynamodb().get_paginator("scan").paginate(TableName=table):
            yield from page["Items"]

    def _in_the_trash(self, account: dict[str, Any], days: float) -> tuple[str, str]:
        file_id, key = self.record(account)
        self.bin(account, file_id)
        self._earlier(file_id, "deleted_at", days)
        return file_id, key

    def _announced(
        self, account: dict[str, Any], body: bytes, days: float, *, comes: bool = True
    ) -> tuple[str, str]:
        """Announce an upload so many days ago, whose bytes came whole, or not at all."""
        sent = {"file_size": len(body)}
        answer = self.call("POST", "/api/uploads", account["token"], json=sent)
        assert answer.status_code == 201, answer.text
        file_id, key = answer.json()["file_id"], answer.json()["s3_key"]
        if comes and len(body) <= SINGLE_MAX:
            self.service.put_object(key, body)
        elif comes:
            row = self.service.dynamodb().get_item(TableName=FILES_TABLE, Key={"file_id": {"S": file_id}})
            which = {"Bucket": BUCKET, "Key": key, "UploadId": row["Item"]["upload_id"]["S"]}
            self.service.s3().upload_part(**which, PartNumber=1, Body=body)
        self._earlier(file_id, "announced_at", days)
        return file_id, key

    def _being_erased(self, account: dict[str, Any]) -> tuple[str, str]:
        """Let an erasure have begun, as far as its first transaction."""
        file_id, key = self.record(account)
        erasing = {
            "TableName": FILES_TABLE,
            "Key": {"file_id": {"S": file_id}},
            "UpdateExpression": "SET #s = :s REMOVE uploaded_at, listed_at",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":s": {"S": "erasing"}},
        }
        counted = {
            "TableName": USERS_TABLE,
            "Key": {"user_id": {"S": account["user_id"]}},
            "UpdateExpression": "ADD used_recordings :r, used_bytes :b",
            "ExpressionAttributeValues": {":r": {"N": "-1"}, ":b": {"N": str(-len(SOUND))}},
        }
        self._transact({"Update": erasing}, {"Update": counted})
        return file_id, key

    def _half_upgraded(self, account: dict[str, Any]) -> None:
        """Let an upgrade have ended where the row names the copy, and before the old object was removed."""
        file_id, key = self.record(account)
        copy = object_keys.upgraded_key(account["user_id"], file_id)
        self.service.put_object(copy, SOUND)
        switched = {
            "TableName": FILES_TABLE,
            "Key": {"file_id": {"S": file_id}},
            "UpdateExpression": "SET s3_key = :n, superseded_key = :o, earlier_key = :o, #f = :f",
            "ExpressionAttributeNames": {"#f": "format"},
            "ExpressionAttributeValues": {":n": {"S": copy}, ":o": {"S": key}, ":f": {"S": "v2"}},
        }
        names = {
            "claim": f"s3key#{copy}",
            "user_id": account["user_id"],
            "file_id": file_id,
        }
        claim = {"TableName": CLAIMS_TABLE, "Item": {name: {"S": value} for name, value in names.items()}}
        self._transact({"Update": switched}, {"Put": claim})
        self.objects_gone.append(key)
        self.listed.append((file_id, copy))

    def _plan(self, account: dict[str, Any]) -> None:
        key = object_keys.plan_key(account["user_id"], str(uuid.uuid4()))
        self.service.put_object(key, b"PNZ2" + bytes(200))
        self._update(USERS_TABLE, "user_id", account["user_id"], "SET plans_at = :m", {":m": _ago(2)})
        self.objects_gone.append(key)

    def _of_nobody(self) -> None:
        key = f"users/{uuid.uuid4()}/of-nobody"
        self.service.put_object(key, SOUND)
        self.of_nobody.append(key)

    def _earlier(self, file_id: str, name: str, days: float) -> None:
        self._update(FILES_TABLE, "file_id", file_id, f"SET {name} = :m", {":m": _ago(days)}, there=name)

    def _update(
        self,
        table: str,
        key: str,
        name: str,
        expression: str,
        values: dict[str, dict[str, str]],
        *,
        there: str | None = None,
    ) -> None:
        """Rewrite a row, unless it has no such attribute any more."""
        dynamodb = self.service.dynamodb()
        try:
            dynamodb.update_item(
                TableName=table,
                Key={key: {"S": name}},
                UpdateExpression=expression,
                ConditionExpression=f"attribute_exists({there or key})",
                ExpressionAttributeValues=values,
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return

    def _transact(self, *writes: dict[str, Any]) -> None:
        self.service.dynamodb().transact_write_items(TransactItems=list(writes))


def _ago(days: float) -> dict[str, str]:
    return {"N": str(int(time.time() - days * DAY))}


class BusyPhone:
    """A phone that records, bins, takes back and erases at one account as long as it is not stopped."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._account = states.service.register(f"{uuid.uuid4()}@example.com")
        self._stopping = threading.Event()
        self._failure: list[BaseException] = []
        self.followed: dict[str, str] = {}
        self._since = ""
        states.accounts.append(self._account)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    @property
    def user_id(self) -> str:
        return str(self._account["user_id"])

    def end(self) -> None:
        """Stop it, and raise what went wrong."""
        self._stopping.set()
        self._thread.join()
        if self._failure:
            raise self._failure[0]
        self.follow()

    def follow(self) -> None:
        """Read on in the list of changes, as a phone that synchronises does."""
        while True:
            page = self._call("GET", f"/api/user/changes?limit=200{self._since}")
            self._since = f"&since={page['next']}"
            if not page["changes"]:
                return
            self.followed |= {change["file_id"]: str(change) for change in page["changes"]}

    def all_changes(self) -> dict[str, str]:
        """Return the list of changes from its beginning."""
        self.followed, self._since = {}, ""
        self.follow()
        return self.followed

    def _live(self) -> None:
        try:
            while not self._stopping.wait(BETWEEN_CHANGES_SECONDS):
                self._record_and_change_its_mind()
                self.follow()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._failure.append(error)

    def _record_and_change_its_mind(self) -> None:
        states, account = self._states, self._account
        kept, binned, erased = (states.record(account) for _ in range(3))
        states.bin(account, kept[0])
        states.bin(account, binned[0])
        self._call("POST", f"/api/audio-file/{kept[0]}/restore")
        self._call("DELETE", f"/api/audio-file/{erased[0]}?permanent=true")
        states.listed.append(kept)
        states.binned.append(binned)
        states.gone.append(erased)

    def _call(self, method: str, path: str) -> dict[str, Any]:
        answer = self._states.call(method, path, self._account["token"])
        erased_before = method == "DELETE" and answer.status_code == 404
        assert answer.ok or erased_before, answer.text
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told


def wrong(states: States) -> list[str]:
    """Return, a line each, what is otherwise than it has to be now that all chores are done."""
    rows = {item["file_id"]["S"]: item for item in states.scan(FILES_TABLE)}
    objects = _objects(states.service)
    found = [f"is there still: {one}" for one in states.gone if one[0] in rows or one[1] in objects]
    found += [f"object is there still: {key}" for key in states.objects_gone if key in objects]
    checks: tuple[tuple[str, list[tuple[str, str]], Callable[[dict[str, Any]], bool]], ...] = (
        ("listed", states.listed, lambda row: "uploaded_at" in row and row["status"]["S"] == "stored"),
        ("binned", states.binned, lambda row: "deleted_at" in row),
        ("pending", states.pending, lambda row: row["status"]["S"] == "pending"),
    )
    for name, them, is_so in checks:
        for file_id, key in them:
            row = rows.get(file_id)
            # What the old call recorded has no status.
            state = row and {"status": {"S": "stored"}, **row}
            if state is None or not is_so(state) or state["s3_key"]["S"] != key:
                found.append(f"not {name}: {file_id} {row}")
            elif name != "pending" and objects.get(key) not in (len(SOUND), len(LONG)):
                found.append(f"lost its object: {file_id} {key}")
            elif "superseded_key" in state:
                found.append(f"still half upgraded: {file_id}")
    for key in states.of_nobody:
        if key not in objects and not any(object_keys.original_key(one) == key for one in objects):
            found.append(f"lost, of nobody: {key}")
    return found + _of_accounts(states, rows)


def _of_accounts(states: States, rows: dict[str, dict[str, Any]]) -> list[str]:
    users = {item["user_id"]["S"]: item for item in states.scan(USERS_TABLE)}
    changes: dict[str, list[tuple[int, str]]] = {}
    for item in states.scan(CHANGES_TABLE):
        entry = int(item["number"]["N"]), item["file_id"]["S"]
        changes.setdefault(item["user_id"]["S"], []).append(entry)
    found = [
        f"account is there still: {one['user_id']}"
        for one in states.accounts_gone
        if one["user_id"] in users or one["user_id"] in changes
    ]
    for account in states.accounts:
        user_id = account["user_id"]
        user = users.get(user_id)
        if user is None:
            found.append(f"account is lost: {user_id}")
            continue
        own = [row for row in rows.values() if row["user_id"]["S"] == user_id]
        sizes = [int(row["file_size"]["N"]) for row in own if _counts(row)]
        counted = (int(user["used_recordings"]["N"]), int(user["used_bytes"]["N"]))
        if counted != (len(sizes), sum(sizes)):
            found.append(f"counted wrong: {user_id} {counted} and not {(len(sizes), sum(sizes))}")
        entries = sorted(changes.get(user_id, []))
        told = {file_id: number for number, file_id in entries}
        numbers = {row["file_id"]["S"]: int(row["change_number"]["N"]) for row in own}
        if len(told) != len(entries) or not numbers.items() <= told.items():
            found.append(f"list of changes has gaps or repeats: {user_id}")
        if not entries or entries[-1][0] != int(user["change_number"]["N"]):
            found.append(f"list of changes ends elsewhere: {user_id}")
    return found


def _counts(row: dict[str, Any]) -> bool:
    return "deleted_at" not in row and row.get("status", {}).get("S") != "erasing"


def _objects(service: Service) -> dict[str, int]:
    """Return the size of each object that is there, versions that nobody reads included."""
    found = {}
    for page in service.s3().get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        found |= {version["Key"]: version["Size"] for version in page.get("Versions", [])}
    return found

"""Many rows at once, for moving a whole database: what is written, how, and under which conditions.

BatchWriteItem cannot carry a condition, so it would overwrite what is newer.
Rows are therefore written by TransactWriteItems, up to 100 actions at a time,
a row always together with its claim. The attributes are those of `User` and
`AudioFile`, and two more: `migration` says which migration wrote the item, so
that a write whose reply was lost is known again, and `email_display` keeps an
address as its owner wrote it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any, NamedTuple

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from panzoto.errors import PanzotoError, Unavailable
from panzoto.models import pauses, wire
from panzoto.models.attributes import EPOCH, PER_SECOND, EpochAttribute, StoredModel, now, rfc3339
from panzoto.models.audio_file import AudioFile
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.connection import BaseMeta
from panzoto.models.refusals import code_of, refused
from panzoto.models.session import Session
from panzoto.models.user import User

Item = dict[str, dict[str, Any]]
Action = dict[str, dict[str, Any]]

MOST_ACTIONS = 100
MOST_KEYS = 100
UNIT_BYTES = 1024
# A transaction prepares every item and then writes it, and is charged for both.
UNITS_IN_TRANSACTION = 2
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 20
LONGEST_PAUSE_SECONDS = 5.0
SCAN_ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 0.02
ORIGIN = "migration"

THROTTLED = frozenset(
    {
        "ThrottlingException",
        "ThrottlingError",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
PASSING = frozenset({"InternalServerError", "InternalFailure", "ServiceUnavailable", "RequestTimeout"})

_MOMENTS = EpochAttribute()
_canonical = json.JSONEncoder(separators=(",", ":")).encode


class Throttled(Unavailable):
    """DynamoDB asks for patience; `items` says that single items of a transaction were the cause."""

    def __init__(self, items: bool = False) -> None:
        super().__init__()
        self.items = items


class WriteRefused(Exception):
    """Conditions of a transaction failed and nothing of it was written; `failed` tells which, in order."""

    def __init__(self, failed: Sequence[bool]) -> None:
        super().__init__()
        self.failed = tuple(failed)


class AwsRefused(PanzotoError):
    """AWS refuses for a reason that waiting does not change; the sentence names AWS's code."""


class TableMissing(PanzotoError):
    """A table that is to be written does not exist; the sentence names it."""


class ScanPage(NamedTuple):
    """A page of a scan: its items, how many were looked at for them, and the key behind which it goes on."""

    items: list[Item]
    seen: int
    last: Item | None


class Described(NamedTuple):
    """A table: what tells it from all others, the attributes of its key, and about how many items it has.

    DynamoDB counts them every six hours or so.
    """

    identity: str
    keys: tuple[str, ...]
    items: int


class MigratedUser(NamedTuple):
    """An account as it arrives. `key_salt` is base64, `created_at` microseconds since the epoch."""

    user_id: str
    email: str
    email_display: str | None
    password_hash: str
    key_salt: str
    created_at: int


class MigratedRecording(NamedTuple):
    """A recording as it arrives. `uploaded_at` is microseconds since the epoch."""

    file_id: str
    user_id: str
    s3_key: str
    file_size: int | None
    uploaded_at: int


Migrated = MigratedUser | MigratedRecording


def digest(row: Migrated) -> bytes:
    """Return 16 bytes that stand for every value of `row`, the same whichever side it was read from."""
    return hashlib.blake2b(_canonical(row).encode("ascii"), digest_size=16).digest()


def user_item(user: MigratedUser, origin: str) -> Item:
    """Return the item of `user`; what is known of their recordings is `bookkeeping`."""
    moment = EPOCH + timedelta(microseconds=user.created_at)
    item: Item = {
        "user_id": {"S": user.user_id},
        "email": {"S": user.email},
        "password_hash": {"S": user.password_hash},
        "key_salt": {"S": user.key_salt},
        "created_at": {"N": _MOMENTS.serialize(moment)},
        "created_at_iso": {"S": rfc3339(moment)},
        ORIGIN: {"S": origin},
    }
    if user.email_display is not None:
        item["email_display"] = {"S": user.email_display}
    return item


def bookkeeping(recordings: int, size: int, number: int | None) -> Item:
    """Return what an account notes when all its recordings have claims and are numbered and counted.

    As `panzoto.recordings.ledger.settle` leaves it. `number` is at least that of its latest change.
    """
    item: Item = {
        "claims_complete": {"BOOL": True},
        "used_recordings": {"N": str(recordings)},
        "used_bytes": {"N": str(size)},
    }
    return item if number is None else item | {"change_number": {"N": str(number)}}


def number_of(item: Item) -> int | None:
    """Return the `change_number` of an account or a recording, None where it has none."""
    value = item.get("change_number", {}).get("N")
    return None if value is None else int(value)


def change_item(user_id: str, number: int, file_id: str) -> Item:
    """Return the entry of a recording in the list of its owner's changes."""
    return {"user_id": {"S": user_id}, "number": {"N": str(number)}, "file_id": {"S": file_id}}


def recording_item(recording: MigratedRecording, origin: str, number: int | None = None) -> Item:
    """Return the item of `recording`; one with a `number` is listed by when it was made, too."""
    moment = EPOCH + timedelta(microseconds=recording.uploaded_at)
    item: Item = {
        "file_id": {"S": recording.file_id},
        "user_id": {"S": recording.user_id},
        "s3_key": {"S": recording.s3_key},
        "uploaded_at": {"N": _MOMENTS.serialize(moment)},
        "uploaded_at_iso": {"S": rfc3339(moment)},
        ORIGIN: {"S": origin},
    }
    if number is not None:
        item |= {"change_number": {"N": str(number)}, "listed_at": item["uploaded_at"]}
    if recording.file_size is not None:
        item["file_size"] = {"N": str(recording.file_size)}
    return item


def claim_name(row: Migrated) -> str:
    """Return the key of the claim that belongs to `row`."""
    if isinstance(row, MigratedUser):
        return Claim.name_of_spelling(row.email)
    return Claim.name_of_s3_key(row.s3_key)


def claim_item(row: Migrated, origin: str) -> Item:
    """Return the claim that belongs to `row`."""
    item: Item = {"claim": {"S": claim_name(row)}, "user_id": {"S": row.user_id}, ORIGIN: {"S": origin}}
    if isinstance(row, MigratedRecording):
        item["file_id"] = {"S": row.file_id}
    return item


def holds(claim: Item, row: Migrated) -> bool:
    """Whether `claim` is that of `row`."""
    file_id = row.file_id if isinstance(row, MigratedRecording) else None
    return text(claim, "user_id") == row.user_id and text(claim, "file_id") == file_id


def text(item: Item, name: str) -> str | None:
    """Return a string attribute, None where it is absent."""
    value = item.get(name, {}).get("S")
    return value if isinstance(value, str) else None


def read_user(item: Item) -> MigratedUser | None:
    """Return the account that `item` holds, or None when it is no complete one."""
    try:
        return MigratedUser(
            item["user_id"]["S"],
            item["email"]["S"],
            text(item, "email_display"),
            item["password_hash"]["S"],
            item["key_salt"]["S"],
            _microseconds(item["created_at"]["N"]),
        )
    except (KeyError, ValueError, ArithmeticError):
        return None


def read_recording(item: Item) -> MigratedRecording | None:
    """Return the recording that `item` holds, or None when it is no complete one."""
    try:
        size = item.get("file_size", {}).get("N")
        return MigratedRecording(
            item["file_id"]["S"],
            item["user_id"]["S"],
            item["s3_key"]["S"],
            None if size is None else int(size),
            _microseconds(item["uploaded_at"]["N"]),
        )
    except (KeyError, ValueError, ArithmeticError):
        return None


def _microseconds(number: str) -> int:
    whole, _, fraction = number.partition(".")
    if whole.isdigit() and len(fraction) <= 6 and (not fraction or fraction.isdigit()):
        return int(whole) * PER_SECOND + int((fraction + "000000")[:6])
    scaled = Decimal(number) * PER_SECOND
    if scaled != int(scaled):
        # Finer than a microsecond: nobody here writes that, and rounding would hide a difference.
        raise ValueError(number)
    return int(scaled)


def units(item: Item) -> int:
    """Return the write units of one plain write of `item` to one table or index."""
    return max(1, -(-_size(item) // UNIT_BYTES))


def _size(item: Item) -> int:
    """Return the bytes that DynamoDB counts: names and values as UTF-8, numbers at two digits a byte."""
    total = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        total += len(name)
        if kind == "S":
            total += len(content) if content.isascii() else len(content.encode())
        else:
            total += len(content) // 2 + 2 if kind == "N" else 1
    return total


def put_new(model: type[StoredModel], item: Item, key: str = "") -> Action:
    """Write `item` unless there is one under its key, of which `key` names an attribute."""
    key = key or key_name(model)
    return {
        "Put": {
            "TableName": model.Meta.table_name,
            "Item": item,
            "ConditionExpression": f"attribute_not_exists({key})",
        }
    }


def put_over(model: type[StoredModel], item: Item, stored: Item) -> Action:
    """Write `item` in the place of `stored`, if that has not changed since it was read."""
    return {"Put": {"TableName": model.Meta.table_name, "Item": item, **_unchanged(model, stored)}}


def delete(model: type[StoredModel], stored: Item) -> Action:
    """Delete `stored`, if that has not changed since it was read."""
    key = key_name(model)
    where = {"TableName": model.Meta.table_name, "Key": {key: stored[key]}}
    return {"Delete": {**where, **_unchanged(model, stored)}}


def delete_entry(user_id: str, number: int) -> Action:
    """Delete an entry of the list of changes, if it is there."""
    key = {"user_id": {"S": user_id}, "number": {"N": str(number)}}
    return {"Delete": {"TableName": Change.Meta.table_name, "Key": key}}


def count_again(user_id: str) -> Action:
    """Let the service number and count an account's recordings anew, some of which have just been written."""
    return {
        "Update": {
            "TableName": User.Meta.table_name,
            "Key": {"user_id": {"S": user_id}},
            # Without counters the service counts what has a number already before it goes on.
            "UpdateExpression": "SET unnumbered_at = :now "
            "REMOVE claims_complete, settled_to, used_recordings, used_bytes",
            "ConditionExpression": "attribute_exists(user_id)",
            "ExpressionAttributeValues": {":now": {"N": _MOMENTS.serialize(now())}},
        }
    }


def place_of(action: Action) -> tuple[str, str]:
    """Return the table and the key that an action is about."""
    ((_, what),) = action.items()
    item, table = what.get("Key") or what["Item"], what["TableName"]
    if table == Change.Meta.table_name:
        return table, f"{item['user_id']['S']}/{item['number']['N']}"
    # The key comes first in every item that is made here.
    (value, *_) = item.values()
    return table, value["S"]


@cache
def key_name(model: type[StoredModel]) -> str:
    """Return the name of the model's hash key."""
    return next(a.attr_name for a in model.get_attributes().values() if a.is_hash_key)


def _unchanged(model: type[StoredModel], stored: Item) -> dict[str, Any]:
    """Return the condition that every attribute is as in `stored`, and no other of the model's is there."""
    known = {attribute.attr_name for attribute in model.get_attributes().values()}
    names: dict[str, str] = {}
    values: Item = {}
    terms = []
    for number, name in enumerate(sorted(known | stored.keys())):
        names[f"#{number}"] = name
        if name in stored:
            values[f":{number}"] = stored[name]
            terms.append(f"#{number} = :{number}")
        else:
            terms.append(f"attribute_not_exists(#{number})")
    return {
        "ConditionExpression": " AND ".join(terms),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


@dataclass(frozen=True, slots=True)
class Transaction:
    """A finished TransactWriteItems request; sent twice it writes once, since its token stays the same."""

    body: bytes

    @classmethod
    def of(cls, actions: Sequence[Action], token: str) -> Transaction:
        content = {"ClientRequestToken": token, "TransactItems": actions}
        return cls(_canonical(content).encode("ascii"))


class BulkTables:
    """The tables behind the models, for many threads at once; `bind_models` comes first.

    Every verb raises `Throttled` or `Unavailable` when trying again may help,
    and `AwsRefused` when not; only `fetch` and `pages` try again by themselves.
    """

    def __init__(self, threads: int) -> None:
        session = wire.connection_of(User).session
        patient = Config(
            # What is sent is made here and needs no checking.
            parameter_validation=False,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=threads,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        self._client: Any = session.create_client("dynamodb", BaseMeta.region, config=patient)
        self._body = threading.local()
        # Fresh random bytes for every token would have the threads wait for each other.
        self._run, self._serial = secrets.token_hex(8), count()
        wire.speak_plainly(self._client)
        wire.send_bodies_of(self._client, "TransactWriteItems", self._put_body)

    def _put_body(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._body.content

    def transaction(self, actions: Sequence[Action]) -> Transaction:
        """Return a request that does `actions`, at most `MOST_ACTIONS`, on as many items."""
        return Transaction.of(actions, f"{self._run}-{next(self._serial)}")

    def write(self, transaction: Transaction) -> None:
        """Write all of `transaction` or nothing. Raises `WriteRefused`."""
        self._body.content = transaction.body
        self._call(lambda: self._client.transact_write_items(TransactItems=[]))

    def fetch(self, model: type[StoredModel], keys: Iterable[str]) -> dict[str, Item]:
        """Return the items under `keys`, strongly consistent, by key; what is not there is left out."""
        waiting = list(dict.fromkeys(keys))
        found: dict[str, Item] = {}
        attempt = 0
        while waiting:
            some, left = self.fetch_some(model, waiting[:MOST_KEYS])
            found |= some
            waiting = left + waiting[MOST_KEYS:]
            attempt = attempt + 1 if left else 0
            if left:
                time.sleep(pause(attempt))
        return found

    def fetch_some(self, model: type[StoredModel], keys: Sequence[str]) -> tuple[dict[str, Item], list[str]]:
        """Do as `fetch` does for at most `MOST_KEYS`, once; also return those left over by a busy table."""
        key, table = key_name(model), model.Meta.table_name
        wanted = [{key: {"S": value}} for value in keys]
        request = {table: {"Keys": wanted, "ConsistentRead": True}}
        answer = self._call(lambda: self._client.batch_get_item(RequestItems=request))
        items = answer.get("Responses", {}).get(table, [])
        left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        return {item[key]["S"]: item for item in items}, [one[key]["S"] for one in left]

    def last_seen(self, user_id: str) -> int | None:
        """Return when a session of the account was last used, in microseconds, None where it has none.

        A table of sessions that is not there, or that we may not read, knows of none.
        """
        request = {
            "TableName": Session.Meta.table_name,
            "KeyConditionExpression": "user_id = :id",
            "ExpressionAttributeValues": {":id": {"S": user_id}},
        }
        try:
            found = self._call(lambda: self._client.query(**request)).get("Items", [])
        except AwsRefused:
            return None
        moments = [_microseconds(item["last_seen_at"]["N"]) for item in found if "last_seen_at" in item]
        return max(moments, default=None)

    def pages(self, model: type[StoredModel], index: str | None = None) -> Iterator[list[Item]]:
        """Yield all of a table, or of one of its indexes, a page at a time; the next one is read meanwhile.

        Not in parallel segments: docs/architecture.md tells why.
        """
        where: dict[str, Any] = {"TableName": model.Meta.table_name}
        where |= {"IndexName": index} if index else {"ConsistentRead": True}
        with ThreadPoolExecutor(1, thread_name_prefix="scan") as ahead:
            coming: Future[Any] | None = ahead.submit(self._patient_scan, where)
            while coming is not None:
                answer = coming.result()
                last = answer.get("LastEvaluatedKey")
                more = where | {"ExclusiveStartKey": last}
                coming = ahead.submit(self._patient_scan, more) if last else None
                yield answer.get("Items", [])

    def _patient_scan(self, request: dict[str, Any]) -> Any:
        for attempt in range(1, SCAN_ATTEMPTS):
            try:
                return self._call(lambda: self._client.scan(**request))
            except Unavailable:
                time.sleep(pause(attempt))
        return self._call(lambda: self._client.scan(**request))

    def page(self, table: str, segment: int, of: int, after: Item | None, **more: Any) -> ScanPage:
        """Return a page of what lies behind the key `after` in one of `of` segments of a table.

        `more` are parameters of Scan. Any key of the segment may be `after`, not only the last of a page.
        """
        where = {"TableName": table, "Segment": segment, "TotalSegments": of, **more}
        if after is not None:
            where["ExclusiveStartKey"] = after
        answer = self._call(lambda: self._client.scan(**where))
        items = answer.get("Items", [])
        return ScanPage(items, answer.get("ScannedCount", len(items)), answer.get("LastEvaluatedKey"))

    def described(self, table: str) -> Described:
        """Return what tells `table` from others, and about how large it is. Raises `TableMissing`."""
        found = self._described(table)
        identity = json.dumps(
            [found.get("TableArn"), found.get("TableId"), str(found.get("CreationDateTime"))]
        )
        keys = tuple(key["AttributeName"] for key in found.get("KeySchema", []))
        return Described(identity, keys, int(found.get("ItemCount") or 0))

    @contextmanager
    def telling_throttling(self, told: Callable[[], None]) -> Iterator[None]:
        """Call `told` at each answer that asks for patience, to these calls and to those of the models."""
        ours, theirs = self._client, wire.connection_of(User).client
        with wire.telling_throttling(ours, told), wire.telling_throttling(theirs, told):
            yield

    def has_rows(self, model: type[StoredModel]) -> bool:
        """Whether the table holds anything at all; one read."""
        answer = self._call(lambda: self._client.scan(TableName=model.Meta.table_name, Limit=1))
        return bool(answer.get("Items"))

    def identity(self) -> str:
        """Return what tells these tables from all others, also from tables of the same names made anew.

        Raises `TableMissing`.
        """
        self._describe(Change)
        tables = (self._describe(model) for model in (User, AudioFile, Claim))
        return json.dumps([[table.get("TableArn"), table.get("TableId")] for table in tables])

    def write_rate(self, model: type[StoredModel]) -> int:
        """Return the write units a second that the table takes from the start."""
        described = self._describe(model)
        provisioned = described.get("ProvisionedThroughput", {}).get("WriteCapacityUnits", 0)
        warm = described.get("WarmThroughput", {}).get("WriteUnitsPerSecond", 0)
        return int(provisioned or warm or ON_DEMAND_UNITS)

    def _describe(self, model: type[StoredModel]) -> dict[str, Any]:
        return self._described(model.Meta.table_name)

    def _described(self, name: str) -> dict[str, Any]:
        try:
            answer = self._call(lambda: self._client.describe_table(TableName=name))
        except AwsRefused as error:
            if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == TABLE_NOT_FOUND:
                raise TableMissing(
                    f"The table {name} does not exist; make it with `flask panzoto resources create`"
                ) from error
            raise
        described: dict[str, Any] = answer.get("Table", {})
        return described

    def _call(self, send: Callable[[], Any]) -> Any:
        try:
            return send()
        except ClientError as error:
            raise _translated(error) from error
        except (NoCredentialsError, PartialCredentialsError, NoRegionError) as error:
            raise AwsRefused(NO_CREDENTIALS) from error
        except (BotoCoreError, ResponseParserError) as error:
            raise Unavailable(f"DynamoDB cannot be reached: {type(error).__name__}") from error


NO_CREDENTIALS = "There are no AWS credentials, or not all of them"
# What AWS promises for a new on-demand table, before it has grown.
ON_DEMAND_UNITS = 4000
TABLE_NOT_FOUND = "ResourceNotFoundException"


def pause(attempt: int) -> float:
    """Return how long to wait before attempt `attempt` + 1: up to twice as long each time, at random."""
    return pauses.seconds(attempt, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def _translated(error: ClientError) -> Exception:
    code = code_of(error)
    if code == "TransactionCanceledException":
        return _cancelled(error)
    if code in THROTTLED:
        return Throttled()
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in PASSING or status >= 500:
        return Unavailable(f"DynamoDB failed with {code or status}")
    return AwsRefused(refused(error.operation_name, code, by="DynamoDB"))


def told_apart(error: Unavailable) -> PanzotoError:
    """Return what the models' `Unavailable` was: `Throttled`, `AwsRefused`, or itself, which may pass."""
    cause = error.__cause__
    original = getattr(cause, "cause", cause)
    if isinstance(original, (NoCredentialsError, PartialCredentialsError, NoRegionError)):
        return AwsRefused(NO_CREDENTIALS)
    told = _translated(original) if isinstance(original, ClientError) else error
    return told if isinstance(told, PanzotoError) else error


def _cancelled(error: ClientError) -> Exception:
    reasons = [str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", [])]
    if "ConditionalCheckFailed" in reasons:
        return WriteRefused([reason == "ConditionalCheckFailed" for reason in reasons])
    if reasons and all(reason in THROTTLED or reason == "None" for reason in reasons):
        return Throttled(items=True)
    others = sorted(set(reasons) - {"None"})
    return AwsRefused(f"DynamoDB cancelled a transaction: {', '.join(others) or 'no reason given'}")

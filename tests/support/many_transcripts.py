"""An account with very many transcripts, and what reading them asks of DynamoDB."""

from __future__ import annotations

import base64
import copy
import json
import math
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from panzoto.crypto import transcripts
from panzoto.models.change import transcripts_of
from panzoto.transcripts.document import packed
from tests.support.faults import Action, Control, Request
from tests.support.rows import FILES_TABLE
from tests.support.transcripts import Owner
from tests.support.wire import Piece

TRANSCRIPTS_TABLE = "panzoto-transcripts"
CHANGES_TABLE = "panzoto-changes"
# Beyond those of the recording that is copied.
FIRST_CHANGE = 1000
BATCH = 25
WRITERS = 4
WORDS_A_MINUTE = 150
WORDS_A_SEGMENT = 15
MS_A_WORD = 400
SAID = ["the", "meeting", "tomorrow", "about", "a", "budget", "we", "agreed", "and", "garden", "quiet"]
# Stands in every hundredth transcript, and in no other.
SELDOM = "xylophone"
# A unit reads 4 KB, strongly consistent, or twice as much (DynamoDB's guide, "Read and write operations").
UNIT_BYTES = 4096


def minute(file_id: str, number: int, chance: random.Random) -> bytes:
    """Return a transcript of one minute with the times of its words, packed as the service packs them."""
    said = [chance.choice(SAID) for _ in range(WORDS_A_MINUTE)]
    if number % 100 == 0:
        said[chance.randrange(WORDS_A_MINUTE)] = SELDOM
    segments = []
    for first in range(0, WORDS_A_MINUTE, WORDS_A_SEGMENT):
        spoken = said[first : first + WORDS_A_SEGMENT]
        words = [
            {"start_ms": at * MS_A_WORD, "end_ms": (at + 1) * MS_A_WORD, "text": word}
            for at, word in enumerate(spoken, first)
        ]
        times = {"start_ms": words[0]["start_ms"], "end_ms": words[-1]["end_ms"]}
        segments.append({**times, "text": " ".join(spoken), "words": words})
    return packed({"version": 1, "file_id": file_id, "segments": segments})


def write_many(owner: Owner, count: int, seed: int = 5) -> None:
    """Write so many recordings with transcripts and changes, as copies of one that was made by the calls.

    The account's own count of changes does not know of them, so changes that are made later are not told.
    """
    first = owner.record()
    owner.write(first, "the first")
    dynamodb = owner.service.dynamodb()
    row = dynamodb.get_item(TableName=FILES_TABLE, Key={"file_id": {"S": first}})["Item"]
    key = {"user_id": {"S": owner.user_id}, "file_id": {"S": first}}
    transcript = dynamodb.get_item(TableName=TRANSCRIPTS_TABLE, Key=key)["Item"]
    chance = random.Random(seed)

    def write(batch: list[int]) -> None:
        puts: dict[str, list[dict[str, Any]]] = {FILES_TABLE: [], TRANSCRIPTS_TABLE: [], CHANGES_TABLE: []}
        for number in batch:
            file_id = str(uuid.uuid4())
            sealed = transcripts.seal(
                minute(file_id, number, chance), owner.public_key, owner.user_id, file_id
            )
            for table, item in _copies(row, transcript, file_id, sealed, number):
                puts[table].append({"PutRequest": {"Item": item}})
        for table, requests in puts.items():
            for start in range(0, len(requests), BATCH):
                dynamodb.batch_write_item(RequestItems={table: requests[start : start + BATCH]})

    numbers = list(range(count))
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, (numbers[start : start + BATCH] for start in range(0, count, BATCH))))


def _copies(
    row: dict[str, Any], transcript: dict[str, Any], file_id: str, sealed: bytes, number: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    moment = {"N": str(1_700_000_000 + 60 * number)}
    other = copy.deepcopy(row) | {
        "file_id": {"S": file_id},
        "s3_key": {"S": f"{row['s3_key']['S']}-{number}"},
        "uploaded_at": moment,
        "listed_at": moment,
        "transcript_size": {"N": str(len(sealed))},
    }
    other.pop("recorded_at", None)
    yield FILES_TABLE, other
    yield (
        TRANSCRIPTS_TABLE,
        transcript | {"file_id": {"S": file_id}, "sealed": {"B": sealed}, "size": {"N": str(len(sealed))}},
    )
    user_id = row["user_id"]["S"]
    for whose in (user_id, transcripts_of(user_id)):
        change = {
            "user_id": {"S": whose},
            "number": {"N": str(FIRST_CHANGE + number)},
            "file_id": {"S": file_id},
        }
        yield CHANGES_TABLE, change


def search_to_the_end(owner: Owner, ticket: str, query: str) -> tuple[int, int]:
    """Return how many hits there are, and by how many calls.

    One for which the stand-in was too slow is repeated.
    """
    hits, calls, cursor = 0, 0, None
    while True:
        body = {"query": query, "ticket": ticket, "limit": 100, **({"cursor": cursor} if cursor else {})}
        answer = owner.call("POST", "/api/search", json=body)
        if answer.status_code == 503:
            continue
        assert answer.status_code == 200, answer.text
        found = answer.json()
        hits, calls, cursor = hits + len(found["hits"]), calls + 1, found["next_cursor"]
        if cursor is None:
            return hits, calls


@dataclass
class Overheard(Action):
    """Adds up what DynamoDB is asked, by the sizes of what it answers; for one client at a time."""

    calls: list[str] = field(default_factory=list)
    units: float = 0.0
    _request: Request | None = None
    # The mean size of a row of each index, of which a filter may leave nothing in the answer.
    _row_bytes: float = 0.0

    def before_reply(self, request: Request) -> None:
        self._request = request

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:  # noqa: ARG002
        answer = b""
        for piece in pieces:
            answer += piece.data if piece.payload else b""
            yield piece
        request = self._request
        if request is not None and request.operation is not None:
            self.calls.append(request.operation)
            self.units += self._units(request.operation, request.json(), json.loads(answer))

    def forget(self) -> None:
        self.calls.clear()
        self.units = 0.0

    def _units(self, operation: str, asked: dict[str, Any], told: dict[str, Any]) -> float:
        if operation == "GetItem":
            return _rounded(_size(told.get("Item", {})), asked)
        if operation == "BatchGetItem":
            return sum(
                _rounded(_size(item), asked["RequestItems"][table])
                for table, items in told["Responses"].items()
                for item in items
            )
        if operation == "Query":
            items = told.get("Items", [])
            if items:
                self._row_bytes = sum(map(_size, items)) / len(items)
            return _rounded(told.get("ScannedCount", 0) * (self._row_bytes or 1000), asked)
        return 0.0


def _rounded(size: float, asked: dict[str, Any]) -> float:
    return max(1, math.ceil(size / UNIT_BYTES)) * (1.0 if asked.get("ConsistentRead") else 0.5)


def _size(item: dict[str, dict[str, Any]]) -> int:
    """Return about how large an item is (DynamoDB's guide, "DynamoDB item sizes")."""
    size = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        plain = base64.b64decode(content) if kind == "B" else str(content).encode()
        size += len(name) + len(plain)
    return size

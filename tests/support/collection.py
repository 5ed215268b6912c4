"""One account with very many recordings: what its pages cost, and whether nothing is hidden or told twice."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests

from panzoto.models.attributes import EPOCH, now, rfc3339
from tests.support import rows
from tests.support.fault_proxy import FaultProxy
from tests.support.service import PASSWORD, Service

BATCH = 25
WRITERS = 8
FIRST_MOMENT = 1_700_000_000
CLIPS_IN_SITTING = 5
CLIP_SECONDS = 60
OTHER_SITTING_SECONDS = 3600
PAGE = 50
EMAIL = "many-recordings@example.com"

Page = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """What one page took: requests to DynamoDB, and bytes of its answers."""

    requests: int
    answer_bytes: int


@dataclass
class Walk:
    """All pages of a list: their costs, the last one's apart when it is not full, and what was told."""

    name: str
    costs: list[Cost] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def ratio(self) -> float:
        """Return what the last full page costs by what the first does, in requests or bytes, the worse."""
        first, last = self.costs[0], self.costs[-1]
        return max(last.requests / first.requests, last.answer_bytes / first.answer_bytes)


def write_recordings(service: Service, count: int) -> str:
    """Write an account with so many recordings as the earlier service left it, and return its id.

    Nothing is claimed, numbered or counted yet: settling does that.
    """
    user_id = rows.put_user(service, EMAIL, PASSWORD, bytes(32))
    puts = [{"PutRequest": {"Item": _item(user_id, number)}} for number in range(count)]
    batches = [puts[start : start + BATCH] for start in range(0, count, BATCH)]
    dynamodb = service.dynamodb()

    def write(batch: list[dict[str, Any]]) -> None:
        left = {rows.FILES_TABLE: batch}
        while left:
            left = dynamodb.batch_write_item(RequestItems=left).get("UnprocessedItems", {})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, batches))
    return user_id


def record_sittings(service: Service, token: str, count: int) -> None:
    """Record so many by the call."""
    for number in range(count):
        _record(service, token, EPOCH + timedelta(seconds=_moment(number)))


def _record(service: Service, token: str, recorded_at: datetime) -> str:
    body = {
        "s3_key": f"users/phone/{uuid.uuid4()}",
        "file_size": 1000,
        "recorded_at": rfc3339(recorded_at),
        "duration_ms": CLIP_SECONDS * 1000,
    }
    answer = _answered(service, token, "POST", "/api/audio-file", json=body)
    assert answer.status_code == 201, answer.text
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


def _moment(number: int) -> int:
    """The recordings of a sitting follow each other without a pause, and sittings are an hour apart."""
    sitting, clip = divmod(number, CLIPS_IN_SITTING)
    return FIRST_MOMENT + sitting * OTHER_SITTING_SECONDS + clip * CLIP_SECONDS


def _item(user_id: str, number: int) -> dict[str, Any]:
    moment = _moment(number)
    return {
        "file_id": {"S": str(uuid.uuid4())},
        "user_id": {"S": user_id},
        "s3_key": {
            "S": f"audio_upload/{user_id}/audio_{user_id[:8]}_{moment}000_{number % 10_000:04d}.3gp_encrypted"
        },
        "file_size": {"N": str(10_000 + number % 1000)},
        "uploaded_at": {"N": str(moment)},
        "uploaded_at_iso": {"S": "2023-11-14T22:15:00"},
        "duration_ms": {"N": str(CLIP_SECONDS * 1000)},
    }


@dataclass
class Reader:
    """Reads pages as a phone does. `proxy` stands between the service and AWS and counts."""

    service: Service
    token: str
    proxy: FaultProxy
    limit: int = PAGE
    measures: bool = True
    _fewest: dict[str, int] = field(default_factory=dict)

    def walk(
        self, path: str, shown: Callable[[Page], list[str]], between: Callable[[], Any] | None = None
    ) -> Walk:
        """Read every page of `path`; `between` is called after each. `shown` names what a page tells."""
        walk = Walk(path)
        cursor: str | None = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page, cost = self._page(path, more)
            walk.told += shown(page)
            cursor = page["next_cursor"]
            if cursor is not None or not walk.costs:
                walk.costs.append(cost)
            if cursor is None:
                return walk
            if between is not None:
                between()

    def changes(self, since: str | None, limit: int) -> Iterator[tuple[list[Page], str, Cost]]:
        """Yield the changes since a point a page at a time, with the point after it."""
        while True:
            more = {"limit": str(limit)} | ({} if since is None else {"since": since})
            page, cost = self._page("/api/user/changes", more)
            since = page["next"]
            yield page["changes"], since, cost
            if not page["more"]:
                return

    def _page(self, path: str, more: dict[str, str]) -> tuple[Page, Cost]:
        query = {"limit": str(self.limit)} | more
        costs: list[Cost] = []
        # Every 20 s somebody asks whether the session goes on; of two readings the cheaper one has not.
        while len(costs) < (2 if self.measures else 1):
            self.proxy.forget()
            answer = _answered(self.service, self.token, "GET", path, params=query)
            assert answer.status_code == 200, answer.text
            asked = [record for record in self.proxy.requests if record.operation]
            costs.append(Cost(len(asked), sum(record.bytes_sent for record in asked)))
            if len(asked) <= self._fewest.get(path, 1):
                break
        self._fewest[path] = min(len(asked), self._fewest.get(path, len(asked)))
        page: Page = answer.json()
        return page, min(costs, key=lambda cost: (cost.requests, cost.answer_bytes))


def files(page: Page) -> list[str]:
    return [audio_file["file_id"] for audio_file in page["audio_files"]]


def clips(page: Page) -> list[str]:
    return [file_id for sitting in page["sittings"] for file_id in sitting["file_ids"]]


Known = dict[str, Page]


def apply(known: Known, changes: list[Page]) -> None:
    """Do with the changes what section 5.7 of docs/clients.md says."""
    for change in changes:
        if change["type"] == "upsert":
            known[change["file_id"]] = change["audio_file"]
        else:
            known.pop(change["file_id"], None)


def points(reader: Reader, count: int, limit: int, chance: random.Random) -> list[tuple[str | None, Known]]:
    """Walk through all changes and return so many points on the way, each with what a phone knows there."""
    known: Known = {}
    seen: list[tuple[str | None, Known]] = [(None, {})]
    for changes, since, _ in reader.changes(None, limit):
        apply(known, changes)
        seen.append((since, dict(known)))
    return chance.sample(seen, min(count, len(seen)))


def meddle(service: Service, token: str, file_ids: list[str], chance: random.Random, times: int) -> None:
    """Change, bin, take back, erase and record, in any order."""
    for number in range(times):
        path = f"/api/audio-file/{chance.choice(file_ids)}"
        what = chance.randrange(5)
        if what == 0:
            _answered(service, token, "PATCH", path, json={"duration_ms": number})
        elif what == 1:
            _answered(service, token, "DELETE", path)
        elif what == 2:
            _answered(service, token, "POST", path + "/restore")
        elif what == 3:
            _answered(service, token, "DELETE", path + "?permanent=true")
        else:
            record(service, token)


def record(service: Service, token: str) -> str:
    """Record one more, made this moment, and return its file_id."""
    return _record(service, token, now())


def all_listed(service: Service, token: str) -> Known:
    """Return what all pages of the list show."""
    shown: Known = {}
    query: dict[str, Any] = {"limit": 1000}
    while query.get("cursor", "") is not None:
        page = _answered(service, token, "GET", "/api/user/audio-files", params=query).json()
        shown |= {audio_file["file_id"]: audio_file for audio_file in page["audio_files"]}
        query["cursor"] = page["next_cursor"]
    return shown


def bin_some(service: Service, token: str, file_ids: list[str]) -> None:
    for file_id in file_ids:
        assert _answered(service, token, "DELETE", f"/api/audio-file/{file_id}").status_code == 200


def _answered(service: Service, token: str, method: str, path: str, **how: Any) -> requests.Response:
    """Repeat what a busy stand-in made the service answer with 503, as phones do."""
    while True:
        answer = service.call(method, path, token, **how)
        if answer.status_code != 503:
            return answer
        time.sleep(float(answer.headers["Retry-After"]))

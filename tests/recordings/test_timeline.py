"""What belongs together: clips that follow or overlap one another, through the real tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from panzoto.recordings import timeline
from tests.support.service import Service

DAY = "2026-05-01T"


def recorded(service: Service, account: dict[str, Any], begin: str, seconds: float | None) -> str:
    body: dict[str, Any] = {
        "s3_key": f"users/{account['user_id']}/{begin}-{seconds}",
        "recorded_at": begin if "T" in begin else f"{DAY}{begin}Z",
    }
    if seconds is not None:
        body["duration_ms"] = int(seconds * 1000)
    answer = service.call("POST", "/api/audio-file", account["token"], json=body)
    assert answer.status_code == 201, answer.text
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


def told(service: Service, account: dict[str, Any], gap: int = 30, limit: int = 50) -> list[dict[str, Any]]:
    """The whole timeline, page by page."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"gap": gap, "limit": limit}
    while query.get("cursor", "") is not None:
        page = service.call("GET", "/api/user/timeline", account["token"], params=query).json()
        assert len(page["sittings"]) <= limit
        found += page["sittings"]
        query["cursor"] = page["next_cursor"]
    return found


@pytest.mark.parametrize("limit", [1, 50])
@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        # The second is over long before the first, which is what the third follows.
        ([("10:00:00", 3600), ("10:05:00", 60), ("11:00:10", 5)], [[0, 1, 2]]),
        ([("10:00:00", 3600), ("10:05:00", 60), ("11:00:31", 5)], [[2], [0, 1]]),
        # One of each telephone, at the same time.
        ([("10:00:00", 60), ("10:00:00", 30), ("10:01:20", 10)], [[0, 1, 2]]),
        ([("10:00:00", 600), *((f"10:0{n}:00", 10) for n in range(1, 10))], [list(range(10))]),
        ([("10:00:00", 100), ("10:01:00", 100), ("10:02:00", 100), ("10:10:00", 1)], [[3], [0, 1, 2]]),
        ([("10:00:00", None), ("10:00:30", None), ("10:01:01", None)], [[2], [0, 1]]),
        # Just within the gap, and a moment beyond it.
        ([("10:00:00", 10), ("10:00:40", 10), ("10:01:20.001", 1)], [[2], [0, 1]]),
    ],
)
def test_a_clip_belongs_to_what_has_lasted_until_then(
    service: Service,
    account: dict[str, Any],
    clips: list[tuple[str, float | None]],
    expected: list[list[int]],
    limit: int,
) -> None:
    ids = [recorded(service, account, begin, seconds) for begin, seconds in clips]
    grouped = [
        sorted(ids.index(file_id) for file_id in one["file_ids"])
        for one in told(service, account, limit=limit)
    ]
    assert grouped == expected


def test_a_sitting_ends_when_its_last_clip_does(service: Service, account: dict[str, Any]) -> None:
    for begin, seconds in (("10:00:00", 3600), ("10:05:00", 60)):
        recorded(service, account, begin, seconds)
    (sitting,) = told(service, account)
    assert (sitting["started_at"], sitting["ended_at"]) == (f"{DAY}10:00:00Z", f"{DAY}11:00:00Z")
    assert sitting["duration_ms"] == 3_660_000


def test_how_far_back_is_looked_is_bounded(service: Service, account: dict[str, Any]) -> None:
    """A recording of days covers what began a day after it only where nothing else lies between."""
    long = recorded(service, account, "2026-05-01T00:00:00Z", 5 * 86400)
    near = recorded(service, account, "2026-05-01T20:00:00Z", 1)
    (sitting,) = told(service, account)
    assert sitting["file_ids"] == [long, near]
    assert timeline.LOOK_BACK.total_seconds() == 86400


def test_a_sitting_without_an_end_is_cut() -> None:
    """With what the tables would yield, since thousands of rows take long to write."""
    begin, second = datetime(2026, 5, 1, tzinfo=UTC), timedelta(seconds=1)
    clips = [timeline.Clip(str(n), begin + n * second, begin + n * second, n) for n in range(5000)]
    coming = timeline.Coming(iter(clips[::-1]), second)
    taken = [coming.sitting(timeline.MOST_CLIPS) for _ in range(4)]
    assert [len(one) for one in taken] == [2000, 2000, 1000, 0]
    assert [clip for one in taken for clip in one] == clips[::-1]

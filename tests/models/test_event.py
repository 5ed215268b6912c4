"""The security log in its table: its order, its pages, and when its rows go."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

import panzoto.models.event
from panzoto.models import Event
from panzoto.models.event import KEPT
from tests.support.service import Service

DAY = 86400
pytestmark = pytest.mark.usefixtures("bound_here")


@pytest.fixture
def user_id() -> str:
    return str(uuid.uuid4())


def written(user_id: str, *types: str) -> list[Event]:
    events = [Event.of(user_id, type_, None, "203.0.113.5") for type_ in types]
    for event in events:
        event.write()
    return events


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_what_was_written_is_read(user_id: str) -> None:
    before = datetime.now(UTC)
    Event.of(user_id, "recording_decrypted", "a-session", "2001:db8::1", file_id="f", more=[1, "ü"]).write()
    (event,) = Event.page(user_id, 10, None)
    assert (event.type, event.session_id, event.address) == (
        "recording_decrypted",
        "a-session",
        "2001:db8::1",
    )
    assert before <= event.at <= datetime.now(UTC)
    public = event.to_public()
    assert public["detail"] == {"file_id": "f", "more": [1, "ü"]}
    assert public["at"] == event.at.isoformat().replace("+00:00", "Z")


def test_what_is_not_known_is_null_and_no_detail_is_an_object(user_id: str) -> None:
    Event.of(user_id, "signed_out", None, None).write()
    public = Event.page(user_id, 1, None)[0].to_public()
    assert (public["session_id"], public["address"], public["detail"]) == (None, None, {})


def test_the_row_goes_after_400_days(service: Service, user_id: str) -> None:
    """DynamoDB's TTL wants a number of whole seconds."""
    written(user_id, "signed_in")
    found = service.dynamodb().query(
        TableName="panzoto-events",
        KeyConditionExpression="user_id = :user_id",
        ExpressionAttributeValues={":user_id": {"S": user_id}},
    )
    (row,) = found["Items"]
    assert timedelta(days=400) == KEPT
    assert abs(int(row["expires_at"]["N"]) - float(row["at"]["N"]) - 400 * DAY) <= 1
    described = service.dynamodb().describe_time_to_live(TableName="panzoto-events")
    assert described["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    assert described["TimeToLiveDescription"]["AttributeName"] == "expires_at"


def test_the_newest_is_first(user_id: str) -> None:
    names = [f"event-{number}" for number in range(30)]
    written(user_id, *names)
    assert types(Event.page(user_id, 100, None)) == names[::-1]
    assert types(Event.page(user_id, 3, None)) == names[:-4:-1]


def test_pages_follow_each_other_without_gap_or_double(user_id: str) -> None:
    names = [f"event-{number}" for number in range(23)]
    written(user_id, *names)
    seen: list[str] = []
    before = None
    while page := Event.page(user_id, 5, before):
        # What is appended meanwhile is newer than every page that follows.
        written(user_id, "meanwhile")
        seen += types(page)
        before = page[-1].event_id
    assert seen == names[::-1]


def test_users_do_not_see_each_other(user_id: str) -> None:
    other = str(uuid.uuid4())
    written(user_id, "mine")
    (theirs,) = written(other, "theirs")
    assert types(Event.page(user_id, 10, None)) == ["mine"]
    assert types(Event.page(user_id, 10, theirs.event_id)) in ([], ["mine"])
    assert Event.page(str(uuid.uuid4()), 10, None) == []


def test_the_same_microsecond_holds_many(user_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2031, 3, 5, 12, 0, 30, 999_999, tzinfo=UTC)
    monkeypatch.setattr(panzoto.models.event, "now", lambda: moment)
    written(user_id, *["signed_in"] * 20)
    found = Event.page(user_id, 100, None)
    assert len({event.event_id for event in found}) == 20
    assert {event.at for event in found} == {moment}


def test_names_sort_by_time_over_the_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [
        datetime(2001, 9, 9, 1, 46, 39, 999_999, tzinfo=UTC),
        datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC),
        datetime(2026, 11, 21, 11, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 11, 0, 0, 2, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2286, 11, 20, 17, 46, 40, tzinfo=UTC),
    ]
    names = []
    for moment in moments:
        monkeypatch.setattr(panzoto.models.event, "now", lambda moment=moment: moment)
        names.append(Event.of("u", "signed_in", None, None).event_id)
    assert names == sorted(names)
    assert len({len(name) for name in names}) == 1


def test_an_account_that_goes_takes_its_log_along(user_id: str) -> None:
    other = str(uuid.uuid4())
    written(user_id, *["signed_in"] * 60)
    written(other, "theirs")
    Event.remove_all(user_id)
    assert Event.page(user_id, 10, None) == []
    assert types(Event.page(other, 10, None)) == ["theirs"]

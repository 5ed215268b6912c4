"""An index tells a moment later than its table: what it does not tell yet must not pass for absent."""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Any

import pytest

from panzoto.models.audio_file import AudioFile
from panzoto.models.bulk import BulkTables, count_again
from panzoto.models.user import User
from panzoto.recordings import settling
from panzoto.recordings.settling import AT_ONCE
from tests.recordings.test_settling import all_changes, by_recorded_at, changes, legacy, usage
from tests.support import rows
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Fault
from tests.support.recordings import store
from tests.support.service import Service

NOTHING = b'{"Items":[],"Count":0,"ScannedCount":0}'


def arrive(service: Service, user_id: str) -> str:
    """Write what the migration writes for an account that is in use; return the recording's id."""
    file_id = rows.put_file(service, user_id, f"legacy/{user_id}/{uuid.uuid4()}", 1_600_000_000)
    tables = BulkTables(1)
    tables.write(tables.transaction([count_again(user_id)]))
    return file_id


def let_a_minute_pass(service: Service, user_id: str) -> None:
    """Let the account look as if what it waits for had been written a minute ago."""
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": user_id}},
        UpdateExpression="SET unnumbered_at = :then",
        ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 61)}},
    )


@pytest.mark.usefixtures("bound_here")
class TestWhatTheIndexDoesNotTellYet:
    def test_is_taken_up_as_soon_as_it_tells(
        self, service: Service, second: Service, proxy: FaultProxy, account: dict[str, Any]
    ) -> None:
        token, user_id = account["token"], account["user_id"]
        ours = store(service, account, f"users/{user_id}/0.3gp", b"x" * 9)
        moved = arrive(service, user_id)
        of_index = lambda request: b"user-files-index" in request.body  # noqa: E731
        answer = Answer(200, NOTHING, "application/x-amz-json-1.0")
        lagging = proxy.add(Fault(answer, operation="Query", where=of_index, times=1))
        first = changes(second, token)
        proxy.clear()
        assert lagging.applied == 1
        assert [change["file_id"] for change in first["changes"]] == [ours]
        # Who asks again at once learns nothing more, and is not told to.
        assert first["more"] is False
        later = changes(second, token, first["next"])
        assert [change["file_id"] for change in later["changes"]] == [moved]
        assert set(all_changes(second, token)[0]) == {ours, moved}
        assert usage(second, token) == (2, 9 + 4096)
        placed = [one["file_id"] for page in by_recorded_at(second, token) for one in page]
        assert placed == [ours, moved]

    def test_is_waited_for_a_minute_and_no_longer(self, service: Service, account: dict[str, Any]) -> None:
        token, user_id = account["token"], account["user_id"]
        moved = arrive(service, user_id)
        assert all_changes(service, token)[0] == [moved]
        assert "claims_complete" not in rows.user_row(service, user_id)
        let_a_minute_pass(service, user_id)
        assert all_changes(service, token)[0] == [moved]
        settled = rows.user_row(service, user_id)
        assert settled["claims_complete"] == {"BOOL": True}
        assert "unnumbered_at" not in settled
        assert (settled["used_recordings"], settled["used_bytes"]) == ({"N": "1"}, {"N": "4096"})

    def test_is_not_left_behind_by_what_it_does_tell(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is older than that would never be looked at again."""
        user_id, _, file_ids = legacy(service, AT_ONCE + 5)
        oldest = arrive(service, user_id)
        unnumbered = AudioFile.unnumbered

        def lagging(
            user_id: str, limit: int, since: datetime | None
        ) -> tuple[list[AudioFile], list[AudioFile]]:
            rows, damaged = unnumbered(user_id, limit + 1, since)
            return [row for row in rows if row.file_id != oldest][:limit], damaged

        with monkeypatch.context() as patch:
            patch.setattr(AudioFile, "unnumbered", lagging)
            assert settling.take_up(there(user_id)) is False
        settling.settle(there(user_id))
        assert {row.file_id for row in AudioFile.rows([oldest, *file_ids]).values() if is_numbered(row)} == {
            oldest,
            *file_ids,
        }

    def test_is_not_forgotten_by_who_looked_before_it_was_written(
        self, service: Service, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user_id = account["user_id"]
        unnumbered = AudioFile.unnumbered
        moved = []

        def before(user_id: str, limit: int, since: datetime | None) -> list[AudioFile]:
            found = unnumbered(user_id, limit, since)
            moved.append(arrive(service, user_id))
            return found

        # Of an account without counters nothing else would tell that something was written.
        assert "used_recordings" not in rows.user_row(service, user_id)
        with monkeypatch.context() as patch:
            patch.setattr(AudioFile, "unnumbered", before)
            assert settling.take_up(there(user_id)) is False
        settling.settle(there(user_id))
        assert is_numbered(AudioFile.rows(moved)[moved[0]])


def there(user_id: str) -> User:
    user = User.find(user_id)
    assert user is not None
    return user


def is_numbered(row: AudioFile) -> bool:
    return row.value("change_number") is not None

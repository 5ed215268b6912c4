"""An account of the earlier service is taken up bit by bit; nobody waits for rows that are not shown."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from panzoto.crypto.sealed import Sealer
from panzoto.cursors import Cursors
from panzoto.recordings.settling import AT_ONCE
from tests.support import rows
from tests.support.service import PASSWORD, Service

KEY_SALT = bytes(range(32))
COUNT = 60


def legacy(service: Service, count: int = COUNT, of_one_second: int = 2) -> tuple[str, str, list[str]]:
    """A user of the earlier service: id, token, and the file_ids from the oldest to the newest."""
    email = f"{uuid.uuid4().hex}@example.com"
    user_id = rows.put_user(service, email, PASSWORD, KEY_SALT)
    items = [
        {
            "file_id": {"S": str(uuid.uuid4())},
            "user_id": {"S": user_id},
            "s3_key": {"S": f"legacy/{user_id}/{number}"},
            "file_size": {"N": "4096"},
            "uploaded_at": {"N": str(1_700_000_000 + number // of_one_second)},
            "uploaded_at_iso": {"S": "2023-11-14T22:13:20"},
        }
        for number in range(count)
    ]
    for at in range(0, count, 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[at : at + 25]]
        service.dynamodb().batch_write_item(RequestItems={rows.FILES_TABLE: puts})
    answer = service.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    return user_id, answer.json()["token"], [item["file_id"]["S"] for item in items]


def numbered(service: Service, user_id: str) -> int:
    """How many recordings of a user have a number."""
    found = service.dynamodb().query(
        TableName=rows.FILES_TABLE,
        IndexName="user-files-index",
        KeyConditionExpression="user_id = :u",
        FilterExpression="attribute_exists(change_number)",
        ExpressionAttributeValues={":u": {"S": user_id}},
        Select="COUNT",
    )
    count: int = found["Count"]
    return count


def changes(service: Service, token: str, since: str | None = None, limit: int = 20) -> dict[str, Any]:
    query = {"limit": limit} | ({} if since is None else {"since": since})
    answer = service.call("GET", "/api/user/changes", token, params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def all_changes(service: Service, token: str, limit: int = 20) -> tuple[list[str], str]:
    told: list[str] = []
    since: str | None = None
    while True:
        page = changes(service, token, since, limit)
        told += [change["file_id"] for change in page["changes"]]
        since = page["next"]
        if not page["more"]:
            return told, page["next"]


def usage(service: Service, token: str) -> tuple[int, int]:
    told = service.call("GET", "/api/user", token).json()["usage"]
    return told["recordings"], told["bytes"]


def test_changes_take_up_a_few_at_a_time(service: Service) -> None:
    user_id, token, file_ids = legacy(service)
    first = changes(service, token, limit=1000)
    assert first["changes"] != []
    assert first["more"] is True
    assert numbered(service, user_id) == AT_ONCE
    told, _ = all_changes(service, token, 50)
    assert sorted(told) == sorted(file_ids)
    user = rows.user_row(service, user_id)
    assert user["claims_complete"] == {"BOOL": True}
    assert (user["used_recordings"], user["used_bytes"]) == ({"N": str(COUNT)}, {"N": str(COUNT * 4096)})
    assert "settled_to" not in user


def test_changes_of_an_account_that_is_written_to_meanwhile_have_no_gap(service: Service) -> None:
    user_id, token, file_ids = legacy(service)
    latest: dict[str, Any] = {}
    new: list[str] = []

    def write() -> None:
        for number in range(6):
            body = {"s3_key": f"users/{user_id}/new-{number}", "file_size": 10}
            answer = service.call("POST", "/api/audio-file", token, json=body)
            assert answer.status_code == 201, answer.text
            new.append(answer.json()["audio_file"]["file_id"])
            old = file_ids[-1 - number]
            edit = service.call("PATCH", f"/api/audio-file/{old}", token, json={"duration_ms": number})
            assert edit.status_code == 200, edit.text
            gone = service.call("DELETE", f"/api/audio-file/{file_ids[number]}", token)
            assert gone.status_code == 200, gone.text

    writer = threading.Thread(target=write)
    writer.start()
    since: str | None = None
    more = True
    while more or writer.is_alive():
        page = changes(service, token, since)
        latest |= {change["file_id"]: change for change in page["changes"]}
        since, more = page["next"], page["more"]
    writer.join()
    latest |= {change["file_id"]: change for change in changes(service, token, since, 1000)["changes"]}
    assert set(latest) == {*file_ids, *new}
    for number in range(6):
        assert latest[file_ids[number]]["type"] == "delete"
        assert latest[file_ids[-1 - number]]["audio_file"]["duration_ms"] == number
    assert usage(service, token) == (COUNT, (COUNT - 6) * 4096 + 60)
    user = rows.user_row(service, user_id)
    assert (user["used_recordings"], user["used_bytes"]) == (
        {"N": str(COUNT)},
        {"N": str((COUNT - 6) * 4096 + 60)},
    )


def pages(service: Service, token: str, path: str, name: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
    while query.get("cursor", "") is not None:
        answer = service.call("GET", path, token, params=query)
        assert answer.status_code == 200, answer.text
        yield answer.json()[name]
        query["cursor"] = answer.json()["next_cursor"]


def by_recorded_at(service: Service, token: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
    query = {"order": "recorded_at", "limit": 7} | query
    return pages(service, token, "/api/user/audio-files", "audio_files", **query)


def test_lists_by_recorded_at_number_nothing_and_are_in_order(service: Service) -> None:
    user_id, token, file_ids = legacy(service)
    early = {"s3_key": f"users/{user_id}/early", "recorded_at": "2023-11-14T22:13:45.5Z"}
    early_id = service.call("POST", "/api/audio-file", token, json=early).json()["audio_file"]["file_id"]
    before = numbered(service, user_id)
    told = [one for page in by_recorded_at(service, token) for one in page]
    assert numbered(service, user_id) == before == AT_ONCE + 1
    times = [datetime.fromisoformat(one["recorded_at"] or one["uploaded_at"]) for one in told]
    assert times == sorted(times, reverse=True)
    assert sorted(one["file_id"] for one in told) == sorted([*file_ids, early_id])
    sittings = pages(service, token, "/api/user/timeline", "sittings", gap=0, limit=10)
    heard = [file_id for page in sittings for one in page for file_id in one["file_ids"]]
    assert sorted(heard) == sorted([*file_ids, early_id])
    assert numbered(service, user_id) == before


def test_a_list_goes_on_where_it_was_while_the_account_is_taken_up(service: Service) -> None:
    """What another device asks for meanwhile moves recordings from one order into the other."""
    user_id, token, file_ids = legacy(service)
    told: list[str] = []
    for page in by_recorded_at(service, token, limit=3):
        told += [one["file_id"] for one in page]
        newest = file_ids[-len(told) - 1 :][:3]
        for file_id in newest:
            patched = service.call("PATCH", f"/api/audio-file/{file_id}", token, json={"duration_ms": 5})
            assert patched.status_code == 200
        if len(told) == 30:
            all_changes(service, token)
            assert rows.user_row(service, user_id)["claims_complete"] == {"BOOL": True}
    assert len(told) == len(file_ids)
    assert set(told) == set(file_ids)


def test_a_part_of_the_list_is_that_part(service: Service) -> None:
    _, token, file_ids = legacy(service)
    between = {"from": "2023-11-14T22:13:30Z", "to": "2023-11-14T22:13:34Z"}
    told = [one["file_id"] for page in by_recorded_at(service, token, **between) for one in page]
    assert sorted(told) == sorted(file_ids[20:30])
    reversed_ = {"from": between["to"], "to": between["from"]}
    assert list(by_recorded_at(service, token, **reversed_)) == [[]]


class TestManyOfOneMoment:
    """An import gave them all the same second."""

    @pytest.mark.parametrize("limit", [7, 170])
    def test_the_list_goes_on_and_its_cursors_stay_short(self, service: Service, limit: int) -> None:
        _, token, file_ids = legacy(service, 200, of_one_second=200)
        told: list[str] = []
        query: dict[str, Any] = {"order": "recorded_at", "limit": limit}
        while query.get("cursor", "") is not None:
            page = service.call("GET", "/api/user/audio-files", token, params=query).json()
            told += [one["file_id"] for one in page["audio_files"]]
            query["cursor"] = page["next_cursor"]
            assert len(query["cursor"] or "") < 500
        assert told == sorted(file_ids)

    def test_a_cursor_of_an_earlier_release_goes_on(self, service: Service) -> None:
        """It names what was told of its moment, which came in no order."""
        user_id, token, file_ids = legacy(service, 40, of_one_second=20)
        newest = sorted(file_ids[20:])
        before = newest[::3]
        cursors = Cursors(Sealer(service.secret_key(), (), "cursor"))
        position = {"until": "1700000001", "told": before}
        query: dict[str, Any] = {"order": "recorded_at", "limit": 4}
        query["cursor"] = cursors.seal(user_id, "audio-files recorded_at (None, None)", position)
        told = [*before]
        while query["cursor"] is not None:
            page = service.call("GET", "/api/user/audio-files", token, params=query).json()
            told += [one["file_id"] for one in page["audio_files"]]
            query["cursor"] = page["next_cursor"]
        assert told == [*before, *sorted(set(newest) - set(before)), *sorted(file_ids[:20])]


@pytest.mark.parametrize("call", ["edit", "bin", "upload", "record", "decrypt"])
def test_a_single_recording_waits_for_few_others(service: Service, call: str) -> None:
    user_id, token, file_ids = legacy(service)
    if call == "edit":
        answer = service.call("PATCH", f"/api/audio-file/{file_ids[40]}", token, json={"duration_ms": 5})
    elif call == "bin":
        answer = service.call("DELETE", f"/api/audio-file/{file_ids[40]}", token)
    elif call == "upload":
        answer = service.call("POST", "/api/uploads", token, json={"file_size": 5})
    elif call == "record":
        body = {"s3_key": f"users/{user_id}/one", "file_size": 5}
        answer = service.call("POST", "/api/audio-file", token, json=body)
    else:
        body = {"password": PASSWORD, "file_id": file_ids[40]}
        answer = service.call("POST", "/api/decrypt-audio", token, json=body)
        assert answer.json()["code"] == "object_not_found"
    assert answer.status_code < 500, answer.text
    assert numbered(service, user_id) <= AT_ONCE + 1
    told, _ = all_changes(service, token, 100)
    assert set(file_ids) <= set(told)
    expected = {
        "bin": (COUNT - 1, (COUNT - 1) * 4096),
        "upload": (COUNT + 1, COUNT * 4096 + 5),
        "record": (COUNT + 1, COUNT * 4096 + 5),
    }
    assert usage(service, token) == expected.get(call, (COUNT, COUNT * 4096))


def test_an_account_that_was_numbered_without_counting_is_counted(service: Service) -> None:
    """An earlier release was interrupted between the two."""
    user_id, token, file_ids = legacy(service, 40)
    changes(service, token)
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": user_id}},
        UpdateExpression="REMOVE used_recordings, used_bytes, settled_to",
    )
    told, _ = all_changes(service, token, 7)
    assert sorted(told) == sorted(file_ids)
    user = rows.user_row(service, user_id)
    assert (user["used_recordings"], user["used_bytes"]) == ({"N": "40"}, {"N": str(40 * 4096)})


def test_two_rows_of_one_key_are_both_taken_up(service: Service) -> None:
    user_id, token, file_ids = legacy(service, 3)
    twin = rows.put_file(service, user_id, f"legacy/{user_id}/1")
    told, _ = all_changes(service, token)
    assert sorted(told) == sorted([*file_ids, twin])


def test_devices_that_ask_at_once_leave_nothing_out(service: Service) -> None:
    user_id, token, file_ids = legacy(service)
    told: list[set[str]] = []
    threads = [
        threading.Thread(target=lambda: told.append(set(all_changes(service, token, 20)[0])))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [set(file_ids)] * 3
    user = rows.user_row(service, user_id)
    assert (user["used_recordings"], user["change_number"]) == ({"N": str(COUNT)}, {"N": str(COUNT)})


def test_of_two_changes_at_once_both_are_kept(service: Service, account: dict[str, Any]) -> None:
    """Both plan on the same state and the same number; the slower must not take the other's for its own."""
    token = account["token"]
    body = {"s3_key": f"users/{account['user_id']}/a", "file_size": 1}
    file_id = service.call("POST", "/api/audio-file", token, json=body).json()["audio_file"]["file_id"]

    def change(name: str, value: object) -> int:
        answer = service.call("PATCH", f"/api/audio-file/{file_id}", token, json={name: value})
        return answer.status_code

    with ThreadPoolExecutor(2) as pool:
        for number in range(15):
            wanted = {"duration_ms": number + 1, "recorded_at": f"2023-11-14T22:13:{number + 10}Z"}
            codes = list(pool.map(change, wanted, wanted.values()))
            assert codes == [200, 200]
            stored = service.call("GET", f"/api/audio-file/{file_id}", token).json()["audio_file"]
            assert {name: stored[name] for name in wanted} == wanted


def test_a_recording_put_into_a_settled_account_from_outside_counts_once_it_is_touched(
    service: Service,
) -> None:
    user_id, token, _ = legacy(service, 2)
    all_changes(service, token)
    late = rows.put_file(service, user_id, f"legacy/{user_id}/late")
    assert service.call("DELETE", f"/api/audio-file/{late}", token).status_code == 200
    assert usage(service, token) == (2, 2 * 4096)
    assert service.call("POST", f"/api/audio-file/{late}/restore", token).status_code == 200
    assert usage(service, token) == (3, 3 * 4096)

"""A row of which an attribute is of a wrong type hides no other, is named, and is never removed for that."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.fewer_shards import FEWER
from tests.support.recordings import store
from tests.support.service import BUCKET, PASSWORD, Service, empty_tables, run_service
from tests.support.waiting import eventually

DAY = 86_400
WRONG = {"N": "5"}


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with start_moto() as aws, run_service(aws, **UNLIMITED, **FEWER) as running:
        yield running


@pytest.fixture
def service(running: Service) -> Service:
    """The service, its tables and its bucket empty, since sweeps and chores go over all that is there."""
    empty_tables(running.aws_url)
    for entry in running.s3().list_object_versions(Bucket=BUCKET).get("Versions", ()):
        running.s3().delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    return running


@pytest.fixture
def account(service: Service) -> dict[str, Any]:
    return service.register(f"{uuid.uuid4()}@example.com")


def record(service: Service, account: dict[str, Any]) -> tuple[str, str]:
    """Record something; return its id and key."""
    key = f"users/{account['user_id']}/{uuid.uuid4()}"
    return store(service, account, key, b"sound"), key


def damage(service: Service, file_id: str, name: str = "title", value: dict[str, str] = WRONG) -> None:
    """Let an attribute of a recording be of a wrong type."""
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def named(printed: str) -> set[str]:
    """Return the rows that a log names as damaged."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return {line["row"] for line in lines if line["event"] == "damaged_record"}


def recordings(service: Service) -> set[str]:
    """Return the ids of all recordings that there is a row of."""
    return {item["file_id"]["S"] for item in service.dynamodb().scan(TableName=rows.FILES_TABLE)["Items"]}


def keys(service: Service) -> set[str]:
    return {one["Key"] for one in service.s3().list_objects_v2(Bucket=BUCKET).get("Contents", ())}


class TestDeletingAnAccount:
    @pytest.mark.parametrize(
        ("table", "key", "name"),
        [
            ("events", "event_id", "address"),
            ("sessions", "session_id", "device_name"),
            ("erasures", "erasure_id", "file_id"),
            ("transcripts", "file_id", "revision"),
            ("transcriptions", "transcription_id", "status"),
        ],
    )
    def test_a_damaged_row_of_any_table_goes_with_it(
        self, service: Service, account: dict[str, Any], table: str, key: str, name: str
    ) -> None:
        item = {"user_id": {"S": account["user_id"]}, key: {"S": "damaged"}, name: WRONG}
        service.dynamodb().put_item(TableName=f"panzoto-{table}", Item=item)
        delete(service, account)
        assert service.dynamodb().scan(TableName=f"panzoto-{table}")["Items"] == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("title", WRONG),
            ("file_size", {"S": "many"}),
            ("transcript", {"S": "{"}),
            ("user_id", WRONG),
            ("earlier_key", WRONG),
        ],
    )
    def test_a_damaged_recording_goes_with_it_and_so_do_all_others(
        self, service: Service, account: dict[str, Any], name: str, value: dict[str, str]
    ) -> None:
        for file_id in [record(service, account)[0] for _ in range(3)][:2]:
            damage(service, file_id, name, value)
        binned, _ = record(service, account)
        assert service.call("DELETE", f"/api/audio-file/{binned}", account["token"]).status_code == 200
        damage(service, binned, name, value)
        delete(service, account)
        assert (recordings(service), keys(service)) == (set(), set())
        assert service.dynamodb().scan(TableName="panzoto-changes")["Items"] == []
        claims = service.dynamodb().scan(TableName="panzoto-claims")["Items"]
        assert [one for one in claims if one["claim"]["S"] != "deletions"] == []

    def test_a_damaged_entry_of_the_changes_hides_no_recording(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        listed, binned = record(service, account)[0], record(service, account)[0]
        assert service.call("DELETE", f"/api/audio-file/{binned}", account["token"]).status_code == 200
        for item in service.dynamodb().scan(TableName="panzoto-changes")["Items"]:
            service.dynamodb().put_item(TableName="panzoto-changes", Item=item | {"file_id": WRONG})
        assert recordings(service) == {listed, binned}
        delete(service, account)
        assert (recordings(service), keys(service)) == (set(), set())

    def test_an_object_that_may_be_somebody_elses_is_left(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        """The row does not tell whether its object was ever opened by its owner's keys."""
        key = f"attic-{uuid.uuid4()}"
        file_id = store(service, account, key, b"sound")
        damage(service, file_id, "unproved")
        delete(service, account)
        assert (recordings(service), keys(service)) == (set(), {key})
        assert named(service.log()) >= {file_id}


class TestSweeping:
    def test_a_sweep_passes_over_a_damaged_row_and_names_it(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        """It would be erased, were it not damaged; its object is not taken for nobody's."""
        damaged, _ = sorted(binned_long_ago(service, account) for _ in range(2))
        damage(service, damaged)
        printed = done(service, "sweep", "recordings", "sweep", "--apply", status=1)
        assert recordings(service) == {damaged}
        assert named(printed) == {damaged}
        assert "not done, 1 times: rows that cannot be read: damaged_record" in printed
        assert len(keys(service)) == 1
        assert "record without object" not in printed.replace("records without object", "")

    def test_what_a_damaged_row_may_name_stays(self, service: Service, account: dict[str, Any]) -> None:
        """A row of the earlier service without a claim, and nothing else, says that this is somebody's."""
        key = f"audio_upload/{uuid.uuid4()}.3gp"
        service.put_object(key, b"sound")
        record(service, account)
        file_id = rows.put_file(service, account["user_id"], key)
        damage(service, file_id, "s3_key")
        done(service, "sweep", "recordings", "sweep", "--apply", status=1)
        for item in service.dynamodb().scan(TableName="panzoto-sweeps")["Items"]:
            item["at"] = {"N": str(float(item["at"]["N"]) - 40 * DAY)}
            service.dynamodb().put_item(TableName="panzoto-sweeps", Item=item)
        printed = done(service, "sweep", "recordings", "sweep", "--apply", status=1)
        assert key in keys(service)
        assert f"left, since a row that cannot be read may name it: {key}" in printed


class TestChores:
    def test_a_damaged_row_keeps_no_other_of_its_account_waiting(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        ids = [binned_long_ago(service, account) for _ in range(3)]
        damage(service, ids[1])
        due_now(service, account)
        printed = done(service, "chores", "chores", "run", status=1)
        assert recordings(service) == {ids[1]}
        assert named(printed) == {ids[1]}
        assert len(keys(service)) == 1
        assert "rows that cannot be read: damaged_record" in printed

    def test_once_it_is_mended_its_chore_is_done(self, service: Service, account: dict[str, Any]) -> None:
        file_id = binned_long_ago(service, account)
        damage(service, file_id)
        due_now(service, account)
        done(service, "chores", "chores", "run", status=1)
        damage(service, file_id, value={"S": "a title again"})
        due_now(service, account)
        done(service, "chores", "chores", "run")
        assert (recordings(service), keys(service)) == (set(), set())


class TestWhatItsOwnerSees:
    @pytest.mark.parametrize("path", ["audio-files", "audio-files?order=recorded_at", "trash"])
    def test_a_list_leaves_it_out_and_loses_no_other_at_any_page(
        self, service: Service, account: dict[str, Any], path: str
    ) -> None:
        ids = [record(service, account)[0] for _ in range(6)]
        if path == "trash":
            for file_id in ids:
                service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        for file_id in (ids[0], ids[2], ids[3], ids[5]):
            damage(service, file_id)
        for limit in (1, 2, 3):
            assert listed(service, account, path, limit) == [ids[4], ids[1]]
        assert named(service.log()) >= {ids[0], ids[2], ids[3], ids[5]}

    def test_changes_do_not_tell_of_it_as_gone(self, service: Service, account: dict[str, Any]) -> None:
        ids = [record(service, account)[0] for _ in range(4)]
        for file_id in ids[1:3]:
            damage(service, file_id, "file_size", {"S": "many"})
        for limit in (1, 2, 3):
            told, since, more = [], "", True
            while more:
                query = f"limit={limit}" + (f"&since={since}" if since else "")
                answer = service.call("GET", f"/api/user/changes?{query}", account["token"]).json()
                told += [(one["type"], one["file_id"]) for one in answer["changes"]]
                since, more = answer["next"], answer["more"]
            assert told == [("upsert", ids[0]), ("upsert", ids[3])]

    def test_the_timeline_shows_all_others(self, service: Service, account: dict[str, Any]) -> None:
        ids = [record(service, account)[0] for _ in range(3)]
        damage(service, ids[1])
        answer = service.call("GET", "/api/user/timeline", account["token"]).json()
        assert [one["file_ids"] for one in answer["sittings"]] == [[ids[0], ids[2]]]

    def test_the_log_of_the_account_shows_all_others(self, service: Service, account: dict[str, Any]) -> None:
        item = {"user_id": {"S": account["user_id"]}, "event_id": {"S": "0-damaged"}, "type": WRONG}
        service.dynamodb().put_item(TableName="panzoto-events", Item=item)
        answer = service.call("GET", "/api/user/events", account["token"])
        assert [one["type"] for one in answer.json()["events"]] == ["registered"]
        assert f"{account['user_id']}/0-damaged" in named(service.log())

    def test_the_export_holds_all_others_and_names_it(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        (good, _), (bad, _) = record(service, account), record(service, account)
        damage(service, bad)
        transcript = {"user_id": {"S": account["user_id"]}, "file_id": {"S": good}, "size": {"S": "big"}}
        service.dynamodb().put_item(TableName="panzoto-transcripts", Item=transcript)
        answer = service.call("GET", "/api/user/export", account["token"])
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        records = [json.loads(line) for line in archive.read("recordings.jsonl").splitlines()]
        assert [one["file_id"] for one in records] == [good]
        assert [name for name in archive.namelist() if "/" in name] == [f"objects/{good}"]
        assert json.loads(archive.read("missing.json")) == {"file_ids": [bad], "transcripts": [good]}
        assert bad in named(service.log())

    def test_by_itself_it_is_refused(self, service: Service, account: dict[str, Any]) -> None:
        file_id, _ = record(service, account)
        damage(service, file_id)
        answer = service.call("GET", f"/api/audio-file/{file_id}", account["token"])
        assert (answer.status_code, answer.json()["code"]) == (500, "damaged_record")


class TestAnAccountOfTheEarlierService:
    """Its recordings are numbered and counted one by one, and a damaged one keeps it from nothing else."""

    @pytest.fixture
    def moved(self, service: Service, account: dict[str, Any]) -> list[str]:
        """Three recordings as the earlier service wrote them, the time of the second in milliseconds."""
        ids = [str(uuid.uuid4()) for _ in range(3)]
        for number, file_id in enumerate(ids):
            uploaded_at = "1650000001000" if number == 1 else str(1_650_000_000 + number)
            item = {
                "file_id": {"S": file_id},
                "user_id": {"S": account["user_id"]},
                "s3_key": {"S": f"users/{account['user_id']}/{number}"},
                "file_size": {"N": "5"},
                "uploaded_at": {"N": uploaded_at},
                "uploaded_at_iso": {"S": "x"},
            }
            service.dynamodb().put_item(TableName=rows.FILES_TABLE, Item=item)
        service.dynamodb().update_item(
            TableName=rows.USERS_TABLE,
            Key={"user_id": {"S": account["user_id"]}},
            UpdateExpression="REMOVE claims_complete, used_recordings, used_bytes, change_number",
        )
        return ids

    def test_it_records_on_and_is_told_of_all_others(
        self, service: Service, account: dict[str, Any], moved: list[str]
    ) -> None:
        token = account["token"]
        assert service.call("GET", "/api/user", token).json()["usage"]["recordings"] == 3
        new, _ = record(service, account)
        assert service.call("POST", "/api/uploads", token, json={"file_size": 5}).status_code == 201
        told = service.call("GET", "/api/user/changes", token).json()
        ids = {one["file_id"] for one in told["changes"] if one["type"] == "upsert"}
        assert (ids, told["more"]) == ({moved[0], moved[2], new}, False)
        assert moved[1] in named(service.log())

    def test_mended_it_is_taken_up_as_the_others_were(
        self, service: Service, account: dict[str, Any], moved: list[str]
    ) -> None:
        assert service.call("GET", "/api/user/changes", account["token"]).status_code == 200
        damage(service, moved[1], "uploaded_at", {"N": "1650000001"})
        told = service.call("GET", "/api/user/changes", account["token"]).json()
        assert {one["file_id"] for one in told["changes"]} == set(moved)
        usage = service.call("GET", "/api/user", account["token"]).json()["usage"]
        assert (usage["recordings"], usage["bytes"]) == (3, 15)

    def test_a_numbered_one_counts_by_what_can_be_read(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        record(service, account)
        bad, _ = record(service, account)
        damage(service, bad, "file_size", {"S": "many"})
        service.dynamodb().update_item(
            TableName=rows.USERS_TABLE,
            Key={"user_id": {"S": account["user_id"]}},
            UpdateExpression="REMOVE claims_complete, used_recordings, used_bytes",
        )
        record(service, account)
        usage = service.call("GET", "/api/user", account["token"]).json()["usage"]
        assert (usage["recordings"], usage["bytes"]) == (3, 10)


def listed(service: Service, account: dict[str, Any], path: str, limit: int) -> list[str]:
    """Return the ids of a list, read page by page."""
    ids: list[str] = []
    cursor = ""
    while cursor is not None:
        query = f"{'&' if '?' in path else '?'}limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        answer = service.call("GET", f"/api/user/{path}{query}", account["token"])
        assert answer.status_code == 200, answer.text
        ids += [one["file_id"] for one in answer.json()["audio_files"]]
        cursor = answer.json()["next_cursor"]
    return ids


def due_now(service: Service, account: dict[str, Any]) -> None:
    """Let the account be due, as somebody who changes something does and as time does."""
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression="SET due_at = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - DAY)}},
    )


def binned_long_ago(service: Service, account: dict[str, Any]) -> str:
    """Put a recording into the trash for longer than it lies there, and return its id."""
    file_id, _ = record(service, account)
    assert service.call("DELETE", f"/api/audio-file/{file_id}", account["token"]).status_code == 200
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET deleted_at = :moment",
        ExpressionAttributeValues={":moment": {"N": str(int(time.time()) - 40 * DAY)}},
    )
    return file_id


def delete(service: Service, account: dict[str, Any]) -> None:
    """Delete an account, which begins at once, and wait for its end."""
    answer = service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    assert answer.status_code == 202, answer.text

    def has_ended() -> bool:
        lines = [line for line in service.log().splitlines() if "account_deleted" in line]
        return any(account["user_id"] in line for line in lines)

    eventually(has_ended, service.log, 20)

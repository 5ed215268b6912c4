"""Chores by account: what is due is found by who changed something, done once, and never too early.

All of it runs by the commands, as timers and workers do, on tables and a bucket of its own. Time passes by
rewriting when something was announced, binned or put into the account's row.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.commands import command, done
from tests.support.fewer_shards import FEWER
from tests.support.service import BUCKET, Service, empty_tables, run_service
from tests.support.stand_in import start_stand_in
from tests.support.waiting import eventually

DAY = 86_400
ROLE = "chores"
SOUND = b"sound"


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with start_moto() as aws, run_service(aws, **UNLIMITED, **FEWER) as running:
        yield running


@pytest.fixture
def service(running: Service) -> Service:
    """The service, its bucket and tables empty: a run goes over everybody whom it finds there."""
    empty_tables(running.aws_url)
    s3 = running.s3()
    listed = s3.list_object_versions(Bucket=BUCKET)
    for entry in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    return running


@pytest.fixture
def beside_the_stand_in(tmp_path: Path) -> Iterator[Service]:
    """A service on the stand-in of `make run`."""
    with start_stand_in(tmp_path) as stand_in, run_service(stand_in.url, **UNLIMITED, **FEWER) as running:
        yield running


@pytest.fixture
def account(service: Service) -> dict[str, Any]:
    return service.register(f"{uuid.uuid4()}@example.com")


def record(service: Service, account: dict[str, Any]) -> tuple[str, str]:
    """Record something; return its id and key."""
    key = f"users/{account['user_id']}/{uuid.uuid4()}"
    service.put_object(key, SOUND)
    sent = {"s3_key": key, "file_size": len(SOUND)}
    answer = service.call("POST", "/api/audio-file", account["token"], json=sent)
    assert answer.status_code == 201, answer.text
    return answer.json()["audio_file"]["file_id"], key


@pytest.fixture
def recorded(service: Service, account: dict[str, Any]) -> tuple[str, str]:
    """Something recorded, so that no table is empty, which would hold all chores back."""
    return record(service, account)


def announce(service: Service, account: dict[str, Any]) -> tuple[str, str]:
    answer = service.call("POST", "/api/uploads", account["token"], json={"file_size": len(SOUND)})
    assert answer.status_code == 201, answer.text
    return answer.json()["file_id"], answer.json()["s3_key"]


def earlier(service: Service, file_id: str, name: str, days: float) -> None:
    """Let a moment of a recording have been so many days ago."""
    service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET #name = :moment",
        ConditionExpression="attribute_exists(#name)",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":moment": {"N": str(int(time.time() - days * DAY))}},
    )


def user(service: Service, account: dict[str, Any]) -> dict[str, Any]:
    return rows.user_row(service, account["user_id"])


# Tables with rows of accounts, and how their keys begin.
OF_ACCOUNTS = ("transcripts", "transcriptions", "erasures", "events", "changes", "sessions", "users")


def put_of_every_kind(service: Service, user_id: str, file_id: str) -> None:
    """Write a row into each table whose rows an account comes to only by what takes long."""
    of = {"user_id": {"S": user_id}}
    for table, key in (
        ("transcripts", {"file_id": {"S": file_id}}),
        ("transcriptions", {"transcription_id": {"S": "of-a-job"}}),
        ("erasures", {"erasure_id": {"S": "of-an-erasure"}}),
    ):
        service.dynamodb().put_item(TableName=f"panzoto-{table}", Item={**of, **key})


def left_of(service: Service, user_id: str) -> list[str]:
    """Return the tables that hold something of the account still."""
    found = {
        table: service.dynamodb().scan(
            TableName=f"panzoto-{table}",
            FilterExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
        )["Items"]
        for table in OF_ACCOUNTS
    }
    return [table for table, items in found.items() if items]


def row(service: Service, file_id: str) -> dict[str, Any] | None:
    found = service.dynamodb().get_item(TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}})
    return found.get("Item")


def is_there(service: Service, key: str) -> bool:
    return bool(service.s3().list_object_versions(Bucket=BUCKET, Prefix=key).get("Versions"))


def due_now(service: Service, account: dict[str, Any]) -> None:
    """Let what falls due some day be due now."""
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression="SET due_at = :moment",
        ConditionExpression="attribute_exists(due_shard)",
        ExpressionAttributeValues={":moment": {"N": str(int(time.time()))}},
    )


def run(service: Service) -> str:
    return done(service, ROLE, "chores", "run")


class TestAnAccountThatChanged:
    def test_it_is_due_until_it_was_looked_at(self, service: Service, account: dict[str, Any]) -> None:
        assert "due_at" not in user(service, account)
        record(service, account)
        assert {"due_at", "due_shard"} <= user(service, account).keys()
        run(service)
        looked_at = user(service, account)
        assert not {"due_at", "due_shard"} & looked_at.keys()
        assert looked_at["swept_to"] == looked_at["change_number"]

    def test_what_is_in_the_trash_goes_when_its_days_are_over(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        file_id, key = record(service, account)
        kept_id, kept_key = record(service, account)
        for one in (file_id, kept_id):
            service.call("DELETE", f"/api/audio-file/{one}", account["token"])
        run(service)
        assert is_there(service, key)
        # It is known when the first of them falls due.
        due_at = float(user(service, account)["due_at"]["N"])
        assert due_at == pytest.approx(time.time() + 30 * DAY, abs=300)
        earlier(service, file_id, "deleted_at", 30.1)
        due_now(service, account)
        assert "recordings past their days in the trash" in run(service)
        assert (row(service, file_id), is_there(service, key)) == (None, False)
        assert row(service, kept_id) is not None
        assert is_there(service, kept_key)

    def test_what_was_restored_meanwhile_stays(self, service: Service, account: dict[str, Any]) -> None:
        file_id, key = record(service, account)
        service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        earlier(service, file_id, "deleted_at", 31)
        restored = service.call("POST", f"/api/audio-file/{file_id}/restore", account["token"])
        assert restored.status_code == 200
        run(service)
        assert is_there(service, key)
        assert row(service, file_id) is not None

    def test_an_upload_that_never_came_is_given_up_after_a_day(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        file_id, _ = announce(service, account)
        run(service)
        # It is kept in sight: nobody else would ever look for it.
        seen = user(service, account)
        assert int(seen["swept_to"]["N"]) < int(seen["change_number"]["N"])
        assert float(seen["due_at"]["N"]) == pytest.approx(time.time() + DAY, abs=300)
        earlier(service, file_id, "announced_at", 1.1)
        record(service, account)
        assert "stale pending uploads" in run(service)
        left = row(service, file_id)
        assert left is None or left["status"]["S"] == "erasing"

    def test_an_upload_that_came_whole_and_was_never_reported_is_kept(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        file_id, key = announce(service, account)
        service.put_object(key, SOUND)
        earlier(service, file_id, "announced_at", 1.1)
        run(service)
        kept = row(service, file_id)
        assert kept is not None
        assert kept["status"]["S"] == "stored"

    @pytest.mark.parametrize("signs_in_by", ["address", "openid"])
    def test_a_deletion_that_lost_its_process_comes_to_its_end(
        self, service: Service, account: dict[str, Any], signs_in_by: str
    ) -> None:
        file_id, key = record(service, account)
        put_of_every_kind(service, account["user_id"], file_id)
        set_value(service, account, "deletion_started_at", {"N": str(int(time.time()) - DAY)})
        if signs_in_by == "openid":
            set_value(service, account, "openid_claim", {"S": f"openid#{uuid.uuid4()}"})
        due_now(service, account)
        run(service)
        assert not is_there(service, key)
        assert left_of(service, account["user_id"]) == []

    def test_nothing_is_done_while_a_hold_stands(self, service: Service, account: dict[str, Any]) -> None:
        file_id, key = record(service, account)
        service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        earlier(service, file_id, "deleted_at", 31)
        done(service, "sweep", "sweeps", "hold", "by-test")
        try:
            assert "held back: hold by-test" in run(service)
            assert "held back: hold by-test" in done(service, ROLE, "chores", "status")
            assert is_there(service, key)
        finally:
            done(service, "sweep", "sweeps", "release", "by-test")
        run(service)
        assert not is_there(service, key)

    def test_a_second_run_finds_nothing(self, service: Service, account: dict[str, Any]) -> None:
        record(service, account)
        run(service)
        # Nor does it fill the log with pieces that met nothing.
        again = run(service)
        assert "Nothing was due." in again
        assert "sweep_finished" not in again
        assert "accounts that are due: 0" in done(service, ROLE, "chores", "status")


class TestThePassOverEverybody:
    def test_it_finds_what_no_change_announced(self, service: Service, account: dict[str, Any]) -> None:
        file_id, key = record(service, account)
        service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        run(service)
        earlier(service, file_id, "deleted_at", 31)
        # As of a release before, which knew of no chores.
        service.dynamodb().update_item(
            TableName=rows.USERS_TABLE,
            Key={"user_id": {"S": account["user_id"]}},
            UpdateExpression="REMOVE due_at, due_shard, swept_to",
        )
        assert "recordings past their days in the trash" in run(service)
        assert not is_there(service, key)

    def test_a_recording_without_its_object_is_told_as_the_alarm_reads_it(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        _, key = record(service, account)
        run(service)
        service.s3().delete_object(Bucket=BUCKET, Key=key)
        tomorrow(service)
        lines = [json.loads(line) for line in run(service).splitlines() if line.startswith("{")]
        told = [line for line in lines if line["event"] == "sweep_finished"]
        assert sum(line["without_object"] for line in told) >= 1
        assert all(line["found"] for line in told)

    @pytest.mark.usefixtures("recorded")
    @pytest.mark.parametrize("folder", ["users/{0}/of-nobody", "transcripts/{0}/{0}/of-nobody-at-all"])
    def test_what_is_nobodys_is_seen_waits_and_is_moved_aside(self, service: Service, folder: str) -> None:
        key = folder.format(uuid.uuid4())
        service.put_object(key, SOUND)
        tomorrow(service)
        run(service)
        assert is_there(service, key)
        tomorrow(service, 31)
        assert "of nobody: to be moved aside" in run(service)
        assert not is_there(service, key)
        assert is_there(service, f"aside/{key}")

    @pytest.mark.usefixtures("recorded")
    def test_what_is_somebodys_by_now_is_brought_back_or_forgotten(self, service: Service) -> None:
        nobody = str(uuid.uuid4())
        keys = [f"users/{nobody}/aside", f"users/{nobody}/remembered"]
        service.put_object(keys[0], SOUND)
        tomorrow(service)
        run(service)
        tomorrow(service, 31)
        run(service)
        assert is_there(service, f"aside/{keys[0]}")
        service.put_object(keys[1], SOUND)
        tomorrow(service)
        run(service)
        rows.put_user(service, f"{nobody}@example.com", "a long password of theirs", b"s" * 16, nobody)
        tomorrow(service)
        assert "aside: named by a record or of an account by now" in run(service)
        assert is_there(service, keys[0])
        assert not remembered(service, keys[1])


def tomorrow(service: Service, days: float = 1) -> None:
    """Let all that chores remember have been so many days earlier."""
    dynamodb = service.dynamodb()
    for item in dynamodb.scan(TableName="panzoto-sweeps")["Items"]:
        item["at"] = {"N": str(float(item["at"]["N"]) - days * DAY)}
        dynamodb.put_item(TableName="panzoto-sweeps", Item=item)


def remembered(service: Service, key: str) -> bool:
    found = service.dynamodb().scan(TableName="panzoto-sweeps")["Items"]
    return any(item["kind"]["S"].startswith("seen#") and item["s3_key"]["S"] == key for item in found)


class TestTheWorker:
    def test_workers_hand_out_through_the_queue_and_do_it(self, service: Service) -> None:
        empties_the_trash_with_two_workers(service)

    def test_so_they_do_beside_the_stand_in_of_make_run(self, beside_the_stand_in: Service) -> None:
        empties_the_trash_with_two_workers(beside_the_stand_in)


def empties_the_trash_with_two_workers(service: Service) -> None:
    account = service.register(f"{uuid.uuid4()}@example.com")
    file_id, key = record(service, account)
    service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
    earlier(service, file_id, "deleted_at", 31)
    workers = [command(service, ROLE, "chores", "work") for _ in range(2)]
    try:
        eventually(lambda: not is_there(service, key) and row(service, file_id) is None, "it goes")
        eventually(lambda: "due_at" not in user(service, account), "nothing is due any more")
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()


class TestWhatFails:
    @pytest.mark.parametrize(
        ("name", "damaged", "mended"),
        [
            ("swept_to", {"S": "no number"}, {"N": "0"}),
            # Of the right type, and no JSON.
            ("reservations", {"S": "no JSON"}, {"S": "[]"}),
        ],
    )
    def test_one_account_that_cannot_be_read_keeps_nobody_else_waiting(
        self,
        service: Service,
        account: dict[str, Any],
        name: str,
        damaged: dict[str, str],
        mended: dict[str, str],
    ) -> None:
        broken = service.register(f"{uuid.uuid4()}@example.com")
        record(service, broken)
        file_id, key = record(service, account)
        service.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        earlier(service, file_id, "deleted_at", 31)
        set_value(service, broken, name, damaged)
        try:
            told = done(service, ROLE, "chores", "run", status=1)
            assert "changed: " in told
            assert not is_there(service, key)
        finally:
            set_value(service, broken, name, mended)
            due_now(service, broken)
        assert "not done" not in run(service)


def set_value(service: Service, account: dict[str, Any], name: str, value: dict[str, str]) -> None:
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def locked_or_not(service: Service, verb: str, account: dict[str, Any]) -> None:
    done(service, "support", "accounts", verb, account["user_id"])


def sweep_all(service: Service) -> str:
    return done(service, "sweep", "recordings", "sweep", "--apply")


class TestALockedAccount:
    @pytest.fixture
    def old(self, service: Service, account: dict[str, Any]) -> list[tuple[str, str]]:
        """What would go by time alone: days in the trash that are over, and an upload that never ended."""
        binned, announced = record(service, account), announce(service, account)
        service.call("DELETE", f"/api/audio-file/{binned[0]}", account["token"])
        earlier(service, binned[0], "deleted_at", 31)
        earlier(service, announced[0], "announced_at", 2)
        return [binned, announced]

    def test_loses_nothing_by_time_alone(
        self, service: Service, account: dict[str, Any], old: list[tuple[str, str]]
    ) -> None:
        before = [row(service, file_id) for file_id, _ in old]
        locked_or_not(service, "lock", account)
        for _ in range(2):
            assert "past their days" not in run(service)
            assert "past their days" not in sweep_all(service)
            due_now(service, account)
        run(service)
        assert [row(service, file_id) for file_id, _ in old] == before
        assert is_there(service, old[0][1])
        # It is looked at again, and not at every turn.
        due_at = float(user(service, account)["due_at"]["N"])
        assert due_at == pytest.approx(time.time() + DAY / 4, abs=300)

    def test_has_days_left_when_it_is_unlocked(
        self, service: Service, account: dict[str, Any], old: list[tuple[str, str]]
    ) -> None:
        (binned, key), (announced, _) = old
        locked_or_not(service, "lock", account)
        run(service)
        locked_or_not(service, "unlock", account)
        due_now(service, account)
        run(service)
        sweep_all(service)
        assert is_there(service, key)
        due_at = float(user(service, account)["due_at"]["N"])
        assert due_at == pytest.approx(time.time() + 7 * DAY, abs=300)
        set_value(service, account, "unlocked_at", {"N": str(int(time.time() - 7.1 * DAY))})
        due_now(service, account)
        run(service)
        assert (row(service, binned), is_there(service, key)) == (None, False)
        given_up = row(service, announced)
        assert given_up is None or given_up["status"]["S"] == "erasing"

    def test_an_erasure_that_its_owner_asked_for_is_finished(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        file_id, key = record(service, account)
        service.dynamodb().update_item(
            TableName=rows.FILES_TABLE,
            Key={"file_id": {"S": file_id}},
            UpdateExpression="SET #status = :erasing REMOVE uploaded_at, listed_at",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":erasing": {"S": "erasing"}},
        )
        locked_or_not(service, "lock", account)
        run(service)
        assert (row(service, file_id), is_there(service, key)) == (None, False)

    def test_is_left_alone_by_a_sweep_over_everybody(
        self, service: Service, account: dict[str, Any], old: list[tuple[str, str]]
    ) -> None:
        """A sweep knows each row by itself, and what is due of others goes."""
        other = service.register(f"{uuid.uuid4()}@example.com")
        gone, _ = record(service, other)
        service.call("DELETE", f"/api/audio-file/{gone}", other["token"])
        earlier(service, gone, "deleted_at", 31)
        locked_or_not(service, "lock", account)
        assert '"found": 1,' in sweep_all(service)
        assert row(service, gone) is None
        assert all(row(service, file_id) is not None for file_id, _ in old)

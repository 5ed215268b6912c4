"""Nothing erases what it does not understand: the rule for what no table knows of, in every situation.

All of it runs on the stand-in of `make run`, with versions, by the commands as the timer runs them. Days pass
by rewriting when something was first seen; what lies aside is old on a stand-in whose objects look old.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from panzoto import object_keys
from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.commands import command, done
from tests.support.service import BUCKET, PASSWORD, Service, run_service
from tests.support.stand_in import start_stand_in

SWEEPS_TABLE = "panzoto-sweeps"
CLAIMS_TABLE = "panzoto-claims"
DAY = 86_400
# What a person lets a night take where the hundred that it takes by itself are not needed.
FEW = ("--at-most", "20")
SOUND = b"sound that somebody may want"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a stand-in of `make run` of its own: others keep objects that no table knows of."""
    with (
        start_stand_in(tmp_path_factory.mktemp("stand-in")) as stand_in,
        run_service(stand_in.url, **UNLIMITED) as service,
    ):
        yield service


@pytest.fixture
def service(running: Service) -> Service:
    """The service, its bucket and tables empty."""
    empty_bucket(running)
    empty_all_tables(running)
    return running


@pytest.fixture
def lived_in(service: Service) -> Service:
    """The same, with an account and a recording, so that no table is empty."""
    account = service.register(f"{uuid.uuid4()}@example.com")
    record(service, account, f"users/{account['user_id']}/recorded")
    return service


def empty_all_tables(service: Service) -> None:
    dynamodb = service.dynamodb()
    for name in (rows.USERS_TABLE, rows.FILES_TABLE, CLAIMS_TABLE, SWEEPS_TABLE):
        described = dynamodb.describe_table(TableName=name)["Table"]
        keys = [key["AttributeName"] for key in described["KeySchema"]]
        for item in dynamodb.scan(TableName=name)["Items"]:
            dynamodb.delete_item(TableName=name, Key={key: item[key] for key in keys})


def empty_bucket(service: Service) -> None:
    s3 = service.s3()
    for entry in versions(service, ""):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])
    for upload in uploads(service):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


def versions(service: Service, prefix: str) -> list[dict[str, Any]]:
    pages = service.s3().get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one for page in pages for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]


def uploads(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return found


def record(service: Service, account: dict[str, Any], s3_key: str, body: bytes = SOUND) -> str:
    service.put_object(s3_key, body)
    sent = {"s3_key": s3_key, "file_size": len(body)}
    answer = service.call("POST", "/api/audio-file", account["token"], json=sent)
    assert answer.status_code == 201, answer.text
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


def sweep(service: Service, *words: str) -> dict[str, Any]:
    """Run the command and return its log line, with what it printed as `printed`."""
    printed = done(service, "sweep", "recordings", "sweep", *words)
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    told: dict[str, Any] = next(line for line in lines if line["event"] == "sweep_finished")
    return told | {"printed": printed}


def days_pass(service: Service, days: float) -> None:
    """Let everything that sweeps remember have been so many days earlier."""
    dynamodb = service.dynamodb()
    for item in dynamodb.scan(TableName=SWEEPS_TABLE)["Items"]:
        item["at"] = {"N": str(float(item["at"]["N"]) - days * DAY)}
        dynamodb.put_item(TableName=SWEEPS_TABLE, Item=item)


def more_were_removed(service: Service, count: int) -> None:
    """Let so many more have been moved or removed in the night that has begun."""
    service.dynamodb().update_item(
        TableName=SWEEPS_TABLE,
        Key={"kind": {"S": "state"}, "name": {"S": "night"}},
        UpdateExpression="ADD removed :count",
        ConditionExpression="attribute_exists(removed)",
        ExpressionAttributeValues={":count": {"N": str(count)}},
    )


def keys(service: Service) -> set[str]:
    """The keys that readers find something under, but for what lies aside."""
    pages = service.s3().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    found = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    return {key for key in found if not key.startswith(object_keys.ASIDE)}


def lying_aside(service: Service) -> list[str]:
    """The keys that were moved aside, once for each version."""
    found = versions(service, object_keys.ASIDE)
    return sorted(filter(None, (object_keys.original_key(entry["Key"]) for entry in found)))


class TestBeforeAndDuringAMove:
    def test_a_bucket_under_empty_tables_stays_as_it_is(self, service: Service) -> None:
        there = {f"users/{uuid.uuid4()}/audio-{number}.3gp" for number in range(5)} | {"audio_upload/x/1"}
        for key in there:
            service.put_object(key, SOUND)
        told = sweep(service, "--apply")
        assert (told["held"], told["first_seen"], told["removed"]) == (3, 6, 0)
        days_pass(service, 400)
        assert sweep(service, "--apply")["removed"] == 0
        assert keys(service) == there
        assert "held back: table panzoto-users is empty" in told["printed"]

    @pytest.mark.parametrize("table", [rows.USERS_TABLE, rows.FILES_TABLE, CLAIMS_TABLE])
    def test_one_empty_table_is_enough(self, lived_in: Service, table: str) -> None:
        dynamodb = lived_in.dynamodb()
        lived_in.put_object("users/nobody/1", SOUND)
        assert sweep(lived_in, "--apply")["first_seen"] == 1
        days_pass(lived_in, 31)
        name = {rows.USERS_TABLE: "user_id", rows.FILES_TABLE: "file_id", CLAIMS_TABLE: "claim"}[table]
        for item in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.delete_item(TableName=table, Key={name: item[name]})
        assert sweep(lived_in, "--apply")["held"] == 1
        assert "users/nobody/1" in keys(lived_in)

    def test_a_hold_stops_everything_and_waiting_begins_anew_after_it(self, lived_in: Service) -> None:
        lived_in.put_object("users/rejected/1", SOUND)
        sweep(lived_in, "--apply")
        done(lived_in, "sweep", "sweeps", "hold", "migration", "--reason", "moving")
        days_pass(lived_in, 31)
        told = sweep(lived_in, "--apply")
        assert (told["held"], told["removed"]) == (1, 0)
        assert "held back: hold migration" in told["printed"]
        told_by_status = done(lived_in, "sweep", "sweeps", "status")
        assert "moving; `flask panzoto sweeps release migration` lets go of it" in told_by_status
        done(lived_in, "sweep", "sweeps", "release", "migration")
        assert "Nothing holds" in done(lived_in, "sweep", "sweeps", "status")
        assert sweep(lived_in, "--apply")["waiting"] == 1
        days_pass(lived_in, 31)
        assert sweep(lived_in, "--apply")["removed"] == 1

    def test_what_an_owner_binned_waits_for_the_hold_too(self, lived_in: Service) -> None:
        account = lived_in.register(f"{uuid.uuid4()}@example.com")
        file_id = record(lived_in, account, f"users/{account['user_id']}/binned")
        lived_in.call("DELETE", f"/api/audio-file/{file_id}", account["token"])
        lived_in.dynamodb().update_item(
            TableName=rows.FILES_TABLE,
            Key={"file_id": {"S": file_id}},
            UpdateExpression="SET deleted_at = :before",
            ExpressionAttributeValues={":before": {"N": "1700000000"}},
        )
        done(lived_in, "sweep", "sweeps", "hold")
        sweep(lived_in, "--apply")
        assert f"users/{account['user_id']}/binned" in keys(lived_in)
        done(lived_in, "sweep", "sweeps", "release")
        sweep(lived_in, "--apply")
        assert f"users/{account['user_id']}/binned" not in keys(lived_in)

    def test_releasing_what_does_not_stand_names_what_does(self, service: Service) -> None:
        done(service, "sweep", "sweeps", "hold", "migration")
        printed = done(service, "sweep", "sweeps", "release", status=1)
        assert "No hold by-hand stands; the ones that do: migration" in printed


class TestWhatNoTableKnows:
    def test_it_is_seen_twice_thirty_days_apart_and_moved_aside_with_all_that_it_is(
        self, lived_in: Service
    ) -> None:
        key = "users/nobody/a file.3gp"
        lived_in.s3().put_object(
            Bucket=BUCKET, Key=key, Body=SOUND, ContentType="audio/3gpp", Metadata={"phone": "old"}
        )
        report = sweep(lived_in)
        assert "of nobody: seen for the first time: " + key in report["printed"]
        assert lived_in.dynamodb().scan(TableName=SWEEPS_TABLE)["Items"] == []
        assert sweep(lived_in, "--apply")["first_seen"] == 1
        days_pass(lived_in, 29)
        assert sweep(lived_in, "--apply")["waiting"] == 1
        days_pass(lived_in, 1.1)
        assert "of nobody: to be moved aside: " + key in sweep(lived_in)["printed"]
        assert key in keys(lived_in)
        assert sweep(lived_in, "--apply")["removed"] == 1
        assert key not in keys(lived_in)
        assert versions(lived_in, key) == []
        (aside,) = versions(lived_in, object_keys.ASIDE)
        assert object_keys.original_key(aside["Key"]) == key
        found = lived_in.s3().get_object(Bucket=BUCKET, Key=aside["Key"])
        assert found["Body"].read() == SOUND
        assert (found["ContentType"], found["Metadata"]) == ("audio/3gpp", {"phone": "old"})
        assert sweep(lived_in, "--apply")["removed"] == 0
        assert key in done(lived_in, "sweep", "recordings", "aside", "list")
        assert "back in its place" in done(lived_in, "sweep", "recordings", "aside", "bring-back", key)
        back = lived_in.s3().get_object(Bucket=BUCKET, Key=key)
        assert (back["Body"].read(), back["ContentType"]) == (SOUND, "audio/3gpp")
        assert lying_aside(lived_in) == []
        # It is seen anew.
        assert sweep(lived_in, "--apply")["first_seen"] == 1

    def test_a_transcript_that_no_row_names_goes_the_same_way(self, lived_in: Service) -> None:
        """As one that was put by a process that died before it could write the row."""
        key = object_keys.transcript_key(str(uuid.uuid4()), str(uuid.uuid4()), "A" * 16)
        lived_in.put_object(key, b"sealed")
        assert sweep(lived_in, "--apply")["first_seen"] == 1
        days_pass(lived_in, 31)
        assert sweep(lived_in, "--apply")["removed"] == 1
        assert lying_aside(lived_in) == [key]

    def test_what_is_put_again_is_seen_anew(self, lived_in: Service) -> None:
        key = "users/nobody/twice"
        lived_in.put_object(key, b"first")
        sweep(lived_in, "--apply")
        days_pass(lived_in, 31)
        lived_in.put_object(key, b"second")
        told = sweep(lived_in, "--apply")
        assert (told["first_seen"], told["removed"]) == (1, 1)
        assert lived_in.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"second"
        assert lying_aside(lived_in) == [key]
        assert "There is an object" in done(
            lived_in, "sweep", "recordings", "aside", "bring-back", key, status=1
        )

    def test_all_versions_go_the_oldest_first_and_a_marker_last(self, lived_in: Service) -> None:
        key = "users/nobody/marked"
        for body in (b"first", b"second"):
            lived_in.put_object(key, body)
        lived_in.s3().delete_object(Bucket=BUCKET, Key=key)
        sweep(lived_in, "--apply")
        days_pass(lived_in, 31)
        assert sweep(lived_in, "--apply", "--at-most", "1")["removed"] == 1
        assert len(versions(lived_in, key)) == 2
        days_pass(lived_in, 1)
        assert sweep(lived_in, "--apply")["removed"] == 1
        days_pass(lived_in, 1)
        assert sweep(lived_in, "--apply")["removed"] == 1
        assert versions(lived_in, key) == []
        assert lying_aside(lived_in) == [key, key]
        printed = done(lived_in, "sweep", "recordings", "aside", "bring-back", key)
        assert "still lying aside: 1 older version\n" in printed
        assert lived_in.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"second"

    def test_what_was_known_meanwhile_waits_anew(self, lived_in: Service) -> None:
        key = "users/nobody/known-for-a-while"
        lived_in.put_object(key, SOUND)
        sweep(lived_in, "--apply")
        days_pass(lived_in, 20)
        file_id = rows.put_file(lived_in, str(uuid.uuid4()), key)
        assert sweep(lived_in, "--apply")["waiting"] == 0
        days_pass(lived_in, 20)
        lived_in.dynamodb().delete_item(TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}})
        told = sweep(lived_in, "--apply")
        assert (told["first_seen"], told["removed"]) == (1, 0)

    def test_the_folder_of_an_account_is_left_alone(self, lived_in: Service) -> None:
        """An old phone puts its recording today, loses the network, and records it when it has one."""
        account = lived_in.register(f"{uuid.uuid4()}@example.com")
        there = {f"users/{account['user_id']}/late", f"audio_upload/{account['user_id']}/late"}
        for key in there:
            lived_in.put_object(key, SOUND)
        for _ in range(3):
            told = sweep(lived_in, "--apply")
            assert (told["first_seen"], told["removed"]) == (0, 0)
            days_pass(lived_in, 100)
        assert there <= keys(lived_in)

    def test_folders_that_are_not_named_are_nobodys_business(self, lived_in: Service) -> None:
        there = {"transcript/nobody/1", "backups/dump", "dump.sql", "Users/x", "sittings-old/1"}
        for key in there:
            lived_in.put_object(key, SOUND)
        for _ in range(2):
            assert sweep(lived_in, "--apply")["first_seen"] == 0
            days_pass(lived_in, 100)
        assert there <= keys(lived_in)

    def test_an_unfinished_upload_waits_for_both_times(self, lived_in: Service) -> None:
        lived_in.s3().create_multipart_upload(Bucket=BUCKET, Key="users/nobody/unfinished")
        assert sweep(lived_in, "--apply")["first_seen"] == 1
        days_pass(lived_in, 87)
        assert sweep(lived_in, "--apply")["removed"] == 0
        assert len(uploads(lived_in)) == 1
        days_pass(lived_in, 1.1)
        assert sweep(lived_in, "--apply")["removed"] == 1
        assert uploads(lived_in) == []

    def test_a_key_that_is_too_long_to_be_moved_stays(self, lived_in: Service) -> None:
        key = "users/nobody/" + "x" * 1000
        lived_in.put_object(key, SOUND)
        sweep(lived_in, "--apply")
        days_pass(lived_in, 31)
        assert "too long" in sweep(lived_in, "--apply")["printed"]
        assert key in keys(lived_in)


class TestPlansOfSittings:
    def test_a_plan_goes_after_a_day_and_nothing_else_does(self) -> None:
        """On a stand-in in whose bucket everything looks two days old."""
        with start_moto(object_age_days=2) as aws, run_service(aws) as service:
            account = service.register("plans@example.com")
            record(service, account, f"users/{account['user_id']}/1")
            plan, notes = (object_keys.plan_key(account["user_id"], str(uuid.uuid4())) for _ in range(2))
            service.put_object(plan, b"PNZ2" + bytes(300))
            service.put_object(notes, b"somebody's notes")
            service.put_object("sittings/notes/1", b"PNZ2" + bytes(300))
            service.s3().create_multipart_upload(Bucket=BUCKET, Key=plan)
            done(service, "sweep", "sweeps", "hold")
            sweep(service, "--apply")
            assert plan in keys(service)
            done(service, "sweep", "sweeps", "release")
            told = sweep(service, "--apply")
            assert "left among the plans of sittings" in told["printed"]
            assert keys(service) == {f"users/{account['user_id']}/1", notes, "sittings/notes/1"}
            assert len(uploads(service)) == 1

    def test_a_plan_that_is_a_day_young_stays(self, lived_in: Service) -> None:
        plan = object_keys.plan_key(str(uuid.uuid4()), str(uuid.uuid4()))
        lived_in.put_object(plan, b"PNZ2" + bytes(300))
        sweep(lived_in, "--apply")
        assert plan in keys(lived_in)


def test_the_same_with_moto_which_writes_down_the_rights_that_it_takes() -> None:
    with start_moto() as aws, run_service(aws) as service:
        account = service.register("rights@example.com")
        record(service, account, f"users/{account['user_id']}/1")
        moved = ("users/elsewhere/1", "users/elsewhere/2")
        for key in moved:
            service.put_object(key, SOUND)
        sweep(service, "--apply")
        days_pass(service, 31)
        assert sweep(service, "--apply")["removed"] == 2
        assert lying_aside(service) == [*moved]
        open_recorded(service, account, moved[0])
        done(service, "sweep", "recordings", "aside", "bring-back", moved[1])
        assert {*moved} <= keys(service)


def test_what_has_lain_aside_for_its_days_goes_unless_somebody_can_claim_it() -> None:
    """On a stand-in in whose bucket everything looks sixty days old, so what lies aside is due at once."""
    with start_moto(object_age_days=60) as aws, run_service(aws) as service:
        account = service.register("aside@example.com")
        record(service, account, f"users/{account['user_id']}/1")
        nobodys = {"users/elsewhere/1", "users/elsewhere/2"}
        claimed = "users/elsewhere/3"
        for key in (*nobodys, claimed):
            service.put_object(key, SOUND)
        sweep(service, "--apply")
        days_pass(service, 31)
        assert sweep(service, "--apply")["removed"] == 3
        assert lying_aside(service) == sorted([*nobodys, claimed])
        done(service, "sweep", "sweeps", "hold")
        assert sweep(service, "--apply")["removed"] == 0
        assert len(lying_aside(service)) == 3
        done(service, "sweep", "sweeps", "release")
        rows.put_file(service, account["user_id"], claimed)
        told = sweep(service, "--apply", "--at-most", "4")
        assert told["removed"] == 1
        assert claimed in keys(service)
        days_pass(service, 1)
        assert sweep(service, "--apply")["removed"] == 1
        assert versions(service, object_keys.ASIDE) == []
        assert claimed in keys(service)


def open_recorded(service: Service, account: dict[str, Any], key: str) -> None:
    """Record a key whose object lies aside, and ask for it to be opened; refused, as it is no recording."""
    sent = {"s3_key": key, "file_size": len(SOUND)}
    assert service.call("POST", "/api/audio-file", account["token"], json=sent).status_code == 201
    asked = {"s3_key": key, "password": PASSWORD}
    assert service.call("POST", "/api/decrypt-audio", account["token"], json=asked).status_code == 422


class TestAHundredANight:
    def test_two_sweeps_at_once_share_it(self, lived_in: Service) -> None:
        # More than the twenty and the eleven that this night takes.
        for number in range(50):
            lived_in.put_object(f"users/nobody/{number:03}", SOUND)
        sweep(lived_in, "--apply")
        days_pass(lived_in, 31)
        both = [command(lived_in, "sweep", "recordings", "sweep", "--apply", *FEW) for _ in range(2)]
        for one in both:
            printed, _ = one.communicate(timeout=240)
            assert one.returncode == 0, printed
        # Where both met at one object, one of them left it to the other and gave its number back.
        assert len(lying_aside(lived_in)) == len(set(lying_aside(lived_in))) <= 20
        told = sweep(lived_in, "--apply", *FEW)
        assert "more than a night may take" in told["printed"]
        assert len(set(lying_aside(lived_in))) == 20
        assert len(keys(lived_in)) == 1 + 30
        more_were_removed(lived_in, 79)
        told = sweep(lived_in, "--apply")
        assert "more than a night may take" in told["printed"]
        assert len(set(lying_aside(lived_in))) == 21
        assert len(keys(lived_in)) == 1 + 29
        assert sweep(lived_in, "--apply")["removed"] == 0
        assert "100 of 100" in done(lived_in, "sweep", "sweeps", "status")
        assert sweep(lived_in, "--apply", "--at-most", "110")["removed"] == 10
        days_pass(lived_in, 1)
        assert sweep(lived_in, "--apply")["removed"] == 19
        assert len(keys(lived_in)) == 1


class TestRecordedAfterAll:
    def moved_aside(self, service: Service, key: str) -> None:
        service.put_object(key, SOUND)
        sweep(service, "--apply")
        days_pass(service, 31)
        assert sweep(service, "--apply")["removed"] == 1

    def test_the_sweep_brings_back_what_a_row_names_by_now(self, lived_in: Service) -> None:
        user_id = str(uuid.uuid4())
        key = f"users/{user_id}/rejected-at-first"
        self.moved_aside(lived_in, key)
        rows.put_file(lived_in, user_id, key)
        told = sweep(lived_in, "--apply")
        assert (told["without_object"], told["failed"]) == (0, 0)
        assert lived_in.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read() == SOUND
        assert lying_aside(lived_in) == []

    def test_the_sweep_brings_back_what_is_in_the_folder_of_an_account_by_now(
        self, lived_in: Service
    ) -> None:
        user_id = str(uuid.uuid4())
        key = f"users/{user_id}/of-a-later-copy"
        self.moved_aside(lived_in, key)
        rows.put_user(lived_in, f"{user_id}@example.com", "unused", b"s" * 32, user_id=user_id)
        sweep(lived_in, "--apply")
        assert key in keys(lived_in)

    def test_opening_brings_it_back_at_once(self, lived_in: Service) -> None:
        account = lived_in.register(f"{uuid.uuid4()}@example.com")
        key = "users/elsewhere/1"
        self.moved_aside(lived_in, key)
        open_recorded(lived_in, account, key)
        assert key in keys(lived_in)
        assert lying_aside(lived_in) == []

    def test_erasing_takes_what_lies_aside_too(self, lived_in: Service) -> None:
        account = lived_in.register(f"{uuid.uuid4()}@example.com")
        key = "users/elsewhere/erased"
        self.moved_aside(lived_in, key)
        # A row of the earlier service, which owns what it names.
        file_id = rows.put_file(lived_in, account["user_id"], key)
        path = f"/api/audio-file/{file_id}?permanent=true"
        assert lived_in.call("DELETE", path, account["token"]).status_code == 204
        assert versions(lived_in, "aside/users/elsewhere/erased") == []

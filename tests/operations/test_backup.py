"""`flask panzoto backup verify`: a good backup is told from one in which rows are missing or otherwise."""

from __future__ import annotations

import base64
import os
import random
import re
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from panzoto.config import Settings
from panzoto.operations.restoring import RESTORED
from tests.conftest import UNLIMITED
from tests.support.aws import acting_as, start_moto
from tests.support.commands import done
from tests.support.earlier_rows import BATCH, EarlierRows
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Delay, Fault, LoseReply, Meanwhile, Request
from tests.support.forked_commands import Command, forked
from tests.support.recordings import hear, store, version_2
from tests.support.rows import USERS_TABLE
from tests.support.service import BUCKET, PASSWORD, Service, run_service
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def house() -> Iterator[Service]:
    """A service with accounts, sessions and a recording in tables of its own."""
    with start_moto() as url, run_service(url, **UNLIMITED) as service:
        for number in range(3):
            account = service.register(f"kept-{number}@example.com")
        service.call("POST", "/api/audio-file", account["token"], json={"s3_key": "users/kept/audio-1.3gp"})
        yield service


@pytest.fixture
def users(house: Service) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = house.dynamodb().scan(TableName=USERS_TABLE)["Items"]
    return sorted(items, key=lambda item: str(item["user_id"]["S"]))


def tables(service: Service) -> list[str]:
    names: list[str] = service.dynamodb().list_tables()["TableNames"]
    return names


def row_of(printed: str, table: str) -> list[str]:
    """Return the counts that were printed for `table`: same, changed, missing, different."""
    (line,) = [line for line in printed.splitlines() if line.startswith(table + " ")]
    return line.split()[-4:]


def test_every_table_comes_back(house: Service) -> None:
    before = tables(house)
    printed = done(house, "backup", "backup", "verify", "--settle", "0")
    for table in before:
        same, changed, missing, different = row_of(printed, table)
        count = house.dynamodb().scan(TableName=table, Select="COUNT")["Count"]
        assert (int(same), changed, missing, different) == (count, "0", "0", "0")
    assert row_of(printed, USERS_TABLE)[0] == "3"
    assert "came back as it was" in printed
    assert tables(house) == before


def test_what_is_missing_or_otherwise_is_found(house: Service, users: list[dict[str, Any]]) -> None:
    lost, altered, busy = (item["user_id"] for item in users)
    dynamodb = house.dynamodb()

    def damage(request: Request) -> None:
        """Damage the copy as a bad backup would be, and change a row of the table as its users do."""
        copy = request.json()["TargetTableName"]
        dynamodb.delete_item(TableName=copy, Key={"user_id": lost})
        for table, user_id in ((copy, altered), (USERS_TABLE, busy)):
            dynamodb.update_item(
                TableName=table,
                Key={"user_id": user_id},
                UpdateExpression="SET change_number = :n",
                ExpressionAttributeValues={":n": {"N": "77"}},
            )

    with FaultProxy(house.aws_url) as proxy:
        proxy.add(Fault(Meanwhile(damage), operation="RestoreTableToPointInTime"))
        verify = ("backup", "verify", "--settle", "0", "--table", USERS_TABLE)
        printed = done(house, "backup", *verify, at=proxy.url, status=1)
    assert row_of(printed, USERS_TABLE) == ["0", "1", "1", "1"]
    named = {line.rpartition(" ")[2] for line in printed.splitlines() if line.startswith("not as it was")}
    assert named == {lost["S"], altered["S"]}
    assert "@example.com" not in printed
    assert PASSWORD not in printed
    assert not [table for table in tables(house) if "restored" in table]


def test_wrong_usage_is_told(house: Service) -> None:
    printed = done(house, "backup", "backup", "verify", "--table", "panzoto-nothing", status=2)
    assert "There is no table panzoto-nothing" in printed
    assert USERS_TABLE in printed


def test_while_it_waits_it_says_so(house: Service) -> None:
    verify = ("backup", "verify", "--settle", "1", "--table", USERS_TABLE)
    printed = done(house, "backup", *verify)
    assert (
        f"{USERS_TABLE}: waiting 1 s (see --settle) until its backup has reached what was looked at"
        in printed
    )


def test_beside_the_stand_in_of_make_run_backups_are_verified(service_on_stand_in: Service) -> None:
    before = tables(service_on_stand_in)
    printed = done(service_on_stand_in, "backup", "backup", "verify", "--settle", "0")
    assert "came back as it was" in printed
    assert tables(service_on_stand_in) == before


class TestInterrupted:
    """A run that was killed or stopped goes on with the copies that it has made."""

    VERIFY = ("backup", "verify", "--settle", "0", "--table", USERS_TABLE, "--table", "panzoto-claims")

    @pytest.fixture
    def many(self, house: Service) -> Iterator[list[dict[str, Any]]]:
        """Accounts that do not fit into one segment."""
        rows = EarlierRows(110, 0)
        items = rows.items[USERS_TABLE]
        rows.write(house)
        yield items
        deletes = [{"DeleteRequest": {"Key": {"user_id": item["user_id"]}}} for item in items]
        for start in range(0, len(deletes), BATCH):
            house.dynamodb().batch_write_item(RequestItems={USERS_TABLE: deletes[start : start + BATCH]})

    def begun(self, house: Service, way: FaultProxy, folder: Path, *words: str) -> Command:
        more = {"AWS_ENDPOINT_URL": way.url, "PANZOTO_DATA_DIR": str(folder)}
        return forked().start(acting_as("backup", house.environment | more), *self.VERIFY, *words)

    def ended(self, command: Command, status: int = 0) -> str:
        printed, _ = command.communicate()
        assert command.wait() == status, printed
        return printed

    @pytest.mark.parametrize("seed", range(4))
    def test_killed_at_random_moments(
        self, house: Service, many: list[dict[str, Any]], tmp_path: Path, seed: int
    ) -> None:
        chance = random.Random(seed)
        before = tables(house)
        with FaultProxy(house.aws_url) as way:
            for _ in range(3):
                way.forget()
                command = self.begun(house, way, tmp_path)
                enough = chance.randrange(3, 220)
                while len(way.requests) < enough and command.poll() is None:
                    time.sleep(0.01)
                command.kill()
                command.wait()
            printed = self.ended(self.begun(house, way, tmp_path))
        count = house.dynamodb().scan(TableName=USERS_TABLE, Select="COUNT")["Count"]
        assert count > len(many)
        assert row_of(printed, USERS_TABLE) == [str(count), "0", "0", "0"]
        eventually(lambda: tables(house) == before, lambda: tables(house))
        assert list(tmp_path.glob("backup*")) == []

    @pytest.mark.usefixtures("many")
    def test_stopped_it_keeps_the_copies_and_goes_on_with_them(self, house: Service, tmp_path: Path) -> None:
        with FaultProxy(house.aws_url) as way:
            of_copy = lambda request: "restored" in request.json()["TableName"]  # noqa: E731
            slow = way.add(Fault(Delay(0.1), operation="Scan", where=of_copy))
            command = self.begun(house, way, tmp_path)
            eventually(lambda: slow.applied > 0, "no copy was read")
            command.send_signal(signal.SIGINT)
            printed = self.ended(command, 128 + signal.SIGINT)
            assert "run the same command again to go on" in printed
            copies = [table for table in tables(house) if "restored" in table]
            assert all(copy in printed for copy in copies)
            way.clear()
            way.forget()
            self.ended(self.begun(house, way, tmp_path))
            assert "RestoreTableToPointInTime" not in {one.operation for one in way.requests}
        assert len(copies) == 2
        assert not [table for table in tables(house) if "restored" in table]

    def test_what_is_no_longer_wanted_is_forgotten_and_its_copies_go(
        self, house: Service, tmp_path: Path
    ) -> None:
        with FaultProxy(house.aws_url) as way:
            for words in ((), ("--table", "panzoto-sessions")):
                restored = way.add(Fault(LoseReply(), operation="RestoreTableToPointInTime"))
                command = self.begun(house, way, tmp_path)
                eventually(lambda: restored.applied > 0, "nothing was restored")  # noqa: B023
                command.kill()
                command.wait()
                way.clear()
                way.forget()
                self.ended(self.begun(house, way, tmp_path, *(words or ("--anew",))))
                restores = [one for one in way.requests if one.operation == "RestoreTableToPointInTime"]
                assert len(restores) == 2 + len(words) // 2
                assert not [table for table in tables(house) if "restored" in table]

    @pytest.mark.usefixtures("many")
    def test_throttled_it_reads_all_the_same(self, house: Service, tmp_path: Path) -> None:
        chance = random.Random(2)
        throttled = Answer.dynamodb("ProvisionedThroughputExceededException")
        with FaultProxy(house.aws_url) as way:
            fault = way.add(Fault(throttled, operation="Scan", where=lambda _: chance.random() < 0.3))
            printed = self.ended(self.begun(house, way, tmp_path))
        assert fault.applied > 0
        assert "came back as it was" in printed


class TestRestore:
    """The script of the bad day, and the drill that runs it for practice, on an account with recordings."""

    def filled(self, house: Service) -> tuple[dict[str, Any], list[str]]:
        account = house.register(f"sample-{uuid.uuid4().hex}@example.com")
        file_ids = []
        for number in range(3):
            s3_key = f"users/{account['user_id']}/audio-{number}.3gp"
            content = version_2(account, PASSWORD, s3_key, b"#!AMR\nsound" * 99)
            file_ids.append(store(house, account, s3_key, content))
        return account, file_ids

    def run(self, house: Service, account: dict[str, Any], verb: str, folder: Path, **how: Any) -> str:
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        words = ("--to", moment(), "--sample", account["user"]["email"], "--password-file", str(password))
        prefix = f"users/{account['user_id']}/"
        return done(house, "backup", "backup", verb, *words, "--folder", prefix, **how)

    def test_a_drill_brings_all_back_and_erases_again_what_was_erased_since(
        self, house: Service, tmp_path: Path
    ) -> None:
        account, (kept, erased, damaged) = self.filled(house)
        before = tables(house)
        held_meanwhile: list[str] = []
        # Of a restore that waits to be looked at, which a drill leaves alone.
        done(house, "sweep", "sweeps", "hold", "restore")

        def meanwhile(_: Request) -> None:
            """What people and mishaps do after the moment that is restored."""
            wait_for_another_second()
            held_meanwhile.extend(holds(house))
            answer = house.call("DELETE", f"/api/audio-file/{erased}?permanent=true", account["token"])
            assert answer.status_code == 204
            # Deleted by something else than the service, which leaves a marker, and written over.
            s3_keys = [f"users/{account['user_id']}/audio-{number}.3gp" for number in (0, 2)]
            house.s3().delete_object(Bucket=BUCKET, Key=s3_keys[0])
            house.put_object(s3_keys[1], b"not what was recorded")

        with FaultProxy(house.aws_url) as proxy:
            last = lambda request: "erasures" in request.json()["TargetTableName"]  # noqa: E731
            restore = "RestoreTableToPointInTime"
            proxy.add(Fault(Meanwhile(meanwhile), operation=restore, where=last, times=1))
            printed = self.run(house, account, "drill", tmp_path, at=proxy.url)
        assert "erasures asked for since, done again: 1" in printed
        assert "objects brought back: 2" in printed
        assert f"{kept}: opens" in printed
        assert f"{damaged}: opens" in printed
        assert erased not in printed
        assert "The drill went well." in printed
        assert PASSWORD not in printed
        assert tables(house) == before
        assert (sorted(held_meanwhile), holds(house)) == (["drill", "restore"], ["restore"])
        done(house, "sweep", "sweeps", "release", "restore")

    def test_a_damaged_row_keeps_no_other_erasure_from_being_done_again(
        self, house: Service, tmp_path: Path
    ) -> None:
        account, (damaged, erased, kept) = self.filled(house)

        def title(value: dict[str, str]) -> None:
            house.dynamodb().update_item(
                TableName=Settings().audio_files_table,
                Key={"file_id": {"S": damaged}},
                UpdateExpression="SET title = :value",
                ExpressionAttributeValues={":value": value},
            )

        def meanwhile(_: Request) -> None:
            """The row is mended and both recordings are erased after the moment that is restored."""
            title({"S": "a title again"})
            for file_id in (damaged, erased):
                path = f"/api/audio-file/{file_id}?permanent=true"
                assert house.call("DELETE", path, account["token"]).status_code == 204

        title({"N": "5"})
        with FaultProxy(house.aws_url) as proxy:
            last = lambda request: "erasures" in request.json()["TargetTableName"]  # noqa: E731
            restore = "RestoreTableToPointInTime"
            proxy.add(Fault(Meanwhile(meanwhile), operation=restore, where=last, times=1))
            printed = self.run(house, account, "drill", tmp_path, at=proxy.url, status=1)
        assert "erasures asked for since, done again: 1" in printed
        (told,) = re.findall("not erased again, since a row is damaged: (.*)", printed)
        assert told.endswith(damaged)
        assert f"{damaged}: damaged_record" in printed
        assert f"{kept}: opens" in printed
        assert f"{erased}: " not in printed

    def test_a_restore_leaves_tables_that_the_service_can_work_on(
        self, house: Service, tmp_path: Path
    ) -> None:
        account, file_ids = self.filled(house)
        transcript = f"/api/audio-file/{file_ids[0]}/transcript"
        sealed = base64.b64encode(os.urandom(100)).decode()
        written = house.call("PUT", transcript, account["token"], json={"sealed": sealed})
        assert written.status_code == 200, written.text
        printed = self.run(house, account, "restore", tmp_path)
        assert holds(house) == ["restore"]
        done(house, "sweep", "sweeps", "release", "restore")
        copies = dict(re.findall(r"^([A-Z_]+_TABLE)=(.+)$", printed, re.MULTILINE))
        assert set(copies) == {name.upper() for name in RESTORED}
        secret = house.secret_key()
        with run_service(house.aws_url, SECRET_KEY=secret, **copies) as restored:
            listed = restored.call("GET", "/api/user/audio-files", account["token"]).json()["audio_files"]
            assert {one["file_id"] for one in listed} == set(file_ids)
            assert hear(restored, account["token"], file_ids[0], PASSWORD) == b"#!AMR\nsound" * 99
            # The row of the recording names the transcript that came back with it.
            read = restored.call("GET", transcript, account["token"]).json()
            (row,) = [one for one in listed if one["file_id"] == file_ids[0]]
            assert read["sealed"] == sealed
            assert read["revision"] == row["transcript"]["revision"] == written.json()["revision"]

    def test_a_sample_that_does_not_open_fails_the_drill(self, house: Service, tmp_path: Path) -> None:
        account, _ = self.filled(house)
        house.put_object(f"users/{account['user_id']}/audio-1.3gp", b"damage")
        house.s3().put_object(Bucket=BUCKET, Key="users/elsewhere", Body=b"x")
        before = tables(house)
        printed = self.run(house, account, "drill", tmp_path, status=1)
        assert "The drill failed" in printed
        assert tables(house) == before

    def test_an_object_that_is_not_there_fails_the_drill(self, house: Service, tmp_path: Path) -> None:
        account, file_ids = self.filled(house)
        house.s3().delete_object(Bucket=BUCKET, Key=f"users/{account['user_id']}/audio-2.3gp")
        wait_for_another_second()
        printed = self.run(house, account, "drill", tmp_path, status=1)
        assert f"{file_ids[2]}: object_not_found" in printed
        assert f"{file_ids[0]}: opens" in printed

    def test_an_account_without_recordings_is_no_sample(self, house: Service, tmp_path: Path) -> None:
        account = house.register(f"sample-{uuid.uuid4().hex}@example.com")
        printed = self.run(house, account, "drill", tmp_path, status=1)
        assert f"{account['user']['email']}: has no recording that could be opened" in printed

    def test_a_drill_that_fails_midway_leaves_neither_copies_nor_a_hold(
        self, house: Service, tmp_path: Path
    ) -> None:
        account, before = house.register(f"sample-{uuid.uuid4().hex}@example.com"), tables(house)
        with FaultProxy(house.aws_url) as proxy:
            proxy.add(refused_restore())
            printed = self.run(house, account, "drill", tmp_path, at=proxy.url, status=1)
        assert "cannot be restored: LimitExceededException" in printed
        assert (tables(house), holds(house)) == (before, [])

    def test_a_restore_that_fails_midway_names_its_copies_and_the_way_out_of_its_hold(
        self, house: Service, tmp_path: Path
    ) -> None:
        account, before = house.register(f"sample-{uuid.uuid4().hex}@example.com"), tables(house)
        with FaultProxy(house.aws_url) as proxy:
            proxy.add(refused_restore())
            printed = self.run(house, account, "restore", tmp_path, at=proxy.url, status=1)
        (ending,) = re.findall("What was restored so far ends in (-restored-[0-9T]+);", printed)
        left = set(tables(house)) - set(before)
        assert left
        assert all(copy.endswith(ending) for copy in left)
        for copy in left:
            house.dynamodb().delete_table(TableName=copy)
        (command,) = re.findall("flask panzoto (sweeps release .+)", printed)
        done(house, "sweep", *command.split())
        assert holds(house) == []

    def test_beside_the_stand_in_of_make_run_a_drill_goes_well(
        self, service_on_stand_in: Service, tmp_path: Path
    ) -> None:
        account, _ = self.filled(service_on_stand_in)
        before = tables(service_on_stand_in)
        printed = self.run(service_on_stand_in, account, "drill", tmp_path)
        assert "This AWS does not tell to which moment it restored" in printed
        assert "The drill went well." in printed
        assert (tables(service_on_stand_in), holds(service_on_stand_in)) == (before, [])

    def test_every_table_is_restored_or_may_begin_anew(self) -> None:
        every = {field.name for field in fields(Settings) if field.name.endswith("_table")}
        assert every - set(RESTORED) <= {"throttle_table", "sweeps_table"}


def refused_restore() -> Fault:
    """DynamoDB restores one table and refuses the next."""
    refused = Answer.dynamodb("LimitExceededException")
    return Fault(refused, operation="RestoreTableToPointInTime", skip=1)


def holds(house: Service) -> list[str]:
    """Return the names of what holds the sweeps back."""
    memory = house.dynamodb().scan(TableName=Settings().sweeps_table)["Items"]
    return [row["name"]["S"] for row in memory if row["kind"]["S"] == "hold"]


def wait_for_another_second() -> None:
    """The bucket dates its versions by whole seconds, so that less than one apart is not apart for it."""
    begun = int(time.time())
    eventually(lambda: int(time.time()) > begun, "the clock stands still")


def moment() -> str:
    return datetime.now(UTC).isoformat()

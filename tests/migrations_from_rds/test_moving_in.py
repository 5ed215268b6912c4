"""A migrated user signs in to the running service with the old password, lists, and hears a recording."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher

from migrations_from_rds.errors import Status
from tests.migrations_from_rds.filling import add_file, add_user
from tests.support.legacy import file_id, key_salt, user_id
from tests.support.migration import Migration
from tests.support.postgres import SCHEMA, Database, Server
from tests.support.recordings import hear, single_shot
from tests.support.service import PASSWORD, Service

# As an old service may well have hashed; a login hashes anew.
OLD_HASH = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
PLAIN = {1: b"#!AMR\n" + bytes(range(256)) * 300, 2: b"#!AMR\n" + b"the younger one" * 9}


@pytest.fixture(scope="module")
def house(service: Service) -> Service:
    """The running service, in whose tables no other module has left anything."""
    return service


@pytest.fixture(scope="module")
def legacy(postgres: Server, house: Service) -> Iterator[Database]:
    """A legacy database of two accounts, whose objects are in the bucket, but for the last."""
    with postgres.database(SCHEMA) as database:
        add_user(database, 1, " Anna@Example.com", password_hash=OLD_HASH)
        add_user(database, 2, "bert@example.com", password_hash=OLD_HASH)
        for number, plain in PLAIN.items():
            s3_key = f"users/{user_id(1)}/audio-{number}.3gp"
            add_file(database, number, 1, s3_key, f"2020-01-0{number} 12:00:00.5")
            iv_length, hex_salt = {1: (12, False), 2: (16, True)}[number]
            data = single_shot(PASSWORD, key_salt(1).hex(), plain, iv_length, hex_salt)
            house.put_object(s3_key, data)
        add_file(database, 3, 2, "users/lost.3gp")
        yield database


@pytest.fixture
def move(
    house: Service,
    legacy: Database,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> Migration:
    """The migration into that service; every test goes on where the one before ended."""
    folder = tmp_path_factory.getbasetemp() / "moving-in"
    folder.mkdir(exist_ok=True)
    return Migration(house.aws_url, legacy.url, folder, capsys)


def verify(move: Migration, monkeypatch: pytest.MonkeyPatch, password: str, *more: str) -> Any:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    return move.run("verify", "--account", "anna@example.com", *more)


class TestMovingIn:
    """In this order: the evening."""

    def test_1_the_plan_names_the_recording_whose_object_is_missing(self, move: Migration) -> None:
        plan = move.done("plan", "--check-bucket")
        assert f"{file_id(3)}  object_missing" in plan.out
        (missing,) = [entry for entry in move.report()["problem_rows"] if entry["code"] == "object_missing"]
        assert missing["id"] == file_id(3)
        assert move.users() == {}

    def test_1_a_bucket_that_holds_nothing_or_is_not_there_is_told_in_a_sentence(
        self, move: Migration, house: Service
    ) -> None:
        house.s3().create_bucket(Bucket="panzoto-nothing-in-it")
        for bucket, said in (
            ("panzoto-nothing-in-it", "holds no object at all"),
            ("panzoto-none", "does not exist"),
        ):
            outcome = move.run("plan", "--check-bucket", environment={"S3_BUCKET": bucket})
            assert outcome.status == Status.REFUSED
            assert f"The bucket {bucket} {said}" in outcome.err
            assert "object_missing" not in outcome.out

    def test_2_the_copy(self, move: Migration) -> None:
        move.done("copy")
        assert move.users().keys() == {user_id(1), user_id(2)}

    def test_3_the_proof_without_changing_anything(
        self, move: Migration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = move.users(), move.recordings()
        outcome = verify(move, monkeypatch, PASSWORD)
        assert outcome.status == Status.DONE
        assert (
            f"recording {file_id(2)} opens whole (single-iv16-hex-salt, {len(PLAIN[2])} bytes)" in outcome.out
        )
        assert (move.users(), move.recordings()) == before

    def test_4_a_wrong_password_proves_nothing(
        self, move: Migration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcome = verify(move, monkeypatch, "another password")
        assert outcome.status == Status.DIFFERENT
        assert "FAILED  anna@example.com: the password is wrong" in outcome.out
        assert "another password" not in outcome.out + outcome.err
        assert "another password" not in (move.state / "report.json").read_text("utf-8")

    def test_5_sign_in_list_and_hear(self, house: Service) -> None:
        signed_in = house.call(
            "POST", "/api/login", json={"email": "Anna@example.com ", "password": PASSWORD}
        )
        assert signed_in.status_code == 200, signed_in.text
        account = signed_in.json()
        assert account["user_id"] == user_id(1)
        assert account["key_salt"] == key_salt(1).hex()
        assert account["user"]["created_at"] == "2021-01-01T00:00:01Z"
        listed = house.call("GET", "/api/user/audio-files", account["token"]).json()["audio_files"]
        assert [(row["file_id"], row["uploaded_at"]) for row in listed] == [
            (file_id(2), "2020-01-02T12:00:00.500000Z"),
            (file_id(1), "2020-01-01T12:00:00.500000Z"),
        ]
        for number, plain in PLAIN.items():
            assert hear(house, account["token"], file_id(number), PASSWORD) == plain

    def test_6_recordings_go_on_and_the_phone_may_repeat_itself(self, house: Service) -> None:
        account = house.call(
            "POST", "/api/login", json={"email": "anna@example.com", "password": PASSWORD}
        ).json()
        s3_key = f"users/{user_id(1)}/audio-1.3gp"
        again = house.call("POST", "/api/audio-file", account["token"], json={"s3_key": s3_key})
        assert (again.status_code, again.json()["audio_file"]["file_id"]) == (201, file_id(1))
        new = house.call("POST", "/api/audio-file", account["token"], json={"s3_key": "users/a/audio-9.3gp"})
        assert new.status_code == 201, new.text
        changes = house.call("GET", "/api/user/changes", account["token"]).json()["changes"]
        assert {change["file_id"] for change in changes} >= {file_id(1), file_id(2)}

    def test_7_the_same_over_http(
        self, move: Migration, house: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
        outcome = move.run("verify", "--account", "bert@example.com", "--service-url", house.url)
        assert "FAILED  bert@example.com: object_not_found" in outcome.out
        outcome = move.run("verify")
        assert outcome.status == Status.DONE
        assert {entry["id"] for entry in move.report()["changed_since"]} <= {user_id(1)}

    def test_7_a_token_of_the_legacy_service_is_proved(
        self, move: Migration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = "a legacy service's own secret that is long enough"
        claims = {"user_id": user_id(1), "iat": 1_700_000_000, "exp": 1_700_086_400}
        token = jwt.encode(claims, secret, "HS256")
        for fallbacks, status in (("", Status.DIFFERENT), (secret, Status.DONE)):
            for given in ("option", "line"):
                monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
                arguments = ["--old-token", token] if given == "option" else ["--old-token"]
                outcome = move.run("verify", *arguments, environment={"SECRET_KEY_FALLBACKS": fallbacks})
                assert outcome.status == status, outcome
                assert ("SECRET_KEY_FALLBACKS" in outcome.out) == (not fallbacks)
                left = outcome.out + outcome.err + (move.state / "report.json").read_text("utf-8")
                assert token not in left
                assert secret not in left

    def test_8_what_was_used_since_is_left_by_a_copy_and_by_a_rollback(self, move: Migration) -> None:
        users = move.users()
        move.done("copy")
        assert move.users() == users
        outcome = move.done("rollback", "--yes")
        assert user_id(1) in move.users()
        assert user_id(2) not in move.users()
        assert f"LEFT  users  {user_id(1)}" in outcome.out


def test_over_http_where_all_is_well(
    house: Service,
    postgres: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgres.database(SCHEMA) as database:
        add_user(database, 21, "carl@example.com", password_hash=OLD_HASH)
        add_file(database, 21, 21, "users/carl/audio-21.3gp", "2021-01-01")
        house.put_object("users/carl/audio-21.3gp", single_shot(PASSWORD, key_salt(21).hex(), PLAIN[1]))
        migration = Migration(house.aws_url, database.url, tmp_path, capsys)
        migration.done("copy")
        monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
        outcome = migration.run("verify", "--account", "Carl@Example.com", "--service-url", house.url)
        assert outcome.status == Status.DONE, outcome
        assert "signed in to the service and here" in outcome.out

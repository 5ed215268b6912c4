"""Legacy tables under other names and of other types: taken where nothing is lost, else named."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_from_rds.errors import Status
from migrations_from_rds.layout import Layout, Misnamed
from tests.migrations_from_rds.filling import add_file, add_user
from tests.support.legacy import HASH, file_id, user_id
from tests.support.migration import Migration
from tests.support.postgres import Database


class TestNames:
    @pytest.mark.parametrize(
        ("tables", "columns", "said"),
        [
            (["people=users"], [], "--table: people is none of users, audio_files"),
            ([], ["made=created_at"], "--column: made is none of"),
            ([], ["users.s3_key=x"], "--column: users.s3_key is none of"),
            (["users"], [], "must be written as name=theirs"),
        ],
    )
    def test_what_is_none_of_ours_is_said(self, tables: list[str], columns: list[str], said: str) -> None:
        with pytest.raises(Misnamed, match=said):
            Layout.of(None, tables, columns)

    def test_everything_may_be_called_otherwise(self, migration: Migration, database: Database) -> None:
        add_user(database, 1)
        add_file(database, 1, 1)
        database.execute(
            'CREATE SCHEMA "Old; Stuff"; ALTER TABLE users SET SCHEMA "Old; Stuff"; '
            'ALTER TABLE audio_files SET SCHEMA "Old; Stuff"; '
            'ALTER TABLE "Old; Stuff".users RENAME TO "select"; '
            'ALTER TABLE "Old; Stuff"."select" RENAME COLUMN created_at TO "made.at"; '
            'ALTER TABLE "Old; Stuff"."select" RENAME COLUMN user_id TO id; '
            'ALTER TABLE "Old; Stuff".audio_files RENAME COLUMN user_id TO "own""er"'
        )
        outcome = migration.run("plan")
        assert outcome.status == Status.REFUSED
        assert "one in Old; Stuff (--schema names where)" in outcome.err
        names = ["--schema", "Old; Stuff", "--table", "users=select", "--column", "created_at=made.at"]
        names += ["--column", "users.user_id=id", "--column", 'audio_files.user_id=own"er']
        for command in (["plan"], ["copy"], ["copy", "--since-last"], ["verify", "--strict"]):
            migration.done(*command, *names)
        assert migration.users().keys() == {user_id(1)}
        assert migration.recordings()[file_id(1)]["user_id"] == {"S": user_id(1)}
        migration.done("rollback", "--yes", *names)
        assert migration.users() == {}


class TestTypes:
    @pytest.mark.parametrize(
        "changes",
        [
            "ALTER TABLE users ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'",
            "ALTER TABLE users ALTER created_at TYPE timestamptz(3) USING created_at AT TIME ZONE 'UTC'",
            "ALTER TABLE users ALTER email TYPE varchar(300)",
            "ALTER TABLE audio_files ALTER file_size TYPE numeric",
            "ALTER TABLE audio_files ALTER file_size TYPE numeric(12, 2)",
            "ALTER TABLE users ALTER user_id TYPE text",
            "ALTER TABLE audio_files ALTER file_id TYPE varchar(36), ALTER user_id TYPE char(36)",
            "CREATE DOMAIN address AS text; ALTER TABLE users ALTER email TYPE address",
            "CREATE DOMAIN size AS numeric(20); ALTER TABLE audio_files ALTER file_size TYPE size",
        ],
    )
    def test_what_converts_without_loss_is_taken(
        self, migration: Migration, database: Database, changes: str
    ) -> None:
        for number in (1, 2):
            add_user(database, number)
            add_file(database, number, number, uploaded_at="2020-05-05 05:05:05")
        migration.done("copy")
        before = (migration.users(), migration.recordings())
        migration.done("rollback", "--yes")
        database.execute(changes)
        migration.done("copy")
        migration.done("verify", "--strict")
        migration.done("copy", "--since-last")

        def content(items: tuple[dict[str, dict[str, object]], ...]) -> list[dict[str, dict[str, object]]]:
            left_out = {"migration", "change_number"}
            return [
                {key: {n: v for n, v in item.items() if n not in left_out} for key, item in table.items()}
                for table in items
            ]

        assert content((migration.users(), migration.recordings())) == content(before)

    def test_a_fraction_is_rejected_and_not_rounded(self, migration: Migration, database: Database) -> None:
        add_user(database, 1)
        for number in range(1, 7):
            add_file(database, number, 1)
        database.execute("ALTER TABLE audio_files ALTER file_size TYPE numeric")
        for number, size in enumerate(["10.5", "'NaN'", "'Infinity'", "1e30", "7.00", "NULL"], 1):
            database.execute(
                f"UPDATE audio_files SET file_size = {size} WHERE file_id = %s", [file_id(number)]
            )
        migration.done("copy")
        assert migration.recordings().keys() == {file_id(5), file_id(6)}
        assert migration.recordings()[file_id(5)]["file_size"] == {"N": "7"}
        rejects = migration.rejects()
        assert {entry["code"] for entry in rejects} == {"file_size_not_whole"}
        assert rejects[0]["row"]["file_size"] in ("10.5", "NaN", "Infinity", "1" + "0" * 30)
        for entry in rejects:
            entry["row"]["file_size"] = 11
        migration.write_rejects(rejects)
        migration.done("copy", "--from-rejects")
        assert len(migration.recordings()) == 6

    def test_a_text_that_is_no_id_is_rejected(self, migration: Migration, database: Database) -> None:
        for number in (1, 2):
            add_user(database, number)
            add_file(database, number, number)
        add_file(database, 3, 1)
        database.execute("ALTER TABLE users ALTER user_id TYPE text")
        database.execute("ALTER TABLE audio_files ALTER file_id TYPE text, ALTER user_id TYPE text")
        database.execute("UPDATE users SET user_id = upper(user_id) WHERE user_id = %s", [user_id(1)])
        database.execute("UPDATE users SET user_id = 'admin' WHERE user_id = %s", [user_id(2)])
        database.execute("UPDATE audio_files SET user_id = 'admin' WHERE user_id = %s", [user_id(2)])
        database.execute("UPDATE audio_files SET file_id = 'first' WHERE file_id = %s", [file_id(3)])
        plan = migration.done("plan")
        assert "users  admin  id_unusable: its user_id is NULL or no UUID" in plan.out
        migration.done("copy")
        assert migration.users().keys() == {user_id(1)}
        assert migration.recordings().keys() == {file_id(1)}
        found = {(entry["id"], entry["code"]) for entry in migration.rejects()}
        assert found == {("admin", "id_unusable"), ("first", "id_unusable"), (file_id(2), "owner_unknown")}
        migration.done("copy", "--since-last")
        migration.done("verify")

    def test_two_spellings_of_one_id_are_told(self, migration: Migration, database: Database) -> None:
        add_user(database, 1)
        database.execute("ALTER TABLE users ALTER user_id TYPE text")
        database.execute(
            "INSERT INTO users SELECT upper(user_id), 'x@example.com', password_hash, key_salt FROM users"
        )
        outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert f"Two rows of users have the id {user_id(1)}, spelt differently" in outcome.err

    def test_a_null_under_a_unique_index_is_a_row_that_is_named(
        self, migration: Migration, database: Database
    ) -> None:
        database.execute(
            "ALTER TABLE users DROP CONSTRAINT users_pkey; ALTER TABLE users ALTER user_id DROP NOT NULL"
        )
        database.execute("CREATE UNIQUE INDEX users_by_id ON users (user_id)")
        add_user(database, 1)
        add_user(database, 2)
        add_file(database, 1, 1)
        database.execute("UPDATE users SET user_id = NULL WHERE user_id = %s", [user_id(2)])
        assert "id_unusable" in migration.done("plan").out
        migration.done("copy")
        assert migration.users().keys() == {user_id(1)}
        (reject,) = migration.rejects()
        assert reject["id"].startswith("row (")
        reject["row"]["user_id"] = user_id(2)
        migration.done("copy", "--since-last")
        migration.done("verify")
        migration.write_rejects([reject])
        migration.done("copy", "--from-rejects")
        assert migration.users().keys() == {user_id(1), user_id(2)}


class TestCollisions:
    def test_they_say_what_a_person_decides_by(self, migration: Migration, database: Database) -> None:
        add_user(database, 1, "anna@example.com", created_at="2020-01-01")
        add_user(database, 2, "Anna@example.com", created_at="2021-01-01")
        add_file(database, 1, 1, uploaded_at="2022-02-02 02:02:02")
        add_file(database, 2, 1, uploaded_at="2023-03-03 03:03:03")
        database.execute("ALTER TABLE users ADD COLUMN seen timestamptz")
        database.execute("UPDATE users SET seen = '2024-04-04T04:04:04Z' WHERE user_id = %s", [user_id(2)])
        known = "made: 2020-01-01T00:00:00Z; 2 recordings, the last of 2023-03-03T03:03:03Z; "
        known += "last sign-in: not known"
        assert known in migration.done("plan").out
        plan = migration.done("plan", "--column", "last_sign_in=seen")
        assert "made: 2021-01-01T00:00:00Z; no recordings; last sign-in: 2024-04-04T04:04:04Z" in plan.out
        outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert known in outcome.out


# Hashes that no password fits, and what is said of each.
BROKEN_HASHES = [
    (HASH[:-2], "its digest is cut or is not base64"),
    (HASH[:-6] + "A", "its digest has a length that nobody chooses"),
    (HASH.replace("m=8192", "m=7"), "its memory (m)"),
    (HASH.replace("p=1", "p=2").replace("m=8192", "m=15"), "its memory (m)"),
    (HASH.replace("t=1", "t=0"), "its number of passes (t)"),
    (HASH.replace("p=1", "p=0"), "its number of lanes (p)"),
    (HASH.replace("m=8192", "m=0"), "its memory (m)"),
    (HASH.replace("v=19", "v=18"), "its version"),
    (HASH + "=", "it is cut or has characters"),
    (HASH.replace("c2Fsd", "c2*sd"), "it is cut or has characters"),
    ("$argon2id$v=19$m=8192", "it is cut or has characters"),
]
NUMBER_OF = {encoded: number for number, (encoded, _) in enumerate(BROKEN_HASHES, 1)}


@pytest.fixture(scope="module")
def moves() -> dict[str, Any]:
    """What each command printed of accounts with all of these hashes, and the accounts, once moved."""
    return {}


class TestBrokenHashes:
    @pytest.fixture(autouse=True)
    def _moved(self, moves: dict[str, Any], request: pytest.FixtureRequest) -> None:
        """Move them in the first test that wants them."""
        if moves:
            return
        migration: Migration = request.getfixturevalue("migration")
        for encoded, number in NUMBER_OF.items():
            add_user(request.getfixturevalue("database"), number, password_hash=encoded)
        printed = [migration.done(command).out for command in ("plan", "copy", "verify")]
        moves |= {"printed": printed, "users": migration.users()}

    @pytest.mark.parametrize(("encoded", "said"), BROKEN_HASHES)
    def test_they_are_taken_and_named_by_every_command(
        self, moves: dict[str, Any], encoded: str, said: str
    ) -> None:
        moved = user_id(NUMBER_OF[encoded])
        for printed in moves["printed"]:
            assert f"users  {moved}  hash_unverifiable: no password fits its password_hash: {said}" in printed
        assert moves["users"][moved]["password_hash"] == {"S": encoded}

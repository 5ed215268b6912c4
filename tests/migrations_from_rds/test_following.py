"""After the first copy: rejects mended and fed back, what changed since, and the way back."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from migrations_from_rds.errors import Status
from tests.migrations_from_rds.filling import add_file, add_user
from tests.migrations_from_rds.test_copying import check_books
from tests.support.dynamodb_fake import Fake
from tests.support.legacy import BCRYPT, HASH, file_id, key_salt, user_id
from tests.support.migration import Item, Migration
from tests.support.postgres import Database


def change(migration: Migration, table: str, item: Item, **attributes: Any) -> None:
    """Write what the service would: a row with some attributes changed."""
    migration.put(table, item | {name: {"S": value} for name, value in attributes.items()})


class TestRejects:
    @pytest.fixture(autouse=True)
    def _untidy(self, migration: Migration, database: Database) -> None:
        add_user(database, 1, "anna@example.com")
        add_user(database, 2, "bert@example.com", password_hash=BCRYPT)
        add_file(database, 1, 1)
        add_file(database, 2, 2)
        add_file(database, 3, None)
        migration.done("copy")
        assert migration.users().keys() == {user_id(1)}

    def test_mended_rows_are_taken_and_proved(self, migration: Migration, fake: Fake) -> None:
        entries = migration.rejects()
        assert [entry["code"] for entry in entries] == ["hash_not_argon2", "owner_missing", "owner_rejected"]
        entries[0]["row"]["password_hash"] = HASH
        entries[1]["row"]["user_id"] = user_id(1)
        migration.write_rejects(entries)
        migration.done("copy", "--from-rejects")
        assert migration.users().keys() == {user_id(1), user_id(2)}
        assert migration.recordings().keys() == {file_id(1), file_id(2), file_id(3)}
        assert migration.rejects() == []
        migration.done("verify", "--strict")
        # The database still holds the untidy rows; another copy does not undo what was mended.
        writes = fake.counts()["writes"]
        migration.done("copy")
        migration.done("copy", "--since-last")
        assert fake.counts()["writes"] == writes
        assert migration.rejects() == []
        claim = migration.claims()["email#bert@example.com"]
        migration.delete("panzoto-claims", "email#bert@example.com")
        assert f"{user_id(2)}  claim_missing" in migration.run("verify").out
        migration.put("panzoto-claims", claim)
        change(migration, "panzoto-users", migration.users()[user_id(2)], password_hash="other")
        verified = migration.run("verify")
        assert verified.status == Status.DIFFERENT
        assert f"{user_id(2)}  differs: it differs from what was fed back" in verified.out
        migration.done("rollback", "--yes")
        assert migration.recordings() == {}

    def test_what_is_still_wrong_stays_in_the_file(self, migration: Migration) -> None:
        entries = migration.rejects()
        entries[1]["row"]["user_id"] = "11111111-1111-4111-8111-111111111111"
        migration.write_rejects(entries)
        migration.done("copy", "--from-rejects", str(migration.state / "rejects.jsonl"))
        assert [entry["code"] for entry in migration.rejects()] == [
            "hash_not_argon2",
            "owner_rejected",
            "owner_unknown",
        ]
        assert migration.recordings().keys() == {file_id(1)}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("nonsense\n", "line 1: it is not JSON"),
            ('{"table": "users", "row": {"user_id": "x"}}\n', "line 1: user_id must be a UUID"),
            (
                f'{{"table": "users", "row": {{"user_id": "{user_id(9)}"}}}}\n' * 2,
                "line 2: its id was on an earlier",
            ),
        ],
    )
    def test_a_file_that_cannot_be_understood_is_not_used_at_all(
        self, migration: Migration, fake: Fake, text: str, said: str
    ) -> None:
        (migration.state / "mended.jsonl").write_text(text)
        writes = fake.counts()["writes"]
        outcome = migration.run("copy", "--from-rejects", str(migration.state / "mended.jsonl"))
        assert outcome.status == Status.REFUSED
        assert said in outcome.err
        assert fake.counts()["writes"] == writes

    def test_an_account_whose_address_was_mended_collides_no_more(
        self, migration: Migration, database: Database
    ) -> None:
        # In whichever order they come, the other one keeps its address and goes on being compared.
        for number, address in (
            (20, "carl@example.com"),
            (21, "CARL@example.com"),
            (22, " carl@example.com"),
        ):
            add_user(database, number, address)
        migration.done("copy", "--on-collision=oldest")
        entries = [entry for entry in migration.rejects() if entry["code"] == "email_collision"]
        assert {entry["id"] for entry in entries} == {user_id(21), user_id(22)}
        for entry in entries:
            entry["row"]["email"] = f"carl.{entry['id']}@example.com"
        migration.write_rejects(entries)
        migration.done("copy", "--from-rejects")
        migration.done("verify")
        rejected = migration.report()["rejected"]
        # What was untidy from the beginning, and nobody of the three.
        assert rejected == 3
        assert migration.report()["counts"]["users.in_index"] == 4
        migration.delete("panzoto-users", user_id(20))
        assert migration.run("verify").status == Status.DIFFERENT
        migration.done("plan")
        assert "email_collision" not in {entry["code"] for entry in migration.report()["problems"]}

    def test_new_recordings_of_a_mended_account_are_taken(
        self, migration: Migration, database: Database
    ) -> None:
        entries = [entry for entry in migration.rejects() if entry["table"] == "users"]
        entries[0]["row"]["password_hash"] = HASH
        migration.write_rejects(entries)
        migration.done("copy", "--from-rejects")
        add_file(database, 9, 2)
        migration.done("copy", "--since-last")
        # With the one that had been rejected for its account's sake.
        assert migration.recordings().keys() == {file_id(1), file_id(2), file_id(9)}
        assert [entry["code"] for entry in migration.rejects()] == ["owner_missing"]
        migration.done("verify")

    def test_a_slip_in_the_mending_leaves_the_file_where_it_is(self, migration: Migration) -> None:
        slipped = (migration.state / "rejects.jsonl").read_text().replace('"table"', "table", 1)
        (migration.state / "rejects.jsonl").write_text(slipped)
        assert migration.run("copy", "--from-rejects").status == Status.REFUSED
        assert (migration.state / "rejects.jsonl").read_text() == slipped
        (migration.state / "rejects.jsonl").write_bytes(slipped.encode("utf-16"))
        outcome = migration.run("copy", "--from-rejects")
        assert outcome.status == Status.REFUSED
        assert "it is not UTF-8 text" in outcome.err

    def test_a_copy_that_is_refused_leaves_the_file_alone(
        self, migration: Migration, database: Database
    ) -> None:
        before = migration.rejects()
        add_user(database, 4, "ANNA@example.com")
        outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert "from-rejects" not in outcome.out
        assert migration.rejects() == before

    def test_a_file_that_was_mended_is_not_overwritten_by_another_copy(self, migration: Migration) -> None:
        entries = migration.rejects()
        entries[0]["row"]["password_hash"] = HASH
        migration.write_rejects(entries)
        mended = (migration.state / "rejects.jsonl").read_text()
        outcome = migration.done("copy")
        (aside,) = migration.state.glob("rejects.2*.jsonl")
        assert aside.read_text() == mended
        assert aside.name in outcome.err


class TestDelta:
    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in range(1, 6):
            add_user(database, number, key_salt=key_salt(number) if number != 5 else b"short")
            add_file(database, number, number)
        migration.done("copy")
        assert migration.users().keys() == {user_id(number) for number in range(1, 5)}

    def test_what_came_changed_and_went(self, migration: Migration, database: Database, fake: Fake) -> None:
        add_user(database, 6)
        add_file(database, 6, 6)
        add_file(database, 7, 1)
        database.execute("UPDATE users SET email = 'New@example.com' WHERE user_id = %s", [user_id(2)])
        database.execute("UPDATE users SET key_salt = %s WHERE user_id = %s", [key_salt(5), user_id(5)])
        database.execute("DELETE FROM audio_files WHERE file_id = %s", [file_id(3)])
        before = fake.counts()["writes"]
        migration.done("copy", "--since-last", "--remove-at-most", "1")
        report = migration.report()["tables"]
        assert (report["users"]["written"], report["users"]["replaced"]) == (2, 1)
        assert report["audio_files"]["written"] == 3
        assert migration.report()["removed"] == {"audio_files": 1, "users": 0}
        assert migration.users()[user_id(2)]["email"] == {"S": "new@example.com"}
        assert migration.recordings().keys() == {file_id(number) for number in (1, 2, 4, 5, 6, 7)}
        claims = migration.claims()
        assert "email#p2@example.com" not in claims
        assert claims["email#new@example.com"]["user_id"] == {"S": user_id(2)}
        assert "s3key#users/3.3gp" not in claims
        # Two accounts and three recordings, each with a claim, and two of these with an entry among the
        # changes; one account and its two claims; one recording taken away; one account counted again; and
        # one that is left to the service, since it was there before its recording.
        assert fake.counts()["writes"] - before == 2 * 2 + 2 * 3 + 2 + 3 + 3 + 1 + 1
        check_books(migration, left_to_the_service={user_id(1)})
        migration.done("verify", "--strict")
        migration.done("copy", "--since-last")
        assert fake.counts()["writes"] - before == 20

    def test_it_reads_only_what_changed(self, migration: Migration, database: Database) -> None:
        database.execute("UPDATE users SET password_hash = %s WHERE user_id = %s", [HASH + "A", user_id(1)])
        migration.done("copy", "--since-last")
        read = {table: counts["read"] for table, counts in migration.report()["tables"].items()}
        # The changed row, and what was rejected before: an account and its recording.
        assert read == {"users": 2, "audio_files": 1}

    def test_what_the_service_has_changed_is_left(self, migration: Migration, database: Database) -> None:
        signed_in = migration.users()[user_id(1)]
        change(migration, "panzoto-users", signed_in, vault="{}")
        change(migration, "panzoto-audio-files", migration.recordings()[file_id(2)], format="v2")
        database.execute("UPDATE users SET password_hash = %s WHERE user_id = %s", [HASH + "A", user_id(1)])
        database.execute("DELETE FROM audio_files WHERE file_id = %s", [file_id(2)])
        outcome = migration.done("copy", "--since-last", "--remove-at-most", "1")
        assert migration.users()[user_id(1)]["password_hash"] == signed_in["password_hash"]
        assert file_id(2) in migration.recordings()
        assert "left_newer" in outcome.out
        assert "left_changed" in outcome.out

    def test_new_recordings_of_a_counted_account_are_counted_again(
        self, migration: Migration, database: Database
    ) -> None:
        # The service has recorded something meanwhile, so the numbers that follow are its own to give.
        counted = migration.users()[user_id(1)] | {"used_bytes": {"N": "99"}, "change_number": {"N": "77"}}
        migration.put("panzoto-users", counted)
        add_file(database, 8, 1)
        migration.done("copy", "--since-last")
        assert "claims_complete" not in migration.users()[user_id(1)]
        assert "change_number" not in migration.recordings()[file_id(8)]

    def test_it_wants_a_finished_copy(self, migration: Migration) -> None:
        (migration.state / "manifest.sqlite3").unlink()
        outcome = migration.run("copy", "--since-last")
        assert outcome.status == Status.REFUSED
        assert "no finished copy" in outcome.err

    def test_it_does_not_believe_an_empty_database(self, migration: Migration, database: Database) -> None:
        database.execute("DELETE FROM users")
        assert migration.run("copy", "--since-last").status == Status.REFUSED
        assert len(migration.users()) == 4

    def test_it_does_not_believe_tables_that_were_made_anew(
        self, migration: Migration, database: Database
    ) -> None:
        database.execute(
            "CREATE TABLE copied AS TABLE users; DROP TABLE users; ALTER TABLE copied RENAME TO users"
        )
        database.execute("ALTER TABLE users ADD PRIMARY KEY (user_id)")
        outcome = migration.run("copy", "--since-last")
        assert outcome.status == Status.REFUSED
        assert "made anew" in outcome.err
        migration.done("copy")


class TestAManifestOfTheVersionBefore:
    """It knew nothing of owners, sizes and numbers; a move that it began can be ended."""

    def test_it_is_brought_up_to_date_and_the_service_counts(
        self, migration: Migration, database: Database
    ) -> None:
        add_user(database, 1)
        add_file(database, 1, 1)
        migration.done("copy")
        with sqlite3.connect(migration.state / "manifest.sqlite3") as manifest:
            for column in ("owner", "size", "number"):
                manifest.execute(f"ALTER TABLE written DROP COLUMN {column}")
            for table in ("attempted", "touched", "shared"):
                manifest.execute(f"DROP TABLE {table}")
            manifest.execute("UPDATE facts SET value = '1' WHERE name = 'format'")
        user, recording = migration.users()[user_id(1)], migration.recordings()[file_id(1)]
        for name in ("claims_complete", "used_recordings", "used_bytes", "change_number"):
            del user[name]
        migration.put("panzoto-users", user)
        for name in ("change_number", "listed_at"):
            del recording[name]
        migration.put("panzoto-audio-files", recording)
        refused = migration.run("verify")
        assert refused.status == Status.REFUSED
        assert "`copy` brings it up to date" in refused.err
        add_file(database, 2, 1)
        migration.done("copy", "--since-last")
        migration.done("verify", "--strict")
        assert "change_number" not in migration.recordings()[file_id(2)]
        assert "claims_complete" not in migration.users()[user_id(1)]
        migration.done("rollback", "--yes")
        assert migration.users() == {}


class TestRollback:
    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in range(1, 4):
            add_user(database, number)
            add_file(database, number, number)
        migration.done("copy")

    def test_everything_goes_and_nothing_else(self, migration: Migration) -> None:
        other = {"user_id": {"S": "other"}, "email": {"S": "other@example.com"}}
        migration.put("panzoto-users", other)
        migration.done("rollback", "--yes")
        assert migration.users() == {"other": other}
        assert migration.recordings() == {}
        assert migration.claims() == {}
        assert migration.report()["tables"]["users"] == {"removed": 3, "absent": 0, "left": 0}
        migration.done("copy")
        migration.done("verify")

    def test_what_was_changed_since_is_left_and_named(self, migration: Migration) -> None:
        change(migration, "panzoto-users", migration.users()[user_id(1)], vault="{}", version="1")
        change(migration, "panzoto-audio-files", migration.recordings()[file_id(2)], s3_key="elsewhere")
        outcome = migration.done("rollback", "--yes")
        assert migration.users().keys() == {user_id(1)}
        assert migration.recordings().keys() == {file_id(2)}
        assert set(migration.claims()) == {"email#p1@example.com", "s3key#users/2.3gp"}
        assert f"LEFT  users  {user_id(1)}  the service has since added vault, version" in outcome.out
        assert f"LEFT  audio_files  {file_id(2)}  its values were changed since" in outcome.out
        assert {entry["id"] for entry in migration.report()["left"]} == {user_id(1), file_id(2)}
        assert migration.run("rollback", "--yes", "--strict").status == Status.DIFFERENT

    def test_it_asks_first(self, migration: Migration) -> None:
        outcome = migration.run("rollback")
        assert outcome.status == Status.REFUSED
        assert "--yes" in outcome.err
        assert len(migration.users()) == 3

    def test_it_does_not_need_the_database(self, migration: Migration) -> None:
        outcome = migration.run(
            "rollback", "--yes", environment={"DATABASE_URL": "postgresql://127.0.0.1:1/x"}
        )
        assert outcome.status == Status.DONE
        assert migration.users() == {}

    def test_without_a_manifest_there_is_nothing_to_take_back(self, migration: Migration) -> None:
        (migration.state / "manifest.sqlite3").unlink()
        outcome = migration.run("rollback", "--yes")
        assert outcome.status == Status.REFUSED
        assert len(migration.users()) == 3

"""Planning and copying from a real PostgreSQL: every kind of row, collisions, and what is there already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

import pytest

from migrations_from_rds import transform
from migrations_from_rds.errors import Status
from panzoto.models import bulk
from tests.migrations_from_rds.filling import add_file, add_user, fill
from tests.support.dynamodb_fake import Fake
from tests.support.legacy import (
    FILE_EVERY,
    FILE_KINDS,
    HASH,
    REFUSED_FILES,
    REFUSED_USERS,
    USER_EVERY,
    USER_KINDS,
    Legacy,
    file_id,
    user_id,
)
from tests.support.migration import Item, Migration
from tests.support.postgres import Database

# Every kind of untidiness at least once.
LEGACY = Legacy(USER_EVERY * len(USER_KINDS), FILE_EVERY * len(FILE_KINDS))


def check_books(migration: Migration, left_to_the_service: Container[str] = ()) -> None:
    """Every account is counted and every recording numbered, as the service itself leaves them."""
    owned: dict[str, list[Item]] = {}
    changes = migration.changes()
    for item in migration.recordings().values():
        owned.setdefault(item["user_id"]["S"], []).append(item)
    for owner, user in migration.users().items():
        theirs = owned.pop(owner, [])
        if owner in left_to_the_service:
            continue
        assert user["claims_complete"] == {"BOOL": True}
        assert int(user["used_recordings"]["N"]) == len(theirs)
        assert int(user["used_bytes"]["N"]) == sum(
            int(item.get("file_size", {"N": "0"})["N"]) for item in theirs
        )
        numbers = [int(item["change_number"]["N"]) for item in theirs]
        assert int(user.get("change_number", {"N": "0"})["N"]) >= max(numbers, default=0)
        assert all(item["listed_at"] == item["uploaded_at"] for item in theirs)
        entries = {place: entry for place, entry in changes.items() if entry["user_id"]["S"] == owner}
        assert {(int(e["number"]["N"]), e["file_id"]["S"]) for e in entries.values()} == {
            (int(item["change_number"]["N"]), item["file_id"]["S"]) for item in theirs
        }
    assert owned == {}


class TestEverything:
    """One copy of everything that can be untidy."""

    def expected_users(self) -> dict[str, Item]:
        found = {}
        for number in range(LEGACY.users):
            kind = LEGACY.user_kind(number)
            # Of a collision the elder has the address: the one with the lower number.
            if kind in REFUSED_USERS or (number and LEGACY.user_kind(number - 1) == "collision"):
                continue
            row = LEGACY.user_row(number)
            found[row[0]] = {
                "email": {"S": row[1].strip().lower()},
                "password_hash": {"S": row[2]},
                "display": row[1] if row[1] != row[1].strip().lower() else None,
            }
        return found

    def test_every_row_is_where_its_rule_puts_it(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        fill(database, LEGACY)
        migration.done("copy", "--on-collision=oldest")
        users, expected = migration.users(), self.expected_users()
        assert users.keys() == expected.keys()
        for name, item in users.items():
            assert item["email"] == expected[name]["email"]
            assert item["password_hash"] == expected[name]["password_hash"]
            assert item.get("email_display", {}).get("S") == expected[name]["display"]
        self.check_recordings(migration, set(users))
        claims = migration.claims()
        recordings = migration.recordings()
        assert len(claims) == fake.counts()["writes"] - len(users) - 2 * len(recordings)
        check_books(migration)
        for item in users.values():
            assert claims[f"email#{item['email']['S']}"]["user_id"] == item["user_id"]

        migration.done("verify")
        assert migration.report()["differences"] == 0
        before = fake.counts()
        migration.done("copy", "--on-collision=oldest")
        assert fake.counts()["TransactWriteItems"] == before["TransactWriteItems"]
        assert fake.counts()["writes"] == before["writes"]
        assert migration.report()["tables"]["users"]["unchanged"] == len(users)

    def check_recordings(self, migration: Migration, users: set[str]) -> None:
        recordings, claims = migration.recordings(), migration.claims()
        untidy = Counter(LEGACY.file_kind(number) for number in range(LEGACY.files))
        assert all(untidy[kind] for kind in FILE_KINDS)
        for number in range(LEGACY.files):
            row, kind = LEGACY.file_row(number), LEGACY.file_kind(number)
            if kind in REFUSED_FILES or row[1] not in users:
                assert row[0] not in recordings
                continue
            item = recordings.pop(row[0])
            assert (item["user_id"]["S"], item["s3_key"]["S"]) == (row[1], row[2])
            assert item.get("file_size", {}).get("N") == (str(row[3]) if row[3] and row[3] > 0 else None)
            assert "uploaded_at" in item
            holder = claims[f"s3key#{row[2]}"]["file_id"]["S"]
            assert (holder == row[0]) == (kind not in ("shared_key", "shared_key_of_another"))
        assert recordings == {}

    def test_the_plan_says_it_beforehand_and_touches_nothing(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        fill(database, LEGACY)
        plan = migration.done("plan", "--on-collision=oldest")
        planned = migration.report()
        counts = fake.counts()
        assert counts["writes"] == 0
        # One item is put, which holds the sweeps back.
        writing = ("Transact", "Put", "Update", "Delete", "BatchWrite")
        assert {name: count for name, count in counts.items() if name.startswith(writing)} == {"PutItem": 1}
        assert planned["would_copy"]
        for entry in planned["problem_rows"]:
            assert f"{entry['id']}  {entry['code']}" in plan.out
            assert entry["code"] in transform.RULES
        assert f"Write units: {planned['estimate']['write_units']:,}" in plan.out
        sign_ins = planned["first_sign_ins"]
        users = planned["tables"]["users"]
        assert sign_ins["accounts"] == users["read"] - users["rejected"]
        # Their hashes are of other costs than today's: each is verified, made anew, and followed by a vault.
        assert sign_ins["computations"] == 3 * sign_ins["accounts"]
        assert sign_ins["seconds"] == pytest.approx(
            sign_ins["computations"] / sign_ins["computations_per_second"], rel=0.1
        )
        assert f"First sign-ins: {sign_ins['accounts']:,} accounts, 3.0 Argon2 computations each." in plan.out

        migration.done("copy", "--on-collision=oldest")
        copied = migration.report()
        assert copied["tables"] == planned["tables"]
        assert copied["problems"] == planned["problems"]
        assert copied["write_units"] == planned["estimate"]["write_units"]

        migration.done("plan", "--on-collision=oldest")
        assert migration.report()["estimate"]["write_units"] == 0

    def test_a_run_leaves_its_papers_readable_by_its_owner_only(
        self, migration: Migration, database: Database
    ) -> None:
        fill(database, LEGACY)
        migration.done("copy", "--on-collision=skip")
        assert {path.name for path in migration.state.iterdir()} >= {
            "report.json",
            "rejects.jsonl",
            "problems.jsonl",
            "manifest.sqlite3",
        }
        for path in migration.state.iterdir():
            assert path.name in ("lock", ".gitignore") or path.stat().st_mode & 0o077 == 0
        rejects = migration.rejects()
        assert len(rejects) == sum(table["rejected"] for table in migration.report()["tables"].values())
        assert {entry["code"] for entry in rejects} == {
            *REFUSED_USERS.values(),
            *REFUSED_FILES.values(),
            "email_collision",
            "owner_rejected",
        }


class TestCollisions:
    @pytest.fixture(autouse=True)
    def _two(self, database: Database) -> None:
        add_user(database, 1, "Anna@example.com")
        add_user(database, 2, " anna@example.com")
        add_user(database, 3, "bert@example.com")
        add_file(database, 1, 1)
        add_file(database, 2, 2)

    def test_by_default_nothing_is_written_and_both_are_listed(
        self, migration: Migration, fake: Fake
    ) -> None:
        outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert user_id(1) in outcome.out
        assert user_id(2) in outcome.out
        assert "nothing was written" in outcome.err
        assert fake.counts()["writes"] == 0
        assert not migration.report()["complete"]

    def test_a_plan_says_that_copy_would_refuse(self, migration: Migration) -> None:
        assert "`copy` would refuse" in migration.done("plan").out
        assert migration.report()["would_copy"] is False

    @pytest.mark.parametrize(("policy", "kept"), [("skip", set()), ("oldest", {1}), ("newest", {2})])
    def test_as_asked(self, migration: Migration, policy: str, kept: set[int]) -> None:
        migration.done("copy", f"--on-collision={policy}")
        assert migration.users().keys() == {user_id(number) for number in {3} | kept}
        assert migration.recordings().keys() == {file_id(number) for number in kept}
        listed = {
            entry["id"] for entry in migration.report()["problem_rows"] if entry["code"] == "email_collision"
        }
        assert listed == {user_id(1), user_id(2)}
        migration.done("verify")

    def test_who_was_copied_before_keeps_the_address(self, migration: Migration, database: Database) -> None:
        add_user(database, 11, "carl@example.com")
        database.execute("DELETE FROM users WHERE user_id = %s", [user_id(2)])
        migration.done("copy")
        add_user(database, 2, "ANNA@example.com")
        assert migration.run("copy", "--since-last").status == Status.REFUSED
        migration.done("copy", "--since-last", "--on-collision=newest")
        assert migration.users().keys() == {user_id(1), user_id(3), user_id(11)}
        assert {entry["id"] for entry in migration.rejects()} == {user_id(2), file_id(2)}
        migration.done("verify")


class TestWhatIsThereAlready:
    def test_a_newer_row_is_never_overwritten(self, migration: Migration, database: Database) -> None:
        add_user(database, 1, "anna@example.com")
        add_user(database, 2, "bert@example.com")
        add_file(database, 1, 1)
        newer = bulk.user_item(
            bulk.MigratedUser(user_id(1), "anna@example.com", None, HASH.replace("t=1", "t=2"), "salt", 5),
            "x",
        )
        del newer["migration"]
        migration.put("panzoto-users", newer)
        outcome = migration.done("copy")
        # Since a recording came to it that the service has to number, it tells when that was, and no more.
        found = migration.users()[user_id(1)]
        assert found.pop("unnumbered_at")
        assert found == newer
        assert user_id(2) in migration.users()
        assert migration.recordings().keys() == {file_id(1)}
        assert migration.report()["tables"]["users"]["left_newer"] == 1
        assert "left_newer" in outcome.out
        verified = migration.run("verify")
        assert verified.status == Status.DIFFERENT
        assert f"{user_id(1)}  differs: password_hash, key_salt, created_at differs" in verified.out

    def test_an_address_that_somebody_has_registered_meanwhile(
        self, migration: Migration, database: Database
    ) -> None:
        add_user(database, 1, "Anna@example.com")
        add_file(database, 1, 1)
        migration.put("panzoto-users", {"user_id": {"S": "other"}, "email": {"S": "anna@example.com"}})
        migration.put("panzoto-claims", {"claim": {"S": "email#anna@example.com"}, "user_id": {"S": "other"}})
        migration.done("copy")
        assert migration.users().keys() == {"other"}
        # Its recording stays out with it, and comes when the address is mended.
        assert migration.recordings() == {}
        rejects = migration.rejects()
        assert {entry["code"] for entry in rejects} == {"email_taken", "owner_rejected"}
        for entry in rejects:
            entry["row"].update({"email": "anna.2@example.com"} if entry["table"] == "users" else {})
        migration.write_rejects(rejects)
        migration.done("copy", "--from-rejects")
        assert migration.users()[user_id(1)]["email"] == {"S": "anna.2@example.com"}
        assert migration.recordings().keys() == {file_id(1)}
        assert migration.rejects() == []
        migration.done("verify")

    def test_what_the_service_deleted_since_is_not_brought_back(
        self, migration: Migration, database: Database
    ) -> None:
        add_user(database, 1, "anna@example.com")
        add_file(database, 1, 1)
        migration.done("copy")
        migration.delete("panzoto-audio-files", file_id(1))
        migration.done("copy")
        assert migration.recordings() == {}
        verified = migration.run("verify")
        assert verified.status == Status.DIFFERENT
        assert f"{file_id(1)}  missing" in verified.out

    def test_a_copy_with_another_state_finds_everything_there(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        fill(database, Legacy(40, 120, untidy=False))
        migration.done("copy")
        before = (migration.recordings(), migration.claims(), migration.changes())
        writes = fake.counts()["writes"]
        (migration.state / "manifest.sqlite3").unlink()
        migration.done("copy")
        assert (migration.recordings(), migration.claims(), migration.changes()) == before
        # Only accounts are written, for the service to count them again, and perhaps the hold on the sweeps.
        assert fake.counts()["writes"] - writes <= len(migration.users()) + 1
        assert migration.report()["tables"]["audio_files"]["already_there"] == 120
        # What another state wrote is not this one's to take back.
        migration.done("rollback", "--yes")
        assert len(migration.recordings()) == 120

    def test_rows_of_the_earlier_service_get_their_claims_first(
        self, migration: Migration, database: Database
    ) -> None:
        add_user(database, 1, "Anna@example.com")
        add_user(database, 2, "bert@example.com")
        add_file(database, 1, 2, "users/earlier.3gp")
        there = {"user_id": {"S": "earlier"}, "email": {"S": "anna@example.com"}}
        migration.put("panzoto-users", there)
        earlier_file = {
            "file_id": {"S": "f"},
            "user_id": {"S": "earlier"},
            "s3_key": {"S": "users/earlier.3gp"},
        }
        migration.put("panzoto-audio-files", earlier_file)
        migration.done("copy")
        assert migration.users().keys() == {"earlier", user_id(2)}
        assert migration.users()["earlier"] == there
        claims = migration.claims()
        assert claims["email#anna@example.com"]["user_id"] == {"S": "earlier"}
        assert claims["s3key#users/earlier.3gp"]["file_id"] == {"S": "f"}
        assert file_id(1) in migration.recordings()
        migration.done("rollback", "--yes")
        assert migration.users() == {"earlier": there}
        assert migration.claims() == {
            name: claims[name] for name in claims if claims[name]["user_id"]["S"] == "earlier"
        }

    def test_the_state_of_other_tables_is_not_used_for_these(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        add_user(database, 1, "anna@example.com")
        migration.done("copy")
        fake.reset()
        outcome = migration.run("copy")
        assert outcome.status == Status.REFUSED
        assert "another --state-dir" in outcome.err
        assert migration.users() == {}

"""What passes from one row to another between a copy and its delta: addresses, keys, and rows that go bad."""

from __future__ import annotations

import pytest

from migrations_from_rds.errors import Status
from panzoto.models import bulk
from panzoto.models.bulk import MOST_ACTIONS
from tests.migrations_from_rds.filling import add_file, add_user
from tests.migrations_from_rds.test_copying import check_books
from tests.support.dynamodb_fake import Fake
from tests.support.legacy import BCRYPT, HASH, file_id, user_id
from tests.support.migration import Migration
from tests.support.postgres import Database
from tests.support.waiting import eventually

RING = MOST_ACTIONS + 10


def rename(database: Database, number: int, address: str) -> None:
    database.execute("UPDATE users SET email = %s WHERE user_id = %s", [address, user_id(number)])


def check_addresses(migration: Migration, expected: dict[int, str]) -> None:
    """Every account has its address and the claim on it, and no other address is claimed."""
    users = migration.users()
    assert {user_id(number): address for number, address in expected.items()} == {
        row_id: item["email"]["S"] for row_id, item in users.items()
    }
    holders = {
        name.removeprefix("email#"): claim["user_id"]["S"]
        for name, claim in migration.claims().items()
        if name.startswith("email#")
    }
    assert holders == {address: user_id(number) for number, address in expected.items()}
    migration.done("verify", "--strict")


def address(number: int) -> str:
    return f"p{number}@example.com"


class TestAddresses:
    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in range(1, 7):
            add_user(database, number)
            add_file(database, number, number)
        migration.done("copy")

    @pytest.mark.parametrize(
        "now",
        [
            {1: 2, 2: 1},
            {1: 2, 2: 3, 3: 1},
            {1: 9, 2: 1, 3: 2},
            {3: 9, 2: 3, 1: 2},
            {1: 2, 2: 1, 3: 4, 4: 5, 5: 6, 6: 3},
        ],
    )
    def test_one_delta_resolves_any_permutation(
        self, migration: Migration, database: Database, now: dict[int, int]
    ) -> None:
        for number in now:
            rename(database, number, f"between{number}@example.com")
        for number, other in now.items():
            rename(database, number, address(other))
        migration.done("copy", "--since-last")
        check_addresses(migration, {number: address(now.get(number, number)) for number in range(1, 7)})

    def test_one_that_passes_by_deletion(self, migration: Migration, database: Database) -> None:
        database.execute("DELETE FROM audio_files WHERE file_id = %s", [file_id(1)])
        database.execute("DELETE FROM users WHERE user_id = %s", [user_id(1)])
        rename(database, 2, address(1))
        migration.done("copy", "--since-last", "--remove-at-most", "2")
        check_addresses(
            migration, {2: address(1), 3: address(3), 4: address(4), 5: address(5), 6: address(6)}
        )

    def test_one_that_passes_to_a_new_account(self, migration: Migration, database: Database) -> None:
        rename(database, 1, "new@example.com")
        add_user(database, 7, address(1))
        add_file(database, 7, 7)
        migration.done("copy", "--since-last")
        check_addresses(
            migration, {1: "new@example.com", 7: address(1)} | {n: address(n) for n in range(2, 7)}
        )
        check_books(migration)

    def test_one_that_is_given_up_by_a_new_account_in_its_turn(
        self, migration: Migration, database: Database
    ) -> None:
        rename(database, 1, "new@example.com")
        migration.done("copy", "--since-last")
        rename(database, 2, address(1))
        migration.done("copy", "--since-last")
        check_addresses(
            migration,
            {1: "new@example.com", 2: address(1)} | {number: address(number) for number in range(3, 7)},
        )

    def test_nobody_gets_the_address_of_one_that_stays(
        self, migration: Migration, database: Database
    ) -> None:
        # The service has given the first account a vault, so the delta leaves it, and with it its address.
        migration.put("panzoto-users", migration.users()[user_id(1)] | {"vault": {"S": "{}"}})
        rename(database, 1, "new@example.com")
        rename(database, 2, address(1))
        migration.done("copy", "--since-last")
        assert migration.users()[user_id(2)]["email"]["S"] == address(2)
        assert migration.claims()[f"email#{address(1)}"]["user_id"]["S"] == user_id(1)
        assert migration.claims()[f"email#{address(2)}"]["user_id"]["S"] == user_id(2)

    def test_a_ring_larger_than_a_transaction_that_is_interrupted_and_changed_back(
        self, migration: Migration, database: Database, fake: Fake
    ) -> None:
        # More accounts than a transaction has actions.
        for number in range(10, 10 + RING):
            add_user(database, number)
        migration.done("copy")
        database.execute("UPDATE users SET email = 'x' || email")
        numbers = list(range(10, 10 + RING))
        last = numbers[-1]
        for number, other in zip(numbers, numbers[1:] + numbers[:1], strict=True):
            rename(database, number, address(other))
        for number in range(1, 7):
            rename(database, number, address(number))
        before = fake.counts()["writes"]
        with migration.started("copy", "--since-last", "--max-write-units", "400"):
            eventually(lambda: fake.counts()["writes"] >= before + 30, "thirty writes")
        for number in (10, 11, 12, last):
            rename(database, number, f"back{number}@example.com")
        for number in (10, 11, 12, last):
            rename(database, number, address(number if number != last else 10))
        rename(database, 10, "tenth@example.com")
        expected = {
            number: address(other) for number, other in zip(numbers, numbers[1:] + numbers[:1], strict=True)
        }
        expected |= {10: "tenth@example.com", 11: address(11), 12: address(12), last: address(10)}
        expected |= {number: address(number) for number in range(1, 7)}
        assert len(set(expected.values())) == len(expected)
        migration.done("copy", "--since-last")
        check_addresses(migration, expected)


class TestSharedKeys:
    """Two recordings under one key: the claim goes to another when its holder goes."""

    KEY = "users/shared.3gp"

    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in (1, 2):
            add_user(database, number)
        add_file(database, 1, 1, self.KEY, "2020-01-01")
        add_file(database, 2, 2, self.KEY, "2021-01-01")
        add_file(database, 3, 2, "users/own.3gp", "2021-01-01")
        migration.done("copy")
        assert self.holder(migration) == file_id(1)

    def holder(self, migration: Migration) -> str:
        found: str = migration.claims()[f"s3key#{self.KEY}"]["file_id"]["S"]
        return found

    def test_when_its_holder_is_deleted(self, migration: Migration, database: Database) -> None:
        database.execute("DELETE FROM audio_files WHERE file_id = %s", [file_id(1)])
        migration.done("copy", "--since-last", "--remove-at-most", "1")
        assert self.holder(migration) == file_id(2)
        migration.done("verify", "--strict")
        check_books(migration)

    def test_when_its_holders_account_goes(self, migration: Migration, database: Database) -> None:
        database.execute("DELETE FROM audio_files WHERE user_id = %s", [user_id(1)])
        database.execute("DELETE FROM users WHERE user_id = %s", [user_id(1)])
        migration.done("copy", "--since-last", "--remove-at-most", "2")
        assert self.holder(migration) == file_id(2)
        migration.done("verify", "--strict")
        check_books(migration)

    def test_when_its_holder_takes_another_key(self, migration: Migration, database: Database) -> None:
        database.execute("UPDATE audio_files SET s3_key = 'users/other' WHERE file_id = %s", [file_id(1)])
        migration.done("copy", "--since-last")
        assert self.holder(migration) == file_id(2)
        migration.done("verify", "--strict")

    def test_when_its_holder_passes_to_another_account(
        self, migration: Migration, database: Database
    ) -> None:
        database.execute("UPDATE audio_files SET user_id = %s WHERE file_id = %s", [user_id(2), file_id(1)])
        migration.done("copy", "--since-last")
        migration.done("verify")
        check_books(migration, left_to_the_service={user_id(2)})


class TestGoneBad:
    """Rows that were copied and cannot be taken any more as they are stay as they were, and are named."""

    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in range(1, 8):
            add_user(database, number)
            add_file(database, number, number)
        migration.done("copy")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (f"password_hash = '{BCRYPT}'", "no encoded Argon2 hash"),
            ("password_hash = NULL", "no encoded Argon2 hash"),
            ("email = NULL", "its email is NULL"),
            ("key_salt = 'short'", "its key_salt has 5 bytes"),
            ("email = 'P2@example.com'", "its address is also that of"),
        ],
    )
    def test_accounts(self, migration: Migration, database: Database, change: str, said: str) -> None:
        before = (migration.users(), migration.claims())
        database.execute(f"UPDATE users SET {change} WHERE user_id = %s", [user_id(1)])
        add_file(database, 9, 1)
        outcome = migration.done("copy", "--since-last", "--on-collision=oldest")
        assert migration.users()[user_id(1)]["password_hash"] == before[0][user_id(1)]["password_hash"]
        assert {**before[1], **migration.claims()}.keys() == migration.claims().keys()
        # The account is there, so what comes for it is taken.
        assert file_id(9) in migration.recordings()
        assert f"users  {user_id(1)}  gone_bad: " in outcome.out
        assert said in outcome.out
        verified = migration.done("verify")
        assert f"users  {user_id(1)}  gone_bad: " in verified.out
        assert "are not in DynamoDB" not in verified.out
        assert "1 rows could not be taken as they are now" in verified.out
        assert migration.run("verify", "--strict").status == Status.DIFFERENT
        migration.done("copy", "--on-collision=oldest")
        assert user_id(1) in migration.users()
        check_books(migration, left_to_the_service={user_id(1)})

    @pytest.mark.parametrize("change", ["s3_key = ''", "user_id = NULL", f"user_id = '{file_id(77)}'"])
    def test_recordings(self, migration: Migration, database: Database, change: str) -> None:
        before = migration.recordings()
        database.execute(f"UPDATE audio_files SET {change} WHERE file_id = %s", [file_id(1)])
        outcome = migration.done("copy", "--since-last")
        assert migration.recordings() == before
        assert f"audio_files  {file_id(1)}  gone_bad: " in outcome.out
        assert f"{file_id(1)}  gone_bad: " in migration.done("verify").out

    def test_one_that_is_mended_is_named_no_more(self, migration: Migration, database: Database) -> None:
        database.execute("UPDATE users SET password_hash = 'x' WHERE user_id = %s", [user_id(1)])
        migration.done("copy", "--since-last")
        database.execute("UPDATE users SET password_hash = %s WHERE user_id = %s", [HASH, user_id(1)])
        assert "gone_bad" not in migration.done("copy", "--since-last").out
        migration.done("verify", "--strict")

    def test_one_that_is_missing_is_said_to_be(self, migration: Migration, database: Database) -> None:
        database.execute("UPDATE users SET password_hash = 'x' WHERE user_id = %s", [user_id(1)])
        migration.delete("panzoto-users", user_id(1))
        outcome = migration.run("verify")
        assert outcome.status == Status.DIFFERENT
        assert f"{user_id(1)}  missing: it was copied, went bad since" in outcome.out


class TestInterruptedTwice:
    """The tool knows its own rows by what it wrote, in whichever run it was."""

    @pytest.mark.parametrize("again", [["copy"], ["copy", "--since-last"]])
    def test_with_a_change_in_between(
        self, migration: Migration, database: Database, again: list[str]
    ) -> None:
        add_user(database, 1)
        add_file(database, 1, 1)
        migration.done("copy")
        # Two runs that were killed: one when it had written, the next when it had noted what it would.
        written = migration.recordings()[file_id(1)]
        row = bulk.read_recording(written)
        assert row is not None
        database.execute("UPDATE audio_files SET file_size = 30 WHERE file_id = %s", [file_id(1)])
        migration.interrupted(file_id(1), [bulk.digest(row), bulk.digest(row._replace(file_size=20))])
        migration.done(*again)
        assert migration.recordings()[file_id(1)]["file_size"] == {"N": "30"}
        assert migration.report()["tables"]["audio_files"]["left_newer"] == 0
        migration.done("verify", "--strict")

    def test_and_taken_back(self, migration: Migration, database: Database) -> None:
        add_user(database, 1)
        add_file(database, 1, 1)
        migration.done("copy")
        row = bulk.read_recording(migration.recordings()[file_id(1)])
        assert row is not None
        migration.interrupted(file_id(1), [bulk.digest(row), bulk.digest(row._replace(file_size=20))])
        migration.done("rollback", "--yes")
        assert migration.report()["tables"]["audio_files"] == {"removed": 1, "absent": 0, "left": 0}
        assert migration.recordings() == {}
        assert migration.claims() == {}
        assert migration.changes() == {}

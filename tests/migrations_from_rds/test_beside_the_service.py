"""Recordings that arrive while their owner uses the service: none is lost, and nothing is told wrongly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrations_from_rds.writing import Writer
from tests.migrations_from_rds.filling import add_file, add_user
from tests.migrations_from_rds.test_copying import check_books
from tests.migrations_from_rds.test_moving_in import OLD_HASH
from tests.support import rows
from tests.support.legacy import file_id, key_salt, user_id
from tests.support.migration import Item, Migration
from tests.support.postgres import LOOSE, Database, Server
from tests.support.recordings import single_shot, store
from tests.support.service import PASSWORD, Service, empty_tables

ARRIVING = (2, 3, 4, 5)
LONG_AGO = {"N": "1700000000"}


class Owner:
    """The owner of account 1, with a phone that follows it, and what they have uploaded."""

    def __init__(self, service: Service) -> None:
        self._service = service
        body = {"email": "dora@example.com", "password": PASSWORD}
        self._account = service.call("POST", "/api/login", json=body).json()
        self._next: str | None = None
        self.uploaded: list[str] = []

    def upload(self) -> None:
        s3_key = f"users/{user_id(1)}/new-{len(self.uploaded)}.3gp"
        sound = single_shot(PASSWORD, key_salt(1).hex(), b"#!AMR\n" + bytes(99))
        self.uploaded.append(store(self._service, self._account, s3_key, sound))

    def told(self, since: str | None = None) -> tuple[set[str], str]:
        """Return what `changes` tells beyond `since`, and where it goes on."""
        found: set[str] = set()
        more = True
        while more:
            page = self.ask("/api/user/changes", **({"since": since} if since else {}))
            found |= {change["file_id"] for change in page["changes"]}
            since, more = page["next"], page["more"]
        assert since is not None
        return found, since

    def follow(self) -> set[str]:
        """Return what the phone that follows is told by now."""
        found, self._next = self.told(self._next)
        return found

    def listed(self) -> set[str]:
        return {one["file_id"] for one in self.ask("/api/user/audio-files", limit=100)["audio_files"]}

    def ask(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self._service.call("GET", path, self._account["token"], params=query)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
def moved(service: Service, postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """A migration into the service's tables, which hold nothing else, and its database."""
    empty_tables(service.aws_url)
    with postgres.database(LOOSE) as database:
        add_user(database, 1, "dora@example.com", password_hash=OLD_HASH)
        add_file(database, 1, 1, f"users/{user_id(1)}/audio-1.3gp", "2021-01-01")
        yield Migration(service.aws_url, database.url, tmp_path, capsys), database
    empty_tables(service.aws_url)


def by_rejects(migration: Migration, database: Database) -> Callable[[], None]:
    """Have recordings refused for want of an owner; return what gives them one and feeds them back."""
    for number in ARRIVING:
        add_file(database, number, None, f"users/{user_id(1)}/audio-{number}.3gp", "2021-01-02")
    migration.done("copy")

    def arrive() -> None:
        entries = migration.rejects()
        for entry in entries:
            entry["row"]["user_id"] = user_id(1)
        migration.write_rejects(entries)
        migration.done("copy", "--from-rejects")

    return arrive


def by_delta(migration: Migration, database: Database) -> Callable[[], None]:
    """Copy, and return what has recordings come to the database and copies those."""
    migration.done("copy")

    def arrive() -> None:
        for number in ARRIVING:
            add_file(database, number, 1, f"users/{user_id(1)}/audio-{number}.3gp", "2021-01-02")
        migration.done("copy", "--since-last")

    return arrive


@pytest.mark.parametrize("how", [by_rejects, by_delta])
def test_rows_that_arrive_beside_uploads_of_their_owner_share_no_numbers_with_them(
    service: Service,
    moved: tuple[Migration, Database],
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[Migration, Database], Callable[[], None]],
) -> None:
    migration, database = moved
    arrive = how(migration, database)
    owner = Owner(service)
    followed = owner.follow()
    count = Writer.count

    def count_after_an_upload(self: Writer, *given: Any) -> list[str]:
        # The rows are written, and the account is about to be counted.
        followed.update(owner.follow())
        owner.upload()
        return count(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "count", count_after_an_upload)
        arrive()
    for _ in range(3):
        owner.upload()
    everything = {file_id(number) for number in (1, *ARRIVING)} | set(owner.uploaded)
    assert len(everything) == 9
    assert owner.listed() == everything
    assert owner.told()[0] == everything
    assert followed | owner.follow() == everything
    usage = owner.ask("/api/user")["usage"]
    assert usage["recordings"] == 9

    numbers = [int(row["change_number"]["N"]) for row in migration.recordings().values()]
    assert sorted(numbers) == sorted(set(numbers))
    let_a_minute_pass(service)
    assert owner.follow() == set()
    check_books(migration)
    assert owner.ask("/api/user")["usage"] == usage
    migration.done("verify", "--strict")
    assert owner.told()[0] == everything


def let_a_minute_pass(service: Service) -> None:
    """Let the account look as if what it waits for had been written long ago."""
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": user_id(1)}},
        UpdateExpression="SET unnumbered_at = :then",
        ExpressionAttributeValues={":then": LONG_AGO},
    )


def is_left_to_the_service(account: Item) -> bool:
    """Whether the service will look for recordings without a number, and knows when some were written."""
    written = float(account.get("unnumbered_at", LONG_AGO)["N"])
    return not {"claims_complete", "used_recordings"} & account.keys() and written > time.time() - 60


class TestAnAccountThatIsThere:
    """What arrives for it has no number, whoever was interrupted where."""

    @pytest.fixture(autouse=True)
    def _copied(self, migration: Migration, database: Database) -> None:
        for number in (1, 2):
            add_user(database, number)
            add_file(database, number, number)
        migration.done("copy")
        add_file(database, 8, 1)

    def test_is_left_to_the_service_by_every_delta(self, migration: Migration, database: Database) -> None:
        for number in (8, 9, 10):
            migration.done("copy", "--since-last")
            assert "change_number" not in migration.recordings()[file_id(number)]
            assert is_left_to_the_service(migration.users()[user_id(1)])
            migration.done("verify", "--strict")
            add_file(database, number + 1, 1)
        assert len(migration.changes()) == 2
        assert migration.users()[user_id(2)]["claims_complete"] == {"BOOL": True}

    def test_is_left_to_the_service_though_nobody_had_counted_it(self, migration: Migration) -> None:
        """Else an account that is being taken up would be settled before the index tells of the row."""
        account = migration.users()[user_id(1)]
        for name in ("claims_complete", "used_recordings", "used_bytes"):
            del account[name]
        migration.put("panzoto-users", account)
        migration.done("copy", "--since-last")
        assert is_left_to_the_service(migration.users()[user_id(1)])

    def test_is_left_to_the_service_by_the_run_after_one_that_was_stopped_behind_the_row(
        self, migration: Migration, fake: Any
    ) -> None:
        # The row and its claim are the last that is written.
        fake.refuse_after(2)
        assert migration.run("copy", "--since-last").status != 0
        fake.refuse_after(None)
        assert file_id(8) in migration.recordings()
        assert migration.users()[user_id(1)]["claims_complete"] == {"BOOL": True}
        migration.done("copy", "--since-last")
        assert is_left_to_the_service(migration.users()[user_id(1)])

    def test_is_left_to_the_service_by_a_first_copy_that_was_interrupted_among_accounts(
        self, migration: Migration
    ) -> None:
        migration.rewrite_fact("pass", migration.fact("pass") | {"stage": "users", "done": False})
        migration.rewrite_fact("last_base", None)
        migration.done("copy")
        assert "change_number" not in migration.recordings()[file_id(8)]
        assert is_left_to_the_service(migration.users()[user_id(1)])

    def test_written_anew_after_a_rollback_that_was_interrupted_it_is_not_taken_for_counted(
        self, migration: Migration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        migration.done("copy", "--since-last")
        with monkeypatch.context() as patch:
            # It was killed behind the accounts.
            patch.setattr("migrations_from_rds.commands.rollback.ORDER", ("users",))
            migration.done("rollback", "--yes")
        assert migration.users() == {}
        migration.done("copy")
        account = migration.users()[user_id(1)]
        assert "change_number" not in migration.recordings()[file_id(8)]
        assert "claims_complete" not in account
        # No number that the service gives next may be in use.
        taken = [int(entry["number"]["N"]) for entry in migration.changes().values()]
        assert int(account["change_number"]["N"]) >= max(taken)

    def test_is_counted_whole_after_a_rollback_and_another_copy(self, migration: Migration) -> None:
        migration.done("copy", "--since-last")
        migration.done("rollback", "--yes")
        assert migration.users() | migration.recordings() | migration.changes() == {}
        migration.done("copy")
        numbers = [int(row["change_number"]["N"]) for row in migration.recordings().values()]
        assert len(set(numbers)) == 3
        assert all(int(one["change_number"]["N"]) >= max(numbers) for one in migration.users().values())
        migration.done("verify", "--strict")

    def test_numbers_by_itself_what_another_account_had(
        self, migration: Migration, database: Database
    ) -> None:
        """The number that it had there may be in use here, and is behind what a phone has followed."""
        database.execute("UPDATE audio_files SET user_id = %s WHERE file_id = %s", [user_id(2), file_id(1)])
        migration.done("copy", "--since-last")
        row = migration.recordings()[file_id(1)]
        assert row["user_id"] == {"S": user_id(2)}
        assert not {"change_number", "listed_at"} & row.keys()
        assert [entry["file_id"] for entry in migration.changes().values()] == [{"S": file_id(2)}]
        assert is_left_to_the_service(migration.users()[user_id(2)])

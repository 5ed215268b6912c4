"""Verification finds whatever is not as it should be, and names it."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_from_rds import indexes
from migrations_from_rds.errors import Status
from migrations_from_rds.indexes import Sums
from migrations_from_rds.rows import AUDIO_FILES, USERS
from panzoto.models import bulk
from tests.migrations_from_rds.filling import add_file, add_user
from tests.support.legacy import file_id, user_id
from tests.support.migration import Item, Migration
from tests.support.postgres import Database

FILES = "panzoto-audio-files"


@pytest.fixture(autouse=True)
def _copied(migration: Migration, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three accounts with a recording each, copied; an index that differs is not waited for."""
    monkeypatch.setattr(indexes, "PAUSE_SECONDS", 0.01)
    for number in (1, 2, 3):
        add_user(database, number)
        add_file(database, number, number)
    migration.done("copy")


def differences(migration: Migration) -> set[tuple[str, str]]:
    """Verify, and return (id, code) of what differs."""
    outcome = migration.run("verify")
    found = {(entry["id"], entry["code"]) for entry in migration.report()["difference_rows"]}
    assert outcome.status == (Status.DIFFERENT if found else Status.DONE)
    assert all(f"{row_id}  {code}" in outcome.out for row_id, code in found)
    assert migration.report()["differences"] == len(found)
    return found


def test_all_is_well(migration: Migration) -> None:
    assert differences(migration) == set()
    counts = migration.report()["counts"]
    assert (counts["users.in_index"], counts["audio_files.in_index"]) == (3, 3)


@pytest.mark.parametrize(
    ("table", "key", "attribute", "value"),
    [
        ("panzoto-users", user_id(1), "password_hash", {"S": "$argon2id$other"}),
        ("panzoto-users", user_id(2), "key_salt", {"S": "b3RoZXI="}),
        ("panzoto-users", user_id(3), "created_at", {"N": "1.5"}),
        (FILES, file_id(1), "s3_key", {"S": "users/1.3gq"}),
        (FILES, file_id(2), "file_size", {"N": "11"}),
        (FILES, file_id(3), "user_id", {"S": user_id(1)}),
    ],
)
def test_one_value_that_differs(
    migration: Migration, table: str, key: str, attribute: str, value: Any
) -> None:
    item = migration.items(table)[key]
    migration.put(table, item | {attribute: value})
    assert differences(migration) == {(key, "differs")}


def test_rows_that_are_missing_or_damaged(migration: Migration) -> None:
    migration.delete("panzoto-users", user_id(1))
    item = migration.recordings()[file_id(2)]
    migration.put(FILES, item | {"uploaded_at": {"N": "1.00000001"}})
    assert differences(migration) == {(user_id(1), "missing"), (file_id(2), "damaged")}


def test_claims(migration: Migration) -> None:
    migration.delete("panzoto-claims", "email#p1@example.com")
    claim = migration.claims()["s3key#users/2.3gp"]
    migration.put("panzoto-claims", claim | {"file_id": {"S": file_id(3)}})
    migration.delete("panzoto-claims", "s3key#users/3.3gp")
    assert differences(migration) == {
        (user_id(1), "claim_missing"),
        (file_id(2), "claim_of_another"),
        (file_id(3), "claim_missing"),
    }


def test_rows_that_the_database_never_had(migration: Migration) -> None:
    item = migration.recordings()[file_id(1)]
    migration.put(FILES, item | {"file_id": {"S": file_id(99)}})
    assert differences(migration) == {(file_id(99), "extra")}


def test_rows_that_came_since_the_copy(migration: Migration, database: Database) -> None:
    add_user(database, 4)
    assert differences(migration) == {(user_id(4), "missing")}


def test_what_the_service_wrote_itself_is_nobodys_business(migration: Migration) -> None:
    migration.put("panzoto-users", {"user_id": {"S": "new"}, "email": {"S": "new@example.com"}})
    migration.put(FILES, {"file_id": {"S": "new"}, "user_id": {"S": "new"}, "uploaded_at": {"N": "5"}})
    assert differences(migration) == set()


def test_what_the_service_has_changed_is_told_apart(migration: Migration) -> None:
    user = migration.users()[user_id(1)]
    signed_in = {"password_hash": {"S": "$argon2id$fresh"}, "vault": {"S": "{}"}, "version": {"N": "1"}}
    migration.put("panzoto-users", user | signed_in)
    binned = migration.recordings()[file_id(1)]
    binned |= {"kept_uploaded_at": binned.pop("uploaded_at"), "deleted_at": {"N": "9"}}
    migration.put(FILES, binned)
    assert differences(migration) == set()
    assert [entry["id"] for entry in migration.report()["changed_since"]] == [user_id(1)]
    assert migration.report()["counts"]["audio_files.in_index"] == 2


class TestIndexes:
    """Indexes follow their tables, so a difference has to be made up in what the index gives."""

    @pytest.mark.parametrize("attribute", ["email", "uploaded_at"])
    def test_an_index_that_lacks_a_row_or_has_another(
        self, migration: Migration, monkeypatch: pytest.MonkeyPatch, attribute: str
    ) -> None:
        lost, other = (user_id(1), user_id(2)) if attribute == "email" else (file_id(1), file_id(2))
        real = bulk.BulkTables.pages

        def pages(self: bulk.BulkTables, model: Any, index: str | None = None) -> Any:
            for page in real(self, model, index):
                key = bulk.key_name(model)
                if index is None or attribute not in page[0]:
                    yield page
                else:
                    kept: list[Item] = [item for item in page if item[key]["S"] != lost]
                    yield [item | ({"more": {"S": "x"}} if item[key]["S"] == other else {}) for item in kept]

        monkeypatch.setattr(bulk.BulkTables, "pages", pages)
        assert differences(migration) == {(lost, "index_missing"), (other, "index_differs")}

    def test_an_index_that_lags_is_asked_again(
        self, migration: Migration, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = bulk.BulkTables.pages
        asked: list[str | None] = []

        def pages(self: bulk.BulkTables, model: Any, index: str | None = None) -> Any:
            asked.append(index)
            for page in real(self, model, index):
                yield page[1:] if asked.count(index) < 3 else page

        monkeypatch.setattr(bulk.BulkTables, "pages", pages)
        assert differences(migration) == set()
        assert asked.count("email-index") == 3

    def test_sums_do_not_depend_on_the_order_but_on_everything_else(self) -> None:
        def item(number: int, **more: Any) -> Item:
            return {
                "file_id": {"S": file_id(number)},
                "uploaded_at": {"N": "1"},
                "migration": {"S": "rds-1"},
                **more,
            }

        one, other, changed = (Sums(AUDIO_FILES, ["rds-1"]) for _ in range(3))
        one.add([item(1), item(2)])
        one.add([item(3)])
        other.add([item(3), item(2), item(1)])
        assert one.differing(other) == set()
        assert one.rows == 3
        other.add([item(4)])
        changed.add([item(1), item(2), item(3, more={"S": ""})])
        assert one.differing(other) == {indexes.bucket_of(file_id(4))}
        assert one.differing(changed) == {indexes.bucket_of(file_id(3))}

    def test_what_belongs_into_no_index_is_not_expected_there(self) -> None:
        assert not Sums(USERS, ["rds-1"]).counts({"user_id": {"S": "x"}, "migration": {"S": "rds-1"}})
        assert not Sums(AUDIO_FILES, ["rds-1"]).counts({"uploaded_at": {"N": "1"}})

    def test_other_migrations_count_as_far_as_their_rows_are_wanted(self) -> None:
        there = {"file_id": {"S": file_id(1)}, "uploaded_at": {"N": "1"}, "migration": {"S": "rds-2"}}
        sums = Sums(AUDIO_FILES, ["rds-1"])
        sums.add([there])
        assert sums.rows == 0
        sums.admit([there])
        assert sums.rows == 1

"""Every case of what DynamoDB may hold in the place of a row that is to be written."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_from_rds import compare
from migrations_from_rds.decisions import Decision, decide
from migrations_from_rds.rows import FileRow, UserRow
from migrations_from_rds.state import Known
from migrations_from_rds.transform import Wanted, wanted
from panzoto.models import bulk
from panzoto.models.bulk import Item, MigratedRecording, MigratedUser

OURS = "rds-ours"
USER = MigratedUser("0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01", "anna@example.com", None, "hash", "salt", 1)
EARLIER = USER._replace(password_hash="an earlier hash")
RECORDING = MigratedRecording("7a1d9b52-1d34-4c0a-8f62-b6a5f6f0f9e3", USER.user_id, "users/anna/1.3gp", 5, 2)
ROW = UserRow(USER.user_id, USER.email, "hash", b"", 1)
FILE_ROW = FileRow(RECORDING.file_id, USER.user_id, RECORDING.s3_key, 5, 2, True)
WANTED_USER = wanted(USER, ROW)
WANTED_RECORDING = wanted(RECORDING, FILE_ROW)
ANOTHER = "11111111-1111-4111-8111-111111111111"


def item_of(row: MigratedUser | MigratedRecording, origin: str = OURS, **more: Any) -> Item:
    made = bulk.user_item(row, origin) if isinstance(row, MigratedUser) else bulk.recording_item(row, origin)
    return made | more


def written(row: MigratedUser | MigratedRecording) -> Known:
    return Known(bulk.digest(row), None, mended=False)


class TestNothingStored:
    @pytest.mark.parametrize("row", [WANTED_USER, WANTED_RECORDING])
    def test_it_is_written(self, row: Wanted) -> None:
        assert decide(row, None, None, None, OURS) is Decision.WRITE

    def test_its_own_claim_is_no_hindrance(self) -> None:
        assert decide(WANTED_USER, None, bulk.claim_item(USER, "other"), None, OURS) is Decision.WRITE

    def test_a_row_that_was_only_intended_is_written(self) -> None:
        known = Known(None, WANTED_USER.digest, mended=False)
        assert decide(WANTED_USER, None, None, known, OURS) is Decision.WRITE

    def test_what_somebody_deleted_since_is_not_brought_back(self) -> None:
        assert decide(WANTED_RECORDING, None, None, written(RECORDING), OURS) is Decision.GONE

    def test_an_address_that_another_account_has(self) -> None:
        claim = bulk.claim_item(USER._replace(user_id=ANOTHER), OURS)
        assert decide(WANTED_USER, None, claim, None, OURS) is Decision.EMAIL_TAKEN

    def test_a_key_that_another_recording_has(self) -> None:
        claim = bulk.claim_item(RECORDING._replace(file_id=ANOTHER), OURS)
        assert decide(WANTED_RECORDING, None, claim, None, OURS) is Decision.WRITE_WITHOUT_CLAIM


class TestSomethingStored:
    def test_our_own_write_whose_reply_was_lost(self) -> None:
        claim = bulk.claim_item(USER, OURS)
        assert decide(WANTED_USER, item_of(USER), claim, None, OURS) is Decision.ALREADY_OURS
        # One that lacks its claim is given it.
        assert decide(WANTED_USER, item_of(USER), None, None, OURS) is Decision.CLAIM

    def test_the_same_from_elsewhere(self) -> None:
        assert decide(WANTED_USER, item_of(USER, "rds-other"), None, None, OURS) is Decision.ALREADY_THERE

    def test_what_we_wrote_before_is_replaced(self) -> None:
        assert decide(WANTED_USER, item_of(EARLIER), None, written(EARLIER), OURS) is Decision.REPLACE

    def test_also_when_that_write_was_never_settled(self) -> None:
        known = Known(None, bulk.digest(EARLIER), mended=False)
        assert decide(WANTED_USER, item_of(EARLIER), None, known, OURS) is Decision.REPLACE

    @pytest.mark.parametrize(
        ("stored", "known"),
        [
            (item_of(EARLIER), None),
            (item_of(EARLIER, "rds-other"), written(EARLIER)),
            (item_of(EARLIER._replace(key_salt="new")), written(EARLIER)),
            (item_of(EARLIER, vault={"S": "{}"}), written(EARLIER)),
            (item_of(EARLIER, some_day={"S": "new"}), written(EARLIER)),
            ({"user_id": {"S": USER.user_id}}, written(EARLIER)),
        ],
        ids=["not ours", "another migration's", "changed", "with a vault", "with something new", "damaged"],
    )
    def test_anything_newer_is_left(self, stored: Item, known: Known | None) -> None:
        assert decide(WANTED_USER, stored, None, known, OURS) is Decision.LEFT_NEWER

    def test_that_the_service_counts_recordings_does_not_keep_an_account_from_being_replaced(self) -> None:
        counted = item_of(EARLIER, claims_complete={"BOOL": True}, used_bytes={"N": "5"})
        assert decide(WANTED_USER, counted, None, written(EARLIER), OURS) is Decision.REPLACE

    def test_a_numbered_recording_is_replaced_since_each_is_numbered(self) -> None:
        earlier = RECORDING._replace(file_size=4)
        numbered = item_of(earlier, change_number={"N": "1"})
        assert decide(WANTED_RECORDING, numbered, None, written(earlier), OURS) is Decision.REPLACE

    def test_an_address_is_not_taken_from_another_account(self) -> None:
        before = USER._replace(email="anna@old.example.com")
        claim = bulk.claim_item(USER._replace(user_id=ANOTHER), OURS)
        assert decide(WANTED_USER, item_of(before), claim, written(before), OURS) is Decision.EMAIL_TAKEN


class TestComparing:
    def test_what_arrived_is_the_same(self) -> None:
        assert compare.row(WANTED_USER, item_of(USER)) == compare.SAME
        assert compare.row(WANTED_RECORDING, item_of(RECORDING)) == compare.SAME

    @pytest.mark.parametrize("name", MigratedUser._fields[1:])
    def test_every_value_of_an_account_is_compared(self, name: str) -> None:
        other = USER._replace(**{name: 7 if name == "created_at" else "other"})
        verdict = compare.row(WANTED_USER, item_of(other))
        assert (verdict.code, verdict.sentence) == ("differs", f"{name} differs")

    @pytest.mark.parametrize("name", MigratedRecording._fields[1:])
    def test_every_value_of_a_recording_is_compared(self, name: str) -> None:
        other = RECORDING._replace(**{name: 7 if name in ("uploaded_at", "file_size") else "other"})
        verdict = compare.row(WANTED_RECORDING, item_of(other))
        assert (verdict.code, verdict.sentence) == ("differs", f"{name} differs")

    def test_missing_and_damaged(self) -> None:
        assert compare.row(WANTED_USER, None).code == "missing"
        assert compare.row(WANTED_USER, {"user_id": {"S": USER.user_id}}).code == "damaged"

    def test_what_a_login_changes_is_no_difference(self) -> None:
        rehashed = item_of(EARLIER, vault={"S": "{}"}, version={"N": "1"})
        verdict = compare.row(WANTED_USER, rehashed)
        assert (verdict.code, verdict.since) == ("changed_since", True)

    def test_what_no_service_changes_is_one_all_the_same(self) -> None:
        moved = item_of(USER._replace(created_at=2), vault={"S": "{}"}, version={"N": "1"})
        assert compare.row(WANTED_USER, moved).code == "differs"

    def test_an_upgraded_recording_is_the_same_one(self) -> None:
        upgraded = item_of(RECORDING._replace(s3_key="users/anna/1.v2"), earlier_key={"S": RECORDING.s3_key})
        assert compare.row(WANTED_RECORDING, upgraded) == compare.SAME
        larger = upgraded | {"file_size": {"N": "99"}}
        assert compare.row(WANTED_RECORDING, larger).since

    def test_a_recording_in_the_trash_is_the_same_one(self) -> None:
        binned = item_of(RECORDING, deleted_at={"N": "9"})
        binned["kept_uploaded_at"] = binned.pop("uploaded_at")
        assert compare.row(WANTED_RECORDING, binned) == compare.SAME

    def test_claims(self) -> None:
        stored = item_of(USER)
        assert compare.claim(WANTED_USER, stored, bulk.claim_item(USER, OURS), None) == compare.SAME
        assert compare.claim(WANTED_USER, stored, None, None).code == "claim_missing"
        other = bulk.claim_item(USER._replace(user_id=ANOTHER), OURS)
        assert compare.claim(WANTED_USER, stored, other, None).code == "claim_of_another"
        moved = item_of(USER._replace(email="new@example.com"))
        assert compare.claim(WANTED_USER, moved, None, None).since

    def test_a_key_may_be_claimed_by_another_recording_that_has_it(self) -> None:
        twin = RECORDING._replace(file_id=ANOTHER)
        claim = bulk.claim_item(twin, OURS)
        assert compare.claim(WANTED_RECORDING, None, claim, item_of(twin)) == compare.SAME
        assert compare.claim(WANTED_RECORDING, None, claim, None).code == "claim_of_another"
        elsewhere = item_of(twin._replace(s3_key="other"))
        assert compare.claim(WANTED_RECORDING, None, claim, elsewhere).code == "claim_of_another"

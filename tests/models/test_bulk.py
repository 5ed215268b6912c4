"""Rows written in bulk are those that the models write, and conditions say what they should."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from panzoto.errors import Unavailable
from panzoto.models import AudioFile, Claim, User, bulk
from panzoto.models.attributes import EPOCH
from panzoto.models.bulk import AwsRefused, MigratedRecording, MigratedUser, Throttled, WriteRefused

USER = MigratedUser(
    user_id="0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01",
    email="anna@example.com",
    email_display=" Anna@Example.com",
    password_hash="$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43,
    key_salt="o5dqVQHaPJ05MsuHlvrr/d3YcPVS/OFxnLjunEncF24=",
    created_at=1_614_585_600_500_000,
)
RECORDING = MigratedRecording(
    file_id="7a1d9b52-1d34-4c0a-8f62-b6a5f6f0f9e3",
    user_id=USER.user_id,
    s3_key="users/anna/grüße-🎙.3gp",
    file_size=4096,
    uploaded_at=1_614_585_600_000_001,
)
EARLIEST = int((datetime(1, 1, 1, tzinfo=UTC) - EPOCH) / timedelta(microseconds=1))
LATEST = int((datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) / timedelta(microseconds=1))
moments = st.integers(EARLIEST, LATEST)


def own_attributes(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("migration", "email_display")}


class TestItems:
    def test_an_account_is_what_the_model_writes(self) -> None:
        created = EPOCH + timedelta(microseconds=USER.created_at)
        same = User(
            user_id=USER.user_id,
            email=USER.email,
            password_hash=USER.password_hash,
            key_salt=USER.key_salt,
            created_at=created,
            created_at_iso="2021-03-01T08:00:00.500000Z",
        )
        assert own_attributes(bulk.user_item(USER, "rds-1")) == same.serialize()
        assert bulk.user_item(USER, "rds-1")["email_display"] == {"S": " Anna@Example.com"}

    def test_a_recording_is_what_the_model_writes(self) -> None:
        uploaded = EPOCH + timedelta(microseconds=RECORDING.uploaded_at)
        same = AudioFile(
            file_id=RECORDING.file_id,
            user_id=RECORDING.user_id,
            s3_key=RECORDING.s3_key,
            file_size=4096,
            uploaded_at=uploaded,
            uploaded_at_iso="2021-03-01T08:00:00.000001Z",
        )
        assert own_attributes(bulk.recording_item(RECORDING, "rds-1")) == same.serialize()

    def test_absent_values_are_absent_attributes(self) -> None:
        assert "file_size" not in bulk.recording_item(RECORDING._replace(file_size=None), "rds-1")
        assert "email_display" not in bulk.user_item(USER._replace(email_display=None), "rds-1")

    def test_claims_are_what_the_model_writes(self) -> None:
        email = Claim.for_email(USER.email, USER.user_id).serialize()
        s3_key = Claim.for_s3_key(RECORDING.s3_key, RECORDING.user_id, RECORDING.file_id).serialize()
        assert own_attributes(bulk.claim_item(USER, "rds-1")) == email
        assert own_attributes(bulk.claim_item(RECORDING, "rds-1")) == s3_key

    @given(moments)
    def test_a_moment_comes_back_to_the_microsecond(self, microseconds: int) -> None:
        user = USER._replace(created_at=microseconds)
        assert bulk.read_user(bulk.user_item(user, "rds-1")) == user

    @pytest.mark.parametrize(
        ("number", "microseconds"),
        [
            ("1700000000", 1_700_000_000_000_000),
            # DynamoDB drops zeros at the end.
            ("1700000000.5", 1_700_000_000_500_000),
            ("1700000000.500000", 1_700_000_000_500_000),
            ("-0.75", -750_000),
            ("1.7E+9", 1_700_000_000_000_000),
            ("0", 0),
        ],
    )
    def test_numbers_read_as_dynamodb_writes_them(self, number: str, microseconds: int) -> None:
        item = bulk.user_item(USER, "rds-1") | {"created_at": {"N": number}}
        assert bulk.read_user(item) == USER._replace(created_at=microseconds)

    @pytest.mark.parametrize(
        "change",
        [
            {"created_at": {"S": "2021"}},
            {"created_at": {"N": "1.0000001"}},
            {"created_at": {"N": "soon"}},
            {"password_hash": {"NULL": True}},
        ],
    )
    def test_what_is_no_account_reads_as_none(self, change: dict[str, Any]) -> None:
        assert bulk.read_user(bulk.user_item(USER, "rds-1") | change) is None


class TestDigest:
    @pytest.mark.parametrize("name", MigratedUser._fields)
    def test_every_value_of_an_account_counts(self, name: str) -> None:
        other = 7 if name == "created_at" else "other"
        assert bulk.digest(USER._replace(**{name: other})) != bulk.digest(USER)

    @pytest.mark.parametrize("name", MigratedRecording._fields)
    def test_every_value_of_a_recording_counts(self, name: str) -> None:
        other = 7 if name in ("uploaded_at", "file_size") else "other"
        assert bulk.digest(RECORDING._replace(**{name: other})) != bulk.digest(RECORDING)

    def test_it_is_the_same_from_either_side(self) -> None:
        read = bulk.read_recording(bulk.recording_item(RECORDING, "rds-1"))
        assert read is not None
        assert bulk.digest(read) == bulk.digest(RECORDING)

    def test_values_do_not_run_into_each_other(self) -> None:
        one = USER._replace(email='a","b', email_display="c")
        other = USER._replace(email="a", email_display='b","c')
        assert bulk.digest(one) != bulk.digest(other)


class TestConditions:
    def test_a_new_row_must_be_new(self) -> None:
        put = bulk.put_new(User, bulk.user_item(USER, "rds-1"))["Put"]
        assert put["ConditionExpression"] == "attribute_not_exists(user_id)"

    def test_deleting_names_every_attribute_of_the_model_and_of_the_row(self) -> None:
        stored = bulk.user_item(USER, "rds-1")
        action = bulk.delete(User, stored)["Delete"]
        names = action["ExpressionAttributeNames"]
        assert set(names.values()) == set(User.get_attributes()) | stored.keys()
        equal = {
            names[term.split(" = ")[0]]
            for term in action["ConditionExpression"].split(" AND ")
            if "=" in term
        }
        assert equal == stored.keys()
        assert list(action["ExpressionAttributeValues"].values()) == [stored[name] for name in sorted(stored)]

    def test_units_are_whole_kilobytes(self) -> None:
        item = {"id": {"S": "x" * (1024 - 2)}}
        assert bulk.units(item) == 1
        assert bulk.units({"id": {"S": "x" * 1023}}) == 2
        assert bulk.units({"id": {"S": "ü" * 512}}) == 2


def failure(code: str, status: int = 400, **more: Any) -> Exception:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return bulk._translated(ClientError(response, "TransactWriteItems"))  # type: ignore[arg-type]


def cancelled(*codes: str) -> Exception:
    return failure("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


class TestFailures:
    @pytest.mark.parametrize(
        "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"]
    )
    def test_throttling_of_a_request(self, code: str) -> None:
        error = failure(code)
        assert isinstance(error, Throttled)
        assert not error.items

    @pytest.mark.parametrize(
        "code", ["ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"]
    )
    def test_throttling_of_an_item(self, code: str) -> None:
        error = cancelled("None", code)
        assert isinstance(error, Throttled)
        assert error.items

    def test_a_failed_condition_names_the_item_whatever_else_happened(self) -> None:
        error = cancelled("None", "ConditionalCheckFailed", "ThrottlingError")
        assert isinstance(error, WriteRefused)
        assert error.failed == (False, True, False)

    @pytest.mark.parametrize(
        ("code", "status"), [("InternalServerError", 500), ("ServiceUnavailable", 503), ("", 502)]
    )
    def test_what_passes(self, code: str, status: int) -> None:
        error = failure(code, status)
        assert isinstance(error, Unavailable)
        assert not isinstance(error, Throttled)

    @pytest.mark.parametrize(
        "error",
        [
            failure("AccessDeniedException"),
            failure("ValidationException"),
            cancelled("ValidationError"),
            cancelled(),
        ],
    )
    def test_what_waiting_does_not_change(self, error: Exception) -> None:
        assert isinstance(error, AwsRefused)

    def test_pauses_grow_and_stay_bearable(self) -> None:
        assert all(0 <= bulk.pause(attempt) <= bulk.LONGEST_PAUSE_SECONDS for attempt in range(1, 2000))
        assert max(bulk.pause(1) for _ in range(50)) <= 2 * bulk.FIRST_PAUSE_SECONDS


class TestTransactions:
    def test_each_has_a_token_of_its_own(self) -> None:
        actions = [bulk.put_new(User, bulk.user_item(USER, "rds-1"))]
        tables = [bulk.BulkTables(1), bulk.BulkTables(1)]
        bodies = [tables[number % 2].transaction(actions).body for number in range(100)]
        tokens = {json.loads(body)["ClientRequestToken"] for body in bodies}
        assert len(tokens) == 100
        assert all(len(token) <= 36 for token in tokens)

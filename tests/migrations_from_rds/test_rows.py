"""Rows as lines of the reject file: what is written is read back, and what is mended is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrations_from_rds import rows
from migrations_from_rds.rows import EARLIEST, LATEST, FileRow, Unreadable, UserRow

moments = st.none() | st.integers(EARLIEST, LATEST) | st.sampled_from([EARLIEST - 1, LATEST + 1])
ids = st.uuids().map(str)
users = st.builds(
    UserRow, ids, st.none() | st.text(), st.none() | st.text(), st.none() | st.binary(), moments
)
files = st.builds(
    FileRow, ids, st.none() | ids, st.none() | st.text(), st.none() | st.integers(), moments, st.just(False)
)


@given(users | files)
def test_a_line_holds_the_whole_row(row: rows.Row) -> None:
    line = json.dumps({"table": rows.table_of(row), "id": rows.id_of(row), "row": rows.to_json(row)})
    assert rows.parse_line(line) == row


def test_times_and_salts_are_written_for_people() -> None:
    row = UserRow("0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01", "a@b", "x", b"\x01\xff", 1_614_585_600_500_000)
    assert rows.to_json(row) == {
        "user_id": row.user_id,
        "email": "a@b",
        "password_hash": "x",
        "key_salt": "01ff",
        "created_at": "2021-03-01T08:00:00.500000Z",
    }


ID = "0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01"


@pytest.mark.parametrize(
    ("written", "microseconds"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01 01:00:01+01:00", 1_000_000),
        ("1970-01-01T00:00:00.000001", 1),
        (5, 5),
        (None, None),
    ],
)
def test_times_may_be_mended_in_several_ways(written: Any, microseconds: int | None) -> None:
    row = rows.from_json("users", {"user_id": ID, "created_at": written})
    assert row == UserRow(ID, None, None, None, microseconds)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        json.dumps({"table": "users"}),
        json.dumps({"table": "sessions", "row": {}}),
        json.dumps({"table": "users", "row": {"email": "a@b"}}),
        json.dumps({"table": "users", "row": {"user_id": "not a uuid"}}),
        json.dumps({"table": "users", "row": {"user_id": ID, "key_salt": "xyz"}}),
        json.dumps({"table": "users", "row": {"user_id": ID, "email": 5}}),
        json.dumps({"table": "users", "row": {"user_id": ID, "created_at": "yesterday"}}),
        json.dumps({"table": "audio_files", "row": {"file_id": ID, "file_size": "many"}}),
        json.dumps({"table": "audio_files", "row": {"file_id": ID, "file_size": True}}),
    ],
)
def test_a_line_that_cannot_be_understood_is_told(line: str) -> None:
    with pytest.raises(Unreadable):
        rows.parse_line(line)


def test_ids_are_read_in_any_spelling() -> None:
    row = rows.from_json("audio_files", {"file_id": ID.upper(), "user_id": "{" + ID + "}"})
    assert isinstance(row, FileRow)
    assert (row.file_id, row.user_id) == (ID, ID)

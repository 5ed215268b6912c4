"""A damaged row is named in the log by its key, and never by an address."""

from __future__ import annotations

import pytest

from panzoto.errors import DamagedRecord
from panzoto.models import AudioFile
from panzoto.models.claim import Claim
from panzoto.models.damage import with_damaged


def test_of_a_claim_only_the_kind_is_named() -> None:
    stored = {"claim": {"S": "email#me@example.com"}, "user_id": {"N": "1"}}
    with pytest.raises(DamagedRecord) as refusal:
        Claim.from_raw_data(stored)
    assert refusal.value.row == "email"


def test_another_row_is_named_by_its_key() -> None:
    with pytest.raises(DamagedRecord) as refusal:
        AudioFile.from_raw_data({"file_id": {"S": "4711"}, "user_id": {"N": "1"}})
    assert refusal.value.row == "4711"


def test_of_a_damaged_row_is_given_what_can_be_read() -> None:
    item = {"file_id": {"S": "4711"}, "s3_key": {"S": "a/b"}, "title": {"N": "1"}, "note": {"NULL": True}}
    stored = [item, {"file_id": {"S": "4712"}}]
    damaged, whole = with_damaged(map(AudioFile.from_raw_data, stored))
    assert damaged.attribute_values == {"file_id": "4711", "s3_key": "a/b"}
    assert damaged.damaged == {"title"}
    assert (whole.file_id, whole.damaged) == ("4712", set())

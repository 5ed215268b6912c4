"""A damaged row is named in the log by its key, and never by an address."""

from __future__ import annotations

import pytest

from panzoto.errors import DamagedRecord
from panzoto.models import AudioFile
from panzoto.models.claim import Claim


def test_of_a_claim_only_the_kind_is_named() -> None:
    stored = {"claim": {"S": "email#me@example.com"}, "user_id": {"N": "1"}}
    with pytest.raises(DamagedRecord) as refusal:
        Claim.from_raw_data(stored)
    assert refusal.value.row == "email"


def test_another_row_is_named_by_its_key() -> None:
    with pytest.raises(DamagedRecord) as refusal:
        AudioFile.from_raw_data({"file_id": {"S": "4711"}, "user_id": {"N": "1"}})
    assert refusal.value.row == "4711"

"""Nothing lies between a moment and one before it: DynamoDB refuses to be asked, and moto does not."""

from __future__ import annotations

import uuid

import pytest

from tests.support import rows
from tests.support.service import PASSWORD, Service
from tests.support.transcripts import Owner

BACKWARDS = {"from": "2030-01-01T00:00:00Z", "to": "2020-01-01T00:00:00Z"}


@pytest.fixture(params=["service", "service_on_stand_in"])
def asked(request: pytest.FixtureRequest) -> Service:
    """Both stand-ins: that of `make run` refuses what DynamoDB refuses."""
    found: Service = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("order", ["uploaded_at", "recorded_at"])
def test_a_list_is_empty(asked: Service, order: str) -> None:
    owner = Owner(asked, asked.register(f"{uuid.uuid4().hex}@example.com"))
    owner.record()
    answer = owner.call("GET", "/api/user/audio-files", params={"order": order, **BACKWARDS})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"audio_files": [], "next_cursor": None}


def test_a_list_of_recordings_of_the_earlier_service_is_empty(asked: Service) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    user_id = rows.put_user(asked, email, PASSWORD, bytes(range(32)))
    rows.put_file(asked, user_id, f"legacy/{user_id}/1")
    token = asked.call("POST", "/api/login", json={"email": email, "password": PASSWORD}).json()["token"]
    query = {"order": "recorded_at", **BACKWARDS}
    answer = asked.call("GET", "/api/user/audio-files", token, params=query)
    assert answer.json() == {"audio_files": [], "next_cursor": None}


def test_a_search_finds_nothing(asked: Service) -> None:
    owner = Owner(asked, asked.register(f"{uuid.uuid4().hex}@example.com"))
    owner.write(owner.record(), "alike")
    assert owner.find("alike", **BACKWARDS) == {"hits": [], "next_cursor": None, "searched": 0, "total": 0}

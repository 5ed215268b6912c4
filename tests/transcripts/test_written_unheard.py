"""A transcript that is written, or removed, is not undone by who does not hear of it and tries again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.service import Service
from tests.support.transcripts import Owner, path, refused
from tests.support.unheard import unheard

TABLE = "panzoto-transcripts"


@pytest.fixture
def elsewhere(service: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    """The account at another process than the one whose calls are disturbed."""
    return Owner(service, new_account())


@pytest.fixture
def owner(second: Service, elsewhere: Owner) -> Owner:
    return Owner(second, elsewhere.account)


@pytest.fixture(autouse=True)
def cleared(proxy: FaultProxy) -> Any:
    yield
    proxy.clear()


def large(owner: Owner, file_id: str, text: str) -> str:
    return owner.seal(file_id, text, padding=os.urandom(330_000).hex())


def text_of(owner: Owner, file_id: str) -> str:
    text: str = owner.opened(file_id)["segments"][0]["text"]
    return text


def patch(owner: Owner, file_id: str) -> None:
    answer = owner.call("PATCH", f"/api/audio-file/{file_id}", json={"duration_ms": 1234})
    assert answer.status_code == 200, answer.text


def put(owner: Owner, file_id: str, sealed: str) -> None:
    answer = owner.put(file_id, sealed)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("former", [False, True])
def test_a_large_one_keeps_its_object(
    owner: Owner, elsewhere: Owner, proxy: FaultProxy, former: bool
) -> None:
    file_id = owner.record()
    if former:
        put(owner, file_id, large(owner, file_id, "former"))
    told = unheard(proxy, TABLE, lambda: patch(elsewhere, file_id))
    put(owner, file_id, large(owner, file_id, "latter"))
    assert told.applied == 1
    assert text_of(owner, file_id) == "latter"
    assert len(owner.objects()) == 1
    events = owner.call("GET", "/api/user/events").json()["events"]
    assert [event["type"] for event in events].count("transcript_written") == 1 + former


def test_one_that_is_written_over_its_revision_is_told_as_written(
    owner: Owner, elsewhere: Owner, proxy: FaultProxy
) -> None:
    file_id = owner.record()
    revision = owner.write(file_id, "former")["revision"]
    told = unheard(proxy, TABLE, lambda: patch(elsewhere, file_id))
    assert owner.put(file_id, large(owner, file_id, "latter"), revision=revision).status_code == 200
    assert told.applied == 1
    assert text_of(owner, file_id) == "latter"


def test_one_that_another_replaces_at_once_names_no_object_that_went_with_that(
    owner: Owner, elsewhere: Owner, proxy: FaultProxy
) -> None:
    file_id = owner.record()
    other = large(owner, file_id, "at once")
    told = unheard(proxy, TABLE, lambda: put(elsewhere, file_id, other))
    put(owner, file_id, large(owner, file_id, "latter"))
    assert told.applied == 1
    assert text_of(owner, file_id) == "latter"
    assert len(owner.objects()) == 1


def test_nor_does_one_that_another_removes_at_once(owner: Owner, elsewhere: Owner, proxy: FaultProxy) -> None:
    file_id = owner.record()
    told = unheard(proxy, TABLE, lambda: elsewhere.call("DELETE", path(file_id)))
    put(owner, file_id, large(owner, file_id, "latter"))
    assert told.applied == 1
    assert text_of(owner, file_id) == "latter"
    assert len(owner.objects()) == 1


def test_a_removal_takes_the_object_along(owner: Owner, elsewhere: Owner, proxy: FaultProxy) -> None:
    file_id = owner.record()
    put(owner, file_id, large(owner, file_id, "former"))
    told = unheard(proxy, TABLE, lambda: patch(elsewhere, file_id))
    assert owner.call("DELETE", path(file_id)).status_code == 204
    assert told.applied == 1
    assert owner.objects() == []
    refused(owner.call("DELETE", path(file_id)), 404, "transcript_not_found")

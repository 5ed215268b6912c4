"""A process opens few transcripts at a time, each of which may inflate to 16 MiB, and not for too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask

from panzoto import create_app
from panzoto.config import Settings
from panzoto.crypto.permits import asking_for
from panzoto.transcripts import finding
from tests.support.service import Service
from tests.support.transcripts import Owner, path


@pytest.fixture(scope="module")
def app(service: Service) -> Iterator[Flask]:
    """The service in this process, in which nobody waits for a permit."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        patch.setattr(finding, "WAIT_SECONDS", 0.0)
        yield create_app(Settings.from_environment())


@pytest.fixture
def owner(service: Service, account: dict[str, Any]) -> Owner:
    return Owner(service, account)


@pytest.fixture
def others(service: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(service, new_account())


class Asking:
    """Calls of one owner, in this process."""

    def __init__(self, app: Flask, owner: Owner, file_id: str) -> None:
        self._client = app.test_client()
        self._headers = {"Authorization": f"Bearer {owner.token}"}
        self._ticket = owner.ticket()
        self._file_id = file_id

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any], str | None]:
        answer = self._client.post(path, json={"ticket": self._ticket, **body}, headers=self._headers)
        return answer.status_code, answer.get_json(), answer.headers.get("Retry-After")

    def search(self, **more: Any) -> tuple[int, dict[str, Any], str | None]:
        return self.post("/api/search", query="alike", **more)

    def read(self) -> tuple[int, dict[str, Any], str | None]:
        return self.post(path(self._file_id))


def asking(app: Flask, owner: Owner) -> Asking:
    file_id = owner.record()
    owner.write(file_id, "alike")
    return Asking(app, owner, file_id)


@pytest.mark.parametrize(("what", "permits"), [(Asking.search, "searches"), (Asking.read, "readings")])
def test_who_has_their_share_is_told_busy_and_others_are_not(
    app: Flask, owner: Owner, others: Owner, what: Callable[[Asking], Any], permits: str
) -> None:
    mine, theirs = asking(app, owner), asking(app, others)
    held = getattr(app.extensions["panzoto"], permits)
    share = {"searches": finding.SEARCHES_AT_ONCE, "readings": finding.READINGS_AT_ONCE}[permits] // 2
    with ExitStack() as holding:
        for _ in range(share):
            holding.enter_context(asking_for(owner.user_id))
            holding.enter_context(held.one())
        status, told, retry_after = what(mine)
        assert (status, told["code"]) == (503, "busy")
        assert int(retry_after or 0) >= 1
        holding.enter_context(asking_for("somebody"))
        assert what(theirs)[0] == 200
    assert what(mine)[0] == 200


def test_a_search_that_takes_long_answers_what_it_has(
    app: Flask, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = asking(app, owner)
    file_ids = {owner.record() for _ in range(2)}
    for file_id in file_ids:
        owner.write(file_id, "alike")
    monkeypatch.setattr(finding, "MOST_SECONDS", 0.0)
    told: list[str] = []
    cursor = None
    for _ in range(3):
        status, page, _ = mine.search(**({} if cursor is None else {"cursor": cursor}))
        assert (status, page["searched"], page["total"]) == (200, 1, 3)
        told += [hit["file_id"] for hit in page["hits"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert len(set(told)) == 3
    assert file_ids < set(told)

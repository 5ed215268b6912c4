"""Who follows changes, and then the tables come back as they were at an earlier moment, begins anew.

In what was restored the numbers behind that moment are given a second time, to other changes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from panzoto.crypto.sealed import Sealer
from panzoto.cursors import Cursors
from tests.conftest import UNLIMITED
from tests.support.recordings import store
from tests.support.service import Service, run_service

FOLLOWED = {"/api/user/changes": "changes", "/api/user/transcripts": "transcripts"}


@pytest.fixture(scope="module")
def restored(service: Service) -> Iterator[Service]:
    """The service with the same accounts, whose changes are in a table as a restore makes them."""
    tables = {"CHANGES_TABLE": "panzoto-changes-restored-2026-12-01"}
    with run_service(
        service.aws_url, **UNLIMITED, **tables, CONSOLE="0", SECRET_KEY=service.secret_key()
    ) as running:
        yield running


@pytest.mark.parametrize("path", FOLLOWED)
def test_a_cursor_of_the_table_before_is_refused(
    service: Service, restored: Service, account: dict[str, Any], path: str
) -> None:
    token = account["token"]
    store(service, account, f"users/{account['user_id']}/before.3gp", b"sound")
    cursor = service.call("GET", path, token).json()["next"]
    assert service.call("GET", path, token, params={"since": cursor}).status_code == 200
    refused = restored.call("GET", path, token, params={"since": cursor})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cursor")
    anew = restored.call("GET", path, token).json()["next"]
    assert restored.call("GET", path, token, params={"since": anew}).status_code == 200


@pytest.mark.parametrize("path", FOLLOWED)
def test_what_an_earlier_release_gave_out_goes_on(
    service: Service, account: dict[str, Any], path: str
) -> None:
    sealed = Cursors(Sealer(service.secret_key(), (), "cursor"))
    store(service, account, f"users/{account['user_id']}/{time.time_ns()}.3gp", b"sound")
    since = sealed.seal(account["user_id"], FOLLOWED[path], 1)
    answer = service.call("GET", path, account["token"], params={"since": since})
    assert answer.status_code == 200
    assert not any(answer.json().get("changes", []))

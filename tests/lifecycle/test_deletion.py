"""An account's deletion is begun whole or not at all, and its owner is told which, whatever fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support import rows
from tests.support.accounts import remains
from tests.support.commands import done
from tests.support.fault_proxy import Answer, Fault, FaultProxy, LoseReply, Request
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

Account = dict[str, Any]
DENIED = Answer.dynamodb("AccessDeniedException")


@pytest.fixture(autouse=True)
def _without_faults(proxy: FaultProxy) -> Iterator[None]:
    yield
    proxy.clear()


def delete(service: Service, account: Account) -> requests.Response:
    return service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})


def asks_for_sessions(request: Request) -> bool:
    return request.operation == "Query" and b"panzoto-sessions" in request.body


def marks(request: Request) -> bool:
    return request.operation == "TransactWriteItems" and b"deletion_started_at" in request.body


def is_marked(service: Service, account: Account) -> bool:
    return "deletion_started_at" in rows.user_row(service, account["user_id"])


def ends(service: Service, account: Account) -> None:
    """Wait until nothing of the account is left."""

    def left() -> list[str]:
        return remains(service, account["user_id"], account["user"]["email"])

    eventually(lambda: not left(), left)


def test_where_sessions_cannot_be_found_nothing_has_begun(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    proxy.add(Fault(DENIED, where=asks_for_sessions))
    assert delete(second, account).status_code == 503
    assert not is_marked(service, account)
    proxy.clear()
    assert second.call("GET", "/api/user", account["token"]).status_code == 200
    assert delete(second, account).status_code == 202
    ends(service, account)


def test_what_fails_after_the_mark_is_not_told_as_if_nothing_had_begun(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    # The first finds those that end in the moment of the mark; all later ones fail.
    later = proxy.add(Fault(DENIED, where=asks_for_sessions, skip=1))
    assert delete(second, account).status_code == 202
    assert later.applied
    assert is_marked(service, account)
    for path in ("/api/user", "/api/user/audio-files", "/api/user/sessions"):
        assert second.call("GET", path, account["token"]).status_code == 401
    refreshing = {"refresh_token": account["refresh_token"]}
    assert service.call("POST", "/api/token/refresh", json=refreshing).status_code == 401
    proxy.clear()
    eventually(lambda: "deletion_interrupted" in second.log(), second.log)
    assert "1 deletions finished" in done(service, "sweep", "accounts", "sweep")
    ends(service, account)


def test_a_mark_whose_answer_was_lost_is_found(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    # One call to AWS is tried twice.
    lost = proxy.add(Fault(LoseReply(), where=marks, times=2))
    assert delete(second, account).status_code == 202
    assert lost.applied == 2
    assert second.call("GET", "/api/user", account["token"]).status_code == 401
    ends(service, account)


def test_a_mark_that_could_not_be_written_is_none(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    proxy.add(Fault(DENIED, where=marks))
    assert delete(second, account).status_code == 503
    assert not is_marked(service, account)
    assert second.call("GET", "/api/user", account["token"]).status_code == 200

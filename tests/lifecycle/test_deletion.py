"""An account's deletion is begun whole or not at all, and is over when nothing is left, whatever fails."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support import rows
from tests.support.accounts import remains
from tests.support.commands import done
from tests.support.fault_proxy import Answer, Fault, FaultProxy, LoseReply, Request
from tests.support.faults import Before
from tests.support.recordings import single_shot, store
from tests.support.service import BUCKET, PASSWORD, Service
from tests.support.waiting import eventually

Account = dict[str, Any]
DENIED = Answer.dynamodb("AccessDeniedException")
KEPT = Answer.s3(403, "AccessDenied")


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
    eventually(lambda: not left(service, account), lambda: left(service, account))


def left(service: Service, account: Account) -> list[str]:
    return remains(service, account["user_id"], account["user"]["email"])


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


def recorded(service: Service, account: Account, folder: str) -> tuple[str, str]:
    """Record something that counts as proved; return its id and its key."""
    key = f"{folder}/{uuid.uuid4()}"
    service.put_object(key, b"sound")
    return rows.put_file(service, account["user_id"], key), key


def interruptions(text: str, account: Account) -> list[tuple[str, int]]:
    """Return what kept the account's deletion from its end, as the lines of a log tell it."""
    lines = [json.loads(line) for line in text.splitlines() if "deletion_interrupted" in line]
    return [(line["code"], line["waiting"]) for line in lines if line["user_id"] == account["user_id"]]


@pytest.mark.parametrize("folder", ["users/{user_id}", "users/of-nobody-in-particular"])
def test_what_the_bucket_keeps_is_not_told_as_deleted(
    service: Service, second: Service, proxy: FaultProxy, account: Account, folder: str
) -> None:
    file_id, key = recorded(service, account, folder.format(**account))
    other_id, _ = recorded(service, account, f"users/{account['user_id']}")
    proxy.add(Fault(KEPT, method="DELETE", path=key))
    assert delete(second, account).status_code == 202
    eventually(lambda: interruptions(second.log(), account) == [("objects_kept", 1)], second.log)
    told = done(second, "sweep", "accounts", "sweep", status=1)
    assert interruptions(told, account) == [("objects_kept", 1)]
    assert "1 could not be finished" in told
    # What tells of it stays, and nothing else.
    assert is_marked(service, account)
    assert rows.file_row(service, file_id) is not None
    assert rows.file_row(service, other_id) is None
    assert service.s3().head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(b"sound")
    proxy.clear()
    assert "1 deletions finished" in done(second, "sweep", "accounts", "sweep")
    ends(service, account)


def gone(service: Service, account: Account) -> Before:
    """Let the account be deleted, to the end, right before the storage hears of a call."""

    def act() -> None:
        assert delete(service, account).status_code == 202
        ends(service, account)

    return Before(act)


def test_an_upgrade_under_way_leaves_no_copy(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    key = f"users/{account['user_id']}/{uuid.uuid4()}.3gp"
    file_id = store(service, account, key, single_shot(PASSWORD, account["key_salt"], b"plain sound"))
    # It is short, so it has been read whole by the time at which the copy is begun.
    late = proxy.add(
        Fault(gone(service, account), method="POST", where=lambda one: "uploads" in one.query, times=1)
    )
    path = f"/api/audio-file/{file_id}/upgrade"
    assert second.call("POST", path, account["token"], json={"password": PASSWORD}).status_code == 401
    assert late.applied
    assert left(service, account) == []


def test_an_erasure_under_way_notes_nothing_any_more(
    service: Service, second: Service, proxy: FaultProxy, account: Account
) -> None:
    file_id, _ = recorded(service, account, f"users/{account['user_id']}")
    late = proxy.add(
        Fault(
            gone(service, account),
            operation="UpdateItem",
            where=lambda one: b"panzoto-erasures" in one.body,
            times=1,
        )
    )
    second.call("DELETE", f"/api/audio-file/{file_id}?permanent=true", account["token"])
    assert late.applied
    assert left(service, account) == []

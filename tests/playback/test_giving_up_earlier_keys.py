"""The keys of a leaked password go with the last recording that needs them, whatever fails in between."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import rows
from tests.support.commands import done
from tests.support.fault_proxy import Answer, Fault, FaultProxy
from tests.support.recordings import single_shot, store
from tests.support.service import PASSWORD, Service
from tests.support.transcripts import Owner, refused

NEW_PASSWORD = "another quiet Tuesday"


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    """An account whose password was changed after its first recording."""
    return Owner(second, new_account())


@pytest.fixture
def file_id(owner: Owner) -> str:
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}.3gp"
    data = single_shot(PASSWORD, owner.account["key_salt"], b"plain sound")
    recorded = store(owner.service, owner.account, s3_key, data)
    body = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    answer = owner.call("POST", "/api/user/password", json=body)
    assert answer.status_code == 200, answer.text
    owner.token = answer.json()["token"]
    assert kept(owner) == 2
    return recorded


def kept(owner: Owner) -> int:
    """Return of how many passwords the row keeps direct keys."""
    key = {"user_id": {"S": owner.user_id}}
    found = owner.service.dynamodb().get_item(TableName=rows.USERS_TABLE, Key=key, ConsistentRead=True)
    return len(json.loads(found["Item"]["wrapped_direct_keys"]["S"]))


def upgrade(owner: Owner, file_id: str) -> Any:
    return owner.call("POST", f"/api/audio-file/{file_id}/upgrade", json={"password": NEW_PASSWORD})


def erase(owner: Owner, file_id: str) -> Any:
    return owner.call("DELETE", f"/api/audio-file/{file_id}", params={"permanent": "true"})


def interrupted(proxy: FaultProxy, act: Callable[[Owner, str], Any], owner: Owner, file_id: str) -> None:
    """Do it while the account's row cannot be written."""

    def gives_up(request: Any) -> bool:
        return b"wrapped_direct_keys" in request.body

    fails = Fault(Answer.dynamodb("AccessDeniedException"), operation="UpdateItem", where=gives_up)
    proxy.add(fails)
    refused(act(owner, file_id), 503, "unavailable")
    assert fails.applied
    proxy.clear()
    assert kept(owner) == 2


def test_an_upgrade_that_is_repeated_gives_them_up(owner: Owner, proxy: FaultProxy, file_id: str) -> None:
    interrupted(proxy, upgrade, owner, file_id)
    again = upgrade(owner, file_id)
    assert (again.status_code, again.json()["audio_file"]["format"]) == (200, "v2")
    assert kept(owner) == 1


def test_so_does_one_of_which_an_earlier_release_has_left_nothing_to_do(
    owner: Owner, proxy: FaultProxy, file_id: str
) -> None:
    interrupted(proxy, upgrade, owner, file_id)
    owner.service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="REMOVE superseded_key",
    )
    assert upgrade(owner, file_id).status_code == 200
    assert kept(owner) == 1


@pytest.mark.parametrize("act", [upgrade, erase])
def test_what_nobody_repeats_is_finished_by_chores(
    owner: Owner, proxy: FaultProxy, file_id: str, act: Callable[[Owner, str], Any]
) -> None:
    interrupted(proxy, act, owner, file_id)
    done(owner.service, "chores", "chores", "run")
    assert kept(owner) == 1

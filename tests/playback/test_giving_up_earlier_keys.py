"""The keys of a leaked password go with the last recording that needs them, whatever fails in between."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import rows
from tests.support.commands import done
from tests.support.fault_proxy import Answer, Fault, FaultProxy
from tests.support.faults import Before
from tests.support.recordings import hear, single_shot, store, version_2
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
    change_password(owner, PASSWORD, NEW_PASSWORD)
    assert kept(owner) == 2
    return recorded


def change_password(owner: Owner, former: str, new: str) -> None:
    body = {"password": former, "new_password": new}
    answer = owner.call("POST", "/api/user/password", json=body)
    assert answer.status_code == 200, answer.text
    owner.token = answer.json()["token"]


def gives_up(request: Any) -> bool:
    return b"wrapped_direct_keys" in request.body


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


@pytest.mark.parametrize("act", [upgrade, erase])
def test_what_a_phone_records_of_an_earlier_password_at_this_moment_opens(
    owner: Owner, service: Service, proxy: FaultProxy, file_id: str, act: Callable[[Owner, str], Any]
) -> None:
    late = single_shot(PASSWORD, owner.account["key_salt"], b"late sound")
    recorded: list[str] = []

    def record_elsewhere() -> None:
        account = owner.account | {"token": owner.token}
        recorded.append(store(service, account, f"users/{owner.user_id}/{uuid.uuid4()}.3gp", late))

    proxy.add(Fault(Before(record_elsewhere), operation="UpdateItem", where=gives_up, times=1))
    assert act(owner, file_id).ok
    proxy.clear()
    (late_id,) = recorded
    assert hear(owner.service, owner.token, late_id, NEW_PASSWORD) == b"late sound"
    # They go with it all the same.
    assert erase(owner, late_id).status_code == 204
    assert kept(owner) == 1


def patched_elsewhere(owner: Owner, service: Service, proxy: FaultProxy, times: int | None) -> Fault:
    """Let another process change a recording that needs no keys, right before they are given up."""
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    account = owner.account | {"token": owner.token}
    other = store(service, account, s3_key, version_2(owner.account, PASSWORD, s3_key, b"newer sound"))
    assert hear(service, owner.token, other, NEW_PASSWORD) == b"newer sound"

    def patch() -> None:
        answer = service.call("PATCH", f"/api/audio-file/{other}", owner.token, json={"duration_ms": 9})
        assert answer.status_code == 200, answer.text

    return proxy.add(Fault(Before(patch), operation="UpdateItem", where=gives_up, times=times))


def test_another_change_at_this_moment_does_not_keep_them(
    owner: Owner, service: Service, proxy: FaultProxy, file_id: str
) -> None:
    changes = patched_elsewhere(owner, service, proxy, times=2)
    assert erase(owner, file_id).status_code == 204
    assert (changes.applied, kept(owner)) == (2, 1)


def test_what_never_stands_still_is_finished_by_chores(
    owner: Owner, service: Service, proxy: FaultProxy, file_id: str
) -> None:
    patched_elsewhere(owner, service, proxy, times=None)
    refused(erase(owner, file_id), 503, "unavailable")
    proxy.clear()
    assert kept(owner) == 2
    done(owner.service, "chores", "chores", "run")
    assert kept(owner) == 1


def damage(owner: Owner, file_id: str, *, size: dict[str, str]) -> None:
    """Let the size of a recording be what `size` says."""
    owner.service.dynamodb().update_item(
        TableName=rows.FILES_TABLE,
        Key={"file_id": {"S": file_id}},
        UpdateExpression="SET file_size = :size",
        ExpressionAttributeValues={":size": size},
    )


@pytest.fixture
def beside_damaged(owner: Owner, service: Service, file_id: str) -> str:
    """A recording of the earlier password, of whose account a row cannot be read."""
    data = single_shot(PASSWORD, owner.account["key_salt"], b"damaged row")
    account = owner.account | {"token": owner.token}
    other = store(service, account, f"users/{owner.user_id}/{uuid.uuid4()}.3gp", data)
    damage(owner, other, size={"S": "ten"})
    return other


def test_beside_a_damaged_row_another_recording_is_erased_to_its_end(
    owner: Owner, file_id: str, beside_damaged: str
) -> None:
    key = owner.call("GET", f"/api/audio-file/{file_id}").json()["audio_file"]["s3_key"]
    assert erase(owner, file_id).status_code == 204
    found = owner.service.dynamodb().scan(TableName=rows.FILES_TABLE)["Items"]
    assert file_id not in {item["file_id"]["S"] for item in found}
    assert owner.call("POST", "/api/audio-file", json={"s3_key": key}).status_code == 201
    assert beside_damaged in owner.service.log()


def test_beside_a_damaged_row_another_recording_is_upgraded(
    owner: Owner, file_id: str, beside_damaged: str
) -> None:
    answer = upgrade(owner, file_id)
    assert (answer.status_code, answer.json()["audio_file"]["format"]) == (200, "v2")
    assert kept(owner) == 2
    # Once the row is mended and gone nothing needs them.
    damage(owner, beside_damaged, size={"N": "50"})
    assert erase(owner, beside_damaged).status_code == 204
    assert kept(owner) == 1


def test_beside_a_damaged_row_the_password_changes_as_often_as_wanted(owner: Owner, file_id: str) -> None:
    damage(owner, file_id, size={"S": "ten"})
    passwords = [NEW_PASSWORD, *(f"quiet Tuesday {number}" for number in range(10))]
    for former, new in itertools.pairwise(passwords):
        change_password(owner, former, new)
    assert kept(owner) == 12

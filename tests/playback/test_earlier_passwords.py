"""What a long history of passwords costs: nothing where a recording begins like one, else a permit."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto import create_app
from panzoto.config import Settings
from panzoto.crypto.keys import DirectKeys, Keys
from panzoto.crypto.permits import Permits, asking_for, begin_asking, end_asking
from panzoto.crypto.sealed import Sealer
from panzoto.errors import Busy, DecryptionFailed
from panzoto.playback.opening import Playback
from tests.support import rows
from tests.support.recordings import hear, single_shot, store
from tests.support.service import PASSWORD, Service

PASSWORDS = 40
VAULT_KEY = os.urandom(32)
SOUND = b"#!AMR\n" + 20 * (b"\x3c" + bytes(31))
NO_SOUND = b"something that no player knows" * 9


@pytest.fixture(scope="module")
def generations() -> tuple[DirectKeys, ...]:
    """The direct keys of many passwords, newest first."""
    return tuple(DirectKeys(os.urandom(32), os.urandom(32)) for _ in range(PASSWORDS))


@pytest.fixture(scope="module")
def permits() -> Permits:
    return Permits(2, 0.0)


@pytest.fixture(scope="module")
def playback(service: Service, permits: Permits) -> Iterator[Playback]:
    """The service's own part, in this process and on the same bucket, where nobody waits for a permit."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        parts = create_app(Settings.from_environment()).extensions["panzoto"]
        sealer = Sealer("secret", (), "ticket")
        yield Playback(parts.storage, parts.removal, sealer, parts.sessions, 900, attempts=permits)


@pytest.fixture
def _asked_by_one() -> Iterator[None]:
    """A request of an account that has computed a hash already."""
    begin_asking("192.0.2.1")
    with asking_for("account"):
        yield
    end_asking()


def put(service: Service, keys: DirectKeys, plain: bytes) -> str:
    s3_key, iv = f"users/{uuid.uuid4()}/clip", os.urandom(16)
    service.put_object(s3_key, iv + AESGCM(keys.hex_salt).encrypt(iv, plain, None))
    return s3_key


@pytest.mark.usefixtures("_asked_by_one")
@pytest.mark.parametrize("remembered", [None, "single-iv12-raw-salt", "single-iv16-hex-salt"])
def test_what_begins_like_sound_needs_no_permit_whatever_its_password(
    service: Service,
    playback: Playback,
    permits: Permits,
    generations: tuple[DirectKeys, ...],
    remembered: str | None,
) -> None:
    s3_key = put(service, generations[-1], SOUND)
    with permits.one(), asking_for("another"):
        opened = playback.open(s3_key, Keys(VAULT_KEY, earlier=generations), remembered)
    assert b"".join(opened.recording.plain(0, opened.recording.length)) == SOUND
    assert opened.format == "single-iv16-hex-salt"


@pytest.mark.usefixtures("_asked_by_one")
def test_what_else_todays_password_opens_needs_none_either(
    service: Service, playback: Playback, permits: Permits, generations: tuple[DirectKeys, ...]
) -> None:
    s3_key = put(service, generations[0], NO_SOUND)
    with permits.one():
        opened = playback.open(s3_key, Keys(VAULT_KEY, earlier=generations), None)
    assert opened.recording.length == len(NO_SOUND)


@pytest.mark.usefixtures("_asked_by_one")
@pytest.mark.parametrize("remembered", [None, "single-iv12-raw-salt", "single-iv16-hex-salt"])
def test_all_others_are_tried_for_one_of_an_account_at_a_time(
    service: Service,
    playback: Playback,
    permits: Permits,
    generations: tuple[DirectKeys, ...],
    remembered: str | None,
) -> None:
    s3_key, keys = put(service, generations[-1], NO_SOUND), Keys(VAULT_KEY, earlier=generations)
    with permits.one(), pytest.raises(Busy):
        playback.open(s3_key, keys, remembered)
    opened = playback.open(s3_key, keys, remembered)
    assert opened.recording.length == len(NO_SOUND)
    service.put_object(s3_key, os.urandom(1000))
    with pytest.raises(DecryptionFailed):
        playback.open(s3_key, keys, remembered)


def change_password(service: Service, account: dict[str, Any], before: str, password: str) -> dict[str, Any]:
    body = {"password": before, "new_password": password}
    answer = service.call("POST", "/api/user/password", account["token"], json=body)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def kept(service: Service, account: dict[str, Any]) -> int:
    """Return of how many passwords the row keeps direct keys."""
    key = {"user_id": {"S": account["user_id"]}}
    item = service.dynamodb().get_item(TableName=rows.USERS_TABLE, Key=key, ConsistentRead=True)["Item"]
    return len(json.loads(item["wrapped_direct_keys"]["S"]))


def changed_often(service: Service, account: dict[str, Any], times: int) -> list[tuple[str, dict[str, Any]]]:
    """Change the password so often; return each with what the account was under it."""
    history = [(PASSWORD, account)]
    for number in range(times):
        before, account = history[-1]
        password = f"a quiet walk number {number}"
        history.append((password, change_password(service, account, before, password)))
    return history


def test_of_few_passwords_an_account_keeps_keys_when_it_has_nothing_that_needs_them(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    history = changed_often(service, new_account(), 12)
    password, account = history[-1]
    # Today's, and those under which a phone may have recorded what it could not send yet.
    assert kept(service, account) == 11
    then, there = history[2]
    s3_key = f"users/{account['user_id']}/{uuid.uuid4()}"
    file_id = store(service, account, s3_key, single_shot(then, there["key_salt"], SOUND))
    assert hear(service, account["token"], file_id, password) == SOUND


def test_what_a_recording_may_need_is_kept(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    account = new_account()
    s3_key = f"users/{account['user_id']}/{uuid.uuid4()}"
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], NO_SOUND))
    password, account = changed_often(service, account, 12)[-1]
    assert kept(service, account) == 13
    assert hear(service, account["token"], file_id, password) == NO_SOUND

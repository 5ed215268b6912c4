"""The key that transcripts are sealed to: in every vault, made where it lacks, put right where another is."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from panzoto.crypto import transcripts, vault
from panzoto.crypto.permits import HashPermits
from tests.support import rows
from tests.support.recordings import decrypt, single_shot, store
from tests.support.service import PASSWORD, Service, run_service

NAMES = ("transcripts_public_key", "transcripts_key_mark")
NEW_PASSWORD = "another quiet walk on Tuesday"


def public_key(shown: dict[str, Any], password: str = PASSWORD) -> str:
    """Return the vault's own key, computed from what clients get."""
    stored = vault.Vault.from_stored(shown["vault"])
    vault_key = vault.unwrap(stored, shown["user_id"], password, HashPermits(1, 60))
    return base64.b64encode(transcripts.public_key_of(transcripts.private_key_of(vault_key))).decode()


def change(service: Service, user_id: str, **attributes: str | None) -> None:
    for name, value in attributes.items():
        expression = f"REMOVE {name}" if value is None else f"SET {name} = :value"
        values = {} if value is None else {"ExpressionAttributeValues": {":value": {"S": value}}}
        service.dynamodb().update_item(
            TableName=rows.USERS_TABLE, Key={"user_id": {"S": user_id}}, UpdateExpression=expression, **values
        )


def log_in(service: Service, account: dict[str, Any], password: str = PASSWORD) -> dict[str, Any]:
    body = {"email": account["user"]["email"], "password": password}
    answer = service.call("POST", "/api/login", json=body)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_every_vault_has_it(service: Service, account: dict[str, Any]) -> None:
    own = public_key(account)
    assert account["vault"]["transcripts_public_key"] == own
    assert log_in(service, account)["vault"]["transcripts_public_key"] == own
    told = service.call("GET", "/api/user", account["token"]).json()
    assert told["vault"] == account["vault"]
    body = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = service.call("POST", "/api/user/password", account["token"], json=body).json()
    assert changed["vault"]["transcripts_public_key"] == own
    assert public_key(changed, NEW_PASSWORD) == own


@pytest.mark.parametrize(
    "attributes",
    [
        dict.fromkeys(NAMES),
        {"transcripts_public_key": base64.b64encode(bytes(31) + b"\x09").decode()},
        {"transcripts_public_key": "no base64 at all"},
        {"transcripts_key_mark": base64.b64encode(bytes(32)).decode()},
    ],
    ids=["missing", "another", "nonsense", "mark"],
)
@pytest.mark.parametrize("way", ["login", "decrypt"])
def test_what_is_not_the_vaults_own_is_put_right(
    service: Service, account: dict[str, Any], attributes: dict[str, str | None], way: str
) -> None:
    change(service, account["user_id"], **attributes)
    if way == "login":
        assert log_in(service, account)["vault"] == account["vault"]
    else:
        data = single_shot(PASSWORD, account["key_salt"], b"#!AMR\nsound")
        file_id = store(service, account, f"users/{account['user_id']}/one", data)
        assert decrypt(service, account["token"], file_id, PASSWORD).status_code == 200
    assert service.call("GET", "/api/user", account["token"]).json()["vault"] == account["vault"]
    row = rows.user_row(service, account["user_id"])
    assert row["transcripts_public_key"]["S"] == account["vault"]["transcripts_public_key"]
    told = [json.loads(line) for line in service.log().splitlines() if "transcripts_key_differed" in line]
    differed = bool(attributes.get("transcripts_public_key"))
    assert bool([line for line in told if line["user_id"] == account["user_id"]]) == differed


def test_a_mark_outlives_the_secret_that_made_it(
    moto: str, service: Service, account: dict[str, Any]
) -> None:
    """A secret is forgotten after some renewals, and who stays signed in shows no password meanwhile."""
    new = "another secret of this service" * 2
    stored = vault.Vault.from_stored(account["vault"])
    before = rows.user_row(service, account["user_id"])

    def marked(row: dict[str, Any]) -> transcripts.VouchedKey:
        return transcripts.VouchedKey(*(base64.b64decode(row[name]["S"]) for name in NAMES))

    known = transcripts.Voucher(new, ()).knows
    assert not known(account["user_id"], stored.key_id, marked(before))
    with run_service(moto, SECRET_KEY=new, SECRET_KEY_FALLBACKS=service.secret_key(), MAIL="off") as renewed:
        own = public_key(account)
        assert log_in(renewed, account)["vault"]["transcripts_public_key"] == own
    after = rows.user_row(service, account["user_id"])
    assert known(account["user_id"], stored.key_id, marked(after))


def test_an_account_of_the_earlier_service_gets_it_with_its_vault(service: Service) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    rows.put_user(service, email, PASSWORD, bytes(range(32)))
    shown = log_in(service, {"user": {"email": email}})
    assert shown["vault"]["transcripts_public_key"] == public_key(shown)


def test_a_login_whose_vault_the_password_does_not_open_goes_on(
    service: Service, account: dict[str, Any]
) -> None:
    """As when the earlier service has changed the password, of which the vault knows nothing."""
    other = "a password of the earlier service"
    change(service, account["user_id"], password_hash=rows.HASHER.hash(other), **dict.fromkeys(NAMES))
    assert log_in(service, account, other)["vault"]["transcripts_public_key"] is None

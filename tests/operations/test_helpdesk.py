"""What operators do to an account, and what a locked one says to each who comes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.conftest import UNLIMITED
from tests.support import mails, rows
from tests.support.commands import done
from tests.support.openid_provider import AUDIENCE, Provider, run_provider
from tests.support.recordings import decrypt, hear, store, version_2
from tests.support.service import PASSWORD, Service, run_service
from tests.support.waiting import eventually

Account = dict[str, Any]
WRONG = "not my password"
SOUND = b"#!AMR\nsound" * 99


def told(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "") if answer.content else ""


def login(service: Service, email: str, password: str = PASSWORD) -> requests.Response:
    return service.call("POST", "/api/login", json={"email": email, "password": password})


def accounts(service: Service, *words: str, status: int = 0) -> str:
    return done(service, "support", "accounts", *words, status=status)


def stored_events(service: Service, user_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The account's events as they lie in the table, oldest first."""
    found = service.dynamodb().query(
        TableName="panzoto-events",
        KeyConditionExpression="user_id = :user_id",
        ExpressionAttributeValues={":user_id": {"S": user_id}},
        ConsistentRead=True,
    )
    return [
        (row["type"]["S"], json.loads(row["detail"]["S"]) if "detail" in row else {})
        for row in found["Items"]
    ]


def recording_of(service: Service, account: Account) -> str:
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, SOUND))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere(service: Service, provider: Provider) -> Iterator[Service]:
    """Another process of the same service, which also takes a provider's tokens and writes letters."""
    secret = service.secret_key()
    more = {"SECRET_KEY": secret, "OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": AUDIENCE}
    with run_service(service.aws_url, **UNLIMITED, **more) as running:
        yield running


class TestALockedAccount:
    def test_tells_only_who_has_its_password(self, service: Service, account: Account) -> None:
        email = account["user"]["email"]
        accounts(service, "lock", email)
        # As often as anybody likes: the right password is no guess that failed.
        for _ in range(7):
            assert told(login(service, email)) == (403, "account_locked")
        assert told(login(service, email, WRONG)) == (401, "invalid_credentials")
        accounts(service, "unlock", email)
        assert login(service, email).status_code == 200

    def test_ends_every_token_in_every_process(
        self, service: Service, elsewhere: Service, account: Account
    ) -> None:
        token = account["token"]
        for process in (service, elsewhere):
            assert process.call("GET", "/api/user/audio-files", token).status_code == 200
        accounts(service, "lock", account["user_id"])
        for process in (service, elsewhere):
            # What reads the account's row knows at once, everything else when it asks for the session again.
            assert told(process.call("GET", "/api/user", token)) == (401, "token_invalid")
            assert told(decrypt(process, token, "any", PASSWORD)) == (401, "token_invalid")
            eventually(
                lambda process=process: (
                    process.call("GET", "/api/user/audio-files", token).status_code == 401
                ),  # type: ignore[misc]
                "a token of a locked account goes on",
                25,
            )
        refreshing = {"refresh_token": account["refresh_token"]}
        refused = service.call("POST", "/api/token/refresh", json=refreshing)
        assert told(refused) == (401, "invalid_refresh_token")
        accounts(service, "unlock", account["user_id"])
        assert told(service.call("GET", "/api/user", token)) == (401, "token_invalid")
        refused = service.call("POST", "/api/token/refresh", json=refreshing)
        assert told(refused) == (401, "invalid_refresh_token")

    def test_keeps_address_rows_and_objects(self, service: Service, account: Account) -> None:
        email, file_id = account["user"]["email"], recording_of(service, account)
        accounts(service, "lock", email)
        taken = service.call("POST", "/api/register", json={"email": email, "password": PASSWORD})
        assert told(taken) == (409, "user_exists")
        accounts(service, "unlock", email)
        token = login(service, email).json()["token"]
        assert hear(service, token, file_id, PASSWORD) == SOUND

    def test_ends_its_playback_addresses(self, service: Service, account: Account) -> None:
        file_id = recording_of(service, account)
        address = decrypt(service, account["token"], file_id, PASSWORD).json()["download_url"]
        assert service.call("GET", address).content == SOUND
        accounts(service, "lock", account["user_id"])
        eventually(
            lambda: service.call("GET", address).status_code == 410,
            "a playback address of a locked account goes on",
            25,
        )

    def test_cannot_be_opened_with_its_recovery_key(self, service: Service, account: Account) -> None:
        email, token = account["user"]["email"], account["token"]
        made = service.call("POST", "/api/user/recovery-key", token, json={"password": PASSWORD})
        wanted = {
            "email": email,
            "recovery_key": made.json()["recovery_key"],
            "new_password": "a new quiet walk",
        }
        accounts(service, "lock", email)
        assert told(service.call("POST", "/api/recover", json=wanted)) == (403, "account_locked")
        other = service.register(f"{uuid.uuid4().hex}@example.com")
        strange = service.call("POST", "/api/user/recovery-key", other["token"], json={"password": PASSWORD})
        guess = wanted | {"recovery_key": strange.json()["recovery_key"]}
        assert told(service.call("POST", "/api/recover", json=guess)) == (401, "recovery_failed")
        accounts(service, "unlock", email)
        assert login(service, email).status_code == 200
        assert service.call("POST", "/api/recover", json=wanted).status_code == 200

    def test_is_not_reset_by_mail_and_gets_no_code(self, service: Service, account: Account) -> None:
        email = account["user"]["email"]
        service.call("POST", "/api/password/forgot", json={"email": email})
        code = mails.code_in(mails.wait_for(service, email, "reset"))
        accounts(service, "lock", email)
        wanted = {"code": code, "new_password": "a new quiet walk", "discard_recordings": True}
        assert told(service.call("POST", "/api/password/reset", json=wanted)) == (403, "account_locked")
        forgotten = service.call("POST", "/api/password/forgot", json={"email": email})
        assert forgotten.status_code == 202
        # Letters leave in order, so the one of the account after it tells that none came before.
        other = service.register(f"{uuid.uuid4().hex}@example.com")["user"]["email"]
        service.call("POST", "/api/password/forgot", json={"email": other})
        mails.wait_for(service, other, "reset")
        assert mails.kinds(service, email).count("reset") == 1
        accounts(service, "unlock", email)
        assert login(service, email).status_code == 200

    def test_of_a_provider_takes_no_token(self, elsewhere: Service, provider: Provider) -> None:
        subject = uuid.uuid4().hex
        token = provider.token(subject, email=f"{subject}@example.com", email_verified=True)
        user_id = elsewhere.call("GET", "/api/user", token).json()["user_id"]
        # Nobody has this address by a password, so the account of the provider is meant.
        assert user_id in accounts(elsewhere, "lock", f"{subject.upper()}@example.com")
        assert told(elsewhere.call("GET", "/api/user", token)) == (401, "token_invalid")
        later = provider.token(subject, email=f"{subject}@example.com", email_verified=True)
        assert told(elsewhere.call("GET", "/api/user", later)) == (401, "token_invalid")
        eventually(
            lambda: elsewhere.call("GET", "/api/user/audio-files", later).status_code == 401,
            "a provider's token of a locked account goes on",
            25,
        )
        accounts(elsewhere, "unlock", user_id)
        assert stored_events(elsewhere, user_id)[0][0] == "registered"

    def test_of_the_earlier_service_is_locked_too(self, service: Service) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        user_id = rows.put_user(service, email, PASSWORD, bytes(range(32)))
        for size in ("7", "35"):
            rows.put_file(service, user_id, f"users/{user_id}/{size}.3gp", file_size={"N": size})
        assert "recordings: 2, 42 bytes" in accounts(service, "find", user_id)
        accounts(service, "lock", f"  {email.upper()} ")
        assert told(login(service, email)) == (403, "account_locked")
        assert told(login(service, email, WRONG)) == (401, "invalid_credentials")
        assert (
            "vault"
            not in service.dynamodb().get_item(TableName="panzoto-users", Key={"user_id": {"S": user_id}})[
                "Item"
            ]
        )
        accounts(service, "unlock", user_id)
        assert login(service, email).status_code == 200


class TestCommands:
    def test_the_owner_sees_each(self, service: Service, account: Account) -> None:
        email, user_id = account["user"]["email"], account["user_id"]
        login(service, email)
        accounts(service, "find", f" <{email.upper()}>")
        accounts(service, "end-sessions", email)
        accounts(service, "lock", email)
        accounts(service, "lock", email)
        accounts(service, "unlock", user_id)
        accounts(service, "unlock", user_id)
        token = login(service, email).json()["token"]
        told_of = service.call("GET", "/api/user/events", token).json()["events"]
        assert [(one["type"], one["session_id"], one["address"], one["detail"]) for one in told_of[1:-2]] == [
            ("account_unlocked", None, None, {"by": "operator"}),
            ("account_locked", None, None, {"by": "operator", "sessions": 0}),
            ("sessions_ended", None, None, {"by": "operator", "sessions": 2}),
            ("account_looked_up", None, None, {"by": "operator"}),
        ]

    def test_ended_sessions_are_over_and_the_password_is_not(
        self, service: Service, account: Account
    ) -> None:
        email = account["user"]["email"]
        assert "2 sessions ended" in (login(service, email) and accounts(service, "end-sessions", email))
        refreshing = {"refresh_token": account["refresh_token"]}
        refused = service.call("POST", "/api/token/refresh", json=refreshing)
        assert told(refused) == (401, "invalid_refresh_token")
        eventually(
            lambda: service.call("GET", "/api/user", account["token"]).status_code == 401,
            "an ended session goes on",
            25,
        )
        assert login(service, email).status_code == 200
        assert "1 session ended." in accounts(service, "end-sessions", email)

    def test_more_sessions_end_than_a_transaction_takes(self, service: Service, account: Account) -> None:
        dynamodb = service.dynamodb()
        (row,) = dynamodb.query(
            TableName="panzoto-sessions",
            KeyConditionExpression="user_id = :user_id",
            ExpressionAttributeValues={":user_id": {"S": account["user_id"]}},
        )["Items"]
        for _ in range(120):
            dynamodb.put_item(
                TableName="panzoto-sessions", Item=row | {"session_id": {"S": str(uuid.uuid4())}}
            )
        assert "121 sessions ended" in accounts(service, "end-sessions", account["user_id"])
        assert "sessions: 0" in accounts(service, "find", account["user_id"])

    def test_nothing_secret_is_shown(self, service: Service, account: Account) -> None:
        device = {"email": account["user"]["email"], "password": PASSWORD, "device_name": "[red]Ada's[/red]"}
        service.call("POST", "/api/login", json=device)
        recording_of(service, account)
        printed = accounts(service, "find", account["user"]["email"])
        for shown in (
            account["user_id"],
            account["session_id"],
            account["user"]["email"],
            "[red]Ada's[/red]",
            "sessions: 2",
            "recordings: 1, ",
            "locked: no",
        ):
            assert shown in printed
        row = service.dynamodb().get_item(
            TableName="panzoto-users", Key={"user_id": {"S": account["user_id"]}}
        )["Item"]
        for name in ("password_hash", "key_salt", "vault"):
            assert row[name]["S"] not in printed
        assert account["key_salt"] not in printed
        assert account["token"] not in printed

    @pytest.mark.parametrize("verb", ["find", "lock", "unlock", "end-sessions"])
    def test_who_is_not_there_is_said(self, service: Service, verb: str) -> None:
        for who in ("nobody@example.com", str(uuid.uuid4()), "\x1b[31m", "n" * 3000):
            printed = accounts(service, verb, who, status=1)
            assert "User not found" in printed
            assert "\x1b" not in printed
            assert "Traceback" not in printed

    def test_an_address_of_several_provider_accounts_is_not_locked_by_chance(
        self, elsewhere: Service, provider: Provider
    ) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        ids = [
            elsewhere.call(
                "GET", "/api/user", provider.token(uuid.uuid4().hex, email=email, email_verified=True)
            ).json()["user_id"]
            for _ in range(2)
        ]
        printed = accounts(elsewhere, "lock", email, status=1)
        assert all(user_id in printed for user_id in ids)
        printed = accounts(elsewhere, "find", email)
        assert all(user_id in printed for user_id in ids)

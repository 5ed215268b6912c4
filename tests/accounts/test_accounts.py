"""Register and login over the wire: every sentence of the contract, and the rows of the earlier service."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
import requests
from argon2 import PasswordHasher, Type
from argon2.low_level import hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask

from panzoto import create_app
from panzoto.auth.mail_address import normal_form
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits
from panzoto.errors import Busy
from tests.support import rows
from tests.support.aws import aws_environment
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

BOTH = ("/api/register", "/api/login")
REQUIRED = "Email and password are required"
TOO_SHORT = "Password must be at least 8 characters"
KEY_SALT = bytes(range(32))
# The settings of a hash, in the order in which it tells them.
COSTS = ("ARGON2_MEMORY_KIB", "ARGON2_TIME_COST", "ARGON2_PARALLELISM")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
WAIT_SECONDS = 60.0


def fresh_email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def send(service: Service, path: str, **body: Any) -> requests.Response:
    return service.call("POST", path, json=body)


def register(service: Service, email: str, password: str = PASSWORD) -> requests.Response:
    return send(service, "/api/register", email=email, password=password)


def login(service: Service, email: str, password: str = PASSWORD) -> requests.Response:
    return send(service, "/api/login", email=email, password=password)


def insisting(call: Callable[[], requests.Response]) -> requests.Response:
    """What a phone does when it is told to come again later: it does, though here it hurries."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (answer := call()).status_code in (429, 503) and time.monotonic() < deadline:
        assert int(answer.headers["Retry-After"]) >= 1
        time.sleep(0.1)
    return answer


def trouble(service: Service, logged: int) -> str:
    """What the service logged since, for a failed assertion to show."""
    return "\n".join(line for line in service.log()[logged:].splitlines() if '"error"' in line)


def claim_of(service: Service, email: str) -> dict[str, Any] | None:
    found = service.dynamodb().get_item(
        TableName="panzoto-claims", Key={"claim": {"S": f"email#{normal_form(email)}"}}, ConsistentRead=True
    )
    item: dict[str, Any] | None = found.get("Item")
    return item


def rows_of(service: Service, email: str) -> list[dict[str, Any]]:
    found = service.dynamodb().query(
        TableName=rows.USERS_TABLE,
        IndexName="email-index",
        KeyConditionExpression="email = :email",
        ExpressionAttributeValues={":email": {"S": email}},
    )
    items: list[dict[str, Any]] = found["Items"]
    return items


def open_vault(account: dict[str, Any], password: str) -> bytes:
    """Open the vault as a phone does, from the published description alone, and return the vault key."""
    vault = account["vault"]
    kdf = vault["kdf"]
    kek = hash_secret_raw(
        password.encode("utf-8"),
        bytes.fromhex(kdf["salt"]),
        time_cost=kdf["time_cost"],
        memory_cost=kdf["memory_cost_kib"],
        parallelism=kdf["parallelism"],
        hash_len=32,
        type=Type.ID,
        version=kdf["version"],
    )
    wrapped = base64.b64decode(vault["wrapped_key"], validate=True)
    associated = b"panzoto/v2/vault" + account["user_id"].encode("ascii")
    vault_key = AESGCM(kek).decrypt(wrapped[:12], wrapped[12:], associated)
    key_id = HKDF(SHA256(), 32, None, b"panzoto/v2/key-id").derive(vault_key)[:16]
    assert key_id.hex() == vault["key_id"]
    return vault_key


class TestWhatTheyReturn:
    def test_the_literal_requests_of_the_contract(self, service: Service) -> None:
        person = {"email": "test@example.com", "password": "SecurePassword123!"}
        made = service.call("POST", "/api/register", json=person)
        signed_in = service.call("POST", "/api/login", json=person)
        token = signed_in.json()["token"]
        noted = service.call(
            "POST",
            "/api/audio-file",
            token,
            json={"s3_key": "users/test-user/audio-123.3gp", "file_size": 1024},
        )
        listed = service.call("GET", "/api/user/audio-files", token)
        statuses = [answer.status_code for answer in (made, signed_in, noted, listed)]
        assert statuses == [201, 200, 201, 200]
        assert [one["s3_key"] for one in listed.json()["audio_files"]] == ["users/test-user/audio-123.3gp"]

    def test_the_shape_of_an_account(self, service: Service) -> None:
        email = fresh_email()
        for answer in (register(service, email), login(service, email)):
            account = answer.json()
            assert answer.headers["Content-Type"] == "application/json"
            assert str(uuid.UUID(account["user_id"])) == account["user_id"]
            assert account["user"]["user_id"] == account["user_id"]
            assert account["user"]["email"] == email
            assert RFC3339.fullmatch(account["user"]["created_at"])
            assert re.fullmatch("[0-9a-f]{64}", account["key_salt"])
            assert account["key_derivation"] == {"algorithm": "pbkdf2-hmac-sha256", "iterations": 100_000}
            assert "password" not in json.dumps(account).replace("password_", "")

    def test_login_returns_what_register_did(self, service: Service) -> None:
        email = fresh_email()
        made, signed_in = register(service, email).json(), login(service, email).json()
        for name in ("user_id", "key_salt", "user", "key_derivation", "vault"):
            assert made[name] == signed_in[name], name

    def test_the_token_is_hs256_with_the_claims_of_the_contract_and_lasts_30_days(
        self, service: Service
    ) -> None:
        account = service.register(fresh_email())
        assert jwt.get_unverified_header(account["token"])["alg"] == "HS256"
        claims = jwt.decode(account["token"], options={"verify_signature": False})
        assert claims["user_id"] == account["user_id"]
        assert claims["exp"] - claims["iat"] == 30 * 86400
        assert abs(claims["iat"] - time.time()) < 120
        assert service.call("GET", "/api/user/audio-files", account["token"]).status_code == 200

    def test_the_shape_of_the_vault(self, service: Service, account: dict[str, Any]) -> None:
        vault = account["vault"]
        assert vault["version"] == 1
        assert re.fullmatch("[0-9a-f]{32}", vault["key_id"])
        kdf = vault["kdf"]
        assert (kdf["algorithm"], kdf["version"]) == ("argon2id", 19)
        told = [kdf["memory_cost_kib"], kdf["time_cost"], kdf["parallelism"]]
        assert told == [int(service.environment[name]) for name in COSTS]
        assert re.fullmatch("[0-9a-f]{64}", kdf["salt"])
        assert len(base64.b64decode(vault["wrapped_key"], validate=True)) == 12 + 32 + 16

    def test_a_phone_opens_the_vault_from_its_description_alone(self, account: dict[str, Any]) -> None:
        assert len(open_vault(account, PASSWORD)) == 32

    def test_nothing_secret_is_shared_between_two_accounts(
        self, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        first, second = new_account(), new_account()
        for name in ("token", "user_id", "key_salt"):
            assert first[name] != second[name]
        assert first["vault"]["kdf"]["salt"] != second["vault"]["kdf"]["salt"]
        assert open_vault(first, PASSWORD) != open_vault(second, PASSWORD)

    def test_the_row_is_one_the_earlier_service_can_read(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        row = rows.user_row(service, account["user_id"])
        assert row["email"]["S"] == account["user"]["email"]
        assert row["password_hash"]["S"].startswith("$argon2id$")
        assert base64.b64decode(row["key_salt"]["S"]).hex() == account["key_salt"]
        assert abs(float(row["created_at"]["N"]) - time.time()) < 600
        assert row["created_at_iso"]["S"].startswith(account["user"]["created_at"][:19])
        assert PasswordHasher().verify(row["password_hash"]["S"], PASSWORD)


class TestRequiredFields:
    @pytest.mark.parametrize("path", BOTH)
    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"email": "somebody@example.com"},
            {"password": PASSWORD},
            {"email": "", "password": PASSWORD},
            {"email": "somebody@example.com", "password": ""},
            {"email": None, "password": PASSWORD},
            {"email": "somebody@example.com", "password": None},
            {"email": "   ", "password": PASSWORD},
            {"email": "\t\r\n", "password": PASSWORD},
            {"Email": "somebody@example.com", "Password": PASSWORD},
            {"email": "", "password": "short"},
            {"email": "not an address", "password": ""},
        ],
        ids=json.dumps,
    )
    def test_email_and_password_are_required(self, service: Service, path: str, body: dict[str, Any]) -> None:
        answer = service.call("POST", path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, REQUIRED)
        assert answer.json()["code"] == "invalid_request"
        assert set(answer.json()["fields"]) <= {"email", "password"}
        assert answer.json()["fields"]

    @pytest.mark.parametrize("path", BOTH)
    def test_a_call_without_a_body_is_told_what_is_required(self, service: Service, path: str) -> None:
        answer = service.call("POST", path)
        assert (answer.status_code, answer.json()["error"]) == (400, REQUIRED)

    @pytest.mark.parametrize("path", BOTH)
    @pytest.mark.parametrize("name", ["email", "password"])
    @pytest.mark.parametrize("value", [0, 12345678, 1.5, True, False, [], ["a"], {}], ids=json.dumps)
    def test_a_value_that_is_no_text_is_400(self, service: Service, path: str, name: str, value: Any) -> None:
        body = {"email": fresh_email(), "password": PASSWORD} | {name: value}
        answer = service.call("POST", path, json=body)
        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"
        assert list(answer.json()["fields"]) == [name]

    @pytest.mark.parametrize("path", BOTH)
    @pytest.mark.parametrize("name", ["email", "password"])
    def test_a_lone_surrogate_is_400(self, service: Service, path: str, name: str) -> None:
        body = {"email": fresh_email(), "password": PASSWORD} | {name: "abcdefgh\ud800@example.com"}
        answer = service.call("POST", path, json=body)
        assert answer.status_code == 400
        assert list(answer.json()["fields"]) == [name]

    def test_unknown_fields_are_ignored(self, service: Service) -> None:
        more = {"device_name": "a phone", "": 1, "admin": True, "user_id": "x", "newer": {"deep": [None]}}
        body = {"email": fresh_email(), "password": PASSWORD, **more}
        made = service.call("POST", "/api/register", json=body)
        assert made.status_code == 201
        assert made.json()["user_id"] != "x"
        assert service.call("POST", "/api/login", json=body).status_code == 200


class TestEmail:
    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("  MiXed.{}@Example.COM", "mixed.{}@example.com"),
            ("tail.{}@example.com \t\r\n", "tail.{}@example.com"),
            ("plus+tag.{}@sub.domain.example", "plus+tag.{}@sub.domain.example"),
            ("o'brien.{}@example.ie", "o'brien.{}@example.ie"),
            ("UMLAUT.{}@EXÄMPLE.com", "umlaut.{}@exämple.com"),
        ],
    )
    def test_it_is_stripped_and_lower_cased(self, service: Service, sent: str, kept: str) -> None:
        serial = uuid.uuid4().hex[:12]
        sent, kept = sent.format(serial), kept.format(serial)
        made = register(service, sent)
        assert made.json()["user"]["email"] == kept
        assert claim_of(service, normal_form(kept)) is not None
        for spelling in (sent, kept, kept.upper() if kept.isascii() else kept, f" {kept} "):
            signed_in = login(service, spelling)
            assert signed_in.status_code == 200, spelling
            assert signed_in.json()["user_id"] == made.json()["user_id"]
            again = register(service, spelling)
            assert (again.status_code, again.json()["error"]) == (409, "User already exists")
            assert again.json()["code"] == "user_exists"

    @pytest.mark.parametrize(
        "address",
        [
            "plain",
            "@example.com",
            "a@",
            "a@b",
            "a b@example.com",
            "a@exam ple.com",
            "a@b..com",
            "a@.com",
            "a@b.",
            "a@@example.com",
            "a@b@example.com",
            "a\u0000@example.com",
            "a\u007f@example.com",
            "a\n@example.com",
            "a@example.com\nb@example.com",
            "x" * 65 + "@example.com",
            "a@" + "b" * 250 + ".com",
            "a" * 20_000 + "@example.com",
        ],
        ids=lambda address: ascii(address)[:40],
    )
    def test_a_malformed_address_is_400(self, service: Service, address: str) -> None:
        answer = register(service, address)
        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_request"
        assert list(answer.json()["fields"]) == ["email"]
        assert answer.json()["error"] not in (REQUIRED, TOO_SHORT)
        # Whether the address is refused as such or as unknown, it never signs anybody in.
        assert login(service, address).status_code in (400, 401)

    @pytest.mark.parametrize(
        "address",
        [
            "a" * 65 + "@example.com",
            "u@" + "b" * 241 + ".example.com",
            "anna smith@example.com",
            "a@b@example.com",
            "anna",
        ],
        ids=lambda address: address[:20],
    )
    def test_one_that_the_earlier_service_has_taken_signs_in(self, service: Service, address: str) -> None:
        assert login(service, address).status_code == 400
        rows.put_user(service, address, PASSWORD, bytes(32))
        for written in (address, f" {address.upper()}\n"):
            answer = login(service, written)
            assert answer.status_code == 200, answer.text
            assert answer.json()["user"]["email"] == address
        answer = login(service, address, "not the password")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")

    def test_254_characters_are_an_address(self, service: Service) -> None:
        local, labels = uuid.uuid4().hex, ".".join(["d" * 60] * 3)
        domain = f"{'e' * (254 - len(local) - 1 - len(labels) - 13)}.{labels}.example.com"
        assert register(service, f"{local}@{domain}").status_code == 201
        assert register(service, f"{local}@d{domain}").status_code == 400


class TestPasswordRules:
    @pytest.mark.parametrize("path", BOTH)
    @pytest.mark.parametrize("password", ["x", "1234567", "éèêëēėę", "🎤🎧🎼🎹🥁🎷🎺", "       ", "\0" * 7])
    def test_fewer_than_8_characters(self, service: Service, path: str, password: str) -> None:
        answer = send(service, path, email=fresh_email(), password=password)
        assert (answer.status_code, answer.json()["error"]) == (400, TOO_SHORT)
        assert answer.json()["fields"] == {"password": TOO_SHORT}

    @pytest.mark.parametrize("password", ["pv7#q_2L", "🎤🎧🎼🎹🥁🎷🎺🎻", "q" * 255 + "é", "🎤" * 256])
    def test_8_to_256_characters_whatever_their_bytes(self, service: Service, password: str) -> None:
        email = fresh_email()
        assert register(service, email, password).status_code == 201
        assert login(service, email, password).status_code == 200

    @pytest.mark.parametrize("length", [257, 1024, 20_000])
    def test_more_than_256_characters_are_refused_at_register(self, service: Service, length: int) -> None:
        answer = register(service, fresh_email(), "long enough " + "x" * (length - 12))
        assert answer.status_code == 400
        assert "256" in answer.json()["error"]
        assert list(answer.json()["fields"]) == ["password"]

    @pytest.mark.parametrize("password", ["password", "12345678", "PassWord", "iloveyou", "password1"])
    def test_the_most_common_are_refused_at_register_with_a_clear_sentence(
        self, service: Service, password: str
    ) -> None:
        answer = register(service, fresh_email(), password)
        assert answer.status_code == 400
        assert "common" in answer.json()["error"]
        assert list(answer.json()["fields"]) == ["password"]

    @pytest.mark.parametrize("password", ["password1", "y" * 300, "z" * 5000])
    def test_rules_newer_than_an_account_do_not_keep_it_out(self, service: Service, password: str) -> None:
        email = fresh_email()
        rows.put_user(service, email, password, KEY_SALT)
        assert login(service, email, password).status_code == 200

    def test_all_that_is_wrong_is_told_at_once(self, service: Service) -> None:
        answer = register(service, "not an address", "short")
        assert answer.status_code == 400
        assert set(answer.json()["fields"]) == {"email", "password"}

    def test_what_is_wrong_with_the_request_is_told_before_what_exists(self, service: Service) -> None:
        email = service.register(fresh_email())["user"]["email"]
        assert register(service, email, "short").json()["error"] == TOO_SHORT
        assert login(service, email, "short").json()["error"] == TOO_SHORT
        assert "common" in register(service, email, "password").json()["error"]
        assert register(service, email).status_code == 409


EXACT = {
    "composed": ("caf\u00e9 au lait", "cafe\u0301 au lait"),
    "decomposed": ("cafe\u0301 au lait", "caf\u00e9 au lait"),
    "compatibility": ("\ufb01ne evening", "fine evening"),
    "nul": ("abcd\u0000efgh1", "abcd\u0000efgh2"),
    "nul ends nothing": ("abcdefgh\u0000", "abcdefgh"),
    "leading space": (" padded word", "padded word"),
    "trailing space": ("padded word ", "padded word"),
    "letter case": ("A quiet Walk", "a quiet walk"),
    "emoji": ("walk 🚶\u200d♀️ home", "walk 🚶 home"),
    "newline": ("two lines\n", "two lines"),
    "byte order mark": ("\ufeffmarked word", "marked word"),
    "full width": ("ｐａｓｓｐｈｒａｓｅ", "passphrase"),
}


class TestExactBytes:
    @pytest.mark.parametrize("name", EXACT)
    def test_another_spelling_is_another_password(self, service: Service, name: str) -> None:
        password, other = EXACT[name]
        email = fresh_email()
        made = register(service, email, password)
        assert made.status_code == 201, made.text
        assert login(service, email, password).status_code == 200
        refused = login(service, email, other)
        assert (refused.status_code, refused.json()["error"]) == (401, "Invalid email or password")
        assert len(open_vault(made.json(), password)) == 32

    def test_the_examples_differ_as_meant(self) -> None:
        for name in ("composed", "decomposed"):
            password, other = EXACT[name]
            assert unicodedata.normalize("NFC", password) == unicodedata.normalize("NFC", other)
            assert password.encode() != other.encode()


class TestSigningIn:
    def test_wrong_password_and_unknown_account_are_answered_alike(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        wrong = login(service, account["user"]["email"], "not the password")
        unknown = login(service, fresh_email(), "not the password")
        for answer in (wrong, unknown):
            assert answer.status_code == 401
            body = answer.json()
            assert re.fullmatch("[A-Za-z0-9._-]{8,64}", body.pop("request_id"))
            assert body == {"error": "Invalid email or password", "code": "invalid_credentials"}
        assert set(wrong.headers) == set(unknown.headers)
        assert wrong.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"]
        assert len(wrong.content) == len(unknown.content)

    @pytest.fixture
    def app(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> Flask:
        """The application of `service`, in this process."""
        for name, value in aws_environment(service.aws_url).items():
            monkeypatch.setenv(name, value)
        # The application takes the process's log over, for as long as a test runs.
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        return create_app(Settings.from_environment(service.environment))

    def test_what_a_request_has_begun_ends_with_it(self, app: Flask) -> None:
        """A thread serves many: who comes next must not go on, before all others, as who was there before."""
        client, permits = app.test_client(), HashPermits(1, 0.0)
        refused = client.post("/api/login", json={"email": fresh_email(), "password": "not the password"})
        assert refused.status_code == 401
        taken, over = threading.Event(), threading.Event()

        def compute() -> None:
            with permits.one():
                taken.set()
                eventually(lambda: over.is_set() or permits.waiting, "nobody asked")

        computing = threading.Thread(target=compute)
        computing.start()
        try:
            assert taken.wait(WAIT_SECONDS)
            with pytest.raises(Busy), permits.one():
                pass
        finally:
            over.set()
            computing.join()

    def test_both_cost_one_hash(self, app: Flask, account: dict[str, Any]) -> None:
        """Equal time cannot be measured on a busy machine; equal work can be counted."""
        permits, client = app.extensions["panzoto"].permits, app.test_client()
        costs = []
        for email in (account["user"]["email"], fresh_email()):
            before = permits.computed
            refused = client.post("/api/login", json={"email": email, "password": "not the password"})
            assert refused.status_code == 401
            costs.append(permits.computed - before)
        assert costs == [1, 1]

    def test_the_password_of_another_account_does_not_help(
        self, service: Service, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        first, second = new_account(password="the first of two"), new_account(password="the second of two")
        assert login(service, first["user"]["email"], "the second of two").status_code == 401
        assert login(service, second["user"]["email"], "the second of two").status_code == 200

    def test_a_second_register_changes_nothing(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        before = rows.user_row(service, account["user_id"])
        assert register(service, email, "another good password").status_code == 409
        assert rows.user_row(service, account["user_id"]) == before
        assert login(service, email, "another good password").status_code == 401
        assert login(service, email).status_code == 200


def legacy(service: Service, password: str = PASSWORD, **more: Any) -> tuple[str, str]:
    email = fresh_email()
    return email, rows.put_user(service, email, password, KEY_SALT, **more)


class TestRowsOfTheEarlierService:
    def test_they_sign_in_as_they_stand(self, service: Service) -> None:
        email, user_id = legacy(service)
        signed_in = login(service, email)
        assert signed_in.status_code == 200
        account = signed_in.json()
        assert account["user"] == {"user_id": user_id, "email": email, "created_at": "2023-11-14T22:13:20Z"}
        assert account["key_salt"] == KEY_SALT.hex()
        assert len(open_vault(account, PASSWORD)) == 32

    def test_a_wrong_password_changes_nothing_of_them(self, service: Service) -> None:
        email, user_id = legacy(service)
        before = rows.user_row(service, user_id)
        assert login(service, email, "not the password").status_code == 401
        assert rows.user_row(service, user_id) == before

    def test_the_first_login_rehashes_and_the_password_goes_on_working(self, service: Service) -> None:
        email, user_id = legacy(service)
        before = rows.user_row(service, user_id)
        assert "m=8,t=1,p=1" in before["password_hash"]["S"]
        assert login(service, email).status_code == 200
        # The device is remembered a moment after the answer.
        eventually(lambda: "known_devices" in rows.user_row(service, user_id), "no device was remembered")
        after = rows.user_row(service, user_id)
        memory, passes, lanes = (service.environment[name] for name in COSTS)
        assert after["password_hash"]["S"].startswith(f"$argon2id$v=19$m={memory},t={passes},p={lanes}$")
        assert login(service, email).status_code == 200
        assert rows.user_row(service, user_id) == after
        assert login(service, email, "not the password").status_code == 401

    def test_what_the_contract_names_is_not_renamed_or_retyped(self, service: Service) -> None:
        email, user_id = legacy(service)
        before = rows.user_row(service, user_id)
        assert login(service, email).status_code == 200
        after = rows.user_row(service, user_id)
        for name in ("user_id", "email", "key_salt", "created_at", "created_at_iso"):
            assert after[name] == before[name], name

    def test_the_first_login_claims_the_address(self, service: Service) -> None:
        email, user_id = legacy(service)
        assert claim_of(service, email) is None
        assert login(service, email).status_code == 200
        claim = claim_of(service, email)
        assert claim is not None
        assert claim["user_id"] == {"S": user_id}

    def test_their_address_is_taken_before_any_login(self, service: Service) -> None:
        email, user_id = legacy(service)
        assert register(service, email).status_code == 409
        assert [row["user_id"]["S"] for row in rows_of(service, email)] == [user_id]

    def test_the_first_login_makes_a_vault_and_later_ones_keep_it(self, service: Service) -> None:
        email, user_id = legacy(service)
        first, second = login(service, email).json(), login(service, email).json()
        assert first["vault"] == second["vault"]
        assert json.loads(rows.user_row(service, user_id)["vault"]["S"])["key_id"] == first["vault"]["key_id"]

    @pytest.mark.parametrize("kind", [Type.I, Type.D, Type.ID])
    def test_every_kind_of_argon2_hash_is_verified(self, service: Service, kind: Type) -> None:
        encoded = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=2, type=kind).hash(PASSWORD)
        email, user_id = legacy(service, password_hash={"S": encoded})
        assert login(service, email, "not the password").status_code == 401
        assert login(service, email).status_code == 200
        assert rows.user_row(service, user_id)["password_hash"]["S"].startswith("$argon2id$")

    def test_six_logins_at_once_make_one_vault(self, service: Service) -> None:
        email, user_id = legacy(service)
        with ThreadPoolExecutor(6) as pool:
            tries = [pool.submit(insisting, lambda: login(service, email)) for _ in range(6)]
            answers = [one.result() for one in tries]
        assert [answer.status_code for answer in answers] == [200] * 6
        vaults = [answer.json()["vault"] for answer in answers]
        stored = json.loads(rows.user_row(service, user_id)["vault"]["S"])
        assert {vault["key_id"] for vault in vaults} == {stored["key_id"]}
        assert len({open_vault(answer.json(), PASSWORD) for answer in answers}) == 1
        assert login(service, email).status_code == 200


def argon2_hash(memory_kib: int = 19456, passes: int = 2, lanes: int = 1) -> dict[str, str]:
    """A well-formed hash that asks for so much work; nobody's password has it."""
    salt, tag = (base64.b64encode(bytes(size)).rstrip(b"=").decode() for size in (16, 32))
    return {"S": f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${tag}"}


def vault_asking(**kdf: Any) -> dict[str, str]:
    parameters = {
        "algorithm": "argon2id",
        "version": 19,
        "time_cost": 2,
        "memory_cost_kib": 19456,
        "parallelism": 1,
        "salt": "00" * 32,
    }
    wrapped = base64.b64encode(bytes(60)).decode()
    stored = {"version": 1, "key_id": "00" * 16, "kdf": parameters | kdf, "wrapped_key": wrapped}
    return {"S": json.dumps(stored)}


DAMAGED: dict[str, dict[str, dict[str, str]]] = {
    "hash of 64 GiB": {"password_hash": argon2_hash(memory_kib=64 * 1024 * 1024)},
    "hash of 2 GiB": {"password_hash": argon2_hash(memory_kib=2 * 1024 * 1024)},
    "hash of 21 passes": {"password_hash": argon2_hash(passes=21)},
    "hash of 17 lanes": {"password_hash": argon2_hash(lanes=17)},
    "hash of 4e9 passes": {"password_hash": argon2_hash(passes=4_000_000_000)},
    "hash that is none": {"password_hash": {"S": "plain"}},
    "hash of another scheme": {"password_hash": {"S": "$2b$12$" + "a" * 53}},
    "empty hash": {"password_hash": {"S": ""}},
    "vault of 64 GiB": {"vault": vault_asking(memory_cost_kib=64 * 1024 * 1024)},
    "vault of 2 GiB": {"vault": vault_asking(memory_cost_kib=2 * 1024 * 1024)},
    "vault of 21 passes": {"vault": vault_asking(time_cost=21)},
    "vault of 17 lanes": {"vault": vault_asking(parallelism=17)},
    "vault under the minimum": {"vault": vault_asking(memory_cost_kib=4096)},
    "vault of no passes": {"vault": vault_asking(time_cost=0)},
    "vault of a text for a number": {"vault": vault_asking(memory_cost_kib="much")},
    "vault of infinite memory": {"vault": vault_asking(memory_cost_kib=float("inf"))},
    "vault of another kdf": {"vault": vault_asking(algorithm="argon2d")},
    "vault with a short salt": {"vault": vault_asking(salt="00")},
    "vault that is a list": {"vault": {"S": "[]"}},
    "vault that is no JSON": {"vault": {"S": "{"}},
    "salt that is no base64": {"key_salt": {"S": "@@@@"}},
    "salt of 16 bytes": {"key_salt": {"S": base64.b64encode(bytes(16)).decode()}},
}


def damaged(service: Service, attributes: dict[str, dict[str, str]]) -> tuple[str, str]:
    """A user of the earlier service of whose row something has been overwritten."""
    email, user_id = legacy(service)
    row = rows.user_row(service, user_id)
    service.dynamodb().put_item(TableName=rows.USERS_TABLE, Item=row | attributes)
    return email, user_id


def broken(encoded: str) -> dict[str, dict[str, str]]:
    return {"password_hash": {"S": encoded}}


WHOLE = argon2_hash()["S"]
BROKEN: dict[str, dict[str, dict[str, str]]] = {
    "cut behind the costs": broken("$argon2id$v=19$m=19456,t=2,p=1$AAAA"),
    "digest cut to no base64": broken(WHOLE[:-2]),
    "digest cut to another length": broken(WHOLE[:-5]),
    "digest missing": broken(WHOLE.rpartition("$")[0] + "$"),
    "salt of no base64": broken(WHOLE.replace("AAAA", "A*AA", 1)),
    "padding": broken(WHOLE + "="),
    "memory below eight for a lane": {"password_hash": argon2_hash(memory_kib=8, lanes=2)},
    "no memory": {"password_hash": argon2_hash(memory_kib=0)},
    "no passes": {"password_hash": argon2_hash(passes=0)},
    "no lanes": {"password_hash": argon2_hash(lanes=0)},
    "another version": broken(WHOLE.replace("v=19", "v=18")),
}


class TestBrokenHashes:
    """A row whose Argon2 hash no password can have: its owner is told the way back, whatever they type."""

    @pytest.mark.parametrize("name", BROKEN)
    def test_its_owner_is_led_to_the_reset_by_mail(self, service: Service, name: str) -> None:
        email, user_id = damaged(service, BROKEN[name])
        for password in (PASSWORD, "any other password"):
            answer = login(service, email, password)
            assert (answer.status_code, answer.json()["code"]) == (403, "account_needs_recovery"), answer.text
            assert "by mail" in answer.json()["error"]
        now = int(time.time())
        claims = {"user_id": user_id, "iat": now, "exp": now + 600}
        token = jwt.encode(claims, service.secret_key(), "HS256")
        answer = service.call(
            "POST", "/api/decrypt-audio", token, json={"password": PASSWORD, "file_id": "x"}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "account_needs_recovery"), answer.text

    def test_others_are_told_nothing(self, service: Service, account: dict[str, Any]) -> None:
        answers = [
            login(service, email, "not the password") for email in (account["user"]["email"], fresh_email())
        ]
        assert [(a.status_code, a.json()["code"], a.json()["error"]) for a in answers] == [
            (401, "invalid_credentials", "Invalid email or password")
        ] * 2


class TestDamagedRows:
    @pytest.mark.parametrize("name", DAMAGED)
    def test_they_are_refused_and_not_obeyed(self, service: Service, name: str) -> None:
        email, user_id = damaged(service, DAMAGED[name])
        logged = len(service.log())
        answer = login(service, email)
        assert answer.status_code == 500, answer.text
        assert answer.json()["code"] == "damaged_record"
        told = [line for line in service.log()[logged:].splitlines() if '"damaged_record"' in line]
        assert any(user_id in line for line in told)

    def test_the_service_goes_on(self, service: Service, account: dict[str, Any]) -> None:
        workers = service.worker_pids()
        for encoded in (argon2_hash(memory_kib=64 * 1024 * 1024), argon2_hash(memory_kib=1024 * 1024 + 1)):
            email, _ = damaged(service, {"password_hash": encoded})
            assert login(service, email).status_code == 500
        assert login(service, account["user"]["email"]).status_code == 200
        assert service.worker_pids() == workers


class TestRaces:
    def test_fifty_registrations_of_one_address_make_one_account(self, service: Service) -> None:
        email = fresh_email()
        logged = len(service.log())
        with ThreadPoolExecutor(50) as pool:
            tries = [pool.submit(insisting, lambda: register(service, email)) for _ in range(50)]
            answers = [one.result() for one in tries]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [201] + [409] * 49, trouble(service, logged)
        refused = {answer.json()["error"] for answer in answers if answer.status_code == 409}
        assert refused == {"User already exists"}
        made = next(answer.json() for answer in answers if answer.status_code == 201)
        assert [row["user_id"]["S"] for row in rows_of(service, email)] == [made["user_id"]]
        assert login(service, email).json()["user_id"] == made["user_id"]

    def test_different_addresses_do_not_disturb_each_other(self, service: Service) -> None:
        emails = [fresh_email() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda email: insisting(lambda: register(service, email)), emails))
        assert [answer.status_code for answer in answers] == [201] * 8
        assert [answer.json()["user"]["email"] for answer in answers] == emails

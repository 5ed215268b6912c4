"""Mail over the wire: what is told to whom, and what the codes in it can do, once and no longer."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.sealed import Sealer
from panzoto.crypto.vault import new_vault_key, wrap
from panzoto.errors import Conflict
from panzoto.models import User, bind_models
from panzoto.models.connection import together
from panzoto.models.credentials import NewPassword
from tests.conftest import UNLIMITED
from tests.support import mails, rows
from tests.support.aws import aws_environment, start_moto
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, Meanwhile
from tests.support.recordings import decrypt, hear, single_shot, store, version_2
from tests.support.service import PASSWORD, Service, aws_client, run_service
from tests.support.waiting import eventually

NEW = "another quiet walk"
SENDER = "no-reply@panzoto.example"


def post(service: Service, path: str, token: str | None = None, **body: Any) -> requests.Response:
    return service.call("POST", path, token, json=body)


def refused(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def login(service: Service, email: str, password: str, **more: Any) -> requests.Response:
    return post(service, "/api/login", email=email, password=password, **more)


def verification_code(service: Service, email: str, count: int = 1) -> str:
    return mails.code_in(mails.wait_for(service, email, "verification", count))


def reset_code(service: Service, email: str, count: int = 1) -> str:
    assert post(service, "/api/password/forgot", email=email).status_code == 202
    return mails.code_in(mails.wait_for(service, email, "reset", count))


def all_is_sent(service: Service) -> None:
    """Return when all has left that was to be sent before: one hand sends, and the queue keeps the order."""
    email = f"sentinel-{uuid.uuid4().hex}@example.com"
    service.register(email)
    verification_code(service, email)


def profile(service: Service, account: dict[str, Any]) -> dict[str, Any]:
    answer = service.call("GET", "/api/user", account["token"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def move(service: Service, account: dict[str, Any], email: str) -> None:
    asked = post(service, "/api/user/email", account["token"], password=PASSWORD, email=email)
    assert asked.status_code == 200, asked.text
    code = mails.code_in(mails.wait_for(service, email, "email-changed"))
    assert post(service, "/api/verify-email", code=code).status_code == 204


def reset(service: Service, code: str, new_password: str = NEW, **more: Any) -> requests.Response:
    return post(service, "/api/password/reset", code=code, new_password=new_password, **more)


def make_recovery_key(service: Service, account: dict[str, Any]) -> str:
    made = post(service, "/api/user/recovery-key", account["token"], password=PASSWORD)
    assert made.status_code == 201, made.text
    recovery_key: str = made.json()["recovery_key"]
    return recovery_key


def record_both(service: Service, account: dict[str, Any]) -> dict[str, bytes]:
    """Store a single-shot and a version 2 recording; return what each must play, by file_id."""
    folder = f"users/{account['user_id']}"
    single, segmented = b"#!AMR\nsingle" * 900, b"#!AMR\nsegmented" * 900
    data = single_shot(PASSWORD, account["key_salt"], single)
    return {
        store(service, account, f"{folder}/a.3gp", data): single,
        store(
            service, account, f"{folder}/b", version_2(account, PASSWORD, f"{folder}/b", segmented)
        ): segmented,
    }


def newest_event(service: Service, token: str) -> dict[str, Any]:
    found: dict[str, Any] = service.call("GET", "/api/user/events?limit=1", token).json()["events"][0]
    return found


class TestConfirmingTheAddress:
    def test_the_code_that_came_at_register_confirms_it(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        assert profile(service, account)["email_verified"] is False
        code = verification_code(service, account["user"]["email"])
        for _ in range(2):
            assert post(service, "/api/verify-email", code=code).status_code == 204
            assert profile(service, account)["email_verified"] is True

    def test_a_code_that_was_copied_with_line_breaks_is_the_same_code(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        code = verification_code(service, account["user"]["email"])
        copied = f" {code[:60]}\r\n{code[60:]}\n"
        assert post(service, "/api/verify-email", code=copied).status_code == 204

    def test_it_is_sent_again_until_the_address_is_confirmed(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        email = account["user"]["email"]
        assert post(service, "/api/user/verify-email", account["token"]).status_code == 202
        code = verification_code(service, email, 2)
        assert post(service, "/api/verify-email", code=code).status_code == 204
        assert post(service, "/api/user/verify-email", account["token"]).status_code == 202
        all_is_sent(service)
        assert mails.kinds(service, email) == ["verification"] * 2

    def test_it_needs_a_token_to_be_sent_again(self, service: Service) -> None:
        assert post(service, "/api/user/verify-email").status_code == 401

    def test_a_change_of_address_begins_anew(self, service: Service, account: dict[str, Any]) -> None:
        old, new = account["user"]["email"], f"{uuid.uuid4().hex}@example.com"
        first = verification_code(service, old)
        assert post(service, "/api/verify-email", code=first).status_code == 204
        move(service, account, new)
        refused(post(service, "/api/verify-email", code=first), 400, "invalid_code")
        assert profile(service, account)["email_verified"] is True


class TestCodes:
    def test_no_other_secret_works_as_a_code_and_no_code_as_another(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        email = account["user"]["email"]
        verifying, resetting = verification_code(service, email), reset_code(service, email)
        tampered = verifying[:70] + ("A" if verifying[70] != "A" else "B") + verifying[71:]
        others = [
            account["token"],
            account["refresh_token"],
            tampered,
            verifying[:-1],
            "é" * 200,
            "a" * 20_000,
        ]
        for code in [resetting, *others]:
            refused(post(service, "/api/verify-email", code=code), 400, "invalid_code")
        for code in [verifying, *others]:
            refused(reset(service, code), 400, "invalid_code")
        for code in (verifying, resetting):
            refused(service.call("GET", "/api/user", code), 401, "token_invalid")
            refused(post(service, "/api/token/refresh", refresh_token=code), 401, "invalid_refresh_token")
            assert service.call("GET", f"/api/playback/{code}").status_code == 404
        assert profile(service, account)["email_verified"] is False
        assert login(service, email, PASSWORD).status_code == 200

    def test_they_expire(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        secret = service.secret_key()
        for purpose, code, path, lifetime in (
            ("verify-email", verification_code(service, email), "/api/verify-email", 24 * 3600),
            ("reset", reset_code(service, email), "/api/password/reset", 3600),
        ):
            sealer, now = Sealer(secret, (), purpose), time.time()
            content = sealer.open(code, now + lifetime - 60)
            late = sealer.seal(content, int(now) - 1)
            refused(post(service, path, code=late, new_password=NEW), 400, "invalid_code")
            in_time = sealer.seal(content, int(now) + 60)
            assert post(service, path, code=in_time, new_password=NEW).ok

    @pytest.mark.parametrize("path", ["/api/verify-email", "/api/password/reset"])
    def test_a_code_that_is_missing_is_named(self, service: Service, path: str) -> None:
        for code in ("", None):
            answer = post(service, path, code=code, new_password=NEW)
            refused(answer, 400, "invalid_request")
            assert list(answer.json()["fields"]) == ["code"]

    def test_those_of_a_deleted_account_are_void(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        verifying, resetting = verification_code(service, email), reset_code(service, email)
        assert post(service, "/api/user/verify-email", account["token"]).status_code == 202
        assert service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD}).ok
        refused(post(service, "/api/verify-email", code=verifying), 400, "invalid_code")
        refused(reset(service, resetting), 400, "invalid_code")


class TestForgotten:
    def test_nobody_learns_whether_the_account_exists(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        known, unknown = account["user"]["email"], f"{uuid.uuid4().hex}@example.com"
        answers = [post(service, "/api/password/forgot", email=email) for email in (unknown, known)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].content == answers[1].content
        assert set(answers[0].headers) == set(answers[1].headers)
        mails.wait_for(service, known, "reset")
        assert mails.kinds(service, unknown) == []

    def test_whether_there_is_an_account_is_looked_up_after_the_answer(self, moto: str) -> None:
        """As long as nobody was answered, no lookup comes to its end; so no answer takes as long as one."""
        answered = threading.Event()
        with FaultProxy(moto) as proxy, run_service(proxy.url, **UNLIMITED) as service:
            email = service.register(f"{uuid.uuid4().hex}@example.com")["user"]["email"]
            held = proxy.add(Fault(Meanwhile(lambda _: answered.wait(60)), operation="GetItem"))
            for one in (email, f"{uuid.uuid4().hex}@example.com"):
                assert post(service, "/api/password/forgot", email=one).status_code == 202
            answered.set()
            mails.wait_for(service, email, "reset")
        assert held.applied > 0

    def test_asking_locks_no_login(self, service: Service, account: dict[str, Any]) -> None:
        for _ in range(6):
            answer = post(service, "/api/password/forgot", email=account["user"]["email"])
            assert answer.status_code == 202
        assert login(service, account["user"]["email"], PASSWORD).status_code == 200

    @pytest.mark.parametrize("email", ["no address", "a@b@c", "x" * 65 + "@example.com"])
    def test_of_an_address_that_no_account_could_have_nothing_is_told(
        self, service: Service, email: str
    ) -> None:
        assert post(service, "/api/password/forgot", email=email).status_code == 202

    @pytest.mark.parametrize("email", ["", None, 7])
    def test_what_is_no_text_is_refused(self, service: Service, email: Any) -> None:
        refused(post(service, "/api/password/forgot", email=email), 400, "invalid_request")

    def test_the_mail_warns_before_anything_is_lost(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        without = post(service, "/api/password/forgot", email=email)
        assert without.status_code == 202
        told = " ".join(mails.text(mails.wait_for(service, email, "reset")).split())
        assert "Your account has no recovery key" in told
        assert "the recordings in it are lost" in told
        make_recovery_key(service, account)
        reset_code(service, email, 2)
        told = " ".join(mails.text(mails.wait_for(service, email, "reset", 2)).split())
        assert "With your recovery key all recordings open with the new password" in told
        assert "the recordings in it are lost" in told

    def test_an_account_of_the_earlier_service_gets_its_code(self, service: Service) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        user_id = rows.put_user(service, email, PASSWORD, bytes(32))
        rows.put_file(service, user_id, f"users/{user_id}/old.3gp")
        code = reset_code(service, email)
        refused(reset(service, code), 409, "recordings_would_be_lost")
        assert reset(service, code, discard_recordings=True).status_code == 200
        assert login(service, email, NEW).status_code == 200


class TestABrokenHash:
    """An account whose stored hash no password can have, as some that were migrated."""

    def test_who_sets_the_password_they_had_hears_everything_again(self, service: Service) -> None:
        email, key_salt, plain = (
            f"{uuid.uuid4().hex}@example.com",
            bytes(range(32)),
            b"#!AMR\nstill there" * 90,
        )
        user_id = rows.put_user(service, email, PASSWORD, key_salt)
        row = rows.user_row(service, user_id)
        cut = {"password_hash": {"S": row["password_hash"]["S"][:-2]}}
        service.dynamodb().put_item(TableName=rows.USERS_TABLE, Item=row | cut)
        s3_key = f"users/{user_id}/old.3gp"
        file_id = rows.put_file(service, user_id, s3_key)
        service.put_object(s3_key, single_shot(PASSWORD, key_salt.hex(), plain))
        refused(login(service, email, PASSWORD), 403, "account_needs_recovery")
        answer = reset(service, reset_code(service, email), PASSWORD)
        assert answer.status_code == 200, answer.text
        fresh = answer.json()
        assert fresh["key_salt"] == key_salt.hex()
        assert hear(service, fresh["token"], file_id, PASSWORD) == plain
        assert login(service, email, PASSWORD).status_code == 200
        told = " ".join(mails.text(mails.wait_for(service, email, "password-reset")).split())
        assert "all recordings open again" in told


class TestReset:
    def test_an_account_without_recordings_simply_gets_its_password(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        email = account["user"]["email"]
        before = profile(service, account)
        recovery_key = make_recovery_key(service, account)
        code = reset_code(service, email)
        answer = reset(service, code)
        assert answer.status_code == 200, answer.text
        fresh = answer.json()
        assert fresh["user_id"] == account["user_id"]
        assert fresh["key_salt"] != account["key_salt"]
        assert fresh["vault"]["key_id"] != account["vault"]["key_id"]
        assert profile(service, fresh) | {"usage": {}} == {
            **before,
            "email_verified": True,
            "pending_email": None,
            "recovery_key_set": False,
            "vault": fresh["vault"],
            "usage": {},
        }
        assert login(service, email, PASSWORD).status_code == 401
        assert login(service, email, NEW).status_code == 200
        refused(service.call("GET", "/api/user", account["token"]), 401, "token_invalid")
        gone = post(service, "/api/token/refresh", refresh_token=account["refresh_token"])
        refused(gone, 401, "invalid_refresh_token")
        refused(reset(service, code, "and a third one"), 400, "invalid_code")
        void = post(service, "/api/recover", email=email, recovery_key=recovery_key, new_password=NEW)
        refused(void, 401, "recovery_failed")
        told = " ".join(mails.text(mails.wait_for(service, email, "password-reset")).split())
        assert "begun anew without a recovery key" in told

    def test_tokens_without_a_session_end_as_well(self, service: Service, account: dict[str, Any]) -> None:
        before = rows.user_row(service, account["user_id"])
        assert "token_epoch" not in before
        assert reset(service, reset_code(service, account["user"]["email"])).status_code == 200
        after = rows.user_row(service, account["user_id"])
        assert int(after["token_epoch"]["N"]) >= int(time.time()) - 60

    def test_with_the_recovery_key_everything_goes_on_opening(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        email = account["user"]["email"]
        recordings = record_both(service, account)
        recovery_key = make_recovery_key(service, account)
        code = reset_code(service, email)
        refused(reset(service, code), 409, "recordings_would_be_lost")
        refused(reset(service, code, discard_recordings=False), 409, "recordings_would_be_lost")
        forgiven = recovery_key.lower().replace("-", " ")
        # What can be saved is saved, whatever else is agreed to.
        answer = reset(service, code, recovery_key=forgiven, discard_recordings=True)
        assert answer.status_code == 200, answer.text
        fresh = answer.json()
        assert fresh["vault"]["key_id"] == account["vault"]["key_id"]
        event = newest_event(service, fresh["token"])
        assert (event["type"], event["detail"]["by"]) == ("recovered", "mail")
        assert {file_id: hear(service, fresh["token"], file_id, NEW) for file_id in recordings} == recordings
        told = " ".join(mails.text(mails.wait_for(service, email, "password-reset")).split())
        assert "All recordings open with the new password" in told
        assert profile(service, fresh)["recovery_key_set"] is True
        refused(service.call("GET", "/api/user", account["token"]), 401, "token_invalid")
        again = post(service, "/api/recover", email=email, recovery_key=recovery_key, new_password=PASSWORD)
        assert again.status_code == 200

    def test_without_it_they_stay_listed_and_never_open(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        recordings = record_both(service, account)
        objects = {file_id: object_of(service, account, file_id) for file_id in recordings}
        code = reset_code(service, account["user"]["email"])
        answer = reset(service, code, discard_recordings=True)
        assert answer.status_code == 200, answer.text
        fresh = answer.json()
        event = newest_event(service, fresh["token"])
        assert (event["type"], event["detail"]["by"]) == ("password_changed", "mail")
        listed = service.call("GET", "/api/user/audio-files", fresh["token"]).json()["audio_files"]
        assert {row["file_id"] for row in listed} == set(recordings)
        for file_id in recordings:
            refused(decrypt(service, fresh["token"], file_id, NEW), 422, "decryption_failed")
            refused(decrypt(service, fresh["token"], file_id, PASSWORD), 401, "invalid_password")
            assert object_of(service, account, file_id) == objects[file_id]
        s3_key = f"users/{account['user_id']}/after"
        new = store(service, fresh, s3_key, version_2(fresh, NEW, s3_key, b"#!AMR\nafter" * 99))
        assert hear(service, fresh["token"], new, NEW) == b"#!AMR\nafter" * 99

    def test_what_is_in_the_trash_would_be_lost_as_well(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        token = account["token"]
        recordings = record_both(service, account)
        for file_id in recordings:
            assert service.call("DELETE", f"/api/audio-file/{file_id}", token).status_code == 200
        code = reset_code(service, account["user"]["email"])
        refused(reset(service, code), 409, "recordings_would_be_lost")
        for file_id in recordings:
            answer = service.call("DELETE", f"/api/audio-file/{file_id}?permanent=true", token)
            assert answer.status_code == 204, answer.text
        assert reset(service, code).status_code == 200

    def test_wrong_recovery_keys_are_counted_and_leave_the_code_usable(
        self, service: Service, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        account, stranger = new_account(), new_account()
        foreign, own = make_recovery_key(service, stranger), make_recovery_key(service, account)
        record_both(service, account)
        code = reset_code(service, account["user"]["email"])
        slip = ("7" if own[0] != "7" else "8") + own[1:]
        refused(reset(service, code, recovery_key=slip), 400, "invalid_recovery_key")
        answers = [reset(service, code, recovery_key=foreign) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert {answer.json()["code"] for answer in answers[:5]} == {"recovery_failed"}
        told = service.call("GET", "/api/user/events", account["token"]).json()["events"]
        failures = [event["detail"] for event in told if event["type"] == "sign_in_failed"]
        assert failures == [{"by": "recovery_key"}] * 5
        time.sleep(int(answers[-1].headers["Retry-After"]))
        assert reset(service, code, recovery_key=own).status_code == 200
        # The success has forgotten the failures.
        assert login(service, account["user"]["email"], "not the password").status_code == 401

    def test_an_account_without_a_recovery_key_has_no_right_one(
        self, service: Service, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        account, stranger = new_account(), new_account()
        code = reset_code(service, account["user"]["email"])
        foreign = make_recovery_key(service, stranger)
        refused(reset(service, code, recovery_key=foreign), 401, "recovery_failed")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"new_password": "short"}, "new_password"),
            ({"new_password": None}, "new_password"),
            ({"new_password": "password"}, "new_password"),
            ({"discard_recordings": 1}, "discard_recordings"),
            ({"discard_recordings": "true"}, "discard_recordings"),
            ({"recovery_key": 7}, "recovery_key"),
        ],
    )
    def test_what_is_not_understood_is_named(
        self, service: Service, body: dict[str, Any], field: str
    ) -> None:
        answer = post(service, "/api/password/reset", **{"code": "any", "new_password": NEW, **body})
        refused(answer, 400, "invalid_request")
        assert list(answer.json()["fields"]) == [field]

    def test_any_other_change_of_the_password_or_address_voids_the_code(
        self, service: Service, new_account: Callable[..., dict[str, Any]]
    ) -> None:
        account = new_account()
        code = reset_code(service, account["user"]["email"])
        body = {"password": PASSWORD, "new_password": NEW}
        changed = post(service, "/api/user/password", account["token"], **body)
        assert changed.status_code == 200
        refused(reset(service, code, "a third password"), 400, "invalid_code")
        moving = new_account()
        code = reset_code(service, moving["user"]["email"])
        address = f"{uuid.uuid4().hex}@example.com"
        move(service, moving, address)
        refused(reset(service, code), 400, "invalid_code")

    def test_of_several_at_once_one_wins_whole(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        code = reset_code(service, email)
        answers: dict[str, requests.Response] = {}

        def race(new_password: str) -> None:
            answers[new_password] = reset(service, code, new_password)

        threads = [threading.Thread(target=race, args=(f"{NEW} {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [password for password, answer in answers.items() if answer.status_code == 200]
        losers = [answer for password, answer in answers.items() if password != winner]
        assert {(loser.status_code, loser.json()["code"]) for loser in losers} <= {
            (409, "conflict"),
            (400, "invalid_code"),
            (503, "busy"),
        }
        fresh = login(service, email, winner).json()
        s3_key = f"users/{account['user_id']}/after"
        file_id = store(service, fresh, s3_key, version_2(fresh, winner, s3_key, b"#!AMR\nwhole" * 99))
        assert hear(service, fresh["token"], file_id, winner) == b"#!AMR\nwhole" * 99


def object_of(service: Service, account: dict[str, Any], file_id: str) -> bytes:
    row = service.dynamodb().get_item(TableName=rows.FILES_TABLE, Key={"file_id": {"S": file_id}})["Item"]
    body: bytes = service.s3().get_object(Bucket="panzoto-audio-dev", Key=row["s3_key"]["S"])["Body"].read()
    return body


class TestRacesOfAReset:
    """What happens between the look at the account and the write ends in a conflict."""

    @pytest.fixture
    def user(self, service: Service, account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> User:
        for name, value in aws_environment(service.aws_url).items():
            monkeypatch.setenv(name, value)
        bind_models(Settings())
        user = User.find(account["user_id"])
        assert user is not None
        return user

    def new_password(self, user: User) -> NewPassword:
        vault = wrap(new_vault_key(), user.user_id, NEW, Settings().argon2, HashPermits(1, 30))
        return NewPassword("a hash", bytes(32), vault, [])

    def test_with_a_first_recording(self, service: Service, account: dict[str, Any], user: User) -> None:
        record_both(service, account)
        self.expect_conflict(service, user, lambda new: user.start_over(new, False, together()))

    def test_but_not_when_recordings_may_be_lost(
        self, service: Service, account: dict[str, Any], user: User
    ) -> None:
        record_both(service, account)
        new = self.new_password(user)
        user.start_over(new, True, together())
        assert rows.user_row(service, user.user_id)["password_hash"] == {"S": "a hash"}

    def test_with_a_new_recovery_key(self, service: Service, account: dict[str, Any], user: User) -> None:
        make_recovery_key(service, account)
        self.expect_conflict(service, user, lambda new: user.replace_password_by_mail(new, together()))

    def test_with_a_change_of_address(self, service: Service, account: dict[str, Any], user: User) -> None:
        address = f"{uuid.uuid4().hex}@example.com"
        move(service, account, address)
        self.expect_conflict(service, user, lambda new: user.replace_password_by_mail(new, together()))

    def expect_conflict(self, service: Service, user: User, write: Callable[[NewPassword], None]) -> None:
        before = rows.user_row(service, user.user_id)
        with pytest.raises(Conflict):
            write(self.new_password(user))
        assert rows.user_row(service, user.user_id) == before


class TestNotices:
    def test_a_new_device_is_told_of_once(self, service: Service) -> None:
        email = f"{uuid.uuid4().hex}@example.com"
        body = {"email": email, "password": PASSWORD}
        assert post(service, "/api/register", **body, device_name="Ada's telephone").status_code == 201
        for name in ("Ada's telephone", "Ada's tablet", "Ada's tablet"):
            assert login(service, email, PASSWORD, device_name=name).status_code == 200
            all_is_sent(service)
        assert mails.kinds(service, email) == ["verification", "new-device"]
        told = mails.text(mails.wait_for(service, email, "new-device"))
        assert "Ada's tablet" in told
        assert "127.0.0.1" in told

    def test_a_wrong_password_tells_nobody(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        assert login(service, email, "not the password", device_name="a stranger's").status_code == 401
        all_is_sent(service)
        assert mails.kinds(service, email) == ["verification"]

    def test_what_opens_the_account_is_told(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        recovery_key = make_recovery_key(service, account)
        body = {"password": PASSWORD, "new_password": NEW}
        assert post(service, "/api/user/password", account["token"], **body).status_code == 200
        recovered = post(
            service, "/api/recover", email=email, recovery_key=recovery_key, new_password="found again"
        )
        assert recovered.status_code == 200
        all_is_sent(service)
        assert mails.kinds(service, email) == [
            "verification",
            "recovery-key-made",
            "password-changed",
            "recovered",
        ]

    def test_no_message_holds_a_secret_but_its_code(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        recovery_key = make_recovery_key(service, account)
        code = reset_code(service, email)
        assert reset(service, code, recovery_key=recovery_key).status_code == 200
        all_is_sent(service)
        secrets = [
            PASSWORD,
            NEW,
            recovery_key,
            account["token"],
            account["refresh_token"],
            account["key_salt"],
        ]
        for kind, message in mails.sent(service, email):
            told = message.as_string() + mails.text(message)
            assert not [secret for secret in secrets if secret in told], kind
            assert "http" not in told

    def test_files_are_for_the_operator_alone(self, service: Service, account: dict[str, Any]) -> None:
        verification_code(service, account["user"]["email"])
        assert mails.folder(service).stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in mails.files(service)} == {0o600}

    def test_the_log_names_neither_address_nor_code(self, service: Service, account: dict[str, Any]) -> None:
        email = account["user"]["email"]
        codes = [verification_code(service, email), reset_code(service, email)]
        assert post(service, "/api/verify-email", code=codes[0]).status_code == 204
        assert reset(service, codes[1]).status_code == 200
        all_is_sent(service)
        log = service.log()
        assert '"mail_sent"' in log
        assert not [secret for secret in (email, *codes) if secret in log]


def everything(service: Service) -> dict[str, Any]:
    """Do all that mail is about and return the account at its end."""
    email = f"{uuid.uuid4().hex}@example.com"
    account = service.register(email)
    assert login(service, email, PASSWORD, device_name="another device").status_code == 200
    assert post(service, "/api/user/verify-email", account["token"]).status_code == 202
    assert post(service, "/api/password/forgot", email=email).status_code == 202
    make_recovery_key(service, account)
    body = {"password": PASSWORD, "new_password": NEW}
    changed = post(service, "/api/user/password", account["token"], **body)
    assert changed.status_code == 200
    address = f"{uuid.uuid4().hex}@example.com"
    moved = post(service, "/api/user/email", changed.json()["token"], password=NEW, email=address)
    assert moved.status_code == 200
    refused(post(service, "/api/verify-email", code="any"), 400, "invalid_code")
    refused(reset(service, "any"), 400, "invalid_code")
    found: dict[str, Any] = changed.json()
    return found


def test_nothing_breaks_while_mail_is_off(moto: str) -> None:
    with run_service(moto, MAIL="off", **UNLIMITED) as service:
        assert everything(service)["token"]
        assert not mails.folder(service).exists()
        assert "mail_" not in service.log()


def test_nothing_breaks_when_mail_cannot_be_sent(moto: str) -> None:
    with run_service(moto, **UNLIMITED) as service:
        mails.folder(service).write_text("a file, where a folder is wanted")
        assert everything(service)["token"]
        eventually(lambda: '"reason": "FileExistsError"' in service.log(), service.log)
        assert "@example.com" not in service.log()


def test_through_ses() -> None:
    settings = {"MAIL": "ses", "MAIL_FROM": f"Panzoto <{SENDER}>", **UNLIMITED}
    # What SES has taken is told with all else that a stand-in holds, so this one holds nothing else.
    with start_moto() as moto, run_service(moto, **settings) as service:
        aws_client("sesv2", moto).create_email_identity(EmailIdentity=SENDER)
        everything(service)
        account = service.register(f"{uuid.uuid4().hex}@example.com")
        code = mails.code_in(ses_message(moto, account["user"]["email"]))
        assert post(service, "/api/verify-email", code=code).status_code == 204
        assert not mails.folder(service).exists()
        assert "mail_failed" not in service.log()


def test_what_ses_refuses_breaks_nothing(moto: str) -> None:
    with run_service(moto, MAIL="ses", MAIL_FROM="nobody@unverified.example", **UNLIMITED) as service:
        everything(service)
        eventually(lambda: '"reason": "MessageRejected"' in service.log(), service.log)
        assert "unverified.example" not in service.log()


def ses_message(moto: str, address: str) -> Any:
    """Return the message to `address` that moto's SES has taken."""
    found: list[Any] = []

    def taken() -> bool:
        data = requests.get(f"{moto}/moto-api/data.json", timeout=60).json()
        found.extend(one for one in data["ses"]["RawMessage"] if address in one["destinations"])
        return bool(found)

    eventually(taken, f"SES has taken no message to {address}")
    return mails.read(found[0]["raw_data"].encode())

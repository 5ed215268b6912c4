"""When the table of events takes nothing, nothing is changed by halves, without its event or its letter."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support import mails
from tests.support.fault_proxy import Answer, Fault, FaultProxy
from tests.support.recordings import store
from tests.support.service import PASSWORD, Service

Account = dict[str, Any]
# As the service has it unless it is told otherwise.
FREE_FAILURES = 5
NEW = "another quiet walk"
# As where the service may not write there; being throttled ends the same after a pause.
REFUSED = Answer.dynamodb("AccessDeniedException")


@pytest.fixture
def refuse(proxy: FaultProxy) -> Callable[[str], Fault]:
    """Let DynamoDB refuse, from now on, whatever would write an event of this type."""

    def add(event_type: str) -> Fault:
        return proxy.add(Fault(REFUSED, where=lambda request: event_type.encode() in request.body))

    return add


@pytest.fixture
def person(second: Service, new_account: Callable[..., Account], proxy: FaultProxy) -> Account:
    """An account whose calls go to `second`; nothing is refused yet."""
    proxy.clear()
    return new_account()


def post(service: Service, path: str, token: str | None = None, **body: Any) -> requests.Response:
    return service.call("POST", path, token, json=body)


def events(service: Service, token: str) -> list[str]:
    found = service.call("GET", "/api/user/events", token).json()["events"]
    return [event["type"] for event in found]


def expect_unavailable(answer: requests.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text


def login(service: Service, email: str, password: str) -> requests.Response:
    return post(service, "/api/login", email=email, password=password)


def test_the_recovery_key_that_was_shown_stays_good(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    path, email = "/api/user/recovery-key", person["user"]["email"]
    shown = post(second, path, person["token"], password=PASSWORD).json()["recovery_key"]
    refuse("recovery_key_made")
    expect_unavailable(post(second, path, person["token"], password=PASSWORD))
    proxy.clear()
    answer = post(second, "/api/recover", email=email, recovery_key=shown, new_password=NEW)
    assert answer.status_code == 200, answer.text


def test_the_password_stays(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    email = person["user"]["email"]
    refuse("password_changed")
    body = {"password": PASSWORD, "new_password": NEW}
    expect_unavailable(post(second, "/api/user/password", person["token"], **body))
    proxy.clear()
    assert login(second, email, NEW).status_code == 401
    answer = post(second, "/api/user/password", person["token"], **body)
    assert answer.status_code == 200, answer.text
    assert "password_changed" in events(second, answer.json()["token"])
    mails.wait_for(second, email, "password-changed")


def test_the_recovery_key_opens_again(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    email = person["user"]["email"]
    key = post(second, "/api/user/recovery-key", person["token"], password=PASSWORD).json()["recovery_key"]
    body = {"email": email, "recovery_key": key, "new_password": NEW}
    refuse('"recovered"')
    expect_unavailable(post(second, "/api/recover", **body))
    proxy.clear()
    assert login(second, email, PASSWORD).status_code == 200
    answer = post(second, "/api/recover", **body)
    assert answer.status_code == 200, answer.text
    assert events(second, answer.json()["token"])[0] == "recovered"
    mails.wait_for(second, email, "recovered")


def test_the_code_of_a_reset_is_not_used_up(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    email = person["user"]["email"]
    post(second, "/api/password/forgot", email=email)
    body = {"code": mails.code_in(mails.wait_for(second, email, "reset")), "new_password": NEW}
    refuse("password_changed")
    expect_unavailable(post(second, "/api/password/reset", **body))
    proxy.clear()
    answer = post(second, "/api/password/reset", **body)
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert events(second, token)[0] == "password_changed"
    mails.wait_for(second, email, "password-reset")
    sessions = second.call("GET", "/api/user/sessions", token).json()["sessions"]
    assert [session["current"] for session in sessions] == [True]


def test_an_account_does_not_move_without_the_letter_that_brings_it_back(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    former, email = person["user"]["email"], f"{uuid.uuid4().hex}@example.com"
    post(second, "/api/user/email", person["token"], password=PASSWORD, email=email)
    code = mails.code_in(mails.wait_for(second, email, "email-changed"))
    refuse("email_changed")
    expect_unavailable(post(second, "/api/verify-email", code=code))
    assert second.call("GET", "/api/user", person["token"]).json()["email"] == former
    proxy.clear()
    assert post(second, "/api/verify-email", code=code).status_code == 204
    assert events(second, person["token"])[0] == "email_changed"
    undo = mails.code_in(mails.wait_for(second, former, "email-left"))

    refuse("email_changed")
    expect_unavailable(post(second, "/api/email/undo", code=undo))
    proxy.clear()
    assert login(second, email, PASSWORD).status_code == 200
    assert post(second, "/api/email/undo", code=undo).status_code == 204
    token = login(second, former, PASSWORD).json()["token"]
    assert events(second, token)[:2] == ["signed_in", "email_changed"]


@pytest.mark.parametrize(
    "call", ["POST /api/logout", "POST /api/logout-others", "DELETE /api/user/sessions/{session_id}"]
)
def test_nobody_is_signed_out_unseen(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault], call: str
) -> None:
    other = login(second, person["user"]["email"], PASSWORD).json()
    sessions = second.call("GET", "/api/user/sessions", person["token"]).json()["sessions"]
    theirs = next(session["session_id"] for session in sessions if not session["current"])
    method, path = call.format(session_id=theirs).split()
    refuse("signed_out")
    expect_unavailable(second.call(method, path, person["token"]))
    proxy.clear()
    assert second.call(method, path, person["token"]).status_code == 204
    token = other["token"] if path == "/api/logout" else person["token"]
    assert events(second, token)[0] == "signed_out"


def test_a_recording_goes_into_the_trash_once_and_not_unseen(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    file_id = store(second, person, f"users/{person['user_id']}/binned.3gp", b"sound" * 9)
    path, token = f"/api/audio-file/{file_id}", person["token"]
    refuse("recording_deleted")
    expect_unavailable(second.call("DELETE", path, token))
    proxy.clear()
    assert second.call("GET", path, token).json()["audio_file"].get("deleted_at") is None
    for _ in range(2):
        assert second.call("DELETE", path, token).status_code == 200
    assert events(second, token).count("recording_deleted") == 1


def test_a_recording_is_not_erased_unseen(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    file_id = store(second, person, f"users/{person['user_id']}/erased.3gp", b"sound" * 9)
    path, token = f"/api/audio-file/{file_id}", person["token"]
    refuse("recording_deleted")
    expect_unavailable(second.call("DELETE", f"{path}?permanent=true", token))
    proxy.clear()
    assert second.call("GET", path, token).status_code == 200
    assert second.call("DELETE", f"{path}?permanent=true", token).status_code == 204
    assert events(second, token).count("recording_deleted") == 1


def test_an_erasure_whose_end_could_not_be_noted_is_gone_on_with(
    second: Service, proxy: FaultProxy, person: Account
) -> None:
    file_id = store(second, person, f"users/{person['user_id']}/noted.3gp", b"sound" * 9)
    path, token = f"/api/audio-file/{file_id}?permanent=true", person["token"]
    proxy.add(
        Fault(REFUSED, operation="UpdateItem", where=lambda request: b"objects_waiting" in request.body)
    )
    expect_unavailable(second.call("DELETE", path, token))
    proxy.clear()
    assert second.call("DELETE", path, token).status_code == 204
    (erasure,) = second.call("GET", "/api/user/erasures", token).json()["erasures"]
    assert (erasure["objects_waiting"], erasure["erased_at"] is None) == (0, False)


def test_guesses_count_and_tell_nothing_of_who_is_there(
    second: Service, proxy: FaultProxy, person: Account, refuse: Callable[[str], Fault]
) -> None:
    nobody = f"{uuid.uuid4().hex}@example.com"
    refuse("sign_in_failed")
    refuse("unknown-accounts")
    for email in (person["user"]["email"], nobody):
        answers = [login(second, email, f"guess number {number}") for number in range(7)]
        told = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert set(told[:FREE_FAILURES]) == {(401, "invalid_credentials")}
        assert (429, "too_many_requests") in told[FREE_FAILURES:]

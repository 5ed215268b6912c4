"""The way of a letter through the queue: over restarts, outages of SQS and SES, and nowhere in the clear."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from panzoto.crypto.sealed import Sealer
from panzoto.mail import errands
from panzoto.mail.errands import Envelopes, Errand
from panzoto.mail.worker import pause_before
from tests.conftest import UNLIMITED
from tests.support import canaries, mails
from tests.support.aws import start_moto
from tests.support.aws_calls import KEY_PREFIX
from tests.support.commands import command, done
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Action, Answer, Fault, Hang, LoseReply, Meanwhile, Request
from tests.support.service import (
    PASSWORD,
    Service,
    aws_client,
    empty_tables,
    run_service,
    start_forked,
    wait_until_healthy,
)
from tests.support.waiting import eventually

SENDER = "no-reply@panzoto.example"
NONSENSE = Answer(200, b"{}", "application/x-amz-json-1.0")
DENIED = Answer.dynamodb("AccessDeniedException")


def fresh() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def post(service: Service, path: str, token: str | None = None, **body: Any) -> requests.Response:
    return service.call("POST", path, token, json=body)


def queue_url(service: Service, ending: str = "") -> str:
    name = service.environment["MAIL_QUEUE"] + ending
    url: str = aws_client("sqs", service.aws_url).get_queue_url(QueueName=name)["QueueUrl"]
    return url


def count(service: Service, ending: str = "") -> int:
    """How many messages the queue holds, whoever has them in hand."""
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    told = aws_client("sqs", service.aws_url).get_queue_attributes(
        QueueUrl=queue_url(service, ending), AttributeNames=names
    )["Attributes"]
    return sum(int(told[name]) for name in names)


def wait_until_empty(service: Service) -> None:
    eventually(lambda: count(service) == 0, service.log)


def of_sqs(request: Request) -> bool:
    return "AmazonSQS" in request.headers.get("x-amz-target", "")


def kill(service: Service) -> None:
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait(20)


def start_again(service: Service, **changes: str) -> None:
    service.environment |= changes
    service.process = start_forked(service.environment, service.log_path)
    wait_until_healthy(service)


@contextmanager
def between(moto: str, *faults: Fault, **settings: str) -> Iterator[tuple[Service, FaultProxy]]:
    """Run a service whose calls to AWS these faults meet."""
    with FaultProxy(moto) as proxy:
        for fault in faults:
            proxy.add(fault)
        with run_service(proxy.url, create_at=moto, **(UNLIMITED | settings)) as service:
            # What a test asks by itself, and what it starts later, goes straight to the stand-in.
            service.aws_url = service.environment["AWS_ENDPOINT_URL"] = moto
            yield service, proxy


@contextmanager
def working(service: Service, at: str | None = None) -> Iterator[None]:
    """Run a worker on letters while the block runs, which then must end well."""
    worker = command(service, "mail", "mail", "work", at=at)
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0, printed
    finally:
        worker.kill()


def takes_nothing() -> Fault:
    """What keeps the web's processes from working on the queue: what they have sent stays there."""
    away = Answer.dynamodb("InternalFailure")
    return Fault(away, operation="ReceiveMessage", where=lambda request: signed_by(request, "web"))


def signed_by(request: Request, role: str) -> bool:
    return f"Credential={KEY_PREFIX}{role}/" in request.headers.get("authorization", "")


@contextmanager
def carried_by(role: str, moto: str, *faults: Fault, **settings: str) -> Iterator[tuple[Service, FaultProxy]]:
    """As `between`, with nobody but `role`, `web` or a worker, who works on the queue."""
    if role == "web":
        with between(moto, *faults, **settings) as running:
            yield running
    else:
        with (
            between(moto, takes_nothing(), *faults, **settings) as (service, proxy),
            working(service, proxy.url),
        ):
            yield service, proxy


BY_EACH = pytest.mark.parametrize("role", ["web", "mail"])


class TestOutliving:
    def test_a_letter_leaves_once_whoever_promised_it_is_killed(self, moto: str) -> None:
        with between(moto, takes_nothing()) as (service, _):
            email = fresh()
            service.register(email)
            kill(service)
            assert (count(service), mails.kinds(service, email)) == (1, [])
            with working(service):
                code = mails.code_in(mails.wait_for(service, email, "verification"))
                wait_until_empty(service)
            assert (mails.kinds(service, email), count(service, "-dead")) == (["verification"], 0)
            start_again(service)
            assert post(service, "/api/verify-email", code=code).status_code == 204

    def test_without_a_worker_the_next_web_process_sends_what_the_last_one_left(self, moto: str) -> None:
        with between(moto, takes_nothing()) as (service, _):
            emails = [fresh() for _ in range(5)]
            for email in emails:
                service.register(email)
            service.process.terminate()
            service.process.wait(20)
            assert count(service) == 5
            start_again(service)
            for email in emails:
                mails.wait_for(service, email, "verification")
            wait_until_empty(service)
            assert [mails.kinds(service, email) for email in emails] == [["verification"]] * 5

    def test_a_letter_of_an_earlier_secret_leaves_after_a_change(self, moto: str) -> None:
        with between(moto, takes_nothing(), SECRET_KEY="earlier" * 6) as (service, _):
            email = fresh()
            service.register(email)
            kill(service)
            start_again(service, SECRET_KEY="of-today" * 6, SECRET_KEY_FALLBACKS="earlier" * 6)
            code = mails.code_in(mails.wait_for(service, email, "verification"))
            assert post(service, "/api/verify-email", code=code).status_code == 204

    def test_a_message_that_comes_twice_is_one_letter(self, service: Service) -> None:
        email, seal = fresh(), Envelopes(Sealer(service.secret_key(), (), "letter")).seal
        values = {"user_id": str(uuid.uuid4()), "to": email}
        body = seal(Errand.of(errands.VERIFICATION, values, is_counted=True))
        other = fresh()
        sqs = aws_client("sqs", service.aws_url)
        for one in (body, body, seal(Errand.of(errands.VERIFICATION, {**values, "to": other}))):
            sqs.send_message(QueueUrl=queue_url(service), MessageBody=one)
        mails.wait_for(service, other, "verification")
        wait_until_empty(service)
        assert mails.kinds(service, email) == ["verification"]

    def test_a_worker_without_mail_says_so(self, service: Service) -> None:
        service.environment["MAIL"] = "off"
        try:
            printed = done(service, "mail", "mail", "work", status=1)
        finally:
            del service.environment["MAIL"]
        assert "MAIL is off" in printed


def all_that_is_told(service: Service) -> list[str]:
    """Do what makes letters of every kind; return whose addresses they go to."""
    email, other, unknown = fresh(), fresh(), fresh()
    device = {"device_name": "Ada's unmistakable telephone"}
    account = service.register(email)
    code = mails.code_in(mails.wait_for(service, email, "verification"))
    assert post(service, "/api/verify-email", code=code).status_code == 204
    assert post(service, "/api/login", email=email, password=PASSWORD, **device).status_code == 200
    for one in (email, unknown):
        assert post(service, "/api/password/forgot", email=one).status_code == 202
    made = post(service, "/api/user/recovery-key", account["token"], password=PASSWORD)
    assert made.status_code == 201
    asked = post(service, "/api/user/email", account["token"], password=PASSWORD, email=other)
    assert asked.status_code == 200
    code = mails.code_in(mails.wait_for(service, other, "email-changed"))
    assert post(service, "/api/verify-email", code=code).status_code == 204
    canaries.note(None, {"code": mails.code_in(mails.wait_for(service, email, "email-left"))})
    assert post(service, "/api/password/forgot", email=other).status_code == 202
    code = mails.code_in(mails.wait_for(service, other, "reset"))
    reset = post(service, "/api/password/reset", code=code, new_password="another quiet walk")
    assert reset.status_code == 200
    mails.wait_for(service, other, "password-reset")
    return [email, other, unknown]


@BY_EACH
def test_no_message_tells_what_it_is_about_or_to_whom(moto: str, role: str) -> None:
    sent: list[dict[str, Any]] = []
    see = Meanwhile(lambda request: sent.append(request.json()))
    seen = Fault(see, operation="SendMessage", where=of_sqs)
    with carried_by(role, moto, seen) as (service, _):
        addresses = all_that_is_told(service)
        wait_until_empty(service)
        log = service.log()
    assert len(sent) >= 9
    for text in (*(message["MessageBody"] for message in sent), log):
        assert canaries.secrets_in(text) + canaries.addresses_in(text) == []
        assert not [word for word in (*addresses, "unmistakable", "127.0.0.1") if word in text]
    # Nor by its size, so nobody sees whether an address that has forgotten its password is known.
    assert len({len(message["MessageBody"]) for message in sent}) == 1
    assert all(message.keys() == {"QueueUrl", "MessageBody", "DelaySeconds"} for message in sent)


def test_whether_an_address_is_known_changes_nothing_that_is_asked_of_aws(moto: str) -> None:
    with between(moto, takes_nothing()) as (service, proxy):
        known, unknown = fresh(), fresh()
        service.register(known)
        asked = []
        for email in (unknown, known):
            proxy.forget()
            assert post(service, "/api/password/forgot", email=email).status_code == 202
            asked.append(
                [
                    (one.operation, one.bytes_received)
                    for one in proxy.requests
                    if one.operation not in ("ReceiveMessage", "GetQueueAttributes", "GetQueueUrl")
                ]
            )
        assert asked[0] == asked[1]
        assert [operation for operation, _ in asked[0]].count("SendMessage") == 1


class TestWithoutSqs:
    @pytest.mark.parametrize("action", [Hang(), DENIED, LoseReply()], ids=["hangs", "denied", "unheard"])
    def test_letters_leave_and_few_requests_wait_for_it(self, moto: str, action: Action) -> None:
        away = Fault(action, operation="SendMessage", where=of_sqs)
        with between(moto, away) as (service, _):
            emails = [fresh() for _ in range(8)]
            for email in emails:
                service.register(email)
            for email in emails:
                mails.wait_for(service, email, "verification")
            wait_until_empty(service)
            assert [mails.kinds(service, email) for email in emails] == [["verification"]] * 8
            assert service.log().count('"mail_not_queued"') == 8
            # The first that fails lets the others leave SQS alone for a while.
            assert 1 <= away.applied < 8

    @pytest.mark.parametrize("action", [Hang(), NONSENSE], ids=["hangs", "talks nonsense"])
    def test_letters_leave_where_all_of_sqs(self, moto: str, action: Action) -> None:
        with between(moto, Fault(action, where=of_sqs)) as (service, _):
            email = fresh()
            service.register(email)
            mails.wait_for(service, email, "verification")
            assert service.log().count('"mail_not_queued"') == 1

    def test_letters_leave_where_there_is_no_queue_and_through_it_once_there_is(self, moto: str) -> None:
        with run_service(moto, MAIL_QUEUE=f"none-{uuid.uuid4().hex}-mail", **UNLIMITED) as service:
            email = fresh()
            service.register(email)
            mails.wait_for(service, email, "verification")
            assert '"code": "missing"' in service.log()
            assert service.log().count('"mail_queue_unreachable"') == 1

    def test_a_service_that_ends_sends_first_what_only_it_knows(self, moto: str) -> None:
        with run_service(moto, MAIL_QUEUE=f"none-{uuid.uuid4().hex}-mail", **UNLIMITED) as service:
            emails = [fresh() for _ in range(5)]
            for email in emails:
                service.register(email)
            service.process.terminate()
            service.process.wait(20)
            assert [mails.kinds(service, email) for email in emails] == [["verification"]] * 5


def test_the_stand_in_of_make_run_carries_them_too(service_on_stand_in: Service) -> None:
    email = fresh()
    service_on_stand_in.register(email)
    mails.wait_for(service_on_stand_in, email, "verification")
    assert '"mail_not_queued"' not in service_on_stand_in.log()


@pytest.fixture(scope="module")
def _moto_of_ses() -> Iterator[str]:
    with start_moto() as url:
        aws_client("sesv2", url).create_email_identity(EmailIdentity=SENDER)
        yield url


@pytest.fixture
def ses(_moto_of_ses: str) -> Iterator[str]:
    """A stand-in with nothing in its tables, whose SES knows the sender."""
    yield _moto_of_ses
    empty_tables(_moto_of_ses)


def letters_taken(moto: str) -> int:
    """How many letters SES has taken of whomever."""
    return len(requests.get(f"{moto}/moto-api/data.json", timeout=60).json()["ses"]["RawMessage"])


class TestTryingAgain:
    @BY_EACH
    def test_what_ses_refuses_leaves_when_it_takes_it_and_counts_once(self, ses: str, role: str) -> None:
        settings = {"MAIL": "ses", "MAIL_FROM": f"Panzoto <{SENDER}>", "LIMIT_LETTERS": "1 per day"}
        refusing = Fault(refused_by_ses("TooManyRequestsException"), path="outbound-emails", times=5)
        before = letters_taken(ses)
        with carried_by(role, ses, refusing, **settings) as (service, _):
            service.register(fresh())
            eventually(lambda: refusing.applied == 5, service.log)
            wait_until_empty(service)
            taken = letters_taken(ses) - before
            assert (taken, counted_letters(service), count(service, "-dead")) == (1, [1], 0)

    @BY_EACH
    def test_it_counts_once_too_where_it_cannot_be_put_back(self, ses: str, role: str) -> None:
        settings = {"MAIL": "ses", "MAIL_FROM": f"Panzoto <{SENDER}>", "LIMIT_LETTERS": "1 per day"}
        refusing = Fault(refused_by_ses("TooManyRequestsException"), path="outbound-emails", times=7)
        away = Fault(Answer.dynamodb("InternalFailure"), operation="SendMessage", where=is_put_back)
        before = letters_taken(ses)
        with carried_by(role, ses, refusing, away, **settings) as (service, _):
            service.register(fresh())
            eventually(lambda: refusing.applied == 7, service.log)
            wait_until_empty(service)
            taken = letters_taken(ses) - before
            assert away.applied > 0
            assert (taken, counted_letters(service), count(service, "-dead")) == (1, [1], 0)

    @BY_EACH
    def test_what_could_not_be_looked_up_is_looked_up_again(self, moto: str, role: str) -> None:
        with carried_by(role, moto) as (service, proxy):
            email = fresh()
            service.register(email)
            mails.wait_for(service, email, "verification")
            away = proxy.add(Fault(DENIED, times=1, where=looks_up_a_claim))
            assert post(service, "/api/password/forgot", email=email).status_code == 202
            mails.wait_for(service, email, "reset")
            assert away.applied == 1
            wait_until_empty(service)

    @BY_EACH
    def test_one_of_a_kind_that_a_later_release_sends_waits_for_who_knows_it(
        self, moto: str, role: str
    ) -> None:
        held: list[Request] = []
        holding = Fault(
            Meanwhile(held.append),
            operation="ChangeMessageVisibility",
            where=lambda request: signed_by(request, role),
        )
        with carried_by(role, moto, holding) as (service, _):
            seal = Envelopes(Sealer(service.secret_key(), (), "letter")).seal
            body = seal(Errand.of("of-tomorrow", {"to": fresh()}))
            aws_client("sqs", moto).send_message(QueueUrl=queue_url(service), MessageBody=body)
            eventually(lambda: bool(held), service.log)
            assert (count(service), count(service, "-dead")) == (1, 0)

    @BY_EACH
    def test_what_comes_to_nothing_is_put_aside(self, moto: str, role: str) -> None:
        settings = {"MAIL": "ses", "MAIL_FROM": "nobody@unverified.example"}
        with carried_by(role, moto, **settings) as (service, _):
            seal = Envelopes(Sealer(service.secret_key(), (), "letter")).seal
            values, until = {"user_id": str(uuid.uuid4()), "to": fresh()}, int(time.time()) + 300
            errand = Errand.of(errands.VERIFICATION, values, is_counted=True, until=until)
            while pause_before(errand.attempt + 1) < 300:
                errand = errand.again()
            aws_client("sqs", moto).send_message(QueueUrl=queue_url(service), MessageBody=seal(errand))
            eventually(lambda: count(service, "-dead") == 1, service.log)
            wait_until_empty(service)


def is_put_back(request: Request) -> bool:
    return json.loads(request.body).get("DelaySeconds", 0) > 0


def looks_up_a_claim(request: Request) -> bool:
    return request.operation in ("GetItem", "BatchGetItem") and b"panzoto-claims" in request.body


def refused_by_ses(code: str) -> Answer:
    return Answer(
        400, b'{"message": "a fault of the test\'s own"}', "application/json", {"x-amzn-ErrorType": code}
    )


def counted_letters(service: Service) -> list[int]:
    pages = service.dynamodb().get_paginator("scan").paginate(TableName="panzoto-throttle")
    rows = [item for page in pages for item in page["Items"]]
    return [int(row["tries"]["N"]) for row in rows if row["subject"]["S"].startswith("letters#")]

"""Letters: what one adds to a request, what an idle process asks, what workers add and their deaths cost.

Service, workers and queue are real processes and real sockets; moto stands in for AWS, and a proxy before it
counts, and lets SES take its time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import requests as http

from bench.support.report import Target, interleaved, print_table, print_targets
from panzoto.crypto.sealed import Sealer
from panzoto.mail import errands
from panzoto.mail.errands import Envelopes, Errand
from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.commands import command
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Delay, Fault
from tests.support.service import Service, aws_client, run_service
from tests.support.waiting import eventually

SECRET = "a secret of this bench and nothing else"
SENDER = "no-reply@panzoto.example"
SES = {"MAIL": "ses", "MAIL_FROM": SENDER, "SECRET_KEY": SECRET}
MOST_AT_ONCE = 10
WATCHED_SECONDS = 60


def polls(proxy: FaultProxy) -> int:
    return sum(one.operation == "ReceiveMessage" for one in proxy.requests)


def forgotten(service: Service) -> float:
    """Return the milliseconds of a call that has a letter sent, to an address that nobody has."""
    body = {"email": f"{uuid.uuid4().hex}@example.com"}
    begun = time.perf_counter()
    assert service.call("POST", "/api/password/forgot", json=body).status_code == 202
    return (time.perf_counter() - begun) * 1000


def requests(arguments: argparse.Namespace) -> Iterator[Target]:
    """Time the call while letters go to the queue, while there is none, and while mail is off."""
    with start_moto() as moto, ExitStack() as stack:
        how = {
            "to the queue": {},
            "without a queue": {"MAIL_QUEUE": "there-is-none"},
            "mail off": {"MAIL": "off"},
        }
        services = {
            name: stack.enter_context(run_service(moto, **UNLIMITED, **settings))
            for name, settings in how.items()
        }
        measures = {name: lambda service=service: forgotten(service) for name, service in services.items()}
        samples = interleaved(arguments.rounds, measures)
        medians = {name: statistics.median(taken) for name, taken in samples.items()}
        rows = [(name, f"{median:.1f}") for name, median in medians.items()]
        print_table("password/forgot, median", ("letters", "ms"), rows)
        added = medians["to the queue"] - medians["mail off"]
        yield Target("added to a request by the queue", added, 30, unit=" ms")


def idle(_: argparse.Namespace) -> Iterator[Target]:
    """Count what a process that answers requests asks the queue of letters in a minute without any."""
    with start_moto() as moto, FaultProxy(moto) as proxy, run_service(proxy.url, create_at=moto):
        eventually(lambda: polls(proxy) > 0, "the queue was never asked")
        proxy.forget()
        time.sleep(WATCHED_SECONDS)
        yield Target("polls of an idle process in a minute", polls(proxy), 4)


def hands(arguments: argparse.Namespace) -> Iterator[Target]:
    """Send the same letters by the web process alone, by one worker and by four, with a slow SES."""
    with start_moto() as moto, FaultProxy(moto) as proxy:
        proxy.add(Fault(Delay(arguments.ses_seconds), path="outbound-emails"))
        aws_client("sesv2", moto).create_email_identity(EmailIdentity=SENDER)
        with run_service(proxy.url, create_at=moto, **UNLIMITED, **SES) as service:
            rates = {"the web process alone": rate(service, arguments.letters // 4)}
        # One that sends nothing itself, so that the workers have all of them.
        with run_service(proxy.url, create_at=moto, **UNLIMITED, **SES | {"MAIL": "off"}) as service:
            service.environment |= SES
            for count in (1, 4):
                with workers(service, proxy, count):
                    rates[f"workers: {count}"] = rate(service, arguments.letters)
        print_table(
            f"Letters with {arguments.ses_seconds:g} s at SES for each",
            ("who sends", "a second"),
            [(name, f"{value:.1f}") for name, value in rates.items()],
        )
        yield Target("four workers by one", rates["workers: 4"] / rates["workers: 1"], 3, at_most=False)


def killed(arguments: argparse.Namespace) -> Iterator[Target]:
    """Kill workers again and again while letters leave; each letter must leave, and some do twice."""
    with start_moto() as moto, FaultProxy(moto) as proxy:
        proxy.add(Fault(Delay(arguments.ses_seconds), path="outbound-emails"))
        aws_client("sesv2", moto).create_email_identity(EmailIdentity=SENDER)
        with run_service(proxy.url, create_at=moto, **UNLIMITED, **SES | {"MAIL": "off"}) as service:
            service.environment |= SES
            addresses = [f"person-{number}@example.com" for number in range(arguments.kills * 4)]
            put(service, addresses)
            for _ in range(arguments.kills):
                with killing(service, proxy):
                    eventually(lambda: sent_by(proxy) > 0 or is_empty(service), service.log)
            with workers(service, proxy, 1):
                eventually(lambda: is_empty(service), service.log, 600)
        told = http.get(f"{moto}/moto-api/data.json", timeout=60).json()["ses"]["RawMessage"]
    # moto names the receiver twice, as the call's and as the message's.
    left = Counter(one["destinations"][0] for one in told)
    print(
        f"\n{arguments.kills} kills: of {len(addresses)} letters {len(left)} left, "
        f"{sum(left.values()) - len(left)} of them a second time"
    )
    yield Target("letters that were lost", len(addresses) - len(left), 0)


@contextmanager
def killing(service: Service, proxy: FaultProxy) -> Iterator[None]:
    """Run a worker that is killed at the end of the block."""
    proxy.forget()
    worker = command(service, "mail", "mail", "work", at=proxy.url)
    try:
        yield
    finally:
        worker.kill()
        worker.wait(60)


def sent_by(proxy: FaultProxy) -> int:
    return sum("outbound-emails" in one.path for one in proxy.requests)


@contextmanager
def workers(service: Service, proxy: FaultProxy, count: int) -> Iterator[None]:
    """Run so many workers, all of which have asked the queue."""
    proxy.forget()
    started = [command(service, "mail", "mail", "work", at=proxy.url) for _ in range(count)]
    try:
        eventually(lambda: polls(proxy) >= count, "not all workers ask the queue")
        yield
        for worker in started:
            worker.terminate()
        for worker in started:
            worker.communicate(timeout=60)
    finally:
        for worker in started:
            worker.kill()


def rate(service: Service, letters: int) -> float:
    """Put so many letters into the queue and return how many of them leave in a second."""
    begun = time.monotonic()
    put(service, ["somebody@example.com"] * letters)
    eventually(lambda: is_empty(service), service.log, 600)
    return letters / (time.monotonic() - begun)


def put(service: Service, addresses: Sequence[str]) -> None:
    """Put a letter to each address into the queue."""
    sqs, url = queue_of(service)
    seal = Envelopes(Sealer(SECRET, (), "letter")).seal
    for start in range(0, len(addresses), MOST_AT_ONCE):
        batch = addresses[start : start + MOST_AT_ONCE]
        made = [Errand.of(errands.VERIFICATION, {"user_id": "", "to": to}, is_counted=True) for to in batch]
        entries = [{"Id": str(number), "MessageBody": seal(one)} for number, one in enumerate(made)]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def is_empty(service: Service) -> bool:
    sqs, url = queue_of(service)
    names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return not any(int(told[one]) for one in names)


def queue_of(service: Service) -> tuple[Any, str]:
    sqs = aws_client("sqs", service.environment["AWS_ENDPOINT_URL"])
    return sqs, sqs.get_queue_url(QueueName=service.environment["MAIL_QUEUE"])["QueueUrl"]


TRIALS = {"requests": requests, "idle": idle, "hands": hands, "killed": killed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", choices=[*TRIALS, []], default=list(TRIALS), metavar="trial")
    parser.add_argument("--rounds", type=int, default=100, help="requests")
    parser.add_argument("--letters", type=int, default=120, help="hands: of the workers")
    parser.add_argument("--kills", type=int, default=15, help="killed")
    parser.add_argument("--ses-seconds", type=float, default=1.0, help="hands, killed: for each letter")
    arguments = parser.parse_args()
    targets = [target for name in arguments.trials for target in TRIALS[name](arguments)]
    sys.exit(0 if print_targets(targets) else 1)


if __name__ == "__main__":
    main()

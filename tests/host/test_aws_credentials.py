"""Credentials of AWS that are away when a process starts: it starts, says 503, and heals by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.aws import free_port
from tests.support.aws_calls import KEY_PREFIX
from tests.support.credentials_source import run_source
from tests.support.forked_commands import Command, forked
from tests.support.service import PASSWORD, ROOT, Service, aws_client
from tests.support.waiting import eventually

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
HEALED_SECONDS = 30
KINDS = ("instance metadata", "container endpoint", "credential_process")


@dataclass
class Away:
    """A source that is away, how a process finds it, and how it comes back."""

    environment: dict[str, str]
    come_back: Callable[[], None]


@contextmanager
def away(kind: str, role: str, folder: Path) -> Iterator[Away]:
    with run_source(role) as source:

        def come_back() -> None:
            source.is_there = True

        if kind == "instance metadata":
            yield Away(source.metadata(), come_back)
        elif kind == "container endpoint":
            yield Away(source.container(), come_back)
        else:
            yield _program(folder, role)


def _program(folder: Path, role: str) -> Away:
    """A program that fails until its answer is there."""
    answer = folder / "answer.json"
    config = folder / "config"
    config.write_text(f"[default]\ncredential_process = /bin/cat {answer}\n")
    given = {"Version": 1, "AccessKeyId": KEY_PREFIX + role, "SecretAccessKey": "testing"}

    def come_back() -> None:
        answer.write_text(json.dumps(given))

    return Away({"AWS_CONFIG_FILE": str(config)}, come_back)


def environment_of(service: Service, found: Away) -> dict[str, str]:
    """The service's environment without keys of its own."""
    kept = {name: value for name, value in service.environment.items() if name not in KEYS}
    return {**kept, **found.environment}


@contextmanager
def started(environment: dict[str, str], *words: str) -> Iterator[tuple[Command, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = forked().start_module(environment, *words, output=log)
        try:
            yield process, log
        finally:
            process.terminate()
            process.wait(60)


def is_told(url: str, path: str, status: int, **body: str) -> bool:
    """Whether the service answers with this status; False while nobody answers."""
    try:
        if body:
            return requests.post(url + path, json=body, timeout=60).status_code == status
        return requests.get(url + path, timeout=60).status_code == status
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_the_service_starts_says_503_and_heals(service: Service, kind: str, tmp_path: Path) -> None:
    account = service.register(f"{uuid.uuid4().hex}@example.com")
    credentials = {"email": account["user"]["email"], "password": PASSWORD}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with away(kind, "web", tmp_path) as found:
        environment = environment_of(service, found) | {"PORT": str(port)}
        command = ("gunicorn", "-c", "deploy/serving/gunicorn.conf.py", "wsgi:app")
        with started(environment, *command) as (process, log):
            eventually(
                lambda: is_told(url, "/api/health", 200) or process.poll() is not None,
                "the service does not come up",
            )
            assert process.poll() is None, log.read_text()
            assert is_told(url, "/api/health/ready", 503), log.read_text()
            assert is_told(url, "/api/login", 503, **credentials), log.read_text()
            found.come_back()
            for path, body in (("/api/health/ready", {}), ("/api/login", credentials)):
                eventually(
                    lambda path=path, body=body: is_told(url, path, 200, **body),  # type: ignore[misc]
                    log.read_text,
                    HEALED_SECONDS,
                )
            written = requests.post(url + "/api/login", json=credentials, timeout=60).json()
            bearer = {"Authorization": f"Bearer {written['token']}"}
            # Signing an address needs credentials as well, and asks nobody.
            announced = requests.post(url + "/api/uploads", json={"file_size": 9}, headers=bearer, timeout=60)
            assert announced.status_code == 201, announced.text
            assert "unexpected_error" not in log.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_worker_starts_and_heals(service: Service, kind: str, tmp_path: Path) -> None:
    queue = f"test-{uuid.uuid4().hex}"
    # A bucket tells every queue that was ever made for it.
    own = {"EVENTS_QUEUE": queue, "S3_BUCKET": queue}
    environment = service.environment | own
    status, printed = forked().run(environment, "resources", "create")
    assert status == 0, printed
    with away(kind, "events", tmp_path) as found:
        environment = environment_of(service, found) | own
        with started(environment, "flask", "panzoto", "events") as (process, log):
            eventually(
                lambda: "trying again" in log.read_text() or process.poll() is not None,
                "the worker does not come up",
            )
            assert process.poll() is None, log.read_text()
            sqs = aws_client("sqs", service.aws_url)
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody="{}")
            found.come_back()
            eventually(lambda: _waiting(sqs, url) == 0, log.read_text, HEALED_SECONDS)


def _waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(told[name]) for name in names)


def test_a_source_that_stays_away_is_not_asked_by_everybody(
    service: Service,
) -> None:
    """Each who waits would otherwise ask for themselves, and wait for all before them."""
    with run_source("web") as source:
        ask = (
            "import boto3, threading\n"
            "from botocore.exceptions import CredentialRetrievalError\n"
            "from panzoto import aws_credentials\n"
            "aws_credentials.may_come_later()\n"
            "client = boto3.client('s3', region_name='us-east-1')\n"
            "def ask():\n"
            "    try:\n"
            "        client.list_buckets()\n"
            "    except CredentialRetrievalError as error:\n"
            "        print('missing', flush=True)\n"
            "threads = [threading.Thread(target=ask) for _ in range(20)]\n"
            "[thread.start() for thread in threads]\n"
            "[thread.join() for thread in threads]\n"
        )
        environment = environment_of(service, Away(source.metadata(), lambda: None))
        ran = subprocess.run(
            [sys.executable, "-c", ask],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.stdout.split() == ["missing"] * 20, ran.stderr
    # A try is a token and, since older services have none, the role all the same.
    assert source.asked <= 10

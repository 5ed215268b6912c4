"""`deploy/smoke` says that a service works when it does, and what is wrong when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Fault, FlipBit
from tests.support.service import PASSWORD, ROOT, Service, run_service


def smoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "deploy" / "smoke"), *arguments],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_service_that_works(service: Service) -> None:
    found = smoke(service.url)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == [
        "ready: ok",
        "registered: ok",
        "upload announced: ok",
        "upload: ok",
        "recorded: ok",
        "listed: ok",
        "opened: ok",
        "played: ok",
        "removed: ok",
        "It works.",
    ]


def test_the_address_that_make_run_prints_is_taken_as_it_is(service: Service) -> None:
    found = smoke(f"{service.url}/api")
    assert (found.returncode, found.stderr) == (0, "")


def test_recordings_that_come_back_damaged(moto: str, service: Service) -> None:
    """The bucket is reached through a proxy that turns a bit over in what is read from it."""
    with FaultProxy(moto) as proxy, run_service(proxy.url, create_at=moto, **UNLIMITED) as damaged:
        proxy.add(Fault(FlipBit(100), method="GET", path=r"/users/[^?]*$"))
        found = smoke(damaged.url)
    assert found.returncode == 1
    assert "smoke: opened: 422, decryption_failed (request " in found.stderr
    # It cleans up behind itself all the same.
    assert "removed: ok" in found.stdout
    users = service.dynamodb().scan(TableName=rows.USERS_TABLE)["Items"]
    left = [user for user in users if user.get("email", {}).get("S", "").startswith("smoke-")]
    assert all("deletion_started_at" in user for user in left)


def test_it_waits_its_turn_at_a_busy_address(moto: str, service: Service) -> None:
    limits = UNLIMITED | {"LIMIT_REGISTER": "1 per minute"}
    with run_service(moto, **limits) as limited:
        statuses = [201]
        while statuses[-1] == 201:
            account = {"email": f"{len(statuses)}-{uuid.uuid4().hex}@example.com", "password": PASSWORD}
            statuses.append(limited.call("POST", "/api/register", json=account).status_code)
        assert statuses[-1] == 429
        found = smoke(limited.url)
        assert (found.returncode, found.stderr) == (0, "")


def test_it_plays_at_the_very_process_that_is_tried(moto: str) -> None:
    elsewhere = {"PUBLIC_URL": "http://127.0.0.1:9"}
    with run_service(moto, **UNLIMITED, **elsewhere) as running:
        assert "played" not in smoke(running.url).stdout
        assert "played: ok" in smoke("--directly", running.url).stdout


def test_nobody_there() -> None:
    found = smoke("http://127.0.0.1:9", "--wait", "0")
    assert found.returncode == 1
    assert found.stderr == "smoke: 127.0.0.1:9 does not answer: Connection refused\n"


def test_what_it_waits_for_is_told() -> None:
    found = smoke("http://127.0.0.1:9", "--wait", "1")
    waiting = "smoke: not ready, waiting up to 1 s: 127.0.0.1:9 does not answer: Connection refused"
    assert found.stderr.splitlines()[0] == waiting
    assert found.stderr.count(waiting) == 1


@pytest.mark.parametrize("arguments", [(), ("voice.example.com",), ("file:///etc/passwd",)])
def test_run_wrongly_it_says_how_to_run_it_rightly(arguments: tuple[str, ...]) -> None:
    found = smoke(*arguments)
    assert found.returncode == 2
    assert "usage: deploy/smoke" in found.stderr

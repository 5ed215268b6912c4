"""Stopping and changing over in the middle of everything: nothing that was accepted is lost."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from panzoto.playback.places import MOST_OF_ONE
from tests.support.aws import free_port
from tests.support.edge import running, supervised
from tests.support.processes import children
from tests.support.recordings import decrypt, single_shot, store
from tests.support.service import PASSWORD, ROOT, Service
from tests.support.waiting import eventually

# No more than one worker of two takes of one account, however the kernel shares them out.
DOWNLOADS = 30
REQUESTS = 200
AT_ONCE = 8
# More than the service's and a client's socket buffers hold, so that the rest waits in the service.
PLAIN = os.urandom(2_500_000)
DEADLINE = 60


@dataclass(frozen=True)
class Sent:
    """One request: whether its connection was open before the signal, and its status if it was answered."""

    request_id: str
    before_signal: bool
    status: int | None


class Load:
    """Downloads that are held in the middle, and requests that go on and on."""

    def __init__(self, service: Service, token: str, paths: list[str]) -> None:
        self.service = service
        self.token = token
        self.paths = paths
        self.signalled = False
        self._answered = threading.Semaphore(0)
        self._downloads: list[tuple[socket.socket, http.client.HTTPResponse]] = []

    @contextmanager
    def downloads(self) -> Iterator[None]:
        """Begin the downloads and read their heads only."""
        with ExitStack() as stack:
            for number in range(DOWNLOADS):
                path = self.paths[number % len(self.paths)]
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                client.settimeout(DEADLINE)
                client.connect(("127.0.0.1", int(self.service.environment["PORT"])))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                response = http.client.HTTPResponse(client)
                response.begin()
                assert response.status == 200
                self._downloads.append((client, response))
            yield

    def finish_downloads(self) -> set[str]:
        """Read every download to its end; return the digests of what came."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return set(pool.map(self._digest, self._downloads))

    def _digest(self, download: tuple[socket.socket, http.client.HTTPResponse]) -> str:
        digest = hashlib.sha256()
        while piece := download[1].read(256 * 1024):
            digest.update(piece)
        return digest.hexdigest()

    def request(self, number: int) -> Sent:
        request_id = f"rolling-{number:04}"
        connection = http.client.HTTPConnection(self.service.url.removeprefix("http://"), timeout=DEADLINE)
        headers = {"Authorization": f"Bearer {self.token}", "X-Request-ID": request_id}
        before, status = False, None
        try:
            connection.connect()
            before = not self.signalled
            connection.request("GET", "/api/user/audio-files?limit=5", headers=headers)
            response = connection.getresponse()
            json.loads(response.read())
            status = response.status
        except (ConnectionRefusedError, ConnectionResetError, http.client.RemoteDisconnected):
            # Not a byte of an answer came.  One that breaks off raises IncompleteRead, and fails the test.
            pass
        finally:
            connection.close()
            self._answered.release()
        return Sent(request_id, before, status)

    def requests(self, pool: ThreadPoolExecutor) -> list[Future[Sent]]:
        """Begin sending, and return when a quarter of the requests has been answered."""
        futures = [pool.submit(self.request, number) for number in range(REQUESTS)]
        for _ in range(REQUESTS // 4):
            assert self._answered.acquire(timeout=DEADLINE)
        return futures

    def send_signal(self, number: signal.Signals) -> None:
        self.signalled = True
        self.service.process.send_signal(number)


@pytest.fixture
def playback_paths(service: Service, account: dict[str, Any]) -> list[str]:
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], PLAIN))
    # Few may listen to one address at a time, so there are several.
    answers = [
        decrypt(service, account["token"], file_id, PASSWORD) for _ in range(DOWNLOADS // MOST_OF_ONE + 1)
    ]
    return [answer.json()["download_url"].removeprefix(service.url) for answer in answers]


def logged(service: Service) -> set[str]:
    """The requests of this test that the service says it has answered."""
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return {line["request_id"] for line in lines if line.get("request_id", "").startswith("rolling-")}


def check(service: Service, sent: list[Sent]) -> None:
    assert len(sent) == REQUESTS
    assert {one.status for one in sent if one.status is not None} == {200}
    assert [one for one in sent if one.before_signal and one.status is None] == []
    assert logged(service) == {one.request_id for one in sent if one.status}


def test_sigterm_lets_everything_end_that_had_begun(
    service: Service, account: dict[str, Any], playback_paths: list[str], tmp_path: Path
) -> None:
    port = str(free_port())
    # Twice the patience of production, for a slow machine.
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "deploy/serving/gunicorn.conf.py",
        "--graceful-timeout",
        "60",
    ]
    environment = {**service.environment, "PORT": port, "WEB_CONCURRENCY": "2"}
    with running(service, tmp_path, [*command, "wsgi:app"], environment) as instance:
        load = Load(instance, account["token"], playback_paths)
        with load.downloads(), ThreadPoolExecutor(AT_ONCE) as pool:
            futures = load.requests(pool)
            load.send_signal(signal.SIGTERM)
            sent = [future.result(DEADLINE) for future in futures]
            assert load.finish_downloads() == {hashlib.sha256(PLAIN).hexdigest()}
        assert instance.process.wait(DEADLINE) == 0
    check(instance, sent)
    assert {one.status for one in sent} == {200, None}, "the signal came before or after all requests"


def test_a_change_of_release_loses_nothing_and_turns_nobody_away(
    service: Service, account: dict[str, Any], playback_paths: list[str], tmp_path: Path
) -> None:
    metrics = f"http://127.0.0.1:{(metrics_port := free_port())}/metrics"
    with supervised(service, tmp_path, METRICS_PORT=str(metrics_port)) as instance:
        [former] = children(instance.process.pid)
        load = Load(instance, account["token"], playback_paths)
        with load.downloads(), ThreadPoolExecutor(AT_ONCE) as pool:
            futures = load.requests(pool)
            load.send_signal(signal.SIGHUP)
            sent = [future.result(DEADLINE) for future in futures]
            eventually(lambda: instance.log().count("A generation serves") == 2, instance.log)
            assert former in children(instance.process.pid), "downloads are under way"
            assert requests.get(f"{instance.url}/api/health", timeout=DEADLINE).ok
            # The former master has given the metrics' port away, although it still has workers.
            assert requests.get(f"{instance.url}/api/openapi.json", timeout=DEADLINE).ok
            eventually(lambda: 'route="/api/openapi.json"' in text_of(metrics), instance.log)
            assert load.finish_downloads() == {hashlib.sha256(PLAIN).hexdigest()}
        eventually(lambda: former not in children(instance.process.pid), instance.log)
        assert len(children(instance.process.pid)) == 1
    check(instance, sent)
    assert {one.status for one in sent} == {200}


def test_a_release_that_does_not_come_up_changes_nothing(service: Service, tmp_path: Path) -> None:
    current, settings = tmp_path / "current", tmp_path / "panzoto.env"
    current.symlink_to(ROOT)
    settings.write_text("TOKEN_TTL=1000\n")
    arguments = ("--release", str(current), "--environment-file", str(settings))
    with supervised(service, tmp_path, *arguments) as instance:
        [former] = children(instance.process.pid)
        failure = "The next generation did not come up"
        # Settings that cannot be used, a release that is none, and a release whose service does not start.
        settings.write_text("TOKEN_TTL=soon\n")
        instance.process.send_signal(signal.SIGHUP)
        eventually(lambda: instance.log().count(failure) == 1, instance.log)
        assert "TOKEN_TTL must be a whole number" in instance.log()
        settings.write_text("TOKEN_TTL=1000\n")
        for times, release in ((2, tmp_path / "nothing"), (3, tmp_path)):
            current.unlink()
            current.symlink_to(release)
            instance.process.send_signal(signal.SIGHUP)
            eventually(lambda: instance.log().count(failure) == times, instance.log)  # noqa: B023
        assert children(instance.process.pid) == [former]
        assert requests.get(f"{instance.url}/api/health", timeout=DEADLINE).ok


def text_of(url: str) -> str:
    try:
        return requests.get(url, timeout=5).text
    except (requests.ConnectionError, requests.Timeout):
        return ""

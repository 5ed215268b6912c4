"""What the service's gunicorn does by itself: refusing what is not HTTP, closing, logging, metrics."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from deploy.serving.worker import LINGER_BYTES, JsonLogger
from panzoto.telemetry import logs
from tests.conftest import UNLIMITED
from tests.support.aws import free_port
from tests.support.service import PASSWORD, ROOT, Service, run_service
from tests.support.waiting import eventually

SECRET = "a-ticket-that-nobody-may-read"
JSON_POST = b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = JSON_POST + b"Transfer-Encoding: chunked\r\n\r\n"
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def connect(service: Service) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=20)


def answer_to(service: Service, sent: bytes) -> tuple[int, Any]:
    """Send bytes as they are; return the status and the JSON of the answer."""
    with connect(service) as client:
        client.sendall(sent)
        response = http.client.HTTPResponse(client)
        response.begin()
        return response.status, json.loads(response.read())


class TestWhatIsNotARequest:
    @pytest.mark.parametrize(
        ("sent", "status", "code"),
        [
            (f"{SECRET}\r\n\r\n".encode(), 400, "bad_request"),
            (f"GET /{SECRET} HTTP/9.9\r\nHost: a\r\n\r\n".encode(), 400, "bad_request"),
            (f"GET / HTTP/1.1\r\nHost: a\r\n{SECRET}\r\n\r\n".encode(), 400, "bad_request"),
            (f"GET / HTTP/1.1\r\nHost: a\r\nExpect: {SECRET}\r\n\r\n".encode(), 400, "bad_request"),
            (JSON_POST + f"Content-Length: {SECRET}\r\n\r\n".encode(), 400, "bad_request"),
            (JSON_POST + f"Transfer-Encoding: {SECRET}\r\n\r\n".encode(), 400, "bad_request"),
            (f"GET /{SECRET}{'a' * 9000} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 414, "uri_too_long"),
            (f"GET / HTTP/1.1\r\nHost: a\r\nX: {SECRET * 1000}\r\n\r\n".encode(), 431, "headers_too_large"),
        ],
        ids=["line", "version", "header", "expectation", "length", "encoding", "long address", "long header"],
    )
    def test_it_gets_an_error_of_the_usual_shape_and_is_not_logged(
        self, service: Service, sent: bytes, status: int, code: str
    ) -> None:
        answered, body = answer_to(service, sent)
        assert (answered, body["code"]) == (status, code)
        assert body.keys() == {"error", "code", "request_id"}
        assert SECRET not in json.dumps(body)
        assert SECRET not in service.log()

    @pytest.mark.parametrize("body", [b"ZZ\r\nabc\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"-1\r\n\r\n"])
    def test_malformed_chunks_are_the_clients_mistake(self, service: Service, body: bytes) -> None:
        status, answer = answer_to(service, CHUNKED + body)
        assert (status, answer["code"]) == (400, "bad_request")

    def test_an_address_as_long_as_a_ticket_needs_is_a_request(self, service: Service) -> None:
        assert requests.get(f"{service.url}/{'a' * 8000}", timeout=20).status_code == 404

    def test_nobody_is_believed_who_says_that_he_is_a_proxy(self, service: Service) -> None:
        claims = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off", "Script-Name": "/elsewhere"}
        assert requests.get(f"{service.url}/api/health", headers=claims, timeout=20).status_code == 200


class TestPages:
    """A refusal comes before anybody knows which page has asked."""

    SENT = (
        (b"rubbish\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    )

    @pytest.mark.parametrize(
        ("origins", "named"),
        [
            ("*", "*"),
            ("https://voice.example.com", "https://voice.example.com"),
            ("https://voice.example.com,https://admin.example.com", None),
        ],
        ids=["any", "one", "several"],
    )
    def test_what_is_no_request_can_be_read_by_the_page_that_may(
        self, moto: str, origins: str, named: str | None
    ) -> None:
        with run_service(moto, anew=True, CORS_ORIGINS=origins) as running:
            for sent, status in self.SENT:
                with connect(running) as client:
                    client.sendall(sent)
                    response = http.client.HTTPResponse(client)
                    response.begin()
                    assert response.status == status
                    assert response.headers["Access-Control-Allow-Origin"] == named
                    exposed = response.headers["Access-Control-Expose-Headers"] or ""
                    assert ("X-Request-ID" in exposed) is (named is not None)
                    assert json.loads(response.read())["request_id"] == response.headers["X-Request-ID"]


class TestClosing:
    def test_clients_who_leave_their_half_open_do_not_keep_others_waiting(self, service: Service) -> None:
        with ExitStack() as idle:
            for _ in range(5):
                client = idle.enter_context(connect(service))
                client.sendall(b"GET /api/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                # The answer, and the end of the service's half.
                while client.recv(65536):
                    pass
            started = time.monotonic()
            assert requests.get(f"{service.url}/api/health", timeout=30).status_code == 200
            # Each of them could hold it up for 2 s.
            assert time.monotonic() - started < 5

    def test_a_client_who_is_still_sending_reads_why_his_body_is_refused(self, service: Service) -> None:
        body = bytes(10_000_000)
        with connect(service) as client:
            # As simple clients do it: everything is sent before anything is read.
            client.sendall(JSON_POST + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 413
            assert json.loads(response.read())["code"] == "payload_too_large"

    def test_there_is_an_end_to_what_is_read_after_a_refusal(self, service: Service) -> None:
        piece = bytes(1_000_000)
        with connect(service) as client:
            client.sendall(JSON_POST + b"Content-Length: 10000000000\r\n\r\n")
            sent = 0
            with suppress(BrokenPipeError, ConnectionResetError):
                while sent < 8 * LINGER_BYTES:
                    client.sendall(piece)
                    sent += len(piece)
            assert sent < 8 * LINGER_BYTES

    def test_a_connection_serves_one_request_after_the_other(self, service: Service) -> None:
        with connect(service) as client:
            for _ in range(3):
                client.sendall(b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n")
                response = http.client.HTTPResponse(client)
                response.begin()
                assert response.status == 200
                response.read()


class TestLogging:
    def test_an_exception_is_logged_without_what_a_client_sent(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = logging.getLogger()
        monkeypatch.setattr(root, "handlers", [])
        monkeypatch.setattr(root, "level", root.level)
        logs.init("INFO")
        logger = JsonLogger.__new__(JsonLogger)
        logger.error_log = logging.getLogger("test.gunicorn")
        try:
            int(SECRET)
        except ValueError:
            logger.exception("Error handling request %s %s", "GET", f"/api/playback/{SECRET}")
        printed = capsys.readouterr().out
        line = json.loads(printed)
        assert line["event"] == "Error handling request"
        assert line["exception"][0]["type"] == "ValueError"
        assert SECRET not in printed


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def two_workers(moto: str, metrics_port: int) -> Iterator[Service]:
    with run_service(moto, anew=True, WEB_CONCURRENCY="2", METRICS_PORT=str(metrics_port)) as running:
        yield running


class TestWorkers:
    def answered(self, port: int) -> float:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
        counts = re.findall(
            r'^panzoto_requests_total\{.*route="/api/openapi.json",.*\} (\S+)$', text, re.MULTILINE
        )
        return sum(map(float, counts))

    def test_metrics_count_what_all_workers_did_and_outlive_a_worker(
        self, two_workers: Service, metrics_port: int
    ) -> None:
        # Nobody else asks for this document. Requests are counted when their answer has been sent, perhaps a
        # moment after it has come.
        def are(answered: int) -> None:
            eventually(lambda: self.answered(metrics_port) == answered, lambda: self.answered(metrics_port))

        pids = two_workers.worker_pids()
        assert len(pids) == 2
        for _ in range(20):
            assert requests.get(f"{two_workers.url}/api/openapi.json", timeout=20).ok
        are(20)
        os.kill(pids[0], signal.SIGKILL)
        eventually(
            lambda: len(set(two_workers.worker_pids()) - {pids[0]}) == 2, "the worker was not replaced"
        )
        for _ in range(5):
            assert requests.get(f"{two_workers.url}/api/openapi.json", timeout=20).ok
        are(25)

    def test_metrics_are_for_this_machine_only(self, two_workers: Service, metrics_port: int) -> None:
        assert two_workers.worker_pids()
        table = Path("/proc/net/tcp").read_text()
        bound = re.findall(rf" ([0-9A-F]+):{metrics_port:04X} [0-9A-F:]+ 0A ", table)
        assert bound == ["0100007F"]

    def test_a_taken_metrics_port_is_a_line_in_the_log(self, moto: str) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            run_service(moto, anew=True, METRICS_PORT=str(taken.getsockname()[1])) as service,
        ):
            assert requests.get(f"{service.url}/api/health", timeout=20).ok
            assert "There are no metrics: METRICS_PORT" in service.log()


def test_what_a_crowd_needed_goes_back_to_the_system(moto: str) -> None:
    """Many threads have each computed a hash of 19 MiB; little of that may stay with the worker."""
    with run_service(moto, anew=True, **UNLIMITED) as service:
        emails = [f"crowd-{number}@example.com" for number in range(4)]
        for email in emails:
            service.register(email)
        (worker,) = service.worker_pids()
        before = resident_mib(worker)

        def sign_in(number: int) -> int:
            person = {"email": emails[number % len(emails)], "password": PASSWORD}
            return service.call("POST", "/api/login", json=person).status_code

        with ThreadPoolExecutor(24) as crowd:
            statuses = set(crowd.map(sign_in, range(96)))
        assert statuses <= {200, 503}
        assert 200 in statuses
        assert resident_mib(worker) - before < 60


class TestAllocation:
    def test_a_hash_is_computed_in_huge_pages(self, moto: str) -> None:
        with run_service(moto, anew=True, **UNLIMITED) as service:
            # Older releases of glibc cut the value in the process's environment at its first colon.
            assert told()["GLIBC_TUNABLES"].partition(":")[0] == "glibc.malloc.hugetlb=1"
            person = {"email": "pages@example.com", "password": PASSWORD}
            service.register(person["email"])
            before = page_faults(service)
            for _ in range(10):
                assert service.call("POST", "/api/login", json=person).ok
            # A kernel may be built without them.
            if HUGE_PAGES.exists() and "[never]" not in HUGE_PAGES.read_text():
                # 19 MiB are 4864 pages of the usual size.
                assert (page_faults(service) - before) / 10 < 2432

    def test_what_the_operator_has_chosen_stays(self) -> None:
        assert told(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"


def test_what_a_worker_has_in_its_environment_and_memory_is_closed_to_others_of_its_user() -> None:
    assert told()["dumpable"] == 0


def told(**settings: str) -> dict[str, Any]:
    """What a worker of our gunicorn finds out about itself; nobody else could without being root."""
    port = str(free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", "deploy/serving/gunicorn.conf.py", "tests.support.told:app"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORT": port, "METRICS_PORT": "0", "FLASK_ENV": "development"}
        | settings,
        start_new_session=True,
    )
    try:
        eventually(lambda: answers(port), "gunicorn did not start")
        answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{port}/", timeout=20).json()
    finally:
        process.terminate()
        process.wait(60)
    return answer


def answers(port: str) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", int(port)), timeout=20):
        return True
    return False


def page_faults(service: Service) -> int:
    """How many pages the worker has been given so far without reading a file (proc_pid_stat(5), minflt)."""
    (worker,) = service.worker_pids()
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[7])


def resident_mib(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1]) / 1024

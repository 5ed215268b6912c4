"""The command for writers of clients and servers finds nothing here, and what is wrong elsewhere."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.aws import free_port
from tests.support.crowd_server import CrowdServer
from tests.support.service import ROOT, Service

COMMAND = ROOT / "examples" / "conformance"


def examined(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its users do, with nothing of the project on the path."""
    return subprocess.run(
        [sys.executable, "-I", str(COMMAND), *arguments],
        env={"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@dataclass
class Answer:
    """One answer on its way through the stand-in, which may change it."""

    method: str
    path: str
    sent: dict[str, str]
    status: int
    headers: list[tuple[str, str]]
    body: bytes


Fault = Callable[[Answer], None]


def html_errors(answer: Answer) -> None:
    if answer.status == 404 and "/no-such-thing" in answer.path:
        answer.headers = [("Content-Type", "text/html")]
        answer.body = b"<h1>Not found</h1>"


def tells_who_has_an_account(answer: Answer) -> None:
    if answer.path == "/api/login" and answer.status == 401:
        answer.body = answer.body.replace(b"Invalid email or password", b"There is no such account")


def forgets_the_zone(answer: Answer) -> None:
    if answer.path == "/api/user/sessions":
        answer.body = re.sub(rb'(T[0-9:.]+)Z"', rb'\1"', answer.body)


def takes_any_limit(answer: Answer) -> None:
    if "limit=" in answer.path and answer.status == 400:
        answer.status, answer.body = 200, b'{"audio_files":[],"next_cursor":null}'


def ignores_ranges(answer: Answer) -> None:
    if answer.path.startswith("/api/playback/") and answer.status == 206:
        answer.status = 200


def loses_the_salt(answer: Answer) -> None:
    if answer.path == "/api/user/password" and answer.status == 200:
        answer.body = re.sub(rb'"key_id":"[0-9a-f]{32}"', b'"key_id":"' + b"0" * 32 + b'"', answer.body)


def shows_damage(answer: Answer) -> None:
    if answer.path == "/api/decrypt-audio" and answer.status == 422:
        answer.status = 200


def keeps_deleted_accounts(answer: Answer) -> None:
    if answer.path == "/api/user" and answer.method == "DELETE" and answer.status == 401:
        answer.status, answer.body = 202, b'{"deletion":{"status":"in_progress","started_at":"now"}}'


def hides_missing_parts(answer: Answer) -> None:
    answer.body = answer.body.replace(b'"missing_parts"', b'"missing"')


def writes_over_anything(answer: Answer) -> None:
    if answer.method == "PUT" and answer.path.endswith("/transcript") and answer.status == 409:
        answer.status = 200


def finds_no_beginnings(answer: Answer) -> None:
    if answer.path == "/api/search" and answer.status == 200:
        answer.body = answer.body.replace(b'"text":"Stra', b'"text":"stra')


def takes_tickets_of_others(answer: Answer) -> None:
    answer.body = answer.body.replace(b'"code":"invalid_ticket"', b'"code":"token_invalid"')


def takes_any_key(answer: Answer) -> None:
    if answer.path == "/api/decrypt-audio" and b"file_key" in answer.body and answer.status == 400:
        answer.status = 422


# A fault, and the words of the check that must find it.
FAULTS: tuple[tuple[Fault, str], ...] = (
    (html_errors, "Every error is JSON"),
    (tells_who_has_an_account, "POST /api/login returns the account"),
    (forgets_the_zone, "Sessions are listed"),
    (takes_any_limit, "lists the newest first"),
    (ignores_ranges, "A player may seek"),
    (loses_the_salt, "A new password keeps the vault"),
    (shows_damage, "what is damaged is 422"),
    (keeps_deleted_accounts, "DELETE /api/user needs the password"),
    (hides_missing_parts, "A large upload comes in parts"),
    (writes_over_anything, "A transcript is written over"),
    (finds_no_beginnings, "POST /api/search finds"),
    (takes_tickets_of_others, "A ticket of POST /api/transcripts/unlock"),
    (takes_any_key, "A recording opens by its own key"),
)


@dataclass
class StandIn:
    """Another server: it hands everything on to a service and changes answers by its faults."""

    target: str
    faults: list[Fault] = field(default_factory=list)
    address: str = ""


@contextmanager
def stand_in(service: Service, faults: list[Fault]) -> Iterator[str]:
    """Run one on a free loopback port while the block runs."""
    server = CrowdServer(("127.0.0.1", 0), _Handler)
    server.state = StandIn(service.url, faults)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def _pass(self) -> None:
        state: StandIn = self.server.state  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(urlsplit(state.target).netloc, timeout=60)
        connection.request(self.command, self.path, body or None, dict(self.headers.items()))
        got = connection.getresponse()
        answer = Answer(
            self.command, self.path, dict(self.headers.items()), got.status, got.getheaders(), got.read()
        )
        connection.close()
        length = next((value for name, value in answer.headers if name == "Content-Length"), "0")
        for fault in state.faults:
            fault(answer)
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name not in ("Content-Length", "Transfer-Encoding", "Connection", "Server", "Date"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._pass
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        """A server of the tests has nothing to say on the terminal."""


class TestConformance:
    def test_this_service_keeps_the_whole_contract(self, service: Service) -> None:
        ran = examined(service.url)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        lines = [line for line in ran.stdout.splitlines() if line.startswith("  ")]
        assert len(lines) > 30
        assert {line.split()[0] for line in lines} == {"ok"}
        assert f"{len(lines)} of {len(lines)} hold." in ran.stdout

    def test_what_is_wrong_with_another_server_is_found(self, service: Service) -> None:
        with stand_in(service, [fault for fault, _ in FAULTS]) as address:
            ran = examined(address)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        short = [line for line in ran.stdout.splitlines() if line.startswith("  SHORT")]
        assert [words for _, words in FAULTS if not any(words in line for line in short)] == [], ran.stdout
        # What has no fault goes on being found in order.
        assert "  ok    GET /api/health says who it is." in ran.stdout
        assert f"{len(short)} fell short." in ran.stdout

    def test_nobody_there_is_told(self) -> None:
        ran = examined(f"http://127.0.0.1:{free_port()}")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert len(ran.stderr.splitlines()) == 1

    def test_the_address_may_end_as_make_run_prints_it(self, service: Service) -> None:
        ran = examined(f"{service.url}/api", "--only", "says who it is")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "1 of 1 hold." in ran.stdout

    def test_what_is_tried_is_listed_without_an_address(self) -> None:
        ran = examined("--list", "--only", "GET /api/health")
        assert (ran.returncode, ran.stdout) == (0, "GET /api/health says who it is.\n")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "address of the service is missing"),
            (("127.0.0.1:5000",), "such as http://127.0.0.1:5000"),
            (("http://127.0.0.1:9", "--only", "nonsense"), "no check speaks of 'nonsense'"),
        ],
        ids=["no address", "no scheme", "no such check"],
    )
    def test_asked_wrongly_it_says_how_to_ask(self, arguments: tuple[str, ...], said: str) -> None:
        ran = examined(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr

    @pytest.mark.parametrize("path", sorted(COMMAND.glob("*.py")), ids=lambda path: path.name)
    def test_it_needs_nothing_of_the_project(self, path: Path) -> None:
        assert "panzoto." not in path.read_text().replace("panzoto.example", "")

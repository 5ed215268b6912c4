"""The real nginx, with the project's configuration, before the real service."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from deploy.machine.nginx import render
from panzoto.auth.network_address import counted_as
from tests.support.aws import free_port
from tests.support.edge import Nginx, nginx_before, rendered, supervised
from tests.support.processes import children, opened
from tests.support.recordings import single_shot, store
from tests.support.service import PASSWORD, ROOT, Service
from tests.support.waiting import eventually

PAGE = "https://voice.example.com"
OTHER_PAGE = "https://admin.example.com:8443"
PLAIN = b"\x00\x00\x00\x1cftyp3gp4" + os.urandom(8_000_000)


@pytest.fixture(scope="module")
def behind(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An instance of the service that believes one proxy."""
    with supervised(service, tmp_path_factory.mktemp("service"), TRUSTED_PROXIES="1") as instance:
        yield instance


@pytest.fixture(scope="module")
def edge(behind: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    port = int(behind.environment["PORT"])
    with nginx_before(port, tmp_path_factory.mktemp("nginx") / "edge") as nginx:
        yield nginx


@pytest.fixture
def playback_url(service: Service, edge: Nginx, account: dict[str, Any]) -> str:
    """The address at which a recording plays, as nginx's clients are given it."""
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], PLAIN))
    body = {"password": PASSWORD, "file_id": file_id}
    opened = edge.call("POST", "/api/decrypt-audio", account["token"], json=body)
    assert opened.status_code == 200, opened.text
    url: str = opened.json()["download_url"]
    assert url.startswith(f"{edge.url}/api/playback/")
    return url


def is_error(answer: requests.Response, status: int, code: str) -> None:
    """Whether it is an error in the shape of the contract."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body.keys() == {"error", "code", "request_id"}
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Content-Type"] == "application/json"
    assert "max-age=" in answer.headers["Strict-Transport-Security"]


def raw(edge: Nginx, sent: bytes) -> tuple[int, Any]:
    """Send bytes as they are; return the status and the JSON of the answer."""
    head, _, body = received(edge, sent).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def received(edge: Nginx, sent: bytes) -> bytes:
    """Send bytes as they are; return all that comes until the connection is closed."""
    address = urlsplit(edge.url)
    with (
        socket.create_connection(("127.0.0.1", address.port or 0), timeout=20) as plain,
        edge.tls().wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(sent)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


class TestCalls:
    def test_the_six_calls_of_the_phones(self, service: Service, edge: Nginx) -> None:
        assert edge.call("GET", "/api/health").json()["status"] == "healthy"
        credentials = {"email": "edge@example.com", "password": PASSWORD}
        account = edge.call("POST", "/api/register", json=credentials).json()
        login = edge.call("POST", "/api/login", json=credentials)
        assert login.status_code == 200
        assert int(login.headers["RateLimit-Remaining"]) >= 0
        token, s3_key = login.json()["token"], f"users/{account['user_id']}/audio-7.3gp"
        service.put_object(s3_key, single_shot(PASSWORD, account["key_salt"], PLAIN))
        recorded = edge.call("POST", "/api/audio-file", token, json={"s3_key": s3_key})
        assert recorded.status_code == 201
        listed = edge.call("GET", "/api/user/audio-files?limit=50", token).json()["audio_files"]
        assert [file["s3_key"] for file in listed] == [s3_key]
        opened = edge.call("POST", "/api/decrypt-audio", token, json={"password": PASSWORD, "s3_key": s3_key})
        assert edge.call("GET", opened.json()["download_url"]).content == PLAIN

    def test_plain_http_is_sent_to_https_and_a_post_stays_a_post(self, edge: Nginx) -> None:
        answer = edge.call("POST", f"{edge.plain_url}/api/login?a=b", json={"email": "a"})
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"{edge.url}/api/login?a=b"

    def test_https_is_asked_for_from_now_on(self, edge: Nginx) -> None:
        assert edge.call("GET", "/api/health").headers["Strict-Transport-Security"] == "max-age=63072000"

    def test_old_tls_is_refused(self, edge: Nginx) -> None:
        for version, accepted in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = edge.tls()
            context.minimum_version = context.maximum_version = version
            with closing(self.connected(edge, context, "localhost")) as client:
                assert (client.version() is not None) is accepted
        context = edge.tls()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            self.connected(edge, context, "localhost")

    def test_another_name_gets_no_certificate_and_no_service(self, edge: Nginx) -> None:
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            self.connected(edge, edge.tls(), "elsewhere.example.com")
        status, body = raw(edge, b"GET /api/health HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n")
        assert (status, body["code"]) == (421, "misdirected_request")

    def connected(self, edge: Nginx, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", urlsplit(edge.url).port or 0), timeout=20)
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except ssl.SSLError:
            plain.close()
            raise

    def test_the_pages_of_letters_are_there(self, edge: Nginx) -> None:
        files = ("/letters/undo.js", "/letters/style.css", "/letters/icon.svg")
        for path in ("/verify", "/reset", "/undo", *files):
            assert edge.call("GET", path).status_code == 200, path

    def test_who_writes_a_slash_too_many_reaches_them(self, edge: Nginx) -> None:
        for path in ("/reset/", "//reset"):
            sent = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = received(edge, sent.encode())
            assert b" 308 " in answer.splitlines()[0], answer
            assert b"\r\nlocation: /reset\r\n" in answer.lower(), answer

    @pytest.mark.usefixtures("console_libraries")
    def test_the_console_is_there_as_the_service_packs_it(self, behind: Service, edge: Nginx) -> None:
        page = edge.call("GET", "/")
        (main,) = re.findall(r'src="(/console/[0-9a-f]{32}/main\.js)"', page.text)
        (style,) = re.findall(r'href="(/console/[0-9a-f]{32}/style\.css)"', page.text)
        for path in ("/", "/?again", "/console-worker.js", main, style):
            passed, own = edge.call("GET", path), behind.call("GET", path)
            assert (passed.status_code, passed.content) == (200, own.content), path
            for name in ("Content-Type", "Content-Encoding", "Content-Length", "Cache-Control", "Vary"):
                assert passed.headers.get(name) == own.headers.get(name), (path, name)
            assert passed.headers["Content-Encoding"] == "gzip"
            # An origin of the bucket's own stands in it, and everything else the same.
            assert "frame-ancestors 'none'" in passed.headers["Content-Security-Policy"]
        plain = edge.call("GET", main, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
        assert plain.content == edge.call("GET", main).content

    @pytest.mark.usefixtures("console_libraries")
    def test_a_file_that_is_none_of_the_console_s_is_not_there(self, edge: Nginx) -> None:
        (digest,) = re.findall(r'name="panzoto-release" content="([0-9a-f]{32})"', edge.call("GET", "/").text)
        for path in (f"/console/{digest}/release.py", f"/console/{digest}/", f"/console/{'0' * 32}/main.js"):
            is_error(edge.call("GET", path), 404, "not_found")

    def test_metrics_and_whatever_is_no_call_are_not_there(self, edge: Nginx) -> None:
        for path in ("/metrics", "/main.js", "/.env", "/-/503"):
            is_error(edge.call("GET", path), 404, "not_found")

    def test_readiness_is_only_asked_past_it(self, edge: Nginx) -> None:
        host = urlsplit(edge.url).hostname or ""
        for way in ("ready", "ready/", "%72eady", "./ready", "x/../ready", "/ready", "ready?x=1", "read%79/"):
            for method in ("GET", "POST"):
                asked = f"{method} /api/health/{way} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                status, body = raw(edge, asked.encode())
                assert (status, body["code"]) == (404, "not_found"), way
        assert edge.call("GET", "/api/health").status_code == 200


class TestErrors:
    def test_the_services_own_pass_through(self, edge: Nginx) -> None:
        is_error(edge.call("GET", "/api/user"), 401, "token_missing")
        is_error(edge.call("POST", "/api/login", data=b'"' + b"a" * 70_000), 413, "payload_too_large")

    def test_those_of_nginx_look_the_same(self, edge: Nginx) -> None:
        is_error(edge.call("POST", "/api/login", data=b'"' + b"a" * 500_000), 413, "payload_too_large")
        is_error(edge.call("GET", "/api/" + "a" * 9000), 414, "uri_too_long")
        is_error(edge.call("GET", "/api/health", headers={"X-Long": "a" * 9000}), 431, "headers_too_large")
        is_error(edge.call("TRACE", "/api/health"), 405, "method_not_allowed")
        for sent in (b"rubbish\r\n\r\n", b"GET /api/health HTTP/1.1\r\nHost: a b\r\n\r\n"):
            status, body = raw(edge, sent)
            assert (status, body["code"]) == (400, "bad_request")
        plain_on_tls = requests.get(edge.url.replace("https", "http") + "/api/health", timeout=20)
        assert (plain_on_tls.status_code, plain_on_tls.json()["code"]) == (400, "bad_request")

    def test_a_body_is_too_long_for_what_it_is_sent_to(self, edge: Nginx) -> None:
        """Beyond what nginx would hold, and what the service itself refuses."""
        transcript = "/api/audio-file/00000000-0000-4000-8000-000000000000/transcript"
        for method, path, limit, told in (
            ("POST", "/api/login", 64 * 1024, "64 KiB"),
            ("POST", "/api/transcriptions", 256 * 1024, "256 KiB"),
            ("POST", "/api/decrypt-audio?x=1", 256 * 1024, "256 KiB"),
            ("PUT", transcript, 12 * 1024 * 1024, "12 MiB"),
        ):
            answer = edge.call(method, path, data=b"a" * (limit * 2))
            is_error(answer, 413, "payload_too_large")
            assert answer.json()["error"] == f"The request body is larger than {told}", path

    def test_what_a_call_takes_reaches_the_service_and_no_disk(
        self, edge: Nginx, account: dict[str, Any]
    ) -> None:
        nothing = "00000000-0000-4000-8000-000000000000"
        keys = json.dumps({"file_ids": [nothing], "file_keys": {nothing: "A" * 240_000}}).encode()
        sealed = json.dumps({"sealed": "A" * (10 * 1024 * 1024)}).encode()
        how = {"headers": {"Content-Type": "application/json"}}
        for method, path, body, codes in (
            ("POST", "/api/transcriptions", keys, {"invalid_request", "audio_file_not_found"}),
            ("POST", "/api/decrypt-audio", keys, {"invalid_request", "audio_file_not_found"}),
            ("PUT", f"/api/audio-file/{nothing}/transcript", sealed, {"audio_file_not_found"}),
        ):
            for sent in (body, iter([body[:100_000], body[100_000:]])):
                answer = edge.call(method, path, account["token"], data=sent, **how)
                assert answer.json()["code"] in codes, (path, answer.text)

    def test_no_server_of_nginx_answers_with_a_page_of_its_own(self, edge: Nginx) -> None:
        """Neither the one that sends plain HTTP to HTTPS, nor the one for other hosts' names."""
        plain = edge.plain_url
        is_error(edge.call("POST", f"{plain}/api/login", data=b"a" * 500_000), 413, "payload_too_large")
        is_error(edge.call("GET", f"{plain}/api/" + "a" * 9000), 414, "uri_too_long")
        is_error(edge.call("GET", f"{plain}/", headers={"X-Long": "a" * 9000}), 431, "headers_too_large")
        elsewhere = {"Host": "elsewhere.example"}
        is_error(edge.call("GET", "/api/health", headers=elsewhere), 421, "misdirected_request")
        long = {**elsewhere, "X-Long": "a" * 9000}
        is_error(edge.call("GET", "/api/health", headers=long), 431, "headers_too_large")

    def test_a_service_that_is_away_is_unavailable_and_its_tickets_stay_secret(self, tmp_path: Path) -> None:
        ticket = "Zk3-a-ticket-that-nobody-may-read-9Qw"
        with nginx_before(free_port(), tmp_path / "edge") as alone:
            for path in (
                f"/api/playback/{ticket}",
                f"//api//playback/{ticket}",
                f"/api/%70layback/{ticket}",
                f"/api/playback%2F{ticket}",
                f"/api/health?next=/api/playback/{ticket}",
                f"/{ticket}/api/health",
            ):
                answer = requests.Session()
                request = requests.Request("GET", alone.url, headers={"Referer": f"{alone.url}/{ticket}"})
                prepared = request.prepare()
                prepared.url = alone.url + path
                got = answer.send(prepared, verify=str(alone.certificate), timeout=20)
                if got.status_code != 404:
                    is_error(got, 503, "unavailable")
                    assert int(got.headers["Retry-After"]) > 0
            alone.call("GET", f"{alone.plain_url}/api/playback/{ticket}")
            raw(alone, f"GET /api/playback/{ticket} HTTP/9.9\r\nHost: a\r\n\r\n".encode())
            raw(alone, f"GET /api/playback/{ticket}\x01 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            raw(alone, f"GET /api/playback/{ticket}{'a' * 9000} HTTP/1.1\r\n\r\n".encode())
            lines = [json.loads(line) for line in alone.access_log().splitlines()]
            assert {line["status"] for line in lines} >= {503, 404, 308, 400, 414}
            assert "/api/playback" in {line["route"] for line in lines}
            assert ticket.encode() not in alone.everything_written()

    def test_who_asks_too_much_is_told_when_to_come_back_and_others_are_served(self, tmp_path: Path) -> None:
        with nginx_before(free_port(), tmp_path / "edge") as alone:
            last = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answers = received(alone, b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 900 + last)
            assert answers.count(b"HTTP/1.1 ") == 901
            refused = answers.count(b"HTTP/1.1 429 ")
            assert answers.count(b"HTTP/1.1 503 ") == 901 - refused
            assert 0 < refused <= 400, "500 at once are allowed"
            assert answers.count(b"\r\nRetry-After: 1\r\n") == refused
            assert answers.count(b'"code":"too_many_requests"') == refused
            # Another address of loopback: 503, since nothing runs behind this nginx.
            with (
                socket.create_connection(
                    ("127.0.0.1", urlsplit(alone.url).port or 0), timeout=60, source_address=("127.0.0.2", 0)
                ) as plain,
                alone.tls().wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(last)
                assert client.recv(4096).startswith(b"HTTP/1.1 503 ")

    @pytest.mark.parametrize(
        ("addresses", "counted_together"),
        [
            (["2001:db8:0:1::{0:x}", "2001:db8:0:1:ffff:{0:x}::a0a"], True),
            (["2001:db8:0:{0:x}::1", "2001:db8:1:{0:x}::1"], False),
            # As a proxy may write what it got by IPv4.
            (["192.0.2.1", "::ffff:192.0.2.1"], True),
            (["192.0.2.1", "2002:c000:201:{0:x}::1", "64:ff9b::c000:201"], True),
            (["::ffff:192.0.2.{1}", "::ffff:198.51.100.{1}", "203.0.{1}.7", "203.1.{1}.10"], False),
        ],
    )
    def test_a_network_of_ipv6_counts_as_one_address(
        self, tmp_path: Path, addresses: list[str], counted_together: bool
    ) -> None:
        def asking(number: int) -> bytes:
            address = addresses[number % len(addresses)].format(number, number // 4)
            counted.add(counted_as(address))
            lines = ("GET /api/health HTTP/1.1", "Host: localhost", f"X-Forwarded-For: {address}")
            return "\r\n".join([*lines, *["Connection: close"] * (number == 899), "", ""]).encode()

        counted: set[str] = set()
        with nginx_before(free_port(), tmp_path / "edge", "--balancer", "127.0.0.0/8") as alone:
            answers = received(alone, b"".join(map(asking, range(900))))
        assert answers.count(b"HTTP/1.1 ") == 900
        assert (answers.count(b"HTTP/1.1 429 ") > 0) == counted_together
        # So does the service.
        assert (len(counted) == 1) == counted_together


class TestPages:
    """What a web page of another origin may read of the errors that nginx answers by itself."""

    def test_it_reads_every_error(self, tmp_path: Path) -> None:
        origins = ["--cors-origin", PAGE, "--cors-origin", OTHER_PAGE]
        with nginx_before(free_port(), tmp_path / "edge", *origins) as alone:
            asked: list[tuple[str, str, dict[str, Any], int]] = [
                ("POST", "/api/login", {"data": b"a" * 200_000}, 413),
                ("GET", "/nothing", {}, 404),
                ("GET", "/api/health", {}, 503),
                ("TRACE", "/api/health", {}, 405),
                ("GET", "/api/health", {"headers": {"X-Long": "a" * 9000}}, 431),
            ]
            for page in (PAGE, OTHER_PAGE):
                for method, path, how, status in asked:
                    sent = {**how, "headers": {"Origin": page, **how.get("headers", {})}}
                    answer = alone.call(method, path, **sent)
                    assert answer.status_code == status
                    assert readable_by(answer) == page
            for page in ("https://evil.example", "https://voice.example.com.evil.example", "null"):
                answer = alone.call("GET", "/api/health", headers={"Origin": page})
                assert readable_by(answer) is None

    @pytest.mark.parametrize(
        ("origins", "named"),
        [([PAGE], PAGE), (["*"], "*"), ([PAGE, OTHER_PAGE], None), ([], None)],
        ids=["one", "any", "several", "none"],
    )
    def test_what_comes_before_a_request_is_read_names_the_one_page_there_is(
        self, tmp_path: Path, origins: list[str], named: str | None
    ) -> None:
        arguments = [word for origin in origins for word in ("--cors-origin", origin)]
        with nginx_before(free_port(), tmp_path / "edge", *arguments) as alone:
            answer = alone.call("GET", "/api/" + "a" * 9000, headers={"Origin": PAGE})
            assert answer.status_code == 414
            assert readable_by(answer) == named
            sent = b"rubbish\r\n\r\n"
            assert (b"Access-Control-Allow-Origin" in received(alone, sent)) is (named is not None)

    def test_the_settings_of_the_service_count_where_no_page_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CORS_ORIGINS", f" {PAGE}, ,{OTHER_PAGE}")
        with nginx_before(free_port(), tmp_path / "edge") as alone:
            answer = alone.call("GET", "/api/health", headers={"Origin": OTHER_PAGE})
            assert readable_by(answer) == OTHER_PAGE
        with nginx_before(free_port(), tmp_path / "other", "--cors-origin", PAGE) as alone:
            answer = alone.call("GET", "/api/health", headers={"Origin": OTHER_PAGE})
            assert readable_by(answer) is None

    def test_a_service_that_is_away_still_lets_a_page_ask_and_read_when_to_come_back(
        self, tmp_path: Path
    ) -> None:
        asking = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        with nginx_before(free_port(), tmp_path / "edge", "--cors-origin", PAGE) as alone:
            answer = alone.call("OPTIONS", "/api/user", headers=asking)
            assert (answer.status_code, readable_by(answer)) == (204, PAGE)
            assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
            refused = alone.call("PATCH", "/api/user", headers={"Origin": PAGE})
            is_error(refused, 503, "unavailable")
            assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
            # No question of a page, or of a page that may not ask, is answered so.
            assert alone.call("OPTIONS", "/api/user").status_code == 503
            strange = alone.call("OPTIONS", "/api/user", headers={**asking, "Origin": "https://evil.example"})
            assert (strange.status_code, readable_by(strange)) == (503, None)

    def test_it_reads_that_it_asked_too_often(self, tmp_path: Path) -> None:
        with nginx_before(free_port(), tmp_path / "edge", "--cors-origin", PAGE) as alone:
            one = f"GET /api/health HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n".encode()
            answers = received(alone, (one + b"\r\n") * 700 + one + b"Connection: close\r\n\r\n")
            assert b"HTTP/1.1 429 " in answers
            assert answers.count(f"\r\nAccess-Control-Allow-Origin: {PAGE}\r\n".encode()) == 701

    def test_it_reads_the_same_headers_as_of_the_service(self, edge: Nginx, tmp_path: Path) -> None:
        with nginx_before(free_port(), tmp_path / "edge", "--cors-origin", "*") as alone:
            of_nginx = alone.call("GET", "/api/health", headers={"Origin": PAGE})
        of_service = edge.call("GET", "/api/health", headers={"Origin": PAGE})
        for name in ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers"):
            assert of_nginx.headers[name] == of_service.headers[name]
        asking = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "Authorization, Content-Type, If-Range, Range, X-Request-ID",
        }
        allowed = edge.call("OPTIONS", "/api/health", headers=asking).headers
        assert listed(allowed["Access-Control-Allow-Headers"]) == listed(render.ALLOWED_HEADERS)
        assert listed(allowed["Access-Control-Allow-Methods"]) == listed(render.ALLOWED_METHODS)


class TestLog:
    def test_method_and_status_are_those_that_the_client_saw(self, tmp_path: Path) -> None:
        with nginx_before(free_port(), tmp_path / "edge", "--cors-origin", PAGE) as alone:
            alone.call("POST", "/api/login", data=b"a" * 200_000)
            alone.call("DELETE", "/api/user")
            alone.call("HEAD", "/api/health")
            alone.call("PUT", "/nothing")
            alone.call("PATCH", "/api/" + "a" * 9000)
            alone.call("POST", "/api/login", headers={"X-Long": "a" * 9000})
            alone.call("TRACE", "/api/health")
            raw(alone, b"POST /api/login HTTP/1.1\r\nHost: a b\r\n\r\n")
            raw(alone, b"DELETE /api/user HTTP/9.9\r\nHost: localhost\r\n\r\n")
            asking = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
            alone.call("OPTIONS", "/api/login", headers=asking)
            expected = [
                ("POST", 413),
                ("DELETE", 503),
                ("HEAD", 503),
                ("PUT", 404),
                ("PATCH", 414),
                ("POST", 431),
                ("other", 405),
                ("POST", 400),
                ("DELETE", 400),
                ("OPTIONS", 204),
            ]

            def logged() -> list[tuple[str, int]]:
                lines = [json.loads(line) for line in alone.access_log().splitlines()]
                return [(line["method"], line["status"]) for line in lines if line["tls"]]

            eventually(lambda: logged() == expected, logged)


def readable_by(answer: requests.Response) -> str | None:
    """The page that may read this answer; that one may read what it needs, and caches keep them apart."""
    page = answer.headers.get("Access-Control-Allow-Origin")
    exposed = listed(answer.headers.get("Access-Control-Expose-Headers", ""))
    needed = {"retry-after", "x-request-id", "etag", "content-range", "content-length", "accept-ranges"}
    assert (exposed >= needed | {"content-disposition"}) is (page is not None)
    if page not in (None, "*"):
        assert "origin" in listed(answer.headers["Vary"])
    return page


def listed(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")} - {""}


class TestPlayback:
    def test_ranges_work_and_nothing_is_compressed(self, edge: Nginx, playback_url: str) -> None:
        for asked, expected in (("bytes=0-99", PLAIN[:100]), ("bytes=-1000", PLAIN[-1000:])):
            part = edge.call("GET", playback_url, headers={"Range": asked, "Accept-Encoding": "gzip"})
            assert (part.status_code, part.content) == (206, expected)
            assert part.headers["Content-Range"].endswith(f"/{len(PLAIN)}")
            assert "Content-Encoding" not in part.headers
        beyond = edge.call("GET", playback_url, headers={"Range": f"bytes={len(PLAIN)}-"})
        is_error(beyond, 416, "range_not_satisfiable")
        head = edge.call("HEAD", playback_url)
        assert (head.headers["Content-Length"], head.content) == (str(len(PLAIN)), b"")

    def test_the_ticket_and_the_sound_are_in_no_file(
        self, edge: Nginx, behind: Service, playback_url: str
    ) -> None:
        ticket = playback_url.rpartition("/")[2]
        assert edge.call("GET", playback_url).content == PLAIN
        lines = [json.loads(line) for line in edge.access_log().splitlines()]
        assert ("/api/playback", 200) in {(line["route"], line["status"]) for line in lines}
        written = edge.everything_written() + behind.log().encode()
        assert ticket.encode() not in written
        assert PLAIN[1000:1100] not in written

    def test_a_slow_listener_leaves_no_file(self, edge: Nginx, playback_url: str) -> None:
        address = urlsplit(playback_url)
        with socket.socket() as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(20)
            plain.connect(("127.0.0.1", address.port or 0))
            with edge.tls().wrap_socket(plain, server_hostname="localhost") as client:
                client.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
                assert client.recv(100).startswith(b"HTTP/1.1 200 ")
                # A temporary file would have lost its name already, so it is looked for among what is held,
                # for as long as nginx would need to fill one.
                for _ in range(10):
                    assert self.files_held(edge) <= {"access.log", "error.log", "start.log", "null"}
                    time.sleep(0.1)
        assert [file for file in (edge.folder / "state").rglob("*") if file.is_file()] == []

    def files_held(self, edge: Nginx) -> set[str]:
        workers = children(edge.pid)
        assert workers
        held = {Path(name) for pid in workers for name in opened(pid).values()}
        return {path.name for path in held if path.is_absolute() and path.name != "zero"}


class TestHeaders:
    def test_an_id_of_the_client_goes_all_the_way(self, edge: Nginx, behind: Service) -> None:
        sent = {"X-Request-ID": "from-the-phone-1"}
        assert edge.call("GET", "/api/health", headers=sent).headers["X-Request-ID"] == "from-the-phone-1"
        made = edge.call("GET", "/api/health", headers={"X-Request-ID": "?"}).headers["X-Request-ID"]
        # Both write their lines when the answer has been sent, which may be after it has arrived here.
        lines = {f'"request_id":"{id_}"': edge.access_log for id_ in ("from-the-phone-1", made)}
        lines |= {f'"request_id": "{id_}"': behind.log for id_ in ("from-the-phone-1", made)}
        eventually(
            lambda: all(line in log() for line, log in lines.items()),
            lambda: (edge.access_log(), behind.log()),
        )

    def test_only_json_is_compressed(self, edge: Nginx) -> None:
        wanted = {"Accept-Encoding": "gzip"}
        described = edge.call("GET", "/api/openapi.json", headers=wanted)
        assert described.headers["Content-Encoding"] == "gzip"
        assert described.headers["Vary"] == "Accept-Encoding"
        page = edge.call("GET", "/api/docs", headers=wanted)
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Content-Encoding" not in page.headers

    def test_nobody_may_say_whose_address_is_his(self, edge: Nginx, account: dict[str, Any]) -> None:
        lies = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
        body = {"email": account["user"]["email"], "password": PASSWORD}
        token = edge.call("POST", "/api/login", json=body, headers=lies).json()["token"]
        events = edge.call("GET", "/api/user/events", token).json()["events"]
        assert {event["address"] for event in events} == {"127.0.0.1"}
        assert "203.0.113.9" not in edge.access_log()

    def test_a_load_balancer_may(self, behind: Service, account: dict[str, Any], tmp_path: Path) -> None:
        port = int(behind.environment["PORT"])
        with nginx_before(port, tmp_path / "edge", "--balancer", "127.0.0.0/8") as balanced:
            body = {"email": account["user"]["email"], "password": PASSWORD}
            said = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
            token = balanced.call("POST", "/api/login", json=body, headers=said).json()["token"]
            events = balanced.call("GET", "/api/user/events", token).json()["events"]
            assert events[0]["address"] == "203.0.113.9"


class TestRendering:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "--server-name"),
            (["--server-name", "a;b"], "is not a host name"),
            (["--server-name", "a.b", "--upstream-port", "0"], "is not a port"),
            (["--server-name", "a.b", "--logs", "/a b"], "is not an absolute path"),
            (["--server-name", "a.b", "--balancer", "ten"], "is not a network"),
            (["--server-name", "a.b", "--cors-origin", "voice.example.com"], "is not an origin"),
            (["--server-name", "a.b", "--cors-origin", 'https://a"; return 200;'], "is not an origin"),
        ],
    )
    def test_what_is_wrong_is_said(self, arguments: list[str], sentence: str) -> None:
        command = ["python3", str(ROOT / "deploy" / "machine" / "nginx" / "render.py"), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert sentence in ran.stderr

    def test_ipv6_is_listened_on_when_asked_for(self, tmp_path: Path) -> None:
        configuration = rendered(tmp_path / "edge", 5000, 443, 80, "--ipv6").read_text()
        assert configuration.count("listen [::]:443 ssl") == 2
        assert "listen [::]:80 default_server;" in configuration

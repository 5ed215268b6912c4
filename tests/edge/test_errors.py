"""Every error in one shape, every token that is not right refused, and no request that makes a 5xx."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import http.client
import itertools
import json
import random
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from panzoto.crypto.derivation import direct_keys
from tests.support.service import PASSWORD, Service, run_service
from tests.support.waiting import eventually

LIMIT = 64 * 1024
# Where the keys of many recordings may come.
LONGER = {"/api/decrypt-audio": 256 * 1024}
JSON_TYPE = "application/json"
CALLS: dict[str, dict[str, Any]] = {
    "/api/register": {"email": "somebody@example.com", "password": PASSWORD},
    "/api/login": {"email": "somebody@example.com", "password": PASSWORD},
    "/api/audio-file": {"s3_key": "users/somebody/audio-1.3gp", "file_size": 5},
    "/api/decrypt-audio": {"password": PASSWORD, "file_id": "somebody's"},
}
GUARDED = ("/api/audio-file", "/api/decrypt-audio")
CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
INTERNAL = re.compile(r"traceback|panzoto\.|werkzeug|flask|boto|pynamodb|\.py\b|<html|<!doc", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """One response as it came over the socket."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A keep-alive connection on which any bytes can be sent; it reconnects when the service hangs up."""

    def __init__(self, service: Service) -> None:
        self._address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def exchange(self, message: bytes, method: str = "POST", end: bool = False) -> Reply:
        """Send `message`, then our end of the connection if `end`, and read one response."""
        kept = self._socket is not None
        try:
            return self._exchange(message, method, end)
        except (http.client.BadStatusLine, ConnectionError):
            # The service may have closed a kept connection at the moment at which we wrote to it.
            if not kept:
                raise
        return self._exchange(message, method, end)

    def post(self, path: str, body: bytes, headers: dict[str, str], chunked: bool = False) -> Reply:
        return self.exchange(post(path, body, headers, chunked))

    def _exchange(self, message: bytes, method: str, end: bool) -> Reply:
        connection = self._socket = self._socket or socket.create_connection(self._address, timeout=30)
        response = http.client.HTTPResponse(connection, method=method)
        try:
            # Who is refused early may be cut off while sending, and then finds the answer already there.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(message)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            response.begin()
            reply = Reply(response.status, response.headers, response.read())
        except BaseException:
            self._hang_up()
            raise
        finally:
            response.close()
        if end or response.will_close:
            self._hang_up()
        return reply

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def post(path: str, body: bytes, headers: dict[str, str], chunked: bool = False) -> bytes:
    """Spell a POST; chunked in uneven pieces, or with a Content-Length."""
    fields = {"Host": "127.0.0.1", **headers}
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
        sizes = [body[at : at + 9999] for at in range(0, len(body), 9999)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in sizes) + b"0\r\n\r\n"
    else:
        fields["Content-Length"] = str(len(body))
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


LIMITS = dict.fromkeys(("LIMIT_REGISTER", "LIMIT_LOGIN", "LIMIT_DECRYPT"), "1000000 per minute")


@pytest.fixture(scope="module")
def account(service: Service) -> dict[str, Any]:
    """One account for all: what is asked of it here leaves nothing behind that matters."""
    return service.register(f"{uuid.uuid4().hex}@example.com")


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with Wire(service) as connection:
        yield connection


def check_shape(reply: Reply | requests.Response, *, from_the_application: bool = True) -> dict[str, Any]:
    """Check that an error looks as every error must, and return its JSON."""
    status = reply.status if isinstance(reply, Reply) else reply.status_code
    content = reply.body if isinstance(reply, Reply) else reply.content
    assert status >= 400
    assert reply.headers["Content-Type"] == JSON_TYPE
    answer: dict[str, Any] = json.loads(content)
    assert set(answer) - {"fields"} == {"error", "code", "request_id"}
    assert isinstance(answer["error"], str)
    assert answer["error"].strip()
    assert CODE.fullmatch(answer["code"])
    assert REQUEST_ID.fullmatch(answer["request_id"])
    assert not INTERNAL.search(content.decode("utf-8"))
    if "fields" in answer:
        assert status == 400
        assert answer["fields"]
        assert all(isinstance(text, str) and text for text in answer["fields"].values())
    if from_the_application:
        assert reply.headers["X-Request-ID"] == answer["request_id"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cache-Control"] == "no-store"
    if status == 401:
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    if status in (429, 503):
        assert int(reply.headers["Retry-After"]) > 0
    return answer


class TestShape:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/", 404, "not_found"),
            ("GET", "/api", 404, "not_found"),
            ("GET", "/api/nothing", 404, "not_found"),
            ("POST", "/api/nothing", 404, "not_found"),
            ("GET", "/API/HEALTH", 404, "not_found"),
            ("GET", "/favicon.ico", 404, "not_found"),
            ("GET", "/.env", 404, "not_found"),
            ("GET", "/metrics", 404, "not_found"),
            ("GET", "/api/docs/files/nothing.js", 404, "not_found"),
            ("GET", "/api/docs/files/..%2f__init__.py", 404, "not_found"),
            ("GET", "/api/docs/files/%2fetc%2fpasswd", 404, "not_found"),
            ("GET", "/api/playback/nothing", 404, "playback_not_found"),
            ("GET", "/api/playback/%ff", 404, "playback_not_found"),
            ("GET", "/api/playback/" + "a" * 7000, 404, "playback_not_found"),
            ("GET", "/api/register", 405, "method_not_allowed"),
            ("GET", "/api/login", 405, "method_not_allowed"),
            ("GET", "/api/audio-file", 405, "method_not_allowed"),
            ("DELETE", "/api/health", 405, "method_not_allowed"),
            ("POST", "/api/user/audio-files", 405, "method_not_allowed"),
            ("PROPFIND", "/api/login", 405, "method_not_allowed"),
            ("TRACE", "/api/login", 405, "method_not_allowed"),
            ("POST", "/api/playback/nothing", 405, "method_not_allowed"),
            ("GET", "/api/user/audio-files", 401, "token_missing"),
            ("POST", "/api/audio-file", 401, "token_missing"),
            ("POST", "/api/decrypt-audio", 401, "token_missing"),
            ("POST", "/api/login", 400, "invalid_request"),
        ],
    )
    def test_every_refusal_is_json_of_one_shape(
        self, service: Service, method: str, path: str, status: int, code: str
    ) -> None:
        answer = service.call(method, path)
        assert answer.status_code == status
        assert check_shape(answer)["code"] == code
        if status == 405:
            assert answer.headers["Allow"]

    def test_a_method_that_is_not_allowed_is_told_what_is(self, service: Service) -> None:
        allowed = service.call("GET", "/api/login").headers["Allow"]
        assert {method.strip() for method in allowed.split(",")} == {"POST", "OPTIONS"}

    def test_an_expired_playback_address_and_a_foreign_one(self, rotated: Service, service: Service) -> None:
        account = rotated.register(f"{uuid.uuid4().hex}@example.com")
        url = recorded_and_opened(rotated, account)
        assert check_shape(requests.get(url.replace(rotated.url, service.url), timeout=30))["code"] == (
            "playback_not_found"
        )
        eventually(lambda: requests.get(url, timeout=30).status_code == 410, "the address goes on playing")
        assert check_shape(requests.get(url, timeout=30))["code"] == "playback_expired"

    def test_a_request_id_of_the_clients_own_is_used_when_it_is_one(self, service: Service) -> None:
        given = service.call("GET", "/api/nothing", headers={"X-Request-ID": "phone-1234.5_6"})
        assert check_shape(given)["request_id"] == "phone-1234.5_6"
        for bad in ("short", "a" * 65, "spaced out id", '{"a": "b"}', "<script>alert(1)</script>"):
            refused = service.call("GET", "/api/nothing", headers={"X-Request-ID": bad})
            assert check_shape(refused)["request_id"] != bad

    def test_head_has_no_body(self, service: Service) -> None:
        for path, status in (("/api/nothing", 404), ("/api/login", 405), ("/api/user/audio-files", 401)):
            answer = service.call("HEAD", path)
            assert (answer.status_code, answer.content) == (status, b"")
            assert answer.headers["Content-Type"] == JSON_TYPE

    @pytest.mark.parametrize("accept", ["text/html", "text/html,*/*;q=0.1", "image/png", "x"])
    def test_no_accept_header_asks_html_out_of_it(self, service: Service, accept: str) -> None:
        for path in ("/", "/api/login", "/api/user/audio-files"):
            check_shape(service.call("GET", path, headers={"Accept": accept}))


ODD_TARGETS = (
    b"//api",
    b"//api/health",
    b"/api//health",
    b"/api/health//",
    b"///",
    b"/api/%2e%2e/api/health",
    b"/api/../api/health",
    b"/./api/health",
    b"/api/%00",
    b"/%00",
    b"/%ff",
    b"/%c3%28",
    b"/%ed%a0%80",
    b"/%f0%28%8c%28",
    b"/%e2%80%ae",
    b"/api/%2fhealth",
    b"/api/health%00",
    b"/api/health%0d%0aSet-Cookie:%20a=b",
    b"/api/%",
    b"/api/%zz",
    b"/api/%u0041",
    b"/api/docs/files/../x",
    b"/api/docs/files/..%5c..%5cx",
    b"/api/docs/files/%00",
    b"/api/docs/files/%ff",
    b"/api/docs/files/" + b"a/" * 3000,
    b"/api/docs/files/" + b"a" * 5000,
    b"/api/playback/",
    b"/api/playback/a/b",
    b"/api/playback/%00",
    b"/api/playback/%e2%82%ac",
    b"/" + b"a" * 8000,
    b"/" + b"%ff" * 2600,
    b"/;/api",
    b"/api;x=1/health",
    b"/\\..\\",
    b"/{}",
    b"/<script>",
    b"/'or'1'='1",
    b"/api/health?" + b"a" * 8000,
    b"/api/health?%ff=%00&&&=;",
    b"/api/user/audio-files?limit=%ff",
    b"/api/health#fragment",
    b"http://elsewhere.example/api/health",
    b"http://elsewhere.example:99999/api/nothing",
    b"http://user:secret@elsewhere.example/api/nothing",
    b"http:///api/nothing",
    b"https://elsewhere.example",
)
# What gunicorn refuses before the application sees it.
BEYOND_LIMITS = (
    b"/" + b"a" * 9000,
    b"/api/health?" + b"a" * 100_000,
    b"http://[bad/api/health",
    b"*",
    b"api/health",
    b"/\xff",
    b"/\x00",
    b"/\x7f",
)


class TestAddresses:
    @pytest.mark.parametrize("target", ODD_TARGETS, ids=lambda target: ascii(target)[2:40])
    def test_odd_ones_are_found_or_refused_in_shape(self, wire: Wire, target: bytes) -> None:
        for method in ("GET", "POST", "HEAD"):
            message = method.encode() + b" " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            reply = wire.exchange(message, method)
            assert reply.status < 500
            assert not 300 <= reply.status < 400
            if reply.status >= 400 and method != "HEAD":
                check_shape(reply)
            else:
                assert reply.headers["Content-Type"] == JSON_TYPE

    @pytest.mark.parametrize("target", BEYOND_LIMITS, ids=lambda target: ascii(target)[2:40])
    def test_what_is_no_address_at_all_is_refused_without_html(self, wire: Wire, target: bytes) -> None:
        reply = wire.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n", "GET")
        assert reply.status in (400, 404, 414)
        check_shape(reply, from_the_application=False)


HOSTS = (
    b"",
    b"Host:\r\n",
    b"Host: a\r\nHost: b\r\n",
    b"Host: \xff\xfe\r\n",
    b"Host: a b\r\n",
    b"Host: [::1\r\n",
    b"Host: [::1]:5000\r\n",
    b"Host: [" + b":" * 100 + b"]\r\n",
    b"Host: x:99999999\r\n",
    b"Host: x:-1\r\n",
    b"Host: x:abc\r\n",
    b"Host: ../..\r\n",
    b"Host: <script>\r\n",
    b"Host: a,b\r\n",
    b"Host: user@x\r\n",
    b"Host: x/y?z#\r\n",
    b"Host: %00\r\n",
    b"Host: xn--\r\n",
    b"Host: " + b"a" * 300 + b"\r\n",
    b"Host: " + b"a." * 4000 + b"\r\n",
)
ODD_HEADERS = (
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: abc\r\n",
    b"Content-Length: 0x10\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Expect: nonsense\r\n",
    b"a header without a colon\r\n",
    b": a value without a name\r\n",
    b"A : a space before the colon\r\n",
    b" folded: line\r\n",
    b"A: " + b"a" * 9000 + b"\r\n",
    b"A: b\r\n" * 200,
    b"A: \x00\r\n",
    b"X-Request-ID: \xff\xfe\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\n",
    b"Content-Type: \xff\r\n",
    b"Content-Type: " + b"application/json; a=b" * 200 + b"\r\n",
    b"Cookie: a=b; \xff; =; a\r\n",
    b"Range: bytes=0-0\r\nIf-Range: \xff\r\n",
    b"If-None-Match: *\r\nIf-Modified-Since: nonsense\r\n",
    b"Accept: \xff\r\nAccept-Encoding: \xff\r\nAccept-Language: \xff\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Origin: \xff\r\nAccess-Control-Request-Method: \xff\r\n",
    b"Origin: null\r\n",
    b"X-Forwarded-For: \xff\r\nX-Forwarded-Host: elsewhere\r\nX-Forwarded-Proto: gopher\r\n",
    b"Forwarded: for=\xff\r\n",
)


class TestHeaders:
    @pytest.mark.parametrize("fields", HOSTS, ids=lambda fields: ascii(fields)[2:40])
    def test_hosts(self, wire: Wire, fields: bytes) -> None:
        for target in (b"/api/health", b"/api/nothing", b"/api/user/audio-files"):
            reply = wire.exchange(b"GET " + target + b" HTTP/1.1\r\n" + fields + b"\r\n", "GET")
            self._check(reply)

    @pytest.mark.parametrize("fields", ODD_HEADERS, ids=lambda fields: ascii(fields)[2:40])
    def test_other_headers(self, wire: Wire, fields: bytes) -> None:
        for start in (b"GET /api/health", b"POST /api/login", b"OPTIONS /api/login"):
            message = start + b" HTTP/1.1\r\nHost: x\r\n" + fields + b"Connection: close\r\n\r\n"
            self._check(wire.exchange(message, end=True))

    @pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.0", b"HTTP/2.0", b"HTTX/1.1", b""])
    def test_versions(self, wire: Wire, version: bytes) -> None:
        message = b"GET /api/health " + version + b"\r\nHost: x\r\nConnection: close\r\n\r\n"
        self._check(wire.exchange(message, "GET"))

    def test_a_download_url_for_an_odd_host(
        self, service: Service, wire: Wire, account: dict[str, Any]
    ) -> None:
        """The address in the answer is made of the Host that came, whatever that was."""
        s3_key = recorded(service, account)
        body = json.dumps({"password": PASSWORD, "s3_key": s3_key}).encode()
        for host in HOSTS:
            message = (
                b"POST /api/decrypt-audio HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\n"
                b"Authorization: Bearer " + account["token"].encode() + b"\r\n"
                b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
            )
            reply = wire.exchange(message)
            self._check(reply)
            if reply.status == 200:
                url = reply.json()["download_url"]
                assert re.match(r"http://[A-Za-z0-9.:\[\]-]+/api/playback/", url), host

    @staticmethod
    def _check(reply: Reply) -> None:
        assert reply.status < 500, reply.body
        if reply.status >= 400:
            check_shape(reply, from_the_application=reply.headers["X-Request-ID"] is not None)


LOGIN = f"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON_TYPE}\r\n"


class TestBodyFraming:
    @pytest.mark.parametrize("path", CALLS)
    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize("beyond", [1, 2, 4_464, 1_934_464])
    def test_more_than_is_taken_is_413(
        self, wire: Wire, account: dict[str, Any], path: str, chunked: bool, beyond: int
    ) -> None:
        """Padded behind its end, so that a reader who stops early would find good JSON."""
        body = json.dumps(CALLS[path]).encode().ljust(LONGER.get(path, LIMIT) + beyond)
        reply = wire.post(path, body, authorized(account), chunked)
        assert (reply.status, check_shape(reply)["code"]) == (413, "payload_too_large")

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_exactly_64_kib_are_read(self, wire: Wire, account: dict[str, Any], chunked: bool) -> None:
        s3_key = f"users/{uuid.uuid4().hex}/audio"
        start = f'{{"s3_key": "{s3_key}", "filler": "'
        body = (start + "x" * (LIMIT - len(start) - 2) + '"}').encode()
        assert len(body) == LIMIT
        reply = wire.post("/api/audio-file", body, authorized(account), chunked)
        assert reply.status == 201
        assert reply.json()["audio_file"]["s3_key"] == s3_key

    def test_an_announced_length_alone_is_413(self, wire: Wire) -> None:
        for length in (str(LIMIT + 1), "9" * 18, "1" + "0" * 20):
            reply = wire.exchange(
                f"{LOGIN}Connection: close\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
            )
            assert (reply.status, check_shape(reply)["code"]) == (413, "payload_too_large")

    @pytest.mark.parametrize(
        "body",
        [
            b"zz\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"\r\n{}\r\n0\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"2 \r\n{}\r\n0\r\n\r\n",
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}0\r\n\r\n",
            b"5\r\n{}",
            b"2\r\n{}\r\n",
            b"ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
            b"2;" + b"x" * 20_000 + b"\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}\r\n0\r\n: broken trailer\r\n\r\n",
            b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
            b"",
        ],
        ids=lambda body: ascii(body)[2:40],
    )
    def test_broken_chunks_are_4xx(self, wire: Wire, account: dict[str, Any], body: bytes) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in authorized(account).items())
        for path in CALLS:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
            reply = wire.exchange(head.encode() + body, end=True)
            assert 400 <= reply.status < 500, (path, reply.body)
            check_shape(reply, from_the_application=reply.headers["X-Request-ID"] is not None)

    @pytest.mark.parametrize("body", [b"", b"{", b'{"email": "a@example.com", '])
    def test_a_body_shorter_than_announced_is_4xx(self, wire: Wire, body: bytes) -> None:
        reply = wire.exchange(f"{LOGIN}Content-Length: 100\r\n\r\n".encode() + body, end=True)
        assert 400 <= reply.status < 500
        check_shape(reply, from_the_application=reply.headers["X-Request-ID"] is not None)

    def test_a_body_longer_than_announced_is_another_request_and_none(self, wire: Wire) -> None:
        message = f'{LOGIN}Content-Length: 2\r\n\r\n{{}}, "more": 1}}\r\n\r\n'
        reply = wire.exchange(message.encode(), end=True)
        assert (reply.status, check_shape(reply)["code"]) == (400, "invalid_request")


class TestContentTypes:
    @pytest.mark.parametrize("path", CALLS)
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/xml",
            "application/json, text/plain",
            "json",
            ";",
            "*/*",
        ],
    )
    def test_a_body_that_is_not_called_json_is_415(
        self, wire: Wire, account: dict[str, Any], path: str, content_type: str | None
    ) -> None:
        headers = authorized(account)
        del headers["Content-Type"]
        if content_type is not None:
            headers["Content-Type"] = content_type
        reply = wire.post(path, json.dumps(CALLS[path]).encode(), headers)
        assert (reply.status, check_shape(reply)["code"]) == (415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "content_type",
        ["application/json; charset=utf-8", "APPLICATION/JSON", 'application/json;charset="UTF-8"'],
    )
    def test_json_in_other_spellings_is_json(
        self, wire: Wire, account: dict[str, Any], content_type: str
    ) -> None:
        body = json.dumps({"s3_key": f"users/{uuid.uuid4().hex}/audio"}).encode()
        reply = wire.post("/api/audio-file", body, authorized(account) | {"Content-Type": content_type})
        assert reply.status == 201

    def test_a_compressed_body_is_415(self, wire: Wire) -> None:
        body = gzip.compress(json.dumps(CALLS["/api/login"]).encode())
        for coding in ("gzip", "br", "x"):
            headers = {"Content-Type": JSON_TYPE, "Content-Encoding": coding}
            reply = wire.post("/api/login", body, headers)
            assert (reply.status, check_shape(reply)["code"]) == (415, "unsupported_media_type")


def authorized(account: dict[str, Any]) -> dict[str, str]:
    return {"Content-Type": JSON_TYPE, "Authorization": f"Bearer {account['token']}"}


class Malformer:
    """Makes bodies that no call can accept, the same ones at each run."""

    NOT_TEXTS = ("5", "-1", "1e999", "1.5", "true", "[]", '["a"]', "{}", '{"a": {"b": []}}', "9" * 4000)
    SURROGATES = ('"\\ud800"', '"a\\udfffb"', '"\\udc00\\ud800"', '"' + "\\ud83d" * 50 + '"')
    BAD_UTF8 = (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80", b"\xfe")
    NOT_JSON = ("NaN", "Infinity", "-Infinity", "nul", "'a'", "01", "+1", "1.", ".5", "0x1", "\\u0041", "")
    TOP_LEVELS = ("[]", "[{}]", '"text"', "5", "true", "null", "1e999", '""', "{}{}", "[[[[]]]]", "9" * 5000)

    def __init__(self, valid: dict[str, Any], needed: str, seed: int) -> None:
        self._valid = valid
        self._needed = needed
        self._random = random.Random(seed)
        self._kinds: tuple[Callable[[], bytes], ...] = (
            self._truncated,
            self._wrong_type,
            self._surrogate,
            self._bad_utf8,
            self._raw_control,
            self._not_json,
            self._top_level,
            self._nested,
            self._nested_inside,
            self._encoded,
            self._repeated_name,
            self._trailing,
            self._noise,
            self._huge_number,
        )

    def bodies(self, count: int) -> Iterator[bytes]:
        for i in range(count):
            yield self._kinds[i % len(self._kinds)]()

    def _spelled(self, **replaced: str) -> str:
        """The valid object in JSON with some members' values replaced by other text."""
        members = {name: json.dumps(value) for name, value in self._valid.items()} | replaced
        names = self._random.sample(list(members), len(members))
        return "{" + ", ".join(f"{json.dumps(name)}: {members[name]}" for name in names) + "}"

    def _truncated(self) -> bytes:
        text = self._spelled()
        return text[: self._random.randrange(1, len(text))].encode()

    def _wrong_type(self) -> bytes:
        return self._spelled(**{self._needed: self._random.choice(self.NOT_TEXTS)}).encode()

    def _surrogate(self) -> bytes:
        return self._spelled(**{self._needed: self._random.choice(self.SURROGATES)}).encode()

    def _bad_utf8(self) -> bytes:
        text = self._spelled(more='"filler"').encode()
        at = self._random.randrange(len(text) + 1)
        return text[:at] + self._random.choice(self.BAD_UTF8) + text[at:]

    def _raw_control(self) -> bytes:
        character = chr(self._random.randrange(32))
        return self._spelled(**{self._needed: f'"one{character}two"'}).encode()

    def _not_json(self) -> bytes:
        return self._spelled(more=self._random.choice(self.NOT_JSON)).encode()

    def _top_level(self) -> bytes:
        return self._random.choice(self.TOP_LEVELS).encode()

    def _nested(self) -> bytes:
        depth = self._random.choice((900, 1_100, 10_000, 32_000))
        opening, closing = self._random.choice((("[", "]"), ('{"":', "}")))
        depth = min(depth, LIMIT // len(opening + closing))
        inside = "" if opening == "[" else "1"
        return (opening * depth + inside + closing * depth * self._random.randrange(2)).encode()[:LIMIT]

    def _nested_inside(self) -> bytes:
        depth = self._random.choice((500, 1_100, 30_000))
        return self._spelled(**{self._needed: "[" * depth + "]" * depth}).encode()

    def _encoded(self) -> bytes:
        encoding = self._random.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7"))
        encoded = self._spelled().encode(encoding)
        return encoded if encoding != "utf-7" else encoded.replace(b'"', b"+ACI-")

    def _repeated_name(self) -> bytes:
        """The last of several members with one name counts, and here it is none."""
        return (self._spelled()[:-1] + f", {json.dumps(self._needed)}: null}}").encode()

    def _trailing(self) -> bytes:
        return self._spelled().encode() + self._random.choice((b"x", b"{}", b",", b"\0", b"\xff", b"]", b"}"))

    def _noise(self) -> bytes:
        return b"\x01" + self._random.randbytes(self._random.choice((1, 10, 1000, 60_000)))

    def _huge_number(self) -> bytes:
        zeros = self._random.choice((400, 4299, 4301, 50_000))
        return self._spelled(**{self._needed: "1" + "0" * zeros}).encode()


NEEDED = {
    "/api/register": "email",
    "/api/login": "password",
    "/api/audio-file": "s3_key",
    "/api/decrypt-audio": "password",
}


class TestMalformedBodies:
    @pytest.mark.parametrize("path", CALLS)
    def test_hundreds_of_them_are_each_a_4xx_in_shape(
        self, service: Service, wire: Wire, account: dict[str, Any], path: str
    ) -> None:
        malformer = Malformer(CALLS[path], NEEDED[path], seed=20_260_401)
        headers = authorized(account)
        logged = len(service.log())
        for number, body in enumerate(malformer.bodies(700)):
            reply = wire.post(path, body, headers, chunked=number % 3 == 0)
            assert 400 <= reply.status < 500, (number, body[:200], reply.body)
            check_shape(reply)
        assert "unexpected_error" not in service.log()[logged:]

    def test_bodies_10_to_the_5_deep_are_too_large(self, wire: Wire, account: dict[str, Any]) -> None:
        for path in CALLS:
            reply = wire.post(path, b"[" * (LONGER.get(path, LIMIT) + 34_464), authorized(account))
            assert (reply.status, check_shape(reply)["code"]) == (413, "payload_too_large")

    def test_bodies_10_to_the_5_deep_that_are_not_are_no_json(
        self, wire: Wire, account: dict[str, Any]
    ) -> None:
        for path in LONGER:
            reply = wire.post(path, b"[" * 100_000, authorized(account))
            assert (reply.status, check_shape(reply)["code"]) == (400, "invalid_json")

    def test_every_other_call_of_the_service(self, service: Service, wire: Wire) -> None:
        """All that the OpenAPI document lists, which grows with the service."""
        account = service.register(f"{uuid.uuid4().hex}@example.com")
        paths = service.call("GET", "/api/openapi.json").json()["paths"]
        assert set(CALLS) <= set(paths)
        for path, operations in paths.items():
            target = re.sub(r"\{[^}]*\}", "someone", path)
            for method in sorted(set(operations) & {"get", "post", "put", "patch", "delete"}):
                malformer = Malformer({"password": PASSWORD, "file_id": "x"}, "password", seed=7)
                for body in itertools.islice(malformer.bodies(14), 0, None, 2):
                    message = post(target, body, authorized(account)).removeprefix(b"POST")
                    reply = wire.exchange(method.upper().encode() + message, method.upper())
                    assert reply.status < 500, (method, path, body[:200])
                    if reply.status >= 400:
                        check_shape(reply)


def encoded(part: Any) -> str:
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(head: Any, claims: Any, secret: str | bytes, digest: str = "sha256") -> str:
    """A token of any head and claims, JSON or bytes, under a good signature."""
    message = f"{encoded(head)}.{encoded(claims)}"
    key = secret if isinstance(secret, bytes) else secret.encode()
    return f"{message}.{encoded(hmac.new(key, message.encode(), digest).digest())}"


HS256 = {"alg": "HS256", "typ": "JWT"}


def claims_of(user_id: str, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"user_id": user_id, "iat": now, "exp": now + 600, **more}


def forgeries(secret: str, user_id: str) -> dict[str, str]:
    """Tokens that must be refused, each wrong in one way only."""
    good = claims_of(user_id)
    now = good["iat"]
    token = signed(HS256, good, secret)
    head, payload, signature = token.split(".")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    without = {name: {key: value for key, value in good.items() if key != name} for name in good}
    twice = json.dumps(good)[:-1] + f', "user_id": "{user_id}"}}'
    nested = b'{"user_id":' + b"[" * 1400 + b"]" * 1400 + b"}"
    return {
        "garbage": "garbage",
        "dots": "..",
        "one part": head,
        "two parts": f"{head}.{payload}",
        "four parts": f"{token}.{signature}",
        "five parts": f"{head}.{payload}.{signature}.{head}.{payload}",
        "no signature": f"{head}.{payload}.",
        "another signature": f"{head}.{payload}.{encoded(bytes(32))}",
        "signature cut": token[:-4],
        "payload changed": f"{head}.{encoded(good | {'user_id': str(uuid.uuid4())})}.{signature}",
        "another secret": signed(HS256, good, "x" * 40),
        "empty secret": signed(HS256, good, ""),
        "expired": signed(HS256, good | {"iat": now - 700, "exp": now - 60}, secret),
        "expired just now": signed(HS256, good | {"exp": now - 1}, secret),
        "not yet valid": signed(HS256, good | {"nbf": now + 600}, secret),
        "alg none": f"{encoded({'alg': 'none'})}.{payload}.",
        "alg None": f"{encoded({'alg': 'None'})}.{payload}.",
        "alg none, signed": signed({"alg": "none"}, good, secret),
        "alg missing": signed({"typ": "JWT"}, good, secret),
        "alg null": signed({"alg": None}, good, secret),
        "alg number": signed({"alg": 256}, good, secret),
        "alg list": signed({"alg": ["HS256"]}, good, secret),
        "alg lower case": signed({"alg": "hs256"}, good, secret),
        "HS384": signed({"alg": "HS384"}, good, secret, "sha384"),
        "HS512": signed({"alg": "HS512"}, good, secret, "sha512"),
        "RS256 of another": jwt.encode(good, key, "RS256"),
        "RS256 that is HS256 of its public key": signed({"alg": "HS256"}, good, public),
        "RS256 in name only": signed({"alg": "RS256"}, good, secret),
        "kid unknown": signed(HS256 | {"kid": "unknown"}, good, secret),
        "kid empty": signed(HS256 | {"kid": ""}, good, secret),
        "kid null": signed(HS256 | {"kid": None}, good, secret),
        "kid number": signed(HS256 | {"kid": 0}, good, secret),
        "kid list": signed(HS256 | {"kid": ["a"]}, good, secret),
        "kid path": signed(HS256 | {"kid": "../../../../dev/null"}, good, ""),
        "kid query": signed(HS256 | {"kid": "' OR 1=1 --"}, good, secret),
        "jwk inside": signed(
            HS256 | {"jwk": {"kty": "oct", "k": encoded(b"x" * 40)}, "kid": "mine"}, good, "x" * 40
        ),
        "crit": signed(HS256 | {"crit": ["exp"]}, good, secret),
        "crit empty": signed(HS256 | {"crit": []}, good, secret),
        "b64 false": signed(HS256 | {"b64": False}, good, secret),
        "duplicate claim": signed(HS256, twice.encode(), secret),
        "duplicate head": signed(b'{"alg": "none", "alg": "HS256"}', good, secret),
        "typ refresh": signed(HS256, good | {"typ": "refresh"}, secret),
        "typ null": signed(HS256, good | {"typ": None}, secret),
        "typ list": signed(HS256, good | {"typ": ["access"]}, secret),
        "no user_id": signed(HS256, without["user_id"], secret),
        "no exp": signed(HS256, without["exp"], secret),
        "no iat": signed(HS256, without["iat"], secret),
        "user_id empty": signed(HS256, good | {"user_id": ""}, secret),
        "user_id null": signed(HS256, good | {"user_id": None}, secret),
        "user_id number": signed(HS256, good | {"user_id": 5}, secret),
        "user_id list": signed(HS256, good | {"user_id": [user_id]}, secret),
        "user_id object": signed(HS256, good | {"user_id": {"S": user_id}}, secret),
        "user_id long": signed(HS256, good | {"user_id": "u" * 2500}, secret),
        "exp text": signed(HS256, good | {"exp": str(now + 600)}, secret),
        "exp null": signed(HS256, good | {"exp": None}, secret),
        "exp list": signed(HS256, good | {"exp": [now + 600]}, secret),
        "exp not a number": signed(HS256, json.dumps(good | {"exp": float("nan")}).encode(), secret),
        "iat text": signed(HS256, good | {"iat": "today"}, secret),
        "iat true": signed(HS256, good | {"iat": True}, secret),
        "iat ahead": signed(HS256, good | {"iat": now + 3600, "exp": now + 7200}, secret),
        "head no object": signed([], good, secret),
        "head no JSON": signed(b"\xff\xfe", good, secret),
        "payload no object": signed(HS256, [good], secret),
        "payload no JSON": signed(HS256, b"\xff\xfe", secret),
        "payload empty": signed(HS256, b"", secret),
        "payload nested": signed(HS256, nested, secret),
        "head nested": signed(b"[" * 2500, good, secret),
        "padded": f"{head}==.{payload}.{signature}!",
        "a space inside": f"{head}. {payload}.{signature}",
        "long": f"{head}.{encoded(good | {'more': 'm' * 4000})}.{signature}",
        "very long": "a" * 7000,
        "not ASCII": f"{head}.{payload}é.{signature}",
        "password": PASSWORD,
    }


FORGERIES = tuple(forgeries("s" * 40, "nobody"))


@pytest.fixture(scope="module")
def forged(service: Service) -> dict[str, str]:
    account = service.register(f"{uuid.uuid4().hex}@example.com")
    return forgeries(service.secret_key(), account["user_id"])


LISTING = b"GET /api/user/audio-files HTTP/1.1\r\nHost: x\r\n"


class TestTokens:
    @pytest.mark.parametrize("name", FORGERIES)
    def test_anything_wrong_is_one_answer(self, service: Service, forged: dict[str, str], name: str) -> None:
        for spelling in (f"Bearer {forged[name]}", forged[name]):
            headers = {"Authorization": spelling.encode("utf-8")}
            refused = service.call("GET", "/api/user/audio-files", headers=headers)
            assert refused.status_code == 401, refused.text
            answer = check_shape(refused)
            assert (answer["error"], answer["code"]) == ("Token is invalid or expired", "token_invalid")

    @pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "{}", "  {}  "])
    def test_the_forms_that_are_accepted(self, service: Service, account: dict[str, Any], form: str) -> None:
        headers = {"Authorization": form.format(account["token"]).strip()}
        assert service.call("GET", "/api/user/audio-files", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "form", ["Basic {}", "Token {}", "Bearer Bearer {}", "Bearer: {}", "{} {}", "{}, {}", '"{}"']
    )
    def test_the_forms_that_are_not(self, service: Service, account: dict[str, Any], form: str) -> None:
        headers = {"Authorization": form.format(*[account["token"]] * 2)}
        refused = service.call("GET", "/api/user/audio-files", headers=headers)
        assert check_shape(refused)["error"] == "Token is invalid or expired"
        assert refused.status_code == 401

    def test_no_header_and_an_empty_one_are_told_that_it_is_missing(
        self, service: Service, wire: Wire, account: dict[str, Any]
    ) -> None:
        for fields in (b"", b"Authorization:\r\n", b"Authorization:    \r\n", b"authorization: \t\r\n"):
            reply = wire.exchange(LISTING + fields + b"\r\n", "GET")
            answer = check_shape(reply)
            assert (reply.status, answer["code"]) == (401, "token_missing")
            assert answer["error"] == "Token is missing"
        elsewhere = service.call(
            "GET",
            f"/api/user/audio-files?token={account['token']}&access_token={account['token']}",
            headers={"Cookie": f"token={account['token']}", "X-Access-Token": account["token"]},
        )
        assert check_shape(elsewhere)["error"] == "Token is missing"

    def test_odd_bytes_in_the_header(self, wire: Wire, account: dict[str, Any]) -> None:
        token = account["token"].encode()
        for value in (
            b"\xff\xfe",
            b"Bearer \x80",
            b"Bearer \xe2\x80\x8b" + token,
            token + b"\xff",
            b"Bearer",
        ):
            reply = wire.exchange(LISTING + b"Authorization: " + value + b"\r\n\r\n", "GET")
            assert (reply.status, check_shape(reply)["code"]) == (401, "token_invalid"), value

    def test_two_headers_are_none(self, wire: Wire, account: dict[str, Any]) -> None:
        field = b"Authorization: Bearer " + account["token"].encode() + b"\r\n"
        reply = wire.exchange(LISTING + field * 2 + b"\r\n", "GET")
        assert reply.status in (400, 401)
        check_shape(reply, from_the_application=reply.headers["X-Request-ID"] is not None)

    def test_a_token_longer_than_a_header_may_be(self, wire: Wire) -> None:
        field = b"Authorization: Bearer " + b"a" * 50_000
        reply = wire.exchange(LISTING + field + b"\r\n\r\n", "GET")
        assert 400 <= reply.status < 500
        check_shape(reply, from_the_application=False)

    @pytest.mark.parametrize("path", ["/api/audio-file", "/api/decrypt-audio"])
    def test_every_guarded_call_is_guarded(self, service: Service, path: str) -> None:
        body = CALLS[path]
        for headers, text in (({}, "missing"), ({"Authorization": "Bearer x"}, "invalid or expired")):
            refused = service.call("POST", path, json=body, headers=headers)
            assert refused.status_code == 401
            assert check_shape(refused)["error"] == f"Token is {text}"

    def test_tokens_of_the_earlier_service_work(self, service: Service, account: dict[str, Any]) -> None:
        """They have neither `kid` nor `typ`, and perhaps more claims than ours."""
        secret = service.secret_key()
        claims = claims_of(account["user_id"])
        for more in ({}, {"email": "a@example.com"}, {"sub": account["user_id"]}, {"typ": "access"}):
            token = jwt.encode(claims | more, secret, "HS256")
            assert "kid" not in jwt.get_unverified_header(token)
            assert service.call("GET", "/api/user/audio-files", token).status_code == 200
        bare = service.call(
            "GET", "/api/user/audio-files", headers={"Authorization": jwt.encode(claims, secret, "HS256")}
        )
        assert bare.status_code == 200

    def test_our_own_tokens_name_their_secret_and_do_not_show_it(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        kid = jwt.get_unverified_header(account["token"])["kid"]
        secret = service.secret_key()
        assert kid not in secret
        assert kid not in hashlib.sha256(secret.encode()).hexdigest()
        jwt.decode(account["token"], secret, ["HS256"])


@pytest.fixture(scope="module")
def rotated(moto: str, service: Service) -> Iterator[Service]:
    """The same service after its secret was rotated: it mints with a new one and knows the old one."""
    new = "N" + uuid.uuid4().hex * 2
    other = "O" + uuid.uuid4().hex * 2
    fallbacks = f" {other} , {service.secret_key()},"
    with run_service(
        moto, SECRET_KEY=new, SECRET_KEY_FALLBACKS=fallbacks, TICKET_TTL="1", **LIMITS
    ) as running:
        yield running


def recorded(service: Service, account: dict[str, Any]) -> str:
    """Put a single-shot recording of `account` in place and return its s3_key."""
    s3_key = f"users/{account['user_id']}/audio-{uuid.uuid4().hex}.3gp"
    key = direct_keys(PASSWORD, bytes.fromhex(account["key_salt"])).raw_salt
    service.put_object(s3_key, bytes(12) + AESGCM(key).encrypt(bytes(12), b"#!AMR\n" + bytes(500), None))
    answer = service.call("POST", "/api/audio-file", account["token"], json={"s3_key": s3_key})
    assert answer.status_code == 201, answer.text
    return s3_key


def recorded_and_opened(service: Service, account: dict[str, Any]) -> str:
    """Return the download_url of a recording of `account`."""
    body = {"password": PASSWORD, "s3_key": recorded(service, account)}
    answer = service.call("POST", "/api/decrypt-audio", account["token"], json=body)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["download_url"]
    return url


class TestRotation:
    def test_nobody_is_logged_out(self, service: Service, rotated: Service, account: dict[str, Any]) -> None:
        assert rotated.call("GET", "/api/user/audio-files", account["token"]).status_code == 200
        earlier = jwt.encode(claims_of(account["user_id"]), service.secret_key(), "HS256")
        assert rotated.call("GET", "/api/user/audio-files", earlier).status_code == 200

    def test_playback_goes_on(self, service: Service, rotated: Service, account: dict[str, Any]) -> None:
        url = recorded_and_opened(service, account)
        before = requests.get(url, timeout=30)
        after = requests.get(url.replace(service.url, rotated.url), timeout=30)
        assert (before.status_code, after.status_code) == (200, 200)
        assert before.content == after.content == b"#!AMR\n" + bytes(500)

    def test_new_tokens_are_of_the_new_secret(
        self, service: Service, rotated: Service, account: dict[str, Any]
    ) -> None:
        body = {"email": account["user"]["email"], "password": PASSWORD}
        token = rotated.call("POST", "/api/login", json=body).json()["token"]
        jwt.decode(token, rotated.environment["SECRET_KEY"], ["HS256"])
        kids = {jwt.get_unverified_header(one)["kid"] for one in (token, account["token"])}
        assert len(kids) == 2
        assert rotated.call("GET", "/api/user/audio-files", token).status_code == 200
        refused = service.call("GET", "/api/user/audio-files", token)
        assert (refused.status_code, check_shape(refused)["error"]) == (401, "Token is invalid or expired")

    def test_a_secret_that_was_never_ours_stays_refused(
        self, rotated: Service, account: dict[str, Any]
    ) -> None:
        for secret in ("x" * 40, "", f" {rotated.environment['SECRET_KEY']}"):
            forged = signed(HS256, claims_of(account["user_id"]), secret)
            assert rotated.call("GET", "/api/user/audio-files", forged).status_code == 401

"""What other machines reach of the stand-in: exactly the requests that the service has signed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from deploy.local.stand_in_gate import Gate, is_this_machine, is_valid_at
from panzoto.recordings.presigning import Presigner, SignedRequest

BUCKET = "panzoto-audio-dev"
KEY = "users/me/a memo + 100 % ü~.3gp"
ACCESS_KEY, SECRET = "panzoto", "of-these-tests-and-no-other-place"
FAR = ("192.0.2.77", 50000)


class Asked:
    """A gate, and what it let through to the application behind it."""

    def __init__(self) -> None:
        self.passed: list[dict[str, Any]] = []
        self.gate = Gate(self._note, BUCKET, ACCESS_KEY, SECRET)

    async def _note(self, scope: Any, _receive: Any, send: Any) -> None:
        self.passed.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    def status(self, method: str, url: str, headers: dict[str, str], client: Any = FAR) -> int:
        parts = urlsplit(url)
        named = {"Host": parts.netloc, **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": "/not/looked/at",
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": client,
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            raise AssertionError("a body was read")

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        status: int = sent[0]["status"]
        return status


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def presigner(monkeypatch: pytest.MonkeyPatch) -> Presigner:
    """The service's own."""
    # The session of this process remembers the credentials that it met first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5566")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return Presigner(BUCKET, "eu-central-1", True, 900)


@pytest.fixture
def put(presigner: Presigner) -> SignedRequest:
    return presigner.put(KEY, 12, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "192.0.2.1")


HOSTS = [
    "192.0.2.1",
    "10.0.2.2",
    "fd00::2",
    "mymachine.local",
    "s3.local",
    "dynamodb.us-east-1.amazonaws.com",
]


class TestWhatPasses:
    @pytest.mark.parametrize("host", HOSTS)
    def test_what_the_service_signed_by_whatever_name_it_was_called(
        self, asked: Asked, presigner: Presigner, host: str
    ) -> None:
        put = presigner.put(KEY, 12, None, host)
        parts, _ = presigner.parts(KEY, "an+upload/id==", {1: 7, 10_000: 7}, host)
        get = presigner.get(KEY, host)
        assert asked.status("PUT", put.url, put.headers) == 200
        assert asked.status("GET", get.url, {"Range": "bytes=0-3"}) == 200
        assert [asked.status("PUT", url, {"Content-Length": "7"}) for url in parts] == [200, 200]
        # Behind the gate no name of a host leads to another service than S3.
        assert all((b"host", b"127.0.0.1") in scope["headers"] for scope in asked.passed)
        assert not any(b"Amz-Signature" in scope["query_string"] for scope in asked.passed)
        assert b"partNumber=10000" in asked.passed[-1]["query_string"]

    def test_a_checksum_that_was_signed(self, asked: Asked, put: SignedRequest) -> None:
        assert asked.status("PUT", put.url, put.headers) == 200

    def test_a_browser_may_ask_whether_it_may(self, asked: Asked, put: SignedRequest) -> None:
        assert asked.status("OPTIONS", put.url, {"Origin": "http://192.0.2.1:5000"}) == 200

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    def test_this_machine_may_do_anything(self, asked: Asked, address: str) -> None:
        assert asked.status("POST", "http://127.0.0.1/", {}, (address, 1)) == 200


class TestWhatDoesNot:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("POST", "/"),
            ("GET", "/_ministack/health"),
            ("POST", "/_ministack/reset"),
            ("GET", f"/{BUCKET}"),
            ("GET", f"/{BUCKET}/"),
            ("GET", f"/{BUCKET}/users/me/audio-1.3gp"),
            ("PUT", f"/{BUCKET}/users/me/audio-1.3gp"),
            ("DELETE", f"/{BUCKET}/users/me/audio-1.3gp"),
            ("OPTIONS", "/"),
            ("OPTIONS", "/_ministack/reset"),
            ("GET", f"/{BUCKET}/x?X-Amz-Signature=0"),
        ],
    )
    def test_what_nobody_signed(self, asked: Asked, method: str, path: str) -> None:
        assert asked.status(method, f"http://192.0.2.1:5566{path}", {}) == 403
        assert asked.passed == []

    @pytest.mark.parametrize(
        "operation",
        ["list_objects_v2", "head_bucket", "delete_object", "get_bucket_cors", "create_multipart_upload"],
    )
    def test_what_the_service_never_signs_even_with_its_key(self, asked: Asked, operation: str) -> None:
        """Whoever has the key may sign; all but GET, HEAD and PUT of objects stays closed."""
        client = boto3.client(
            "s3",
            endpoint_url="http://192.0.2.1:5566",
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        needs_key = operation in ("delete_object", "create_multipart_upload")
        parameters = {"Bucket": BUCKET, **({"Key": KEY} if needs_key else {})}
        method = {"delete_object": "DELETE", "head_bucket": "HEAD", "create_multipart_upload": "POST"}
        url = client.generate_presigned_url(operation, parameters)
        assert asked.status(method.get(operation, "GET"), url, {}) == 403

    @pytest.mark.parametrize(
        ("what", "instead"),
        [
            ("audio-dev/users/me", "audio-dev/users/you"),
            ("X-Amz-Expires=900", "X-Amz-Expires=604800"),
            ("panzoto%2F", "test%2F"),
            ("%2Fs3%2F", "%2Fdynamodb%2F"),
            ("X-Amz-Signature=", "X-Amz-Signature=0&X-Amz-Signature="),
            ("X-Amz-Signature=", "X-Amz-Signature=%FF"),
            ("X-Amz-Date=2", "X-Amz-Date=1"),
            ("host", "hos"),
            ("?", "?acl=&"),
            ("192.0.2.1:5566", "192.0.2.2:5566"),
        ],
    )
    def test_what_is_not_as_it_was_signed(
        self, asked: Asked, put: SignedRequest, what: str, instead: str
    ) -> None:
        assert what in put.url
        assert asked.status("PUT", put.url.replace(what, instead, 1), put.headers) == 403

    def test_another_method_and_other_headers(self, asked: Asked, put: SignedRequest) -> None:
        assert asked.status("GET", put.url, put.headers) == 403
        assert asked.status("PUT", put.url, {**put.headers, "Content-Length": "13"}) == 403
        assert asked.status("PUT", put.url, {**put.headers, "x-amz-copy-source": "/other/object"}) == 403
        assert asked.status("PUT", put.url, {**put.headers, "X-Amz-Target": "DynamoDB_20120810.Scan"}) == 403
        assert asked.status("PUT", put.url, {**put.headers, "Authorization": "AWS4-HMAC-SHA256 x"}) == 403
        assert asked.passed == []

    def test_another_secret(self, put: SignedRequest, asked: Asked) -> None:
        stranger = Gate(asked._note, BUCKET, ACCESS_KEY, "another secret")
        asked.gate = stranger
        assert asked.status("PUT", put.url, put.headers) == 403

    @pytest.mark.parametrize(
        "client", [None, (), ("",), ("localhost", 1), ("192.0.2.1", 1), ("fe80::1%eth0", 1)]
    )
    def test_who_cannot_be_told_is_far(self, client: Any) -> None:
        assert not is_this_machine(client)

    @pytest.mark.parametrize(
        ("age", "seconds", "holds"),
        [
            (0, "900", True),
            (899, "900", True),
            (901, "900", False),
            (-600, "900", True),
            (-1000, "900", False),
            (0, "0", False),
            (0, "604801", False),
            (0, "-1", False),
            (0, "²", False),
            (0, "", False),
        ],
    )
    def test_a_signature_has_its_time(self, age: int, seconds: str, holds: bool) -> None:
        now = datetime(2026, 11, 28, 12, tzinfo=UTC)
        signed = (now - timedelta(seconds=age)).strftime("%Y%m%dT%H%M%SZ")
        assert is_valid_at(now, signed, seconds) is holds
        assert not is_valid_at(now, "yesterday", seconds)

"""The proxy against moto's server, driven by real boto3 clients: transparent when idle, exact when asked."""

from __future__ import annotations

import hashlib
import http.client
import os
import resource
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tests.support.aws import start_moto
from tests.support.fault_proxy import (
    Answer,
    Cut,
    CutSent,
    Delay,
    Drip,
    Fault,
    FaultProxy,
    FlipBit,
    Hang,
    LoseReply,
    Meanwhile,
    Record,
    Refuse,
    Repeat,
)
from tests.support.waiting import eventually

BUCKET = "recordings"
TABLE = "things"
CONTENT = bytes(range(256)) * 1024
# Without a type urllib calls every body a form, and the stand-in would parse it as one.
AUDIO = {"Content-Type": "audio/3gpp"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with start_moto() as url:
        client("s3", url).create_bucket(Bucket=BUCKET)
        client("dynamodb", url).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield url


@pytest.fixture
def proxy(moto: str) -> Iterator[FaultProxy]:
    with FaultProxy(moto) as proxy:
        yield proxy


def client(service: str, url: str, **options: Any) -> Any:
    """A boto3 client that tries once, so that every fault is seen, not repaired."""
    options.setdefault("retries", {"total_max_attempts": 1})
    options.setdefault("read_timeout", 10)
    made: BaseClient = boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(**options),
    )
    return made


def settled(proxy: FaultProxy) -> tuple[Record, ...]:
    """The proxy's records once it is through with all of them."""
    eventually(lambda: all(record.finished for record in proxy.requests), lambda: proxy.requests)
    return tuple(proxy.requests)


def put(url: str, key: str, content: bytes = CONTENT) -> str:
    etag: str = client("s3", url).put_object(Bucket=BUCKET, Key=key, Body=content)["ETag"]
    return etag


def item(name: str) -> dict[str, dict[str, str]]:
    return {"id": {"S": name}}


class TestTransparent:
    def test_objects_pass_unchanged_both_ways_with_ranges(self, proxy: FaultProxy) -> None:
        s3 = client("s3", proxy.url)
        s3.put_object(Bucket=BUCKET, Key="plain", Body=CONTENT)
        whole = s3.get_object(Bucket=BUCKET, Key="plain")
        part = s3.get_object(Bucket=BUCKET, Key="plain", Range="bytes=1000-1999")
        head = s3.head_object(Bucket=BUCKET, Key="plain")
        assert whole["Body"].read() == CONTENT
        assert part["Body"].read() == CONTENT[1000:2000]
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert head["ContentLength"] == len(CONTENT)
        sent, first, second, third = settled(proxy)
        assert (sent.method, sent.path, sent.status) == ("PUT", f"/{BUCKET}/plain", 200)
        assert sent.bytes_received >= len(CONTENT)
        assert (first.method, first.range, first.bytes_sent) == ("GET", None, len(CONTENT))
        assert (second.range, second.status, second.bytes_sent) == ("bytes=1000-1999", 206, 1000)
        assert (third.method, third.bytes_sent) == ("HEAD", 0)

    def test_a_file_object_uploads_with_expect_continue_and_trailing_checksum(
        self, proxy: FaultProxy, tmp_path: Any
    ) -> None:
        # A seekable file makes botocore send Expect: 100-continue and an aws-chunked body with a trailer.
        path = tmp_path / "recording"
        path.write_bytes(CONTENT)
        s3 = client("s3", proxy.url)
        with path.open("rb") as file:
            s3.put_object(Bucket=BUCKET, Key="file", Body=file, ChecksumAlgorithm="CRC32")
        assert s3.get_object(Bucket=BUCKET, Key="file")["Body"].read() == CONTENT

    def test_multipart_upload(self, proxy: FaultProxy) -> None:
        s3 = client("s3", proxy.url)
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        halves = [os.urandom(5 * 1024 * 1024), os.urandom(70_000)]
        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part(
                    Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=half
                )["ETag"],
            }
            for number, half in enumerate(halves, 1)
        ]
        s3.complete_multipart_upload(
            Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
        )
        assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == b"".join(halves)

    def test_a_chunked_request_body_passes(self, proxy: FaultProxy) -> None:
        url = client("s3", proxy.url).generate_presigned_url(
            "put_object", Params={"Bucket": BUCKET, "Key": "chunked"}
        )
        request = urllib.request.Request(
            url, data=iter([CONTENT[:10], CONTENT[10:]]), method="PUT", headers=AUDIO
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200
        assert client("s3", proxy.url).get_object(Bucket=BUCKET, Key="chunked")["Body"].read() == CONTENT
        assert settled(proxy)[0].bytes_received == len(CONTENT)

    def test_presigned_urls_name_the_proxy_and_work(self, proxy: FaultProxy) -> None:
        put(proxy.url, "presigned")
        url = client("s3", proxy.url).generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": "presigned"}
        )
        assert url.startswith(proxy.url)
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.read() == CONTENT

    def test_a_client_keeps_its_connection(self, proxy: FaultProxy) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.connect()
        before = connection.sock
        for _ in range(3):
            connection.request("GET", "/moto-api/config")
            assert connection.getresponse().read()
            assert connection.sock is before
        connection.close()

    def test_the_host_field_is_forwarded_as_it_came(self) -> None:
        heard: list[bytes] = []
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        with _Upstream(answer, heard) as upstream, FaultProxy(upstream) as proxy:
            request = urllib.request.Request(
                proxy.url + "/a%2Fb?x=%20y", headers={"Host": "bucket.example:81"}
            )
            with urllib.request.urlopen(request, timeout=5) as response:
                assert response.read() == b"ok"
        assert heard[0].startswith(b"GET /a%2Fb?x=%20y HTTP/1.1\r\n")
        assert b"\r\nHost: bucket.example:81\r\n" in heard[0]

    @pytest.mark.parametrize(
        "framing",
        [
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
            b"\r\nabcdefg",
        ],
        ids=["chunked", "until-close"],
    )
    def test_other_framings_of_a_response(self, framing: bytes) -> None:
        with _Upstream(b"HTTP/1.1 200 OK\r\n" + framing, []) as upstream, FaultProxy(upstream) as proxy:
            proxy.add(Fault(FlipBit(4), path="/flipped"))
            with urllib.request.urlopen(proxy.url + "/", timeout=5) as response:
                assert response.read() == b"abcdefg"
            with urllib.request.urlopen(proxy.url + "/flipped", timeout=5) as response:
                assert response.read() == b"abcddfg"
            assert [record.bytes_sent for record in settled(proxy)] == [7, 7]

    def test_an_upstream_that_breaks_off_is_not_mended(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
        with _Upstream(answer, []) as upstream, FaultProxy(upstream) as proxy:
            response = urllib.request.urlopen(proxy.url + "/", timeout=5)
            with pytest.raises((http.client.IncompleteRead, OSError)):
                response.read()

    def test_memory_stays_flat_while_64_mib_pass(self, proxy: FaultProxy) -> None:
        size = 64 * 1024 * 1024
        piece = os.urandom(1024 * 1024)
        expected = hashlib.sha256(piece * 64).hexdigest()
        url = client("s3", proxy.url).generate_presigned_url(
            "put_object", Params={"Bucket": BUCKET, "Key": "long"}
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        request = urllib.request.Request(
            url, data=iter([piece] * 64), method="PUT", headers={**AUDIO, "Content-Length": str(size)}
        )
        urllib.request.urlopen(request, timeout=60).close()
        body = client("s3", proxy.url).get_object(Bucket=BUCKET, Key="long")["Body"]
        digest = hashlib.sha256()
        for data in body.iter_chunks(65536):
            digest.update(data)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert digest.hexdigest() == expected
        assert grown < 32 * 1024

    def test_requests_in_parallel(self, proxy: FaultProxy) -> None:
        put(proxy.url, "parallel")
        s3 = client("s3", proxy.url, max_pool_connections=8)
        bodies: list[bytes] = []
        readers = [
            threading.Thread(
                target=lambda: bodies.append(s3.get_object(Bucket=BUCKET, Key="parallel")["Body"].read())
            )
            for _ in range(8)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(20)
        assert bodies == [CONTENT] * 8
        assert len([record for record in settled(proxy) if record.method == "GET"]) == 8


class TestFaults:
    def test_refuse_resets_before_the_upstream_hears(self, proxy: FaultProxy) -> None:
        fault = proxy.add(Fault(Refuse(), operation="PutItem", times=1))
        dynamodb = client("dynamodb", proxy.url)
        with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
            dynamodb.put_item(TableName=TABLE, Item=item("refused"))
        assert "Item" not in dynamodb.get_item(TableName=TABLE, Key=item("refused"))
        assert (fault.matched, fault.applied) == (1, 1)
        refused = settled(proxy)[0]
        assert (refused.operation, refused.status, refused.faults) == ("PutItem", None, ("Refuse",))

    def test_down_refuses_at_the_port_and_comes_back(self, proxy: FaultProxy) -> None:
        dynamodb = client("dynamodb", proxy.url, connect_timeout=1)
        dynamodb.list_tables()
        with proxy.down():
            with pytest.raises((EndpointConnectionError, ConnectionClosedError)):
                dynamodb.list_tables()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", proxy.port), 1)
        assert TABLE in dynamodb.list_tables()["TableNames"]

    def test_delay(self, proxy: FaultProxy) -> None:
        proxy.add(Fault(Delay(1), operation="GetItem", times=1))
        dynamodb = client("dynamodb", proxy.url)
        delayed = _seconds(lambda: dynamodb.get_item(TableName=TABLE, Key=item("none")))
        straight = _seconds(lambda: dynamodb.get_item(TableName=TABLE, Key=item("none")))
        assert delayed >= 1 > straight

    def test_hang_until_the_client_gives_up(self, proxy: FaultProxy) -> None:
        fault = proxy.add(Fault(Hang(), operation="GetItem"))
        dynamodb = client("dynamodb", proxy.url, read_timeout=0.5)
        with pytest.raises(ReadTimeoutError):
            dynamodb.get_item(TableName=TABLE, Key=item("none"))
        assert fault.applied == 1
        assert settled(proxy)[0].finished

    def test_hang_with_an_unread_upload_ends_too(self, proxy: FaultProxy) -> None:
        proxy.add(Fault(Hang(), method="PUT"))
        s3 = client("s3", proxy.url, read_timeout=0.5)
        with pytest.raises((ReadTimeoutError, ConnectTimeoutError, ConnectionClosedError)):
            s3.put_object(Bucket=BUCKET, Key="hung", Body=CONTENT)
        assert settled(proxy)[0].finished

    def test_closing_the_proxy_ends_a_hang(self, moto: str) -> None:
        proxy = FaultProxy(moto)
        proxy.add(Fault(Hang()))
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: bool(proxy.requests), "nothing came")
            started = time.monotonic()
            proxy.close()
            assert time.monotonic() - started < 4

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            ("ThrottlingException", 400),
            ("ProvisionedThroughputExceededException", 400),
            ("RequestLimitExceeded", 400),
            ("InternalServerError", 500),
        ],
    )
    def test_dynamodb_errors_read_as_the_real_ones(self, proxy: FaultProxy, error: str, status: int) -> None:
        proxy.add(Fault(Answer.dynamodb(error), operation="Query", times=1))
        dynamodb = client("dynamodb", proxy.url)
        query: dict[str, Any] = {
            "TableName": TABLE,
            "KeyConditionExpression": "id = :id",
            "ExpressionAttributeValues": {":id": {"S": "x"}},
        }
        with pytest.raises(ClientError) as caught:
            dynamodb.query(**query)
        assert caught.value.response["Error"]["Code"] == error
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert dynamodb.query(**query)["Items"] == []

    def test_a_cancelled_transaction_carries_its_reasons(self, proxy: FaultProxy) -> None:
        proxy.add(
            Fault(
                Answer.transaction_canceled("None", "TransactionConflict"),
                operation="TransactWriteItems",
                times=1,
            )
        )
        dynamodb = client("dynamodb", proxy.url)
        puts = [{"Put": {"TableName": TABLE, "Item": item(name)}} for name in ("one", "two")]
        with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
            dynamodb.transact_write_items(TransactItems=puts)
        codes = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
        assert codes == ["None", "TransactionConflict"]
        dynamodb.transact_write_items(TransactItems=puts)

    def test_s3_slow_down_is_repaired_by_a_client_that_retries(self, proxy: FaultProxy) -> None:
        put(proxy.url, "slow")
        fault = proxy.add(Fault(Answer.s3(503, "SlowDown"), method="GET", times=2))
        with pytest.raises(ClientError) as caught:
            client("s3", proxy.url).get_object(Bucket=BUCKET, Key="slow")
        assert caught.value.response["Error"]["Code"] == "SlowDown"
        patient = client("s3", proxy.url, retries={"total_max_attempts": 3})
        assert patient.get_object(Bucket=BUCKET, Key="slow")["Body"].read() == CONTENT
        assert (fault.matched, fault.applied) == (3, 2)

    def test_an_upload_is_answered_before_its_body_and_after_it(self, proxy: FaultProxy) -> None:
        proxy.add(Fault(Answer.s3(503, "SlowDown"), method="PUT"))
        with pytest.raises(ClientError, match="SlowDown"):
            put(proxy.url, "refused-upload")
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("PUT", f"/{BUCKET}/refused-upload", body=CONTENT)
        assert connection.getresponse().status == 503
        connection.close()
        assert settled(proxy)[-1].bytes_received == len(CONTENT)

    @pytest.mark.parametrize("cleanly", [False, True])
    def test_cut_breaks_the_promise_of_the_length(self, proxy: FaultProxy, cleanly: bool) -> None:
        put(proxy.url, "cut")
        proxy.add(Fault(Cut(70_000, cleanly=cleanly), method="GET", times=1))
        s3 = client("s3", proxy.url)
        response = s3.get_object(Bucket=BUCKET, Key="cut")
        assert response["ContentLength"] == len(CONTENT)
        read = bytearray()

        def read_all() -> None:
            for data in response["Body"].iter_chunks(10_000):
                read.extend(data)

        with pytest.raises((IncompleteReadError, ResponseStreamingError)):
            read_all()
        assert CONTENT.startswith(bytes(read))
        assert [record.bytes_sent for record in settled(proxy) if record.method == "GET"] == [70_000]
        rest = s3.get_object(Bucket=BUCKET, Key="cut", Range=f"bytes={len(read)}-")
        assert bytes(read) + rest["Body"].read() == CONTENT

    def test_a_lost_reply_means_the_write_happened(self, proxy: FaultProxy) -> None:
        fault = proxy.add(Fault(LoseReply(), operation="PutItem", times=1))
        dynamodb = client("dynamodb", proxy.url)
        with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
            dynamodb.put_item(TableName=TABLE, Item=item("lost"))
        assert dynamodb.get_item(TableName=TABLE, Key=item("lost"))["Item"] == item("lost")
        assert fault.applied == 1

    def test_a_retry_after_a_lost_reply_fails_its_own_condition(self, proxy: FaultProxy) -> None:
        proxy.add(Fault(LoseReply(), operation="PutItem", times=1))
        dynamodb = client("dynamodb", proxy.url, retries={"total_max_attempts": 3})
        with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
            dynamodb.put_item(
                TableName=TABLE, Item=item("twice"), ConditionExpression="attribute_not_exists(id)"
            )

    def test_a_request_that_is_repeated_is_carried_out_twice_and_answered_once(
        self, proxy: FaultProxy
    ) -> None:
        fault = proxy.add(Fault(Repeat(), operation="UpdateItem", times=1))
        dynamodb = client("dynamodb", proxy.url)
        for _ in range(2):
            answer = dynamodb.update_item(
                TableName=TABLE,
                Key=item("repeated"),
                UpdateExpression="ADD times :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues="ALL_NEW",
            )
        assert answer["Attributes"]["times"] == {"N": "3"}
        assert fault.applied == 1

    def test_an_upload_that_is_repeated_keeps_its_body(self, proxy: FaultProxy, moto: str) -> None:
        proxy.add(Fault(Repeat(), method="PUT", times=1))
        put(proxy.url, "put-twice")
        assert client("s3", moto).get_object(Bucket=BUCKET, Key="put-twice")["Body"].read() == CONTENT

    def test_an_upload_that_is_cut_leaves_no_object(self, proxy: FaultProxy, moto: str) -> None:
        proxy.add(Fault(CutSent(1000), method="PUT", times=1))
        with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
            put(proxy.url, "cut-while-sent")
        listed = client("s3", moto).list_objects_v2(Bucket=BUCKET, Prefix="cut-while-sent")
        assert listed["KeyCount"] == 0

    def test_drip(self, proxy: FaultProxy) -> None:
        put(proxy.url, "drip", CONTENT[:40_000])
        proxy.add(Fault(Drip(100_000), method="GET"))
        s3 = client("s3", proxy.url)
        started = time.monotonic()
        assert s3.get_object(Bucket=BUCKET, Key="drip")["Body"].read() == CONTENT[:40_000]
        assert 0.35 < time.monotonic() - started < 5

    def test_flip_one_bit(self, proxy: FaultProxy) -> None:
        put(proxy.url, "flip")
        proxy.add(Fault(FlipBit(70_001, bit=7), method="GET"))
        s3 = client("s3", proxy.url, response_checksum_validation="when_required")
        body = s3.get_object(Bucket=BUCKET, Key="flip")["Body"].read()
        different = [at for at in range(len(CONTENT)) if body[at] != CONTENT[at]]
        assert different == [70_001]
        assert body[70_001] == CONTENT[70_001] ^ 0x80

    def test_meanwhile_changes_the_object_behind_the_reader(self, proxy: FaultProxy, moto: str) -> None:
        etag = put(moto, "swap")
        proxy.add(Fault(Meanwhile(lambda _: put(moto, "swap", b"other")), method="HEAD", times=1))
        s3 = client("s3", proxy.url)
        assert s3.head_object(Bucket=BUCKET, Key="swap")["ETag"] == etag
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=BUCKET, Key="swap", IfMatch=etag)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


class TestChoosing:
    def test_skip_times_and_where(self, proxy: FaultProxy) -> None:
        fault = proxy.add(
            Fault(
                Answer.dynamodb("ThrottlingException"),
                where=lambda request: request.json().get("Key") == item("hit"),
                operation="GetItem",
                skip=1,
                times=1,
            )
        )
        dynamodb = client("dynamodb", proxy.url)

        def outcome(name: str) -> str:
            try:
                dynamodb.get_item(TableName=TABLE, Key=item(name))
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "ok"

        assert [outcome(name) for name in ("hit", "other", "hit", "hit")] == [
            "ok",
            "ok",
            "ThrottlingException",
            "ok",
        ]
        assert (fault.matched, fault.applied) == (3, 1)

    def test_faults_add_up_in_order(self, proxy: FaultProxy) -> None:
        put(proxy.url, "both")
        proxy.add(Fault(Delay(0.3), method="GET"))
        proxy.add(Fault(FlipBit(0), path="/both$"))
        s3 = client("s3", proxy.url, response_checksum_validation="when_required")
        started = time.monotonic()
        body = s3.get_object(Bucket=BUCKET, Key="both")["Body"].read()
        assert time.monotonic() - started >= 0.3
        assert (body[0], body[1:]) == (CONTENT[0] ^ 1, CONTENT[1:])
        assert settled(proxy)[-1].faults == ("Delay", "FlipBit")

    def test_clear_and_forget(self, proxy: FaultProxy) -> None:
        proxy.add(Fault(Refuse()))
        proxy.clear()
        client("dynamodb", proxy.url).list_tables()
        assert len(proxy.requests) == 1
        proxy.forget()
        assert len(proxy.requests) == 0


class _Upstream:
    """A server that gives every connection the same bytes and closes it."""

    def __init__(self, answer: bytes, heard: list[bytes]) -> None:
        self._answer = answer
        self._heard = heard
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *exit_details: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._heard.append(connection.recv(65536))
                connection.sendall(self._answer)


def _seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started

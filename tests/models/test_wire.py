"""What is done to PynamoDB and botocore from inside takes effect, on the versions it was written for."""

from __future__ import annotations

import inspect
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from itertools import takewhile
from typing import IO, Any, Self

import botocore.client
import botocore.endpoint
import botocore.hooks
import botocore.httpsession
import botocore.parsers
import botocore.serialize
import botocore.session
import pynamodb.connection.table
import pynamodb.models
import pytest
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from pynamodb.attributes import Attribute, NumberAttribute
from pynamodb.constants import BINARY, BOOLEAN, NUMBER, STRING, STRING_SET
from pynamodb.models import Model

from panzoto.config import Settings
from panzoto.errors import DamagedRecord
from panzoto.models import ALL_MODELS, AudioFile, StoredModel, bind_models, wire
from tests.support.aws import REGION

ITEM = {
    "file_id": {"S": "4711"},
    "title": {"S": 'Jürgens „Ständchen“ \N{MUSICAL SYMBOL G CLEF} / \\ " \n\x7f'},
    "file_size": {"N": "123456789012345678901234567890.25"},
    "known_devices": {"SS": ["a", "b"]},
    "parts": {"L": [{"M": {"even": {"BOOL": True}, "none": {"NULL": True}}}]},
}
# Every method that is called or replaced from inside, as it is in the versions of `wire.SEEN_WITH`.
SIGNATURES = {
    botocore.client.BaseClient._make_api_call: "(self, operation_name, api_params)",
    botocore.client.BaseClient._convert_to_request_dict: (
        "(self, api_params, operation_model, endpoint_url, context=None, headers=None,"
        " set_user_agent_header=True)"
    ),
    botocore.endpoint.Endpoint._send: "(self, request)",
    botocore.endpoint.Endpoint._do_get_response: "(self, request, operation_model, context)",
    botocore.hooks.HierarchicalEmitter.register_first: (
        "(self, event_name, handler, unique_id=None, unique_id_uses_count=False)"
    ),
    botocore.httpsession.URLLib3Session.send: "(self, request)",
    botocore.httpsession.URLLib3Session.close: "(self)",
    botocore.parsers.ResponseParserFactory.create_parser: "(self, protocol_name)",
    botocore.parsers.ResponseParser.parse: "(self, response, shape)",
    botocore.serialize.JSONSerializer.serialize_to_request: "(self, parameters, operation_model)",
    pynamodb.models.Model._get_connection.__func__: "(cls) -> pynamodb.connection.table.TableConnection",  # type: ignore[attr-defined]
    pynamodb.models.Model._instantiate.__func__: (  # type: ignore[attr-defined]
        "(cls: Type[~_ACT], attribute_values: Dict[str, Dict[str, Any]]) -> ~_ACT"
    ),
    pynamodb.connection.Connection.add_meta_table: (
        "(self, meta_table: pynamodb.connection.base.MetaTable) -> None"
    ),
    pynamodb.connection.table.TableConnection.get_meta_table: (
        "(self) -> pynamodb.connection.base.MetaTable"
    ),
}


def answering(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """The bytes of an answer with its checksum, which `headers` may replace."""
    named = {"Content-Length": str(len(body)), "x-amz-crc32": str(zlib.crc32(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class OneAfterTheOther:
    """A server on a loopback port that gives one prepared answer for each request, and keeps what was asked.

    An answer is one piece, or two of which the second is sent for as long as somebody listens.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.answers: list[list[bytes]] = []
        self.asked: list[tuple[bytes, bytes]] = []
        self._peers: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._peers):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self._peers.append(peer)
                threading.Thread(target=self._answer_all, args=(peer,), daemon=True).start()

    def _answer_all(self, peer: socket.socket) -> None:
        with suppress(OSError), peer, peer.makefile("rb") as reader:
            while head := head_of(reader):
                self.asked.append((head, reader.read(int(header(head, b"content-length")))))
                first, *dripping = self.answers.pop(0)
                peer.sendall(first)
                while dripping:
                    peer.sendall(dripping[0])


@pytest.fixture
def server() -> Iterator[OneAfterTheOther]:
    with OneAfterTheOther() as running:
        yield running


def plain_client(url: str) -> Any:
    """A DynamoDB client as botocore makes it, with neither checks of parameters nor a second attempt."""
    session = botocore.session.get_session()
    session.set_credentials("testing", "testing")
    config = botocore.client.Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return session.create_client("dynamodb", REGION, endpoint_url=url, config=config)


def our_client(url: str) -> Any:
    """The same with all that the service does to it."""
    client = plain_client(url)
    wire.speak_plainly(client)
    wire.wait_out_refusals(client)
    wire.bound_answers(client, 0.2)
    return client


def test_the_libraries_are_those_that_were_looked_at() -> None:
    assert {name: version(name) for name in wire.SEEN_WITH} == wire.SEEN_WITH, (
        "look through what panzoto/models/wire.py reaches into, then raise the version there"
    )


@pytest.mark.parametrize("method", SIGNATURES, ids=lambda method: method.__qualname__)
def test_what_is_reached_into_takes_what_it_took(method: Callable[..., Any]) -> None:
    assert str(inspect.signature(method)).replace("'", "") == SIGNATURES[method]


def test_the_parts_that_are_replaced_are_there(server: OneAfterTheOther) -> None:
    client = plain_client(server.url)
    assert type(client._endpoint._response_parser_factory) is botocore.parsers.ResponseParserFactory
    assert type(client._endpoint.http_session) is botocore.httpsession.URLLib3Session
    assert type(client._serializer) is botocore.serialize.JSONSerializer


def test_every_model_uses_one_client_with_all_that_is_done_to_it() -> None:
    bind_models(Settings.from_environment())
    connections = {id(wire.connection_of(model)) for model in ALL_MODELS}
    assert len(connections) == 1
    # In a process without credentials each look makes another client, which must be prepared, too.
    client: Any = wire.connection_of(ALL_MODELS[0]).client
    assert type(client._endpoint._response_parser_factory) is wire.PlainParserFactory
    assert type(client._endpoint.http_session) is wire.PromptSession
    assert type(client._serializer) is wire.PlainSerializer
    tables = {
        wire.connection_of(model).get_meta_table(model.Meta.table_name).table_name for model in ALL_MODELS
    }
    assert len(tables) == len(ALL_MODELS)


class TestAnswers:
    def test_one_is_read_as_botocore_reads_it(self, server: OneAfterTheOther) -> None:
        body = json.dumps({"Items": [ITEM], "Count": 1, "LastEvaluatedKey": {"file_id": {"S": "1"}}}).encode()
        for raw in (body, json.dumps(json.loads(body), ensure_ascii=False).encode()):
            server.answers = [[answering(raw)], [answering(raw)]]
            read = [client(server.url).query(TableName="t") for client in (plain_client, our_client)]
            for answer in read:
                answer["ResponseMetadata"].pop("HTTPHeaders")
            assert read[0] == read[1]
            assert list(read[0]["Items"][0]) == list(read[1]["Items"][0])

    def test_an_error_is_botocores(self, server: OneAfterTheOther) -> None:
        refusal = json.dumps({"__type": "com.amazon#ValidationException", "message": "no"}).encode()
        server.answers = [[answering(refusal, "400 Bad Request")]]
        client = our_client(server.url)
        with pytest.raises(client.exceptions.ClientError, match=r"ValidationException.*: no"):
            client.query(TableName="t")

    @pytest.mark.parametrize(
        "damaged",
        [
            answering(b'{"Item": {}}', x_amz_crc32="1"),
            answering(b"[]"),
            answering(b""),
            answering(b'{"Item"'),
        ],
        ids=["checksum", "list", "empty", "cut"],
    )
    def test_a_damaged_one_is_refused(self, server: OneAfterTheOther, damaged: bytes) -> None:
        server.answers = [[damaged]]
        with pytest.raises((HTTPClientError, botocore.parsers.ResponseParserError)):
            our_client(server.url).get_item(TableName="t", Key={})

    def test_one_that_comes_byte_by_byte_ends_as_one_that_hangs(self, server: OneAfterTheOther) -> None:
        head = answering(b"", Content_Length="1000000000", x_amz_crc32="")
        server.answers = [[head, b" "]]
        with pytest.raises(ReadTimeoutError):
            our_client(server.url).get_item(TableName="t", Key={})

    def test_a_conflict_is_asked_again(self, server: OneAfterTheOther) -> None:
        conflict = json.dumps({"__type": "com.amazon#TransactionConflictException", "message": ""}).encode()
        server.answers = [[answering(conflict, "400 Bad Request")], [answering(b'{"Attributes": {}}')]]
        assert our_client(server.url).update_item(TableName="t", Key={})["Attributes"] == {}
        assert len(server.asked) == 2

    def test_a_batch_of_which_nothing_came_is_waited_for_and_then_refused(
        self, server: OneAfterTheOther
    ) -> None:
        """PynamoDB asks for what was left over at once, and for as long as there is any."""
        wanted = {"t": {"Keys": [{"file_id": {"S": "1"}}]}}
        left = [answering(json.dumps({"Responses": {"t": []}, "UnprocessedKeys": wanted}).encode())]
        came = [answering(json.dumps({"Responses": {"t": [ITEM]}, "UnprocessedKeys": wanted}).encode())]
        client = our_client(server.url)
        server.answers = [left, left, came]
        assert client.batch_get_item(RequestItems=wanted)["Responses"]["t"] == [ITEM]
        assert len(server.asked) == 3
        server.answers = [left] * wire.THROTTLED_ATTEMPTS
        with pytest.raises(HTTPClientError):
            client.batch_get_item(RequestItems=wanted)
        assert len(server.asked) == 3 + wire.THROTTLED_ATTEMPTS

    def test_throttling_is_told_at_each_attempt(self, server: OneAfterTheOther) -> None:
        busy = {"__type": "com.amazon#ProvisionedThroughputExceededException", "message": ""}
        reasons = [{"Code": "None"}, {"Code": "ThrottlingError"}]
        canceled = {"__type": "com.amazon#TransactionCanceledException", "CancellationReasons": reasons}
        refusals = [[answering(json.dumps(one).encode(), "400 Bad Request")] for one in (busy, canceled)]
        server.answers = [*refusals, [answering(b"{}")], refusals[0], [answering(b"{}")]]
        told: list[int] = []
        client = our_client(server.url)
        with wire.telling_throttling(client, lambda: told.append(len(server.asked))):
            client.transact_write_items(TransactItems=[], ClientRequestToken="token")
        assert told == [1, 2]
        client.transact_write_items(TransactItems=[], ClientRequestToken="token")
        assert (len(server.asked), told) == (5, [1, 2])


class TestRequests:
    REQUESTS = (
        ("query", {"TableName": "t", "Limit": 51, "ExpressionAttributeValues": {":a": ITEM["title"]}}),
        ("batch_get_item", {"RequestItems": {"t": {"Keys": [ITEM], "ConsistentRead": True}}}),
        (
            "transact_write_items",
            {"TransactItems": [{"Put": {"TableName": "t", "Item": ITEM}}], "ClientRequestToken": "1"},
        ),
        ("describe_table", {"TableName": "t"}),
    )

    @pytest.mark.parametrize(("call", "parameters"), REQUESTS, ids=[call for call, _ in REQUESTS])
    def test_one_says_what_botocores_says(
        self, server: OneAfterTheOther, call: str, parameters: dict[str, Any]
    ) -> None:
        server.answers = [[answering(b"{}")], [answering(b"{}")]]
        for client in (plain_client, our_client):
            getattr(client(server.url), call)(**parameters)
        (theirs, their_body), (ours, our_body) = server.asked
        assert json.loads(our_body) == json.loads(their_body)
        for name in (b"content-type", b"x-amz-target"):
            assert header(ours, name) == header(theirs, name)

    def test_bytes_are_left_to_botocore(self, server: OneAfterTheOther) -> None:
        server.answers = [[answering(b"{}")]]
        our_client(server.url).get_item(TableName="t", Key={"id": {"B": b"\x00\xff"}})
        assert json.loads(server.asked[0][1])["Key"] == {"id": {"B": "AP8="}}

    def test_a_transaction_gets_a_token_of_its_own(self, server: OneAfterTheOther) -> None:
        server.answers = [[answering(b"{}")], [answering(b"{}")]]
        client = our_client(server.url)
        for _ in range(2):
            client.transact_write_items(TransactItems=[])
        first, second = (json.loads(body)["ClientRequestToken"] for _, body in server.asked)
        assert first != second

    def test_a_finished_body_is_sent_as_it_is(self, server: OneAfterTheOther) -> None:
        client = our_client(server.url)
        wire.send_bodies_of(client, "TransactWriteItems", lambda params, **_: params.update(body=b'{"A": 1}'))
        server.answers = [[answering(b"{}")]]
        client.transact_write_items(TransactItems=[])
        assert server.asked[0][1] == b'{"A": 1}'


def test_an_item_has_one_form_whatever_its_order() -> None:
    item = {"b": {"SS": ["x", "y"]}, "a": {"L": [{"S": "2"}, {"S": "1"}]}, "c": {"S": "ü"}}
    same = {"c": {"S": "ü"}, "a": {"L": [{"S": "2"}, {"S": "1"}]}, "b": {"SS": ["y", "x"]}}
    assert wire.canonical(item) == wire.canonical(same)
    other = {**item, "a": {"L": [{"S": "1"}, {"S": "2"}]}}
    assert wire.canonical(item) != wire.canonical(other)
    # What a number is must not pass for what a string is.
    assert wire.canonical({"a": {"N": "1"}}) != wire.canonical({"a": {"S": "1"}})


def head_of(reader: IO[bytes]) -> bytes:
    """The lines up to the empty one; nothing where the client has gone."""
    return b"".join(takewhile(lambda line: line not in (b"", b"\r\n"), iter(reader.readline, None)))


def header(head: bytes, name: bytes) -> bytes:
    return next(line for line in head.splitlines() if line.lower().startswith(name + b":")).partition(b":")[2]


def stored(attribute: Attribute[Any]) -> dict[str, Any]:
    """A value of the attribute's type as DynamoDB gives it."""
    values: dict[str, Any] = {
        STRING: '["text"]' if type(attribute).__name__ == "JSONAttribute" else "text",
        NUMBER: "1760000000",
        BOOLEAN: True,
        STRING_SET: ["a", "b"],
        BINARY: "dGV4dA==",
    }
    return {attribute.attr_type: values[attribute.attr_type]}


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
class TestRows:
    def test_one_is_built_as_pynamodb_builds_it(self, model: type[StoredModel]) -> None:
        whole = {attribute.attr_name: stored(attribute) for attribute in model.get_attributes().values()}
        for item in (whole, whole | {"of another release": {"S": "x"}}):
            ours, theirs = model._instantiate(item), original(model, item)
            assert type(ours) is type(theirs) is model
            assert ours.attribute_values == theirs.attribute_values
            assert ours.serialize() == theirs.serialize()

    def test_what_is_null_is_not_there(self, model: type[StoredModel]) -> None:
        item = {attribute.attr_name: {"NULL": True} for attribute in model.get_attributes().values()}
        assert model._instantiate(item).attribute_values == {}

    def test_no_model_has_what_the_short_way_leaves_out(self, model: type[StoredModel]) -> None:
        assert model._instantiate.__func__ is wire.ReadPlainly._instantiate.__func__  # type: ignore[attr-defined]
        assert not model._discriminator
        for attribute in model.get_attributes().values():
            assert attribute.default is None
            assert attribute.default_for_new is None


def original(model: type[StoredModel], item: dict[str, Any]) -> Any:
    """The row as PynamoDB's own way builds it."""
    built: Any = Model._instantiate.__func__(model, item)  # type: ignore[attr-defined]
    return built


NUMBERS = ("0", "-0", "-5", "1.5", "1760000000", "1E+3", "9" * 38, "-" + "9" * 38, "0.000001")


@pytest.mark.parametrize("stored_number", NUMBERS)
def test_a_number_is_read_as_pynamodb_reads_it(stored_number: str) -> None:
    theirs = NumberAttribute().deserialize(stored_number)
    ours = wire._number(stored_number)
    assert (ours, type(ours)) == (theirs, type(theirs))


@pytest.mark.parametrize("damaged", ["", "one", "1,5", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_number_is_a_damaged_row(damaged: str) -> None:
    with pytest.raises(DamagedRecord):
        AudioFile._instantiate({"file_id": {"S": "1"}, "file_size": {"N": damaged}})

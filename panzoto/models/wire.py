"""All that is done to PynamoDB and botocore from inside, by names that they do not promise to keep.

Each thing says what it is for and what it was measured to bring. The figures
were taken with `bench.requests_per_second`, whose README holds today's.
`tests/models/test_wire.py` fails when one of them no longer takes effect, or
when a library comes in another version than `SEEN_WITH` names; whoever raises
that has read what changed in the places that are named here.
"""

from __future__ import annotations

import json
import random
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from operator import attrgetter
from typing import Any, ClassVar

import orjson
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from pynamodb.attributes import Attribute, NumberAttribute
from pynamodb.connection import Connection
from pynamodb.models import Model
from urllib3.exceptions import HTTPError

from panzoto.errors import DamagedRecord

SEEN_WITH = {"botocore": "1.44.5", "boto3": "1.44.5", "pynamodb": "6.1.0", "urllib3": "2.8.0"}

ANSWER_PIECE_BYTES = 64 * 1024
CONFLICT_ATTEMPTS = 6
# A busy second of a table is waited out in growing pauses, about two seconds together.
THROTTLED_ATTEMPTS = 5
THROTTLED_PAUSE_SECONDS = 0.065
# The types of DynamoDB's sets.
SETS = frozenset({"SS", "NS", "BS"})
# What botocore emits for every answer of DynamoDB, before it decides whether to send the call again.
RECEIVED = "response-received.dynamodb"
# As errors of a call, and as reasons why a transaction was canceled.
THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "ThrottlingException",
        "ThrottlingError",
        "RequestLimitExceeded",
    }
)


class PreparedConnection(Connection):
    """A connection whose clients are all prepared by `prepare` before they are used.

    PynamoDB makes another client as long as the last one found no credentials,
    as at a start while the machine's role is not told yet; one that was
    prepared only at the start would then be gone.
    """

    def __init__(self, prepare: Callable[[Any], None], **options: Any) -> None:
        super().__init__(**options)
        self._prepare = prepare
        self._prepared: Any = None
        self._preparing = threading.Lock()

    @property
    def client(self) -> Any:
        client = super().client
        if client is not self._prepared:
            with self._preparing:
                if client is not self._prepared:
                    self._prepare(client)
                    self._prepared = client
        return client


def share_connection(connection: Connection, models: Iterable[type[Model]]) -> None:
    """Let `models`, whose Meta is complete, all use `connection`, and so one client.

    PynamoDB makes a connection for each model on first use and has no public
    way to it. With one client there are as many pooled connections as threads,
    not as many for each table, and what is done to it holds for all.
    """
    for model in models:
        model._connection = None  # noqa: SLF001
        table = model._get_connection()  # noqa: SLF001
        connection.add_meta_table(table.get_meta_table())
        table.connection = connection


def connection_of(model: type[Model]) -> Connection:
    """Return the connection of a model that `share_connection` has seen."""
    connection: Connection = model._get_connection().connection  # noqa: SLF001
    return connection


# What reading an attribute raises whose stored value is none of its type.
DAMAGE = (LookupError, TypeError, ValueError, ArithmeticError)
# How an attribute is read: its name in Python, its type in DynamoDB, and what makes a value of the stored.
Reader = tuple[str, str, Callable[[Any], Any]]


class ReadPlainly(Model):
    """A model whose rows are built without PynamoDB's search for discriminators and defaults.

    No model of ours has any, and its own way goes through every attribute of
    the class: without that, and without a JSON parser for each number, a page
    of fifty items costs a third.
    """

    _by_stored_name: ClassVar[dict[str, Reader]]
    # The attributes that cannot be read and are None; only of rows that `damage.with_damaged` yields.
    damaged: frozenset[str] = frozenset()
    # How a log may name such a row.
    shown_as: str = ""

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Any:
        """Build an instance from a stored item. Raises `DamagedRecord`."""
        instance = cls.__new__(cls)
        values: dict[str, Any] = {}
        readers = cls._readers()
        try:
            for stored_name, stored in attribute_values.items():
                if stored_name in readers and "NULL" not in stored:
                    name, kind, read = readers[stored_name]
                    values[name] = read(stored[kind])
        except DAMAGE as error:
            raise DamagedRecord(cls._row_name(attribute_values), cls._readable(attribute_values)) from error
        instance.attribute_values = values
        return instance

    @classmethod
    def _readable(cls, attribute_values: dict[str, dict[str, Any]]) -> Any:
        """Build an instance from what can be read of a damaged item; its `damaged` names the rest."""
        instance = cls.__new__(cls)
        instance.attribute_values = {}
        damaged = set()
        for stored_name, (name, kind, read) in cls._readers().items():
            stored = attribute_values.get(stored_name, {"NULL": True})
            try:
                if "NULL" not in stored:
                    instance.attribute_values[name] = read(stored[kind])
            except DAMAGE:
                damaged.add(name)
        instance.damaged = frozenset(damaged)
        instance.shown_as = cls._row_name(attribute_values)
        return instance

    @classmethod
    def _row_name(cls, attribute_values: dict[str, dict[str, Any]]) -> str:
        """Return the key of a stored item as a log may show it; of both its parts where it has two."""
        parts = [str(next(iter(attribute_values.get(name, {"S": ""}).values()))) for name in cls.key_names()]
        # Behind its kind, a claim's key holds an address.
        return "/".join(part.partition("#")[0] for part in parts)

    @classmethod
    def key_names(cls) -> list[str]:
        """Return the stored names of the key's attributes, which are of the right type in every row."""
        keys = [one for one in cls._attributes.values() if one.is_hash_key or one.is_range_key]
        return [one.attr_name for one in sorted(keys, key=attrgetter("is_range_key"))]

    @classmethod
    def _readers(cls) -> dict[str, Reader]:
        if "_by_stored_name" not in cls.__dict__:
            cls._by_stored_name = {
                attribute.attr_name: (name, attribute.attr_type, _reading(attribute))
                for name, attribute in cls._attributes.items()
            }
        return cls._by_stored_name


def _reading(attribute: Attribute[Any]) -> Callable[[Any], Any]:
    return _number if type(attribute) is NumberAttribute else attribute.deserialize


def _number(stored: str) -> float:
    """Read an N as PynamoDB does; most are plain digits, for which it asks a JSON parser, too."""
    return int(stored) if stored.isdigit() else json.loads(stored)


def speak_plainly(client: Any) -> None:
    """Let `client` write requests and read answers with nothing but a JSON library, and refuse damaged ones.

    botocore walks through every value along the service's model: nine tenths
    of what reading a page of recordings costs, and on the way out once more what
    PynamoDB has done. A binary attribute is base64 in JSON, and our own type of
    it says so, so JSON says all there is.
    """
    endpoint = client._endpoint  # noqa: SLF001
    endpoint._response_parser_factory = PlainParserFactory(endpoint._response_parser_factory)  # noqa: SLF001
    client._serializer = PlainSerializer(client._serializer)  # noqa: SLF001
    client.meta.events.register("after-call.dynamodb", refuse_damaged_answer)


def bound_answers(client: Any, seconds: float) -> None:
    """Let an answer of `client` that comes byte by byte end as one that hangs, after so many seconds.

    botocore's own read timeout starts anew with each byte; a DynamoDB that
    dripped held a thread for as long as it liked.
    """
    endpoint = client._endpoint  # noqa: SLF001
    endpoint.http_session = PromptSession(endpoint.http_session, seconds)


def wait_out_refusals(client: Any) -> None:
    """Let `client` send again what DynamoDB refuses for the moment, before botocore's own rule is asked."""
    client.meta.events.register_first("needs-retry.dynamodb", wait_out)
    client.meta.events.register("after-call.dynamodb.BatchGetItem", refuse_nothing)


def send_bodies_of(client: Any, operation: str, write_body: Callable[..., None]) -> None:
    """Let `write_body(params=…)` put a finished body into each request of `operation`.

    The SDK takes twenty times longer to check and serialise a transaction of a
    hundred items than the migration takes to write it down.
    """
    client.meta.events.register(f"before-call.dynamodb.{operation}", write_body)


def refuse_damaged_answer(http_response: Any, **_: Any) -> None:
    """Refuse an answer whose body is not what DynamoDB sent.

    botocore reads a body that is not JSON as an empty answer, which would make
    "no such item" out of a damaged reply.
    """
    body = http_response.content
    checksum = http_response.headers.get("x-amz-crc32", "")
    damaged = checksum.isdigit() and zlib.crc32(body) != int(checksum)
    if damaged or not (body.startswith(b"{") and body.rstrip().endswith(b"}")):
        raise HTTPClientError(error="the answer's body is damaged")


def wait_out(response: Any, attempts: int, **_: Any) -> float | None:
    """Return after how many seconds a call is sent again that DynamoDB refused for the moment, or None.

    A single write gives way to a transaction on the same row, which SDKs do not
    repeat; a table that is busy gets more time than they give it.
    """
    answer = response[1] if response is not None else {}
    code = answer.get("Error", {}).get("Code")
    if code == "TransactionConflictException" and attempts < CONFLICT_ATTEMPTS:
        pause: float = random.uniform(0.01, 0.05) * 2**attempts  # noqa: S311 - a pause needs no secrecy
        return pause
    if (_is_throttled(answer) or _has_left_all(answer)) and attempts < THROTTLED_ATTEMPTS:
        longer: float = THROTTLED_PAUSE_SECONDS * 2**attempts * random.uniform(0.75, 1.25)  # noqa: S311
        return longer
    return None


def refuse_nothing(parsed: dict[str, Any], **_: Any) -> None:
    """Refuse a batch of which still nothing came: PynamoDB would ask for it again at once and without end."""
    if _has_left_all(parsed):
        raise HTTPClientError(error="a busy table has left all keys of a batch over")


def _has_left_all(answer: dict[str, Any]) -> bool:
    return bool(answer.get("UnprocessedKeys")) and not any(answer.get("Responses", {}).values())


def _is_throttled(answer: dict[str, Any]) -> bool:
    """Whether DynamoDB answers that a table, or an item of a transaction, is busy for the moment."""
    reasons = {reason.get("Code") for reason in answer.get("CancellationReasons", [])} - {None, "None"}
    return answer.get("Error", {}).get("Code") in THROTTLED or (bool(reasons) and reasons <= THROTTLED)


@contextmanager
def telling_throttling(client: Any, told: Callable[[], None]) -> Iterator[None]:
    """Call `told` at each answer to `client` that a table is busy, also at those that are then waited out.

    Who sends from many threads has to know at once; a call that is sent again by itself fails seconds later.
    """

    def look(parsed_response: dict[str, Any] | None = None, **_: Any) -> None:
        if _is_throttled(parsed_response or {}):
            told()

    client.meta.events.register(RECEIVED, look)
    try:
        yield
    finally:
        client.meta.events.unregister(RECEIVED, look)


def canonical(item: Mapping[str, Any]) -> bytes:
    """Return an item as bytes that are the same whatever the order of its attributes and of its sets."""
    # The members of a set come in any order.
    ordered = {
        name: {kind: sorted(value) if kind in SETS else value}
        for name, typed in item.items()
        for kind, value in typed.items()
    }
    return orjson.dumps(ordered, option=orjson.OPT_SORT_KEYS)


class PromptSession:
    """botocore's HTTP session, whose read timeout holds for a whole answer and not for each piece of it."""

    def __init__(self, original: Any, seconds: float) -> None:
        self._original = original
        self._seconds = seconds

    def send(self, request: Any) -> Any:
        request.stream_output = True
        response = self._original.send(request)
        deadline = time.monotonic() + self._seconds
        pieces = []
        try:
            while (piece := response.raw.read1(ANSWER_PIECE_BYTES)) and time.monotonic() < deadline:
                pieces.append(piece)
        except (HTTPError, OSError) as error:
            raise HTTPClientError(error=error) from error
        if piece:
            response.raw.close()
            raise ReadTimeoutError(endpoint_url=request.url)
        # What botocore's own reading of the body would leave there.
        response._content = b"".join(pieces)  # noqa: SLF001
        return response

    def close(self) -> None:
        self._original.close()


class PlainParserFactory:
    """Makes parsers for successful answers; errors are left to botocore's own."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def create_parser(self, protocol: str) -> PlainParser:
        return PlainParser(self._original.create_parser(protocol))


class PlainParser:
    """Reads a successful answer as the JSON that it is."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def parse(self, response: dict[str, Any], shape: Any) -> Any:
        status = response["status_code"]
        if status != HTTPStatus.OK:
            return self._original.parse(response, shape)
        try:
            parsed = orjson.loads(response["body"])
        except ValueError as error:
            raise ResponseParserError("the answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise ResponseParserError("the answer is not a JSON object")
        headers = {name.lower(): value for name, value in response["headers"].items()}
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        return parsed


class PlainSerializer:
    """Writes a request as the JSON that its parameters are; what is more than JSON is left to botocore's own.

    PynamoDB hands over what goes to the wire, attribute values and all.
    """

    def __init__(self, original: Any) -> None:
        self._original = original

    def serialize_to_request(self, parameters: dict[str, Any], operation_model: Any) -> dict[str, Any]:
        try:
            body = orjson.dumps(parameters, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError:
            # A string that is no Unicode: botocore says what is wrong with it.
            whole: dict[str, Any] = self._original.serialize_to_request(parameters, operation_model)
            return whole
        # Everything but the body: method, path, and the headers that name the operation.
        request: dict[str, Any] = self._original.serialize_to_request({}, operation_model)
        return request | {"body": body}

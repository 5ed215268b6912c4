"""How the models reach DynamoDB: one connection, short timeouts, failures told apart.

A DynamoDB that hangs costs a caller at most two attempts of `READ_TIMEOUT_SECONDS`
and one pause between them, below five seconds together.
"""

from __future__ import annotations

import json
import logging
import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from pynamodb.connection import Connection
from pynamodb.exceptions import PynamoDBException, TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite
from urllib3.exceptions import HTTPError

from panzoto.errors import Unavailable
from panzoto.telemetry import tracing

CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 1.5
RETRIES = 1
READINESS_TIMEOUT_SECONDS = 0.9
ANSWER_PIECE_BYTES = 64 * 1024
CONFLICT_ATTEMPTS = 6
# A busy second of a table is waited out in growing pauses, about two seconds together.
THROTTLED_ATTEMPTS = 5
THROTTLED_PAUSE_SECONDS = 0.065
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

# What models add their writes to; all of them happen or none does.
Transaction = TransactWrite

log = logging.getLogger(__name__)


class BaseMeta:
    """What every model's Meta inherits; `bind` sets it once, before the first call."""

    region = "us-east-1"
    host = None
    connect_timeout_seconds = CONNECT_TIMEOUT_SECONDS
    read_timeout_seconds = READ_TIMEOUT_SECONDS
    max_retry_attempts = RETRIES
    max_pool_connections = 10


class ConditionFailed(Exception):
    """A conditional write was refused; `failed` tells, item by item, which condition did it."""

    def __init__(self, failed: tuple[bool, ...] = (True,)) -> None:
        super().__init__()
        self.failed = failed


class IndexMissing(Exception):
    """The table has not the index that was asked; `resources optimize` adds it."""


def bind(tables: Iterable[tuple[type[Model], str]], region: str, threads: int) -> None:
    """Bind the models to their tables and share one botocore client among them.

    PynamoDB caches a connection per model on first use; made here, they all use
    one client with as many pooled connections as there are threads.
    """
    BaseMeta.region = region
    BaseMeta.max_pool_connections = threads
    shared: Connection | None = None
    for model, table_name in tables:
        model.Meta.table_name = table_name
        # PynamoDB has no public way to its connections.
        model._connection = None  # noqa: SLF001
        table = model._get_connection()  # noqa: SLF001
        if shared is None:
            shared = table.connection
            shared.client.meta.events.register("after-call.dynamodb", _refuse_damaged_answer)
            hooks: Any = shared.client.meta.events
            hooks.register_first("needs-retry.dynamodb", _wait_out)
            _read_answers_plainly(shared.client)
            _bound_answers(shared.client)
            tracing.watch(shared.client)
        else:
            shared.add_meta_table(table.get_meta_table())
            table.connection = shared


def check(model: type[Model]) -> None:
    """Ask for the state of `model`'s table, once and briefly. Raises `Unavailable`."""
    impatient = Connection(
        region=BaseMeta.region,
        connect_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        read_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        max_retry_attempts=0,
    )
    with storage_failures():
        impatient.describe_table(model.Meta.table_name)


def _refuse_damaged_answer(http_response: Any, **_: Any) -> None:
    """Refuse an answer whose body is not what DynamoDB sent.

    botocore reads a body that is not JSON as an empty answer, which would make
    "no such item" out of a damaged reply.
    """
    body = http_response.content
    checksum = http_response.headers.get("x-amz-crc32", "")
    damaged = checksum.isdigit() and zlib.crc32(body) != int(checksum)
    if damaged or not (body.startswith(b"{") and body.rstrip().endswith(b"}")):
        raise HTTPClientError(error="the answer's body is damaged")


def _wait_out(response: Any, attempts: int, **_: Any) -> float | None:
    """Let a call be sent again that DynamoDB refused for the moment; return after how many seconds.

    A single write gives way to a transaction on the same row, which SDKs do not
    repeat; a table that is busy gets more time than they give it.
    """
    answer = response[1] if response is not None else {}
    code = answer.get("Error", {}).get("Code")
    if code == "TransactionConflictException" and attempts < CONFLICT_ATTEMPTS:
        pause: float = random.uniform(0.01, 0.05) * 2**attempts  # noqa: S311 - a pause needs no secrecy
        return pause
    reasons = {reason.get("Code") for reason in answer.get("CancellationReasons", [])} - {None, "None"}
    throttled = code in THROTTLED or (bool(reasons) and reasons <= THROTTLED)
    if throttled and attempts < THROTTLED_ATTEMPTS:
        longer: float = THROTTLED_PAUSE_SECONDS * 2**attempts * random.uniform(0.75, 1.25)  # noqa: S311
        return longer
    return None


def _bound_answers(client: Any) -> None:
    """Let an answer of `client` that comes byte by byte end as one that hangs."""
    endpoint = client._endpoint  # noqa: SLF001 - as in `_read_answers_plainly`
    endpoint.http_session = _PromptSession(endpoint.http_session)


class _PromptSession:
    """botocore's HTTP session, whose read timeout holds for a whole answer and not for each piece of it."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def send(self, request: Any) -> Any:
        request.stream_output = True
        response = self._original.send(request)
        deadline = time.monotonic() + READ_TIMEOUT_SECONDS
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


def _read_answers_plainly(client: Any) -> None:
    """Let `client` read DynamoDB's answers with nothing but a JSON parser.

    botocore walks through every value of an answer along the service's model,
    which is nine tenths of what a page of recordings costs. No attribute of
    ours is binary, so there is nothing in an answer that JSON does not say.
    """
    endpoint = client._endpoint  # noqa: SLF001 - botocore offers no public way
    endpoint._response_parser_factory = _PlainParserFactory(endpoint._response_parser_factory)  # noqa: SLF001


class _PlainParserFactory:
    """Makes parsers for successful answers; errors are left to botocore's own."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def create_parser(self, protocol: str) -> _PlainParser:
        return _PlainParser(self._original.create_parser(protocol))


class _PlainParser:
    def __init__(self, original: Any) -> None:
        self._original = original

    def parse(self, response: dict[str, Any], shape: Any) -> Any:
        status = response["status_code"]
        if status != HTTPStatus.OK:
            return self._original.parse(response, shape)
        try:
            parsed = json.loads(response["body"])
        except ValueError as error:
            raise ResponseParserError("the answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise ResponseParserError("the answer is not a JSON object")
        headers = {name.lower(): value for name, value in response["headers"].items()}
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers}
        return parsed


@contextmanager
def storage_failures() -> Iterator[None]:
    """Turn whatever goes wrong between us and DynamoDB into `Unavailable` or `ConditionFailed`."""
    try:
        yield
    except TransactWriteError as error:
        reasons = [reason.code if reason else "" for reason in error.cancellation_reasons]
        if "ConditionalCheckFailed" in reasons and not _transient(reasons):
            raise ConditionFailed(tuple(code == "ConditionalCheckFailed" for code in reasons)) from error
        _log_failure(error, _aws_code(error), reasons)
        raise Unavailable() from error
    except PynamoDBException as error:
        if _aws_code(error) == "ConditionalCheckFailedException":
            raise ConditionFailed() from error
        if _aws_code(error) == "ValidationException" and "index" in str(error.cause).lower():
            raise IndexMissing() from error
        _log_failure(error, _aws_code(error))
        raise Unavailable() from error
    except ClientError as error:
        _log_failure(error, error.response.get("Error", {}).get("Code"))
        raise Unavailable() from error
    except (BotoCoreError, ResponseParserError) as error:
        _log_failure(error, None)
        raise Unavailable() from error


def transact(fill: Callable[[TransactWrite], None], model: type[Model]) -> None:
    """Write what `fill` adds, all or nothing, trying again while other transactions are in the way.

    Raises `ConditionFailed` with one entry per item (condition checks first,
    then deletes, puts and updates, PynamoDB's order) and `Unavailable`.
    """
    connection = model._get_connection().connection  # noqa: SLF001 - as in `bind`
    for attempt in range(CONFLICT_ATTEMPTS):
        try:
            with storage_failures(), TransactWrite(connection=connection) as transaction:
                fill(transaction)
            return
        except Unavailable as error:
            if not _is_conflict(error.__cause__) or attempt == CONFLICT_ATTEMPTS - 1:
                raise
            # SDKs do not retry a conflict; the other transaction is done within milliseconds.
            time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311


def _aws_code(error: PynamoDBException) -> str | None:
    """Return DynamoDB's own error code; of a connection that broke there is none.

    PynamoDB's `cause_response_code` fails where botocore's error has a `response` of None.
    """
    response = getattr(error.cause, "response", None) or {}
    code: str | None = response.get("Error", {}).get("Code")
    return code


def _transient(reasons: list[str]) -> bool:
    return any(code not in ("", "None", "ConditionalCheckFailed") for code in reasons)


def _is_conflict(cause: BaseException | None) -> bool:
    if not isinstance(cause, TransactWriteError):
        return False
    if _aws_code(cause) in ("TransactionConflictException", "TransactionInProgressException"):
        return True
    return any(reason and reason.code == "TransactionConflict" for reason in cause.cancellation_reasons)


def _log_failure(error: Exception, code: str | None, reasons: list[str] | None = None) -> None:
    cause = getattr(error, "cause", None) or error
    log.warning(
        "dynamodb_failure",
        extra={"error": type(cause).__name__, "aws_code": code or "", "reasons": ",".join(reasons or [])},
    )

"""How the models reach DynamoDB: one connection, short timeouts, failures told apart.

A DynamoDB that hangs costs a caller at most two attempts of `READ_TIMEOUT_SECONDS`
and one pause between them, below five seconds together.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from pynamodb.connection import Connection
from pynamodb.exceptions import PynamoDBException, TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from panzoto.errors import SettingsError, Unavailable
from panzoto.models import wire
from panzoto.telemetry import tracing

CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 1.5
RETRIES = 1
READINESS_TIMEOUT_SECONDS = 0.9

# What models add their writes to; all of them happen or none does.
Transaction = TransactWrite
# What adds to a transaction.
Also = Callable[[Transaction], None]

log = logging.getLogger(__name__)


class BaseMeta:
    """What every model's Meta inherits; `bind` sets it once, before the first call."""

    region = "us-east-1"


class ConditionFailed(Exception):
    """A conditional write was refused; `failed` tells, item by item, which condition did it."""

    def __init__(self, failed: tuple[bool, ...] = (True,)) -> None:
        super().__init__()
        self.failed = failed


class IndexMissing(Exception):
    """The table has not the index that was asked; `resources optimize` adds it."""


def bind(tables: Iterable[tuple[type[Model], str]], region: str, threads: int) -> None:
    """Bind the models to their tables; all share one client, with a connection for each thread.

    Raises `SettingsError` when botocore makes none of what is set.
    """
    BaseMeta.region = region
    bound = []
    for model, table_name in tables:
        model.Meta.table_name = table_name
        bound.append(model)
    connection = wire.PreparedConnection(
        _prepare,
        region=region,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds=READ_TIMEOUT_SECONDS,
        max_retry_attempts=RETRIES,
        max_pool_connections=threads,
    )
    wire.share_connection(connection, bound)
    # botocore cannot make clients in several threads at once, so this one is made before there are any.
    try:
        _ = connection.client
    except BotoCoreError as error:
        # Such as a profile that none of AWS's files has.
        raise SettingsError(f"What is set of AWS cannot be used: {error}") from error


def _prepare(client: Any) -> None:
    wire.speak_plainly(client)
    wire.wait_out_refusals(client)
    wire.bound_answers(client, READ_TIMEOUT_SECONDS)
    tracing.watch(client)


def check(model: type[Model]) -> None:
    """Ask for the state of `model`'s table, once and briefly. Raises `Unavailable`."""
    with storage_failures():
        _impatient(BaseMeta.region).describe_table(model.Meta.table_name)


def estimated_items(model: type[Model]) -> int:
    """Return how many items DynamoDB says there are in `model`'s table, some hours behind.

    Raises `Unavailable`.
    """
    with storage_failures():
        described = wire.connection_of(model).describe_table(model.Meta.table_name) or {}
    return int(described.get("ItemCount", 0))


@cache
def _impatient(region: str) -> Connection:
    """Return the connection of `check`; to make a client takes far longer than to ask."""
    return wire.PreparedConnection(
        wire.speak_plainly,
        region=region,
        connect_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        read_timeout_seconds=READINESS_TIMEOUT_SECONDS,
        max_retry_attempts=0,
        max_pool_connections=1,
    )


def together(*parts: Also | None) -> Also:
    """Return what does all of `parts` in one transaction."""

    def also(transaction: Transaction) -> None:
        for part in parts:
            if part is not None:
                part(transaction)

    return also


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
    connection = wire.connection_of(model)
    for attempt in range(wire.CONFLICT_ATTEMPTS):
        try:
            with storage_failures(), TransactWrite(connection=connection) as transaction:
                fill(transaction)
            return
        except Unavailable as error:
            if not _is_conflict(error.__cause__) or attempt == wire.CONFLICT_ATTEMPTS - 1:
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

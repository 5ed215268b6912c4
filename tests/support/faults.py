"""The faults a test can ask of `FaultProxy`: what happens, to which requests, and how often.

For example `proxy.add(Fault(Answer.dynamodb("ThrottlingException"), operation="Query", times=2))`
throttles the next two queries and lets the third one pass.
"""

# Every action is offered all that any action may need.
# ruff: noqa: ARG002

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.wire import Piece


@dataclass(frozen=True)
class Request:
    """What a predicate sees. `path` is without its query; `body` is read for DynamoDB calls only."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def operation(self) -> str | None:
        """The DynamoDB operation, such as `TransactWriteItems`; None for other services."""
        target = self.headers.get("x-amz-target")
        return target.rpartition(".")[2] if target else None

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    def json(self) -> Any:
        """The body of a DynamoDB call."""
        return json.loads(self.body)


class DropConnection(Exception):
    """Close the client's connection here, with a reset unless `cleanly`."""

    def __init__(self, *, cleanly: bool = False) -> None:
        super().__init__()
        self.cleanly = cleanly


class Control:
    """What an action may do to time: both waits end early when the proxy stops."""

    def __init__(self, stopping: threading.Event, client_left: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._client_left = client_left

    def sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise DropConnection

    def wait_for_client_to_leave(self) -> None:
        while not self._client_left():
            self.sleep(0.02)


class Action:
    """A fault's effect, at four moments of an exchange; each does nothing unless overridden."""

    # How often the upstream hears the request before the one time whose answer the client gets.
    repeats = 0

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        """Runs before the upstream hears of the request; an `Answer` is sent in the upstream's place."""
        return None

    def request_body(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The request body as the upstream shall get it."""
        return pieces

    def before_reply(self, request: Request) -> None:
        """Runs when the upstream has answered and the client has not heard it yet."""

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:
        """The response body as the client shall see it."""
        return pieces


@dataclass(frozen=True)
class Refuse(Action):
    """Reset the connection as soon as the request's head is known; the upstream hears nothing."""

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        raise DropConnection


@dataclass(frozen=True)
class Delay(Action):
    """Forward only after so many seconds."""

    seconds: float

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        control.sleep(self.seconds)
        return None


@dataclass(frozen=True)
class Hang(Action):
    """Never answer and never forward, until the client gives up or the proxy stops."""

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        control.wait_for_client_to_leave()
        raise DropConnection


@dataclass(frozen=True)
class Answer(Action):
    """Answer in the upstream's place, which hears nothing of the request."""

    status: int
    content: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        return self

    @classmethod
    def dynamodb(cls, error: str, message: str = "a fault of the test's own", **more: Any) -> Answer:
        """An error as DynamoDB's JSON protocol spells it: 500 for its internal errors, 400 for all others."""
        server_side = error in ("InternalServerError", "InternalFailure", "ServiceUnavailable")
        kind = "com.amazon.coral.service" if "Throttling" in error else "com.amazonaws.dynamodb.v20120810"
        body = {"__type": f"{kind}#{error}", "message": message, **more}
        return cls(500 if server_side else 400, json.dumps(body).encode(), "application/x-amz-json-1.0")

    @classmethod
    def transaction_canceled(cls, *codes: str) -> Answer:
        """A cancelled TransactWriteItems, with one reason for each item: `TransactionConflict`, `None`."""
        reasons = [
            {"Code": code} if code == "None" else {"Code": code, "Message": f"{code} by the test"}
            for code in codes
        ]
        message = (
            "Transaction cancelled, please refer cancellation reasons for specific reasons "
            f"[{', '.join(codes)}]"
        )
        return cls.dynamodb(
            "TransactionCanceledException", message, Message=message, CancellationReasons=reasons
        )

    @classmethod
    def s3(cls, status: int, code: str, message: str = "a fault of the test's own") -> Answer:
        """An error as S3 spells it, such as 503 `SlowDown` or 500 `InternalError`."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>FAULT</RequestId></Error>"
        )
        return cls(status, body.encode(), "application/xml")


@dataclass(frozen=True)
class Cut(Action):
    """Break the connection when `after` bytes of the response body have gone, its length still promised."""

    after: int
    cleanly: bool = False

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:
        left = self.after
        for piece in pieces:
            if piece.payload and len(piece.data) >= left:
                yield Piece(piece.data[:left])
                # A reset throws away what the client has not read yet, so let the last bytes arrive first.
                control.sleep(0.05)
                raise DropConnection(cleanly=self.cleanly)
            left -= len(piece.data) if piece.payload else 0
            yield piece


@dataclass(frozen=True)
class LoseReply(Action):
    """Let the upstream do the work, then break the connection before a byte of its answer."""

    cleanly: bool = False

    def before_reply(self, request: Request) -> None:
        raise DropConnection(cleanly=self.cleanly)


@dataclass(frozen=True)
class CutSent(Action):
    """Break both connections when `after` bytes of the request body have gone to the upstream."""

    after: int

    def request_body(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        left = self.after
        for piece in pieces:
            if len(piece.data) >= left:
                yield Piece(piece.data[:left])
                raise DropConnection
            left -= len(piece.data)
            yield piece


@dataclass(frozen=True)
class Repeat(Action):
    """Send the request twice, as one does who takes an answer for lost; the second answer is given out."""

    repeats = 1


@dataclass(frozen=True)
class Drip(Action):
    """Hand out the response body at so many bytes a second."""

    bytes_per_second: float

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:
        step = max(1, int(self.bytes_per_second / 20))
        started, sent = time.monotonic(), 0
        for piece in pieces:
            if not piece.payload:
                yield piece
                continue
            for at in range(0, len(piece.data), step):
                part = piece.data[at : at + step]
                sent += len(part)
                due = started + sent / self.bytes_per_second
                control.sleep(max(0.0, due - time.monotonic()))
                yield Piece(part)


@dataclass(frozen=True)
class FlipBit(Action):
    """Turn one bit of the response body over, at a byte offset into that body."""

    offset: int
    bit: int = 0

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:
        at = 0
        for piece in pieces:
            if piece.payload and at <= self.offset < at + len(piece.data):
                changed = bytearray(piece.data)
                changed[self.offset - at] ^= 1 << self.bit
                yield Piece(bytes(changed))
            else:
                yield piece
            at += len(piece.data) if piece.payload else 0


@dataclass(frozen=True)
class Meanwhile(Action):
    """Call the test back when the upstream has answered and the client has not heard it yet."""

    callback: Callable[[Request], object]

    def before_reply(self, request: Request) -> None:
        self.callback(request)


@dataclass(frozen=True)
class Before(Action):
    """Call the test back right before the storage hears of a call."""

    callback: Callable[[], object]

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:
        self.callback()
        return None


class Fault:
    """An action, the requests it is for, and how many of those it hits.

    All given conditions must hold: `method`, a regular expression searched in `path`, a DynamoDB `operation`
    and a predicate `where`.  Of the matching requests the first `skip` pass, then `times` are hit (None:
    all).  `matched` counts the requests that met the conditions and `applied` those that were hit.
    """

    def __init__(
        self,
        action: Action,
        *,
        method: str | None = None,
        path: str | None = None,
        operation: str | None = None,
        where: Callable[[Request], bool] | None = None,
        skip: int = 0,
        times: int | None = None,
    ) -> None:
        self.action = action
        self._method = method
        self._path = re.compile(path) if path is not None else None
        self._operation = operation
        self._where = where
        self._skip = skip
        self._times = times
        self._lock = threading.Lock()
        self.matched = 0
        self.applied = 0

    def takes(self, request: Request) -> bool:
        """Count this request if it matches, and say whether it is to be hit."""
        if not self._matches(request):
            return False
        with self._lock:
            self.matched += 1
            hit = self.matched > self._skip and (self._times is None or self.applied < self._times)
            self.applied += hit
            return hit

    def _matches(self, request: Request) -> bool:
        return (
            (self._method is None or self._method == request.method)
            and (self._path is None or self._path.search(request.path) is not None)
            and (self._operation is None or self._operation == request.operation)
            and (self._where is None or self._where(request))
        )

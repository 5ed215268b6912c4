"""Log lines as JSON on standard output, with nothing in them that is secret.

Only what is passed by name is written.  An exception is written as its types
and the places it passed, never as its message, since a message may quote what
a client sent.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict

QUIET = ("botocore", "boto3", "urllib3", "pynamodb", "s3transfer")


def init(level: str) -> None:
    """Send every logger of the process to standard output as one JSON object a line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                _trace_without_messages,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def belong_to(request_id: str) -> None:
    """Give this thread's lines the request's id until its next request; it sends the body, too."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def _trace_without_messages(_: Any, __: str, event: EventDict) -> EventDict:
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = exception_chain(error)
    return event


def exception_chain(error: BaseException) -> list[dict[str, Any]]:
    """Return the exception and its causes as types and places, innermost last."""
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 8:
        frames = traceback.extract_tb(current.__traceback__)
        chain.append(
            {
                "type": type(current).__name__,
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        current = current.__cause__ or current.__context__
    return chain

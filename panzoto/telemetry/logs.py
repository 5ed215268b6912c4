"""Log lines with nothing in them that is secret: as JSON, or for a person at a terminal.

Only what is passed by name is written.  An exception is written as its types
and the places it passed, never as its message, since a message may quote what
a client sent.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import Any

import click
import structlog
from structlog.typing import EventDict

QUIET = ("botocore", "boto3", "urllib3", "pynamodb", "s3transfer")
# The route of the console's files, some hundred of which one look at it asks for.
CONSOLE_FILES = "/console/<digest>/<path:name>"


def init(level: str, production: bool = False) -> None:
    """Send every logger of the process to standard output, a line for each event.

    A command's standard output is for what it prints, so its lines go to standard
    error. Programs get JSON, and so does whoever watches the service in
    production; a person who watches it at a terminal or runs a command there
    gets words, and none of the console's files that were there.
    """
    is_command = click.get_current_context(silent=True) is not None
    stream = sys.stderr if is_command else sys.stdout
    words = stream.isatty() and (is_command or not production)
    handler = logging.StreamHandler(stream)
    if words:
        handler.addFilter(is_worth_watching)
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
                _in_words if words else structlog.processors.JSONRenderer(),
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


def is_worth_watching(record: logging.LogRecord) -> bool:
    """Whether a person at a terminal is to see it; a file of the console is, where it could not be had."""
    told = vars(record)
    return told.get("route") != CONSOLE_FILES or told.get("status", 500) >= 400


def _trace_without_messages(_: Any, __: str, event: EventDict) -> EventDict:
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = exception_chain(error)
    return event


def _in_words(_: Any, __: str, event: EventDict) -> str:
    return in_words(event)


def in_words(event: EventDict) -> str:
    """Return one event as a person reads it: the time here, what happened, and the rest as name=value."""
    left = dict(event)
    for told in ("timestamp", "logger", "request_id"):
        left.pop(told, None)
    level, what = left.pop("level", "info"), _shown(left.pop("event", ""))
    trace = "".join(_trace_in_words(one) for one in left.pop("exception", []))
    if what == "request":
        route = left.pop("route", "") or "(no such address)"
        what = (
            f"{left.pop('method', '')} {route} {left.pop('status', '')}, {left.pop('duration_ms', 0):.0f} ms"
        )
        left.pop("user_id", None)
    elif level != "info":
        what = f"{level}: {what}"
    rest = "".join(f" {name}={_shown(value)}" for name, value in left.items() if value not in ("", None))
    return f"{time.strftime('%H:%M:%S')}  {what}{rest}{trace}"


def _trace_in_words(one: dict[str, Any]) -> str:
    return "".join([f"\n          {one['type']}", *(f"\n            {frame}" for frame in one["frames"])])


def _shown(value: Any) -> str:
    """Return a value as text in which no character moves a terminal's cursor."""
    text = str(value)
    return text if text.isprintable() else repr(text)


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

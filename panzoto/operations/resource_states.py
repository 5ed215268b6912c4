"""What looking at the resources and making them tells: their states, what was made, what is not allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from panzoto.errors import PanzotoError, Unavailable
from panzoto.models.refusals import code_of, refused
from panzoto.queues.queue import QueueUnavailable

# These are commands: somebody waits for them, and there is time.
CONFIG = Config(connect_timeout=2, read_timeout=15, retries={"total_max_attempts": 3})

# What an AWS without SQS, or with a stand-in's half of it, may answer.
NO_QUEUE = (QueueUnavailable, BotoCoreError, ClientError, ResponseParserError)

Report = Callable[[str], None]


def silent(_: str) -> None:
    """Report to nobody."""


class ResourceError(PanzotoError):
    """A table or the bucket cannot be made as it must be; the sentence says which and why."""


@dataclass(slots=True)
class State:
    """One table, the bucket or one queue as it is now, for `list`."""

    name: str
    kind: str
    status: str
    facts: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Prepared:
    """What preparing for a release came to; each line names a thing, and the right that is missing."""

    made: list[str] = field(default_factory=list)
    # Not there, and may not be made.
    refused: list[str] = field(default_factory=list)
    # Nobody may look whether it is there.
    unseen: list[str] = field(default_factory=list)
    without_index: list[str] = field(default_factory=list)


@contextmanager
def noting_refusals(lines: list[str], name: str) -> Iterator[None]:
    """Add to `lines` what `name` would have needed where AWS denies it."""
    try:
        yield
    except ClientError as error:
        if "AccessDenied" not in code_of(error):
            raise
        lines.append(f"{name}: {error.operation_name}")
    except QueueUnavailable as error:
        if not error.is_denied:
            raise
        lines.append(f"{name}: {error.operation}")


@contextmanager
def aws_failures() -> Iterator[None]:
    """Turn what the SDK raises into `Unavailable` or `ResourceError`."""
    try:
        yield
    except ClientError as error:
        raise ResourceError(refused(error.operation_name, code_of(error))) from error
    except QueueUnavailable as error:
        if not error.operation:
            raise Unavailable(f"AWS cannot be reached: {error.reason}") from error
        raise ResourceError(refused(error.operation, error.reason)) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise Unavailable(f"AWS cannot be reached: {type(error).__name__}") from error

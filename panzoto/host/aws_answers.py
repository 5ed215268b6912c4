"""Answers with a good status that are none: a portal's page, or an empty document, in the place of AWS's own.

botocore reads one as an answer in which everything is missing, so that a list of objects would be empty, and
what is to be erased erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.parsers import ResponseParserError

# By operation, of which members each of its answers has one at least.
Members = Mapping[str, tuple[str, ...]]


def require(client: Any, members: Members) -> None:
    """Let `client` raise botocore's `ResponseParserError` for what is no answer.

    Of operations that `members` does not name everything is an answer.
    """

    def check(parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        wanted = members.get(model.name, ())
        went_well = parsed["ResponseMetadata"]["HTTPStatusCode"] < 300
        if went_well and wanted and not any(name in parsed for name in wanted):
            raise ResponseParserError(f"what came is no answer to {model.name}")

    client.meta.events.register("after-call", check)

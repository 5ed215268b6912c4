"""Answers that are none: a portal's page, or an empty document, in the place of AWS's own.

botocore reads one with a good status as an answer in which everything is missing, so that a list of objects
would be empty, and what is to be erased erased.  Upon a redirect of S3 it asks for the bucket's region by a
call that is redirected as well, and so on until the stack is full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.parsers import ResponseParserError

# What botocore takes for a redirect. With its own, S3 sends the region of the bucket, or at least a code of
# its own (Amazon S3 API Reference, Error Responses).
FOLLOWED = (301, 302, 307)
REGION_HEADER = "x-amz-bucket-region"
REDIRECTS = ("PermanentRedirect", "TemporaryRedirect")

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


def follow_no_stranger(client: Any) -> None:
    """Let `client`, of S3, raise botocore's `ResponseParserError` for a redirect that is not S3's own."""

    def check(response: tuple[Any, Mapping[str, Any]] | None, operation: Any, **_: Any) -> None:
        if response is None:
            return
        parsed = response[1]
        told = parsed["ResponseMetadata"]
        is_own = REGION_HEADER in told["HTTPHeaders"] or parsed.get("Error", {}).get("Code") in REDIRECTS
        if told["HTTPStatusCode"] in FOLLOWED and not is_own:
            raise ResponseParserError(f"what came is no answer to {operation.name}")

    # Before botocore itself looks at what came.
    client.meta.events.register_first("needs-retry.s3", check)

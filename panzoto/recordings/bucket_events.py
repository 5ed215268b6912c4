"""The bucket's own events, through SQS: uploads whose phone never said `complete` are committed too.

Events come twice, late and out of order, and none of that matters: each only
says "look at this key", and looking twice changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from panzoto.errors import Unavailable
from panzoto.recordings.uploads import Uploads

WAIT_SECONDS = 20
MESSAGES_AT_ONCE = 10
LONGEST_KEY_BYTES = 1024

log = logging.getLogger(__name__)


class BucketEvents:
    """One queue of ObjectCreated events."""

    def __init__(self, queue_name: str, region: str, uploads: Uploads) -> None:
        # A long poll is answered after twenty seconds when there is nothing.
        config = Config(connect_timeout=2, read_timeout=WAIT_SECONDS + 5, retries={"total_max_attempts": 2})
        self._sqs = boto3.client("sqs", region_name=region, config=config)
        self._queue_name = queue_name
        self._uploads = uploads
        # Whether there is nothing in hand, so that the wait may be broken off anywhere.
        self.is_waiting = False

    def work(self, going_on: Callable[[], bool]) -> int:
        """Handle messages as long as `going_on`; return how many recordings they committed.

        Raises `Unavailable` when the queue cannot be reached.
        """
        committed = 0
        try:
            url = self._sqs.get_queue_url(QueueName=self._queue_name)["QueueUrl"]
            while going_on():
                for message in self._next_messages(url):
                    committed += self._handle(url, message)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable() from error
        return committed

    def _next_messages(self, url: str) -> list[dict[str, Any]]:
        self.is_waiting = True
        try:
            answer = self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=MESSAGES_AT_ONCE, WaitTimeSeconds=WAIT_SECONDS
            )
        finally:
            self.is_waiting = False
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _handle(self, url: str, message: dict[str, Any]) -> int:
        """Handle one message and delete it; one that met a failure stays and comes again."""
        try:
            committed = sum(self._uploads.arrived(s3_key) for s3_key in keys_in(message["Body"]))
        except Unavailable:
            log.warning("bucket_event_postponed")
            return 0
        self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return committed


def keys_in(body: str) -> list[str]:
    """Return the keys of the objects that an event message says were created; none for any other message."""
    try:
        records = json.loads(body).get("Records", [])
        keys = [
            unquote_plus(record["s3"]["object"]["key"])
            for record in records
            if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:")
        ]
        # What is no key of S3, DynamoDB could not look for either, and the message would come for ever.
        return [s3_key for s3_key in keys if 0 < len(s3_key.encode()) <= LONGEST_KEY_BYTES]
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("bucket_event_not_understood")
        return []

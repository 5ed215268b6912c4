"""One queue of SQS. This is the only module that speaks SQS; its SDK's errors do not leave it."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from panzoto.errors import Unavailable
from panzoto.host import aws_answers
from panzoto.queues.queue_definition import (
    QUEUE_ATTRIBUTES,
    RETENTION,
    dead_letter_name,
    queue_policy,
    redrive_policy,
)

# SQS gives out no more at once (API reference, ReceiveMessage).
MOST_AT_ONCE = 10
# Whoever is told to stop while asking waits for the answer, so that no message is given out to nobody.
POLL_SECONDS = 5

# Whoever works on a queue, or runs a command, has time; a request that sends something has little.
PATIENT = Config(connect_timeout=2, read_timeout=POLL_SECONDS + 10, retries={"total_max_attempts": 2})
HASTY = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})

# What tells that SQS has answered; see `aws_answers`. To ReceiveMessage nothing at all is an answer.
ANSWERED: aws_answers.Members = {
    "CreateQueue": ("QueueUrl",),
    "GetQueueUrl": ("QueueUrl",),
    "SendMessage": ("MessageId",),
    "SendMessageBatch": ("Successful", "Failed"),
}

log = logging.getLogger(__name__)

_MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class QueueUnavailable(Unavailable):
    """SQS did not do what it was asked; `operation` and `reason` are AWS's own names, or empty.

    They are for logs and operators; clients are told what is told of any storage.
    """

    def __init__(self, sentence: str | None = None, operation: str = "", reason: str = "") -> None:
        super().__init__(sentence)
        self.operation = operation
        self.reason = reason

    @property
    def is_denied(self) -> bool:
        """Whether the rights do not reach so far."""
        return "AccessDenied" in self.reason


@dataclass(frozen=True, slots=True)
class Message:
    """One message in hand. `received` tells how many times it was given out, this time included."""

    message_id: str
    body: str = field(repr=False)
    receipt: str = field(repr=False)
    received: int


class Queue:
    """A queue by its name, whether or not it is there."""

    def __init__(self, name: str, region: str, patience: Config = PATIENT) -> None:
        self.name = name
        self._sqs = boto3.client("sqs", region_name=region, config=patience)
        aws_answers.require(self._sqs, ANSWERED)
        # By name, since siblings have it together.
        self._known_urls: dict[str, str] = {}

    def sibling(self, name: str) -> Queue:
        """Return another queue of the same region, reached by the same client."""
        other = copy.copy(self)
        other.name = name
        return other

    def is_there(self) -> bool:
        """Raises `QueueUnavailable` where nobody can tell."""
        return self._url_of(self.name) is not None

    def inbox(self) -> Inbox:
        """Return the queue for who works on its messages. Raises `QueueUnavailable`."""
        url = self._url()
        return Inbox(self._sqs, url, self.name, self._redrives_as_far_as_known(url))

    def send(self, body: str, group: str | None = None, *, delay_seconds: int = 0) -> None:
        """Send a message, which comes to nobody before `delay_seconds` (900 at most).

        SQS lets none of the groups wait for the many messages of another (fair queues).
        Raises `QueueUnavailable`.
        """
        with _failures(), self._known_url() as url:
            message: dict[str, Any] = {"QueueUrl": url, "MessageBody": body, "DelaySeconds": delay_seconds}
            try:
                self._sqs.send_message(**message if group is None else {**message, "MessageGroupId": group})
            except ClientError as error:
                # A stand-in may know groups of FIFO queues only.
                if group is None or _code(error) != "InvalidParameterValue":
                    raise
                self._sqs.send_message(**message)

    def send_all(self, messages: Sequence[tuple[str, str]]) -> None:
        """Send up to `MOST_AT_ONCE` messages of (body, group) in one request; in any case all or a failure.

        Some may have been sent when it fails. Raises `QueueUnavailable`.
        """
        with _failures(), self._known_url() as url:
            entries: list[dict[str, Any]] = [
                {"Id": str(number), "MessageBody": body, "MessageGroupId": group}
                for number, (body, group) in enumerate(messages)
            ]
            answer = self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
            if any(one.get("Code") == "InvalidParameterValue" for one in answer.get("Failed", [])):
                # A stand-in may know groups of FIFO queues only.
                without = [{key: entry[key] for key in ("Id", "MessageBody")} for entry in entries]
                answer = self._sqs.send_message_batch(QueueUrl=url, Entries=without)
            if answer.get("Failed"):
                reason = answer["Failed"][0].get("Code", "")
                raise QueueUnavailable(operation="SendMessageBatch", reason=reason)

    def waiting(self) -> int:
        """Return about how many messages wait to be given out. Raises `QueueUnavailable`."""
        name = "ApproximateNumberOfMessages"
        with _failures():
            answer = self._sqs.get_queue_attributes(QueueUrl=self._url(), AttributeNames=[name])
        return int(answer["Attributes"][name])

    def create(self) -> bool:
        """Make the queue, and the one of its failures, where they are missing; whether it was this one.

        Raises `QueueUnavailable`.
        """
        with _failures():
            made = self._url_of(self.name) is None
            if made:
                self._sqs.create_queue(QueueName=self.name, Attributes=QUEUE_ATTRIBUTES)
            return made

    def create_dead_letters(self) -> bool:
        """Make the queue of failures and let SQS move them there, where it does not; whether it had to be.

        Raises `QueueUnavailable`.
        """
        with _failures():
            dead = dead_letter_name(self.name)
            url = self._url_of(self.name)
            if url is not None and self._redrives(url):
                return False
            if self._url_of(dead) is None:
                self._sqs.create_queue(QueueName=dead, Attributes=RETENTION)
            policy = redrive_policy(self._arn_of(dead))
            self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
            return True

    def accept_from(self, bucket: str) -> str:
        """Let the bucket write to the queue, and return the queue's ARN. Raises `QueueUnavailable`."""
        with _failures():
            arn = self._arn_of(self.name)
            policy = json.dumps(queue_policy(arn, f"arn:aws:s3:::{bucket}"))
            self._sqs.set_queue_attributes(QueueUrl=self._url_of(self.name), Attributes={"Policy": policy})
            return arn

    def delete(self) -> list[str]:
        """Delete the queue and that of its failures; return the names of those there were.

        Raises `QueueUnavailable`.
        """
        with _failures():
            names = (self.name, dead_letter_name(self.name))
            there = {name: url for name in names if (url := self._url_of(name)) is not None}
            for url in there.values():
                self._sqs.delete_queue(QueueUrl=url)
            return list(there)

    @contextmanager
    def _known_url(self) -> Iterator[str]:
        """Give the queue's URL, which is looked up once, and again after SQS did not know the queue."""
        url = self._known_urls[self.name] = self._known_urls.get(self.name) or self._url()
        try:
            yield url
        except ClientError as error:
            if _code(error) in _MISSING:
                self._known_urls.pop(self.name, None)
            raise

    def _url(self) -> str:
        url = self._url_of(self.name)
        if url is None:
            raise QueueUnavailable(f"There is no queue {self.name}", reason="missing")
        return url

    def _url_of(self, name: str) -> str | None:
        with _failures():
            try:
                url: str = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return url

    def _arn_of(self, name: str) -> str:
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url_of(name), AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def _redrives_as_far_as_known(self, url: str) -> bool:
        """Whether the queue has a redrive policy; so it is taken to be where the rights are of before."""
        try:
            return self._redrives(url)
        except QueueUnavailable as error:
            if not error.is_denied:
                raise
            log.warning("redrive_policy_unknown", extra={"operation": error.operation})
            return True

    def _redrives(self, url: str) -> bool:
        with _failures():
            answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        return bool(answer.get("Attributes", {}).get("RedrivePolicy"))


# botocore cannot make clients in several threads at once.
_making = threading.Lock()


class LazyQueue:
    """A queue for a request that sends to it, now and then; its client is made when the first message is.

    A send takes two seconds at the worst, and as many again where the queue is yet to be found.
    """

    def __init__(self, name: str, region: str) -> None:
        self._which = (name, region, HASTY)
        self._queue: Queue | None = None

    def send(self, body: str, group: str | None = None, *, delay_seconds: int = 0) -> None:
        """Send a message as `Queue.send` does. Raises `QueueUnavailable`."""
        with _making:
            self._queue = self._queue or Queue(*self._which)
        self._queue.send(body, group, delay_seconds=delay_seconds)


class Inbox:
    """A queue that was found, for who works on its messages; any number of threads may share it.

    `redrives` tells whether SQS itself moves what has failed too often.
    """

    def __init__(self, sqs: Any, url: str, name: str, redrives: bool) -> None:
        self._sqs = sqs
        self._url = url
        self._name = name
        self.redrives = redrives

    def receive(self, most: int, hidden_seconds: int, poll_seconds: int = POLL_SECONDS) -> list[Message]:
        """Return up to `most` messages, which nobody else gets for `hidden_seconds`.

        Waits up to `poll_seconds` for the first one, `POLL_SECONDS` at most. Raises `QueueUnavailable`.
        """
        with _failures():
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, MOST_AT_ONCE),
                VisibilityTimeout=hidden_seconds,
                WaitTimeSeconds=min(poll_seconds, POLL_SECONDS),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        return [_message(entry) for entry in answer.get("Messages", [])]

    def hold(self, message: Message, hidden_seconds: int) -> None:
        """Hide the message for so long from now on; 0 gives it back. Raises `QueueUnavailable`."""
        with _failures():
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=hidden_seconds
            )

    def delete(self, message: Message) -> None:
        """Take the message out for good. Raises `QueueUnavailable`."""
        with _failures():
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def put_aside(self, message: Message) -> None:
        """Move the message to the queue of failures; it is there before it is gone here.

        Raises `QueueUnavailable`.
        """
        with _failures():
            dead = self._sqs.get_queue_url(QueueName=dead_letter_name(self._name))["QueueUrl"]
            self._sqs.send_message(QueueUrl=dead, MessageBody=message.body)
        self.delete(message)


def _message(entry: dict[str, Any]) -> Message:
    received = int(entry.get("Attributes", {}).get("ApproximateReceiveCount", 1))
    return Message(entry["MessageId"], entry["Body"], entry["ReceiptHandle"], received)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise QueueUnavailable(operation=error.operation_name, reason=_code(error)) from error
    except (BotoCoreError, ResponseParserError) as error:
        # The name tells an operator what is the matter, and nothing else.
        raise QueueUnavailable(reason=type(error).__name__) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))

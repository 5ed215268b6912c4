"""A bucket whose objects are made from their keys, and a queue; they keep only what was done since."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from bench.support.synthetic_people import EACH, People, Recording
from panzoto import object_keys

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
VERSION = "v1"
# Status, headers and body.
Answer = tuple[int, dict[str, str], bytes]


class Bucket:
    """Everybody's objects, one version each; it answers what looks, lists and removes."""

    def __init__(self, people: People) -> None:
        self._people = people
        self.removed: set[str] = set()

    def answer(self, method: str, target: str) -> tuple[str, Answer]:
        """Return what was asked, by its name in the SDK, and the answer. Raises `KeyError` for all else."""
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        s3_key = unquote(path).lstrip("/").partition("/")[2]
        if method == "GET" and "versions" in asked:
            return "ListObjectVersions", self._versions(asked)
        if method == "GET" and "uploads" in asked:
            return "ListMultipartUploads", self._xml("ListMultipartUploadsResult", _truncated(None))
        if method == "HEAD" and s3_key:
            return "HeadObject", self._head(s3_key)
        if method == "DELETE" and s3_key:
            self.removed.add(s3_key)
            return "DeleteObject", (204, {}, b"")
        raise KeyError(method)

    def _there(self, s3_key: str) -> Recording | None:
        one = self._people.of_key(s3_key)
        return one if one is not None and one.has_object and s3_key not in self.removed else None

    def _head(self, s3_key: str) -> Answer:
        one = self._there(s3_key)
        if one is None:
            return 404, {}, b""
        # The length is that of the object, and no body follows.
        return 200, {"ETag": _etag(one), "Content-Length": str(one.size), "Last-Modified": _date(one)}, b""

    def _versions(self, asked: dict[str, list[str]]) -> Answer:
        prefix = asked.get("prefix", [""])[0]
        most = int(asked.get("max-keys", ["1000"])[0])
        found, more = self._listed(prefix, asked.get("key-marker", [""])[0], most)
        versions = "".join(
            f"<Version><Key>{escape(one.s3_key)}</Key><VersionId>{VERSION}</VersionId><IsLatest>true</IsLatest>"
            f"<LastModified>{_moment(one)}</LastModified><ETag>{escape(_etag(one))}</ETag>"
            f"<Size>{one.size}</Size><StorageClass>STANDARD</StorageClass></Version>"
            for one in found
        )
        return self._xml("ListVersionsResult", _truncated(found[-1].s3_key if more else None) + versions)

    def _listed(self, prefix: str, after: str, most: int) -> tuple[list[Recording], bool]:
        """Return the objects of a prefix after a key, in order, and whether there are more."""
        if not prefix.startswith(object_keys.UPLOADS):
            return [], False
        _, _, rest = prefix.partition("/")
        user_id, slash, file_id = rest.partition("/")
        first, last = 0, self._people.count * EACH
        if slash:
            owner = self._people.owner(user_id)
            if owner is None:
                return [], False
            first, last = owner * EACH, (owner + 1) * EACH
        if file_id:
            one = self._people.of_key(prefix)
            return ([one] if one is not None and self._there(prefix) else []), False
        before = self._people.of_key(after) if after else None
        at = first if before is None else before.owner * EACH + before.index + 1
        found: list[Recording] = []
        while at < last and len(found) < most:
            one = self._people.recording(*divmod(at, EACH))
            at += 1
            if one.has_object and one.s3_key not in self.removed:
                found.append(one)
        return found, at < last and bool(found)

    @staticmethod
    def _xml(name: str, content: str) -> Answer:
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} {NAMESPACE}>{content}</{name}>'
        return 200, {"Content-Type": "application/xml"}, body.encode()


def _truncated(last: str | None) -> str:
    if last is None:
        return "<IsTruncated>false</IsTruncated>"
    key = escape(last)
    return (
        f"<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>"
        f"<NextVersionIdMarker>{VERSION}</NextVersionIdMarker>"
    )


def _etag(one: Recording) -> str:
    return f'"{one.owner * EACH + one.index:032x}"'


def _moment(one: Recording) -> str:
    return datetime.fromtimestamp(one.uploaded_at, UTC).isoformat().replace("+00:00", ".000Z")


def _date(one: Recording) -> str:
    return datetime.fromtimestamp(one.uploaded_at, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


@dataclass
class _Held:
    body: str
    message_id: str
    until: float = 0.0
    received: int = 0


class Queue:
    """One queue of SQS, whatever its name is."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, _Held] = OrderedDict()
        self._hidden: OrderedDict[str, _Held] = OrderedDict()

    def answer(self, operation: str, request: dict[str, Any], url: str) -> dict[str, Any] | None:
        """Return what SQS answers; None for a poll that brings nothing yet. Raises `KeyError`."""
        match operation:
            case "GetQueueUrl":
                return {"QueueUrl": f"{url}/queues/{request['QueueName']}"}
            case "GetQueueAttributes":
                return {"Attributes": self._attributes()}
            case "SendMessageBatch":
                sent = [(entry["Id"], self._send(entry["MessageBody"])) for entry in request["Entries"]]
                return {"Successful": [{"Id": one, "MessageId": name} for one, name in sent], "Failed": []}
            case "ReceiveMessage":
                return self._receive(request)
            case "DeleteMessage":
                self._hidden.pop(request["ReceiptHandle"], None)
                return {}
            case "ChangeMessageVisibility":
                self._hold(request["ReceiptHandle"], request["VisibilityTimeout"])
                return {}
        raise KeyError(operation)

    def is_empty(self) -> bool:
        return not self._waiting and not self._hidden

    def _attributes(self) -> dict[str, str]:
        dead = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:dead","maxReceiveCount":720}'
        return {"ApproximateNumberOfMessages": str(len(self._waiting)), "RedrivePolicy": dead}

    def _send(self, body: str) -> str:
        message_id = str(uuid.uuid4())
        self._waiting[message_id] = _Held(body, message_id)
        return message_id

    def _hold(self, receipt: str, seconds: int) -> None:
        held = self._hidden.get(receipt)
        if held is not None:
            held.until = time.monotonic() + seconds

    def _receive(self, request: dict[str, Any]) -> dict[str, Any] | None:
        moment = time.monotonic()
        for receipt in [name for name, held in self._hidden.items() if held.until <= moment]:
            held = self._hidden.pop(receipt)
            self._waiting[held.message_id] = held
        messages = []
        while self._waiting and len(messages) < request.get("MaxNumberOfMessages", 1):
            _, held = self._waiting.popitem(last=False)
            held.received += 1
            held.until = moment + request["VisibilityTimeout"]
            receipt = f"{held.message_id}-{held.received}"
            self._hidden[receipt] = held
            messages.append(
                {
                    "MessageId": held.message_id,
                    "ReceiptHandle": receipt,
                    "Body": held.body,
                    "Attributes": {"ApproximateReceiveCount": str(held.received)},
                }
            )
        return {"Messages": messages} if messages else None

"""moto's server with one DynamoDB request at a time: `python -m tests.support.serial_moto PORT [DAYS]`.

moto checks the conditions of a transaction and then writes, with nothing to
keep another request from coming in between, and undoes a failed one by
putting back what the tables were before.  DynamoDB's transactions are
serializable, so a stand-in for tests of races must be as well.

With DAYS, objects look as if they had been put so many days ago: what is
young is left alone by the sweep, and no test can wait for a day.

At `FILLED`, GET tells as JSON which tables have items, and DELETE empties them, the buckets and the queues.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.s3 import models as s3
from moto.sqs.models import sqs_backends

from tests.support import moto_shortcuts
from tests.support.aws import FILLED
from tests.support.aws_calls import RECORD, Recorder
from tests.support.moto_loaded import APPLICATION
from tests.support.moto_routes import Straight
from tests.support.wsgi_server import listen, serve


class OneAtATime:
    """A WSGI application whose DynamoDB calls never overlap."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == FILLED:
            with self._lock:
                return filled_tables(environ["REQUEST_METHOD"], start_response)
        if "DynamoDB" not in environ.get("HTTP_X_AMZ_TARGET", ""):
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


def filled_tables(method: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    filled = [table for table in _tables() if any(table.all_items())]
    if method == "DELETE":
        for table in filled:
            table.items.clear()
        for bucket in _buckets():
            for s3_key in bucket.keys:
                bucket.keys.setlist(s3_key, [])
            bucket.keys.clear()
            for upload in list(bucket.multiparts):
                del bucket.multiparts[upload]
        for queues in sqs_backends.values():
            for backend in queues.values():
                # To purge a queue is allowed once a minute.
                for queue in backend.queues.values():
                    queue._messages.clear()
                    queue.pending_messages.clear()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([table.name for table in filled]).encode()]


def _tables() -> Iterator[Table]:
    for regions in dynamodb_backends.values():
        for backend in regions.values():
            yield from backend.tables.values()


def _buckets() -> Iterator[s3.FakeBucket]:
    for regions in s3.s3_backends.values():
        for backend in regions.values():
            yield from backend.buckets.values()


def undo_item_by_item() -> None:
    """Let a transaction that fails put back its own items.

    moto copies every table that a transaction names, whole and before each of them, to put it back if need
    be; with a thousand items in a table that takes longer than everything else.
    """
    write = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
        before = list(_copies(backend, items))
        # Only one request is here at a time.
        Table.__deepcopy__ = lambda table, _: table
        try:
            write(backend, items)
        except Exception:
            for was in before:
                _put_back(*was)
            raise
        finally:
            del Table.__deepcopy__

    DynamoDBBackend.transact_write_items = transact_write_items


def _copies(
    backend: DynamoDBBackend, items: list[dict[str, Any]]
) -> Iterator[tuple[Table, DynamoType, DynamoType | None, Item | None]]:
    """Yield where the items are that a transaction names, and what they are now."""
    for item in items:
        for operation in item.values():
            table = backend.tables.get(operation.get("TableName"))
            # What has no key is refused by moto.
            with suppress(MockValidationException):
                if table is not None:
                    named = operation.get("Key") or operation.get("Item") or {}
                    key = backend.get_keys_value(table, named)
                    yield table, *key, copy.deepcopy(table.get_item(*key))


def _put_back(table: Table, first: DynamoType, second: DynamoType | None, was: Item | None) -> None:
    items = table.items if second is None else table.items[first]
    key = first if second is None else second
    if was is None:
        items.pop(key, None)
    else:
        items[key] = was


def list_without_contents() -> None:
    """Let a list of versions copy what it tells of each, and not what each holds.

    moto copies the whole bucket for each page of each list, to note in the copies which version is latest.
    """

    def copied(version: s3.FakeKey, _: dict[int, Any]) -> s3.FakeKey:
        told = s3.FakeKey.__new__(s3.FakeKey)
        # The one in the bucket has its tag by now, so none is computed from what the copy does not have.
        told.__dict__.update(version.__dict__, _etag=version.etag.strip('"'))
        told.__dict__.update(_value_buffer=io.BytesIO(), multipart=None, disposed=True)
        return told

    s3.FakeKey.__deepcopy__ = copied


def age_objects(days: int) -> None:
    """Let S3's clock, and nobody else's, stand so many days back."""

    def earlier() -> datetime:
        return utcnow() - timedelta(days=days)

    s3.utcnow = earlier


if __name__ == "__main__":
    age_objects(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    undo_item_by_item()
    moto_shortcuts.take_all()
    list_without_contents()
    application: Callable[..., Iterable[bytes]] = OneAtATime(Straight(APPLICATION))
    if RECORD in os.environ:
        application = Recorder(application, Path(os.environ[RECORD]) / f"{os.getpid()}.jsonl")
    with listen(int(sys.argv[1])) as listener:
        serve(listener, application)

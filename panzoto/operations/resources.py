"""Tables, bucket and queue as they must be: create, prepare, list, optimize, delete.

`create` makes what is missing and hardens what it made; `optimize` brings
existing resources up to date without touching data. Both may be run any
number of times and by several processes at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from panzoto.config import Settings
from panzoto.operations.bucket import Bucket
from panzoto.operations.resource_states import (
    Prepared,
    Report,
    State,
    aws_failures,
    code_of,
    noting_refusals,
    silent,
)
from panzoto.operations.tables import Tables
from panzoto.queues.queue import Queue, QueueUnavailable
from panzoto.queues.queue_definition import dead_letter_name

# What an AWS without SQS, or with a stand-in's half of it, may answer.
NO_QUEUE = (QueueUnavailable, BotoCoreError, ClientError, ResponseParserError)


class Resources:
    """The tables, the bucket and the queue of one set of settings. `report` gets a line for each step."""

    def __init__(self, settings: Settings, report: Report = silent) -> None:
        self._settings = settings
        self._report = report
        self._tables = Tables(settings.region, report)
        self._bucket = Bucket(settings, report)
        self._queue = Queue(settings.events_queue, settings.region)
        self._transcriptions = self._queue.sibling(settings.transcription.queue)

    @property
    def table_names(self) -> list[str]:
        return [definition.name for definition in self._tables.definitions]

    def create(self) -> None:
        """Make what is missing, wait until it is active, harden it. Raises `ResourceError`, `Unavailable`."""
        with aws_failures():
            self._tables.create()
            self._bucket.create()
            self._bucket.harden()
        self._create_queue()

    def prepare(self) -> Prepared:
        """Make the tables and the queue that a release needs and that are not there; touch nothing else.

        What the rights do not allow is returned and stops nothing else. Raises
        `ResourceError` and `Unavailable`.
        """
        outcome = Prepared()
        with aws_failures():
            for definition in self._tables.definitions:
                self._tables.prepare(definition, outcome)
            self._prepare_queue(outcome)
            self._prepare_transcriptions(outcome)
        return outcome

    def optimize(self) -> None:
        """Add what existing tables and bucket lack. No data is touched."""
        with aws_failures():
            self._tables.optimize()
            self._bucket.harden()
        self._create_queue()

    def harden_tables(self, names: Collection[str]) -> None:
        """Turn on what these tables must have and lack: restored ones have neither backups nor TTL."""
        with aws_failures():
            for definition in self._tables.definitions:
                if definition.name in names:
                    self._tables.harden(definition)

    def states(self) -> Iterator[State]:
        """Yield each table's and the bucket's state."""
        with aws_failures():
            yield from self._tables.states()
            yield self._bucket.state()
        yield self._queue_state()
        yield self._transcriptions_state()

    def delete(self) -> None:
        """Delete every table, and the bucket only if it is empty. The caller has asked for confirmation."""
        with aws_failures():
            self._tables.delete()
            self._bucket.delete()
        self._delete_queue()

    def _prepare_queue(self, outcome: Prepared) -> None:
        queue = self._queue.name
        with noting_refusals(outcome.unseen, f"queue {queue}"):
            if self._queue.is_there():
                return
            with noting_refusals(outcome.refused, f"queue {queue}"):
                self._make_queue()
                outcome.made.append(f"queue {queue}")

    def _prepare_transcriptions(self, outcome: Prepared) -> None:
        name = self._transcriptions.name
        with noting_refusals(outcome.unseen, f"queue {name}"):
            if self._transcriptions.is_there() and self._dead_transcriptions.is_there():
                return
            with noting_refusals(outcome.refused, f"queue {name}"):
                self._make_transcriptions_queue()
                outcome.made.append(f"queue {name}")

    def _create_queue(self) -> None:
        """Make the queue of the bucket's events and let the bucket write to it.

        The service works without it, only phones must then say `complete`
        themselves; so an AWS that has no SQS is told of and does not stop the rest.
        """
        try:
            self._make_queue()
        except NO_QUEUE as error:
            self._report(
                f"queue {self._queue.name}: cannot be made ({_reason(error)});"
                " uploads are committed by phones only"
            )
        try:
            self._make_transcriptions_queue()
        except NO_QUEUE as error:
            name = self._transcriptions.name
            self._report(f"queue {name}: cannot be made ({_reason(error)}); nothing is transcribed")

    def _make_queue(self) -> None:
        queue = self._queue.name
        if self._queue.create():
            self._report(f"queue {queue}: created")
        if self._queue.create_dead_letters():
            self._report(f"queue {queue}: what fails for a day goes to {dead_letter_name(queue)}")
        if not self._bucket.notifies(queue):
            self._bucket.notify(self._queue.accept_from(self._settings.bucket))
            self._report(f"queue {queue}: gets the bucket's events")

    def _make_transcriptions_queue(self) -> None:
        """Make the queue of transcriptions and that of the failed ones, into which the worker moves them."""
        for queue in (self._transcriptions, self._dead_transcriptions):
            if queue.create():
                self._report(f"queue {queue.name}: created")

    @property
    def _dead_transcriptions(self) -> Queue:
        return self._transcriptions.sibling(dead_letter_name(self._transcriptions.name))

    def _transcriptions_state(self) -> State:
        queue = self._transcriptions
        try:
            there = queue.is_there() and self._dead_transcriptions.is_there()
        except NO_QUEUE:
            return State(queue.name, "queue", "unreachable")
        return State(queue.name, "queue", "active" if there else "missing", {})

    def _queue_state(self) -> State:
        queue = self._queue.name
        try:
            there = self._queue.is_there()
            facts = {"bucket's events": "on" if there and self._bucket.notifies(queue) else "off"}
        except NO_QUEUE:
            return State(queue, "queue", "unreachable")
        return State(queue, "queue", "active" if there else "missing", facts)

    def _delete_queue(self) -> None:
        for queue in (self._queue, self._transcriptions):
            try:
                for name in queue.delete():
                    self._report(f"queue {name}: deleted")
            except NO_QUEUE as error:
                self._report(f"queue {queue.name}: kept ({_reason(error)})")


def _reason(error: Exception) -> str:
    if isinstance(error, QueueUnavailable):
        return error.code
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__

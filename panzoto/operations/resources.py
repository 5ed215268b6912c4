"""Tables, bucket and queues as they must be: create, prepare, list, optimize, delete.

`create` makes what is missing and hardens what it made; `optimize` brings
existing resources up to date without touching data. Both may be run any
number of times and by several processes at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from botocore.exceptions import ClientError

from panzoto.config import Settings
from panzoto.models.refusals import code_of
from panzoto.operations.bucket import Bucket
from panzoto.operations.resource_states import (
    NO_QUEUE,
    Prepared,
    Report,
    State,
    aws_failures,
    noting_refusals,
    silent,
)
from panzoto.operations.tables import Tables
from panzoto.operations.worked_queues import WorkedQueue, state_of
from panzoto.queues.queue import Queue, QueueUnavailable
from panzoto.queues.queue_definition import dead_letter_name


class Resources:
    """The tables, the bucket and the queues of one set of settings. `report` gets a line for each step."""

    def __init__(self, settings: Settings, report: Report = silent) -> None:
        self._settings = settings
        self._report = report
        self._tables = Tables(settings.region, report)
        self._bucket = Bucket(settings, report)
        self._queue = Queue(settings.events_queue, settings.region)
        self._worked = tuple(
            WorkedQueue(self._queue.sibling(name), without)
            for name, without in (
                (settings.transcription.queue, "nothing is transcribed"),
                (settings.mail_queue, "letters wait in the memory of the process that writes them"),
                (settings.chores_queue, "chores are done one after the other"),
            )
        )

    @property
    def table_names(self) -> list[str]:
        return [definition.name for definition in self._tables.definitions]

    def create(self) -> None:
        """Make what is missing, wait until it is active, harden it. Raises `ResourceError`, `Unavailable`."""
        with aws_failures():
            self._tables.create()
            self._bucket.create()
            self._bucket.harden()
        self._create_queues(self._report)

    def prepare(self) -> Prepared:
        """Make the tables and the queues that a release needs and that are not there; touch nothing else.

        What the rights do not allow is returned and stops nothing else. Raises
        `ResourceError` and `Unavailable`.
        """
        outcome = Prepared()
        with aws_failures():
            for definition in self._tables.definitions:
                self._tables.prepare(definition, outcome)
            self._prepare_queue(outcome)
            for worked in self._worked:
                worked.prepare(outcome, self._report)
        return outcome

    def optimize(self) -> None:
        """Add what existing tables and bucket lack. No data is touched."""
        with aws_failures():
            self._tables.optimize()
            self._bucket.harden()
        self._create_queues(silent)

    def harden_tables(self, names: Collection[str]) -> None:
        """Turn on what these tables must have and lack: restored ones have neither backups nor TTL."""
        with aws_failures():
            for definition in self._tables.definitions:
                if definition.name in names:
                    self._tables.harden(definition)

    def states(self) -> Iterator[State]:
        """Yield the state of each table, of the bucket, and of each queue and that of its failures."""
        with aws_failures():
            yield from self._tables.states()
            yield self._bucket.state()
        yield self._queue_state()
        yield state_of(self._queue.sibling(dead_letter_name(self._queue.name)))
        for worked in self._worked:
            yield from worked.states()

    def delete(self) -> None:
        """Delete every table, and the bucket only if it is empty. The caller has asked for confirmation."""
        with aws_failures():
            self._tables.delete()
            self._bucket.delete()
        self._delete_queues()

    def _prepare_queue(self, outcome: Prepared) -> None:
        queue = self._queue.name
        with noting_refusals(outcome.unseen, f"queue {queue}"):
            if self._queue.is_there():
                return
            with noting_refusals(outcome.refused, f"queue {queue}"):
                self._make_queue()
                outcome.made.append(f"queue {queue}")

    def _create_queues(self, report_known: Report) -> None:
        """Make the queue of the bucket's events, to which the bucket may write, and those of the workers.

        The service works without them, only phones must then say `complete`
        themselves; so an AWS that has no SQS is told of and does not stop the rest.
        """
        try:
            self._make_queue(report_known)
        except NO_QUEUE as error:
            self._report_lack(self._queue.name, error, "uploads are committed by phones only")
        for worked in self._worked:
            try:
                worked.create(self._report, report_known)
            except NO_QUEUE as error:
                self._report_lack(worked.name, error, worked.without)

    def _report_lack(self, name: str, error: Exception, without: str) -> None:
        self._report(f"queue {name}: cannot be made ({_reason(error)}); {without}")

    def _make_queue(self, report_known: Report = silent) -> None:
        queue, dead = self._queue.name, dead_letter_name(self._queue.name)
        if self._queue.create():
            self._report(f"queue {queue}: created")
        else:
            report_known(f"queue {queue}: is there")
        if self._queue.create_dead_letters():
            self._report(f"queue {queue}: what fails for a day goes to {dead}")
        else:
            report_known(f"queue {dead}: is there")
        if not self._bucket.notifies(queue):
            self._bucket.notify(self._queue.accept_from(self._settings.bucket))
            self._report(f"queue {queue}: gets the bucket's events")

    def _queue_state(self) -> State:
        queue = self._queue.name
        try:
            there = self._queue.is_there()
            facts = {"bucket's events": "on" if there and self._bucket.notifies(queue) else "off"}
        except NO_QUEUE:
            return State(queue, "queue", "unreachable")
        return State(queue, "queue", "active" if there else "missing", facts)

    def _delete_queues(self) -> None:
        for queue in (self._queue, *(worked.queue for worked in self._worked)):
            try:
                for name in queue.delete():
                    self._report(f"queue {name}: deleted")
            except NO_QUEUE as error:
                self._report(f"queue {queue.name}: kept ({_reason(error)})")


def _reason(error: Exception) -> str:
    if isinstance(error, QueueUnavailable):
        return error.reason
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__

"""A queue on which a worker of ours works, with the queue of what came to nothing: make, prepare, list.

Nothing but the service writes to them, and it is the worker that moves what failed, so SQS itself has no rule
for that: it would count each turn that a message waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from panzoto.operations.resource_states import NO_QUEUE, Prepared, Report, State, noting_refusals, silent
from panzoto.queues.queue import Queue
from panzoto.queues.queue_definition import dead_letter_name


@dataclass(frozen=True, slots=True)
class WorkedQueue:
    """One queue and its sibling; `without` says how the service is where it cannot be made."""

    queue: Queue
    without: str

    @property
    def name(self) -> str:
        return self.queue.name

    @property
    def _both(self) -> tuple[Queue, Queue]:
        return self.queue, self.queue.sibling(dead_letter_name(self.name))

    def are_there(self) -> bool:
        """Whether there are both. Raises `QueueUnavailable`."""
        return all(queue.is_there() for queue in self._both)

    def create(self, report: Report, report_known: Report = silent) -> None:
        """Make what is missing of the two; `report_known` gets a line for what is not.

        Raises `QueueUnavailable`.
        """
        for queue in self._both:
            if queue.create():
                report(f"queue {queue.name}: created")
            else:
                report_known(f"queue {queue.name}: is there")

    def prepare(self, outcome: Prepared, report: Report) -> None:
        """Make what is missing and may be made; see `Resources.prepare`. Raises `QueueUnavailable`."""
        line = f"queue {self.name}"
        with noting_refusals(outcome.unseen, line):
            if self.are_there():
                return
            with noting_refusals(outcome.refused, line):
                self.create(report)
                outcome.made.append(line)

    def states(self) -> Iterator[State]:
        """Yield the state of each of the two."""
        return map(state_of, self._both)


def state_of(queue: Queue) -> State:
    """Return whether the queue is there, as far as anybody can tell."""
    try:
        there = queue.is_there()
    except NO_QUEUE:
        return State(queue.name, "queue", "unreachable")
    return State(queue.name, "queue", "active" if there else "missing")

"""The one loop that works on the messages of a queue, whatever they ask for.

A message is held while it is worked on and deleted once that went well. One that fails stays hidden for the
rest of its time, comes again, and goes to the queue of failures when it has failed too often: by SQS itself,
or by this loop where the queue has no redrive policy. Any may come twice, so doing a thing twice must change
nothing.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from panzoto.errors import PanzotoError, Unavailable
from panzoto.queues.queue import POLL_SECONDS, Inbox, Message, Queue, QueueUnavailable
from panzoto.queues.queue_definition import TRIES_OF_A_DAY, VISIBILITY_SECONDS
from panzoto.queues.trouble import Trouble

PAUSE_SECONDS = 5.0
# How soon a loop whose hands are all full, or a process told so at the wrong moment, sees that it shall stop.
LOOK_SECONDS = 0.5
# A renewal may fail once before the message comes to somebody else.
RENEWALS_IN_A_HOLD = 3

log = logging.getLogger(__name__)
Handle = Callable[[Message], object]
# By this name its own trouble is known.
ON_QUEUE = "queue"


class Later(Exception):
    """What `handle` raises to have the message again after so many seconds, from whoever takes it then."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class PutAside(Exception):
    """What `handle` raises where the message has come to nothing and goes to the queue of failures."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How many messages are worked on at once, each in its own thread, and for how long one is held.

    While it is worked on it is held on, however long that takes. After `tries` the loop itself puts it aside.
    What is in work at the stop has `finish_seconds` to come to its end; the rest is given back.

    A poll waits `poll_seconds` for a message. After one that brought none the loop rests for `rest_seconds`,
    or until it is woken; it asks for a queue that cannot be reached again after `pause_seconds`.
    """

    at_once: int = 4
    hold_seconds: int = VISIBILITY_SECONDS
    tries: int = TRIES_OF_A_DAY
    finish_seconds: float = 20.0
    poll_seconds: int = POLL_SECONDS
    rest_seconds: float = 0.0
    pause_seconds: float = PAUSE_SECONDS


class Consumer:
    """Works on one queue until told to stop: `handle` gets each message, and raises where it failed."""

    def __init__(self, queue: Queue, handle: Handle, rules: Rules | None = None) -> None:
        self._queue = queue
        self._handle = handle
        self._rules = rules or Rules()
        self._room = threading.Semaphore(self._rules.at_once)
        self._held = _Held(self._rules.hold_seconds)
        # Set once the loop shall stop: what takes long looks at it.
        self.stopping = threading.Event()
        self._woken = threading.Event()

    @property
    def queue_name(self) -> str:
        return self._queue.name

    def stop(self) -> None:
        """Let `run` come to its end; may be called from any thread."""
        self.stopping.set()
        self.wake()

    def wake(self) -> None:
        """Let a loop that rests ask for messages at once; may be called from any thread."""
        self._woken.set()

    def run(self, trouble: Trouble) -> None:
        """Work until `stop`, within a poll of which and `finish_seconds` it ends.

        A queue that cannot be reached, for want of credentials too, is asked again after
        a pause; `trouble` is told when that begins and when it is over.
        """
        renewing = threading.Thread(target=self._held.renew_until_closed, name="renewals", daemon=True)
        renewing.start()
        try:
            while not self.stopping.is_set():
                try:
                    self._work(self._queue.inbox(), trouble)
                except PanzotoError as error:
                    trouble.met(ON_QUEUE, error)
                    self.stopping.wait(self._rules.pause_seconds)
        finally:
            self._held.close(self._rules.finish_seconds)
            renewing.join()

    def run_until_signalled(self, trouble: Trouble) -> None:
        """Work until SIGTERM or SIGINT; a second one ends the process without waiting.

        Only for a process's main thread.
        """
        failure: list[BaseException] = []

        def work() -> None:
            try:
                self.run(trouble)
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
                failure.append(error)

        def stop(*_: object) -> None:
            if self.stopping.is_set():
                raise SystemExit(0)
            self.stop()

        # In a thread of its own, since a handler may interrupt an event that its own thread is waiting on.
        working = threading.Thread(target=work, name="consumer", daemon=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        working.start()
        # A signal that comes just before a wait begins does not end it, but is handled once the wait is over.
        while working.is_alive():
            working.join(LOOK_SECONDS)
        if failure:
            raise failure[0]

    def _work(self, inbox: Inbox, trouble: Trouble) -> None:
        while room := self._wait_for_room():
            messages: list[Message] = []
            try:
                messages = inbox.receive(room, self._rules.hold_seconds, self._rules.poll_seconds)
            finally:
                for _ in range(room - len(messages)):
                    self._room.release()
            trouble.over(ON_QUEUE)
            for message in messages:
                self._take(inbox, message)
            if not messages:
                self._rest()

    def _rest(self) -> None:
        if self._rules.rest_seconds:
            self._woken.wait(self._rules.rest_seconds)
            # Before the next poll, so that who wakes the loop during it is not overlooked.
            self._woken.clear()

    def _wait_for_room(self) -> int:
        """Take all the room there is, at least one; 0 when it is time to stop."""
        while not self.stopping.is_set():
            if self._room.acquire(timeout=LOOK_SECONDS):
                room = 1
                while room < self._rules.at_once and self._room.acquire(blocking=False):
                    room += 1
                return room
        return 0

    def _take(self, inbox: Inbox, message: Message) -> None:
        """Begin to work on a message, for which there is room; give it back when it is time to stop."""
        if self.stopping.is_set():
            self._room.release()
            _give_back(inbox, message)
            return
        self._held.add(inbox, message)
        working = threading.Thread(target=self._finish, args=(inbox, message), daemon=True)
        working.start()

    def _finish(self, inbox: Inbox, message: Message) -> None:
        try:
            self._handle_or_put_aside(inbox, message)
        except Unavailable as error:
            told = {"message_id": message.message_id, "code": _known_as(error)}
            log.warning("message_postponed", extra=told)
        finally:
            self._held.finish(message)
            self._room.release()

    def _handle_or_put_aside(self, inbox: Inbox, message: Message) -> None:
        # Who was given out so often without being put aside has ended every process that took it.
        if not inbox.redrives and message.received > self._rules.tries:
            self._put_aside(inbox, message)
            return
        try:
            self._handle(message)
        except Later as later:
            self._held.let_go(message)
            _hold(inbox, message, math.ceil(later.seconds))
            return
        except PutAside:
            self._put_aside(inbox, message)
            return
        except Exception as error:  # noqa: BLE001 - one message must not end the loop
            self._note_failure(message, error)
            if not inbox.redrives and message.received >= self._rules.tries:
                self._put_aside(inbox, message)
            return
        # From here on nobody renews it: what is deleted cannot be held.
        self._held.let_go(message)
        inbox.delete(message)

    def _put_aside(self, inbox: Inbox, message: Message) -> None:
        self._held.let_go(message)
        inbox.put_aside(message)
        log.error("message_put_aside", extra={"message_id": message.message_id, "received": message.received})

    @staticmethod
    def _note_failure(message: Message, error: Exception) -> None:
        told = {"message_id": message.message_id, "received": message.received}
        if isinstance(error, Unavailable):
            log.warning("message_postponed", extra=told)
        else:
            log.error("message_failed", exc_info=error, extra=told)


class _Held:
    """The messages in hand, which stay hidden from others until they are let go."""

    def __init__(self, hold_seconds: int) -> None:
        self._hold_seconds = hold_seconds
        self._messages: dict[str, tuple[Inbox, Message]] = {}
        # Those that somebody is at, be it to delete what is let go.
        self._begun: set[str] = set()
        self._changed = threading.Condition()
        self._is_closed = threading.Event()

    def add(self, inbox: Inbox, message: Message) -> None:
        with self._changed:
            self._messages[message.receipt] = (inbox, message)
            self._begun.add(message.receipt)

    def let_go(self, message: Message) -> None:
        """Renew it no more, nor give it back."""
        with self._changed:
            self._messages.pop(message.receipt, None)

    def finish(self, message: Message) -> None:
        """Nobody is at it any more."""
        with self._changed:
            self._messages.pop(message.receipt, None)
            self._begun.discard(message.receipt)
            self._changed.notify_all()

    def renew_until_closed(self) -> None:
        while not self._is_closed.wait(self._hold_seconds / RENEWALS_IN_A_HOLD):
            for inbox, message in self._now():
                if self._has(message):
                    _hold(inbox, message, self._hold_seconds)

    def close(self, seconds: float) -> None:
        """Wait so long until all is finished, renewing meanwhile; then give back what is not let go."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._begun and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        self._is_closed.set()
        for inbox, message in self._now():
            _give_back(inbox, message)

    def _now(self) -> list[tuple[Inbox, Message]]:
        with self._changed:
            return list(self._messages.values())

    def _has(self, message: Message) -> bool:
        with self._changed:
            return message.receipt in self._messages


def _give_back(inbox: Inbox, message: Message) -> None:
    _hold(inbox, message, 0)


def _known_as(error: Unavailable) -> str:
    """Return the name of a failure for the log: AWS's own where SQS is what failed."""
    return error.reason if isinstance(error, QueueUnavailable) else error.code


def _hold(inbox: Inbox, message: Message, seconds: int) -> None:
    try:
        inbox.hold(message, seconds)
    except Unavailable as error:
        # Then it comes to somebody else when its time is over, at the worst a second time.
        log.warning("message_not_held", extra={"message_id": message.message_id, "code": _known_as(error)})

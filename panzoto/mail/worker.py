"""Working on the queue of letters: each message is an errand, sealed, which is done here.

What fails goes back into the queue as a new message, which says that it was counted and how often it was
tried; the old one then goes. So a letter counts once, however often it is tried, and waits longer each time.
Between the two a process may die, and then the letter leaves twice.
"""

from __future__ import annotations

import logging
import time

from panzoto.mail.carrying import Again, AtIt, Carrier
from panzoto.mail.errands import Envelopes, Errand, Lapsed, NoErrand
from panzoto.mail.writing import Writer
from panzoto.queues.consumer import Later, PutAside, Rules
from panzoto.queues.outbox import Outbox
from panzoto.queues.queue import Message, QueueUnavailable

# Longer than an attempt of SES's SDK takes before it is renewed, and short where a process is killed.
HOLD_SECONDS = 30
FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300
# While a release replaces another, one that does not know a kind leaves it to the other; after that, to an
# operator. The former ends with its last download, after a quarter of an hour at most.
UNKNOWN_FOR_SECONDS = 1200
UNKNOWN_PAUSE_SECONDS = 60
# A worker of its own has some letters in hand at once, since a letter is mostly waiting for SES.
RULES = Rules(at_once=4, hold_seconds=HOLD_SECONDS)

log = logging.getLogger(__name__)


class MailWorker:
    """Does what the messages of the queue say; `handle` may be called from many threads."""

    def __init__(self, envelopes: Envelopes, writer: Writer, carrier: Carrier, outbox: Outbox) -> None:
        self._envelopes = envelopes
        self._writer = writer
        self._carrier = carrier
        self._outbox = outbox

    def handle(self, message: Message) -> None:
        """Do one errand. Raises `Later`, and `PutAside` when nothing will come of it any more."""
        try:
            errand = self._envelopes.open(message.body)
        except NoErrand:
            log.warning("mail_unreadable", extra={"message_id": message.message_id})
            return
        except Lapsed:
            log.warning("mail_lapsed", extra={"message_id": message.message_id})
            return
        if not self._writer.knows(errand):
            _leave_to_others(errand)
        try:
            again = self._carrier.carry(errand)
        except AtIt as at_it:
            # Who is at it may have it in memory alone, so the message stays until that is over.
            raise Later(FIRST_PAUSE_SECONDS) from at_it
        if again is not None:
            self._put_back(again)

    def _put_back(self, again: Again) -> None:
        errand = again.errand
        pause = pause_before(errand.attempt)
        if time.time() + pause >= errand.until:
            log.error("mail_given_up", extra={"mail": errand.kind, "attempts": errand.attempt - 1})
            raise PutAside()
        try:
            self._outbox.send(self._envelopes.seal(errand), delay_seconds=pause)
        except QueueUnavailable as error:
            # The message stays as it is, as if it had not been tried.
            self._carrier.take_back_count(again)
            raise Later(pause) from error


def pause_before(attempt: int) -> int:
    """Return how many seconds an errand waits before its second, third … attempt."""
    return min(FIRST_PAUSE_SECONDS << min(attempt - 2, 10), LONGEST_PAUSE_SECONDS)


def _leave_to_others(errand: Errand) -> None:
    if time.time() - errand.made_at < UNKNOWN_FOR_SECONDS:
        raise Later(UNKNOWN_PAUSE_SECONDS)
    raise PutAside()

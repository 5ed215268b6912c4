"""How letters leave a process that answers requests: through the queue of SQS, so that they outlive it.

Every such process also works on that queue now and then, a message at a time, so letters leave where nobody
runs a worker of its own for them; such workers only add hands. What the queue does not take, because it is
missing, away or forbidden, the process carries by itself.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable

from panzoto.config import Settings
from panzoto.crypto.sealed import Sealer
from panzoto.mail.background import DRAIN_SECONDS, Background
from panzoto.mail.carrying import AtIt, Carrier
from panzoto.mail.codes import MailCodes
from panzoto.mail.errands import Envelopes, Errand
from panzoto.mail.letter_limit import LetterLimit
from panzoto.mail.letters import Letters
from panzoto.mail.transports import transport_for
from panzoto.mail.worker import HOLD_SECONDS, MailWorker, pause_before
from panzoto.mail.writing import Writer
from panzoto.queues.consumer import Consumer, Rules
from panzoto.queues.outbox import Outbox
from panzoto.queues.queue import Queue, QueueUnavailable
from panzoto.queues.trouble import Trouble

# A poll of a second asks all of SQS's servers and lets a process end soon; with the rest, three in a minute.
ATTENDING = Rules(
    at_once=1,
    hold_seconds=HOLD_SECONDS,
    finish_seconds=DRAIN_SECONDS - 1,
    poll_seconds=1,
    rest_seconds=19.0,
    pause_seconds=60.0,
)

log = logging.getLogger(__name__)


class Post:
    """Takes errands from requests; `attend` lets the process work on the queue, too.

    `worker` does what the queue's messages say, for whoever works on it alone.
    """

    def __init__(
        self,
        queue: Callable[[], Queue],
        outbox: Outbox,
        envelopes: Envelopes,
        carrier: Carrier,
        worker: MailWorker,
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._envelopes = envelopes
        self._carrier = carrier
        self.worker = worker
        self._background = Background(self._carry)
        self._consumer: Consumer | None = None
        self._attending: threading.Thread | None = None
        self._ending = threading.Event()
        self._beginning = threading.Lock()
        self._drains_at_exit = False

    def later(self, errand: Errand) -> None:
        """Let the errand be done. Waits as long as the outbox does, seconds at the worst; never raises."""
        if not self._is_queued(errand):
            self._drain_at_exit()
            self._background.later(errand)
        elif self._consumer is not None:
            self._consumer.wake()

    def attend(self) -> None:
        """Work on the queue in the background from now on, until the process ends; not before a fork."""
        self._consumer = self._new_consumer()
        self._attending = threading.Thread(target=self._attend, name="mail-queue", daemon=True)
        self._attending.start()
        self._drain_at_exit()

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take nothing more from the queue, and end what is in hand within so many seconds."""
        deadline = time.monotonic() + seconds
        self._ending.set()
        if self._consumer is not None:
            self._consumer.stop()
        self._background.drain(seconds)
        if self._attending is not None:
            self._attending.join(max(0.0, deadline - time.monotonic()))

    def _is_queued(self, errand: Errand) -> bool:
        """Whether the queue has taken the errand, whatever happened; told where it has not."""
        told = {"mail": errand.kind}
        try:
            self._outbox.send(self._envelopes.seal(errand))
        except QueueUnavailable as error:
            log.warning("mail_not_queued", extra={**told, "code": error.reason})
            return False
        except Exception:
            # What tells the letter is stored by now, so whoever caused it must not hear of a failure.
            log.exception("mail_not_queued", extra=told)
            return False
        return True

    def _new_consumer(self) -> Consumer:
        return Consumer(self._queue(), self.worker.handle, ATTENDING)

    def _attend(self) -> None:
        trouble = Trouble(lambda sentence: log.warning("mail_queue_unreachable", extra={"hint": sentence}))
        while self._consumer is not None and not self._ending.is_set():
            try:
                self._consumer.run(trouble)
            except Exception:
                # Such as an answer of SQS that is none; nobody would begin anew but with the next process.
                log.exception("mail_queue_failed")
                self._ending.wait(ATTENDING.pause_seconds)
                self._consumer = self._new_consumer()

    def _drain_at_exit(self) -> None:
        with self._beginning:
            if not self._drains_at_exit:
                self._drains_at_exit = True
                atexit.register(self.drain)

    def _carry(self, errand: Errand) -> None:
        try:
            again = self._carrier.carry(errand)
        except AtIt:
            # It is in the queue after all, and comes again from there should this attempt fail.
            return
        if again is None:
            return
        try:
            self._outbox.send(
                self._envelopes.seal(again.errand), delay_seconds=pause_before(again.errand.attempt)
            )
        except QueueUnavailable:
            log.error("mail_given_up", extra={"mail": errand.kind, "attempts": errand.attempt})


def post_for(settings: Settings, codes: MailCodes, limit: LetterLimit) -> Post | None:
    """Return how letters leave this service, or None when mail is off."""
    transport = transport_for(settings)
    if transport is None:
        return None
    writer = Writer(codes, Letters(settings.public_url))
    carrier = Carrier(writer, limit, transport, settings.mail_from)
    envelopes = Envelopes(Sealer(settings.secret_key, settings.secret_key_fallbacks, "letter"))
    outbox = Outbox(settings.mail_queue, settings.region)
    worker = MailWorker(envelopes, writer, carrier, outbox)
    return Post(lambda: Queue(settings.mail_queue, settings.region), outbox, envelopes, carrier, worker)

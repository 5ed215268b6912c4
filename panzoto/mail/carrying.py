"""Doing an errand: the letter is written, counted against its mailbox and handed over, wherever that is."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from panzoto.errors import Unavailable
from panzoto.mail.errands import Errand
from panzoto.mail.letter_limit import LetterLimit
from panzoto.mail.transports import NotSent, Transport, message_of
from panzoto.mail.writing import Draft, Writer
from panzoto.models import User

# A message comes twice within minutes, if at all; of so many letters a process knows that they have left.
REMEMBERED_ERRANDS = 4096

log = logging.getLogger(__name__)


class AtIt(Exception):
    """Another thread of this process is just doing the errand."""


@dataclass(frozen=True, slots=True)
class Again:
    """How an errand must be done again; `counted_as` is the letter that this attempt has counted, if any."""

    errand: Errand
    counted_as: Draft | None = field(repr=False)


class Carrier:
    """Does errands of known kinds; may be used from many threads."""

    def __init__(self, writer: Writer, limit: LetterLimit, transport: Transport, sender: str) -> None:
        self._writer = writer
        self._limit = limit
        self._transport = transport
        self._sender = sender
        self._done = _Done()

    def carry(self, errand: Errand) -> Again | None:
        """Do the errand and return None, or how it must be done again after a failure, which is logged.

        An errand that came to no letter is done, and so is one that this process has done before.
        Raises `AtIt`.
        """
        with self._done.doing(errand) as is_done:
            if is_done:
                log.info("mail_repeated", extra={"mail": errand.kind})
                return None
            return self._carry(errand)

    def take_back_count(self, again: Again) -> None:
        """Let an errand be counted anew next time, since its message does not say that it was."""
        if again.counted_as is not None:
            # Where that fails its mailbox has one letter less; that is all.
            with suppress(Unavailable):
                self._limit.take_back(again.counted_as.counts_as, again.counted_as.letter.to)

    def _carry(self, errand: Errand) -> Again | None:
        counted_as = None
        try:
            draft = self._drafted(errand)
            if draft is None:
                return None
            counted_as = None if errand.is_counted else draft
            errand = errand.counted()
            self._transport.send(errand.kind, message_of(draft.letter, self._sender))
        except Exception as error:  # noqa: BLE001 - a letter that cannot be made keeps no other from leaving
            _note_failure(errand, error)
            is_final = isinstance(error, NotSent) and error.is_final
            return None if is_final else Again(errand.again(), counted_as)
        self._done.add(errand)
        log.info("mail_sent", extra={"mail": errand.kind})
        return None

    def _drafted(self, errand: Errand) -> Draft | None:
        """Return the letter, counted, if there is one and its mailbox has room. Raises `Unavailable`."""
        if errand.values.get("is_new_device"):
            User.know_device(errand.values["user_id"], errand.values["device_name"])
        draft = self._writer.draft(errand)
        if draft is None or errand.is_counted or self._limit.allows(draft.counts_as, draft.letter.to):
            return draft
        # To whoever asked it looks as if it had left, so that nobody learns whose address it is.
        log.info("mail_over_limit", extra={"mail": errand.kind})
        return None


def _note_failure(errand: Errand, error: Exception) -> None:
    told = {"mail": errand.kind, "attempt": errand.attempt}
    if isinstance(error, NotSent):
        log.warning("mail_failed", extra={**told, "reason": error.reason})
    elif isinstance(error, Unavailable):
        log.warning("mail_failed", extra={**told, "reason": error.code})
    else:
        log.error("mail_failed", extra=told, exc_info=error)


class _Done:
    """Which errands this process has done last, and which it is doing."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._doing: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def doing(self, errand: Errand) -> Iterator[bool]:
        """Keep others from the errand meanwhile; gives whether it is done. Raises `AtIt`."""
        with self._guard:
            if errand.errand_id in self._doing:
                raise AtIt()
            self._doing.add(errand.errand_id)
            is_done = errand.errand_id in self._ids
        try:
            yield is_done
        finally:
            with self._guard:
                self._doing.discard(errand.errand_id)

    def add(self, errand: Errand) -> None:
        with self._guard:
            self._ids[errand.errand_id] = None
            if len(self._ids) > REMEMBERED_ERRANDS:
                self._ids.popitem(last=False)

"""The throttle: per client address by fixed windows, per account and per session by growing delays.

Everything is counted in DynamoDB, before the work it protects is done, so
that guesses made in parallel or at another process are counted too.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from panzoto.auth.mail_address import normal_form
from panzoto.auth.network_address import counted_as
from panzoto.config import Rate
from panzoto.crypto.permits import asking_for, come_back_with
from panzoto.errors import Busy, DamagedRecord, TooManyRequests, Unavailable
from panzoto.models import windows
from panzoto.models.attempts import Attempts, Reserved
from panzoto.models.windows import Allowance

# Subjects share so many turns; a turn lasts for one computation and a few calls.
TURNS = 256
TURN_SECONDS = 10
# So many may wait for one turn, each in a thread, unless the process says otherwise.
TURN_PLACES = 8
REMEMBERED_SECONDS = 1
REMEMBERED_SUBJECTS = 10_000


class Throttle:
    """Counts attempts. Raises `TooManyRequests`, and `Unavailable` when nothing can be counted."""

    def __init__(self, rates: dict[str, Rate], free_failures: int, places: int = TURN_PLACES) -> None:
        self._rates = rates
        self._turns = [threading.Lock() for _ in range(TURNS)]
        self._places = [threading.BoundedSemaphore(1 + places) for _ in range(TURNS)]
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._guard = threading.Lock()
        self._free_failures = free_failures

    def count_address(self, name: str, address: str) -> Allowance:
        """Count a call of kind `name` from `address`, or its network of IPv6; one write."""
        return windows.count(name, f"address#{name}#{counted_as(address)}", self._rates[name])

    def count_account(self, name: str, user_id: str) -> Allowance:
        """Count a call of kind `name` in any session of an account; one write."""
        return windows.count(name, _calls(name, user_id), self._rates[name])

    def uncount_account(self, name: str, user_id: str) -> None:
        """Take back a call that was counted and came to nothing; what cannot be taken back stays counted."""
        with suppress(Unavailable):
            windows.uncount(_calls(name, user_id), self._rates[name])

    @contextmanager
    def attempt(self, subject: str) -> Iterator[None]:
        """Count a password attempt at `subject` before it is made, and let one be made at a time.

        So the right password given twice at once is not held for two guesses:
        the first success resets the count before the second is counted. An
        attempt that came to no answer (`Busy`, `DamagedRecord`, `Unavailable`) is given back, and who
        was told to come back has their turn then, at whatever process. Raises
        `Busy` for whom there is no place to wait.
        """
        with self._turn(hash(subject) % TURNS), asking_for(subject):
            reserved = self.reserve(subject)
            try:
                yield
            except (Busy, DamagedRecord, Unavailable) as error:
                turn = error.turn if isinstance(error, Busy) else reserved.turn
                with suppress(Unavailable):
                    Attempts.give_back(subject, turn, reserved.until)
                raise

    @contextmanager
    def _turn(self, number: int) -> Iterator[None]:
        if not self._places[number].acquire(blocking=False):
            raise Busy()
        try:
            if not self._turns[number].acquire(timeout=TURN_SECONDS):
                raise Busy()
            try:
                yield
            finally:
                self._turns[number].release()
        finally:
            self._places[number].release()

    def reserve(self, subject: str) -> Reserved:
        """Count a password attempt at `subject` before the password is looked at.

        Its turn at the hashes is one that a process has told for it, if one has.
        """
        reserved = Reserved(self._held_back(subject), "")
        if reserved.wait <= 0:
            reserved = Attempts.reserve(subject, self._free_failures)
            self._remember(subject, reserved.wait)
            come_back_with(reserved.turn)
        if reserved.wait > 0:
            seconds = math.ceil(reserved.wait)
            allowance = Allowance("failures", Rate(self._free_failures, seconds), 0, seconds)
            raise TooManyRequests(retry_after=seconds, allowance=allowance)
        return reserved

    def _held_back(self, subject: str) -> float:
        """Return how long `subject` is held back as far as this process knows; spares asking DynamoDB."""
        moment = time.time()
        with self._guard:
            until, forgotten_at = self._held.get(subject, (0.0, 0.0))
        return until - moment if moment < forgotten_at else 0.0

    def _remember(self, subject: str, wait: float) -> None:
        with self._guard:
            if wait > 0:
                # Not for long: another process may see the right password meanwhile.
                moment = time.time()
                self._held[subject] = (moment + wait, moment + min(wait, REMEMBERED_SECONDS))
                while len(self._held) > REMEMBERED_SUBJECTS:
                    self._held.popitem(last=False)
            else:
                self._held.pop(subject, None)

    def reset(self, subject: str) -> None:
        """The password was right: forget the attempts at `subject`."""
        Attempts.reset(subject)

    def count_unknown_account(self) -> None:
        """Do for an account that does not exist the one write that a failed sign-in costs one that does."""
        day = int(time.time() // 86400)
        Attempts.count_one(f"unknown-accounts#{day}", datetime.fromtimestamp((day + 2) * 86400, UTC))


def account_subject(email: str) -> str:
    """Return the subject of attempts at an account from outside; the address itself is not stored."""
    return f"account#{_fingerprint(normal_form(email))}"


def session_subject(user_id: str, session_id: str | None) -> str:
    """Return the subject of attempts made inside a session."""
    return f"session#{user_id}#{session_id or 'none'}"


def _calls(name: str, user_id: str) -> str:
    # Its id is not stored: a count may outlive the account by a window.
    return f"calls#{name}#{_fingerprint(user_id)}"


def _fingerprint(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:32]

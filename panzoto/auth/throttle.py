"""The throttle: per client address by fixed windows, per account and per session by growing delays.

Everything is counted in DynamoDB, before the work it protects is done, so
that guesses made in parallel or at another process are counted too.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from panzoto.config import Rate
from panzoto.errors import TooManyRequests
from panzoto.models.throttle import Attempts


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window: for the RateLimit headers."""

    name: str
    rate: Rate
    remaining: int
    reset_seconds: int


class Throttle:
    """Counts attempts. Raises `TooManyRequests`, and `Unavailable` when nothing can be counted."""

    def __init__(self, rates: dict[str, Rate], free_failures: int) -> None:
        self._rates = rates
        self._free_failures = free_failures

    def count_address(self, name: str, address: str) -> Allowance:
        """Count a call of kind `name` from `address`; one write."""
        rate = self._rates[name]
        moment = time.time()
        window = int(moment // rate.seconds)
        ends = (window + 1) * rate.seconds
        expires_at = datetime.fromtimestamp(ends + rate.seconds, UTC)
        count = Attempts.count_one(f"address#{name}#{address}#{window}", expires_at)
        return Allowance(name, rate, rate.count - count, max(1, math.ceil(ends - moment)))

    def reserve(self, subject: str) -> None:
        """Count a password attempt at `subject` before the password is looked at."""
        wait = Attempts.reserve(subject, self._free_failures)
        if wait > 0:
            raise TooManyRequests(retry_after=math.ceil(wait))

    def reset(self, subject: str) -> None:
        """The password was right: forget the attempts at `subject`."""
        Attempts.reset(subject)

    def count_unknown_account(self) -> None:
        """Do for an account that does not exist the one write that a failed sign-in costs one that does."""
        day = int(time.time() // 86400)
        Attempts.count_one(f"unknown-accounts#{day}", datetime.fromtimestamp((day + 2) * 86400, UTC))


def account_subject(email: str) -> str:
    """Return the subject of attempts at an account from outside; the address itself is not stored."""
    return f"account#{hashlib.sha256(email.encode()).hexdigest()[:32]}"


def mail_subject(whose: str) -> str:
    """Return the subject of requests for mail: to an address from outside, or to a signed-in user."""
    return f"mail#{hashlib.sha256(whose.encode()).hexdigest()[:32]}"


def session_subject(user_id: str, session_id: str | None) -> str:
    """Return the subject of attempts made inside a session."""
    return f"session#{user_id}#{session_id or 'none'}"

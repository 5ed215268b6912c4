"""Calls counted in fixed windows of time, in the table of attempts, so that all processes count together."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from panzoto.config import Rate
from panzoto.errors import TooManyRequests
from panzoto.models.attempts import Attempts


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a window: for the RateLimit headers. Less than 0: this call is one too many."""

    name: str
    rate: Rate
    remaining: int
    reset_seconds: int

    def require(self) -> None:
        """Raises `TooManyRequests` for a call that is one too many."""
        if self.remaining < 0:
            raise TooManyRequests(retry_after=self.reset_seconds, allowance=self)


def uncount(subject: str, rate: Rate) -> None:
    """Count one less of `subject` in the present window: what was counted has come to nothing."""
    Attempts.give_back(f"{subject}#{int(time.time() // rate.seconds)}")


def count(name: str, subject: str, rate: Rate) -> Allowance:
    """Count one more of `subject` in the present window of the limit `name`; one write."""
    moment = time.time()
    window = int(moment // rate.seconds)
    ends = (window + 1) * rate.seconds
    expires_at = datetime.fromtimestamp(ends + rate.seconds, UTC)
    counted = Attempts.count_one(f"{subject}#{window}", expires_at)
    return Allowance(name, rate, rate.count - counted, max(1, math.ceil(ends - moment)))

"""How long it takes until everybody has signed in once after the move, which is when their vaults are made.

A sign-in verifies the password by the old hash and makes the vault, and makes a hash of other costs than
today's anew: two or three Argon2 computations, which are nearly all of what it costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from migrations_from_rds.transform import Wanted
from panzoto.auth.passwords import Passwords, opens_to_nobody
from panzoto.config import Settings
from panzoto.crypto.permits import HashPermits
from panzoto.models.bulk import MigratedUser

# Whoever has begun a computation by then ends it, so that each permit is used twice or more.
MEASURED_SECONDS = 0.6
# More computations at once make no machine faster, and each takes its memory.
MOST_AT_ONCE = 16
OF_EVERYBODY = 2


@dataclass(frozen=True, slots=True)
class FirstSignIns:
    """`computations` of all `accounts` together, of which this machine does so many a second."""

    accounts: int
    computations: int
    per_second: float
    workers: int
    permits: int

    @property
    def seconds(self) -> float:
        """Until all are in, if all come at once."""
        return self.computations / self.per_second

    def report(self) -> dict[str, Any]:
        """Return what report.json says of it."""
        return {
            "accounts": self.accounts,
            "computations": self.computations,
            "computations_per_second": round(self.per_second, 2),
            "workers": self.workers,
            "permits_each": self.permits,
            "seconds": round(self.seconds, 1),
        }

    def sentence(self, duration: Callable[[float], str]) -> str:
        """Return it as a sentence, with the time as `duration` writes seconds."""
        return (
            f"First sign-ins: {self.accounts:,} accounts, {self.computations / self.accounts:.1f} Argon2 "
            f"computations each. This machine does {self.per_second:.1f} a second (workers: {self.workers}, "
            f"permits of each: {self.permits}), so if all sign in at once the last one is in after about "
            f"{duration(self.seconds)}. Each is told by Retry-After when it is their turn; more machines "
            "for the evening, or announcing it in waves, make it shorter."
        )


class Counting:
    """Counts what the accounts of a copy will compute when they sign in for the first time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._passwords = Passwords(settings.argon2, HashPermits(1, 0.0))
        self._accounts = self._computations = 0

    def add(self, rows: Sequence[Wanted]) -> None:
        """Count the accounts among `rows` whose owners can sign in."""
        for row in rows:
            account = row.item
            if isinstance(account, MigratedUser) and not opens_to_nobody(account.password_hash):
                self._accounts += 1
                self._computations += OF_EVERYBODY + self._passwords.needs_rehash(account.password_hash)

    def measured(self) -> FirstSignIns | None:
        """Return the estimate, None without accounts; computes for a second, as the service would."""
        if not self._accounts:
            return None
        return FirstSignIns(
            self._accounts,
            self._computations,
            computations_per_second(self._settings),
            self._settings.workers,
            self._settings.hashes_at_once,
        )


def computations_per_second(settings: Settings) -> float:
    """Return how many computations this machine does in a second under the settings' workers and permits."""
    at_once = min(MOST_AT_ONCE, settings.workers * settings.hashes_at_once)
    passwords = Passwords(settings.argon2, HashPermits(at_once, 0.0))
    began = time.monotonic()

    def compute(_: int) -> int:
        count = 0
        while time.monotonic() - began < MEASURED_SECONDS:
            passwords.hash("nobody's")
            count += 1
        return count

    with ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(compute, range(at_once))) / (time.monotonic() - began)

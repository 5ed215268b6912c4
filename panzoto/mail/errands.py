"""Errands: what is to be told to whom, as data, for another process, also of another release, to do it later.

An errand travels sealed as a whole, and filled up to sizes that all have in common, so that who reads the
queue learns when letters leave, and neither to whom nor of which kind they are. No code is in it: whoever
writes the letter makes that.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.mail.letters import RESET_MINUTES, VERIFICATION_HOURS

VERIFICATION = "verification"
MOVE_REQUESTED = "email-changed"
EMAIL_LEFT = "email-left"
RESET = "reset"
NEW_DEVICE = "new-device"
PASSWORD_CHANGED = "password-changed"  # noqa: S105 - what a letter tells
RECOVERED = "recovered"
PASSWORD_RESET = "password-reset"  # noqa: S105 - what a letter tells
RECOVERY_KEY_MADE = "recovery-key-made"

# For so long it is of use that a letter leaves: as long as its code is good; a notice for some days.
NOTICE_SECONDS = 3 * 86_400
VALID_SECONDS = {
    VERIFICATION: VERIFICATION_HOURS * 3600,
    MOVE_REQUESTED: VERIFICATION_HOURS * 3600,
    RESET: RESET_MINUTES * 60,
}
# Bytes of a sealed errand are a multiple of this; hardly one needs more than one.
SIZE = 1024


class NoErrand(Exception):
    """What was to be opened is none of ours."""


class Lapsed(Exception):
    """The errand is of no use any more."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One letter to be written and sent, or none if it turns out so, good until `until` (epoch seconds).

    `values` are JSON: what the letter is made of. `is_counted` tells that its mailbox's limit knows of it.
    """

    kind: str
    values: Mapping[str, Any] = field(repr=False)
    until: int
    is_counted: bool = False
    attempt: int = 1
    made_at: int = field(default_factory=lambda: int(time.time()))
    errand_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(
        cls, kind: str, values: Mapping[str, Any], *, is_counted: bool = False, until: int | None = None
    ) -> Errand:
        """Return a new errand, good for as long as those of its kind are unless `until` says so."""
        lasts = VALID_SECONDS.get(kind, NOTICE_SECONDS)
        return cls(kind, values, int(time.time()) + lasts if until is None else until, is_counted)

    def counted(self) -> Errand:
        """Return the same, known to the limit of its mailbox."""
        return replace(self, is_counted=True)

    def again(self) -> Errand:
        """Return the same for its next attempt."""
        return replace(self, attempt=self.attempt + 1)


class Envelopes:
    """Seals errands and opens them; any process with one of the secrets opens what another has sealed."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, errand: Errand) -> str:
        """Return the errand as a message's body, safe for anybody to see."""
        values = {
            "id": errand.errand_id,
            "kind": errand.kind,
            "made_at": errand.made_at,
            "until": errand.until,
            "attempt": errand.attempt,
            "counted": errand.is_counted,
            "values": dict(errand.values),
            "filling": "",
        }
        written = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        values["filling"] = " " * (-len(written.encode("utf-8")) % SIZE)
        return self._sealer.seal(values, errand.until)

    def open(self, body: str) -> Errand:
        """Return the errand in a message's body. Raises `NoErrand` and `Lapsed`."""
        try:
            found = self._sealer.open(body, time.time())
        except NotSealedHere as error:
            raise NoErrand() from error
        except SealExpired as error:
            raise Lapsed() from error
        return Errand(
            kind=found["kind"],
            values=found["values"],
            until=found["until"],
            is_counted=found["counted"],
            attempt=found["attempt"],
            made_at=found["made_at"],
            errand_id=found["id"],
        )

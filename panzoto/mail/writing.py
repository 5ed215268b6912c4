"""What becomes of an errand: which letter it is, to whom, and by which count of that mailbox it goes.

Here codes are made, and an account is looked up where only its address was known; so nobody learns from how
long an answer takes whether there is such an account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from panzoto.auth.caller import Client
from panzoto.mail import errands
from panzoto.mail.codes import MailCodes
from panzoto.mail.errands import Errand
from panzoto.mail.letter_limit import Kind
from panzoto.mail.letters import Letter, Letters
from panzoto.models import User


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter, and the count by which it goes."""

    letter: Letter
    counts_as: Kind


class Writer:
    """Writes the letters of errands."""

    def __init__(self, codes: MailCodes, letters: Letters) -> None:
        self._codes = codes
        self._letters = letters
        self._drafts: dict[str, Callable[[Errand], Draft | None]] = {
            errands.VERIFICATION: self._verification,
            errands.MOVE_REQUESTED: self._move_requested,
            errands.EMAIL_LEFT: self._email_left,
            errands.RESET: self._reset,
            errands.NEW_DEVICE: _notice(letters.new_device),
            errands.PASSWORD_CHANGED: _notice(letters.password_changed),
            errands.RECOVERED: _notice(letters.recovered),
            errands.PASSWORD_RESET: _notice(letters.password_reset, "started_over", "keeps_salt"),
            errands.RECOVERY_KEY_MADE: _notice(letters.recovery_key_made),
        }

    def knows(self, errand: Errand) -> bool:
        """Whether the errand is of a kind that this release knows."""
        return errand.kind in self._drafts

    def draft(self, errand: Errand) -> Draft | None:
        """Return the letter that an errand of a known kind comes to, if it comes to one.

        Raises `Unavailable` where an account cannot be looked up.
        """
        return self._drafts[errand.kind](errand)

    def _verification(self, errand: Errand) -> Draft:
        user_id, to = errand.values["user_id"], errand.values["to"]
        return Draft(self._letters.verification(to, self._codes.for_address(user_id, to)), "asked")

    def _move_requested(self, errand: Errand) -> Draft:
        user_id, to = errand.values["user_id"], errand.values["to"]
        code = self._codes.for_pending(user_id, to, errand.values["session_id"])
        return Draft(self._letters.move_requested(to, code), "asked")

    def _email_left(self, errand: Errand) -> Draft:
        user_id, to = errand.values["user_id"], errand.values["to"]
        # The address is kept for its owner as long as there is use in telling them.
        code = self._codes.for_return(user_id, (to, errand.until))
        return Draft(self._letters.email_left(to, _client(errand), _moment(errand), code), "left")

    def _reset(self, errand: Errand) -> Draft | None:
        to = errand.values["to"]
        user = User.find_by_email(to)
        if user is None or user.being_deleted or user.is_locked or not user.has_password:
            return None
        code = self._codes.for_reset(user)
        return Draft(self._letters.reset(to, code, user.recovery_wrap() is not None), "asked")


def _notice(letter: Callable[..., Letter], *more: str) -> Callable[[Errand], Draft | None]:
    """Return what writes a notice of what a client has done; `more` are the values that it says besides."""

    def draft(errand: Errand) -> Draft | None:
        values = errand.values
        if values["to"] is None:
            return None
        written = letter(values["to"], _client(errand), _moment(errand), *(values[name] for name in more))
        return Draft(written, "told" if values["is_confirmed"] else "asked")

    return draft


def _client(errand: Errand) -> Client:
    return Client(errand.values["client_address"], errand.values["device_name"])


def _moment(errand: Errand) -> datetime:
    return datetime.fromtimestamp(errand.made_at, UTC)

"""Codes that are sent by mail and come back: sealed, expiring, and kept nowhere.

Each is bound to a mark of what it is for, so a change of that makes it void: a
verification code to the account's address, or the one it is about to move to;
a reset code also to its key salt, which every change of the password renews;
and an undo code to one stay of an address among those that are kept. A reset
code is thereby good for one change, and a refused one has not used it up.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.errors import InvalidCode
from panzoto.mail.letters import RESET_MINUTES, VERIFICATION_HOURS
from panzoto.models import User
from panzoto.models.address import Kept, kept_addresses

MARK_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class ShownAddress:
    """Which address of an account its owner has been shown to read: its own, or the one it moves to.

    `session_id` is the session in which the account asked for that one.
    """

    user: User
    is_pending: bool
    session_id: str | None


class MailCodes:
    """Seals codes under the newest secret and reads those of every secret."""

    def __init__(self, secret: str, fallbacks: tuple[str, ...]) -> None:
        self._verifying = Sealer(secret, fallbacks, "verify-email")
        self._resetting = Sealer(secret, fallbacks, "reset")
        self._undoing = Sealer(secret, fallbacks, "undo-email")

    def for_address(self, user_id: str, email: str) -> str:
        """Return the code that shows that mail to the account's address reaches its owner."""
        return _sealed(self._verifying, user_id, _mark(email), _in_seconds(VERIFICATION_HOURS * 3600))

    def for_pending(self, user_id: str, email: str, session_id: str | None) -> str:
        """Return the code that moves the account to the address it asks for in this session."""
        until = _in_seconds(VERIFICATION_HOURS * 3600)
        return _sealed(self._verifying, user_id, _mark(email), until, session=session_id)

    def for_reset(self, user: User) -> str:
        """Return the code that gives the account a new password."""
        mark = _mark(user.email, user.key_salt)
        return _sealed(self._resetting, user.user_id, mark, _in_seconds(RESET_MINUTES * 60))

    def for_return(self, user_id: str, kept: Kept) -> str:
        """Return the code that gives the account an address back that it has left, as long as it is kept."""
        return _sealed(self._undoing, user_id, _kept_mark(kept), kept[1])

    def address_of(self, code: str) -> ShownAddress:
        """Return the address that `code` confirms. Raises `InvalidCode`."""
        user, values = _opened(self._verifying, code)
        if _is_marked(values, user.email):
            return ShownAddress(user, False, None)
        if _is_marked(values, user.value("pending_email")):
            return ShownAddress(user, True, values.get("session"))
        raise InvalidCode()

    def user_to_reset(self, code: str) -> User:
        """Return the account that `code` gives a new password. Raises `InvalidCode`."""
        user, values = _opened(self._resetting, code)
        if not _is_marked(values, user.email, user.key_salt):
            raise InvalidCode()
        return user

    def address_to_return(self, code: str) -> tuple[User, str]:
        """Return the account and the address that `code` gives it back. Raises `InvalidCode`."""
        user, values = _opened(self._undoing, code)
        for kept in kept_addresses(user):
            if hmac.compare_digest(_kept_mark(kept), values["mark"]):
                return user, kept[0]
        raise InvalidCode()


def _in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


def _sealed(sealer: Sealer, user_id: str, mark: str, until: int, **more: Any) -> str:
    return sealer.seal({"user": user_id, "mark": mark, **more}, until)


def _opened(sealer: Sealer, code: str) -> tuple[User, dict[str, Any]]:
    try:
        # Mail programs break long lines, and people copy the breaks.
        values = sealer.open("".join(code.split()), time.time())
    except (NotSealedHere, SealExpired) as error:
        raise InvalidCode() from error
    user = User.find(values["user"])
    if user is None or user.being_deleted:
        raise InvalidCode()
    return user, values


def _is_marked(values: dict[str, Any], *parts: str | None) -> bool:
    known = [part for part in parts if part is not None]
    return len(known) == len(parts) and hmac.compare_digest(_mark(*known), values["mark"])


def _kept_mark(kept: Kept) -> str:
    return _mark(kept[0], str(kept[1]))


def _mark(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:MARK_CHARACTERS]

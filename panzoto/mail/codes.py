"""Codes that are sent by mail and come back: sealed, expiring, and kept nowhere.

Each is bound to a mark of what it is for, so a change of that makes it void: a
verification code to the account's address, and a reset code also to its key
salt, which every change of the password renews. A reset code is thereby good
for one change, and a refused one has not used it up.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.errors import InvalidCode
from panzoto.mail.letters import RESET_MINUTES, VERIFICATION_HOURS
from panzoto.models import User

MARK_CHARACTERS = 32


class MailCodes:
    """Seals codes under the newest secret and reads those of every secret."""

    def __init__(self, secret: str, fallbacks: tuple[str, ...]) -> None:
        self._verifying = Sealer(secret, fallbacks, "verify-email")
        self._resetting = Sealer(secret, fallbacks, "reset")

    def for_address(self, user: User) -> str:
        """Return the code that shows that mail to the account's address reaches its owner."""
        return _sealed(self._verifying, user, _address_mark, VERIFICATION_HOURS * 3600)

    def for_reset(self, user: User) -> str:
        """Return the code that gives the account a new password."""
        return _sealed(self._resetting, user, _password_mark, RESET_MINUTES * 60)

    def user_of_address(self, code: str) -> User:
        """Return the account whose address `code` confirms. Raises `InvalidCode`."""
        return _user(self._verifying, code, _address_mark)

    def user_to_reset(self, code: str) -> User:
        """Return the account that `code` gives a new password. Raises `InvalidCode`."""
        return _user(self._resetting, code, _password_mark)


def _sealed(sealer: Sealer, user: User, mark: Callable[[User], str], seconds: int) -> str:
    return sealer.seal({"user": user.user_id, "mark": mark(user)}, int(time.time()) + seconds)


def _user(sealer: Sealer, code: str, mark: Callable[[User], str]) -> User:
    try:
        # Mail programs break long lines, and people copy the breaks.
        values = sealer.open("".join(code.split()), time.time())
    except (NotSealedHere, SealExpired) as error:
        raise InvalidCode() from error
    user = User.find(values["user"])
    if user is None or user.being_deleted or not hmac.compare_digest(mark(user), values["mark"]):
        raise InvalidCode()
    return user


def _address_mark(user: User) -> str:
    return _mark(user.email)


def _password_mark(user: User) -> str:
    return _mark(user.email, user.key_salt)


def _mark(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:MARK_CHARACTERS]

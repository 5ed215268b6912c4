"""How many letters one mailbox gets in a while, whoever causes them and however its address is spelt.

Three counts stand apart, so that nobody keeps a letter away by having others
sent: what anybody may ask for, be it without any password; what an owner is
told, once their address is known to be theirs; and the letter by which an
account that was taken away comes back. What goes to an address that nobody
has confirmed counts with the first, since anybody may have typed it.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Literal

from panzoto.auth.mail_address import normal_form
from panzoto.config import Rate
from panzoto.errors import Unavailable
from panzoto.models import windows

NAME = "letters"
Kind = Literal["asked", "told", "left"]

log = logging.getLogger(__name__)


class LetterLimit:
    """Counts letters by mailbox before they leave."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate

    def require(self, address: str) -> None:
        """Count a letter that somebody asks for. Raises `TooManyRequests` and `Unavailable`."""
        self._count("asked", address).require()

    def allows(self, kind: Kind, address: str) -> bool:
        """Count a letter that is caused by something else; whether it may leave."""
        try:
            return self._count(kind, address).remaining >= 0
        except Unavailable:
            # A letter too many is better than one that is missed.
            log.warning("letter_not_counted")
            return True

    def take_back(self, kind: Kind, address: str) -> None:
        """Count a letter less: one that was allowed has not left. Raises `Unavailable`."""
        windows.uncount(_subject(kind, address), self._rate)

    def _count(self, kind: Kind, address: str) -> windows.Allowance:
        return windows.count(NAME, _subject(kind, address), self._rate)


def _subject(kind: Kind, address: str) -> str:
    mailbox = hashlib.sha256(normal_form(address).encode()).hexdigest()[:32]
    return f"{NAME}#{kind}#{mailbox}"

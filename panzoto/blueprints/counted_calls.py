"""Every call that takes a password, a recovery key, a code or a provider's token, and how it is counted.

`CALLS` is the one list of them: each of these views counts by it in its first
line, and what guards the service from outside is made from it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flask import request

from panzoto.edge.guard import caller
from panzoto.edge.http import limit_account, limit_address


@dataclass(frozen=True, slots=True)
class Counted:
    """Which limit a call counts against, and by what: its client's address, or the account it is made in."""

    limit: Literal["register", "login", "decrypt", "session"]
    by: Literal["address", "account"]


OPEN = Counted("login", "address")
INSIDE = Counted("session", "account")

# By method and rule.
CALLS: dict[tuple[str, str], Counted] = {
    ("POST", "/api/register"): Counted("register", "address"),
    ("POST", "/api/login"): OPEN,
    ("POST", "/api/recover"): OPEN,
    ("POST", "/api/verify-email"): OPEN,
    ("POST", "/api/email/undo"): OPEN,
    # These two belong together: the first sends the code that the second takes.
    ("POST", "/api/password/forgot"): OPEN,
    ("POST", "/api/password/reset"): OPEN,
    ("POST", "/api/decrypt-audio"): Counted("decrypt", "address"),
    ("POST", "/api/transcripts/unlock"): Counted("decrypt", "address"),
    # These count where they take a password; neither a ticket nor a file key can be guessed.
    ("POST", "/api/transcriptions"): Counted("decrypt", "address"),
    ("POST", "/api/audio-file/<file_id>/transcript"): Counted("decrypt", "address"),
    ("POST", "/api/search"): Counted("decrypt", "address"),
    ("POST", "/api/user/password"): INSIDE,
    ("POST", "/api/user/email"): INSIDE,
    ("POST", "/api/user/recovery-key"): INSIDE,
    ("POST", "/api/user/recover"): INSIDE,
    ("DELETE", "/api/user"): INSIDE,
    ("POST", "/api/audio-file/<file_id>/upgrade"): INSIDE,
}


def count_call() -> None:
    """Count this call as `CALLS` says. Raises `TooManyRequests` and `Unavailable`."""
    counted = CALLS[request.method, str(request.url_rule)]
    if counted.by == "account":
        limit_account(counted.limit, caller().user_id)
    else:
        limit_address(counted.limit)

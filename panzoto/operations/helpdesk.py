"""What an operator does to one account when its owner writes: find it, lock it, unlock it, end its sessions.

Each is among the account's events, so its owner sees that it was done. A lock
keeps everybody out, the owner included, and takes nothing away: the address
stays taken, and rows and objects stay as they are. It ends every session, and
none comes back with the unlocking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from panzoto.accounts.sessions import Sessions
from panzoto.errors import BeingDeleted, UserNotFound
from panzoto.models import AudioFile, Event, Session, User
from panzoto.models.connection import Also, Transaction

# A transaction takes a hundred items; the account and the event are two of them.
ENDED_AT_ONCE = 98


@dataclass(frozen=True, slots=True)
class Found:
    """One account as an operator may see it; nothing of it is secret."""

    user: User
    sessions: Sequence[Session]
    recordings: int
    size: int


class Helpdesk:
    """The verbs of operators on accounts; `sessions` are those of this process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def find(self, who: str) -> list[User]:
        """Return the accounts that `who`, an address as accounts have it or an id, may mean.

        An address means the account that claims it. Where none does, all that
        sign in by OpenID are read for those whose provider tells it.
        Raises `UserNotFound`.
        """
        if "@" not in who:
            user = User.find(who) or User.find(who.lower())
            found = [] if user is None else [user]
        else:
            user = User.find_by_email(who)
            found = list(User.all_of_openid_email(who)) if user is None else [user]
        if not found:
            raise UserNotFound()
        return found

    def look_up(self, user: User) -> Found:
        """Return what there is to see of the account."""
        found = Found(user, Session.all_of(user.user_id), *_usage(user))
        # What is written beside a deletion would outlive it.
        if not user.being_deleted:
            _event(user, "account_looked_up").write()
        return found

    def lock(self, user: User) -> bool:
        """Keep everybody out and end every session; False when the account was locked already.

        Repeating it ends what an interrupted one left. Raises `BeingDeleted`.
        """
        if user.being_deleted:
            raise BeingDeleted()
        sessions = Session.all_of(user.user_id)
        event = _event(user, "account_locked", sessions=len(sessions))
        locked = user.lock(_together(event, sessions))
        self._sessions.end_others(user.user_id, None)
        return locked

    def unlock(self, user: User) -> bool:
        """Let the account be used again; False when it was not locked."""
        return user.unlock(_event(user, "account_unlocked").add_to)

    def end_sessions(self, user: User) -> int:
        """End every session and every token that names none; return how many sessions there were.

        Raises `BeingDeleted`.
        """
        if user.being_deleted:
            raise BeingDeleted()
        sessions = Session.all_of(user.user_id)
        for session in sessions[ENDED_AT_ONCE:]:
            self._sessions.end(user.user_id, session.session_id)
        event = _event(user, "sessions_ended", sessions=len(sessions))
        user.end_tokens(_together(event, sessions))
        # Those that began while the others were looked up.
        self._sessions.end_others(user.user_id, None)
        return len(sessions)


def _usage(user: User) -> tuple[int, int]:
    """Return how many recordings and bytes there are: as counted, or of an older account as listed."""
    if user.is_counted:
        return user.counted_usage()
    sizes = [row.size_in_bytes for row in AudioFile.oldest_first(user.user_id)]
    return len(sizes), sum(sizes)


def _event(user: User, type_: str, **detail: int) -> Event:
    return Event.of(user.user_id, type_, None, None, by="operator", **detail)


def _together(event: Event, sessions: Sequence[Session]) -> Also:
    def add(transaction: Transaction) -> None:
        event.add_to(transaction)
        for session in sessions[:ENDED_AT_ONCE]:
            transaction.delete(session)

    return add

"""Where an account's letters go: shown to be its owner's, moved, and moved back."""

from __future__ import annotations

from panzoto.accounts.proofs import Proofs
from panzoto.accounts.sessions import Sessions
from panzoto.auth.caller import Caller, Client
from panzoto.errors import EmailOfProvider, InvalidCode
from panzoto.mail.mailbox import Mailbox
from panzoto.models import Event, User, address


class Addresses:
    """The verbs of an account's address."""

    def __init__(self, proofs: Proofs, sessions: Sessions, *, mailbox: Mailbox) -> None:
        self._proofs = proofs
        self._sessions = sessions
        self._mailbox = mailbox

    def change(self, user: User, password: str, email: str, caller: Caller) -> None:
        """Ask for another address, and move there at once where no letters leave. One computation.

        Its own address once more gives up one that was asked for. Raises
        `InvalidPassword`, `UserExists`, `EmailOfProvider`, `Conflict`, and
        `TooManyRequests` when the new mailbox has had very many letters of late.
        """
        if user.signs_in_by_openid:
            raise EmailOfProvider()
        self._proofs.by_password(user, password, caller)
        if email == user.email:
            address.stay(user)
        elif self._mailbox.sends:
            address.require_free(user, email)
            self._mailbox.require_room(email)
            address.ask_for(user, email)
            self._mailbox.move_requested(user, caller.session_id)
        else:
            address.move_at_once(user, email, Event.by(caller, "email_changed").add_to)

    def confirm(self, code: str, client: Client) -> None:
        """Note that mail reaches the owner where `code` went to, and move there if that was asked for.

        The address that the account leaves gets a letter by which it comes back. Raises `InvalidCode`.
        """
        shown = self._mailbox.shown_address(code)
        if not shown.is_pending:
            shown.user.confirm_email()
            return
        # A lock lets nobody change anything.
        if shown.user.is_locked:
            raise InvalidCode()
        changed = Event.of(shown.user.user_id, "email_changed", shown.session_id, client.address)
        former = address.move_to_pending(shown.user, changed.add_to)
        self._mailbox.moved(shown.user, former, client)

    def undo(self, code: str, client: Client) -> None:
        """Give the account back the address that `code` went to, and end every session.

        Raises `InvalidCode` and `Conflict`.
        """
        user, former = self._mailbox.address_to_return(code)
        ends = self._sessions.ending(user.user_id, None)
        undone = Event.of(user.user_id, "email_changed", None, client.address, undone=True)
        address.move_back(user, former, ends, undone.add_to)
        self._sessions.end_others(user.user_id, None, ends)

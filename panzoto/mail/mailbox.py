"""What an account's owner is told by mail, and the codes that come back.

Every verb that tells something is called after that is stored, returns at
once, never fails, and does nothing while mail is off. How many letters a
mailbox gets is limited; see `limit`.
"""

from __future__ import annotations

from collections.abc import Callable

from panzoto.auth.caller import Client
from panzoto.mail.codes import MailCodes, ShownAddress
from panzoto.mail.letter_limit import Kind, LetterLimit
from panzoto.mail.letters import Letter, Letters
from panzoto.mail.post import Post
from panzoto.models import User
from panzoto.models.address import kept_addresses
from panzoto.models.attributes import now


class Mailbox:
    """The letters of one service; `post` is None while mail is off."""

    def __init__(self, post: Post | None, codes: MailCodes, letters: Letters, limit: LetterLimit) -> None:
        self._post = post
        self._codes = codes
        self._letters = letters
        self._limit = limit

    @property
    def sends(self) -> bool:
        """Whether letters leave, so that a code can come back."""
        return self._post is not None

    def require_room(self, address: str) -> None:
        """Count a letter that somebody asks for before it is sent. Raises `TooManyRequests`."""
        if self.sends:
            self._limit.require(address)

    def registered(self, user: User) -> None:
        """Send the code that confirms the new account's address."""
        self._later("asked", user.email, lambda: self._verification(user))

    def verification_requested(self, user: User) -> None:
        """Send the code that confirms the address, unless it is confirmed. Raises `TooManyRequests`."""
        if user.email and not user.has_verified_email:
            self.require_room(user.email)
            self._send(lambda: self._verification(user))

    def _verification(self, user: User) -> Letter:
        return self._letters.verification(user.email, self._codes.for_address(user))

    def signed_in(self, user: User, client: Client) -> None:
        """Tell of a device that was not seen before, and know it from now on."""
        if not user.knows_device(client.device_name):
            self._know_device(user, client)
            self._tell(user, lambda to: self._letters.new_device(to, client, now()))

    def password_changed(self, user: User, client: Client) -> None:
        self._tell(user, lambda to: self._letters.password_changed(to, client, now()))

    def recovered(self, user: User, client: Client) -> None:
        """The account was opened with its recovery key."""
        self._know_device(user, client)
        self._tell(user, lambda to: self._letters.recovered(to, client, now()))

    def password_reset(self, user: User, client: Client, started_over: bool, keeps_salt: bool) -> None:
        """The password was reset by mail; `started_over` when that was without the recovery key.

        `keeps_salt` when the password that the account had goes on opening its recordings.
        """
        self._know_device(user, client)
        self._tell(user, lambda to: self._letters.password_reset(to, client, now(), started_over, keeps_salt))

    def recovery_key_made(self, user: User, client: Client) -> None:
        self._tell(user, lambda to: self._letters.recovery_key_made(to, client, now()))

    def move_requested(self, user: User, session_id: str | None) -> None:
        """Send the code that moves the account to the address it has asked for; see `require_room`."""
        to, code = user.pending_email, self._codes.for_pending(user, session_id)
        self._send(lambda: self._letters.move_requested(to, code))

    def moved(self, user: User, former: str, client: Client) -> None:
        """Tell the address that the account has left, with the code that brings it back."""
        kept = next((one for one in kept_addresses(user) if one[0] == former), None)
        if kept is not None:
            code = self._codes.for_return(user, kept)
            self._later("left", former, lambda: self._letters.email_left(former, client, now(), code))

    def reset_requested(self, email: str) -> None:
        """Send a code to `email` if there is such an account and its mailbox may have one more letter.

        Only the background looks, so the answer takes the same time for every address.
        """
        self._send(lambda: self._reset_letter(email))

    def shown_address(self, code: str) -> ShownAddress:
        """Return the address that `code` shows its owner to read. Raises `InvalidCode`."""
        return self._codes.address_of(code)

    def user_to_reset(self, code: str) -> User:
        """Return the account that `code` gives a new password. Raises `InvalidCode`."""
        return self._codes.user_to_reset(code)

    def address_to_return(self, code: str) -> tuple[User, str]:
        """Return the account and the former address that `code` gives it back. Raises `InvalidCode`."""
        return self._codes.address_to_return(code)

    def _reset_letter(self, email: str) -> Letter | None:
        user = User.find_by_email(email)
        if user is None or user.being_deleted or user.is_locked or not user.has_password:
            return None
        if not self._limit.allows("asked", email):
            return None
        return self._letters.reset(email, self._codes.for_reset(user), user.recovery_wrap() is not None)

    def _know_device(self, user: User, client: Client) -> None:
        if self._post is not None and not user.knows_device(client.device_name):
            user_id, name = user.user_id, client.device_name
            self._post.later(lambda: User.know_device(user_id, name))

    def _tell(self, user: User, letter: Callable[[str], Letter]) -> None:
        to = user.mail_address
        if to:
            self._later("told" if user.has_verified_email else "asked", to, lambda: letter(to))

    def _later(self, kind: Kind, to: str, letter: Callable[[], Letter]) -> None:
        """Send a letter that nobody waits for, unless its mailbox has had enough of its kind."""
        self._send(lambda: letter() if self._limit.allows(kind, to) else None)

    def _send(self, letter: Callable[[], Letter | None]) -> None:
        if self._post is not None:
            self._post.later(letter)

"""What an account's owner is told by mail, and the codes that come back.

Every verb is called after what it tells is stored, returns at once, never
fails, and does nothing while mail is off.
"""

from __future__ import annotations

from collections.abc import Callable

from panzoto.auth.caller import Client
from panzoto.mail.codes import MailCodes
from panzoto.mail.letters import Letter, Letters
from panzoto.mail.post import Post
from panzoto.models import User
from panzoto.models.attributes import now


class Mailbox:
    """The letters of one service; `post` is None while mail is off."""

    def __init__(self, post: Post | None, codes: MailCodes, letters: Letters) -> None:
        self._post = post
        self._codes = codes
        self._letters = letters

    def registered(self, user: User) -> None:
        """Send the code that confirms the new account's address."""
        self.verification_requested(user)

    def verification_requested(self, user: User) -> None:
        """Send the code that confirms the address, unless it is confirmed."""
        if user.email and not user.has_verified_email:
            self._send(self._letters.verification(user.email, self._codes.for_address(user)))

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

    def email_changed(self, user: User, old_address: str | None, client: Client) -> None:
        """Tell both addresses, and send the new one its code."""
        if old_address:
            self._send(self._letters.email_left(old_address, client, now()))
        if user.email:
            self._send(self._letters.email_taken_up(user.email, self._codes.for_address(user)))

    def reset_requested(self, email: str) -> None:
        """Send a code to `email` if there is such an account.

        Only the background looks, so the answer takes the same time for every address.
        """
        if self._post is not None:
            self._post.later(lambda: self._reset_letter(email))

    def confirm_address(self, code: str) -> None:
        """Note that mail to the account's address reaches its owner. Raises `InvalidCode`."""
        self._codes.user_of_address(code).confirm_email()

    def user_to_reset(self, code: str) -> User:
        """Return the account that `code` gives a new password. Raises `InvalidCode`."""
        return self._codes.user_to_reset(code)

    def _reset_letter(self, email: str) -> Letter | None:
        user = User.find_by_email(email)
        if user is None or user.being_deleted or user.is_locked or not user.has_password:
            return None
        return self._letters.reset(email, self._codes.for_reset(user), user.recovery_wrap() is not None)

    def _know_device(self, user: User, client: Client) -> None:
        if self._post is not None and not user.knows_device(client.device_name):
            user_id, name = user.user_id, client.device_name
            self._post.later(lambda: User.know_device(user_id, name))

    def _tell(self, user: User, letter: Callable[[str], Letter]) -> None:
        if user.mail_address:
            self._send(letter(user.mail_address))

    def _send(self, letter: Letter) -> None:
        if self._post is not None:
            self._post.later(lambda: letter)

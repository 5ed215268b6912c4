"""What an account's owner is told by mail, and the codes that come back.

Every verb that tells something is called after that is stored, returns at
once, never fails, and does nothing while mail is off: it makes an errand, which
is done elsewhere and later. How many letters a mailbox gets is limited; see
`letter_limit`.
"""

from __future__ import annotations

from typing import Any

from panzoto.auth.caller import Client
from panzoto.mail import errands
from panzoto.mail.codes import MailCodes, ShownAddress
from panzoto.mail.errands import Errand
from panzoto.mail.letter_limit import LetterLimit
from panzoto.mail.post import Post
from panzoto.models import User
from panzoto.models.address import kept_addresses


class Mailbox:
    """The letters of one service; `post` is None while mail is off."""

    def __init__(self, post: Post | None, codes: MailCodes, limit: LetterLimit) -> None:
        self._post = post
        self._codes = codes
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
        self._send(Errand.of(errands.VERIFICATION, {"user_id": user.user_id, "to": user.email}))

    def verification_requested(self, user: User) -> None:
        """Send the code that confirms the address, unless it is confirmed. Raises `TooManyRequests`."""
        if user.email and not user.has_verified_email:
            self.require_room(user.email)
            values = {"user_id": user.user_id, "to": user.email}
            self._send(Errand.of(errands.VERIFICATION, values, is_counted=True))

    def signed_in(self, user: User, client: Client) -> None:
        """Tell of a device that was not seen before, and know it from now on."""
        if not user.knows_device(client.device_name):
            self._tell(errands.NEW_DEVICE, user, client)

    def password_changed(self, user: User, client: Client) -> None:
        self._tell(errands.PASSWORD_CHANGED, user, client, of_new_device=False)

    def recovered(self, user: User, client: Client) -> None:
        """The account was opened with its recovery key."""
        self._tell(errands.RECOVERED, user, client)

    def password_reset(self, user: User, client: Client, started_over: bool, keeps_salt: bool) -> None:
        """The password was reset by mail; `started_over` when that was without the recovery key.

        `keeps_salt` when the password that the account had goes on opening its recordings.
        """
        self._tell(errands.PASSWORD_RESET, user, client, started_over=started_over, keeps_salt=keeps_salt)

    def recovery_key_made(self, user: User, client: Client) -> None:
        self._tell(errands.RECOVERY_KEY_MADE, user, client, of_new_device=False)

    def move_requested(self, user: User, session_id: str | None) -> None:
        """Send the code that moves the account to the address it has asked for; see `require_room`."""
        values = {"user_id": user.user_id, "to": user.pending_email, "session_id": session_id}
        self._send(Errand.of(errands.MOVE_REQUESTED, values, is_counted=True))

    def moved(self, user: User, former: str, client: Client) -> None:
        """Tell the address that the account has left, with the code that brings it back."""
        kept = next((one for one in kept_addresses(user) if one[0] == former), None)
        if kept is not None:
            values = {"user_id": user.user_id, "to": former, **_seen_of(client)}
            self._send(Errand.of(errands.EMAIL_LEFT, values, until=kept[1]))

    def reset_requested(self, email: str) -> None:
        """Send a code to `email` if there is such an account and its mailbox may have one more letter.

        Only who writes the letter looks, so the answer takes the same time for every address.
        """
        self._send(Errand.of(errands.RESET, {"to": email}))

    def shown_address(self, code: str) -> ShownAddress:
        """Return the address that `code` shows its owner to read. Raises `InvalidCode`."""
        return self._codes.address_of(code)

    def user_to_reset(self, code: str) -> User:
        """Return the account that `code` gives a new password. Raises `InvalidCode`."""
        return self._codes.user_to_reset(code)

    def address_to_return(self, code: str) -> tuple[User, str]:
        """Return the account and the former address that `code` gives it back. Raises `InvalidCode`."""
        return self._codes.address_to_return(code)

    def _tell(
        self, kind: str, user: User, client: Client, *, of_new_device: bool = True, **more: bool
    ) -> None:
        """Send a notice of what the client has done, to the address that the account has now, if any.

        Whoever does the errand knows the client's device from then on, where that is `of_new_device`.
        """
        values: dict[str, Any] = {
            "user_id": user.user_id,
            "to": user.mail_address,
            "is_confirmed": user.has_verified_email,
            "is_new_device": of_new_device and not user.knows_device(client.device_name),
            **_seen_of(client),
            **more,
        }
        self._send(Errand.of(kind, values))

    def _send(self, errand: Errand) -> None:
        if self._post is not None:
            self._post.later(errand)


def _seen_of(client: Client) -> dict[str, str]:
    return {"client_address": client.address, "device_name": client.device_name}

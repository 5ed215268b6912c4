"""What the mails say: plain texts for people who may be worried while they read them.

Nothing of what a stranger typed stands in a mail, except for the name of a
device that was signed in with the right password. A code stands in a line of
its own and, where the operator has said at which address the service is, in
the fragment of an address to open: that part is sent to nobody, so it is
logged nowhere on its way. An address that a request named is in no letter.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from datetime import datetime

from panzoto.auth.caller import Client
from panzoto.models.address import KEPT

VERIFICATION_HOURS = 24
RESET_MINUTES = 60
RETURN_DAYS = KEPT.days
LINE_CHARACTERS = 76
CONFIRM = "To confirm that it is yours,"
CHOOSE = "To choose a new password,"
RETURN = "To get your account back to this address,"
UNCONFIRMED = "do nothing: an address that nobody confirms is not trusted."
VALID_FOR = f"The code is valid for {VERIFICATION_HOURS} hours."
NOT_YOU = (
    "If this was not you, somebody knows your password: change it now, sign out the other devices, "
    "and change it in every other place where you use it."
)
# The vault key stays the same, and a copy of the stored account goes on opening with what opened it then.
COPIES = (
    "That keeps them out from then on. It does not take back what they have heard or copied until then: a "
    "copy of the stored data that was made before goes on opening with what they know, and with it also "
    "recordings that are made later, should they come by those."
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one address. `kind` names it in logs and file names and tells nothing secret."""

    kind: str
    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


class Letters:
    """The letters of one service, signed with its address where that is known."""

    def __init__(self, service_url: str | None) -> None:
        self._service_url = service_url
        self._signature = f"-- \nPanzoto, {service_url}\n" if service_url else "-- \nPanzoto\n"

    def verification(self, to: str, code: str) -> Letter:
        return self._letter(
            "verification",
            to,
            "Confirm your address",
            "an account was made at Panzoto with this address.",
            *self._way(CONFIRM, "verify", code),
            VALID_FOR,
            f"If you made no account, {UNCONFIRMED}",
        )

    def new_device(self, to: str, client: Client, at: datetime) -> Letter:
        return self._letter(
            "new-device",
            to,
            "New sign-in to your account",
            "a device that was not seen before has signed in to your account with your password.",
            _circumstances(client, at),
            f"{NOT_YOU} {COPIES}",
        )

    def password_changed(self, to: str, client: Client, at: datetime) -> Letter:
        return self._letter(
            "password-changed",
            to,
            "Your password was changed",
            "your account has a new password. All recordings open with it, and every other device that was "
            "signed in with an earlier one was signed out.",
            _circumstances(client, at),
            "If you changed it because somebody knew the former one: they are kept out from now on. It does "
            "not take back what they have heard or copied until now: a copy of the stored data that was made "
            "before goes on opening with the former password, and with it also recordings that are made "
            "later, should they come by those.",
            "If this was not you, ask for a new password by mail at once; the code comes to this address.",
        )

    def recovered(self, to: str, client: Client, at: datetime) -> Letter:
        return self._letter(
            "recovered",
            to,
            "Your account was recovered",
            "your account was opened with its recovery key and given a new password; every device was signed "
            "out. All recordings open with the new password, and the recovery key stays valid.",
            _circumstances(client, at),
            "If this was not you, somebody has your recovery key. Ask for a new password by mail, with that "
            f"key, and then make a new recovery key; after that the old one is not taken any more. {COPIES}",
        )

    def password_reset(
        self, to: str, client: Client, at: datetime, started_over: bool, keeps_salt: bool = False
    ) -> Letter:
        effect = (
            "The account has begun anew without a recovery key: recordings that were made before can never "
            "be opened again. An earlier recovery key is not taken any more; please make a new one."
            if started_over
            else "All recordings open with the new password, and the recovery key stays valid."
        )
        if keeps_salt:
            effect = (
                "What was stored of your earlier password was damaged. If the new password is the one that "
                "you had before, all recordings open again; with another one they stay closed."
            )
        return self._letter(
            "password-reset",
            to,
            "Your password was reset",
            "your account was given a new password with a code that was sent to this address; every device "
            "was signed out.",
            effect,
            _circumstances(client, at),
            "If this was not you, somebody reads your mail: secure your mailbox first, then ask for a new "
            "password.",
        )

    def recovery_key_made(self, to: str, client: Client, at: datetime) -> Letter:
        return self._letter(
            "recovery-key-made",
            to,
            "A new recovery key was made",
            "a new recovery key was made for your account. It opens everything, and an earlier one is not "
            "taken any more.",
            _circumstances(client, at),
            f"{NOT_YOU} Then make a new recovery key; after that this one is not taken any more. {COPIES}",
        )

    def move_requested(self, to: str, code: str) -> Letter:
        """The letter to the address that an account asks for, with the code that moves it there."""
        return self._letter(
            "email-changed",
            to,
            "Confirm your new address",
            "somebody, probably you, wants to move an account at Panzoto to this address. It moves when you "
            "confirm that the address is yours, and stays where it is until then.",
            *self._way(CONFIRM, "verify", code),
            VALID_FOR,
            "If you have no account at Panzoto, do nothing: nothing happens.",
        )

    def email_left(self, to: str, client: Client, at: datetime, code: str) -> Letter:
        """The notice to the address that an account has left; it does not name the new one."""
        return self._letter(
            "email-left",
            to,
            "The address of your account was changed",
            "your account now has another address than this one.",
            _circumstances(client, at),
            "If this was you, do nothing. If it was not, somebody knows your password. For a while of "
            f"{RETURN_DAYS} days this address is kept for you, and nobody else can take it.",
            *self._way(RETURN, "undo", code),
            "That signs out every device, and whoever moved the account cannot undo it. Then ask for a new "
            f"password by mail at once; the code comes to this address. {COPIES}",
        )

    def reset(self, to: str, code: str, has_recovery_key: bool) -> Letter:
        key = (
            "With your recovery key all recordings open with the new password, so have it at hand."
            if has_recovery_key
            else "Your account has no recovery key."
        )
        return self._letter(
            "reset",
            to,
            "Your code for a new password",
            "somebody, probably you, asked for a new password for your account.",
            "PLEASE READ THIS FIRST. Your recordings are sealed with your password, and nobody else can open "
            f"them, not even we. {key} Without the recovery key you get back the account, but the recordings "
            "in it are lost: nobody will ever be able to open them again.",
            *self._way(CHOOSE, "reset", code),
            f"The code is valid for {RESET_MINUTES} minutes, and for one change of the password.",
            "If you did not ask for this, or remember your password after all, do nothing: nothing changes.",
        )

    def _way(self, purpose: str, page: str, code: str) -> tuple[str, ...]:
        """Return how the code comes back: by a page of the service where its address is known, or by hand."""
        if self._service_url is None:
            where = f"in your app, or at the address where you use Panzoto with /{page} behind it"
            return f"{purpose} enter this code {where}:", code
        link = f"{self._service_url}/{page}#code={code}"
        return f"{purpose} open this address:", link, "Or enter this code in your app:", code

    def _letter(self, kind: str, to: str, subject: str, *paragraphs: str) -> Letter:
        wrapped = (_wrapped(paragraph) for paragraph in paragraphs)
        return Letter(kind, to, subject, "\n\n".join(("Hello,", *wrapped, self._signature)))


def _wrapped(paragraph: str) -> str:
    """Return prose in lines; a code stays in one and what is indented stays as it is."""
    if paragraph.startswith(" "):
        return paragraph
    return textwrap.fill(paragraph, LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)


def _circumstances(client: Client, at: datetime) -> str:
    lines = (
        ("Device", client.device_to_read),
        ("Address", client.address),
        ("Time", f"{at:%d %B %Y, %H:%M} UTC"),
    )
    return "\n".join(f"    {name + ':':<9}{value}" for name, value in lines)

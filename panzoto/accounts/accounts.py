"""What an account's owner does with a password: register, sign in, open the vault, take another one.

Each verb says how many Argon2 computations it costs, since they are nearly
all of what it costs.
"""

from __future__ import annotations

import os
from dataclasses import replace

from panzoto.accounts.openid import OpenIdAccounts
from panzoto.accounts.proofs import Proofs
from panzoto.accounts.sessions import Grant, Sessions
from panzoto.accounts.throttle import Throttle, account_subject
from panzoto.accounts.vaults import Vaults
from panzoto.auth.caller import Caller, Client
from panzoto.auth.mail_address import MALFORMED, is_well_formed
from panzoto.crypto.keys import Keys
from panzoto.crypto.permits import asking_for
from panzoto.errors import InvalidCredentials, InvalidPassword, InvalidRequest, UserExists
from panzoto.mail.mailbox import Mailbox
from panzoto.models import Event, User
from panzoto.models.attempts import Attempts
from panzoto.models.connection import ConditionFailed
from panzoto.models.credentials import KEY_SALT_BYTES
from panzoto.models.user import new_user_id

PASSWORD_REQUIRED = "Password is required"  # noqa: S105 - a sentence


class Accounts:
    """The verbs of an account and its password, in this process."""

    def __init__(
        self,
        vaults: Vaults,
        proofs: Proofs,
        throttle: Throttle,
        sessions: Sessions,
        openid: OpenIdAccounts | None,
        *,
        mailbox: Mailbox,
    ) -> None:
        self._vaults = vaults
        self._proofs = proofs
        self._throttle = throttle
        self._sessions = sessions
        self._openid = openid
        self._mailbox = mailbox

    def register(self, email: str, password: str, client: Client) -> tuple[User, Grant]:
        """Make an account with its vault and first session.

        Two computations. Raises `UserExists`, `Busy`, `Unavailable`.
        """
        if User.email_is_taken(email):
            raise UserExists()
        user_id = new_user_id()
        with asking_for(account_subject(email)):
            password_hash = self._vaults.hash(password)
            vault = self._vaults.fresh(user_id, password)
        beginning = self._sessions.prepare(user_id, client, "registered")
        user = User.register(
            email=email,
            user_id=user_id,
            password_hash=password_hash,
            key_salt=os.urandom(KEY_SALT_BYTES),
            vault=vault,
            device_name=client.device_name,
            also=beginning.add_to,
        )
        self._mailbox.registered(user)
        return user, beginning.grant

    def sign_in(self, email: str, password: str, client: Client) -> tuple[User, Grant]:
        """Begin a session of the account of `email` if `password` is its own.

        One computation, whether or not the account exists; one more when its
        hash is of older parameters and one when it has no vault yet. Raises
        `InvalidCredentials`, `AccountLocked`, `AccountNeedsRecovery`, `TooManyRequests`, `DamagedRecord`,
        `Busy` and `Unavailable`; `InvalidRequest` for a malformed address, unless the earlier service
        has taken it.
        """
        if not is_well_formed(email) and User.find_by_email(email) is None:
            raise InvalidRequest(MALFORMED, {"email": MALFORMED})
        subject = account_subject(email)
        with self._throttle.attempt(subject):
            return self._sign_in(email, password, client, subject)

    def _sign_in(self, email: str, password: str, client: Client, subject: str) -> tuple[User, Grant]:
        found = User.find_and_claim_email(email)
        try:
            user = self._vaults.proven(found, password)
        except InvalidPassword as error:
            self._proofs.note_failure(found, client)
            raise InvalidCredentials() from error
        self._proofs.refuse_locked(user, client, subject)
        self._vaults.keep_up(user, password)
        try:
            grant = self._sessions.begin(user, client, "signed_in", Attempts.reset_of(subject))
        except ConditionFailed as error:
            # The password was changed between our look at it and now.
            raise InvalidCredentials() from error
        self._mailbox.signed_in(user, client)
        return user, grant

    def unlock(self, user: User, password: str, caller: Caller) -> Keys:
        """Return the keys that `password` opens, asked for inside a session; see `Proofs.by_password`."""
        return self._proofs.by_password(user, password, caller)

    def change_password(self, user: User, password: str | None, new_password: str, caller: Caller) -> Grant:
        """Wrap the same vault key under `new_password`; every recording goes on opening.

        The caller's session goes on and every other ends. Three computations.
        An account that signs in by OpenID and has no password yet gets its
        first one, and needs none for that.
        Raises `InvalidPassword` and, when somebody else changed the account at
        the same time, `Conflict`.
        """
        if not user.has_password:
            return self._set_first_password(user, new_password, caller)
        if password is None:
            raise InvalidRequest(PASSWORD_REQUIRED, {"password": PASSWORD_REQUIRED})
        keys = self.unlock(user, password, caller)
        new = self._vaults.under_new_password(user, keys, new_password, {user.salt(): keys.generations[0]})
        # Looked up last, so that hardly any session can begin between this and the write.
        new = replace(new, ends=self._sessions.ending(user.user_id, caller.session_id))
        user.replace_password(new, Event.by(caller, "password_changed").add_to)
        self._mailbox.password_changed(user, caller.client)
        self._sessions.end_others(user.user_id, caller.session_id, new.ends)
        return self._sessions.continue_or_begin(user, caller)

    def _set_first_password(self, user: User, new_password: str, caller: Caller) -> Grant:
        """Make the vault and begin a session. Two computations; of several at once one sets it."""
        password_hash = self._vaults.hash(new_password)
        vault = self._vaults.fresh(user.user_id, new_password)
        user.set_first_password(password_hash, vault, Event.by(caller, "password_changed", first=True).add_to)
        self._mailbox.password_changed(user, caller.client)
        return self._sessions.begin_or_conflict(user, caller.client, "signed_in")

    def confirm_deletion(
        self, user: User, password: str | None, provider_token: str | None, caller: Caller
    ) -> None:
        """Prove that the owner wants everything deleted: by the password, or a token just issued to them.

        One computation, or none. Raises `InvalidPassword`, `InvalidProviderToken`.
        """
        if password is not None:
            self.unlock(user, password, caller)
        elif not (self._openid and provider_token and self._openid.has_just_issued(provider_token, user)):
            raise self._proofs.refuse_provider_token(user, caller)

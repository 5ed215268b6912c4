"""Back into an account whose password is lost: with the recovery key, or with a code that came by mail."""

from __future__ import annotations

from dataclasses import replace

from panzoto.accounts.proofs import Proofs, parsed
from panzoto.accounts.sessions import Beginning, Grant, Sessions
from panzoto.accounts.throttle import Throttle, account_subject
from panzoto.accounts.vaults import Vaults, is_broken
from panzoto.auth.caller import Caller, Client
from panzoto.crypto import recovery_key as recovery
from panzoto.crypto.keys import Keys
from panzoto.errors import RecordingsWouldBeLost
from panzoto.mail.mailbox import Mailbox
from panzoto.models import AudioFile, Event, User
from panzoto.models.attempts import Attempts
from panzoto.models.connection import Also, together
from panzoto.models.credentials import NewPassword


class Recovery:
    """The verbs of recovery keys and of resets by mail."""

    def __init__(
        self, vaults: Vaults, proofs: Proofs, throttle: Throttle, sessions: Sessions, *, mailbox: Mailbox
    ) -> None:
        self._vaults = vaults
        self._proofs = proofs
        self._throttle = throttle
        self._sessions = sessions
        self._mailbox = mailbox

    def make_key(self, user: User, password: str, caller: Caller) -> tuple[str, str]:
        """Return a new recovery key as a person writes it, and when it was made; the one before is void.

        One computation. The direct keys of today's password are kept beside
        it, since after a recovery nobody can derive them any more.
        """
        keys = self._proofs.by_password(user, password, caller)
        vault_key = keys.the_vault_key()
        recovery_key = recovery.generate()
        wrapped = recovery.wrap_vault_key(recovery_key, user.user_id, vault_key)
        kept = user.with_direct_keys(vault_key, {user.salt(): keys.generations[0]})
        created_at = user.replace_recovery(wrapped, kept, Event.by(caller, "recovery_key_made").add_to)
        self._mailbox.recovery_key_made(user, caller.client)
        return recovery.write(recovery_key), created_at

    def recover(self, email: str, recovery_key: str, new_password: str, client: Client) -> tuple[User, Grant]:
        """Open the account with its recovery key and give it a new password; every session before ends.

        Two computations on success. Raises `InvalidRecoveryKey` for a slip of
        the pen, `RecoveryFailed` for a wrong key and an unknown account alike,
        and `AccountLocked`.
        """
        key = parsed(recovery_key)
        subject = account_subject(email)
        with self._throttle.attempt(subject):
            user, vault_key = self._proofs.by_recovery_key(User.find_and_claim_email(email), key, client)
            self._proofs.refuse_locked(user, client, subject)
            beginning = self._sessions.prepare(user.user_id, client, "recovered")
            new = self._rewrapped(user, vault_key, new_password, None)
            user.replace_password(new, together(beginning.add_to, Attempts.reset_of(subject)))
        self._mailbox.recovered(user, client)
        return user, self._alone(user, new, beginning)

    def recover_inside(self, user: User, recovery_key: str, new_password: str, caller: Caller) -> Grant:
        """Give an account whose owner is signed in a new password by its recovery key.

        That is for an account that signs in by OpenID and has lost the password of its vault. The caller's
        session goes on and every other ends. Two computations on success. Raises `InvalidRecoveryKey`,
        `RecoveryFailed`, `TooManyRequests` and `Conflict`.
        """
        vault_key = self._proofs.by_recovery_key_inside(user, parsed(recovery_key), caller)
        new = self._rewrapped(user, vault_key, new_password, caller.session_id)
        user.replace_password(new, Event.by(caller, "recovered").add_to)
        self._mailbox.recovered(user, caller.client)
        self._sessions.end_others(user.user_id, caller.session_id, new.ends)
        return self._sessions.continue_or_begin(user, caller)

    def reset(
        self,
        user: User,
        new_password: str,
        recovery_key: str | None,
        discard_recordings: bool,
        client: Client,
    ) -> tuple[User, Grant]:
        """Give the account a new password after a code that came by mail; every session before ends.

        With the recovery key everything goes on opening. Without it the
        account begins anew with a vault of its own: recordings that are there
        stay listed, with their objects, and never open again, so there may be
        none unless `discard_recordings` agrees to that. A recovery key that is
        sent is used, whatever else is agreed to. An account whose stored hash is
        broken keeps its key salt, so that the password it had opens what it
        opened before. Two computations on success. Raises `AccountLocked`,
        `RecordingsWouldBeLost`, `InvalidRecoveryKey`, `RecoveryFailed`, `Conflict`.
        """
        # The code has proven that mail to the address reaches who sent it.
        self._proofs.refuse_locked(user, client)
        keeps_salt = recovery_key is None and is_broken(user)
        subject = account_subject(user.email)
        event_type = "password_changed" if recovery_key is None else "recovered"
        beginning = self._sessions.prepare(user.user_id, client, event_type, by="mail")
        also = together(beginning.add_to, Attempts.reset_of(subject))
        if recovery_key is not None:
            key = parsed(recovery_key)
            with self._throttle.attempt(subject):
                user, vault_key = self._proofs.by_recovery_key(user, key, client)
                new = self._rewrapped(user, vault_key, new_password, None)
                user.replace_password_by_mail(new, also)
        else:
            new = self._start_over(user, new_password, discard_recordings or keeps_salt, keeps_salt, also)
        self._mailbox.password_reset(user, client, started_over=recovery_key is None, keeps_salt=keeps_salt)
        return user, self._alone(user, new, beginning)

    def _alone(self, user: User, new: NewPassword, beginning: Beginning) -> Grant:
        """End what the change of the password has left of other sessions; return the grant of the new one."""
        self._sessions.end_others(user.user_id, beginning.grant.session_id, new.ends)
        return beginning.grant

    def _start_over(
        self, user: User, new_password: str, discard_recordings: bool, keeps_salt: bool, also: Also
    ) -> NewPassword:
        if not discard_recordings and (user.counted_usage()[0] or AudioFile.any_of(user.user_id)):
            raise RecordingsWouldBeLost()
        new = self._ending(user, self._vaults.begun_anew(user, new_password, keeps_salt), None)
        user.start_over(new, discard_recordings, also)
        return new

    def _rewrapped(
        self, user: User, vault_key: bytes, new_password: str, kept_session_id: str | None
    ) -> NewPassword:
        new = self._vaults.under_new_password(user, Keys(vault_key), new_password, {})
        return self._ending(user, new, kept_session_id)

    def _ending(self, user: User, new: NewPassword, kept_session_id: str | None) -> NewPassword:
        # Looked up last, so that hardly any session can begin between this and the write.
        return replace(new, ends=self._sessions.ending(user.user_id, kept_session_id))

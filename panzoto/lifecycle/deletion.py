"""Deleting an account with everything of it, in steps that can be repeated from any point.

The account is marked first and its row goes last, so whatever interrupts the
work, the mark tells the next run that there is more to do, and every step
removes what is still there. The next run is that of the next worker to start
(`unfinished_deletions.py`), of the chores (`account_look.py`), or at the latest
`flask panzoto accounts sweep`.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime

from panzoto.accounts.sessions import Sessions
from panzoto.accounts.throttle import account_subject, session_subject
from panzoto.auth.caller import Caller
from panzoto.errors import DamagedRecord, PanzotoError
from panzoto.models import (
    AudioFile,
    Change,
    Erasure,
    Event,
    Session,
    Transcript,
    Transcription,
    User,
    damage,
    open_deletion,
)
from panzoto.models.attempts import Attempts
from panzoto.models.change import transcripts_of
from panzoto.recordings.ownership import erasable_keys
from panzoto.removal import Removal

log = logging.getLogger(__name__)


class Deletion:
    """Deletes accounts of one set of tables and one bucket."""

    def __init__(self, removal: Removal, sessions: Sessions) -> None:
        self._removal = removal
        self._sessions = sessions

    def begin(self, user: User, caller: Caller) -> datetime:
        """Mark the account, end its sessions, and go on in the background; return since when."""
        open_deletion.note(user.user_id)
        started = user.begin_deletion(Event.by(caller, "deletion_started").add_to)
        self._sessions.end_all(user.user_id)
        threading.Thread(target=self.run_or_log, args=(user,), daemon=True).start()
        return started

    def run_or_log(self, user: User) -> bool:
        """Run, and return whether that came to its end; if not, the log says why."""
        try:
            self.run(user)
        except PanzotoError as error:
            tell_interrupted(user.user_id, error)
            return False
        return True

    def run(self, user: User) -> None:
        """Remove everything of an account that is marked. Raises `Unavailable`, and may then be repeated.

        Raises `DamagedRecord` for one whose own row cannot be read: nobody can tell what it is to give up.
        """
        user_id = user.user_id
        if user.damaged:
            raise DamagedRecord(user_id)
        self._remove_recordings(user_id)
        self._removal.of_an_account(user_id, lambda key: AudioFile.is_named_by_another(key, user_id))
        # A row written just before the mark may have been missing from the index the first time.
        self._remove_recordings(user_id)
        self._remove_sessions(user_id)
        Change.remove_all(user_id)
        Change.remove_all(transcripts_of(user_id))
        Transcript.remove_all(user_id)
        Transcription.remove_all(user_id)
        Erasure.remove_all(user_id)
        Event.remove_all(user_id)
        Attempts.reset(session_subject(user_id, None))
        if user.email:
            Attempts.reset(account_subject(user.email))
        user.remove()
        # What another process, which still knew a session, wrote while this ran.
        Event.remove_all(user_id)
        open_deletion.forget(user_id)
        log.info("account_deleted", extra={"user_id": user_id})

    def _remove_recordings(self, user_id: str) -> None:
        for row in AudioFile.everything_with_damaged_of(user_id):
            for s3_key in _keys_that_go(row):
                self._removal.of_a_recording(s3_key)
            row.remove()

    def _remove_sessions(self, user_id: str) -> None:
        for session_id in Session.ids_of(user_id):
            Attempts.reset(session_subject(user_id, session_id))
            self._sessions.end(user_id, session_id)


def _keys_that_go(row: AudioFile) -> list[str]:
    """Return the keys whose objects go with a recording, none where damage keeps that from being known.

    What is in the account's folders goes with them; any other object may be somebody else's, and is left.
    """
    try:
        return erasable_keys(row, with_account=True)[0]
    except DamagedRecord as error:
        damage.tell(error.row)
        return []


def tell_interrupted(user_id: str, error: PanzotoError) -> None:
    """Say in the log whose deletion did not come to its end, why, and at which row where one is damaged."""
    told = {"user_id": user_id, "code": error.code}
    if isinstance(error, DamagedRecord):
        told["row"] = error.row
    log.warning("deletion_interrupted", extra=told)

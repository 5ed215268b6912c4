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
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from panzoto.accounts.sessions import Sessions
from panzoto.accounts.throttle import account_subject, session_subject
from panzoto.auth.caller import Caller
from panzoto.errors import DamagedRecord, ObjectsKept, PanzotoError
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
from panzoto.models.connection import Transaction, together
from panzoto.recordings.ownership import erasable_keys
from panzoto.removal import Removal

log = logging.getLogger(__name__)


class Deletion:
    """Deletes accounts of one set of tables and one bucket."""

    def __init__(self, removal: Removal, sessions: Sessions) -> None:
        self._removal = removal
        self._sessions = sessions

    def begin(self, user: User, caller: Caller) -> datetime:
        """Mark the account and end its sessions, at once, and go on in the background; return since when.

        Once it is marked its owner is told so, whatever fails then. Raises `UserNotFound` and `Unavailable`.
        """
        open_deletion.note(user.user_id)
        sessions = self._sessions.ending_all(user.user_id)
        event = Event.by(caller, "deletion_started")
        started = user.begin_deletion(together(partial(_end_in, sessions), event.add_to))
        threading.Thread(target=self.run_or_log, args=(user,), daemon=True).start()
        self._end_sessions(user.user_id, sessions)
        return started

    def _end_sessions(self, user_id: str, ended: Sequence[Session]) -> None:
        """Forget those that have ended, and end those that a transaction has no room for, or began meanwhile.

        The deletion ends them as well, so what fails here is not lost.
        """
        try:
            self._sessions.end_all(user_id, ended)
        except PanzotoError as error:
            log.warning("sessions_end_later", extra={"user_id": user_id, "code": error.code})

    def run_or_log(self, user: User) -> PanzotoError | None:
        """Run, and return what kept that from its end, which the log tells as well; None when it is over."""
        try:
            # What was read before the mark may lack an address that came between, whose claim goes as well.
            stored = User.find(user.user_id)
            self.run(user if stored is None else stored)
        except PanzotoError as error:
            tell_interrupted(user.user_id, error)
            return error
        return None

    def run(self, user: User) -> None:
        """Remove everything of an account that is marked.

        Raises `Unavailable`, and `ObjectsKept` where S3 refuses to remove an object: mark and rows stay then,
        which tell of it. Either way it may be repeated. Raises `DamagedRecord` for one whose own row cannot
        be read: nobody can tell what it is to give up.
        """
        user_id = user.user_id
        if user.damaged:
            raise DamagedRecord(user_id)
        # First, for whoever is signed in where the mark could not end all of them.
        self._sessions.end_all(user_id)
        self._remove_recordings(user_id)
        waiting = self._removal.of_an_account(
            user_id, lambda key: AudioFile.is_named_by_another(key, user_id)
        )
        # A row written just before the mark may have been missing from the index the first time.
        waiting = max(waiting, self._remove_recordings(user_id))
        if waiting:
            raise ObjectsKept(waiting)
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

    def _remove_recordings(self, user_id: str) -> int:
        """Remove every recording whose object goes; return how many versions S3 kept of all others."""
        waiting = 0
        for row in AudioFile.everything_with_damaged_of(user_id):
            kept = sum(self._removal.of_a_recording(s3_key)[1] for s3_key in _keys_that_go(row))
            waiting += kept
            if not kept:
                row.remove()
        return waiting

    def _remove_sessions(self, user_id: str) -> None:
        for session_id in Session.ids_of(user_id):
            Attempts.reset(session_subject(user_id, session_id))
            self._sessions.end(user_id, session_id)


def _end_in(sessions: Sequence[Session], transaction: Transaction) -> None:
    for session in sessions:
        transaction.delete(session)


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
    told = {"user_id": user_id, "code": error.code, "waiting": getattr(error, "waiting", 0)}
    if isinstance(error, DamagedRecord):
        told["row"] = error.row
    log.warning("deletion_interrupted", extra=told)

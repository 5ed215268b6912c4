"""Deletions of accounts that lost their process are taken up soon after any worker starts."""

from __future__ import annotations

import logging
import random
import threading
import time

from panzoto.errors import DamagedRecord, ObjectsKept, PanzotoError
from panzoto.lifecycle.deletion import Deletion, tell_interrupted
from panzoto.models import User, open_deletion

# Workers that start together do not all ask at once.
FIRST_LOOK_SECONDS = (1.0, 10.0)
NEXT_LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


def take_up_soon(deletion: Deletion) -> None:
    """Finish in the background what was under way when others ended; gives up only with the process.

    What another process is just working on may be done twice, which does no harm.
    """
    threading.Thread(target=_take_up, args=(deletion,), name="unfinished", daemon=True).start()


def _take_up(deletion: Deletion) -> None:
    time.sleep(random.uniform(*FIRST_LOOK_SECONDS))  # noqa: S311 - no secret
    unmarked: set[str] = set()
    while True:
        try:
            unmarked, failed = finish(deletion, unmarked)
            if not unmarked and not failed:
                return
        except PanzotoError as error:
            log.warning("unfinished_deletions_unknown", extra={"code": error.code})
        time.sleep(NEXT_LOOK_SECONDS)


def finish(deletion: Deletion, unmarked_before: set[str]) -> tuple[set[str], int]:
    """Finish every deletion that is noted; return who is noted but not yet marked, and how many failed.

    A deletion is noted a moment before the account is marked. Who is still not
    marked at the second look never will be, and is forgotten. Whose row is
    damaged stays noted and does not count as failed: to try again mends no
    row, so it is left to the next worker that starts. Nor has one failed whose
    objects S3 keeps: what keeps them may do so for years, and the chores ask
    again from hour to hour. Raises `Unavailable`.
    """
    unmarked, failed = set[str](), 0
    for user_id in sorted(open_deletion.noted()):
        try:
            user = User.find(user_id)
        except DamagedRecord as error:
            tell_interrupted(user_id, error)
            continue
        if user is not None and user.being_deleted:
            kept_by = deletion.run_or_log(user)
            failed += kept_by is not None and not isinstance(kept_by, ObjectsKept)
        elif user is None or user_id in unmarked_before:
            open_deletion.forget(user_id)
        else:
            unmarked.add(user_id)
    return unmarked, failed

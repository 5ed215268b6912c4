"""Taking up an account of the earlier service, some of its recordings at a time.

Such recordings have no claim, no number among the changes and no place in the
order of `recorded_at`, and they are not counted.  A recording gets all that in
one transaction, so what has its number is done, in whatever order and by
however many processes.  Until none is left the account's counters are those of
the numbered recordings; `settled_to` spares looking again where none is left.
"""

from __future__ import annotations

from datetime import datetime

from panzoto.errors import Unavailable
from panzoto.models import damage, pauses
from panzoto.models.audio_file import BATCH, AudioFile
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.user import User
from panzoto.recordings.edits import Edit, apply

ATTEMPTS = 12
CUT_AFTER = 2
# One transaction of a hundred items would take 33: for each itself, entry and claim. Other writes wait.
AT_ONCE = 25


def settle(user: User) -> None:
    """Take up all that the earlier service wrote; resumable and safe to repeat."""
    while not take_up(user):
        user.reload()


def take_up(user: User) -> bool:
    """Take up some of the oldest recordings that have no number; tell whether none is left.

    Where a move has just written some, the index may not tell of them yet, and a damaged one may be mended:
    that none is left is then true for now and not noted, so the next call looks again. Raises `Unavailable`
    and `UserNotFound`.
    """
    if user.is_counted:
        return True
    _count_what_is_numbered(user)
    rows, damaged = AudioFile.unnumbered(user.user_id, AT_ONCE + 1, user.value("settled_to"))
    for row in damaged:
        damage.tell(row.shown_as)
    taken, behind = rows[:AT_ONCE], rows[AT_ONCE:]
    # What is passed over, or what the index does not tell of, may be older than what it does.
    is_all = not damaged and not user.awaits_recordings
    done = _number(user, taken, settled_to=behind[0].uploaded_at if behind and is_all else None)
    if behind or not done:
        return False
    if not is_all:
        return True
    user.mark_settled()
    return user.is_counted


def number(user: User, rows: list[AudioFile]) -> None:
    """Claim, number and count `rows`, and read `user` anew.

    Some or all are left where others write to the account all the time: who has patience looks which are,
    and calls again. Raises `Unavailable` and `UserNotFound`.
    """
    _count_what_is_numbered(user)
    _number(user, rows, None)


def _number(user: User, rows: list[AudioFile], settled_to: datetime | None) -> bool:
    """Number `rows`; False when some are left, since others write to the account all the time."""
    cut = False
    for attempt in range(ATTEMPTS):
        if not rows:
            return not cut
        edits = _taking_up(rows)
        if apply(user, {row.file_id: row for row in rows}, edits, settled_to=settled_to):
            user.reload()
            return not cut
        pauses.wait(attempt)
        fresh = AudioFile.rows(row.file_id for row in rows)
        rows = [row for row in fresh.values() if row.value("change_number") is None]
        if attempt >= CUT_AFTER and len(rows) > 1:
            # A smaller transaction is faster than those of the others.
            rows, settled_to, cut = rows[: len(rows) // 2], None, True
        user.reload()
    return False


def _taking_up(rows: list[AudioFile]) -> dict[str, Edit]:
    """Return what numbering `rows` means, by file_id; of two with one key the first gets the claim."""
    taken = set(Claim.on_s3_keys({row.s3_key for row in rows}))
    edits = {}
    for row in rows:
        place = [AudioFile.listed_at.set(row.listed_by)] if row.is_listed else []
        edits[row.file_id] = Edit(
            place,
            recordings=1 if row.counts else 0,
            size=row.size_in_bytes if row.counts else 0,
            also=None if row.s3_key in taken else row.claim().add_to,
        )
        taken.add(row.s3_key)
    return edits


def _count_what_is_numbered(user: User) -> None:
    """Count what has its number, where that was not done with it.

    An earlier release counted last, and a move that changes recordings takes the counters away.
    Raises `Unavailable`.
    """
    for attempt in range(ATTEMPTS):
        if user.value("change_number") is None or user.value("used_recordings") is not None:
            return
        # A damaged recording counts by what can be read of it, and an entry that names none cannot count.
        numbered = [change.file_id for change in Change.all_of(user.user_id) if not change.damaged]
        sizes = [
            row.size_in_bytes
            for start in range(0, len(numbered), BATCH)
            for row in AudioFile.rows_with_damaged(numbered[start : start + BATCH]).values()
            if row.counts
        ]
        if user.set_usage(len(sizes), sum(sizes)):
            return
        pauses.wait(attempt)
        user.reload()
    raise Unavailable()

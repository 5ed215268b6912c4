"""Recording, and changing what is recorded: the verbs over `edits`, which other rooms call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from panzoto.errors import AudioFileNotFound, KeyTaken, QuotaExceeded, TokenInvalid, Unavailable
from panzoto.models import pauses
from panzoto.models.audio_file import AudioFile
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.connection import ConditionFailed, Transaction, transact
from panzoto.models.user import User
from panzoto.object_keys import lies_in_folder_of
from panzoto.recordings import settling
from panzoto.recordings.edits import Also, Edit, apply

ATTEMPTS = 12
# Far below what a transaction takes: a stand-in needs long for many items, and other writes wait less.
CHANGED_PER_TRANSACTION = 10


@dataclass(frozen=True, slots=True)
class Quota:
    """How many recordings and bytes an account may hold."""

    recordings: int
    size: int

    def check(self, user: User, recordings: int, size: int) -> None:
        """Raises `QuotaExceeded` when so many more would be too many.

        Of an account that is being taken up only what has been taken up counts.
        """
        used_recordings, used_bytes = user.usage_with_reservations()
        if used_recordings + recordings > self.recordings or used_bytes + size > self.size:
            raise QuotaExceeded(used_recordings, used_bytes, self.recordings, self.size)


# Looks at the row and its account as they are now and says what to do; None for nothing.
Plan = Callable[[AudioFile, User], Edit | None]
# The same for several rows at once: what to do, by file_id.
PlanAll = Callable[[list[AudioFile], User], dict[str, Edit]]


def present(user_id: str) -> User:
    """Return an account. Raises `TokenInvalid` when it is gone or being deleted."""
    user = User.find(user_id)
    if user is None or user.being_deleted:
        raise TokenInvalid()
    return user


def add(
    row: AudioFile,
    *,
    quota: Quota | None = None,
    also: Also | None = None,
    taken: Callable[[], bool] | None = None,
    known: User | None = None,
    claimed: Also | None = None,
) -> None:
    """Write a new recording with its claim on its key.

    `claimed` takes the claim where another row has it. `also` adds to the
    transaction, and `taken` tells whether that is why it was refused. `known`
    is the account if it was just read and some of it was taken up. Raises
    `QuotaExceeded`, `KeyTaken`, `TokenInvalid`.
    """
    user = known
    for attempt in range(ATTEMPTS):
        if user is None:
            user = present(row.user_id)
            if attempt == 0:
                settling.take_up(user)
        if quota is not None:
            quota.check(user, 1, row.size_in_bytes)
        try:
            transact(_adding(row, user, also, claimed or row.claim().add_to), AudioFile)
        except ConditionFailed:
            if _is_written(row):
                return
            if Claim.on_s3_key(row.s3_key) is not None or (taken is not None and taken()):
                raise KeyTaken() from None
            pauses.wait(attempt)
            user = None
        else:
            return
    raise Unavailable()


def _adding(row: AudioFile, user: User, also: Also | None, claim: Also) -> Also:
    row.change_number = user.next_change_number

    def fill(transaction: Transaction) -> None:
        user.add_changes_to(transaction, 1, 1, row.size_in_bytes)
        claim(transaction)
        Change(user.user_id, user.next_change_number, file_id=row.file_id).add_to(transaction, None)
        row.save_new_in(transaction)
        if also is not None:
            also(transaction)

    return fill


def record(row: AudioFile) -> AudioFile:
    """Write a recording of any key, or return the owner's record that has the key. Raises `KeyTaken`."""
    user = present(row.user_id)
    if not lies_in_folder_of(row.s3_key, row.user_id) and AudioFile.is_named_by_another(
        row.s3_key, row.user_id
    ):
        # A row of the earlier service may have no claim; its key is its owner's all the same.
        existing = _existing(row)
        if existing is None:
            raise KeyTaken()
        return existing
    if not settling.take_up(user):
        existing = AudioFile.find_and_claim_s3_key(row.s3_key, row.user_id)
        if existing is not None:
            return existing
    try:
        add(row, known=user)
    except KeyTaken:
        existing = _existing(row)
        if existing is None:
            raise
        return existing
    return row


def edit(file_id: str, user_id: str, plan: Plan, *, even_erasing: bool = False) -> AudioFile:
    """Apply what `plan` says to a recording of `user_id`, in one transaction, and return the row after it.

    Raises `AudioFileNotFound`, also for one that is being erased unless `even_erasing`,
    `TokenInvalid`, and what `plan` raises.
    """

    def plan_one(rows: list[AudioFile], user: User) -> dict[str, Edit]:
        if not (even_erasing or rows[0].is_there_for(user_id)):
            raise AudioFileNotFound()
        planned = plan(rows[0], user)
        return {} if planned is None else {file_id: planned}

    found = _edit_some(user_id, [file_id], plan_one)
    if file_id not in found:
        raise AudioFileNotFound()
    return found[file_id]


def edit_all(user_id: str, file_ids: list[str], plan: PlanAll) -> dict[str, AudioFile]:
    """Apply what `plan` says to many recordings of `user_id`, and return the rows after it.

    Some go in one transaction. A recording that is gone meanwhile is left out. Raises `TokenInvalid`.
    """
    found: dict[str, AudioFile] = {}
    for start in range(0, len(file_ids), CHANGED_PER_TRANSACTION):
        found |= _edit_some(user_id, file_ids[start : start + CHANGED_PER_TRANSACTION], plan)
    return found


def _edit_some(user_id: str, file_ids: list[str], plan: PlanAll) -> dict[str, AudioFile]:
    for attempt in range(ATTEMPTS):
        rows = _rows_of(user_id, file_ids)
        if not rows:
            return {}
        user = present(user_id)
        rows = _numbered(user, rows)
        edits = plan(list(rows.values()), user)
        if not edits:
            return rows
        if apply(user, rows, edits):
            return rows | AudioFile.rows(file_id for file_id, planned in edits.items() if not planned.remove)
        pauses.wait(attempt)
    raise Unavailable()


def _rows_of(user_id: str, file_ids: Iterable[str]) -> dict[str, AudioFile]:
    """Return the rows that are there, in the order that was asked for, which a batch does not keep."""
    wanted = list(file_ids)
    found = AudioFile.rows(wanted)
    rows = [found[file_id] for file_id in wanted if file_id in found]
    return {row.file_id: row for row in rows if row.user_id == user_id}


def _numbered(user: User, rows: dict[str, AudioFile]) -> dict[str, AudioFile]:
    """Number those of `rows` that the earlier service wrote, and return all of them as they are then."""
    without = [row for row in rows.values() if row.value("change_number") is None]
    if not without:
        return rows
    settling.number(user, without)
    return _rows_of(user.user_id, rows)


def recount(user: User) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (recordings, bytes) as counted and as they are, and repair a difference.

    Raises `Unavailable` when the account does not stand still for as long as counting takes.
    """
    for attempt in range(ATTEMPTS):
        counted, real = user.counted_usage(), AudioFile.usage(user.user_id)
        if counted == real or user.set_usage(*real):
            return counted, real
        # Somebody recorded while we counted: that is no drift.
        pauses.wait(attempt)
        user.reload()
    raise Unavailable()


def _existing(row: AudioFile) -> AudioFile | None:
    """Return the owner's recording under the same key. Raises `KeyTaken` when only another user has one."""
    found = AudioFile.find_and_claim_s3_key(row.s3_key, row.user_id)
    if found is None:
        claim = Claim.on_s3_key(row.s3_key)
        if claim is not None and claim.user_id != row.user_id:
            raise KeyTaken()
    return found


def _is_written(row: AudioFile) -> bool:
    """Whether a transaction that was sent twice has succeeded the first time."""
    claim = Claim.on_s3_key(row.s3_key)
    return claim is not None and claim.file_id == row.file_id

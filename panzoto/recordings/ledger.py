"""The one way in which recordings change.

Every change is one transaction of the row, the account's counters, and the
entry in the list of changes, numbered by a counter on the account.  Each
rests on the state that was read; when somebody else was faster it is planned
again on the new state, so no change is lost and none is counted twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from panzoto.errors import AudioFileNotFound, KeyTaken, QuotaExceeded, TokenInvalid, Unavailable
from panzoto.models.audio_file import AudioFile
from panzoto.models.change import Change
from panzoto.models.claim import Claim
from panzoto.models.connection import ConditionFailed, Transaction, transact
from panzoto.models.user import User
from panzoto.object_keys import lies_in_folder_of

ATTEMPTS = 12
# An account of the earlier service with no more rows than this is settled when it is first written to.
SETTLED_AT_ONCE = 200
# A transaction takes a hundred items: the account's, and an entry and a row for each.
SETTLED_PER_TRANSACTION = 45

# Far below what a transaction takes: a stand-in needs long for many items, and other writes wait less.
CHANGED_PER_TRANSACTION = 10

Also = Callable[[Transaction], None]


@dataclass(frozen=True, slots=True)
class Quota:
    """How many recordings and bytes an account may hold."""

    recordings: int
    size: int

    def check(self, user: User, recordings: int, size: int) -> None:
        """Raises `QuotaExceeded` when so many more would be too many."""
        used_recordings, used_bytes = user.usage_with_reservations()
        if used_recordings + recordings > self.recordings or used_bytes + size > self.size:
            raise QuotaExceeded(used_recordings, used_bytes, self.recordings, self.size)


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one row: update actions, and what they add to the account's counters."""

    actions: Sequence[Action] = ()
    recordings: int = 0
    size: int = 0
    also: Also | None = None
    remove: bool = False
    # What the row gave up is kept free until then, since an address that was signed for it is good so long.
    reserved_until: datetime | None = None


# Looks at the row and its account as they are now and says what to do; None for nothing.
Plan = Callable[[AudioFile, User], Edit | None]
# The same for several rows at once: what to do, by file_id.
PlanAll = Callable[[list[AudioFile]], dict[str, Edit]]


def account_of(user_id: str) -> User:
    """Return an account whose recordings are numbered and counted. Raises `TokenInvalid` when it is gone."""
    return _settled(_present(user_id))


def _settled(user: User) -> User:
    if not user.is_counted:
        settle(user)
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
    is the account if it was just read. Raises `QuotaExceeded`, `KeyTaken`, `TokenInvalid`.
    """
    for attempt in range(ATTEMPTS):
        user = _settled(known) if known is not None and attempt == 0 else account_of(row.user_id)
        if quota is not None:
            quota.check(user, 1, row.size_in_bytes)
        row.change_number = user.next_change_number

        def fill(transaction: Transaction, user: User = user) -> None:
            user.add_change_to(transaction, 1, row.size_in_bytes)
            (claimed or row.claim().add_to)(transaction)
            _entry(user, row).add_to(transaction, None)
            transaction.save(row, condition=AudioFile.file_id.does_not_exist())
            if also is not None:
                also(transaction)

        try:
            transact(fill, AudioFile)
        except ConditionFailed:
            if _is_written(row):
                return
            if Claim.on_s3_key(row.s3_key) is not None or (taken is not None and taken()):
                raise KeyTaken() from None
            _wait(attempt)
        else:
            return
    raise Unavailable()


def record(row: AudioFile) -> AudioFile:
    """Write a recording of any key, or return the owner's record that has the key. Raises `KeyTaken`."""
    user = _present(row.user_id)
    if not lies_in_folder_of(row.s3_key, row.user_id) and AudioFile.is_named_by_another(
        row.s3_key, row.user_id
    ):
        # A row of the earlier service may have no claim; its key is its owner's all the same.
        existing = _existing(row)
        if existing is None:
            raise KeyTaken()
        return existing
    if not user.is_counted and len(_first_rows(user.user_id)) > SETTLED_AT_ONCE:
        return _record_unsettled(row)
    try:
        add(row, known=user)
    except KeyTaken:
        existing = _existing(row)
        if existing is None:
            raise
        return existing
    return row


def edit(file_id: str, user_id: str, plan: Plan) -> AudioFile:
    """Apply what `plan` says to a recording of `user_id`, in one transaction, and return the row after it.

    Raises `AudioFileNotFound`, `TokenInvalid`, and what `plan` raises.
    """
    for attempt in range(ATTEMPTS):
        row = AudioFile.row(file_id)
        if row is None or row.user_id != user_id:
            raise AudioFileNotFound()
        user = account_of(user_id)
        if row.value("change_number") is None:
            # Settling has just numbered it, or it came into a settled account from outside.
            row = AudioFile.row(file_id) or row
        planned = plan(row, user)
        if planned is None:
            return row
        if _applied(row, user, planned):
            return row
        _wait(attempt)
    raise Unavailable()


def edit_all(user_id: str, file_ids: list[str], plan: PlanAll) -> dict[str, AudioFile]:
    """Apply what `plan` says to many recordings of `user_id`, and return the rows after it.

    Some go in one transaction. What `plan` says may be said again, and counts
    nothing. A recording that is gone meanwhile is left out. Raises `TokenInvalid`.
    """
    found: dict[str, AudioFile] = {}
    for start in range(0, len(file_ids), CHANGED_PER_TRANSACTION):
        found |= _edit_some(user_id, file_ids[start : start + CHANGED_PER_TRANSACTION], plan)
    return found


def _edit_some(user_id: str, file_ids: list[str], plan: PlanAll) -> dict[str, AudioFile]:
    for attempt in range(ATTEMPTS):
        user = account_of(user_id)
        found = AudioFile.rows(file_ids)
        # In the order that was asked for, which a batch does not keep.
        present = [found[file_id] for file_id in file_ids if file_id in found]
        rows = {row.file_id: row for row in present if row.user_id == user_id}
        edits = plan(list(rows.values()))
        if not edits:
            return rows
        try:
            transact(_applying_all(user, rows, edits), AudioFile)
        except ConditionFailed:
            _wait(attempt)
        else:
            return rows | AudioFile.rows(edits)
    raise Unavailable()


def _applying_all(user: User, rows: dict[str, AudioFile], edits: dict[str, Edit]) -> Also:
    def fill(transaction: Transaction) -> None:
        user.add_numbers_to(transaction, len(edits))
        for number, (file_id, planned) in enumerate(edits.items(), user.next_change_number):
            row = rows[file_id]
            Change(user.user_id, number, file_id=file_id).add_to(transaction, row.value("change_number"))
            actions: list[Action] = [*planned.actions, AudioFile.change_number.set(number)]
            transaction.update(row, actions=actions, condition=_unchanged(row))
            if planned.also is not None:
                planned.also(transaction)

    return fill


def _unchanged(row: AudioFile) -> Condition:
    number = row.value("change_number")
    same = AudioFile.change_number.does_not_exist() if number is None else AudioFile.change_number == number
    condition: Condition = same & AudioFile.file_id.exists()
    return condition


def _applied(row: AudioFile, user: User, planned: Edit) -> bool:
    number = user.next_change_number
    unchanged = _unchanged(row)

    def fill(transaction: Transaction) -> None:
        user.add_change_to(transaction, planned.recordings, planned.size, planned.reserved_until)
        _entry(user, row).add_to(transaction, row.value("change_number"))
        if planned.remove:
            transaction.delete(row, condition=unchanged)
        else:
            actions = [*planned.actions, AudioFile.change_number.set(number)]
            transaction.update(row, actions=actions, condition=unchanged)
        if planned.also is not None:
            planned.also(transaction)

    try:
        transact(fill, AudioFile)
    except ConditionFailed:
        stored = AudioFile.row(row.file_id)
        written = stored is None if planned.remove else stored is not None and stored.change_number == number
        if not written or Change.file_at(user.user_id, number) != row.file_id:
            return False
    if not planned.remove:
        row.attribute_values = (AudioFile.row(row.file_id) or row).attribute_values
    return True


def settle(user: User) -> None:
    """Claim, number and count the rows that the earlier service wrote; resumable and safe to repeat."""
    rows = [row for row in AudioFile.oldest_first(user.user_id) if row.value("change_number") is None]
    for row in rows:
        row.claim().take_if_free()
    for start in range(0, len(rows), SETTLED_PER_TRANSACTION):
        _number(user, rows[start : start + SETTLED_PER_TRANSACTION])
    user.mark_counted(*AudioFile.usage(user.user_id))


def _number(user: User, rows: list[AudioFile]) -> None:
    for attempt in range(ATTEMPTS):
        user.reload()
        try:
            transact(_numbering(user, rows), AudioFile)
        except ConditionFailed:
            fresh = AudioFile.rows(row.file_id for row in rows)
            rows = [row for row in fresh.values() if row.value("change_number") is None]
            if not rows:
                return
            _wait(attempt)
        else:
            return
    raise Unavailable()


def _numbering(user: User, rows: list[AudioFile]) -> Also:
    def fill(transaction: Transaction) -> None:
        user.add_numbers_to(transaction, len(rows))
        for number, row in enumerate(rows, user.next_change_number):
            Change(user.user_id, number, file_id=row.file_id).add_to(transaction, None)
            actions: list[Action] = [
                AudioFile.change_number.set(number),
                AudioFile.listed_at.set(row.uploaded_at),
            ]
            transaction.update(row, actions=actions, condition=AudioFile.change_number.does_not_exist())

    return fill


def recount(user: User) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (recordings, bytes) as counted and as they are, and repair a difference.

    Raises `Unavailable` when the account does not stand still for as long as counting takes.
    """
    for attempt in range(ATTEMPTS):
        counted, real = user.counted_usage(), AudioFile.usage(user.user_id)
        if counted == real or user.set_usage(*real):
            return counted, real
        # Somebody recorded while we counted: that is no drift.
        _wait(attempt)
        user.reload()
    raise Unavailable()


def _record_unsettled(row: AudioFile) -> AudioFile:
    """Record into a large account of the earlier service, which `resources optimize` will settle."""
    existing = _existing(row)
    if existing is not None:
        return existing

    def fill(transaction: Transaction) -> None:
        User.add_presence_check_to(transaction, row.user_id)
        row.claim().add_to(transaction)
        transaction.save(row, condition=AudioFile.file_id.does_not_exist())

    try:
        transact(fill, AudioFile)
    except ConditionFailed as refused:
        existing = _existing(row)
        if existing is None:
            raise Unavailable() from refused
        return existing
    return row


def _existing(row: AudioFile) -> AudioFile | None:
    """Return the owner's recording under the same key. Raises `KeyTaken` when only another user has one."""
    claim = Claim.on_s3_key(row.s3_key)
    if claim is not None and claim.user_id == row.user_id and claim.file_id is not None:
        return AudioFile.owned(claim.file_id, row.user_id)
    earlier = AudioFile.of_the_earlier_service(row.s3_key, row.user_id)
    if earlier is None and claim is not None:
        raise KeyTaken()
    return earlier


def _first_rows(user_id: str) -> list[AudioFile]:
    rows, _ = AudioFile.page(user_id, "uploaded_at", SETTLED_AT_ONCE + 1, None, (None, None))
    return rows


def _present(user_id: str) -> User:
    user = User.find(user_id)
    if user is None or user.being_deleted:
        raise TokenInvalid()
    return user


def _is_written(row: AudioFile) -> bool:
    """Whether a transaction that was sent twice has succeeded the first time."""
    claim = Claim.on_s3_key(row.s3_key)
    return claim is not None and claim.file_id == row.file_id


def _entry(user: User, row: AudioFile) -> Change:
    return Change(user.user_id, user.next_change_number, file_id=row.file_id)


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0.005, 0.03) * (attempt + 1))  # noqa: S311 - a pause needs no secrecy

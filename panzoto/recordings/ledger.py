"""Recording, and changing what is recorded: the verbs over `edits`, which other rooms call.

Writes of one account wait for each other in a process, and those that wait go into one transaction. Other
processes write as well: whoever was slower reads again and plans on the new state.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from panzoto.errors import AudioFileNotFound, KeyTaken, QuotaExceeded, TokenInvalid, Unavailable
from panzoto.models import pauses
from panzoto.models.audio_file import AudioFile
from panzoto.models.claim import Claim
from panzoto.models.connection import Also
from panzoto.models.user import User
from panzoto.object_keys import lies_in_folder_of
from panzoto.recordings import settling
from panzoto.recordings.edits import Adding, Changing, Edit, Part, write
from panzoto.recordings.turns import Turns, Waiting

RECOUNTS = 12
# How long writers try that others of the same account are faster than again and again.
PATIENCE_SECONDS = 12.0
# A transaction takes a hundred items and 4 MB. With all that goes along a row needs up to eight items, as
# when it is erased with its transcript, and 300 KB for a transcript that is as long as fits into an item.
ROWS_AT_ONCE = 12
# Far below what a transaction takes: a stand-in needs long for many items, and other writes wait less.
CHANGED_PER_TRANSACTION = 10
# So often those who wait together are refused before each is asked whether it is the reason.
REFUSED_TOGETHER = 2


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
    _turns.take(row.user_id, _Adding(Adding(row, claimed or row.claim().add_to, also), quota, taken, known))


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


def edit_all(user_id: str, file_ids: list[str], plan: PlanAll, *, rests_on: str = "") -> dict[str, AudioFile]:
    """Apply what `plan` says to many recordings of `user_id`, and return the rows after it.

    Some go in one transaction. Plans that rest on the same thing besides rows and account, which has a name
    then, never go together: each sees what the one before it has written. A recording that is gone meanwhile
    is left out. Raises `TokenInvalid`.
    """
    found: dict[str, AudioFile] = {}
    for start in range(0, len(file_ids), CHANGED_PER_TRANSACTION):
        found |= _edit_some(user_id, file_ids[start : start + CHANGED_PER_TRANSACTION], plan, rests_on)
    return found


def _edit_some(user_id: str, file_ids: list[str], plan: PlanAll, rests_on: str = "") -> dict[str, AudioFile]:
    editing = _Editing(file_ids, plan, rests_on)
    _turns.take(user_id, editing)
    changed = editing.changed
    return editing.found | AudioFile.rows(changed) if changed else editing.found


class _Write(Waiting):
    """What one caller wants to be written, for which it reads `file_ids`."""

    file_ids: Sequence[str] = ()
    # The account, where it was read just now.
    known: User | None = None

    @abstractmethod
    def planned(self, rows: dict[str, AudioFile], user: User) -> Part | None:
        """Return what is to be written on the state that was read, or None. Raises what forbids it."""

    @abstractmethod
    def touches(self, rows: dict[str, AudioFile]) -> set[str]:
        """Return the names of what it writes: a transaction takes no more than one write of each."""

    def find_reason(self) -> None:
        """Look, after a refusal, whether this write is the reason for it; raises `KeyTaken` then."""


class _Adding(_Write):
    rows = 1

    def __init__(
        self, part: Adding, quota: Quota | None, taken: Callable[[], bool] | None, known: User | None
    ) -> None:
        super().__init__()
        self.known = known
        self._part = part
        self._row = part.row
        self._quota = quota
        self._taken = taken

    def planned(self, rows: dict[str, AudioFile], user: User) -> Part:  # noqa: ARG002 - it rests on no row
        if self._quota is not None:
            self._quota.check(user, 1, self._row.size_in_bytes)
        return self._part

    def touches(self, rows: dict[str, AudioFile]) -> set[str]:  # noqa: ARG002 - it rests on no row
        return _names_of(self._row)

    def find_reason(self) -> None:
        claim = Claim.on_s3_key(self._row.s3_key)
        if claim is not None and claim.file_id == self._row.file_id:
            # A transaction that was sent twice has succeeded the first time.
            self.over()
        elif claim is not None or (self._taken is not None and self._taken()):
            raise KeyTaken()


class _Editing(_Write):
    def __init__(self, file_ids: list[str], plan: PlanAll, rests_on: str) -> None:
        super().__init__()
        self._rests_on = {rests_on} if rests_on else set()
        self.file_ids = file_ids
        self.found: dict[str, AudioFile] = {}
        # The rows that are there after it and differ from `found`.
        self.changed: list[str] = []
        self._plan = plan

    @property
    def rows(self) -> int:
        return len(self.file_ids)

    def planned(self, rows: dict[str, AudioFile], user: User) -> Part | None:
        self.found = {file_id: rows[file_id] for file_id in self.file_ids if file_id in rows}
        if not self.found:
            return None
        edits = self._plan(list(self.found.values()), user)
        self.changed = [file_id for file_id, planned in edits.items() if not planned.remove]
        return Changing(self.found, edits) if edits else None

    def touches(self, rows: dict[str, AudioFile]) -> set[str]:
        found = (rows[file_id] for file_id in self.file_ids if file_id in rows)
        return self._rests_on.union(*map(_names_of, found))


def _names_of(row: AudioFile) -> set[str]:
    """Return what a row and its claims are called."""
    names = {row.file_id, *row.named_keys()}
    return names | {f"client {row.client_id}"} if row.client_id else names


def _write_together(user_id: str, writes: Sequence[_Write], attempts: float = math.inf) -> None:
    """Write all of `writes`, each of which is over then, unless all `attempts` were refused.

    Raises what concerns them all.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    user = writes[0].known if len(writes) == 1 else None
    refused, refused_at = 0, None
    while waiting := [one for one in writes if not one.is_over]:
        # Before the account: a row that is newer than that would have a number that is still to be given.
        rows = _rows_of(user_id, (file_id for one in waiting for file_id in one.file_ids))
        user = user or _account(user_id, waiting, takes_up=not refused)
        if refused_at == user.next_change_number and len(waiting) > 1:
            # Nobody else was faster, so one of these is the reason, which need not be that of the others.
            _write_apart(user_id, waiting)
            return
        if without := [row for row in rows.values() if row.value("change_number") is None]:
            # The earlier service wrote them.
            settling.number(user, without)
            if time.monotonic() > deadline:
                raise Unavailable()
            user = None
            continue
        parts = _planned(user, rows, waiting)
        if not parts or write(user, list(parts.values())):
            for one in parts:
                one.over()
        else:
            refused, refused_at = refused + 1, user.next_change_number
            _end_what_is_refused(parts, refused, deadline)
            if refused >= attempts:
                return
            pauses.wait(refused - 1, first=0.01, longest=0.15)
        user = None


def _write_apart(user_id: str, writes: Sequence[_Write]) -> None:
    """Write each of `writes` by itself; none waits for one that has to try again."""
    for attempts in (1, math.inf):
        for one in writes:
            _write_together(user_id, [one], attempts)


def _end_what_is_refused(writes: Iterable[_Write], refused: int, deadline: float) -> None:
    """End those of `writes` that are the reason of their refusal, or all when it has gone on for long."""
    some = list(writes)
    if len(some) == 1 or refused > REFUSED_TOGETHER:
        _find_reasons(some)
    if time.monotonic() > deadline:
        for one in some:
            one.over(Unavailable())


def _account(user_id: str, writes: Sequence[_Write], *, takes_up: bool) -> User:
    user = present(user_id)
    if takes_up and any(isinstance(one, _Adding) for one in writes):
        settling.take_up(user)
    return user


def _planned(user: User, rows: dict[str, AudioFile], writes: Sequence[_Write]) -> dict[_Write, Part]:
    """Return the parts of those who have something to write; those who have not are over then.

    Each plans on the account as those before it will leave it. Of several who write the same the first
    has a part, and the others have their turn after it.
    """
    later, touched = user, set[str]()
    parts: dict[_Write, Part] = {}
    for one in writes:
        if touched & one.touches(rows):
            continue
        try:
            part = one.planned(rows, later)
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            one.over(error)
            continue
        if part is None:
            one.over()
            continue
        parts[one] = part
        touched |= one.touches(rows)
        later = later.after_changes(part.count, part.recordings, part.size, part.reserved)
    return parts


def _find_reasons(writes: Iterable[_Write]) -> None:
    for one in writes:
        try:
            one.find_reason()
        except KeyTaken as error:
            one.over(error)


_turns: Turns[_Write] = Turns(ROWS_AT_ONCE, _write_together)


def _rows_of(user_id: str, file_ids: Iterable[str]) -> dict[str, AudioFile]:
    """Return the rows that are there, in the order that was asked for, which a batch does not keep."""
    wanted = list(file_ids)
    found = AudioFile.rows(wanted) if wanted else {}
    rows = [found[file_id] for file_id in wanted if file_id in found]
    return {row.file_id: row for row in rows if row.user_id == user_id}


def recount(user: User) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (recordings, bytes) as counted and as they are, and repair a difference.

    Raises `Unavailable` when the account does not stand still for as long as counting takes.
    """
    for attempt in range(RECOUNTS):
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

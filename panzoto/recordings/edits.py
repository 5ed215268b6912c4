"""The one way in which recordings change: rows, the account's counters, and the list of changes at once.

Each change rests on the state that was read: the number of the account's
latest change and that of each row.  Whoever was slower is refused, reads
again and plans on the new state, so no change is lost and none counts twice.
Several changes of one account may go in one transaction; each is a part of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from panzoto.models.audio_file import Action, AudioFile
from panzoto.models.change import Change
from panzoto.models.connection import Also, ConditionFailed, Transaction, transact
from panzoto.models.usage import Reserved
from panzoto.models.user import User


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one row: update actions, and what they add to the account's counters."""

    actions: Sequence[Action] = ()
    recordings: int = 0
    size: int = 0
    also: Also | None = None
    remove: bool = False
    # (end, recordings, bytes) that stay reserved, since an address signed for the row is good so long.
    reserved: Reserved | None = None


class Part(Protocol):
    """A part of a transaction: so many changes, and what they add to the account's counters."""

    @property
    def count(self) -> int: ...
    @property
    def recordings(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def reserved(self) -> Sequence[Reserved]: ...

    def add_to(self, transaction: Transaction, first: int, mark: str) -> None:
        """Add the writes of rows and entries, numbered from `first` on and marked."""


@dataclass(frozen=True, slots=True)
class Changing:
    """Rows that are there and what becomes of them, both by file_id."""

    rows: Mapping[str, AudioFile]
    edits: Mapping[str, Edit]

    @property
    def count(self) -> int:
        return len(self.edits)

    @property
    def recordings(self) -> int:
        return sum(edit.recordings for edit in self.edits.values())

    @property
    def size(self) -> int:
        return sum(edit.size for edit in self.edits.values())

    @property
    def reserved(self) -> Sequence[Reserved]:
        return [edit.reserved for edit in self.edits.values() if edit.reserved is not None]

    def add_to(self, transaction: Transaction, first: int, mark: str) -> None:
        for number, (file_id, edit) in enumerate(self.edits.items(), first):
            row = self.rows[file_id]
            entry = Change(row.user_id, number, file_id=file_id, mark=mark)
            entry.add_to(transaction, row.value("change_number"))
            if edit.remove:
                row.remove_in(transaction)
            else:
                row.change_in(transaction, number, edit.actions)
            if edit.also is not None:
                edit.also(transaction)


@dataclass(frozen=True, slots=True)
class Adding:
    """A new row, its claim on its key, and what goes with it."""

    row: AudioFile
    claim: Also
    also: Also | None

    @property
    def count(self) -> int:
        return 1

    @property
    def recordings(self) -> int:
        return 1

    @property
    def size(self) -> int:
        return self.row.size_in_bytes

    @property
    def reserved(self) -> Sequence[Reserved]:
        return ()

    def add_to(self, transaction: Transaction, first: int, mark: str) -> None:
        self.row.change_number = first
        self.claim(transaction)
        Change(self.row.user_id, first, file_id=self.row.file_id, mark=mark).add_to(transaction, None)
        self.row.save_new_in(transaction)
        if self.also is not None:
            self.also(transaction)


def write(user: User, parts: Sequence[Part], *, settled_to: datetime | None = None) -> bool:
    """Write `parts` in one transaction; False when it was refused, and then nothing is written.

    So it is when the account or a row has changed since it was read, or a condition of a part does not
    hold. `settled_to` is as in `User`. Raises `Unavailable`.
    """
    first, mark = user.next_change_number, secrets.token_hex(8)

    def fill(transaction: Transaction) -> None:
        user.add_changes_to(
            transaction,
            sum(part.count for part in parts),
            sum(part.recordings for part in parts),
            sum(part.size for part in parts),
            reserved=[one for part in parts for one in part.reserved],
            settled_to=settled_to,
        )
        number = first
        for part in parts:
            part.add_to(transaction, number, mark)
            number += part.count

    try:
        transact(fill, AudioFile)
    except ConditionFailed:
        # A write whose answer was lost is sent again and then meets its own result.
        return Change.is_marked(user.user_id, first, mark)
    return True


def apply(
    user: User,
    rows: Mapping[str, AudioFile],
    edits: Mapping[str, Edit],
    *,
    settled_to: datetime | None = None,
) -> bool:
    """Change `rows` in one transaction, as `write` does. Both are by file_id."""
    return write(user, [Changing(rows, edits)], settled_to=settled_to)

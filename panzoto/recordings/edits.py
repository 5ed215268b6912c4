"""The one way in which recordings change: rows, the account's counters, and the list of changes at once.

Each change rests on the state that was read: the number of the account's
latest change and that of each row.  Whoever was slower is refused, reads
again and plans on the new state, so no change is lost and none counts twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from panzoto.models.audio_file import Action, AudioFile
from panzoto.models.change import Change
from panzoto.models.connection import ConditionFailed, Transaction, transact
from panzoto.models.user import User

Also = Callable[[Transaction], None]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one row: update actions, and what they add to the account's counters."""

    actions: Sequence[Action] = ()
    recordings: int = 0
    size: int = 0
    also: Also | None = None
    remove: bool = False
    # (end, recordings, bytes) that stay reserved, since an address signed for the row is good so long.
    reserved: tuple[datetime, int, int] | None = None


def apply(
    user: User,
    rows: Mapping[str, AudioFile],
    edits: Mapping[str, Edit],
    *,
    settled_to: datetime | None = None,
) -> bool:
    """Change `rows` in one transaction; False when the account or a row has changed since it was read.

    Both are by file_id. `settled_to` is as in `User`. Raises `Unavailable`.
    """
    first, mark = user.next_change_number, secrets.token_hex(8)

    def fill(transaction: Transaction) -> None:
        user.add_changes_to(
            transaction,
            len(edits),
            sum(edit.recordings for edit in edits.values()),
            sum(edit.size for edit in edits.values()),
            reserved=[edit.reserved for edit in edits.values() if edit.reserved is not None],
            settled_to=settled_to,
        )
        for number, (file_id, edit) in enumerate(edits.items(), first):
            row = rows[file_id]
            entry = Change(user.user_id, number, file_id=file_id, mark=mark)
            entry.add_to(transaction, row.value("change_number"))
            if edit.remove:
                row.remove_in(transaction)
            else:
                row.change_in(transaction, number, edit.actions)
            if edit.also is not None:
                edit.also(transaction)

    try:
        transact(fill, AudioFile)
    except ConditionFailed:
        # A write whose answer was lost is sent again and then meets its own result.
        return Change.is_marked(user.user_id, first, mark)
    return True

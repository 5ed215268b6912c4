"""What the database no longer holds: counted, shown and, where it is much, agreed to before it is removed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from migrations_from_rds.display import Display
from migrations_from_rds.errors import Refused
from migrations_from_rds.removal import gone_at_source
from migrations_from_rds.source import Snapshot
from migrations_from_rds.state import State

# Of each table so much may go without a word.
UNASKED_PERCENT = 1
WORD = "remove"
SHOWN = 20
NAMED = 1000


@dataclass(slots=True)
class Gone:
    """How many of the rows that were copied are in the database no more, and the first of them."""

    copied: int
    rows: int = 0
    ids: list[str] = field(default_factory=list)

    @property
    def is_much(self) -> bool:
        return self.rows * 100 > self.copied * UNASKED_PERCENT

    def to_json(self) -> dict[str, Any]:
        return {"copied": self.copied, "gone": self.rows, "ids": self.ids}


def count_gone(state: State, source: Snapshot, table: str, advance: Callable[[int], None]) -> Gone:
    """Return what of a table was copied and is in the database no more."""
    found = Gone(state.manifest_size(table))
    for chunk in gone_at_source(state, source, table, advance):
        found.rows += len(chunk)
        found.ids += list(chunk)[: NAMED - len(found.ids)]
    return found


def agree(gone: Mapping[str, Gone], at_most: int | None, display: Display) -> None:
    """Show what is to be removed; beyond 1 % of a table it takes a word, or the number as an option.

    Raises `Refused` when there is neither.
    """
    total = sum(found.rows for found in gone.values())
    if not total:
        return
    for table, found in gone.items():
        if found.rows:
            share = 100 * found.rows / max(found.copied, 1)
            display.say(
                f"No longer in the database: {found.rows:,} of {found.copied:,} {table} "
                f"that were copied ({share:.1f} %)"
            )
            for row_id in found.ids[:SHOWN]:
                display.say(f"  {table}  {row_id}")
            if found.rows > SHOWN:
                display.say(f"  {table}  … and {found.rows - SHOWN:,} more")
    if not any(found.is_much for found in gone.values()) or total <= (at_most or 0):
        return
    numbers = " and ".join(
        f"{found.rows:,} of {found.copied:,} {table}" for table, found in gone.items() if found.rows
    )
    if at_most is None and sys.stdin.isatty():
        question = f"This removes {numbers} from DynamoDB. Type {WORD} if they were deleted in the database: "
        if input(question).strip().lower() == WORD:
            return
        raise Refused("Nothing was removed, and nothing written.")
    raise Refused(
        f"{numbers} that were copied are in the database no more, which is more than {UNASKED_PERCENT} % "
        "of a table; nothing was removed, and nothing written. See whether this is the right database and "
        f"shows every row; if they were deleted there, say so by --remove-at-most {total}."
    )

"""Rows that were in the tables before: each gets its claim first, so that none of ours takes its place.

The earlier service wrote rows without claims. These claims are what
`flask panzoto resources optimize` writes too; a rollback leaves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.sending import Parcel, Sender
from migrations_from_rds.state import slices
from migrations_from_rds.target import model_of
from panzoto.models import Claim
from panzoto.models.bulk import MOST_KEYS, Item, put_new, text, units

# What a row claims, and how that claim is called.
CLAIMED_BY = {
    USERS: ("email", Claim.name_of_spelling),
    AUDIO_FILES: ("s3_key", Claim.name_of_s3_key),
}


def claim_earlier_rows(sender: Sender, threads: int, advance: Callable[[int], None]) -> None:
    """Write the claims that are missing; safe to repeat. Raises `Stopped` and `AwsRefused`."""
    with ThreadPoolExecutor(threads) as pool:
        for table in (USERS, AUDIO_FILES):
            for page in sender.tables.pages(model_of(table)):
                for _ in pool.map(partial(_claim, sender, table), slices(page, MOST_KEYS)):
                    pass
                advance(len(page))


def _claim(sender: Sender, table: str, rows: Iterable[Item]) -> None:
    wanted = {claim["claim"]["S"]: claim for row in rows if (claim := _claim_of(table, row)) is not None}
    there = sender.patiently(lambda: sender.tables.fetch(Claim, wanted))
    missing = [claim for name, claim in wanted.items() if name not in there]
    # One that somebody takes meanwhile is as good.
    sender.send([Parcel(claim["claim"]["S"], [put_new(Claim, claim)], units(claim) * 2) for claim in missing])


def _claim_of(table: str, row: Item) -> Item | None:
    """Return the claim of a row; an account that signs in elsewhere has no address to claim."""
    name, named = CLAIMED_BY[table]
    value, user_id, file_id = text(row, name), text(row, "user_id"), text(row, "file_id")
    if value is None or user_id is None:
        return None
    claim: Item = {"claim": {"S": named(value)}, "user_id": {"S": user_id}}
    return claim if file_id is None else claim | {"file_id": {"S": file_id}}

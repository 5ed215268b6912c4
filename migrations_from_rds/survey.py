"""What must be known before the first row is written, since it takes more than one row to see it.

Which accounts cannot be taken, also because their addresses become one; which
of the recordings under one key has the claim. `Survey` then judges page after
page of rows with that knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, TypeVar

from migrations_from_rds import transform
from migrations_from_rds.rows import USERS, FileRow, Row, UserRow
from migrations_from_rds.source import Since, Snapshot
from migrations_from_rds.state import State
from migrations_from_rds.transform import Policy, Problem, Wanted
from panzoto.models.bulk import Item, text

ROWS_AT_ONCE = 500
EVERYTHING = Since()

T = TypeVar("T")
Claims = Callable[[list[str]], dict[str, Item]]
Judged = tuple[list[Wanted], list[Problem]]


class Survey:
    """The knowledge about one snapshot, kept in the state's temporary tables.

    `claims` looks up claims in DynamoDB; without it every address counts as free there.
    """

    def __init__(self, state: State, policy: Policy, claims: Claims | None = None) -> None:
        self._state = state
        self._policy = policy
        self._claims = claims
        self.colliding = 0

    def find_collisions(self, snapshot: Snapshot) -> None:
        """Settle by the policy which account has an address that several want; this comes first."""
        for group in snapshot.collisions():
            self._settle_collision(group)

    def run(self, snapshot: Snapshot, advance: Callable[[int], None]) -> None:
        """Look at everything once. `advance` is told of every page of accounts."""
        for page in snapshot.users(EVERYTHING, ROWS_AT_ONCE):
            self._look_at_accounts(page)
            advance(len(page))
        for losers in pages(self._losers(snapshot.shared_keys())):
            self._state.leave_without_claim((row.file_id, holder.file_id) for row, holder in losers)

    def judge(self, table: str, rows: Sequence[Any]) -> Judged:
        """Return what is wanted of `rows` of one table, and what there is to say about them."""
        return self._judge_users(rows) if table == USERS else self._judge_files(rows)

    def _settle_collision(self, everybody: list[UserRow]) -> None:
        mended = self._mended(everybody)
        group = [row for row in everybody if row.user_id not in mended]
        if len(group) < 2:
            return
        self.colliding += len(group)
        # An account that was copied before the other one came keeps its address, whatever the policy.
        known = self._state.known(USERS, [row.user_id for row in group])
        copied = [row for row in group if row.user_id in known and known[row.user_id].settled]
        kept = next(iter(copied), None) or transform.winner(group, self._policy)
        problems = transform.collision_problems(group, kept)
        self._state.refuse_accounts(problem for problem in problems if problem.rejected)
        self._state.keep_accounts(problem for problem in problems if not problem.rejected)

    def _look_at_accounts(self, page: list[UserRow]) -> None:
        fit = []
        refused: list[Problem] = []
        mended = self._mended(page)
        for row in page:
            taken, problems = transform.user(row)
            if taken is None:
                refused += [problem for problem in problems if problem.row_id not in mended]
            else:
                fit.append((row, taken.email))
        self._state.refuse_accounts(refused)
        if self._claims is not None:
            self._refuse_taken_addresses(fit, self._claims)

    def _mended(self, rows: Sequence[UserRow]) -> set[str]:
        """Return the accounts that are in DynamoDB as they were mended, whatever the database still holds."""
        known = self._state.known(USERS, [row.user_id for row in rows])
        return {row_id for row_id, what in known.items() if what.mended and what.settled}

    def _refuse_taken_addresses(self, fit: list[tuple[UserRow, str]], claims: Claims) -> None:
        known = self._state.known(USERS, [row.user_id for row, _ in fit])
        unknown = [(row, f"email#{email}") for row, email in fit if row.user_id not in known]
        found = claims([name for _, name in unknown])
        holders = [(row, text(found[name], "user_id")) for row, name in unknown if name in found]
        self._state.refuse_accounts(
            taken_elsewhere(row, holder) for row, holder in holders if holder != row.user_id
        )

    def _losers(self, rows: Iterable[FileRow]) -> Iterator[tuple[FileRow, FileRow]]:
        """Yield each recording that has to do without the claim on its key, with the one that has it."""
        for _, group in groupby(rows, key=lambda row: row.s3_key):
            holder: FileRow | None = None
            for page in pages(group):
                refused = self._state.refused_accounts(row.user_id for row in page if row.user_id)
                for row in page:
                    if transform.file_flaw(row, row.user_id in refused):
                        continue
                    if holder is None:
                        holder = row
                    else:
                        yield row, holder

    def _judge_users(self, rows: Sequence[UserRow]) -> Judged:
        wanted: list[Wanted] = []
        problems: list[Problem] = []
        ids = [row.user_id for row in rows]
        refused, kept = self._state.refused_accounts(ids), self._state.kept_accounts(ids)
        for row in rows:
            if row.user_id in refused:
                problems.append(transform.rejected(row, *refused[row.user_id]))
                continue
            item, said = transform.user(row)
            problems += said
            if row.user_id in kept:
                problems.append(Problem(USERS, row.user_id, *kept[row.user_id]))
            if item is not None:
                wanted.append(transform.wanted(item, row))
        return wanted, problems

    def _judge_files(self, rows: Sequence[FileRow]) -> Judged:
        wanted: list[Wanted] = []
        problems: list[Problem] = []
        refused = self._state.refused_accounts(row.user_id for row in rows if row.user_id)
        holders = self._state.claim_holders(row.file_id for row in rows)
        for row in rows:
            holder = holders.get(row.file_id)
            item, said = transform.recording(row, row.user_id in refused, holder)
            problems += said
            if item is not None:
                wanted.append(transform.wanted(item, row, claimless=holder is not None))
        return wanted, problems


def taken_elsewhere(row: Row, holder: str | None) -> Problem:
    """Return the problem of an account whose address another one in DynamoDB has."""
    return transform.rejected(row, "email_taken", f"account {holder} in DynamoDB has its address")


def pages(items: Iterable[T], size: int = ROWS_AT_ONCE) -> Iterator[list[T]]:
    """Yield `items` in lists of up to `size`."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page

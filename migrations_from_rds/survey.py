"""What must be known before the first row is written, since it takes more than one row to see it.

Which accounts cannot be taken, also because their addresses become one; which
of the recordings under one key has the claim. `Survey` then judges page after
page of rows with that knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple, TypeVar

from migrations_from_rds import transform
from migrations_from_rds.decisions import is_replaceable
from migrations_from_rds.rows import AUDIO_FILES, USERS, FileRow, Row, UserRow
from migrations_from_rds.sending import Sender
from migrations_from_rds.source import Colliding, Since, Snapshot
from migrations_from_rds.state import Known, State
from migrations_from_rds.transform import Policy, Problem, Wanted
from panzoto.models import Claim, User
from panzoto.models.bulk import Item, text

ROWS_AT_ONCE = 500
EVERYTHING = Since()

T = TypeVar("T")
Judged = tuple[list[Wanted], list[Problem]]


class Lookups(NamedTuple):
    """What can be asked of DynamoDB: claims by name, accounts by id, and when one was last seen."""

    claims: Callable[[list[str]], dict[str, Item]]
    accounts: Callable[[list[str]], dict[str, Item]]
    last_seen: Callable[[str], int | None]

    @classmethod
    def of(cls, sender: Sender) -> Lookups:
        tables = sender.tables
        return cls(
            lambda names: sender.patiently(lambda: tables.fetch(Claim, names)),
            lambda ids: sender.patiently(lambda: tables.fetch(User, ids)),
            lambda user_id: sender.patiently(lambda: tables.last_seen(user_id)),
        )


class Survey:
    """The knowledge about one snapshot, kept in the state's temporary tables.

    `target` looks up what DynamoDB holds; without it every address counts as free there.
    """

    def __init__(
        self,
        state: State,
        policy: Policy,
        target: Lookups | None = None,
    ) -> None:
        self._state = state
        self._policy = policy
        self._target = target
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
        for user_id, holder, copied in self._state.settle_moves():
            self._refuse_move(user_id, holder, copied=copied)
        for losers in pages(self._losers(snapshot.shared_keys())):
            self._state.leave_without_claim((row.file_id, holder.file_id) for row, holder in losers)

    def judge(self, table: str, rows: Sequence[Any]) -> Judged:
        """Return what is wanted of `rows` of one table, and what there is to say about them."""
        return self._judge_users(rows) if table == USERS else self._judge_files(rows)

    def _settle_collision(self, colliding: list[Colliding]) -> None:
        everybody = [one.row for one in colliding]
        mended = self._mended(everybody)
        group = [row for row in everybody if row.user_id not in mended]
        if len(group) < 2:
            return
        self.colliding += len(group)
        # An account that was copied before the other one came keeps its address, whatever the policy.
        known = self._state.known(USERS, [row.user_id for row in group])
        copied = [row for row in group if row.user_id in known and known[row.user_id].settled]
        kept = next(iter(copied), None) or transform.winner(group, self._policy)
        evidence = {one.row.user_id: self._evidence(one) for one in colliding}
        problems = transform.collision_problems(group, kept, evidence)
        there = {row_id for row_id, what in known.items() if what.copied}
        self._refuse([problem for problem in problems if problem.rejected], there)
        self._state.keep_accounts(problem for problem in problems if not problem.rejected)

    def _evidence(self, one: Colliding) -> str:
        seen = [moment for moment in (one.last_sign_in, self._last_seen(one)) if moment is not None]
        return transform.evidence_of(one.row.created_at, one.recordings, one.latest, max(seen, default=None))

    def _last_seen(self, one: Colliding) -> int | None:
        return None if self._target is None else self._target.last_seen(one.row.user_id)

    def _look_at_accounts(self, page: list[UserRow]) -> None:
        known = self._state.known(USERS, [row.user_id for row in page])
        mended = {row_id for row_id, what in known.items() if what.mended and what.settled}
        there = {row_id for row_id, what in known.items() if what.copied}
        refused: list[Problem] = []
        moving: list[tuple[Wanted, Known | None]] = []
        for row in page:
            if row.user_id in mended:
                continue
            taken, problems = transform.user(row)
            if taken is None:
                refused += problems
                continue
            found, before = transform.wanted(taken, row), known.get(row.user_id)
            if before is None or not before.settled or before.digest != found.digest:
                moving.append((found, before))
        self._refuse(refused, there)
        if self._target is not None:
            self._note_moves(moving, self._target)

    def _refuse(self, problems: Sequence[Problem], there: set[str]) -> None:
        """Note accounts that cannot be taken; of those that were copied, DynamoDB keeps what they were."""
        self._state.refuse_accounts(problem for problem in problems if problem.row_id not in there)
        self._state.note_gone_bad(
            (problem.row_id, problem.sentence) for problem in problems if problem.row_id in there
        )

    def _note_moves(self, moving: Sequence[tuple[Wanted, Known | None]], target: Lookups) -> None:
        """Note who wants an address, and who holds it: that may be an account which goes elsewhere."""
        ids = [row.row_id for row, _ in moving]
        out = self._state.refused_accounts(ids).keys() | self._state.gone_bad(ids).keys()
        wanting = [(row, before) for row, before in moving if row.row_id not in out]
        found = target.claims([row.claim for row, _ in wanting])
        stored = target.accounts([row.row_id for row, before in wanting if before is not None])
        moves = [
            (
                row.row_id,
                _other(text(found.get(row.claim, {}), "user_id"), row.row_id),
                before is not None
                and is_replaceable(stored.get(row.row_id), before, self._state.fact("migration")),
            )
            for row, before in wanting
        ]
        self._state.note_moves(move for move in moves if move[1] is not None or move[2])

    def _refuse_move(self, user_id: str, holder: str, *, copied: bool) -> None:
        sentence = f"account {holder} in DynamoDB has its address"
        if copied and self._state.known(USERS, [user_id])[user_id].copied:
            self._state.note_gone_bad([(user_id, sentence)])
        else:
            self._state.refuse_accounts([Problem(USERS, user_id, "email_taken", sentence)])

    def _mended(self, rows: Sequence[UserRow]) -> set[str]:
        """Return the accounts that are in DynamoDB as they were mended, whatever the database still holds."""
        known = self._state.known(USERS, [row.user_id for row in rows])
        return {row_id for row_id, what in known.items() if what.mended and what.settled}

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
        bad, taking = self._state.gone_bad(ids), self._state.takes_from(ids)
        for row in rows:
            if row.user_id in bad:
                problems.append(transform.gone_bad(row, bad[row.user_id]))
                continue
            if row.user_id in refused:
                problems.append(transform.rejected(row, *refused[row.user_id]))
                continue
            item, said = transform.user(row)
            problems += said
            if row.user_id in kept:
                problems.append(Problem(USERS, row.user_id, *kept[row.user_id]))
            if item is not None:
                wanted.append(transform.wanted(item, row, takes_from=taking.get(row.user_id)))
        return wanted, problems

    def _judge_files(self, rows: Sequence[FileRow]) -> Judged:
        wanted: list[Wanted] = []
        problems: list[Problem] = []
        refused = self._state.refused_accounts(row.user_id for row in rows if row.user_id)
        holders = self._state.claim_holders(row.file_id for row in rows)
        flawed: list[Problem] = []
        for row in rows:
            holder = holders.get(row.file_id)
            item, said = transform.recording(row, row.user_id in refused, holder)
            if item is None:
                flawed += said
            else:
                problems += said
                wanted.append(transform.wanted(item, row, claimless=holder is not None))
        known = self._state.known(AUDIO_FILES, [problem.row_id for problem in flawed])
        problems += [
            transform.gone_bad(problem.row, problem.sentence)
            if problem.row is not None and problem.row_id in known and known[problem.row_id].copied
            else problem
            for problem in flawed
        ]
        return wanted, problems


def _other(holder: str | None, user_id: str) -> str | None:
    return None if holder == user_id else holder


def taken_elsewhere(row: Row, holder: str | None) -> Problem:
    """Return the problem of an account whose address another one in DynamoDB has."""
    return transform.rejected(row, "email_taken", f"account {holder} in DynamoDB has its address")


def pages(items: Iterable[T], size: int = ROWS_AT_ONCE) -> Iterator[list[T]]:
    """Yield `items` in lists of up to `size`."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page

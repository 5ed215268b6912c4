"""`copy --from-rejects`: rows of a reject file that somebody has mended, judged and written like others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from migrations_from_rds import transform
from migrations_from_rds.display import Display
from migrations_from_rds.errors import Refused
from migrations_from_rds.report import lines_of
from migrations_from_rds.rows import AUDIO_FILES, USERS, FileRow, Row, Unreadable, UserRow, parse_line
from migrations_from_rds.sending import Sender
from migrations_from_rds.state import State
from migrations_from_rds.survey import Survey, pages, taken_elsewhere
from migrations_from_rds.transform import Policy
from migrations_from_rds.writing import Loader, Task
from panzoto.models import Claim, User
from panzoto.models.bulk import Item, claim_name, text


def run(
    rows: Sequence[Row], state: State, sender: Sender, loader: Loader, policy: Policy, *, display: Display
) -> None:
    """Write the rows that `read` gave. Raises `Stopped` and `AwsRefused`."""
    users = [row for row in rows if isinstance(row, UserRow)]
    _refuse_accounts(users, state, sender, policy)
    files = _with_owners([row for row in rows if isinstance(row, FileRow)], users, sender)
    survey = Survey(state, policy)
    for table, these in ((AUDIO_FILES, files), (USERS, users)):
        with display.task(f"mended {table}", len(these)) as advance:
            task = Task(table, survey.judge, position=lambda _: {}, mended=True)
            loader.run(task, pages(these), advance)


def read(path: Path) -> list[Row]:
    """Return the rows of a reject file. Raises `Refused` with every line that cannot be understood."""
    rows: dict[tuple[str, str], Row] = {}
    faults = []
    for number, line in enumerate(_lines(path), 1):
        try:
            row = parse_line(line)
        except Unreadable as fault:
            faults.append(f"line {number}: {fault}")
            continue
        key = (type(row).__name__, row[0])
        if key in rows:
            faults.append(f"line {number}: its id was on an earlier line")
        rows[key] = row
    if faults:
        raise Refused(f"{path} cannot be fed back, nothing was written: " + "; ".join(faults[:20]))
    return list(rows.values())


def _lines(path: Path) -> Iterable[str]:
    try:
        yield from lines_of(path)
    except UnicodeDecodeError:
        raise Refused(f"{path} cannot be fed back, nothing was written: it is not UTF-8 text") from None


def _refuse_accounts(users: list[UserRow], state: State, sender: Sender, policy: Policy) -> None:
    for group in transform.collisions(users):
        problems = transform.collision_problems(group, transform.winner(group, policy))
        state.refuse_accounts(problem for problem in problems if problem.rejected)
        state.keep_accounts(problem for problem in problems if not problem.rejected)
    for page in pages(users):
        judged = [(row, *transform.user(row)) for row in page]
        state.refuse_accounts(problem for _, taken, said in judged if taken is None for problem in said)
        names = {row.user_id: claim_name(taken) for row, taken, _ in judged if taken is not None}
        claims = sender.patiently(partial(sender.tables.fetch, Claim, names.values()))
        state.refuse_accounts(
            taken_elsewhere(row, _holder(claims, names[row.user_id]))
            for row, taken, _ in judged
            if taken is not None and _holder(claims, names[row.user_id]) not in (None, row.user_id)
        )


def _holder(claims: dict[str, Item], name: str) -> str | None:
    return text(claims.get(name, {}), "user_id")


def _with_owners(files: list[FileRow], users: list[UserRow], sender: Sender) -> list[FileRow]:
    """Return `files`, knowing of each whether its owner is in the same file or in DynamoDB."""
    owners = {row.user_id for row in users}
    others = {row.user_id for row in files if row.user_id} - owners
    for page in pages(sorted(others)):
        owners |= sender.patiently(partial(sender.tables.fetch, User, page)).keys()
    return [row._replace(owner_found=row.user_id in owners) for row in files]

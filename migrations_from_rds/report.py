"""What a run leaves for people: report.json, rejects.jsonl, problems.jsonl and a summary on the terminal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from migrations_from_rds.display import Display
from migrations_from_rds.rows import AUDIO_FILES, USERS
from migrations_from_rds.state import State
from migrations_from_rds.transform import RULES

REPORT = "report.json"
REJECTS = "rejects.jsonl"
PROBLEMS = "problems.jsonl"
HISTORY = "reports"
SHOWN_PER_CODE = 1000
COUNTED = (
    "read",
    "written",
    "replaced",
    "claimed",
    "unchanged",
    "already_there",
    "left_newer",
    "gone_since",
    "rejected",
)
# Rows that somebody has to do something about although they were taken: named by every command.
NAMED_CODES = frozenset({"gone_bad", "hash_unverifiable"})
TABLES = (USERS, AUDIO_FILES)


def now() -> datetime:
    return datetime.now(UTC)


def write_report(folder: Path, command: str, began: datetime, content: Mapping[str, Any]) -> None:
    """Write report.json, and the same beside it under a name that no later run overwrites."""
    ended = now()
    report = {
        "command": command,
        "began": _rfc3339(began),
        "ended": _rfc3339(ended),
        "seconds": round((ended - began).total_seconds(), 3),
        **content,
    }
    text = json.dumps(report, indent=2) + "\n"
    history = folder / HISTORY
    history.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = ended.strftime("%Y%m%dT%H%M%S.%fZ")
    for path in (folder / REPORT, history / f"{stamp}-{command}.json"):
        _replace(path, lambda file: file.write(text))


def write_problems(folder: Path, state: State) -> None:
    """Write problems.jsonl: every row there is something to say about, with its reason."""

    def write(file: IO[str]) -> None:
        for table, row_id, code, sentence, source in state.problems():
            entry = _entry(table, row_id, code, sentence) | {"rejected": source is not None}
            file.write(json.dumps(entry) + "\n")

    _replace(folder / PROBLEMS, write)


def write_rejects(folder: Path, state: State, display: Display) -> None:
    """Write rejects.jsonl: every row that was not taken, whole, to be mended and fed back.

    A file that somebody has mended since we wrote it is set aside, not overwritten.
    """
    path = folder / REJECTS
    if path.exists() and _digest(path) != state.fact("rejects_digest"):
        aside = path.with_name(f"rejects.{now():%Y%m%dT%H%M%S%f}.jsonl")
        path.rename(aside)
        display.tell(f"{path} was changed by hand since it was written; that one is now {aside}")

    def write(file: IO[str]) -> None:
        for table, row_id, code, sentence, source in state.problems(rejected=True):
            entry = _entry(table, row_id, code, sentence) | {"row": json.loads(source or "{}")}
            file.write(json.dumps(entry) + "\n")

    _replace(path, write)
    state.remember(rejects_digest=_digest(path))


def problem_counts(state: State) -> list[dict[str, Any]]:
    """Return for the report how many rows have which problem, and by which rule each is treated."""
    return [
        {"table": table, "code": code, "rejected": rejected, "rows": rows, "rule": RULES.get(code, "")}
        for table, code, rejected, rows in state.problem_counts()
    ]


def some_problems(state: State) -> list[dict[str, Any]]:
    """Return problem rows for the report, up to a thousand of each kind; problems.jsonl has them all."""
    seen: dict[tuple[str, str], int] = {}
    shown = []
    for table, row_id, code, sentence, source in state.problems():
        seen[table, code] = seen.get((table, code), 0) + 1
        if seen[table, code] <= SHOWN_PER_CODE:
            shown.append(_entry(table, row_id, code, sentence) | {"rejected": source is not None})
    return shown


def print_problems(display: Display, state: State, folder: Path, codes: frozenset[str] | None = None) -> None:
    """Print every problem row, or those of some codes, with its reason.

    Of very many with the same reason, the first thousand.
    """
    counts = {(table, code): rows for table, code, _, rows in state.problem_counts()}
    shown: dict[tuple[str, str], int] = {}
    for table, row_id, code, sentence, source in state.problems():
        if codes is not None and code not in codes:
            continue
        done = shown[table, code] = shown.get((table, code), 0) + 1
        if done <= SHOWN_PER_CODE:
            display.say(f"{'REJECTED' if source else 'note':8}  {table}  {row_id}  {code}: {sentence}")
        elif done == SHOWN_PER_CODE + 1:
            display.say(
                f"          {table}  … and {counts[table, code] - SHOWN_PER_CODE} more with {code}, "
                f"all in {folder / PROBLEMS}"
            )


def print_counts(display: Display, state: State) -> None:
    """Print how many rows have which problem."""
    rows = [
        [f"{table}  {code}", str(count), "rejected" if rejected else "noted"]
        for table, code, rejected, count in state.problem_counts()
    ]
    if rows:
        display.table("Problem rows", ["table  reason", "rows", ""], rows)


def print_tally(display: Display, tally: Mapping[str, int]) -> None:
    """Print what became of the rows of both tables."""
    names = [name for name in COUNTED if any(tally.get(f"{table}.{name}") for table in TABLES)]
    rows = [[name, *(f"{tally.get(f'{table}.{name}', 0):,}" for table in TABLES)] for name in names]
    display.table("Rows", ["", USERS, AUDIO_FILES], rows)


def nested(tally: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return a tally by table."""
    return {table: {name: tally.get(f"{table}.{name}", 0) for name in COUNTED} for table in TABLES}


def lines_of(path: Path) -> Iterable[str]:
    """Yield the lines of a file that are not blank."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.strip())


def _replace(path: Path, write: Callable[[IO[str]], Any]) -> None:
    """Write a file anew, whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(path.name + ".draft")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _entry(table: str, row_id: str, code: str, sentence: str) -> dict[str, Any]:
    return {"table": table, "id": row_id, "code": code, "reason": sentence}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")

"""The table of docs/operations.md names every event that the service writes into its log, and no other."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from panzoto.errors import EngineRefused, EngineUnavailable
from tests.support.source import nodes, tree_of

ROOT = Path(__file__).resolve().parents[2]
WRITTEN_BY = ("panzoto", "migrations_from_rds", "deploy/serving")
LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
# The text before the table shows this one.
SHOWN = {"request"}
# Those whose name is in a variable where they are written, and the level of each.
BY_VARIABLE = {
    "playback_aborted": "error",
    "export_aborted": "error",
    EngineRefused.code: "warning",
    EngineUnavailable.code: "warning",
}


def literals() -> Iterator[tuple[str, str]]:
    """Every event that is written by its name, and its level."""
    for package in WRITTEN_BY:
        for path in (ROOT / package).rglob("*.py"):
            for node in nodes(tree_of(path)):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                        args=[ast.Constant(value=str(name)), *_],
                    ) if level in LEVELS and re.fullmatch("[a-z][a-z0-9_]*", name):
                        # What gunicorn and its supervisor say are sentences, which explain themselves.
                        yield name, LEVELS[level]


@cache
def written() -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, level in [*literals(), *BY_VARIABLE.items()]:
        if name not in SHOWN:
            found[name].add(level)
    return found


def rows() -> list[tuple[list[str], set[str]]]:
    """The names and the levels of each line of the table."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    table = text.partition("| event | level | means |\n|---|---|---|\n")[2].partition("\n\n")[0]
    cells = [line.split(" | ") for line in table.splitlines()]
    return [(re.findall("`([^`]+)`", names), set(re.findall(r"\w+", levels))) for names, levels, *_ in cells]


def test_every_event_is_told_once_and_none_that_nobody_writes() -> None:
    told = Counter(name for names, _ in rows() for name in names)
    assert {name for name, times in told.items() if times > 1} == set()
    assert set(told) == set(written())


def test_each_is_told_with_the_levels_that_it_has() -> None:
    found = written()
    wrong = [names for names, levels in rows() if set().union(*(found[name] for name in names)) != levels]
    assert wrong == []

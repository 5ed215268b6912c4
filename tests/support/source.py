"""The source of the project as trees, for rules that are read off it: a process parses each file once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """All that a module consists of, which many rules look at."""
    return tuple(ast.walk(tree))

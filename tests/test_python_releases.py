"""The service gives the same answers under every release of Python 3.11, not under the latest alone."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import panzoto


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every pattern that a module of the service keeps, with its name."""
    for module in pkgutil.walk_packages(panzoto.__path__, "panzoto."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


def operations(parsed: Any) -> Iterator[Any]:
    """What a parsed pattern is made of, however deep it stands."""
    if isinstance(parsed, _parser.SubPattern):
        parsed = parsed.data
    if isinstance(parsed, list | tuple):
        for one in parsed:
            yield from operations(one)
    else:
        yield parsed


def is_possessive(pattern: str | bytes, flags: int = 0) -> bool:
    found = operations(_parser.parse(pattern, flags & ~re.DEBUG))
    return any(one is _constants.POSSESSIVE_REPEAT for one in found)


@pytest.mark.parametrize("pattern", ["a*+", "(?:ab|a(?:bc)++)d", "x(?=y{2}+)", "(a|(b(?P<c>c?+)))"])
def test_a_possessive_pattern_is_recognized(pattern: str) -> None:
    assert is_possessive(pattern)
    assert not is_possessive(pattern.replace("+)", ")").replace("*+", "*").replace("}+", "}"))


def test_no_pattern_is_possessive() -> None:
    """Before 3.11.5 some are matched wrongly: https://github.com/python/cpython/issues/106052."""
    found = dict(patterns())
    assert "panzoto.transcripts.words._PIECE" in found
    assert [name for name, one in found.items() if is_possessive(one.pattern, one.flags)] == []

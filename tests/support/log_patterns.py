"""CloudWatch's filter patterns for JSON lines, as far as the templates use them.

`{ ($.event = "request") && ($.status >= 500) }`: comparisons of a field with a
string, in which `*` stands for anything, or with a number; `&&`, `||` and
parentheses.  A field that is not there matches nothing.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

_TOKEN = re.compile(r'\s*(\|\||&&|[(){}]|\$\.\w+|>=|=|"[^"]*"|\d+)')


def matches(pattern: str, line: dict[str, Any]) -> bool:
    """Whether CloudWatch would count `line`. Raises `ValueError` for what is no pattern."""
    tokens = _tokens(pattern)
    if tokens[:1] != ["{"] or tokens[-1:] != ["}"]:
        raise ValueError("a pattern for JSON stands in braces")
    reader = _Reader(tokens[1:-1], line)
    found = reader.either()
    if reader.left:
        raise ValueError(f"this is left over: {reader.left}")
    return found


def _tokens(pattern: str) -> list[str]:
    tokens, at = [], 0
    text = pattern.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not understood: {text[at:]}")
        tokens.append(found[1])
        at = found.end()
    return tokens


class _Reader:
    """Evaluates while it reads; both sides of an operator are always read."""

    def __init__(self, tokens: list[str], line: dict[str, Any]) -> None:
        self.left = tokens
        self._line = line

    def either(self) -> bool:
        found = self._both()
        while self.left[:1] == ["||"]:
            self.left.pop(0)
            found = self._both() or found
        return found

    def _both(self) -> bool:
        found = self._one()
        while self.left[:1] == ["&&"]:
            self.left.pop(0)
            found = self._one() and found
        return found

    def _one(self) -> bool:
        first = self.left.pop(0)
        if first == "(":
            found = self.either()
            if self.left.pop(0) != ")":
                raise ValueError("a parenthesis is not closed")
            return found
        if not first.startswith("$."):
            raise ValueError(f"a field was expected, not {first}")
        return self._compare(self._line.get(first[2:]), self.left.pop(0), self.left.pop(0))

    @staticmethod
    def _compare(value: Any, operator: str, wanted: str) -> bool:
        if wanted.startswith('"'):
            if operator != "=":
                raise ValueError("strings are compared with = only")
            return isinstance(value, str) and fnmatchcase(value, wanted[1:-1])
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return value >= int(wanted) if operator == ">=" else value == int(wanted)

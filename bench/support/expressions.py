"""DynamoDB's expressions, compiled once for each text: conditions and updates as PynamoDB writes them.

Items and values are as on the wire, `{"N": "12"}`. See "Comparison operator and function reference" and
"Using update expressions" in the Amazon DynamoDB Developer Guide; paths are names of attributes only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]
Names = dict[str, str]
Values = dict[str, Value]
Condition = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Value | None]
Update = Callable[[Item, Names, Values], None]
# The item as it was and as it becomes.
_Step = Callable[[Item, Item, Names, Values], Any]

_TOKEN = re.compile(r"<>|<=|>=|[()=<>,+-]|[#:]?\w+")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_SECTIONS = ("SET", "REMOVE", "ADD")


def plain(value: Value | None) -> Any:
    """Return a value so that those of one type compare; None for an attribute that is not there."""
    if value is None:
        return None
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else content


@cache
def condition(text: str) -> Condition:
    """Return what tells whether an item meets the condition. Raises `ValueError` for what is not known."""
    parser = _Parser(text)
    found = parser.either()
    if parser.ahead is not None:
        raise ValueError(text)
    return found


@cache
def update(text: str) -> Update:
    """Return what applies an update to an item. Raises `ValueError` for what is not known."""
    parser = _Parser(text)
    steps: list[_Step] = []
    while (section := parser.ahead) is not None:
        if section not in _SECTIONS:
            raise ValueError(text)
        parser.take()
        steps.append(parser.step(section))
        while parser.ahead == ",":
            parser.take()
            steps.append(parser.step(section))

    def apply(item: Item, names: Names, values: Values) -> None:
        # All operands are of the item as it was.
        before = dict(item)
        for step in steps:
            step(before, item, names, values)

    return apply


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    @property
    def ahead(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.ahead
        if token is None or (expected is not None and token != expected):
            raise ValueError(self._text)
        self._at += 1
        return token

    def either(self) -> Condition:
        found = self.both()
        while self.ahead == "OR":
            self.take()
            found = _either(found, self.both())
        return found

    def both(self) -> Condition:
        found = self.single()
        while self.ahead == "AND":
            self.take()
            found = _both(found, self.single())
        return found

    def single(self) -> Condition:
        if self.ahead == "NOT":
            self.take()
            inner = self.single()
            return lambda item, names, values: not inner(item, names, values)
        if self.ahead == "(":
            self.take()
            found = self.either()
            self.take(")")
            return found
        if self.ahead in ("attribute_exists", "attribute_not_exists"):
            wanted = self.take() == "attribute_exists"
            self.take("(")
            name = self.take()
            self.take(")")
            return lambda item, names, _: (names.get(name, name) in item) == wanted
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self.operand()
        operator = self.take()
        if operator == "BETWEEN":
            low = self.operand()
            self.take("AND")
            return _both(_compared(">=", left, low), _compared("<=", left, self.operand()))
        if operator not in _COMPARE:
            raise ValueError(self._text)
        return _compared(operator, left, self.operand())

    def operand(self) -> Operand:
        token = self.take()
        if token == "if_not_exists":
            self.take("(")
            name = self.take()
            self.take(",")
            other = self.operand()
            self.take(")")
            return lambda item, names, values: item.get(names.get(name, name)) or other(item, names, values)
        if token.startswith(":"):
            return lambda _item, _names, values: values[token]
        return lambda item, names, _: item.get(names.get(token, token))

    def step(self, section: str) -> _Step:
        name = self.take()
        if section == "REMOVE":
            return lambda _before, item, names, _values: item.pop(names.get(name, name), None)
        if section == "SET":
            self.take("=")
            operand = self.operand()

            def assign(before: Item, item: Item, names: Names, values: Values) -> None:
                value = operand(before, names, values)
                if value is None:
                    raise ValueError(name)
                item[names.get(name, name)] = value

            return assign
        token = self.take()

        def add(before: Item, item: Item, names: Names, values: Values) -> None:
            there = before.get(names.get(name, name), {"N": "0"})
            item[names.get(name, name)] = {"N": str(Decimal(there["N"]) + Decimal(values[token]["N"]))}

        return add


def _both(left: Condition, right: Condition) -> Condition:
    return lambda item, names, values: left(item, names, values) and right(item, names, values)


def _either(left: Condition, right: Condition) -> Condition:
    return lambda item, names, values: left(item, names, values) or right(item, names, values)


def _compared(operator: str, left: Operand, right: Operand) -> Condition:
    compare = _COMPARE[operator]

    def holds(item: Item, names: Names, values: Values) -> bool:
        one, other = left(item, names, values), right(item, names, values)
        if one is None or other is None or one.keys() != other.keys():
            return operator == "<>"
        return compare(plain(one), plain(other))

    return holds

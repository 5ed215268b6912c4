"""Shortcuts for moto's ways through the expressions of DynamoDB, which come again with each request.

See `moto_shortcuts`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from moto.dynamodb.comparisons import AttributePath, AttributeValue, ConditionExpressionParser
from moto.dynamodb.parsing.ast_nodes import (
    DepthFirstTraverser,
    Expression,
    ExpressionAttributeValue,
    LeafNode,
    Node,
    UpdateExpressionFunction,
    UpdateExpressionSetAction,
    UpdateExpressionValue,
)
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import ActionCountValidator, OverlappingPathsValidator

# The kinds that a walk looks for when it looks for actions that set something, and nothing else.
ACTION = (UpdateExpressionSetAction,)
ONLY_PARSED = (
    ExpressionAttributeValue,
    UpdateExpressionFunction,
    UpdateExpressionSetAction,
    UpdateExpressionValue,
)


class Condition(NamedTuple):
    """A condition taken apart: moto's tree of it, and what stands in it, in its order."""

    tree: Any
    names: list[str]
    values: list[str]
    # Of the names, those that stand for another.
    placeholders: frozenset[str]


class Untouched(ConditionExpressionParser):
    """moto's parser, whose `parse` ends with the tree and makes nothing of it."""

    def _make_op_condition(self, node: Any) -> Any:
        return node


class Placeholders(dict[str, Any]):
    """Gives for each placeholder of an expression the placeholder itself."""

    def __missing__(self, name: str) -> str:
        return name


def take_all() -> None:
    """Let moto take each of them from now on."""
    read_updates_once()
    walk_through_updates_by_their_kinds()
    read_conditions_once()


def read_updates_once() -> None:
    """Let an update's expression be taken apart once; moto does so twice for each update.

    What it has found it works on copies of.
    """
    make = UpdateExpressionParser.make

    @functools.lru_cache(1024)
    def made(expression: str) -> Node:
        tree = make(expression)
        # Copies have it as well.
        tree.kinds = frozenset(_kinds(tree))
        return tree

    UpdateExpressionParser.make = made
    Node.__deepcopy__ = _copy_of_node


def _kinds(node: Any) -> Iterator[type[Node]]:
    if isinstance(node, Node):
        yield type(node)
        for child in node.children or ():
            yield from _kinds(child)


def _copy_of_node(node: Node, memo: dict[int, Any]) -> Node:
    """Return a copy of a node and of those below it, which know their parents; above it there is nobody."""
    made: Node = object.__new__(type(node))
    known = vars(made)
    known.update(vars(node))
    known["parent"] = None
    if node.children:
        known["children"] = [_copy_of_child(child, made, memo) for child in node.children]
    return made


def _copy_of_child(child: Any, parent: Node, memo: dict[int, Any]) -> Any:
    if type(child) is str:
        return child
    if not _is_node(type(child)):
        return copy.deepcopy(child, memo)
    made = _copy_of_node(child, memo)
    made.parent = parent
    return made


def walk_through_updates_by_their_kinds() -> None:
    """Let walks through an update's expression pass by what is of no kind that they are looking for.

    moto walks through each ten times, and asks of each node with the slow question that abstract classes
    allow whether it is one at all and whether it is wanted; and what is true of a whole expression it tries
    again for each part of it.
    """
    DepthFirstTraverser.traverse = _traversed
    Node.find_clauses = _found_clauses
    for validator in (ActionCountValidator, OverlappingPathsValidator):
        validator.traverse = _tried_as_a_whole


def _traversed(traverser: DepthFirstTraverser, tree: Node) -> Node:
    wanted = traverser.nodes_to_be_processed()
    # Nodes of these kinds come from the expression alone, and not from an earlier walk.
    if wanted[0] in ONLY_PARSED and not any(issubclass(kind, wanted) for kind in tree.kinds):
        return tree
    return Walk(traverser, wanted).through(tree)


class Walk:
    """One walk through a tree, as `DepthFirstTraverser` does it."""

    def __init__(self, traverser: DepthFirstTraverser, wanted: tuple[type[Node], ...]) -> None:
        self._process, self._wanted = traverser.process, wanted
        looks_ahead = (
            type(traverser).pre_processing_of_child is not DepthFirstTraverser.pre_processing_of_child
        )
        self._before = traverser.pre_processing_of_child if looks_ahead else None

    def through(self, node: Node, place: int = -1) -> Node:
        goes_below, is_wanted = _ways(type(node), self._wanted)
        parent = node.parent
        if goes_below:
            self._below(node)
        if is_wanted:
            node = self._process(node)
            node.parent = parent
            if parent:
                parent.children[place] = node
        return node

    def _below(self, node: Node) -> None:
        before = self._before
        for place, child in enumerate(node.children or ()):
            if before is not None:
                before(node, place)
            if _is_node(type(child)):
                self.through(child, place)


@functools.cache
def _ways(kind: type[Node], wanted: tuple[type[Node], ...]) -> tuple[bool, bool]:
    """Return whether a walk goes on below a node of this kind, and whether it is one that is wanted.

    What a leaf has are no nodes, and actions are not within each other.
    """
    is_wanted = issubclass(kind, wanted)
    return not issubclass(kind, LeafNode) and not (is_wanted and wanted == ACTION), is_wanted


@functools.cache
def _is_node(kind: type) -> bool:
    return issubclass(kind, Node)


@functools.cache
def _may_have_clauses(kind: type) -> bool:
    return issubclass(kind, (Expression, UpdateExpressionFunction))


def _found_clauses(node: Node, clause_types: list[type[Node]]) -> list[Node]:
    clauses = []
    for child in node.children or ():
        kind = type(child)
        if kind in clause_types:
            clauses.append(child)
        elif _may_have_clauses(kind):
            clauses.extend(_found_clauses(child, clause_types))
    return clauses


def _tried_as_a_whole(validator: DepthFirstTraverser, node: Node) -> Node:
    """Try the whole expression; what is wrong with it, if anything, is told by moto's own way through it."""
    try:
        return validator.process(node)
    except Exception:  # noqa: BLE001 - it is raised again
        return Walk(validator, validator.nodes_to_be_processed()).through(node)


def read_conditions_once() -> None:
    """Let a condition be taken apart once, and what its placeholders stand for be filled in for each request.

    moto does so up to three times for each request, and makes its six patterns anew for each word of it.
    """
    parse, make_operand = ConditionExpressionParser.parse, ConditionExpressionParser._make_operand

    @functools.lru_cache(1024)
    def taken_apart(expression: str) -> Condition:
        parser = Untouched(expression, Placeholders(), Placeholders())
        tree, names = parse(parser), parser.expr_attr_names_found
        placeholders = frozenset(name for name in names if name.startswith("#"))
        return Condition(tree, names, parser.expr_attr_values_found, placeholders)

    def parsed(parser: ConditionExpressionParser) -> Any:
        try:
            known = taken_apart(parser.condition_expression or "")
            given = known.placeholders <= {*(parser.expression_attribute_names or ())}
            given = given and {*known.values} <= {*(parser.expression_attribute_values or ())}
        except Exception:  # noqa: BLE001 - moto's own way tells what is wrong
            given = False
        if not given or not parser.condition_expression:
            return parse(parser)
        parser.expr_attr_names_found.extend(known.names)
        parser.expr_attr_values_found.extend(known.values)
        return parser._make_op_condition(known.tree)

    def filled_in(parser: ConditionExpressionParser, node: Any) -> Any:
        if node.kind == parser.Kind.PATH:
            named = parser.expression_attribute_names or {}
            return AttributePath([named.get(part.value, part.value) for part in node.children])
        if node.kind == parser.Kind.EXPRESSION_ATTRIBUTE_VALUE:
            return AttributeValue((parser.expression_attribute_values or {})[node.text])
        return make_operand(parser, node)

    ConditionExpressionParser.parse, ConditionExpressionParser._make_operand = parsed, filled_in

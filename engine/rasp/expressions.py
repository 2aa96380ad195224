"""Expressions of RASP text, as `ast` gives them, made into nodes of the language.

What the words are and take is in `words`, what names stand for in `names`; operators, and the functions and predicates
that operations take, are made in `operators` and `lambdas`.
"""

from __future__ import annotations

import ast

from engine.rasp import operators
from engine.rasp.functions import Value
from engine.rasp.lambdas import function, predicate
from engine.rasp.language import (
    Aggregate,
    ConstantSOp,
    Full,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    Selector,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    categorical,
    numerical,
)
from engine.rasp.names import Names
from engine.rasp.places import Place, Problem, excerpt
from engine.rasp.words import CALLS, LISTINGS, PREDICATES, SOURCES, arguments
from sessions.errors import nearest


class Reader:
    """Reads expressions one after another, keeping the names that were assigned.

    `problem(place, ast node, what, remedy)` makes the error to raise.
    """

    def __init__(self, place: Place, problem: Problem) -> None:
        self.names = Names(place, problem)
        self.error = self.names.error

    def assign(self, target: ast.Name, value: ast.expr) -> Node | None:
        """`target = value`. None for a constant."""
        self.names.check_free(target)
        made = self.read(value)
        self.names.assign(target.id, value, made)
        return made if isinstance(made, Node) else None

    def node(self, e: ast.expr) -> Node:
        made = self.read(e)
        if not isinstance(made, Node):
            raise self.error(e, f"'{excerpt(e)}' is a constant, not an s-op", "write full(...) or read tokens")
        return made

    def sop(self, e: ast.expr, role: str) -> SOp:
        made = self.read(e)
        if isinstance(made, Selector):
            raise self.error(
                e,
                f"{role} must be an s-op, and '{excerpt(e)}' is a selector",
                "selector_width(...) or aggregate(..., x) makes an s-op of it",
            )
        if not isinstance(made, SOp):
            raise self.error(
                e, f"{role} must be an s-op, and '{excerpt(e)}' is a constant", f"write full({excerpt(e)})"
            )
        return made

    def selector(self, e: ast.expr, role: str) -> Selector:
        made = self.read(e)
        if not isinstance(made, Selector):
            kind = "an s-op" if isinstance(made, SOp) else "a constant"
            raise self.error(
                e, f"{role} must be a selector, and '{excerpt(e)}' is {kind}", "make one with select(keys, queries, ==)"
            )
        return made

    def read(self, e: ast.expr) -> Node | Value:
        """A node, or the value of a constant expression."""
        match e:
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="rasp"), attr=name):
                return self.names.of(e, name)
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return value
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.UnaryOp():
                return self._unary(e)
            case ast.BinOp():
                return self._binary(e)
            case ast.Compare():
                return self._compare(e)
            case ast.Call():
                return self.names.place.given_to(self._call(e), e)
            case ast.BoolOp(op=op):
                sign, word = ("&", "and") if isinstance(op, ast.And) else ("|", "or")
                raise self.error(e, f"'{word}' does not combine s-ops", f"write {sign}")
            case ast.Lambda():
                raise self.error(e, "a function stands alone here", "write map(lambda x: ..., s)")
            case _:
                raise self.error(
                    e, f"'{excerpt(e)}' has no meaning in RASP", "write for example select(tokens, tokens, ==)"
                )

    def value(self, e: ast.expr) -> Value:
        made = self.read(e)
        if isinstance(made, Node):
            raise self.error(e, f"'{excerpt(e)}' is not a constant", "write a number, a string, True, False or None")
        return made

    # -- operators

    def _unary(self, e: ast.UnaryOp) -> Node | Value:
        return self._placed(operators.unary(e, self.read(e.operand), self.error), e)

    def _binary(self, e: ast.BinOp) -> Node | Value:
        return self._placed(operators.binary(e, self.read(e.left), self.read(e.right), self.error), e)

    def _compare(self, e: ast.Compare) -> Node | Value:
        if len(e.ops) > 1:
            raise self.error(e, "comparisons cannot be chained", "write (x > 1) & (x < 3)")
        return self._placed(operators.comparison(e, self.read(e.left), self.read(e.comparators[0]), self.error), e)

    def _placed(self, made: Node | Value, e: ast.expr) -> Node | Value:
        return self.names.place.given_to(made, e) if isinstance(made, Node) else made

    # -- calls

    def _call(self, e: ast.Call) -> Node:
        match e.func:
            case ast.Attribute(value=ast.Name(id="rasp"), attr=name) | ast.Name(id=name):
                pass
            case ast.Attribute(value=of, attr="named"):
                return self._with_name(e, of)
            case ast.Attribute(attr=method):
                raise self.error(e, f"'.{method}' is not known", "the one method is .named('x')")
            case _:
                raise self.error(e, f"'{excerpt(e.func)}' cannot be called", "call select, aggregate, map and the like")
        name = LISTINGS.get(name, name)
        if name in PREDICATES:
            raise self.error(e, f"'{name}' is a predicate", "it is the last argument of select")
        if name not in CALLS:
            if name in self.names.nodes or name in SOURCES or name in self.names.constants:
                raise self.error(e, f"'{name}' cannot be called", "it is a value; write it without brackets")
            raise self.error(e.func, f"'{name}' is not an operation", nearest(name, CALLS))
        a = arguments(e, name, self.error)
        match name:
            case "select":
                keys, queries = (
                    self.sop(a["keys"], "the keys of select"),
                    self.sop(a["queries"], "the queries of select"),
                )
                return Select(keys, queries, predicate(a["predicate"], self.names, self.value))
            case "aggregate":
                selector = self.selector(a["selector"], "the first argument of aggregate")
                sop = self.sop(a["sop"], "the second argument of aggregate")
                return Aggregate(selector, sop, self.value(a["default"]) if "default" in a else None)
            case "selector_width":
                return SelectorWidth(self.selector(a["selector"], "the argument of selector_width"))
            case "map":
                f = function(a["f"], 1, "map", self.names)
                simplify = bool(self.value(a["simplify"])) if "simplify" in a else True
                return Map(f, self.sop(a["sop"], "the second argument of map"), simplify=simplify)
            case "sequence_map":
                f = function(a["f"], 2, "sequence_map", self.names)
                first = self.sop(a["first"], "the second argument of sequence_map")
                return SequenceMap(f, first, self.sop(a["second"], "the third argument of sequence_map"))
            case "linear_sequence_map":
                first = self.sop(a["first"], "the first argument of linear_sequence_map")
                second = self.sop(a["second"], "the second argument of linear_sequence_map")
                return LinearSequenceMap(
                    first, second, self._number(a["first_factor"]), self._number(a["second_factor"])
                )
            case "full":
                return Full(self.value(a["value"]))
            case "constant":
                values = self.value(a["values"])
                if not isinstance(values, tuple):
                    raise self.error(a["values"], "constant takes a list", "write constant([1, 2, 3])")
                return ConstantSOp(values)
            case "numerical" | "categorical":
                sop = self.sop(a["sop"], f"the argument of {name}")
                copied = numerical(sop) if name == "numerical" else categorical(sop)
                if sop in self.names.fixed:
                    self.names.fixed.add(copied)
                return copied
            case "selector_and" | "selector_or":
                made = SelectorAnd if name == "selector_and" else SelectorOr
                return made(self.selector(a["left"], f"an argument of {name}"), self.selector(a["right"], "the other"))
            case _:
                return SelectorNot(self.selector(a["selector"], f"the argument of {name}"))

    def _with_name(self, e: ast.Call, of: ast.expr) -> Node:
        node = self.read(of)
        if not isinstance(node, Node):
            raise self.error(of, f"'{excerpt(of)}' is a constant and has no name", "name an s-op or a selector")
        match e.args, e.keywords:
            case [ast.Constant(value=str(name))], []:
                pass
            case _:
                raise self.error(e, "named takes one string", "write .named('x')")
        copied = node.named(name)
        self.names.fixed.add(copied)
        return copied

    def _number(self, e: ast.expr) -> float:
        value = self.value(e)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(
                e, f"'{excerpt(e)}' is not a number", "the factors are numbers: linear_sequence_map(x, y, 2, -3)"
            )
        return value

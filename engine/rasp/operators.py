"""The operators of RASP text, on what their operands were read as: nodes, or constants worked out at once."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from engine.rasp.functions import Function, Value, constant
from engine.rasp.language import Node, Selector, SOp
from engine.rasp.places import Mistake, excerpt
from sessions.errors import CallError

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
_MAPPED = {ast.Mod: "%", ast.FloorDiv: "//", ast.Pow: "**", ast.BitXor: "^"}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_REFLECTED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def unary(e: ast.UnaryOp, made: Node | Value, error: Mistake) -> Node | Value:
    """What `e` is, its operand being `made`."""
    op = e.op
    if not isinstance(made, Node):
        return _folded(e, ast.UnaryOp(op, constant(made)), [made], error)
    if isinstance(op, ast.Invert):
        assert isinstance(made, SOp | Selector)
        return ~made
    if isinstance(op, ast.Not):
        raise error(e, "'not' does not apply to s-ops", "write ~")
    if not isinstance(made, SOp):
        raise error(e, "a selector has no sign", "write ~ for its complement")
    return made * -1 if isinstance(op, ast.USub) else made * 1


def binary(e: ast.BinOp, a: Node | Value, b: Node | Value, error: Mistake) -> Node | Value:
    """What `e` is, its sides being `a` and `b`."""
    left, op, right = e.left, e.op, e.right
    if not isinstance(a, Node) and not isinstance(b, Node):
        return _folded(e, ast.BinOp(constant(a), op, constant(b)), [a, b], error)
    sign = _OPERATORS.get(type(op))
    if sign is None:
        shown = _MAPPED.get(type(op), excerpt(e))
        raise error(e, f"'{shown}' does not apply to s-ops", f"write map(lambda x: x {shown} 2, s)")
    if isinstance(a, Selector) or isinstance(b, Selector):
        if not (isinstance(a, Selector) and isinstance(b, Selector)):
            wrong = right if isinstance(a, Selector) else left
            raise error(
                wrong, f"a selector and '{excerpt(wrong)}' cannot be combined", "combine it with another selector"
            )
        if sign not in "&|":
            raise error(e, f"'{sign}' does not apply to selectors", "combine them with &, | and ~")
        return a & b if sign == "&" else a | b
    x: Any = a
    y: Any = b
    match sign:
        case "+":
            made = x + y
        case "-":
            made = x - y
        case "*":
            made = x * y
        case "/":
            made = x / y
        case "&":
            made = x & y
        case _:
            made = x | y
    return made


def comparison(e: ast.Compare, a: Node | Value, b: Node | Value, error: Mistake) -> Node | Value:
    """What `e`, a single comparison, is, its sides being `a` and `b`."""
    left, ops, others = e.left, e.ops, e.comparators
    sign = _SIGNS.get(type(ops[0]))
    if not isinstance(a, Node) and not isinstance(b, Node):
        return _folded(e, ast.Compare(constant(a), ops, [constant(b)]), [a, b], error)
    if sign is None:
        raise error(e, "'in' and 'is' do not apply to s-ops", "write map(lambda x: x in ('a', 'b'), s)")
    if isinstance(a, Selector) or isinstance(b, Selector):
        raise error(e, "a selector cannot be compared", "combine selectors with &, | and ~")
    if isinstance(a, SOp) and isinstance(b, SOp):
        raise error(
            e,
            f"'{sign}' compares an s-op with a constant, not with another s-op",
            f"write sequence_map(lambda x, y: x {sign} y, {excerpt(left)}, {excerpt(others[0])})",
        )
    sop, other = (a, b) if isinstance(a, SOp) else (b, a)
    assert isinstance(sop, SOp)
    if sop is b:
        sign = _REFLECTED[sign]
    return {
        "==": sop.__eq__,
        "!=": sop.__ne__,
        "<": sop.__lt__,
        "<=": sop.__le__,
        ">": sop.__gt__,
        ">=": sop.__ge__,
    }[sign](other)


def _folded(e: ast.expr, plain: ast.expr, values: Sequence[Value], error: Mistake) -> Value:
    """A constant expression's value: `1 / 3`, `-2`. Of numbers alone, so that it is never large."""
    if not all(isinstance(v, int | float) and abs(v) < 1e300 for v in values):
        raise error(e, f"'{excerpt(e)}' is not an operation on s-ops", "at least one side must be an s-op")
    try:
        return Function.of((), ast.fix_missing_locations(plain), parameters=())()
    except (CallError, ArithmeticError, ValueError, TypeError) as wrong:
        raise error(e, f"'{excerpt(e)}' cannot be worked out ({wrong})") from None

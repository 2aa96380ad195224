"""Small integer expressions with Python's meaning: what an update or an output is written in.

An expression is a nested tuple: `("var", "x")`, `("const", 2)`, `("+", left, right)`, `("abs", inner)`,
`("if", guard, then, otherwise)`.
Comparisons are 0 or 1, as `True` and `False` are in Python's arithmetic. The operators are those the benchmark's
programs need: + - * // % == != < <= min max and the bitwise & | ^.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

Expression = tuple[Any, ...]
Values = Int[np.ndarray[Any, Any], "*row"]

# In order of preference between expressions of the same size: arithmetic reads better than bit tricks.
OPERATORS: dict[str, Callable[[Values, Values], Values]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "//": np.floor_divide,
    "%": np.remainder,
    "^": np.bitwise_xor,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "min": np.minimum,
    "max": np.maximum,
    "==": lambda a, b: (a == b).astype(np.int64),
    "<": lambda a, b: (a < b).astype(np.int64),
    "<=": lambda a, b: (a <= b).astype(np.int64),
    "!=": lambda a, b: (a != b).astype(np.int64),
}
COMMUTATIVE = frozenset({"+", "*", "==", "!=", "min", "max", "&", "|", "^"})
COMPARISONS = frozenset({"==", "!=", "<", "<="})
BITWISE = frozenset({"&", "|", "^"})

_BINARY: dict[str, type[ast.operator]] = {
    "+": ast.Add,
    "-": ast.Sub,
    "*": ast.Mult,
    "//": ast.FloorDiv,
    "%": ast.Mod,
    "&": ast.BitAnd,
    "|": ast.BitOr,
    "^": ast.BitXor,
}
_COMPARED: dict[str, type[ast.cmpop]] = {"==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE}
_TURNED: dict[str, type[ast.cmpop]] = {"==": ast.Eq, "!=": ast.NotEq, "<": ast.Gt, "<=": ast.GtE}

# What each operator counts in a description length. A truth value used as a number is dear: `k - (x < k)` has fewer
# symbols than `(2 * k + x) // 3` and tells less. Where a truth value is what is wanted (the whole formula, or a part of
# it that `&` and `|` join with others) a comparison is the plain way to say it: `x == k`, not `1 - (x ^ k)`.
WEIGHTS: dict[str, int] = dict.fromkeys(OPERATORS, 1) | dict.fromkeys(COMPARISONS, 4) | {"min": 2, "max": 2}
TRUTH = 2  # a comparison whose truth is wanted
ASKED = 1  # the comparison that an `if` asks
ABS = 2


def size(expression: Expression) -> int:
    """The description length: 1 for each variable and constant (2 for a negative one), each operator's weight."""
    return _size(expression, TRUTH)


def _size(expression: Expression, comparison: int) -> int:
    """`comparison` is what a comparison counts in this place."""
    match expression:
        case ("var", _):
            return 1
        case ("const", number):
            return 1 if number >= 0 else 2  # a minus sign
        case ("abs", inner):
            return ABS + _size(inner, WEIGHTS["<"])
        case ("if", guard, then, otherwise):
            asked = _size(guard, ASKED if guard[0] in COMPARISONS else TRUTH)
            return 1 + asked + _size(then, comparison) + _size(otherwise, comparison)
        case (symbol, left, right) if symbol in COMPARISONS:
            return comparison + _size(left, WEIGHTS["<"]) + _size(right, WEIGHTS["<"])
        case (symbol, left, right):
            inside = comparison if symbol in BITWISE else WEIGHTS["<"]
            return WEIGHTS[symbol] + _size(left, inside) + _size(right, inside)
    raise ValueError(f"not an expression: {expression}")


def evaluate(expression: Expression, values: Mapping[str, Values]) -> Values:
    """The expression on columns of integers. ZeroDivisionError where Python would raise it."""
    match expression:
        case ("var", name):
            return values[name]
        case ("const", number):
            some = next(iter(values.values()))
            return np.full(some.shape, number, dtype=np.int64)
        case ("if", guard, then, otherwise):
            chosen = evaluate(guard, values) != 0
            result = np.empty(chosen.shape, dtype=np.int64)
            for mask, branch in ((chosen, then), (~chosen, otherwise)):
                result[mask] = evaluate(branch, {name: column[mask] for name, column in values.items()})
            return result
        case ("abs", inner):
            return np.abs(evaluate(inner, values))
        case (symbol, left, right):
            a, b = evaluate(left, values), evaluate(right, values)
            if symbol in ("//", "%") and (b == 0).any():
                raise ZeroDivisionError("integer division by zero")
            return OPERATORS[symbol](a, b)
    raise ValueError(f"not an expression: {expression}")


def written(expression: Expression) -> str:
    """Python source whose value is an int, never a bool."""
    return ast.unparse(_number(expression))


def _number(expression: Expression) -> ast.expr:
    if expression[0] == "if" and _is_boolean(expression):
        _, guard, then, otherwise = expression
        return ast.IfExp(_node(guard), _number(then), _number(otherwise))
    node = _node(expression)
    return ast.Call(ast.Name("int"), [node], []) if _is_boolean(expression) else node


def condition(expression: Expression) -> str:
    """Python source whose truth is the expression's."""
    return ast.unparse(_node(expression))


def _node(expression: Expression) -> ast.expr:
    match expression:
        case ("var", name):
            return ast.Name(name)
        case ("const", number):
            return ast.Constant(number)
        case ("if", guard, then, otherwise):
            return ast.IfExp(_node(guard), _node(then), _node(otherwise))
        case ("abs", inner):
            return ast.Call(ast.Name("abs"), [_node(inner)], [])
        case (symbol, ("const", _) as left, right) if symbol in _TURNED and right[0] != "const":
            return ast.Compare(_node(right), [_TURNED[symbol]()], [_node(left)])  # `k > 0`, not `0 < k`
        case (symbol, left, right) if symbol in _COMPARED:
            return ast.Compare(_node(left), [_COMPARED[symbol]()], [_node(right)])
        case ("min" | "max" as name, _, _):
            return ast.Call(ast.Name(name), [_node(part) for part in _flat(name, expression)], [])
        case ("-", ("const", 0), inner):
            return ast.UnaryOp(ast.USub(), _node(inner))
        case (symbol, left, right):
            return ast.BinOp(_node(left), _BINARY[symbol](), _node(right))
    raise ValueError(f"not an expression: {expression}")


def _flat(name: str, expression: Expression) -> list[Expression]:
    """The arguments of nested `max` (or `min`) in one list."""
    if expression[0] != name:
        return [expression]
    return [part for side in expression[1:] for part in _flat(name, side)]


def _is_boolean(expression: Expression) -> bool:
    """Whether Python may give True or False for it rather than 1 or 0."""
    match expression:
        case (symbol, _, _) if symbol in COMPARISONS:
            return True
        case ("&" | "|" | "^", left, right):
            return _is_boolean(left) and _is_boolean(right)
        case ("min" | "max", left, right):
            return _is_boolean(left) or _is_boolean(right)
        case ("if", _, then, otherwise):
            return _is_boolean(then) or _is_boolean(otherwise)
    return False

"""Small integer expressions with Python's meaning: what an update or an output is written in.

An expression is a nested tuple: `("var", "x")`, `("const", 2)`, `("+", left, right)`, `("abs", inner)`,
`("if", guard, then, otherwise)`.
Comparisons are 0 or 1, as `True` and `False` are in Python's arithmetic. The operators are those the benchmark's
programs need: + - * // % == < min max and the bitwise & | ^.
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
}
COMMUTATIVE = frozenset({"+", "*", "==", "min", "max", "&", "|", "^"})

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


# What each operator counts in a description length. A truth value used as a number is dear: `k - (x < k)` has fewer
# symbols than `(2 * k + x) // 3` and tells less.
WEIGHTS: dict[str, int] = dict.fromkeys(OPERATORS, 1) | {"==": 4, "<": 4, "min": 2, "max": 2}


def size(expression: Expression) -> int:
    """The description length: 1 for each variable and constant, the operator's weight for each operator. The comparison
    that an `if` asks counts 1."""
    match expression:
        case ("var" | "const", _):
            return 1
        case ("abs", inner):
            return 2 + size(inner)
        case ("if", guard, then, otherwise):
            asked = size(guard) - (WEIGHTS[guard[0]] - 1 if guard[0] in ("==", "<") else 0)
            return 1 + asked + size(then) + size(otherwise)
        case (symbol, left, right):
            return WEIGHTS[symbol] + size(left) + size(right)
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
    node = _node(expression)
    if _is_boolean(expression):
        node = ast.Call(ast.Name("int"), [node], [])
    return ast.unparse(node)


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
        case ("==" | "<" as symbol, left, right):
            return ast.Compare(_node(left), [ast.Eq() if symbol == "==" else ast.Lt()], [_node(right)])
        case ("min" | "max" as name, left, right):
            return ast.Call(ast.Name(name), [_node(left), _node(right)], [])
        case (symbol, left, right):
            return ast.BinOp(_node(left), _BINARY[symbol](), _node(right))
    raise ValueError(f"not an expression: {expression}")


def _is_boolean(expression: Expression) -> bool:
    """Whether Python may give True or False for it rather than 1 or 0."""
    match expression:
        case ("==" | "<", _, _):
            return True
        case ("&" | "|" | "^", left, right):
            return _is_boolean(left) and _is_boolean(right)
        case ("min" | "max", left, right):
            return _is_boolean(left) or _is_boolean(right)
        case ("if", _, then, otherwise):
            return _is_boolean(then) or _is_boolean(otherwise)
    return False

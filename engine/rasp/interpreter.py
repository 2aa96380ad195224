"""What a RASP program gives on one input, value by value as the definitions say (Tracr, arXiv 2301.05062, section 3 and
appendix). Slow and plain: `vectorised.py` is the fast one, and is tested against this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.rasp.functions import Value
from engine.rasp.language import (
    Aggregate,
    ConstantSOp,
    Full,
    Indices,
    Length,
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
    Tokens,
    nodes,
)

Matrix = list[list[bool]]  # rows: queries; columns: keys


def evaluate(program: Node, inputs: Sequence[Value], *, causal: bool = False) -> list[Value]:
    """The program's value at every position.

    ValueError: a comparison meets None, an aggregate averages what is not numbers, a constant has another length.
    Whatever a function raises (1 / 0) comes out as it is.
    """
    found: list[Value] = evaluate_all(program, inputs, causal=causal)[program]
    return found


def evaluate_all(program: Node, inputs: Sequence[Value], *, causal: bool = False) -> dict[Node, Any]:
    """The values of every s-op behind `program` (a list), and every selector (rows of booleans, one per query)."""
    found: dict[Node, Any] = {}
    for node in nodes(program):
        values = _value(node, [found[of] for of in node.inputs], list(inputs))
        if causal and isinstance(node, Selector):
            values = [[s and k <= q for k, s in enumerate(row)] for q, row in enumerate(values)]
        found[node] = values
    return found


def mean(values: Sequence[Value]) -> Value:
    """One value stays as it is; the mean of several is a float. ValueError when they are not all numbers."""
    if len(values) == 1:
        return values[0]
    total: Value = 0
    for value in values:
        if not isinstance(value, int | float):
            raise ValueError(f"{_shown(values)} cannot be averaged")
        total += value
    return total / len(values)


def _value(node: Node, inputs: list[Any], tokens: list[Value]) -> Any:
    n = len(tokens)
    match node:
        case Tokens():
            return tokens
        case Indices():
            return list(range(n))
        case Length():
            return [n] * n
        case Full():
            return [node.value] * n
        case ConstantSOp():
            if len(node.values) != n:
                raise ValueError(f"a constant of {len(node.values)} values on an input of {n}")
            return list(node.values)
        case Map():
            return [None if x is None else node.f(x) for x in inputs[0]]
        case SequenceMap():
            return [None if x is None or y is None else node.f(x, y) for x, y in zip(*inputs)]
        case LinearSequenceMap():
            a, b = node.factors
            return [None if x is None or y is None else a * x + b * y for x, y in zip(*inputs)]
        case Select():
            keys, queries = inputs
            return [[bool(node.predicate(key, query)) for key in keys] for query in queries]
        case SelectorAnd():
            return [[a and b for a, b in zip(*rows)] for rows in zip(*inputs)]
        case SelectorOr():
            return [[a or b for a, b in zip(*rows)] for rows in zip(*inputs)]
        case SelectorNot():
            return [[not a for a in row] for row in inputs[0]]
        case SelectorWidth():
            return [sum(row) for row in inputs[0]]
        case Aggregate():
            selector, values = inputs
            selected = [[v for v, s in zip(values, row) if s] for row in selector]
            return [mean(some) if some else node.default for some in selected]
        case _:
            raise TypeError(f"{node!r} is no operation of RASP")


def _shown(values: Sequence[Value]) -> str:
    shown = ", ".join(map(repr, values[:6]))
    return shown + (", ..." if len(values) > 6 else "")

"""RASP evaluated the slow way, straight from the definitions, and random programs: what the compiler is held to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.rasp.compiled import Array, Compiled
from engine.rasp.functions import Function, Value
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    indices,
    nodes,
    numerical,
    tokens,
)


def evaluate_all(program: SOp, row: Sequence[Value], causal: bool = False) -> dict[Node, Any]:
    """Every node's values (a selector's: rows of booleans). Raises what the functions and comparisons raise."""
    n = len(row)
    found: dict[Node, Any] = {}
    for node in nodes(program):
        a = [found[child] for child in node.inputs]
        v: list[Any]
        match node:
            case Tokens():
                v = list(row)
            case Indices():
                v = list(range(n))
            case Map():
                v = [None if x is None else node.f(x) for x in a[0]]
            case SequenceMap():
                v = [None if x is None or y is None else node.f(x, y) for x, y in zip(*a)]
            case LinearSequenceMap():
                s, t = node.factors
                v = [None if x is None or y is None else s * x + t * y for x, y in zip(*a)]
            case Select():
                v = [
                    [bool(node.predicate(key, query)) and not (causal and i > j) for i, key in enumerate(a[0])]
                    for j, query in enumerate(a[1])
                ]
            case SelectorWidth():
                v = [sum(selected) for selected in a[0]]
            case Aggregate():
                v = []
                for selected in a[0]:
                    some = [x for x, on in zip(a[1], selected) if on]
                    if any(not isinstance(x, int | float) for x in some) and len(some) > 1:
                        raise ValueError("an average of what is no number")
                    v.append(node.default if not some else some[0] if len(some) == 1 else sum(some) / len(some))
            case _:
                raise NotImplementedError(node)
        found[node] = v
    return found


def defined(compiled: Compiled, row: Sequence[Value]) -> dict[Node, Any] | None:
    """None where the program is not defined: it raises, or a categorical aggregate averages different values."""
    try:
        found = evaluate_all(compiled.program, row, compiled.domain.causal)
    except (ValueError, TypeError, ArithmeticError):
        return None
    for node in found:
        if isinstance(node, Aggregate) and node.encoding == "categorical":
            for selected in found[node.selector]:
                if len({x for x, on in zip(found[node.sop], selected) if on}) > 1:
                    return None
    return found


def ideal(compiled: Compiled, rows: Sequence[Sequence[Value]]) -> tuple[Array, Array]:
    """The residual stream as the values say it should be [batch, pos, d_model], and where that is known: a number is
    never None, so what comes of a None that passed through a number is not."""
    through_number: set[Node] = set()
    for node in nodes(compiled.program):
        if getattr(node, "encoding", "") == "numerical" or any(child in through_number for child in node.inputs):
            through_number.add(node)
    residual = {name: i for i, name in enumerate(compiled.residual)}
    longest = max(map(len, rows)) + 1
    resid = np.zeros((len(rows), longest, compiled.d_model))
    known = np.zeros((len(rows), longest, compiled.d_model), dtype=bool)
    for b, row in enumerate(rows):
        found = defined(compiled, row)
        if found is None:
            continue
        known[b, : len(row) + 1] = True
        resid[b, : len(row) + 1, residual["one"]] = 1
        resid[b, 0, residual["tokens:compiler_bos"]] = 1
        for v in compiled.variables:
            values = list(row) if v.op == "Tokens" else range(len(row)) if v.op == "Indices" else found[v.node]  # type: ignore[index]
            for p, value in enumerate(values, 1):
                if v.attention_dim is not None:
                    resid[b, p, v.attention_dim] = 1 / (value + 1)
                if v.encoding == "numerical":
                    known[b, p, v.dims[0]] = value is not None
                    resid[b, p, v.dims[0]] = value or 0
                elif value is None:
                    known[b, p, list(v.dims)] = v.node not in through_number
                else:
                    assert v.values is not None
                    resid[b, p, v.dims[v.values.index(value)]] = 1
    return resid, known


_CATEGORIES = ["x + 1", "x - 1", "-x", "x * x", "x % 3", "None if x == 1 else x", "1 / x", "(x, x > 1)[0]"]
_NUMBERS = ["x", "x + 0.5", "x * -2", "x - 2", "1 if x else 0.0", "x * x"]
_BOOLEANS = ["x == 1", "x > 1", "x != 2", "not x", "x < 0.4", "0 if x > 1 else 1.0"]
_PREDICATES = ["x is None", "y is None", "x == y", "x != y", "x != 1", "x is None or y is None", "not x and y"]
_PAIRS = ["x * y", "x + y % 10", "x - y", "x or y", "x and y", "x / y", "max(x, y)"]


def random_program(rng: np.random.Generator, operations: int) -> SOp:
    """May be one that does not compile (too many sums, an average of other numbers than 0 and 1)."""
    categories: list[SOp] = [tokens, tokens, indices]
    numbers: list[SOp] = []
    booleans: list[SOp] = []

    def pick(of: Sequence[Any]) -> Any:
        return of[int(rng.integers(len(of)))]

    def select() -> Select:
        predicate = pick(list(Comparison)) if rng.integers(4) else Function.parse(f"lambda x, y: {pick(_PREDICATES)}")
        return Select(pick(categories), pick(categories), predicate)

    last: SOp = tokens
    for _ in range(operations):
        kind = int(rng.integers(9))
        if kind == 0:
            last = Map(Function.parse(f"lambda x: {pick(_CATEGORIES)}"), pick(categories), simplify=False)
        elif kind == 1:
            last = numerical(Map(Function.parse(f"lambda x: {pick(_NUMBERS)}"), pick(categories), simplify=False))
        elif kind == 2:
            last = numerical(Map(Function.parse(f"lambda x: {pick(_BOOLEANS)}"), pick(categories), simplify=False))
            booleans.append(last)
        elif kind == 3 and numbers:
            f = Function.parse(f"lambda x: {pick(_NUMBERS + _BOOLEANS)}")
            last = Map(f, pick(numbers), simplify=False)
            last = numerical(last) if rng.integers(2) else last
        elif kind == 4:
            x, y = pick(categories), pick(categories)
            if x is y:
                continue
            last = SequenceMap(Function.parse(f"lambda x, y: {pick(_PAIRS)}"), x, y)
        elif kind == 5 and len(numbers) > 1:
            last = numerical(LinearSequenceMap(pick(numbers), pick(numbers), pick([-3, -1, 2]), pick([-2, 1, 3])))
        elif kind == 6:
            last = Aggregate(select(), pick(categories))
        elif kind == 7 and booleans:
            last = numerical(Aggregate(select(), pick(booleans), 0))
        else:
            last = SelectorWidth(select())
            last = numerical(last) if rng.integers(2) else last
        (numbers if last.encoding == "numerical" else categories).append(last)
    return last

"""Relations between the state variables of two programs that hold along sampled runs: guesses, for a solver to keep or
drop.

Kinds: linear equations (exactly, over the rationals), the same within one case of another variable (a value it takes,
or its sign), bounds, order, remainders, and a variable that is the smaller, larger, quotient, remainder or comparison
of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, permutations
from math import lcm
from typing import Any, NamedTuple

import numpy as np
import z3
from jaxtyping import Int

from engine.synthesis.domain import Domain

FEW_VALUES = 4  # a variable that takes no more makes cases
ENOUGH = 12  # rows for a case
MODULI = tuple(range(2, 17))

Rows = Int[np.ndarray[Any, Any], "row variable"]
Condition = Callable[[Mapping[str, Any]], Any]


class Relation(NamedTuple):
    """A condition on the state, in words and as a term over the variables' terms."""

    words: str
    term: Condition


def guessed(
    runs: Int[np.ndarray[Any, Any], "run pos variable"], names: Sequence[str], domain: Domain
) -> list[Relation]:
    """What holds on every sampled state, the strongest kinds first."""
    rows = np.unique(runs.reshape(-1, runs.shape[2]), axis=0) if len(names) else np.zeros((1, 0), dtype=np.int64)
    found = list(_equations(rows, names))
    known = len(found)
    for case, holds, condition in _cases(rows, names):
        inside = rows[holds]
        if ENOUGH <= len(inside) < len(rows):
            equations = list(_equations(inside, names))
            if len(equations) > known:
                found += [_within(case, condition, one) for one in equations]
    # Of variables that are equal one is enough for the others kinds: the equations say the rest.
    columns = {rows[:, k].tobytes(): k for k in reversed(range(len(names)))}
    distinct = sorted(columns.values())
    rows, names = rows[:, distinct], [names[k] for k in distinct]
    found += _bounds(rows, names)
    found += _orders(rows, names)
    found += _remainders(rows, names, sorted({*MODULI, domain.high - domain.low + 1, domain.high + 1} - {0, 1, -1}))
    found += _functions(rows, names)
    return list({one.words: one for one in found}.values())


def _equations(rows: Rows, names: Sequence[str]) -> Iterator[Relation]:
    """A basis of the linear equations that hold on all rows."""
    for coefficients in _null_space(np.concatenate([rows, np.ones((len(rows), 1), dtype=np.int64)], axis=1)):
        if any(coefficients[:-1]):
            yield _equation(dict(zip(names, coefficients)), coefficients[-1])


def _equation(coefficients: Mapping[str, int], constant: int) -> Relation:
    used = {name: c for name, c in coefficients.items() if c}

    def term(state: Mapping[str, Any]) -> Any:
        left, right = ([_times(c * sign, state[n]) for n, c in used.items() if c * sign > 0] for sign in (1, -1))
        left += [constant] if constant > 0 else []
        right += [-constant] if constant < 0 else []
        return _sum(left) == _sum(right)

    sides = [_side(used, constant, sign) for sign in (1, -1)]
    return Relation(" == ".join(sides), term)


def _times(coefficient: int, term: Any) -> Any:
    return term if coefficient == 1 else coefficient * term


def _sum(terms: Sequence[Any]) -> Any:
    return terms[0] if len(terms) == 1 else z3.Sum([*terms]) if terms else z3.IntVal(0)


def _side(coefficients: Mapping[str, int], constant: int, sign: int) -> str:
    terms = [name if c * sign == 1 else f"{c * sign} * {name}" for name, c in coefficients.items() if c * sign > 0]
    terms += [str(constant * sign)] if constant * sign > 0 else []
    return " + ".join(terms) or "0"


def _null_space(matrix: Rows) -> list[list[int]]:
    """Integer vectors that span all v with matrix v = 0."""
    width = matrix.shape[1]
    basis: list[list[Fraction]] = []  # rows in reduced form, each with its pivot
    pivots: list[int] = []
    # Few rows tell: a random order meets a full basis soon, and the others only confirm it.
    for row in matrix[np.random.default_rng(5).permutation(len(matrix))][: 40 * width]:
        rest = [Fraction(int(v)) for v in row]
        for one, known in zip(basis, pivots):
            if rest[known]:
                factor = rest[known]
                rest = [a - factor * b for a, b in zip(rest, one)]
        nonzero = [k for k, v in enumerate(rest) if v]
        if not nonzero:
            continue
        pivot = nonzero[0]
        rest = [v / rest[pivot] for v in rest]
        basis = [[a - one[pivot] * b for a, b in zip(one, rest)] if one[pivot] else one for one in basis]
        basis.append(rest)
        pivots.append(pivot)
    vectors = []
    for free in (k for k in range(width) if k not in pivots):
        vector = [Fraction(0)] * width
        vector[free] = Fraction(1)
        for one, pivot in zip(basis, pivots):
            vector[pivot] = -one[free]
        scale = lcm(*(v.denominator for v in vector))
        vectors.append([int(v * scale) for v in vector])
    return [v for v in vectors if not (matrix.astype(object) @ np.array(v, dtype=object)).any()]


def _compared(name: str, symbol: str, value: int) -> Condition:
    """A variable beside a number."""
    comparisons: dict[str, Callable[[Any], Any]] = {
        "==": lambda v: v == value,
        "<": lambda v: v < value,
        "<=": lambda v: v <= value,
        ">=": lambda v: v >= value,
    }
    compare = comparisons[symbol]
    return lambda state: compare(state[name])


def _case(name: str, symbol: str, value: int) -> tuple[str, Condition]:
    return f"{name} {symbol} {value}", _compared(name, symbol, value)


def _cases(rows: Rows, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.bool_]], Condition]]:
    for k, name in enumerate(names):
        values = np.unique(rows[:, k])
        if len(values) <= FEW_VALUES:
            for value in values.tolist():
                words, condition = _case(name, "==", value)
                yield words, rows[:, k] == value, condition
        if values[0] < 0 <= values[-1]:
            for symbol, holds in (("<", rows[:, k] < 0), (">=", rows[:, k] >= 0)):
                words, condition = _case(name, symbol, 0)
                yield words, holds, condition


def _within(case: str, condition: Condition, relation: Relation) -> Relation:
    return Relation(f"({relation.words} where {case})", lambda s: z3.Implies(condition(s), relation.term(s)))


def _bounds(rows: Rows, names: Sequence[str]) -> Iterator[Relation]:
    for k, name in enumerate(names):
        low, high = int(rows[:, k].min()), int(rows[:, k].max())
        for value in {low, *(v for v in (-1, 0, 1) if v <= low)}:
            yield Relation(*_case(name, ">=", value))
        yield Relation(*_case(name, "<=", high))


def _orders(rows: Rows, names: Sequence[str]) -> Iterator[Relation]:
    for (i, one), (j, other) in permutations(enumerate(names), 2):
        if (rows[:, i] <= rows[:, j]).all() and (rows[:, i] != rows[:, j]).any():
            yield _of_two(f"{one} <= {other}", one, other, lambda a, b: a <= b)


def _of_one(words: str, name: str, condition: Callable[[Any], Any]) -> Relation:
    return Relation(words, lambda state: condition(state[name]))


def _of_two(words: str, one: str, other: str, condition: Callable[[Any, Any], Any]) -> Relation:
    return Relation(words, lambda state: condition(state[one], state[other]))


def _remainders(rows: Rows, names: Sequence[str], moduli: Sequence[int]) -> Iterator[Relation]:
    """u + v, u - v or u alone with one remainder."""
    for k, name in enumerate(names):
        for m, r in _constant_remainders(rows[:, k], moduli):
            yield _of_one(f"{name} % {m} == {r}", name, _remains(m, r))
    for (i, one), (j, other) in combinations(enumerate(names), 2):
        for m, r in _constant_remainders(rows[:, i] - rows[:, j], moduli):
            rest = _remains(m, r)
            yield _of_two(f"({one} - {other}) % {m} == {r}", one, other, _after(rest, -1))
        for m, r in _constant_remainders(rows[:, i] + rows[:, j], moduli):
            rest = _remains(m, r)
            yield _of_two(f"({one} + {other}) % {m} == {r}", one, other, _after(rest, 1))


def _constant_remainders(column: Int[np.ndarray[Any, Any], " row"], moduli: Sequence[int]) -> Iterator[tuple[int, int]]:
    if (column != column[0]).any():
        for m in moduli:
            if (column % m == column[0] % m).all():
                yield m, int(column[0] % m)


def _remains(m: int, r: int) -> Callable[[Any], Any]:
    return lambda value: value % m == r


def _after(condition: Callable[[Any], Any], sign: int) -> Callable[[Any, Any], Any]:
    return lambda a, b: condition(a + sign * b)


def _functions(rows: Rows, names: Sequence[str]) -> Iterator[Relation]:
    """A variable that is a simple function of one or two others."""
    for k, name in enumerate(names):
        column = rows[:, k]
        if (column == column[0]).all():
            continue
        for i, one in enumerate(names):
            if i == k:
                continue
            for m in MODULI:
                if (rows[:, i] % m == column).all():
                    yield _of_two(f"{name} == {one} % {m}", name, one, _is_remainder(m))
                if (rows[:, i] // m == column).all():
                    yield _of_two(f"{name} == {one} // {m}", name, one, _is_quotient(m))
        for (i, one), (j, other) in combinations(enumerate(names), 2):
            if k in (i, j) or (rows[:, i] == rows[:, j]).all():
                continue
            for words, values, function in _pairings(one, other, rows[:, i], rows[:, j]):
                if (values == column).all():
                    yield _of_three(f"{name} == {words}", name, one, other, function)


def _is_remainder(m: int) -> Callable[[Any, Any], Any]:
    return lambda value, other: value == other % m


def _is_quotient(m: int) -> Callable[[Any, Any], Any]:
    return lambda value, other: value == other / m


def _of_three(words: str, name: str, one: str, other: str, function: Callable[[Any, Any], Any]) -> Relation:
    return Relation(words, lambda state: state[name] == function(state[one], state[other]))


def _pairings(
    one: str, other: str, a: Int[np.ndarray[Any, Any], " row"], b: Int[np.ndarray[Any, Any], " row"]
) -> Iterator[tuple[str, Any, Callable[[Any, Any], Any]]]:
    yield f"max({one}, {other})", np.maximum(a, b), lambda x, y: z3.If(x >= y, x, y)
    yield f"min({one}, {other})", np.minimum(a, b), lambda x, y: z3.If(x <= y, x, y)
    yield f"({one} == {other})", a == b, lambda x, y: z3.If(x == y, 1, 0)
    yield f"({one} != {other})", a != b, lambda x, y: z3.If(x != y, 1, 0)
    yield f"({one} < {other})", a < b, lambda x, y: z3.If(x < y, 1, 0)
    yield f"({one} > {other})", a > b, lambda x, y: z3.If(x > y, 1, 0)

"""Formulas for a wanted column of bits over rows of bits; rows that were never seen may give anything.

Candidates: the shortest formula of up to four variables (`truth_tables`), functions of the sum of some bits (parity,
threshold, equality, interval), a minimised disjunction of conjunctions, a sum modulo 2 of products (the algebraic
normal form), and complements. The shortest one is taken. (MIPS, section on Boolean regression.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.truth_tables import MOST_VARIABLES, truth_tables

Rows = Int[np.ndarray[Any, Any], "row variable"]
Column = Int[np.ndarray[Any, Any], " row"]
Literals = tuple[tuple[int, int], ...]  # (variable, its value)

WIDEST = 12  # variables
SUBSETS = 400  # choices of variables tried
ORDERS = 4  # orders in which literals are dropped


def boolean(rows: Rows, names: Sequence[str], wanted: Column) -> Expression | None:
    """The shortest of the candidates; None where rows or wanted values are no bits, or the variables too many.

    The rows must not contradict each other.
    """
    if not rows.size or rows.shape[1] > WIDEST or not (_bits(rows) and _bits(wanted)):
        return None
    candidates: list[Expression] = []
    subsets = list(_deciding(rows, wanted))
    for chosen in subsets:
        if len(chosen) <= MOST_VARIABLES:
            candidates.append(_tabled(rows[:, chosen], [names[v] for v in chosen], wanted))
        candidates += symmetric(rows[:, chosen], [names[v] for v in chosen], wanted)
    chosen = _eliminated(rows, wanted)
    some, called = rows[:, chosen], [names[v] for v in chosen]
    candidates += symmetric(some, called, wanted)
    if len(chosen) > MOST_VARIABLES:
        candidates.append(disjunction(some, called, wanted))
        candidates.append(("-", ("const", 1), disjunction(some, called, 1 - wanted)))
        sum_of_products = algebraic(some, called, wanted)
        candidates += [] if sum_of_products is None else [sum_of_products]
    return min(candidates, key=size)


def _bits(numbers: Int[np.ndarray[Any, Any], "*number"]) -> bool:
    return bool(((numbers == 0) | (numbers == 1)).all())


def _decides(rows: Rows, wanted: Column, chosen: Sequence[int]) -> bool:
    """Whether the chosen variables alone tell the wanted value."""
    codes = rows[:, list(chosen)] @ (1 << np.arange(len(chosen), dtype=np.int64))
    high, low = np.zeros(1 << len(chosen), dtype=bool), np.zeros(1 << len(chosen), dtype=bool)
    high[codes[wanted == 1]] = True
    low[codes[wanted == 0]] = True
    return not (high & low).any()


def _deciding(rows: Rows, wanted: Column) -> Iterator[tuple[int, ...]]:
    """Small sets of variables that tell the wanted value, the smallest first."""
    left = SUBSETS
    for count in range(min(MOST_VARIABLES, rows.shape[1]) + 1):
        for chosen in combinations(range(rows.shape[1]), count):
            left -= 1
            if left >= 0 and _decides(rows, wanted, chosen):
                yield chosen


def _eliminated(rows: Rows, wanted: Column) -> tuple[int, ...]:
    """Variables of which none can be left out."""
    kept = tuple(range(rows.shape[1]))
    for variable in reversed(kept):
        fewer = tuple(v for v in kept if v != variable)
        if _decides(rows, wanted, fewer):
            kept = fewer
    return kept


def _tabled(rows: Rows, names: Sequence[str], wanted: Column) -> Expression:
    table = truth_tables(len(names))
    codes = rows @ (1 << np.arange(len(names) - 1, -1, -1, dtype=np.int64))
    ones = sum(1 << int(c) for c in np.unique(codes[wanted == 1]))
    return _named(table.shortest(ones, ones | sum(1 << int(c) for c in np.unique(codes[wanted == 0]))), names)


def _named(expression: Expression, names: Sequence[str]) -> Expression:
    if expression[0] == "var":
        return ("var", names[expression[1]])
    return tuple(_named(part, names) if isinstance(part, tuple) else part for part in expression)


def symmetric(rows: Rows, names: Sequence[str], wanted: Column) -> Iterator[Expression]:
    """Formulas of the sum of all the bits, where it decides."""
    if len(names) < 2:
        return
    total = rows.sum(axis=1)
    ones, zeros = set(total[wanted == 1].tolist()), set(total[wanted == 0].tolist())
    if ones & zeros or not ones or not zeros:
        return
    bits: Expression = ("var", names[0])
    exclusive = bits
    for name in names[1:]:
        bits, exclusive = ("+", bits, ("var", name)), ("^", exclusive, ("var", name))
    for modulus in range(2, len(names) + 2):
        formula = exclusive if modulus == 2 else ("%", bits, ("const", modulus))
        value = np.arange(len(names) + 1) % modulus
        if _says(value, ones, zeros):
            yield formula
        if _says(1 - value, ones, zeros):
            yield ("-", ("const", 1), formula)
        for rest in range(modulus):
            if _says((value == rest).astype(np.int64), ones, zeros):
                yield ("==", formula, ("const", rest))
            if _says((value != rest).astype(np.int64), ones, zeros):
                yield ("!=", formula, ("const", rest))
        shares = np.arange(len(names) + 1) // modulus
        if _says(shares, ones, zeros):
            yield ("//", bits, ("const", modulus))
        for share in range(len(names) // modulus + 1):
            if _says((shares == share).astype(np.int64), ones, zeros):
                yield ("==", ("//", bits, ("const", modulus)), ("const", share))
    yield from _of_sum(bits, ones, zeros)


def _of_sum(bits: Expression, ones: set[int], zeros: set[int]) -> Iterator[Expression]:
    """Comparisons of the sum."""
    if min(ones) > max(zeros):
        yield ("<", ("const", max(zeros)), bits)
    if max(ones) < min(zeros):
        yield ("<", bits, ("const", min(zeros)))
    for symbol, values in (("==", ones), ("!=", zeros)):
        tests: list[Expression] = [(symbol, bits, ("const", value)) for value in sorted(values)]
        joined = tests[0]
        for test in tests[1:]:
            joined = ("|" if symbol == "==" else "&", joined, test)
        yield joined


def _says(value: Column, ones: set[int], zeros: set[int]) -> bool:
    return all(value[total] == 1 for total in ones) and all(value[total] == 0 for total in zeros)


def disjunction(rows: Rows, names: Sequence[str], wanted: Column) -> Expression:
    """A disjunction of conjunctions that covers every row that wants 1 and no row that wants 0, by expanding each row
    that is not yet covered to a prime implicant and dropping what the others cover."""
    if not (wanted == 1).any():
        return ("const", 0)
    if (wanted == 1).all():
        return ("const", 1)
    ones, zeros = rows[wanted == 1], rows[wanted == 0]
    rng = np.random.default_rng(3)
    count = rows.shape[1]
    orders = [np.arange(count), np.arange(count)[::-1], *(rng.permutation(count) for _ in range(ORDERS - 2))]
    primes = {_expanded(row, zeros, order) for row in ones for order in orders}
    best: Expression | None = None
    for weight in (0, 1):  # the most rows first, or the most rows for its length
        formula = _joined_terms(_cover(ones, sorted(primes), weight), names)
        if best is None or size(formula) < size(best):
            best = formula
    assert best is not None
    return best


def _expanded(row: Column, zeros: Rows, order: Column) -> Literals:
    """The row's literals, without those that can be dropped before a 0 is covered."""
    kept = np.ones(len(row), dtype=bool)
    for variable in order:
        kept[variable] = False
        if (zeros[:, kept] == row[kept]).all(axis=1).any():
            kept[variable] = True
    return tuple((int(v), int(row[v])) for v in np.flatnonzero(kept))


def _cover(ones: Rows, primes: Sequence[Literals], weight: int) -> list[Literals]:
    covers: Bool[np.ndarray[Any, Any], "prime row"] = np.stack(
        [np.all([ones[:, v] == value for v, value in prime], axis=0) for prime in primes]
    )
    lengths = np.array([sum(2 if value else 4 for _, value in prime) for prime in primes])
    left = np.ones(len(ones), dtype=bool)
    chosen: list[int] = []
    while left.any():
        gain = (covers & left).sum(axis=1)
        chosen.append(int(np.lexsort((lengths, -gain / lengths**weight))[0]))
        left &= ~covers[chosen[-1]]
    for one in list(chosen):  # what the others cover together is dropped
        others = [c for c in chosen if c != one]
        if others and covers[others].any(axis=0).all():
            chosen = others
    return [primes[c] for c in chosen]


def _joined_terms(terms: Sequence[Literals], names: Sequence[str]) -> Expression:
    written: Expression | None = None
    for term in sorted(terms, key=lambda t: (len(t), t)):
        product: Expression | None = None
        for variable, value in sorted(term, key=lambda literal: (1 - literal[1], literal[0])):
            literal: Expression = ("var", names[variable])
            literal = literal if value else ("-", ("const", 1), literal)
            product = literal if product is None else ("&", product, literal)
        assert product is not None
        written = product if written is None else ("|", written, product)
    assert written is not None
    return written


def algebraic(rows: Rows, names: Sequence[str], wanted: Column) -> Expression | None:
    """The exclusive or of products of variables, by the Möbius transform; None unless every row was seen."""
    count = rows.shape[1]
    codes = rows @ (1 << np.arange(count, dtype=np.int64))
    if len(np.unique(codes)) < 1 << count:
        return None
    value = np.zeros(1 << count, dtype=np.int64)
    value[codes] = wanted
    for v in range(count):
        cube = value.reshape(-1, 2, 1 << v)
        cube[:, 1] ^= cube[:, 0]
    terms = sorted(np.flatnonzero(value).tolist(), key=lambda code: (code.bit_count(), code))
    written: Expression | None = None
    for code in (c for c in terms if c):
        product: Expression | None = None
        for v in (v for v in range(count) if code >> v & 1):
            product = ("var", names[v]) if product is None else ("&", product, ("var", names[v]))
        assert product is not None
        written = product if written is None else ("^", written, product)
    if written is None:
        return ("const", int(value[0]))
    return ("-", ("const", 1), written) if value[0] else written

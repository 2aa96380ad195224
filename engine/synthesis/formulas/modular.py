"""Linear formulas modulo a number: `(x + a + b + c) % 7`, by elimination over the integers modulo m.

m need not be prime: a column is cleared by Euclid's algorithm on its entries (Howell 1986), and what is left is solved
from the last variable to the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.tidy import combination

Rows = Int[np.ndarray[Any, Any], "row variable"]
Column = Int[np.ndarray[Any, Any], " row"]

ELIMINATED = 128  # rows that are solved; all are checked
LARGEST_MODULUS = 1_000
MODULI = 12


def modular(rows: Rows, names: Sequence[str], wanted: Column, moduli: Sequence[int]) -> Expression | None:
    """The shortest `(sum of multiples of variables) % m` that was found, m above every wanted value."""
    if (wanted < 0).any():
        return None
    largest = int(wanted.max())
    tried = sorted({largest + 1, *(m for m in moduli if largest < m <= LARGEST_MODULUS)})[:MODULI]
    best: Expression | None = None
    for m in tried:
        solved = _solved(rows, wanted, m)
        if solved is None or ((rows @ solved[:-1] + solved[-1]) % m != wanted).any():
            continue
        centred = np.where(solved > m // 2, solved - m, solved)
        for coefficients in (centred, solved):
            variables: list[Expression] = [("var", name) for name in names]
            inside = combination(variables, coefficients[:-1].tolist(), int(coefficients[-1]))
            formula: Expression = ("%", inside, ("const", m))
            if best is None or size(formula) < size(best):
                best = formula
    return best


def _solved(rows: Rows, wanted: Column, m: int) -> Int[np.ndarray[Any, Any], " coefficient"] | None:
    """Coefficients modulo m (the constant last) that are right on some rows, or None."""
    some = np.linspace(0, len(rows) - 1, min(ELIMINATED, len(rows))).astype(np.int64)
    system = np.concatenate([rows[some], np.ones((len(some), 1), dtype=np.int64), wanted[some, None]], axis=1) % m
    count = rows.shape[1] + 1
    pivots: list[tuple[int, int]] = []  # (row, column)
    for column in range(count):
        top = len(pivots)
        if top >= len(system):
            break
        while True:
            entries = system[top:, column]
            filled = np.flatnonzero(entries)
            if not len(filled):
                break
            least = top + int(filled[np.argmin(entries[filled])])
            system[[top, least]] = system[[least, top]]
            if len(filled) == 1:
                pivots.append((top, column))
                break
            times = system[top + 1 :, column] // system[top, column]
            system[top + 1 :] = (system[top + 1 :] - times[:, None] * system[top]) % m
    solution = np.zeros(count, dtype=np.int64)
    for row, column in reversed(pivots):
        pivot = int(system[row, column])
        rest = int(system[row, -1] - system[row, column + 1 : -1] @ solution[column + 1 :]) % m
        common = gcd(pivot, m)
        if rest % common:
            return None
        solution[column] = rest // common * pow(pivot // common, -1, m // common) % (m // common) if m > common else 0
    return solution

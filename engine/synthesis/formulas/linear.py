"""Linear formulas with integer coefficients: least squares on some rows, rounded, accepted if exact on all.

Where the variables depend on each other many combinations are exact; the one of few variables and small coefficients is
taken. Coefficients that are fractions of one small denominator give `(a + b) // 2`. (MIPS, section on integer
regression: ordinary least squares first.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import lcm
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.tidy import combination

Rows = Int[np.ndarray[Any, Any], "row variable"]
Column = Int[np.ndarray[Any, Any], " row"]

FITTED = 512  # rows that are fitted; all are checked
FEW = 3  # variables of which all choices are tried where the variables depend on each other
TRIED = 400  # choices
LARGEST_DENOMINATOR = 12
EXACT = 1e-6


def linear(rows: Rows, names: Sequence[str], wanted: Column) -> Expression | None:
    """The shortest linear formula that was found, None where no integer combination is exact on every row."""
    some = np.linspace(0, len(rows) - 1, min(FITTED, len(rows))).astype(np.int64)
    best: Expression | None = None
    for chosen in _choices(rows[some], wanted[some]):
        formula = _fitted(rows, names, wanted, chosen, some)
        if formula is not None and (best is None or size(formula) < size(best)):
            best = formula
    return best


def _choices(rows: Rows, wanted: Column) -> Iterator[tuple[int, ...]]:
    """Sets of variables to fit: all, where that is unique; otherwise small sets, and what elimination leaves."""
    every = tuple(range(rows.shape[1]))
    if _solution(rows, wanted, every) is None:
        return
    design = np.concatenate([rows, np.ones((len(rows), 1), dtype=np.int64)], axis=1)
    if np.linalg.matrix_rank(design.astype(np.float64)) == design.shape[1]:
        yield every
        return
    left = TRIED
    for count in range(min(FEW, len(every)) + 1):
        for chosen in combinations(every, count):
            left -= 1
            if left >= 0 and _solution(rows, wanted, chosen) is not None:
                yield chosen
    for order in (every, every[::-1]):
        kept = every
        for variable in order:
            fewer = tuple(v for v in kept if v != variable)
            if _solution(rows, wanted, fewer) is not None:
                kept = fewer
        yield kept


def _solution(rows: Rows, wanted: Column, chosen: Sequence[int]) -> Float[np.ndarray[Any, Any], " coefficient"] | None:
    """Real coefficients (the constant last) of the least norm that are exact on these rows, or None."""
    design = np.concatenate([rows[:, list(chosen)], np.ones((len(rows), 1), dtype=np.int64)], axis=1)
    solved: Float[np.ndarray[Any, Any], " coefficient"] = np.linalg.lstsq(
        design.astype(np.float64), wanted, rcond=None
    )[0]
    scale = 1.0 + np.abs(design).max(initial=1) + np.abs(wanted).max(initial=1)
    return solved if np.abs(design @ solved - wanted).max(initial=0) <= EXACT * scale else None


def _fitted(
    rows: Rows, names: Sequence[str], wanted: Column, chosen: tuple[int, ...], some: Column
) -> Expression | None:
    solved = _solution(rows[some], wanted[some], chosen)
    if solved is None:
        return None
    fractions = [Fraction(float(c)).limit_denominator(LARGEST_DENOMINATOR) for c in solved]
    denominator = lcm(*(f.denominator for f in fractions))
    if denominator > LARGEST_DENOMINATOR:
        return None
    whole = [int(f * denominator) for f in fractions]
    given = rows[:, list(chosen)] @ np.array(whole[:-1], dtype=np.int64) + whole[-1]
    if (given != wanted * denominator).any():
        return None
    formula = combination([("var", names[v]) for v in chosen], whole[:-1], whole[-1])
    return formula if denominator == 1 else ("//", formula, ("const", denominator))

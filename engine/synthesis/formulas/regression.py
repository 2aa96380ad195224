"""From a table of integers to the shortest formula that gives a wanted column on every row: the one front door.

Several ways are tried and the shortest formula wins: a constant, a linear combination, Boolean formulas, enumeration of
all small expressions, and conditionals of these. What they cost is counted in numbers computed, not in seconds, so the
same table always gives the same formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.boolean import boolean
from engine.synthesis.formulas.enumeration import Budget, enumerate_formulas
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.linear import linear
from engine.synthesis.formulas.table import Column, Columns, Rows, Table, contradicts

__all__ = ["Budget", "Found", "contradicts", "regress", "regress_all"]

STANDARD = Budget()
MOST_CONSTANT = 1_000  # of the constants that are taken from the data


class Found(NamedTuple):
    """A formula that holds on every row, its description length, how it was found, after how many were looked at."""

    expression: Expression
    size: int
    method: str
    tried: int


def regress(
    rows: Rows,
    names: Sequence[str],
    wanted: Int[np.ndarray[Any, Any], " row"],
    *,
    budget: Budget = STANDARD,
    constants: Sequence[int] | None = None,
) -> Found | None:
    """The shortest formula found; None where there is none within the budget or the rows contradict each other.

    `rows` (row, variable) may repeat; `constants` are those a formula may have (from the data, where None), but linear
    coefficients are free.
    """
    return regress_all(rows, names, wanted[None], budget=budget, constants=constants)[0]


def regress_all(
    rows: Rows,
    names: Sequence[str],
    wanted: Columns,
    *,
    budget: Budget = STANDARD,
    constants: Sequence[int] | None = None,
) -> list[Found | None]:
    """The same for several wanted columns (column, row), which share what is enumerated."""
    rows, wanted = np.asarray(rows, dtype=np.int64), np.asarray(wanted, dtype=np.int64)
    if not len(rows):
        return [None] * len(wanted)
    table = Table.of(rows, names, wanted)
    found: list[Found | None] = [None if y is None else _direct(table, y) for y in table.wanted]
    allowed = tuple(constants) if constants is not None else _constants(table)
    for k, better in enumerate_formulas(table, allowed, [None if f is None else f.size for f in found], budget).items():
        now = found[k]
        if now is None or size(better.expression) < now.size:
            found[k] = Found(better.expression, size(better.expression), better.method, better.tried)
    for one, y in zip(found, table.wanted, strict=True):
        assert one is None or (y is not None and table.holds(one.expression, y))
    return found


def _direct(table: Table, wanted: Column) -> Found | None:
    """What needs no enumeration."""
    if (wanted == wanted[0]).all():
        return Found(("const", int(wanted[0])), 1, "constant", 1)
    candidates = [
        Found(formula, size(formula), method, 1)
        for method, formula in (
            ("linear", linear(table.rows, table.names, wanted)),
            ("boolean", boolean(table.rows, table.names, wanted)),
        )
        if formula is not None and table.holds(formula, wanted)
    ]
    return min(candidates, key=lambda one: one.size, default=None)


def _constants(table: Table) -> tuple[int, ...]:
    """0, 1, 2, the ends of what is read and wanted, and the numbers of values."""
    ends: set[int] = set()
    for column in (*table.rows.T, *(y for y in table.wanted if y is not None)):
        low, high = int(column.min()), int(column.max())
        ends |= {low, high, high + 1, high - low + 1}
    return tuple(sorted({0, 1, 2} | {abs(v) for v in ends if abs(v) <= MOST_CONSTANT}))

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
from engine.synthesis.formulas.composition import compose
from engine.synthesis.formulas.enumeration import Budget, enumerated
from engine.synthesis.formulas.expressions import Expression, size, written
from engine.synthesis.formulas.linear import linear
from engine.synthesis.formulas.modular import modular
from engine.synthesis.formulas.table import Column, Columns, Rows, Table, contradicts
from engine.synthesis.formulas.tidy import tidied
from sessions.errors import IwbError

__all__ = ["STANDARD", "Budget", "Found", "contradicts", "regress", "regress_all"]

STANDARD = Budget()
SHORT = 7  # all formulas up to this size are compared, whatever else was found
LONG = 9  # a longer formula is compared with what conditions give, and with larger ones
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
    allowed = tuple(constants) if constants is not None else _constants(table)
    found: list[Found | None] = [None if y is None else _direct(table, y, allowed) for y in table.wanted]
    _enumerate(table, allowed, found, budget._replace(largest=min(SHORT, budget.largest)), found_is_enough=False)
    for nested in (False, True):
        for k, y in enumerate(table.wanted):
            now = found[k]
            if y is not None and (now is None or (not nested and _is_long(now))):
                for one in compose(table._replace(wanted=(y,)), allowed, budget, nested=nested):
                    found[k] = _shorter(found[k], _found(one.expression, one.method, one.tried))
        if not nested:
            _enumerate(table, allowed, found, budget, found_is_enough=True)
    held = [None if one is None else _in_order(one, table, y) for one, y in zip(found, table.wanted, strict=True)]
    return [one if one is not None and one.size <= budget.longest else None for one in held]


def _is_long(found: Found) -> bool:
    return found.size > LONG and found.method not in ("linear", "modular")


def _enumerate(
    table: Table, constants: Sequence[int], found: list[Found | None], budget: Budget, *, found_is_enough: bool
) -> None:
    """Put shorter formulas into `found`; with `found_is_enough`, only for what has none or a long one."""
    known = [None if f is None else f.size for f in found]
    if found_is_enough:
        known = [0 if f is not None and not _is_long(f) else size for f, size in zip(found, known, strict=True)]
    if not any(length != 0 and y is not None for length, y in zip(known, table.wanted, strict=True)):
        return
    for k, better in enumerated(table, constants, known, budget).items():
        found[k] = _shorter(found[k], _found(better.expression, "enumeration", better.tried))


def _found(expression: Expression, method: str, tried: int = 1) -> Found:
    return Found(expression, size(expression), method, tried)


def _shorter(one: Found | None, other: Found) -> Found:
    return other if one is None or other.size < one.size else one


def _in_order(found: Found, table: Table, wanted: Column | None) -> Found:
    """As a person writes it, and checked once more on every row."""
    expression = tidied(found.expression, table.names)
    if wanted is None or not table.holds(expression, wanted):
        raise IwbError(f"{written(expression)} was accepted and does not hold", "synthesis")
    return found._replace(expression=expression, size=size(expression))


def _direct(table: Table, wanted: Column, constants: Sequence[int]) -> Found | None:
    """What needs no enumeration."""
    if (wanted == wanted[0]).all():
        return Found(("const", int(wanted[0])), 1, "constant", 1)
    rows, names = table.rows, table.names
    candidates = [
        _found(formula, method)
        for method, formula in (
            ("linear", linear(rows, names, wanted)),
            ("boolean", boolean(rows, names, wanted)),
            ("modular", modular(rows, names, wanted, constants)),
        )
        if formula is not None and table.holds(formula, wanted)
    ]
    return min(candidates, key=lambda one: one.size, default=None)


def _constants(table: Table) -> tuple[int, ...]:
    """0, 1, 2, the ends of what is read and wanted, and the numbers of values."""
    ends: set[int] = set()
    wanted = [y for y in table.wanted if y is not None]
    for column in (*table.rows.T, *wanted):
        low, high = int(column.min()), int(column.max())
        ends |= {low, high, high + 1, high - low + 1}
    constants = {0, 1, 2} | {abs(v) for v in ends if abs(v) <= MOST_CONSTANT}
    least = min((int(y.min()) for y in wanted), default=0)
    negative = {-1, least} if -MOST_CONSTANT <= least < 0 else set()
    return tuple(sorted(constants | negative, key=lambda v: (abs(v), -v)))

"""`2 if max(a, b) < c else 1 if a < b else 0`: few wanted values, told apart one after the other (Rivest 1987).

At each step a value is split off by the shortest comparison that holds on exactly its rows among those that are left.
The last rows are given by a plain expression where there is a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.expressions import COMPARISONS, OPERATORS, TRUTH, Expression, size
from engine.synthesis.formulas.outermost import Outermost
from engine.synthesis.formulas.tidy import tidied

Column = Int[np.ndarray[Any, Any], " row"]
Mask = Bool[np.ndarray[Any, Any], " row"]

MOST_VALUES = 8
LARGEST = 14  # description length of a guard
LARGEST_PLAIN = 9
QUESTIONS = tuple(symbol for symbol in OPERATORS if symbol in COMPARISONS)


def decision_list(banks: Sequence[Bank], wanted: Column, *, work: int) -> Expression | None:
    """The list for a wanted column over the banks' rows; None where some value is split off by no comparison.

    `work` is the number of pairs of expressions that may be compared.
    """
    left = np.ones(len(wanted), dtype=bool)
    if not 2 <= len(np.unique(wanted)) <= MOST_VALUES or np.isin(wanted, (0, 1)).all():
        return None  # bits are comparisons themselves
    steps: list[tuple[Expression, int]] = []
    while True:
        values = np.unique(wanted[left])
        split = _split(banks, wanted, left, values, work) if len(values) > 1 else None
        shortest = None if split is None else size(("if", split[0], ("const", 0), ("const", 0)))
        last = _plain(banks, wanted, left, shortest) if len(values) <= 2 else None
        if last is not None:
            break
        if split is None:
            return None
        guard, value, spent = split
        work -= spent
        steps.append((guard, value))
        left &= wanted != value
    formula = last
    for guard, value in reversed(steps):
        formula = ("if", guard, ("const", value), formula)
    return formula


def _plain(banks: Sequence[Bank], wanted: Column, left: Mask, shortest: int | None) -> Expression | None:
    """What gives the remaining rows and is shorter than asking for one of two values, which is of size `shortest`."""
    values = np.unique(wanted[left])
    if len(values) == 1:
        return ("const", int(values[0]))
    candidates = []
    for bank in banks:
        outermost = Outermost(bank, wanted, left)
        for total in range(3, LARGEST_PLAIN + 1 if shortest is None else shortest):
            found = next(outermost.of_size(total), None)
            if found is not None:
                candidates.append(tidied(found, bank.names))
                break
    return min(candidates, key=size, default=None)


def _split(
    banks: Sequence[Bank], wanted: Column, left: Mask, values: Column, work: int
) -> tuple[Expression, int, int] | None:
    """The shortest comparison that holds on exactly the remaining rows of one value; the value, the pairs compared.

    The banks are searched one after the other, each with its share of the work.
    """
    best: tuple[int, Expression, int] | None = None
    spent = 0
    for bank in banks:
        # The largest value first: what is left is small numbers. Of two values one is enough: guards have opposites.
        asked = values[::-1] if len(values) > 2 else values[1:]
        searches = {int(v): Outermost(bank, (wanted == v).astype(np.int64), left) for v in asked}
        for total in range(TRUTH + 2, LARGEST + 1 if best is None else best[0]):
            found = _first(searches, total, bank)
            if found is not None:
                best = (total, *found)
                break
            if sum(search.work for search in searches.values()) > work // len(banks):
                break
        spent += sum(search.work for search in searches.values())
    return None if best is None else (best[1], best[2], spent)


def _first(searches: dict[int, Outermost], total: int, bank: Bank) -> tuple[Expression, int] | None:
    """A comparison of that size, and the value that it splits off."""
    for value, search in searches.items():
        found = next(search.of_size(total, QUESTIONS), None)
        if found is not None:
            return tidied(found, bank.names), value
    return None

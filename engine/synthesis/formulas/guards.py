"""Conditions on the rows of a table: what an `if` may ask, and what `&` and `|` may join."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from engine.synthesis.formulas.bank import Bank
from engine.synthesis.formulas.expressions import BITWISE, COMPARISONS, TRUTH, Expression

Masks = Bool[np.ndarray[Any, Any], "guard row"]
Mask = Bool[np.ndarray[Any, Any], " row"]
Column = Int[np.ndarray[Any, Any], " row"]

THRESHOLDS = 48  # values of a variable that it is compared with, whatever the bank's constants are
_OPPOSITE = {"==": "!=", "!=": "=="}


class Guards(NamedTuple):
    """Conditions that hold on some rows and not on others, short ones first."""

    masks: Masks
    expressions: tuple[Expression, ...]

    @classmethod
    def of(cls, bank: Bank, largest: int, most: int) -> Guards:
        """Comparisons of expressions of a bank, up to that size, and its bits (`x`, `x % 2`, `x & k`).

        Each set of rows is there once, under its shortest condition or that of its complement: the two sides of an
        `if` may be exchanged, and a comparison has an `opposite`.
        """
        found: dict[bytes, tuple[Mask, Expression]] = {}
        for total in range(1, largest + 1):
            for mask, expression in _of_size(bank, total):
                key = (mask ^ mask[0]).tobytes()
                if key not in found and mask.any() and not mask.all():
                    found[key] = (mask, expression)
                    if len(found) == most:
                        break
            if len(found) == most:
                break
        masks = [mask for mask, _ in found.values()]
        stacked = np.stack(masks) if masks else np.zeros((0, bank.count), dtype=bool)
        return cls(stacked, tuple(expression for _, expression in found.values()))

    def some(self, numbers: Sequence[int]) -> Guards:
        return Guards(self.masks[list(numbers)], tuple(self.expressions[k] for k in numbers))


def _of_size(bank: Bank, total: int) -> Iterator[tuple[Mask, Expression]]:
    """The bank itself has no use for conditions: as a number, `k < 0` may be written shorter than as a comparison."""
    if total in bank.levels:
        columns = bank.levels[total].columns
        for k in np.flatnonzero(((columns == 0) | (columns == 1)).all(axis=1)):
            expression = bank.expression(total, int(k))
            if expression[0] in ("var", "%", *BITWISE):
                yield columns[k] == 1, expression
    for left_size in range(1, total - TRUTH):
        right_size = total - TRUTH - left_size
        if left_size not in bank.levels or right_size not in bank.levels:
            continue
        right = bank.levels[right_size].columns
        for i, left in enumerate(bank.levels[left_size].columns):
            less, same = left < right, left == right
            for j in range(len(right)):
                yield less[j], ("<", bank.expression(left_size, i), bank.expression(right_size, j))
                if left_size >= right_size:
                    yield same[j], ("==", bank.expression(left_size, i), bank.expression(right_size, j))
    for name, column in bank.variables() if total == TRUTH + 2 else ():
        values = np.unique(column)
        for value in values.tolist() if len(values) <= THRESHOLDS else ():
            yield column < value, ("<", ("var", name), ("const", value))
            yield column == value, ("==", ("var", name), ("const", value))


def opposite(condition: Expression) -> Expression:
    """The condition that holds where this one does not, for a comparison or a bit."""
    match condition:
        case ("<", left, right):
            return ("<=", right, left)
        case ("<=", left, right):
            return ("<", right, left)
        case ("^", left, right):  # of bits
            return ("==", left, right)
        case (symbol, left, right) if symbol in COMPARISONS:
            return (_OPPOSITE[symbol], left, right)
    return ("-", ("const", 1), condition)

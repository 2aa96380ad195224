"""Arithmetic on numpy columns and ints, for `turns.turn`: one number per run.

Numbers stay below 2^31, so that no product of two overflows; a larger one is refused, never wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.synthesis.checks.transitions import NotCoveredError
from engine.synthesis.programs.evaluator import BIGGEST

Value = Any  # an int or a column

_COMPARISONS: dict[str, Callable[[Value, Value], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_BITS: dict[str, Callable[[Value, Value], Any]] = {"&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor}


class TooLargeError(NotCoveredError):
    """A number of 2^31 or more."""


def _checked(value: Value) -> Value:
    if np.max(np.abs(value), initial=0) >= BIGGEST:
        raise TooLargeError("its numbers become too large")
    return value


def _divisor(value: Value) -> Value:
    """A variable divisor is required to be positive; where the run never comes, it may be anything."""
    return value if isinstance(value, int) else np.where(value > 0, value, 1)


class Numbers:
    def summed(self, left: Value, right: Value) -> Value:
        return _checked(left + right)

    def subtracted(self, left: Value, right: Value) -> Value:
        return _checked(left - right)

    def multiplied(self, left: Value, right: Value) -> Value:
        return _checked(left * right)

    def divided(self, left: Value, right: Value) -> Value:
        return left // _divisor(right)

    def remainder(self, left: Value, right: Value) -> Value:
        return left % _divisor(right)

    def bits(self, symbol: str, left: Value, right: Value, reached: Sequence[Any]) -> Value:
        return _BITS[symbol](left, right)

    def compare(self, symbol: str, left: Value, right: Value) -> Any:
        return _COMPARISONS[symbol](left, right)

    def either(self, condition: Any, then: Value, otherwise: Value) -> Value:
        return np.where(condition, then, otherwise)

    def truth(self, value: Value) -> Any:
        return np.not_equal(value, 0)

    def both(self, left: Any, right: Any) -> Any:
        return np.logical_and(left, right)

    def negated(self, condition: Any) -> Any:
        return np.logical_not(condition)

    def require(self, condition: Any, reached: Sequence[Any]) -> None:
        missed = np.logical_not(condition)
        for one in reached:
            missed = np.logical_and(missed, one)
        if np.any(missed):
            raise NotCoveredError("a table has no entry for some key, or a divisor is not positive")

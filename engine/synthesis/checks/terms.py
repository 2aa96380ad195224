"""The arithmetic of z3's integers with Python's meaning, for `turns.turn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3

Term = Any  # an int or a z3 term


class Terms:
    """Terms as they are built. `required` gathers what must hold for them to mean what Python means.

    `width`: operands of & | ^ are numbers of so many bits; with 1 they are truth values, which is easiest to solve.
    """

    def __init__(self, width: int = 1) -> None:
        self.width = width
        self.required: list[Any] = []

    def summed(self, left: Term, right: Term) -> Term:
        return left + right

    def subtracted(self, left: Term, right: Term) -> Term:
        return left - right

    def multiplied(self, left: Term, right: Term) -> Term:
        return left * right

    def divided(self, left: Term, right: Term) -> Term:
        # z3 rounds so that the remainder is never negative: for positive divisors (a variable one is required to be
        # that) as Python does.
        if isinstance(right, int):
            if isinstance(left, int):
                return left // right
            return left / right if right > 0 else (-left) / (-right)
        return left / right

    def remainder(self, left: Term, right: Term) -> Term:
        if isinstance(right, int):
            if isinstance(left, int):
                return left % right
            return left % right if right > 0 else -((-left) % (-right))
        return left % right

    def bits(self, symbol: str, left: Term, right: Term, reached: Sequence[Any]) -> Term:
        if isinstance(left, int) and isinstance(right, int):
            return {"&": left & right, "|": left | right, "^": left ^ right}[symbol]
        for operand in (left, right):
            self.require(self.both(self.compare(">=", operand, 0), self.compare("<", operand, 2**self.width)), reached)
        if self.width == 1:
            one, other = self.compare("==", left, 1), self.compare("==", right, 1)
            return z3.If(self._joined(symbol, one, other), 1, 0)
        total: Term = 0
        for place in range(self.width):
            one, other = (self._bit(operand, place) for operand in (left, right))
            total = total + z3.If(self._joined(symbol, one, other), 2**place, 0)
        return total

    def _bit(self, value: Term, place: int) -> Any:
        if isinstance(value, int):
            return z3.BoolVal(bool(value >> place & 1))
        return (value / 2**place) % 2 == 1

    def _joined(self, symbol: str, one: Any, other: Any) -> Any:
        return {"&": z3.And, "|": z3.Or, "^": z3.Xor}[symbol](one, other)

    def compare(self, symbol: str, left: Term, right: Term) -> Any:
        compared = {
            "==": lambda: left == right,
            "!=": lambda: left != right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
            ">": lambda: left > right,
            ">=": lambda: left >= right,
        }
        found = compared[symbol]()
        return z3.BoolVal(found) if isinstance(found, bool) else found

    def either(self, condition: Any, then: Term, otherwise: Term) -> Term:
        simple = z3.simplify(condition)
        if z3.is_true(simple):
            return then
        if z3.is_false(simple):
            return otherwise
        return z3.If(condition, then, otherwise)

    def truth(self, value: Term) -> Any:
        if isinstance(value, int):
            return z3.BoolVal(value != 0)
        # `1 if condition else 0` asked for its truth is the condition.
        if z3.is_app_of(value, z3.Z3_OP_ITE) and z3.is_int_value(value.arg(1)) and z3.is_int_value(value.arg(2)):
            then, otherwise = value.arg(1).as_long() != 0, value.arg(2).as_long() != 0
            if then and not otherwise:
                return value.arg(0)
        return value != 0

    def both(self, left: Any, right: Any) -> Any:
        return z3.And(left, right)

    def negated(self, condition: Any) -> Any:
        return z3.Not(condition)

    def require(self, condition: Any, reached: Sequence[Any]) -> None:
        self.required.append(z3.Implies(z3.And(*reached), condition) if reached else condition)

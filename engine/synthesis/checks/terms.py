"""The arithmetic of z3's integers with Python's meaning, for `transitions.turn`."""

from __future__ import annotations

from typing import Any

import z3

from engine.synthesis.checks.transitions import NotCoveredError

WIDEST = 8  # bits of the operands of & | ^; that they fit is required

Term = Any  # an int or a z3 term


class Terms:
    """Terms as they are built. `required` gathers what must hold for them to mean what Python means.

    `width`: operands of & | ^ are numbers of so many bits; with 1 they are truth values, which is easiest to solve.
    """

    def __init__(self, width: int = 1) -> None:
        self.width = width
        self.required: list[Any] = []

    def divided(self, left: Term, right: int) -> Term:
        if isinstance(left, int):
            return left // right
        # z3 rounds so that the remainder is never negative: for positive divisors as Python does.
        return left / right if right > 0 else (-left) / (-right)

    def remainder(self, left: Term, right: int) -> Term:
        if isinstance(left, int):
            return left % right
        return left % right if right > 0 else -((-left) % (-right))

    def bits(self, symbol: str, left: Term, right: Term) -> Term:
        if isinstance(left, int) and isinstance(right, int):
            return {"&": left & right, "|": left | right, "^": left ^ right}[symbol]
        if self.width > WIDEST:
            raise NotCoveredError(f"it uses {symbol} on numbers of more than {WIDEST} bits")
        for operand in (left, right):
            self.required.append(z3.And(operand >= 0, operand < 2**self.width))
        if self.width == 1:
            one, other = left == 1, right == 1
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
        if isinstance(then, tuple) or isinstance(otherwise, tuple):
            return tuple(self.either(condition, a, b) for a, b in zip(then, otherwise, strict=True))
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

    def require(self, condition: Any) -> None:
        self.required.append(condition)

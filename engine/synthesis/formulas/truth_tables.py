"""The shortest formula for every Boolean function of up to four variables, by growing all truth tables together.

A function of k variables is a number of 2^k bits. Functions are found in order of the size of their shortest formula
from variables, 0, 1, `&`, `|`, `^` and `1 - f`; the last step may also be a comparison of two of them. Rows that were
never seen are free: of all functions that agree on the seen ones the shortest is taken.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.expressions import TRUTH, Expression, size

MOST_VARIABLES = 4
_UNKNOWN = 10**6
_JOINED = {"^": np.bitwise_xor, "&": np.bitwise_and, "|": np.bitwise_or}
_MADE = ("leaf", "-", *_JOINED)  # in order of preference: `1 - x`, not `x ^ 1`
_CHUNK = 1_000_000
_COMPARED_WITH = 300  # functions of four variables that are compared with all others

Codes = Int[np.ndarray[Any, Any], " function"]


class TruthTables:
    """All functions of `variables` variables. Bit r of a function is its value on row r, whose bit v (counted from the
    most significant variable) is variable v's value."""

    def __init__(self, variables: int) -> None:
        self.variables, self.rows = variables, 2**variables
        self.full = (1 << self.rows) - 1
        self.length = np.full(self.full + 1, _UNKNOWN, dtype=np.int64)
        self.how = np.zeros((self.full + 1, 3), dtype=np.int64)  # number in _MADE, the two parts
        self._of: dict[int, Codes] = {1: np.array([self._leaf(v) for v in range(variables)] + [0, self.full])}
        self.length[self._of[1]] = 1
        self.how[self._of[1], 1] = np.arange(variables + 2)
        while (self.length == _UNKNOWN).any():
            self._grow(max(self._of) + 1)

    def _leaf(self, variable: int) -> int:
        return sum(1 << row for row in range(self.rows) if row >> (self.variables - 1 - variable) & 1)

    def _grow(self, length: int) -> None:
        """Every function whose shortest formula has that size."""
        new: list[Codes] = []
        inner = self._of.get(length - 2, np.empty(0, dtype=np.int64))
        for number, symbol in enumerate(_MADE):
            if symbol == "-":
                new += self._keep(length, number, inner ^ self.full, inner, inner)
            for left_size in range(length - 2, (length - 2) // 2, -1) if symbol in _JOINED else ():
                left, right = self._of.get(left_size, inner[:0]), self._of.get(length - 1 - left_size, inner[:0])
                for start in range(0, len(left), stride := max(1, _CHUNK // max(len(right), 1))):
                    part = left[start : start + stride]
                    made = _JOINED[symbol](part[:, None], right[None]).reshape(-1)
                    new += self._keep(length, number, made, part.repeat(len(right)), np.tile(right, len(part)))
        self._of[length] = np.concatenate(new) if new else inner[:0]

    def _keep(self, length: int, number: int, made: Codes, left: Codes, right: Codes) -> list[Codes]:
        unknown = np.flatnonzero(self.length[made] == _UNKNOWN)
        _, first = np.unique(made[unknown], return_index=True)
        at = unknown[np.sort(first)]
        self.length[made[at]] = length
        self.how[made[at], 0], self.how[made[at], 1], self.how[made[at], 2] = number, left[at], right[at]
        return [made[at]]

    def formula(self, code: int) -> Expression:
        """The shortest formula without comparisons; variables are named by their numbers."""
        number, left, right = self.how[code].tolist()
        match _MADE[number]:
            case "leaf":
                return ("var", left) if left < self.variables else ("const", left - self.variables)
            case "-":
                return ("-", ("const", 1), self.formula(left))
            case symbol:
                return (symbol, self.formula(left), self.formula(right))

    def shortest(self, ones: int, known: int) -> Expression:
        """The shortest formula that is 1 on the rows `ones` and 0 on the others of `known`."""
        every = np.arange(self.full + 1)
        agreeing = np.flatnonzero((every & known) == ones)
        plain = int(agreeing[self.length[agreeing].argmin()])
        best = self.formula(plain)
        small = np.argsort(self.length, kind="stable")
        left = small if self.variables < MOST_VARIABLES else small[:_COMPARED_WITH]
        left = left[self.length[left] + 1 + TRUTH < size(best)]
        for symbol in ("==", "<", "<="):
            for f in left.tolist():
                match symbol:
                    case "==":
                        made = ~(every ^ f) & self.full
                    case "<":
                        made = every & ~f & self.full
                    case _:
                        made = (every | ~f) & self.full
                fits = np.flatnonzero((made & known) == ones)
                if len(fits):
                    g = int(fits[self.length[fits].argmin()])
                    if self.length[f] + self.length[g] + TRUTH < size(best):
                        best = (symbol, self.formula(f), self.formula(g))
        return best


@lru_cache(maxsize=MOST_VARIABLES)
def truth_tables(variables: int) -> TruthTables:
    return TruthTables(variables)

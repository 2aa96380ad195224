"""One operator more than the bank keeps: pairs of its expressions whose combination is a wanted column.

Nothing is stored, and most pairs are dismissed after one row, so this reaches further than the bank could grow. Sums,
differences and exclusive ors are inverted: the one part is looked up by what the other leaves to be done. For the other
operators the parts that can occur at all are singled out first (both parts of a maximum are nowhere larger than it).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from engine.synthesis.formulas.bank import SYMBOLS, Bank, Columns, Hashes
from engine.synthesis.formulas.expressions import (
    BITWISE,
    COMMUTATIVE,
    COMPARISONS,
    OPERATORS,
    TRUTH,
    WEIGHTS,
    Expression,
)

Column = Int[np.ndarray[Any, Any], " row"]
Mask = Bool[np.ndarray[Any, Any], " row"]
Indices = Int[np.ndarray[Any, Any], " index"]

CHUNK = 1_000_000  # pairs looked at together
DENSE = 1 / 16  # while a larger share of the pairs is left, the next row is looked at for all of them


class Outermost:
    """The search for one wanted column, on the bank's rows or on those of `mask` only."""

    def __init__(self, bank: Bank, wanted: Column, mask: Mask | None = None) -> None:
        self.bank = bank
        self.rows = np.flatnonzero(np.ones(bank.count, dtype=bool) if mask is None else mask)
        self.wanted = wanted[self.rows].astype(np.int64)
        self.multiplier = bank.multiplier[self.rows]
        self.truth = bool(np.isin(self.wanted, (0, 1)).all())
        self.target = self._hashes(self.wanted[None])[0]
        self.probes = _telling(self.wanted)
        self.work = 0
        self._columns: dict[int, Columns] = {}
        self._sorted: dict[int, tuple[Hashes, Indices, Hashes]] = {}
        self._possible: dict[tuple[str, int, int], Indices] = {}

    def of_size(self, total: int, symbols: Sequence[str] = SYMBOLS) -> Iterator[Expression]:
        """Every expression of that size that gives the wanted column, operators in order of preference."""
        for symbol in symbols:
            if symbol == "abs" or (symbol in COMPARISONS and not self.truth):
                continue
            parts = total - (TRUTH if symbol in COMPARISONS else WEIGHTS[symbol])
            for left_size in range(parts - 1, 0, -1):
                right_size = parts - left_size
                if symbol in COMMUTATIVE and left_size < right_size:
                    continue
                if left_size in self.bank.levels and right_size in self.bank.levels:
                    for i, j in self._matches(symbol, left_size, right_size):
                        yield (
                            symbol,
                            self.bank.expression(left_size, i),
                            self.bank.expression(right_size, j),
                        )

    def _hashes(self, columns: Columns) -> Hashes:
        hashed: Hashes = np.einsum("ij,j->i", columns.astype(np.uint64), self.multiplier)
        return hashed

    def columns(self, length: int) -> Columns:
        if length not in self._columns:
            whole = self.bank.levels[length].columns
            self._columns[length] = whole if len(self.rows) == whole.shape[1] else whole[:, self.rows]
        return self._columns[length]

    def _lookup(self, length: int) -> tuple[Hashes, Indices, Hashes]:
        """The level's hashes, their order, and they in that order."""
        if length not in self._sorted:
            hashed = self._hashes(self.columns(length))
            order = np.argsort(hashed, kind="stable")
            self._sorted[length] = (hashed, order, hashed[order])
        return self._sorted[length]

    def _matches(self, symbol: str, left_size: int, right_size: int) -> Iterator[tuple[int, int]]:
        if symbol in ("+", "-", "^"):
            yield from self._inverted(symbol, left_size, right_size)
            return
        left, right = self._usable(symbol, 0, left_size), self._usable(symbol, 1, right_size)
        if not len(left) or not len(right):
            return
        a, b = self.columns(left_size), self.columns(right_size)
        stride = max(1, CHUNK // len(right))
        for start in range(0, len(left), stride):
            part = left[start : start + stride]
            for i, j in self._sifted(symbol, a, b, part, right):
                yield int(i), int(j)

    def _sifted(self, symbol: str, a: Columns, b: Columns, left: Indices, right: Indices) -> Iterator[tuple[int, int]]:
        """The pairs that agree with the wanted column on every row."""
        apply = OPERATORS[symbol]
        fits = np.ones((len(left), len(right)), dtype=bool)
        seen = 0
        for row in self.probes:
            seen += 1
            fits &= apply(a[left, row][:, None], b[right, row][None]) == self.wanted[row]
            self.work += fits.size
            if np.count_nonzero(fits) <= DENSE * fits.size:
                break
        i, j = np.nonzero(fits)
        for row in self.probes[seen:]:
            if not len(i):
                return
            good = apply(a[left[i], row], b[right[j], row]) == self.wanted[row]
            i, j = i[good], j[good]
        for start in range(0, len(i), 1000):
            one, other = left[i[start : start + 1000]], right[j[start : start + 1000]]
            for k in np.flatnonzero((apply(a[one], b[other]) == self.wanted).all(axis=1)):
                yield int(one[k]), int(other[k])

    def _inverted(self, symbol: str, left_size: int, right_size: int) -> Iterator[tuple[int, int]]:
        """Pairs of `+`, `-` and `^`: the left part that a right part needs is computed and looked up."""
        right = self.columns(right_size)
        if not len(right) or not len(self.columns(left_size)):
            return
        if symbol == "^" and not (self.truth or self.bank.wide_bits):
            return
        if symbol == "^":
            needed = self._hashes(right ^ self.wanted)
        else:
            hashed = self._lookup(right_size)[0]
            needed = self.target - hashed if symbol == "+" else self.target + hashed
        self.work += len(right)
        _, order, known = self._lookup(left_size)
        place = np.searchsorted(known, needed).clip(max=len(known) - 1)
        for j in np.flatnonzero(known[place] == needed):
            i = int(order[place[j]])
            given = OPERATORS[symbol](self.columns(left_size)[i], right[j])
            bits = symbol != "^" or self.bank.wide_bits or ((right[j] == 0) | (right[j] == 1)).all()
            if bits and (given == self.wanted).all():
                yield i, int(j)

    def _usable(self, symbol: str, side: int, length: int) -> Indices:
        """Which expressions of a level can be that part at all."""
        key = (symbol, side, length)
        if key not in self._possible:
            columns, y = self.columns(length), self.wanted
            match symbol, side:
                case "max", _:
                    can = columns <= y
                case "min", _:
                    can = columns >= y
                case "&", _:
                    can = (columns & y) == y
                case "|", _:
                    can = (columns | y) == y
                case "*", _:
                    can = np.where(columns == 0, y == 0, y % np.where(columns == 0, 1, columns) == 0)
                case "//", 0:
                    can = ((columns >= 0) == (y >= 0)) & (np.abs(columns) >= np.abs(y))
                case "//", 1:
                    can = columns > 0  # on these rows
                case "%", 1:
                    can = (columns > y) & (y >= 0)
                case _:
                    can = np.ones_like(columns, dtype=bool)
            allowed = self.bank.usable(symbol, side, columns) if symbol in BITWISE else np.arange(len(columns))
            self._possible[key] = allowed[can[allowed].all(axis=1)]
        return self._possible[key]


def _telling(wanted: Column, most: int = 24) -> Indices:
    """Rows to look at first: of every wanted value in turn, the rare ones too."""
    rng = np.random.default_rng(5)
    order = rng.permutation(len(wanted))
    turn = np.zeros(len(wanted), dtype=np.int64)
    for value in np.unique(wanted):
        same = order[wanted[order] == value]
        turn[same] = np.arange(len(same))
    return order[np.argsort(turn[order], kind="stable")][:most]

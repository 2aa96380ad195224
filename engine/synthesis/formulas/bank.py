"""All small formulas over a table's rows: bottom-up enumeration with observational equivalence.

Over the rows of a table (values of state variables and inputs), expressions are made from smaller ones, smallest first,
and of all those with the same column only the first is kept (Udupa et al. 2013, Albarghouthi et al. 2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt64

from engine.synthesis.formulas.expressions import (
    ABS,
    BITWISE,
    COMMUTATIVE,
    COMPARISONS,
    OPERATORS,
    TRUTH,
    WEIGHTS,
    Expression,
    size,
)
from engine.synthesis.formulas.tidy import tidied

Rows = Int[np.ndarray[Any, Any], "row variable"]
Columns = Int[np.ndarray[Any, Any], "column row"]
Hashes = UInt64[np.ndarray[Any, Any], " column"]
How = Int[np.ndarray[Any, Any], "column 5"]
Indices = Int[np.ndarray[Any, Any], " index"]
Made = tuple[Columns, Hashes, How]

LARGEST_VALUE = 10_000  # what lies above it is not what a small program needs in between
CHUNK = 1_000_000  # numbers made at a time: they stay in the processor's cache
SYMBOLS = (*OPERATORS, "abs")
LEAF = -1
ARITHMETIC = ("+", "-", "*", "//", "%")
ORDER = ("min", "max", *sorted(COMPARISONS))
BITS = ("^", "&", "|")


class Level(NamedTuple):
    """All kept expressions of one size, with how each is made: operator's number (in SYMBOLS), size of the left part,
    its index in that level, size of the right part, its index; a leaf has operator -1 and its number."""

    columns: Columns
    hashed: Hashes
    how: How


class Bank:
    """Every distinct column that expressions up to some size give over the rows, with the first expression for each.

    `levels[s]` holds what may be a part of larger expressions. `truths[s]` holds comparisons that have size s where
    their truth is what is wanted; as a number within a larger expression a comparison is dearer, see `expressions`.
    """

    def __init__(
        self,
        rows: Rows,
        names: Sequence[str],
        constants: Sequence[int],
        *,
        most: int = 60_000,
        operators: Sequence[str] = SYMBOLS,
        wide_bits: bool = False,
        limit: int = LARGEST_VALUE,
    ) -> None:
        """`names` are the columns' variables; the bank stops keeping larger expressions beyond `most` columns.

        No number above `limit` is kept. `wide_bits` allows bitwise operators on numbers other than 0 and 1, where they
        are hard to read.
        """
        self.most, self.operators, self.count = most, tuple(operators), rows.shape[0]
        self.wide_bits, self.limit, self.names = wide_bits, limit, tuple(names)
        # A column is looked up by a random linear hash over 2^64; every hit is compared value by value afterwards.
        self.multiplier = np.random.default_rng(62).integers(1, 2**63, rows.shape[0], dtype=np.uint64) * 2 + 1
        self.leaves: list[Expression] = [("var", name) for name in names] + [("const", c) for c in constants]
        self.levels: dict[int, Level] = {}
        self.truths: dict[int, Level] = {}
        self.seen: Hashes = np.empty(0, dtype=np.uint64)
        self.told: Hashes = np.empty(0, dtype=np.uint64)  # of the truths
        self.full = False
        self.work = 0  # numbers computed
        columns = [rows[:, k] for k in range(len(names))] + [np.full(len(rows), c) for c in constants]
        self._first = np.array(columns, dtype=np.int64).reshape(len(self.leaves), len(rows))
        for made in self._leaves(1):
            self._keep(1, made)

    @property
    def largest(self) -> int:
        """The largest size whose expressions are kept."""
        return max(self.levels)

    def variables(self) -> Iterator[tuple[str, Indices]]:
        """The variables that differ from each other, with their columns."""
        leaves = self.levels[1]
        for column, number in zip(leaves.columns, leaves.how[:, 1].tolist(), strict=True):
            if self.leaves[number][0] == "var":
                yield self.leaves[number][1], column

    def hashes(self, columns: Columns) -> Hashes:
        hashed: Hashes = np.einsum("ij,j->i", columns.astype(np.uint64), self.multiplier)
        return hashed

    def grow(self) -> bool:
        """Keep the expressions of the next size. False when there are `most` of them already: the bank is full."""
        grown = self.largest + 1
        if self.full:
            return False
        empty = np.empty((0, self.count), dtype=np.int64)
        self.levels[grown] = Level(empty, self.hashes(empty), np.empty((0, 5), dtype=np.int64))
        for made in self._made(grown):
            self._keep(grown, made)
            if len(self.seen) > self.most:
                self.full = True  # this level stays incomplete, and is the last
                break
        if not self.full:
            self._compare(grown)
        return True

    def find(self, wanted: Columns) -> dict[int, Expression]:
        """For each wanted column (by index) that the bank holds, its smallest expression."""
        found: dict[int, Expression] = {}
        targets = self.hashes(wanted)
        for length in sorted(self.levels):
            for level in (self.levels[length], self.truths.get(length)):
                if level is None or not len(level.how):
                    continue
                order = np.argsort(level.hashed, kind="stable")
                place = np.searchsorted(level.hashed[order], targets).clip(max=len(order) - 1)
                for k in np.flatnonzero(level.hashed[order][place] == targets):
                    index = int(order[place[k]])
                    if int(k) not in found and (level.columns[index] == wanted[k]).all():
                        found[int(k)] = tidied(self._build(level.how[index]), self.names)
        return found

    def expression(self, length: int, index: int) -> Expression:
        return self._build(self.levels[length].how[index])

    def _build(self, how: Int[np.ndarray[Any, Any], " part"]) -> Expression:
        number, left_size, left, right_size, right = how.tolist()
        if number == LEAF:
            leaf: Expression = self.leaves[left_size]
            return leaf
        symbol = SYMBOLS[number]
        if symbol == "abs":
            return (symbol, self.expression(left_size, left))
        return (symbol, self.expression(left_size, left), self.expression(right_size, right))

    def _keep(self, length: int, made: Made) -> None:
        """Add the columns that are new and of moderate numbers."""
        columns, hashed, how = made
        _, first = np.unique(hashed, return_index=True)
        first = np.sort(first)
        first = first[~_among(self.seen, hashed[first])]
        # Two sorted runs: the stable sort only merges them.
        self.seen = np.sort(np.concatenate([self.seen, np.sort(hashed[first])]), kind="stable")
        kept = Level(columns[first], hashed[first], how[first])
        self.levels[length] = _joined(self.levels.get(length), kept)

    def _made(self, length: int) -> Iterator[Made]:
        """All expressions of that size, in chunks, operators in order of preference, the larger part left."""
        yield from self._leaves(length)
        for symbol in self.operators:
            if symbol == "abs":
                yield from self._absolute(length)
            elif symbol in COMPARISONS:
                cheap = self.truths.get(length - WEIGHTS[symbol] + TRUTH)
                if cheap is not None:
                    chosen = cheap.how[:, 0] == SYMBOLS.index(symbol)
                    yield cheap.columns[chosen], cheap.hashed[chosen], cheap.how[chosen]
            else:
                for left_size, right_size in self._splits(symbol, length - WEIGHTS[symbol]):
                    yield from self._pairs(symbol, left_size, right_size)

    def _leaves(self, length: int) -> Iterator[Made]:
        some = np.array([k for k, leaf in enumerate(self.leaves) if size(leaf) == length], dtype=np.int64)
        how = np.zeros((len(some), 5), dtype=np.int64)
        how[:, 0], how[:, 1] = LEAF, some
        yield self._first[some], self.hashes(self._first[some]), how

    def _splits(self, symbol: str, parts: int) -> Iterator[tuple[int, int]]:
        """Sizes of the two parts that make up `parts` together."""
        for left_size in range(parts - 1, 0, -1):
            right_size = parts - left_size
            if left_size in self.levels and right_size in self.levels:
                if symbol in COMMUTATIVE and left_size < right_size:
                    continue
                yield left_size, right_size

    def _absolute(self, length: int) -> Iterator[Made]:
        level = self.levels.get(length - ABS)
        if level is None:
            return
        some = np.flatnonzero((level.columns < 0).any(axis=1))
        how = np.zeros((len(some), 5), dtype=np.int64)
        how[:, 0], how[:, 1], how[:, 2] = SYMBOLS.index("abs"), length - ABS, some
        columns = np.abs(level.columns[some])
        yield columns, self.hashes(columns), how

    def _pairs(self, symbol: str, left_size: int, right_size: int) -> Iterator[Made]:
        left, right = self.levels[left_size], self.levels[right_size]
        able, usable = self.usable(symbol, 0, left.columns), self.usable(symbol, 1, right.columns)
        if not len(usable):
            return
        stride = max(1, CHUNK // (len(usable) * self.count))
        for start in range(0, len(able), stride):
            rows = able[start : start + stride]
            a, b = rows.repeat(len(usable)), np.tile(usable, len(rows))
            self.work += len(a) * self.count
            if symbol in ("+", "-"):
                yield self._sums(symbol, left_size, right_size, a, b)
                continue
            columns = OPERATORS[symbol](left.columns[rows][:, None], right.columns[usable][None])
            columns = columns.reshape(-1, self.count)
            fine = np.arange(len(a))
            if symbol == "*":
                fine = np.flatnonzero(np.abs(columns).max(axis=1) <= self.limit)
                columns = columns[fine]
            yield columns, self.hashes(columns), _how(symbol, left_size, a[fine], right_size, b[fine])

    def usable(self, symbol: str, side: int, columns: Columns) -> Indices:
        """Which columns may be that part of an operator."""
        if symbol in ("//", "%") and side == 1:
            return np.flatnonzero((columns > 0).all(axis=1))  # small programs divide by positive numbers
        if symbol in BITWISE and not self.wide_bits:
            return np.flatnonzero(((columns == 0) | (columns == 1)).all(axis=1))
        return np.arange(len(columns))

    def _sums(self, symbol: str, left_size: int, right_size: int, a: Indices, b: Indices) -> Made:
        """The hash is linear: whether a sum is new is known before it is computed."""
        left, right = self.levels[left_size], self.levels[right_size]
        hashed = left.hashed[a] + right.hashed[b] if symbol == "+" else left.hashed[a] - right.hashed[b]
        _, new = np.unique(hashed, return_index=True)
        new = np.sort(new)
        new = new[~_among(self.seen, hashed[new])]
        columns = OPERATORS[symbol](left.columns[a[new]], right.columns[b[new]])
        fine = np.abs(columns).max(axis=1, initial=0) <= self.limit
        new = new[fine]
        return columns[fine], hashed[new], _how(symbol, left_size, a[new], right_size, b[new])

    def _compare(self, length: int) -> None:
        """The comparisons that have that size as truths, as many as the bank may keep."""
        for symbol in (symbol for symbol in self.operators if symbol in COMPARISONS):
            for left_size, right_size in self._splits(symbol, length - TRUTH):
                for columns, hashed, how in self._pairs(symbol, left_size, right_size):
                    self._hold(length, (columns, hashed, how))
                    if len(self.told) > self.most:
                        return

    def _hold(self, length: int, made: Made) -> None:
        """Add the truths that no shorter expression gives."""
        columns, hashed, how = made
        _, first = np.unique(hashed, return_index=True)
        first = np.sort(first)
        first = first[~_among(self.seen, hashed[first]) & ~_among(self.told, hashed[first])]
        self.told = np.sort(np.concatenate([self.told, np.sort(hashed[first])]), kind="stable")
        self.truths[length] = _joined(self.truths.get(length), Level(columns[first], hashed[first], how[first]))


def _among(known: Hashes, hashed: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which of them are in a sorted array."""
    if not len(known):
        return np.zeros(len(hashed), dtype=bool)
    there: np.ndarray[Any, np.dtype[np.bool_]] = (
        known[np.searchsorted(known, hashed).clip(max=len(known) - 1)] == hashed
    )
    return there


def _joined(before: Level | None, more: Level) -> Level:
    if before is None:
        return more
    return Level(*(np.concatenate(pair) for pair in zip(before, more, strict=True)))


def _how(symbol: str, left_size: int, left: Indices, right_size: int, right: Indices) -> How:
    how = np.empty((len(left), 5), dtype=np.int64)
    how[:, 0], how[:, 1], how[:, 2], how[:, 3], how[:, 4] = SYMBOLS.index(symbol), left_size, left, right_size, right
    return how

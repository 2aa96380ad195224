"""Shortest formulas for columns of integers: bottom-up enumeration with observational equivalence.

Over the rows of a table (values of state variables and inputs), expressions are made from smaller ones, smallest first,
and of all those with the same column only the first is kept. A formula is accepted only if it gives the wanted value on
every row. What no plain expression of the allowed size gives is tried as `A if guard else B`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.expressions import COMMUTATIVE, OPERATORS, WEIGHTS, Expression, size

Rows = Int[np.ndarray[Any, Any], "row variable"]
Columns = Int[np.ndarray[Any, Any], "column row"]
Hashes = np.ndarray[Any, np.dtype[np.uint64]]

LARGEST_VALUE = 10_000  # a subexpression above it is not what a small program needs
CHUNK = 200_000  # columns made at a time


class _Level(NamedTuple):
    """All kept expressions of one size. `how[k]` is (operator, size of left, its index, size of right, its index), or
    a leaf's expression."""

    columns: Columns
    how: list[tuple[Any, ...]]


class Bank:
    """Every distinct column that expressions up to some size give over the rows, with the first expression for each."""

    def __init__(self, rows: Rows, names: Sequence[str], constants: Sequence[int], *, most: int = 60_000) -> None:
        """`names` are the columns' variables; the bank stops keeping larger expressions beyond `most` columns."""
        self.most = most
        # A column is looked up by a random linear hash over 2^64; every hit is compared value by value afterwards.
        self.multiplier = np.random.default_rng(62).integers(1, 2**63, rows.shape[0], dtype=np.uint64) * 2 + 1
        leaves: list[Expression] = [("var", name) for name in names] + [("const", c) for c in constants]
        columns = [rows[:, k] for k in range(len(names))] + [np.full(len(rows), c) for c in constants]
        self.levels: dict[int, _Level] = {}
        self.seen = np.empty(0, dtype=np.uint64)
        self.full = False
        self._keep(1, np.array(columns, dtype=np.int64).reshape(len(leaves), len(rows)), [(leaf,) for leaf in leaves])

    @property
    def largest(self) -> int:
        """The largest size whose expressions are kept."""
        return max(self.levels)

    def hashes(self, columns: Columns) -> Hashes:
        hashed: Hashes = (columns.astype(np.uint64) * self.multiplier).sum(axis=1, dtype=np.uint64)
        return hashed

    def grow(self) -> bool:
        """Keep the expressions of the next size. False when there are `most` of them already: the bank is full."""
        grown = self.largest + 1
        if self.full:
            return False
        self.levels[grown] = _Level(np.empty((0, self.levels[1].columns.shape[1]), dtype=np.int64), [])
        for columns, how in self._combinations(grown):
            self._keep(grown, columns, how)
            if len(self.seen) > self.most:
                self.full = True  # this level stays incomplete, and is the last
                break
        return True

    def find(self, wanted: Columns) -> dict[int, Expression]:
        """For each wanted column (by index) that the bank holds, its smallest expression."""
        found: dict[int, Expression] = {}
        targets = self.hashes(wanted)
        for length in sorted(self.levels):
            level = self.levels[length]
            if not level.how:
                continue
            hashed = self.hashes(level.columns)
            order = np.argsort(hashed, kind="stable")
            place = np.searchsorted(hashed[order], targets).clip(max=len(order) - 1)
            for k in np.flatnonzero(hashed[order][place] == targets):
                index = int(order[place[k]])
                if int(k) not in found and (level.columns[index] == wanted[k]).all():
                    found[int(k)] = self.expression(length, index)
        return found

    def expression(self, length: int, index: int) -> Expression:
        return self._build(self.levels[length].how[index])

    def _build(self, how: tuple[Any, ...]) -> Expression:
        if len(how) == 1:
            leaf: Expression = how[0]
            return leaf
        symbol, left_size, left, right_size, right = how
        return (symbol, self.expression(left_size, left), self.expression(right_size, right))

    def _keep(self, length: int, columns: Columns, how: Sequence[tuple[Any, ...]]) -> None:
        hashed = self.hashes(columns)
        _, first = np.unique(hashed, return_index=True)
        first = np.sort(first)
        if len(self.seen):
            place = np.searchsorted(self.seen, hashed[first]).clip(max=len(self.seen) - 1)
            first = first[self.seen[place] != hashed[first]]
        # Two sorted runs: the stable sort only merges them.
        self.seen = np.sort(np.concatenate([self.seen, np.sort(hashed[first])]), kind="stable")
        before = self.levels.get(length)
        kept, made = columns[first], [how[k] for k in first]
        self.levels[length] = _Level(
            kept if before is None else np.concatenate([before.columns, kept]),
            made if before is None else before.how + made,
        )

    def _combinations(self, length: int) -> Iterator[tuple[Columns, Sequence[tuple[Any, ...]]]]:
        """All `left operator right` of that size, in chunks, operators in order of preference, the larger part left."""
        for symbol, apply in OPERATORS.items():
            parts = length - WEIGHTS[symbol]
            for left_size in range(parts - 1, 0, -1):
                right_size = parts - left_size
                if left_size not in self.levels or right_size not in self.levels:
                    continue
                if symbol in COMMUTATIVE and left_size < right_size:
                    continue
                yield from self._pairs(symbol, apply, left_size, right_size)

    def _pairs(
        self, symbol: str, apply: Callable[[Columns, Columns], Columns], left_size: int, right_size: int
    ) -> Iterator[tuple[Columns, Sequence[tuple[Any, ...]]]]:
        left, right = self.levels[left_size].columns, self.levels[right_size].columns
        usable = np.arange(len(right))
        if symbol in ("//", "%"):
            usable = np.flatnonzero((right > 0).all(axis=1))  # small programs divide by positive numbers
        if not len(usable) or not len(left):
            return
        stride = max(1, CHUNK // len(usable))
        for start in range(0, len(left), stride):
            part = left[start : start + stride]
            columns = apply(part[:, None], right[usable][None]).reshape(-1, left.shape[1])
            fine = np.flatnonzero(np.abs(columns).max(axis=1) <= LARGEST_VALUE)
            how = _Pairs(symbol, left_size, right_size, start, usable, fine)
            yield columns[fine], how


class _Pairs(Sequence[tuple[Any, ...]]):
    """How each column of a chunk was made, worked out only for those that are asked for."""

    def __init__(
        self, symbol: str, left_size: int, right_size: int, start: int, usable: Rows, fine: np.ndarray[Any, Any]
    ) -> None:
        self.symbol, self.left_size, self.right_size = symbol, left_size, right_size
        self.start, self.usable, self.fine = start, usable, fine

    def __len__(self) -> int:
        return len(self.fine)

    def __getitem__(self, k: Any) -> Any:
        row, column = divmod(int(self.fine[k]), len(self.usable))
        return (self.symbol, self.left_size, self.start + row, self.right_size, int(self.usable[column]))


def conditional(bank: Bank, wanted: Columns, *, largest_side: int = 3) -> dict[int, Expression]:
    """For each wanted column, the smallest `A if guard else B`, A and B from the bank.

    A guard is a comparison of two expressions of up to `largest_side` symbols, or a variable that is 0 or 1 on every
    row. A column that no guard splits into two expressions of the bank is absent.
    """
    sizes = sorted(bank.levels)
    columns = np.concatenate([bank.levels[s].columns for s in sizes])
    places = [(s, k) for s in sizes for k in range(len(bank.levels[s].how))]
    lengths = np.array([s for s, _ in places])
    best: dict[int, tuple[int, Expression]] = {}
    for mask, guard in _guards(bank, largest_side):
        sides = [_first_match(columns, wanted, side, bank.multiplier) for side in (mask, ~mask)]
        for k in range(len(wanted)):
            then, otherwise = sides[0][k], sides[1][k]
            if then < 0 or otherwise < 0 or (k in best and lengths[then] + lengths[otherwise] >= best[k][0]):
                continue
            found: Expression = ("if", guard, bank.expression(*places[then]), bank.expression(*places[otherwise]))
            if k not in best or size(found) < best[k][0]:
                best[k] = (size(found), found)
    return {k: expression for k, (_, expression) in best.items()}


def _guards(bank: Bank, largest_side: int) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.bool_]], Expression]]:
    """Conditions that hold on some rows and not on others, each set of rows (or its complement) once, short ones first.

    The bank itself has no use for them: as a number, `k < 0` may be written shorter than as a comparison.
    """
    seen: set[bytes] = set()

    def fresh(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> bool:
        key = min(mask.tobytes(), (~mask).tobytes())
        if mask.all() or not mask.any() or key in seen:
            return False
        seen.add(key)
        return True

    for k, column in enumerate(bank.levels[1].columns):
        if np.isin(column, (0, 1)).all() and fresh(column == 1):
            yield column == 1, bank.expression(1, k)
    small = [s for s in sorted(bank.levels) if s <= largest_side]
    for left_size, right_size in sorted(product(small, small), key=sum):
        if left_size + right_size > largest_side + 1:
            continue
        for i, left in enumerate(bank.levels[left_size].columns):
            for j, right in enumerate(bank.levels[right_size].columns):
                for symbol, mask in (("<", left < right), ("==", left == right)):
                    if fresh(mask):
                        yield mask, (symbol, bank.expression(left_size, i), bank.expression(right_size, j))


def _first_match(
    columns: Columns, wanted: Columns, rows: np.ndarray[Any, np.dtype[np.bool_]], multiplier: Hashes
) -> list[int]:
    """The first (smallest) column equal to each wanted one on those rows, -1 when there is none."""
    hashed = (columns[:, rows].astype(np.uint64) * multiplier[rows]).sum(axis=1, dtype=np.uint64)
    targets = (wanted[:, rows].astype(np.uint64) * multiplier[rows]).sum(axis=1, dtype=np.uint64)
    # Few targets, many columns: the targets are sorted, not the columns.
    order = np.argsort(targets)
    place = np.searchsorted(targets[order], hashed).clip(max=len(targets) - 1)
    found = [-1] * len(wanted)
    for index in np.flatnonzero(targets[order][place] == hashed)[::-1]:  # backwards: the first match is set last
        for k in np.flatnonzero(targets == hashed[index]):
            if (columns[index, rows] == wanted[k, rows]).all():
                found[int(k)] = int(index)
    return found

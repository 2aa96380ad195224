"""`A if guard else B`, and `A if guard else B if other else C`: pieces from a bank, or linear, either side of a guard.

A guard is a comparison of two small expressions, or a bit (`x`, `x % 2`, `x & k`). All guards are
tried at once: an expression's hash over the rows of every guard is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from engine.synthesis.formulas.bank import Bank, Columns
from engine.synthesis.formulas.expressions import BITWISE, Expression, size
from engine.synthesis.formulas.linear import linear

Column = Int[np.ndarray[Any, Any], " row"]
Masks = Bool[np.ndarray[Any, Any], "guard row"]
Mask = Bool[np.ndarray[Any, Any], " row"]
Product = Float[np.ndarray[Any, Any], "guard column"]

AT_ONCE = 4_000_000  # numbers of one matrix product
MOST_GUARDS = 1_500
MOST_COLUMNS = 10_000  # expressions that are pieces
NESTED = 24  # first guards after which a second one is looked for, of so many
NESTED_GUARDS = 500
NESTED_COLUMNS = 2_000
THRESHOLDS = 48  # values of a variable that it is compared with, whatever the bank's constants are
ENOUGH = 2  # rows more than a linear piece has coefficients


class Guards(NamedTuple):
    """Conditions that hold on some rows and not on others, short ones first."""

    masks: Masks
    expressions: tuple[Expression, ...]

    @classmethod
    def of(cls, bank: Bank, largest_side: int = 3, most: int = MOST_GUARDS) -> Guards:
        """Each set of rows (or its complement) once: the two sides may be exchanged."""
        found: dict[bytes, tuple[Mask, Expression]] = {}
        for mask, expression in sorted(_guards(bank, largest_side), key=lambda one: size(one[1])):
            key = min(mask.tobytes(), (~mask).tobytes())
            if mask.any() and not mask.all() and key not in found:
                found[key] = (mask, expression)
        kept = list(found.values())[:most]
        masks = np.stack([mask for mask, _ in kept]) if kept else np.zeros((0, bank.count), dtype=bool)
        return cls(masks, tuple(expression for _, expression in kept))

    def some(self, numbers: Sequence[int]) -> Guards:
        return Guards(self.masks[list(numbers)], tuple(self.expressions[k] for k in numbers))


class Pieces:
    """The expressions of a bank, smallest first, looked up by what they give on some of the rows."""

    def __init__(self, bank: Bank, most: int | None = None) -> None:
        self.bank = bank
        sizes = sorted(bank.levels)
        self.columns: Columns = np.concatenate([bank.levels[s].columns for s in sizes])[:most]
        self.places = [(s, k) for s in sizes for k in range(len(bank.levels[s].how))][:most]
        # Sums of products below 2^53 are exact as floating-point numbers.
        bits = 52 - int(np.ceil(np.log2(bank.limit) + np.log2(max(bank.count, 2))))
        self.factors = np.random.default_rng(26).integers(1, 2**bits, bank.count).astype(np.float64)
        self.numbers = self.columns.astype(np.float64)

    def match(self, hashed: Float[np.ndarray[Any, Any], " column"], wanted: Column, mask: Mask) -> Expression | None:
        """The smallest that gives the wanted numbers on those rows; `hashed` are all expressions' hashes there."""
        target = float(wanted[mask] @ self.factors[mask])
        for index in np.flatnonzero(hashed == target):
            if (self.columns[index, mask] == wanted[mask]).all():
                return self.bank.expression(*self.places[int(index)])
        return None

    def hashes(self, masks: Masks) -> Product:
        hashed: Product = (self.factors * masks) @ self.numbers.T
        return hashed


class Sides(NamedTuple):
    """What gives the wanted numbers where a guard holds, and where it does not."""

    guard: int
    then: Expression | None
    otherwise: Expression | None


def conditional(bank: Bank, wanted: Columns, *, largest_side: int = 3, nested: bool = False) -> dict[int, Expression]:
    """For each wanted column, the smallest conditional over the bank's rows.

    With `nested`, a side that no expression gives may be a conditional itself. A column that no guard splits into
    pieces is absent.
    """
    guards = Guards.of(bank, largest_side)
    pieces = Pieces(bank, MOST_COLUMNS)
    found: dict[int, Expression] = {}
    for k, sides in _sides(pieces, guards, wanted).items():
        best = _smallest(_whole(guards, sides))
        if best is None and nested:
            best = _smallest(_nested(bank, guards, sides, wanted[k]))
        if best is not None:
            found[k] = best
    return found


def _smallest(candidates: Iterator[Expression]) -> Expression | None:
    return min(candidates, key=size, default=None)


def _whole(guards: Guards, sides: Sequence[Sides]) -> Iterator[Expression]:
    for side in sides:
        if side.then is not None and side.otherwise is not None:
            yield ("if", guards.expressions[side.guard], side.then, side.otherwise)


def _nested(bank: Bank, guards: Guards, sides: Sequence[Sides], wanted: Column) -> Iterator[Expression]:
    """One side is a piece, the other one conditional; the guards that settle most rows by short pieces first."""
    half_done = [side for side in sides if (side.then is None) != (side.otherwise is None)]

    def rest(side: Sides) -> Mask:
        mask: Mask = guards.masks[side.guard] ^ (side.then is not None)
        return mask

    def promise(side: Sides) -> float:
        known = side.then or side.otherwise
        assert known is not None
        return size(known) + size(guards.expressions[side.guard]) + 8 * float(rest(side).mean())

    few = Pieces(bank, NESTED_COLUMNS)
    for side in sorted(half_done, key=promise)[:NESTED]:
        left = rest(side)
        inner = guards.masks & left
        proper = np.flatnonzero(inner.any(axis=1) & (inner != left).any(axis=1))
        some = guards.some(proper[:NESTED_GUARDS].tolist())
        best = _smallest(_whole(some, _sides(few, some, wanted[None], left)[0]))
        if best is not None:
            yield ("if", guards.expressions[side.guard], side.then or best, side.otherwise or best)


def _sides(pieces: Pieces, guards: Guards, wanted: Columns, within: Mask | None = None) -> dict[int, list[Sides]]:
    """For each wanted column and guard the smallest piece on either side, within some rows only if so asked."""
    count = len(wanted)
    found: dict[int, list[Sides]] = {k: [] for k in range(count)}
    rows = np.ones(pieces.bank.count, dtype=bool) if within is None else within
    everywhere = pieces.hashes(rows[None])[0]
    stride = max(1, AT_ONCE // max(len(pieces.columns), 1))
    fits = [_Linear(pieces.bank, y) for y in wanted]
    for start in range(0, len(guards.masks), stride):
        masks = guards.masks[start : start + stride] & rows
        hashed = pieces.hashes(masks)
        for number, mask in enumerate(masks):
            here = hashed[number]
            for k, y in enumerate(wanted):
                then = pieces.match(here, y, mask)
                other = pieces.match(everywhere - here, y, rows & ~mask)
                if (then is None) != (other is None):  # one piece is there: is the other one linear?
                    then = then or fits[k].on(mask)
                    other = other or fits[k].on(rows & ~mask)
                if then is not None or other is not None:
                    found[k].append(Sides(start + number, then, other))
    return found


class _Linear:
    """Linear pieces, each set of rows fitted once."""

    def __init__(self, bank: Bank, wanted: Column) -> None:
        variables = list(bank.variables())
        self.names = [name for name, _ in variables]
        self.rows = np.stack([column for _, column in variables], axis=1) if variables else np.zeros((bank.count, 0))
        self.wanted = wanted
        self.known: dict[bytes, Expression | None] = {}

    def on(self, mask: Mask) -> Expression | None:
        if mask.sum() < len(self.names) + 1 + ENOUGH:
            return None
        key = mask.tobytes()
        if key not in self.known:
            self.known[key] = linear(self.rows[mask], self.names, self.wanted[mask])
        return self.known[key]


def _guards(bank: Bank, largest_side: int) -> Iterator[tuple[Mask, Expression]]:
    """The bank itself has no use for conditions: as a number, `k < 0` may be written shorter than as a comparison."""
    small = [s for s in sorted(bank.levels) if s <= largest_side]
    for total in small:
        columns = bank.levels[total].columns
        for k in np.flatnonzero(((columns == 0) | (columns == 1)).all(axis=1)):
            expression = bank.expression(total, int(k))
            if expression[0] in ("var", "%", *BITWISE):
                yield columns[k] == 1, expression
    for left_size, right_size in product(small, small):
        if left_size + right_size > largest_side + 1:
            continue
        for i, left in enumerate(bank.levels[left_size].columns):
            for j, right in enumerate(bank.levels[right_size].columns):
                for symbol, mask in (("<", left < right), ("==", left == right)):
                    yield mask, (symbol, bank.expression(left_size, i), bank.expression(right_size, j))
    for name, column in bank.variables():
        values = np.unique(column)
        for value in values.tolist() if len(values) <= THRESHOLDS else ():
            yield column < value, ("<", ("var", name), ("const", value))
            yield column == value, ("==", ("var", name), ("const", value))

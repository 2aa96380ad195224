"""`A if guard else B`, and `A if guard else B if other else C`: pieces from a bank, or linear, either side of a guard.

All guards are tried at once: an expression's hash over the rows of every guard is one matrix product. First with few,
short pieces; of the guards on one side of which there is one, the other side is looked for among many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from engine.synthesis.formulas.bank import Bank, Columns
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.guards import Guards, Mask, Masks
from engine.synthesis.formulas.linear import linear

Column = Int[np.ndarray[Any, Any], " row"]
Product = Float[np.ndarray[Any, Any], "guard column"]

AT_ONCE = 4_000_000  # numbers of one matrix product
LARGEST_GUARD = 7


class _Effort(NamedTuple):
    """How many guards are tried with how many short pieces, and how many of them then with how many."""

    guards: int
    short: int
    promising: int
    pieces: int


FULL = _Effort(6_000, 1_000, 400, 10_000)
NESTED = _Effort(3_000, 300, 60, 2_000)
BEGUN = 24  # guards after which a second one is looked for
BOTH_LINEAR = 150  # guards with linear pieces on both sides, the first ones
ENOUGH = 2  # rows more than a linear piece has coefficients


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
        if not mask.any():
            return None
        y = wanted[mask]
        constant: Expression | None = ("const", int(y[0])) if (y == y[0]).all() else None
        for index in np.flatnonzero(hashed == float(y @ self.factors[mask])):
            if (self.columns[index, mask] == y).all():
                found = self.bank.expression(*self.places[int(index)])
                return found if constant is None or size(found) <= size(constant) else constant
        return constant

    def hashes(self, masks: Masks) -> Product:
        hashed: Product = (self.factors * masks) @ self.numbers.T
        return hashed


class Sides(NamedTuple):
    """What gives the wanted numbers where a guard holds, and where it does not."""

    guard: int
    then: Expression | None
    otherwise: Expression | None


def conditional(bank: Bank, wanted: Columns, *, nested: bool = False) -> dict[int, Expression]:
    """For each wanted column, the smallest conditional over the bank's rows.

    With `nested`, a side that no expression gives may be a conditional itself. A column that no guard splits into
    pieces is absent.
    """
    guards = Guards.of(bank, LARGEST_GUARD, FULL.guards)
    short, pieces = Pieces(bank, FULL.short), Pieces(bank, FULL.pieces)
    few = (Pieces(bank, NESTED.short), Pieces(bank, NESTED.pieces))
    found: dict[int, Expression] = {}
    for k, y in enumerate(wanted):
        sides = _sides((short, pieces), guards, y, FULL.promising)
        best = _smallest(_whole(guards, sides))
        if best is None and nested:
            best = _smallest(_nested(few, guards, sides, y))
        if best is not None:
            found[k] = best
    return found


def _smallest(candidates: Iterator[Expression]) -> Expression | None:
    return min(candidates, key=size, default=None)


def _whole(guards: Guards, sides: Sequence[Sides]) -> Iterator[Expression]:
    for side in sides:
        if side.then is not None and side.otherwise is not None:
            yield ("if", guards.expressions[side.guard], side.then, side.otherwise)


def _nested(few: tuple[Pieces, Pieces], guards: Guards, sides: Sequence[Sides], wanted: Column) -> Iterator[Expression]:
    """One side is a piece, the other one conditional; the guards that settle most rows by short pieces first."""
    half_done = [side for side in sides if (side.then is None) != (side.otherwise is None)]
    half_done.sort(key=lambda side: _cost(guards, side) + 8 * float(_rest(guards, side).mean()))
    for side in half_done[:BEGUN]:
        left = _rest(guards, side)
        inner = guards.masks[: NESTED.guards] & left
        proper = np.flatnonzero(inner.any(axis=1) & (inner != left).any(axis=1))
        some = guards.some(proper.tolist())
        best = _smallest(_whole(some, _sides(few, some, wanted, NESTED.promising, left)))
        if best is not None:
            yield ("if", guards.expressions[side.guard], side.then or best, side.otherwise or best)


def _rest(guards: Guards, side: Sides) -> Mask:
    """The rows that a guard with a piece on one side leaves to be given."""
    mask: Mask = guards.masks[side.guard] ^ (side.then is not None)
    return mask


def _cost(guards: Guards, side: Sides) -> int:
    return size(guards.expressions[side.guard]) + sum(size(e) for e in (side.then, side.otherwise) if e is not None)


def _sides(
    pieces: tuple[Pieces, Pieces], guards: Guards, wanted: Column, promising: int, within: Mask | None = None
) -> list[Sides]:
    """For the guards with a short piece on some side the smallest pieces on both, within some rows only if so asked."""
    short, many = pieces
    rows = np.ones(len(wanted), dtype=bool) if within is None else within
    fits = _Linear(short.bank, wanted)
    first = [
        Sides(number, then, other)
        for number, then, other in _matched(short, guards, range(len(guards.masks)), wanted, rows)
        if then is not None or other is not None
    ]
    first.sort(key=lambda side: (side.then is None or side.otherwise is None, _cost(guards, side)))
    chosen = first[:promising]
    found = []
    for number, then, other in _matched(many, guards, [side.guard for side in chosen], wanted, rows):
        mask = guards.masks[number] & rows
        found.append(Sides(number, then or fits.on(mask), other or fits.on(rows & ~mask)))
    for number in range(min(BOTH_LINEAR, len(guards.masks))):
        mask = guards.masks[number] & rows
        then = fits.on(mask)
        other = fits.on(rows & ~mask) if then is not None else None
        if then is not None and other is not None:
            found.append(Sides(number, then, other))
    return found


def _matched(
    pieces: Pieces, guards: Guards, numbers: Sequence[int], wanted: Column, rows: Mask
) -> Iterator[tuple[int, Expression | None, Expression | None]]:
    """Each guard with the smallest piece on either side."""
    everywhere = pieces.hashes(rows[None])[0]
    stride = max(1, AT_ONCE // max(len(pieces.columns), 1))
    for start in range(0, len(numbers), stride):
        some = list(numbers[start : start + stride])
        masks = guards.masks[some] & rows
        for number, mask, here in zip(some, masks, pieces.hashes(masks), strict=True):
            yield (
                number,
                pieces.match(here, wanted, mask),
                pieces.match(everywhere - here, wanted, rows & ~mask),
            )


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

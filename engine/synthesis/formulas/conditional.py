"""`A if guard else B`, and `A if guard else B if other else C`: pieces from a bank, or linear, either side of a guard.

All guards are tried at once, first with few, short pieces; of the guards on one side of which there is one, the other
side is looked for among many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from engine.synthesis.formulas.bank import Bank, Columns
from engine.synthesis.formulas.expressions import Expression, size
from engine.synthesis.formulas.guards import Guards, Mask
from engine.synthesis.formulas.linear import linear
from engine.synthesis.formulas.pieces import NONE, Pieces, constants

Column = Int[np.ndarray[Any, Any], " row"]

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
    for k, sides in enumerate(_sides((short, pieces), guards, wanted, FULL.promising)):
        best = _smallest(_whole(guards, sides))
        if best is None and nested:
            best = _smallest(_nested(few, guards, sides, wanted[k]))
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
        best = _smallest(_whole(some, _sides(few, some, wanted[None], NESTED.promising, left)[0]))
        if best is not None:
            yield ("if", guards.expressions[side.guard], side.then or best, side.otherwise or best)


def _rest(guards: Guards, side: Sides) -> Mask:
    """The rows that a guard with a piece on one side leaves to be given."""
    mask: Mask = guards.masks[side.guard] ^ (side.then is not None)
    return mask


def _cost(guards: Guards, side: Sides) -> int:
    return size(guards.expressions[side.guard]) + sum(size(e) for e in (side.then, side.otherwise) if e is not None)


def _sides(
    pieces: tuple[Pieces, Pieces], guards: Guards, wanted: Columns, promising: int, within: Mask | None = None
) -> list[list[Sides]]:
    """For each wanted column, the guards with a short piece on some side and the smallest pieces on both.

    Within some rows only, where so asked.
    """
    short, many = pieces
    rows = np.ones(short.bank.count, dtype=bool) if within is None else within
    lengths = np.array([size(e) for e in guards.expressions], dtype=np.int64)
    found = []
    for y, then, other in zip(wanted, *short.on_both_sides(guards.masks, wanted, rows), strict=True):
        open_sides = (then == NONE).astype(np.int64) + (other == NONE)
        cost = lengths + np.where(then == NONE, 0, short.sizes[then]) + np.where(other == NONE, 0, short.sizes[other])
        order = np.lexsort((cost, open_sides))
        chosen = order[open_sides[order] < 2][:promising].tolist()
        found.append([*_completed(many, guards, chosen, y, rows), *_both_linear(many.bank, guards, y, rows)])
    return found


def _completed(pieces: Pieces, guards: Guards, numbers: Sequence[int], wanted: Column, rows: Mask) -> Iterator[Sides]:
    """Guards with the smallest piece on either side: from the bank, a constant, or linear."""
    masks = guards.masks[list(numbers)] & rows
    fits = _Linear(pieces.bank, wanted)
    (then,), (other,) = pieces.on_both_sides(masks, wanted[None], rows)
    both = ((then, masks), (other, rows & ~masks))
    sides = [[_piece(pieces, fits, *one) for one in zip(i, m, constants(m, wanted), strict=True)] for i, m in both]
    for number, one, two in zip(numbers, *sides, strict=True):
        yield Sides(number, one, two)


def _piece(pieces: Pieces, fits: _Linear, index: int, mask: Mask, constant: int | None) -> Expression | None:
    if index != NONE:
        expression = pieces.expression(int(index))
        if constant is None or size(expression) <= size(("const", constant)):
            return expression
    return fits.on(mask) if constant is None else ("const", constant)


def _both_linear(bank: Bank, guards: Guards, wanted: Column, rows: Mask) -> Iterator[Sides]:
    """The first guards on both sides of which a linear formula is exact."""
    fits = _Linear(bank, wanted)
    for number, mask in enumerate(guards.masks[:BOTH_LINEAR] & rows):
        then = fits.on(mask)
        other = fits.on(rows & ~mask) if then is not None else None
        if other is not None:
            yield Sides(number, then, other)


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

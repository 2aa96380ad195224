"""What the hidden units of one operation are (section 3): lookups, conjunctions, thresholds, copies of either sign."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.rasp import thresholds
from engine.rasp.compiled import Construction
from engine.rasp.value_sets import DROPPED, Image

Ints = np.ndarray[Any, np.dtype[np.intp]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Block(NamedTuple):
    """Weights between `sources` and `targets`, lists of residual directions that the compiler knows: W_in[reads, into]
    and W_out[of, writes]."""

    hidden: int
    reads: Ints
    into: Ints
    in_weights: Floats
    of: Ints
    writes: Ints
    out_weights: Floats


def lookup(table: Image) -> Block:
    """Categorical to categorical: one unit per output value that reads all that map there.
    Sources: input values. Targets: output values."""
    to = np.array(table.to, dtype=np.intp)
    reads = np.flatnonzero(to >= 0)
    out = np.arange(len(table.out))
    return Block(len(out), reads, to[reads], np.ones(len(reads)), out, out, np.ones(len(out)))


def weigh(values: Floats, construction: Construction) -> Block:
    """Categorical to numerical: one unit for the positive values and one for the negative. (The original has one, and
    loses negative values in the ReLU.) Sources: input values. Targets: the number."""
    if not construction.repaired:
        reads = np.flatnonzero(values)
        one, none = np.ones(1), np.zeros(1, dtype=np.intp)
        return Block(1, reads, np.zeros_like(reads), values[reads], none, none, one)
    parts = [(sign, np.flatnonzero(sign * values > 0)) for sign in (1.0, -1.0)]
    parts = [(sign, reads) for sign, reads in parts if len(reads)] or [(1.0, np.zeros(0, dtype=np.intp))]
    units = np.arange(len(parts))
    return Block(
        len(parts),
        np.concatenate([reads for _, reads in parts]),
        np.concatenate([np.full(len(reads), i) for i, (_, reads) in enumerate(parts)]).astype(np.intp),
        np.concatenate([np.abs(values[reads]) for _, reads in parts]),
        units,
        np.zeros_like(units),
        np.array([sign for sign, _ in parts]),
    )


def pairs(table: Image, first: int, second: int) -> Block:
    """Two categorical to one: one unit per pair, on when both are (x_i + y_j - one).
    Sources: first values, second values, one. Targets: output values."""
    to = np.array(table.to, dtype=np.intp)
    kept = np.flatnonzero(to != DROPPED)
    unit = np.arange(len(kept))
    i, j = np.divmod(kept, second)
    one = np.full(len(kept), first + second)
    some = to[kept] >= 0
    return Block(
        len(kept),
        np.concatenate([i, first + j, one]),
        np.concatenate([unit, unit, unit]),
        np.concatenate([np.ones(2 * len(kept)), np.full(len(kept), -1.0)]),
        unit[some],
        to[kept][some],
        np.ones(int(some.sum())),
    )


def linear(a: float, b: float) -> Block:
    """a x + b y, each by its positive and its negative part. Sources: x, y. Targets: the number."""
    unit = np.arange(4)
    return Block(
        4,
        np.array([0, 0, 1, 1]),
        unit,
        np.array([1.0, -1.0, 1.0, -1.0]),
        unit,
        np.zeros(4, dtype=np.intp),
        np.array([a, -a, b, -b], dtype=np.float64),
    )


def of_number(x: Floats, to: Ints | Floats, outputs: int, construction: Construction, label: str) -> Block:
    """A function of a number. `to`: per value of x (rising), the output that is on (-1: none), or the number.

    At BOS x is 0; a unit that reads BOS takes away what the ladder writes there. (The original leaves it, where later
    keys and values meet it.) Sources: x, one, BOS. Targets: the outputs.
    """
    reach = (min(float(x[0]), 0.0), max(float(x[-1]), 0.0))
    ladder = _ladder(x, to, reach, thresholds.uncertain(x, summed=True), construction, label)
    if not construction.repaired:
        return _block(ladder, [], [])
    at_bos = ladder(0.0, outputs)
    writes = np.flatnonzero(at_bos)
    return _block(ladder, writes, -at_bos[writes])


def width(most: int, outputs: int, categorical: bool, construction: Construction, label: str) -> Block:
    """1 / (d + 1), which attention left, to d; and at BOS, away with both that and what comes of it.
    Sources: the number, one, BOS. Targets: the outputs, then the number."""
    d = np.arange(most, -1, -1)
    x: Floats = np.reciprocal(d + 1.0)
    to = d if categorical else d.astype(np.float64)
    ladder = _ladder(x, to, (float(x[0]), 1.0), thresholds.uncertain(x, summed=False), construction, label)
    if not construction.repaired:
        return _block(ladder, [0, outputs] if categorical else [outputs], [-1.0, -1.0] if categorical else [-1.0])
    at_bos = ladder(1.0, outputs)
    writes = np.flatnonzero(at_bos)
    return _block(ladder, [*writes, outputs], [*-at_bos[writes], -1.0])


def cleaned_by(block: Block, unit: int, times: float) -> Block:
    """A width whose last unit, the one that cleans up, is another instead (counted from the block's first), reading BOS
    with a weight of `times`."""
    last = block.hidden - 1
    return block._replace(
        hidden=last,
        into=np.where(block.into == last, unit, block.into),
        in_weights=np.where(block.into == last, times, block.in_weights),
        of=np.where(block.of == last, unit, block.of),
    )


def _ladder(
    x: Floats, to: Ints | Floats, reach: tuple[float, float], near: Floats, construction: Construction, label: str
) -> thresholds.Ladder:
    if construction.exactness is not None:
        return thresholds.original(x, to, construction.exactness)
    thresholds.check_apart(x, to, near, label)
    if np.issubdtype(to.dtype, np.integer):
        return thresholds.steps(x, to, reach)
    return thresholds.numerical(x, to.astype(np.float64), reach, near)


def _block(ladder: thresholds.Ladder, cleaned: Any, amounts: Any) -> Block:
    """A ladder over the sources x, one, BOS, and a unit that reads BOS where there is something to take away."""
    count = len(ladder.slope)
    sloped, shifted = np.flatnonzero(ladder.slope), np.flatnonzero(ladder.offset)
    reads = [np.zeros_like(sloped), np.ones_like(shifted)]
    into = [sloped, shifted]
    weights = [ladder.slope[sloped], ladder.offset[shifted]]
    of, writes, out = [ladder.unit], [ladder.at], [ladder.weight]
    if len(cleaned):
        reads.append(np.array([2]))
        into.append(np.array([count]))
        weights.append(np.ones(1))
        of.append(np.full(len(cleaned), count))
        writes.append(np.asarray(cleaned, dtype=np.intp))
        out.append(np.asarray(amounts, dtype=np.float64))
        count += 1
    return Block(
        count,
        np.concatenate(reads),
        np.concatenate(into),
        np.concatenate(weights),
        np.concatenate(of),
        np.concatenate(writes),
        np.concatenate(out),
    )

"""A function of one number as hidden units: steps between neighbouring values, or straight lines through them
(section 3, "Map num->cat / num->num").

A step between the values u < w is a pair of units that differ by one, ReLU(L (x - t) + 1) - ReLU(L (x - t)), or seen
from above, 1 - ReLU(L (t - x) + 1) + ReLU(L (t - x)) and so on. In float32 both lose what L |x - t| exceeds 2^24 by, so

- L and L t are chosen per threshold: L a power of two of at least 2 / (w - u), L t a number of quarters, so that the
  two units round alike; the slope stays a sixth of the gap away from either value, so that noise in x does not show;
- each threshold is seen from the side on which x stays nearer to it;
- a threshold stands only where the function changes;
- a numerical function of many values is drawn as straight lines where those lose less (1/(d+1) -> d needs units of one
  sign then, and x + 1 one unit in all).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sessions.errors import CallError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

RESOLUTION = 2.0**-20  # relative: what float32 carries of a number through a few layers
_LOSS = 2.0**-24  # relative, of one float32 rounding
_STEPS_ARE_FINE = 1e-5


class Ladder(NamedTuple):
    """Hidden unit j is ReLU(slope[j] x + offset[j]). It adds weight[i] to output at[i] for all i with unit[i] == j."""

    slope: Floats
    offset: Floats
    unit: Ints
    at: Ints
    weight: Floats

    def __call__(self, x: float, outputs: int) -> Floats:
        """What it gives, as float32 weights give it."""
        slope, offset = self.slope.astype(np.float32), self.offset.astype(np.float32)
        hidden = np.maximum(slope.astype(np.float64) * x + offset, 0)
        found = np.zeros(outputs)
        np.add.at(found, self.at, hidden[self.unit] * self.weight.astype(np.float32))
        return found


def original(x: Floats, to: Ints | Floats, exactness: float) -> Ladder:
    """As the original compiler builds it: one L, a pair for every neighbouring two, one unit that is always on.

    `to`: per value, which output is on (-1: none; an integer array), or the number that comes out (a float array)."""
    t = (x[1:] + x[:-1]) / 2
    count = len(t)
    slope = np.append(np.full(2 * count, exactness), 0.0)
    offset = np.append(np.stack([1 - exactness * t, -exactness * t], axis=1).ravel(), 1.0)
    pairs, start = 2 * np.arange(count), 2 * count
    return _written(slope, offset, _changes(to, pairs, pairs + 1), _constant(to, 0, start))


def uncertain(x: Floats, *, summed: bool) -> Floats:
    """How far from each value the number that is read may be. A sum is as uncertain as its largest terms; 1/(d+1),
    which attention makes, only as it is itself."""
    size = np.abs(x)
    return RESOLUTION * (np.full(len(x), size.max()) if summed else size)


def check_apart(x: Floats, to: Ints | Floats, near: Floats, label: str) -> None:
    """CallError when two values are too close for float32 and the function tells them apart (0 and 3 * 0.2 - 0.6)."""
    close = _differ(to) & (np.diff(x) < np.maximum(near[1:], near[:-1]))
    if close.any():
        i = int(np.flatnonzero(close)[0])
        raise CallError(
            f"'{label}' tells {float(x[i])!r} from {float(x[i + 1])!r}, which are too close for float32",
            remedy="round before comparing, or use fewer values",
        )


def steps(x: Floats, to: Ints | Floats, reach: tuple[float, float]) -> Ladder:
    """Thresholds where the function changes. `reach`: the least and the greatest x there will be."""
    k = np.flatnonzero(_differ(to)) + 1
    u, w = x[k - 1], x[k]
    scale = np.exp2(np.ceil(np.log2(2 / (w - u)))) if len(k) else np.zeros(0)
    top = np.round(4 * (scale * (u + w) / 2 + 0.5)) / 4  # L t: the step rises from (top - 1) / L to top / L
    falling = (u + w) / 2 - reach[0] <= reach[1] - (u + w) / 2
    slope = np.repeat(np.where(falling, -scale, scale), 2)
    more = np.where(falling, top, 1 - top)
    offset = np.stack([more, more - 1], axis=1).ravel()
    first = 2 * np.arange(len(k))
    # Falling: f(x) = ... - (f_k - f_(k-1)) [x < t_k]
    sign = np.where(falling, -1.0, 1.0)
    start = int(k[falling][-1]) if falling.any() else 0
    changes = _changes(to, first, first + 1, k, sign)
    return _written(np.append(slope, 0.0), np.append(offset, 1.0), changes, _constant(to, start, 2 * len(k)))


def lines(x: Floats, to: Floats, reach: tuple[float, float], near: Floats) -> Ladder:
    """Straight lines from value to value, going on beyond the ends: one unit per bend, seen from the value between the
    falling and the rising units that makes their terms smallest."""
    kept = np.append(True, np.diff(x) >= near[1:])
    x, to = x[kept], to[kept]
    slopes = np.diff(to) / np.diff(x)
    best: tuple[float, Floats, Floats, Floats, float] | None = None
    for pivot in sorted({0, len(x) // 2, len(x) - 1}):
        right, left = slopes[pivot:], slopes[:pivot]
        bends = np.concatenate([right[:1], np.diff(right)])
        drops = np.concatenate([np.diff(left), -left[-1:]])
        at = np.concatenate([x[pivot:-1], x[1 : pivot + 1]])
        sign = np.concatenate([np.ones(len(bends)), -np.ones(len(drops))])
        weight = np.concatenate([bends, drops])
        range_ = np.where(sign > 0, np.maximum(reach[1] - at, 0), np.maximum(at - reach[0], 0))
        size = np.abs(weight) * range_
        straight = size > 1e-10 * (1 + float(np.max(np.abs(to))))
        if best is None or size.sum() < best[0]:
            best = (float(size.sum()), sign[straight], at[straight], weight[straight], float(to[pivot]))
    assert best is not None
    _, sign, at, weight, start = best
    count = len(sign)
    units = np.arange(count + 1)
    return Ladder(
        np.append(sign, 0.0),
        np.append(-sign * at, 1.0),
        units if start else units[:-1],
        np.zeros(count + bool(start), dtype=np.intp),
        np.append(weight, start) if start else weight,
    )


def numerical(x: Floats, to: Floats, reach: tuple[float, float], near: Floats) -> Ladder:
    """Steps while float32 adds them up well, else whatever loses less. `near`: how uncertain each x is."""
    gaps, rises = np.diff(x), np.where(_differ(to), np.abs(np.diff(to)), 0.0)
    if not rises.any():
        return steps(x, to, reach)
    t = (x[1:] + x[:-1]) / 2
    nearer = np.minimum(t - reach[0], reach[1] - t)
    lost = 2 * _LOSS * float(np.sum(rises * np.where(rises > 0, 4 * nearer / gaps + 1, 0)))
    if lost <= _STEPS_ARE_FINE:
        return steps(x, to, reach)
    drawn = lines(x, to, reach, near)
    noise = float(np.max(rises / gaps * np.maximum(near[1:], near[:-1]))) / 4
    span = np.where(drawn.slope > 0, reach[1] + drawn.offset, drawn.offset - reach[0])[: len(drawn.weight)]
    if noise + _LOSS * float(np.sum(np.abs(drawn.weight) * np.abs(span))) < lost:
        return drawn
    return steps(x, to, reach)


def _differ(to: Ints | Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Neighbours that do; numbers that are the same as far as float32 can tell do not."""
    if np.issubdtype(to.dtype, np.integer):
        return np.not_equal(to[1:], to[:-1])
    return np.asarray(np.abs(np.diff(to)) > RESOLUTION * np.abs(to).max())


_Terms = tuple[Ints, Ints, Floats]


def _changes(
    to: Ints | Floats, plus: Ints, minus: Ints, k: Ints | None = None, sign: Floats | None = None
) -> list[_Terms]:
    """Step i, units plus[i] - minus[i], turns what the function is before value k[i] into what it is from there on."""
    k = np.arange(1, len(plus) + 1) if k is None else k
    sign = np.ones(len(k)) if sign is None else sign
    if not np.issubdtype(to.dtype, np.integer):
        rise = (to[k] - to[k - 1]) * sign
        none = np.zeros(len(k), dtype=np.intp)
        return [(plus, none, rise), (minus, none, -rise)]
    some = to[k] != to[k - 1]  # the original writes a step of nothing too: units, but no weights
    k, plus, minus, sign = k[some], plus[some], minus[some], sign[some]
    new, old = to[k].astype(np.intp), to[k - 1].astype(np.intp)
    return [(plus, new, sign), (minus, new, -sign), (plus, old, -sign), (minus, old, sign)]


def _constant(to: Ints | Floats, at: int, unit: int) -> _Terms:
    if np.issubdtype(to.dtype, np.integer):
        return np.array([unit]), np.array([int(to[at])]), np.ones(1)
    return np.array([unit]), np.zeros(1, dtype=np.intp), np.array([float(to[at])])


def _written(slope: Floats, offset: Floats, changes: list[_Terms], constant: _Terms) -> Ladder:
    unit, at, weight = (np.concatenate(column) for column in zip(*changes, constant))
    some = (at >= 0) & (weight != 0)
    return Ladder(slope, offset, unit[some], at[some], weight[some])

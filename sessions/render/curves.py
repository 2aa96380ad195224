"""Series as sparklines with their numbers, points as a scatter of characters."""

from __future__ import annotations

import string
from itertools import pairwise

import numpy as np

from sessions.artifacts import Array, Curve, Points, Series
from sessions.render.layout import Style, cells, clip, columns, left, wrapped
from sessions.render.numbers import column, number

_HEIGHT = 20  # lines of a scatter plot: about square beside 40 columns, as cells are twice as high as wide


def series(artifact: Series, style: Style) -> list[str]:
    """One line per curve on a common scale, then the numbers when there are few."""
    if not artifact.curves or not len(artifact.x):
        return ["no points"]
    every = np.concatenate([np.asarray(curve.y, dtype=np.float64) for curve in artifact.curves])
    finite = every[np.isfinite(every)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    names = [clip(curve.name, 24, style) for curve in artifact.curves]
    side = max(map(cells, names))
    room = max(8, style.width - side - 1)
    lines = [
        left(name, side) + " " + spark(curve.y, low, high, room, style) for name, curve in zip(names, artifact.curves)
    ]
    x = column([whole(artifact.x)[0], whole(artifact.x)[-1]])
    lines.append(
        f"{artifact.x_name} {x[0]} to {x[1]} ({len(artifact.x):,} points); "
        f"{artifact.y_name or 'height'} {number(low)} [{style.bars}] {number(high)}"
    )
    return lines + (_as_rows(artifact, style) if len(artifact.x) <= style.max_rows else _ends(artifact, names, side))


def spark(y: Array, low: float, high: float, room: int, style: Style) -> str:
    """The curve in at most `room` characters (means of equal stretches), NaN as a dot."""
    values = np.asarray(y, dtype=np.float64)
    if len(values) > room:
        edges = np.linspace(0, len(values), room + 1).astype(int)
        stretches = [values[a:b][np.isfinite(values[a:b])] for a, b in pairwise(edges)]
        values = np.array([part.mean() if part.size else np.nan for part in stretches])
    steps, span = len(style.bars), high - low

    def bar(value: float) -> str:
        if np.isnan(value):
            return style.unknown
        part = (value - low) / span if span > 0 else 0.0
        return style.bars[int(min(max(part, 0.0) * steps, steps - 1))]

    return "".join(bar(float(v)) for v in values)


def _as_rows(artifact: Series, style: Style) -> list[str]:
    header, by_column = [artifact.x_name], [column(whole(artifact.x))]
    for curve in artifact.curves:
        header.append(curve.name)
        by_column.append(_with_band(curve))
    return ["", *columns(header, list(zip(*by_column)), style, numeric=[True] * len(header))]


def whole(x: Array) -> list[float]:
    """The numbers, as whole ones where all are: steps and counts are, even in an array of floats."""
    values: list[float] = x.tolist()
    return [int(v) for v in values] if all(np.isfinite(v) and v == int(v) for v in values) else values


def _with_band(curve: Curve) -> list[str]:
    y = column(curve.y.tolist())
    if curve.low is None or curve.high is None:
        return y
    low, high = column(curve.low.tolist(), 3), column(curve.high.tolist(), 3)
    return [f"{middle} ({a} to {b})" for middle, a, b in zip(y, low, high)]


def _ends(artifact: Series, names: list[str], side: int) -> list[str]:
    lines = []
    for name, curve in zip(names, artifact.curves):
        first, last = column([curve.y[0].item(), curve.y[-1].item()])
        lines.append(f"{left(name, side)} first {first}, last {last}")
    return lines


def points(artifact: Points, style: Style) -> list[str]:
    """The first two coordinates. Few labelled points get letters; otherwise a cell shows how many lie in it."""
    xy = np.asarray(artifact.xy, dtype=np.float64)
    good = np.isfinite(xy).all(axis=1)
    if not good.any():
        return [f"{len(xy)} points, none with finite coordinates"]
    labels = list(artifact.labels) if len(artifact.labels) == len(xy) else []
    lettered = bool(labels) and len(set(labels)) <= len(string.ascii_letters)
    letters = dict(zip(dict.fromkeys(labels), string.ascii_letters)) if lettered else {}
    width = max(10, min(style.width - 2, 2 * _HEIGHT + 20))
    low, high = xy[good, :2].min(axis=0), xy[good, :2].max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    grid = [[" "] * width for _ in range(_HEIGHT)]
    counts = np.zeros((_HEIGHT, width), dtype=int)
    for i in np.flatnonzero(good):
        across = round((width - 1) * (xy[i, 0] - low[0]) / span[0])
        down = round((_HEIGHT - 1) * (1 - (xy[i, 1] - low[1]) / span[1]))
        counts[down, across] += 1
        count = int(counts[down, across])
        mark = letters[labels[i]] if lettered else str(count) if count < 10 else "#"
        # Two different letters in one cell cannot both be seen, and that is shown.
        grid[down][across] = "*" if lettered and grid[down][across] not in (" ", mark) else mark
    edge = "|" if style.ascii_only else "│"
    lines = [f"{edge}{''.join(row)}".rstrip() for row in grid]
    lines.append(("+" if style.ascii_only else "└") + ("-" if style.ascii_only else "─") * width)
    names = [*artifact.axis_names, "x", "y"][:2] if len(artifact.axis_names) >= 2 else ["x", "y"]
    ranges = [column([low[k].item(), high[k].item()]) for k in range(2)]
    lines.append("; ".join(f"{name} {r[0]} to {r[1]}" for name, r in zip(names, ranges)))
    third = "" if xy.shape[1] == 2 else ", the third coordinate not drawn"
    lines.append(f"{len(xy):,} points{third}" + ("" if good.all() else f", {int((~good).sum())} without coordinates"))
    if letters:
        lines += wrapped(style.dot.join(f"{c} {name}" for name, c in letters.items()) + " (* several)", style, "  ")
    return lines

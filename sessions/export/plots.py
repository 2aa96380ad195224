"""Curves and points on axes, as inline SVG."""

from __future__ import annotations

import math

import numpy as np

from sessions.artifacts import Array, Points, Series
from sessions.export import svg
from sessions.export.colours import CURVES, colour
from sessions.render.curves import whole
from sessions.render.numbers import column, number

_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _TOP, _BOTTOM = 70.0, 14.0, 40.0
_SHORT = 6  # characters of a label that may stand beside its point; longer ones only show under the pointer
LARGEST_CURVE = 2000  # points drawn of one curve; more cannot be told apart at this width


class _Axes:
    """Data to picture coordinates, and the frame with its ticks."""

    def __init__(self, x: Array, y: Array) -> None:
        self.x0, self.x1 = _span(x)
        self.y0, self.y1 = _span(y)

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / (self.x1 - self.x0)
        up = (y - self.y0) / (self.y1 - self.y0)
        return _LEFT + across * (_WIDTH - _LEFT - 20), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)

    def frame(self, x_name: str, y_name: str) -> str:
        left, bottom = self.at(self.x0, self.y0)
        right, top = self.at(self.x1, self.y1)
        parts = [
            svg.element("path", d=f"M{left:.5g} {top:.5g}V{bottom:.5g}H{right:.5g}", stroke="#666666", fill="none")
        ]
        xs, ys = whole(np.linspace(self.x0, self.x1, 5)), whole(np.linspace(self.y0, self.y1, 5))
        for value, name in zip(xs, column(xs, 3)):
            place = self.at(value, self.y0)[0]
            parts.append(svg.text(place, bottom + 15, name, text_anchor="middle"))
        for value, name in zip(ys, column(ys, 3)):
            place = self.at(self.x0, value)[1]
            parts.append(svg.text(left - 6, place + 4, name, text_anchor="end"))
            parts.append(svg.element("path", d=f"M{left:.5g} {place:.5g}H{right:.5g}", stroke="#dddddd"))
        parts.append(svg.text((left + right) / 2, _HEIGHT - 6, x_name, text_anchor="middle", font_weight="bold"))
        middle = (top + bottom) / 2
        parts.append(
            svg.text(
                12, middle, y_name, text_anchor="middle", font_weight="bold", transform=f"rotate(-90 12 {middle:.5g})"
            )
        )
        return "".join(parts)


def _span(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def curves(artifact: Series) -> str:
    """Every curve with its band and, where points are few enough to see, the number under the pointer."""
    if not artifact.curves or not len(artifact.x):
        return "<p>No points.</p>"
    x = np.asarray(artifact.x, dtype=np.float64)
    bands = [np.asarray(b, dtype=np.float64) for c in artifact.curves for b in (c.low, c.high) if b is not None]
    ys = [np.asarray(curve.y, dtype=np.float64) for curve in artifact.curves]
    axes = _Axes(x, np.concatenate([*ys, *bands]))
    parts = [axes.frame(artifact.x_name, artifact.y_name)]
    step = -(-len(x) // LARGEST_CURVE)
    for k, (curve, y) in enumerate(zip(artifact.curves, ys)):
        ink = CURVES[k % len(CURVES)]
        if curve.low is not None and curve.high is not None:
            parts.append(_band(axes, x[::step], curve.low[::step], curve.high[::step], ink))
        parts += [
            svg.element("path", d=d, stroke=ink, stroke_width=1.8, fill="none")
            for d in _paths(axes, x[::step], y[::step])
        ]
        if len(x) <= 60:
            for a, b in zip(x, y):
                if math.isfinite(a) and math.isfinite(b):
                    at = axes.at(a, b)
                    hover = svg.title(f"{curve.name}: {artifact.x_name} {number(a)}, {number(b, 6)}")
                    parts.append(svg.element("circle", hover, cx=at[0], cy=at[1], r=3.0, fill=ink))
    names = "".join(
        f'<span class="key"><span style="color:{CURVES[k % len(CURVES)]}">&#9644;</span> {svg.safe(curve.name)}</span>'
        for k, curve in enumerate(artifact.curves)
    )
    thinned = f" Every {step}th of {len(x):,} points is drawn." if step > 1 else ""
    drawing = svg.picture(_WIDTH, _HEIGHT, "".join(parts), artifact.title)
    return f'<figure>{drawing}</figure><p class="legend">{names}{thinned}</p>'


def _paths(axes: _Axes, x: Array, y: Array) -> list[str]:
    """The curve as lines, broken where a value is missing."""
    good = np.isfinite(x) & np.isfinite(y)
    paths: list[str] = []
    current: list[str] = []
    for a, b, known in zip(x, y, good):
        if known:
            at = axes.at(float(a), float(b))
            current.append(f"{at[0]:.5g} {at[1]:.5g}")
        elif current:
            paths.append("M" + "L".join(current))
            current = []
    return [*paths, "M" + "L".join(current)] if current else paths


def _band(axes: _Axes, x: Array, low: Array, high: Array, ink: str) -> str:
    good = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    edge = [axes.at(float(a), float(b)) for a, b in zip(x[good], high[good])]
    edge += [axes.at(float(a), float(b)) for a, b in zip(x[good][::-1], low[good][::-1])]
    points = " ".join(f"{a:.5g},{b:.5g}" for a, b in edge)
    return svg.element("polygon", points=points, fill=ink, fill_opacity=0.15)


def scatter(artifact: Points) -> str:
    """The first two coordinates of every point; label, coordinates and value under the pointer."""
    xy = np.asarray(artifact.xy, dtype=np.float64)
    if not len(xy):
        return "<p>No points.</p>"
    axes = _Axes(xy[:, 0], xy[:, 1])
    names = [*artifact.axis_names, "", ""][:2]
    parts = [axes.frame(names[0], names[1])]
    values = None if artifact.colour is None else np.asarray(artifact.colour, dtype=np.float64)
    low, high = _span(values) if values is not None else (0.0, 1.0)
    labelled = len(artifact.labels) == len(xy)
    room = labelled and len(xy) <= 40 and max(map(len, artifact.labels)) <= _SHORT
    for i, point in enumerate(xy):
        if not np.isfinite(point[:2]).all():
            continue
        at = axes.at(float(point[0]), float(point[1]))
        words = [artifact.labels[i] if labelled else f"point {i}", ", ".join(column(point.tolist()))]
        fill = CURVES[0]
        if values is not None:
            fill = colour(float(values[i]), low, high, signed=False)
            words.append(number(float(values[i])))
        parts.append(
            svg.element(
                "circle",
                svg.title(": ".join(words)),
                cx=at[0],
                cy=at[1],
                r=3.5,
                fill=fill,
                stroke="#333333",
                stroke_width=0.4,
            )
        )
        if room:
            parts.append(svg.text(at[0] + 6, at[1] + 4, artifact.labels[i]))
    hidden = int((~np.isfinite(xy[:, :2]).all(axis=1)).sum())
    words = [f"{len(xy):,} points"]
    if xy.shape[1] > 2:
        words.append("the third coordinate is not drawn")
    if hidden:
        words.append(f"{hidden:,} without coordinates")
    if values is not None:
        words.append(f"colour from {number(low)} to {number(high)}")
    drawing = svg.picture(_WIDTH, _HEIGHT, "".join(parts), artifact.title)
    return f'<figure>{drawing}</figure><p class="legend">{"; ".join(words)}</p>'

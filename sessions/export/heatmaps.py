"""A matrix as coloured cells, the exact number under the pointer; inline SVG."""

from __future__ import annotations

import itertools

import numpy as np

from sessions.artifacts import Array, Matrix
from sessions.export import svg
from sessions.export.colours import colour, ink
from sessions.render.matrices import label, place
from sessions.render.numbers import column, number

LARGEST_SIDE = 100  # cells; a larger plane is pooled, and that is said
SLICES = 12  # planes of a matrix with more than two axes, fewer when they are large
_CELLS = 12_000  # in one picture, at some 150 bytes each
_NUMBERS_UP_TO = 240  # cells that still have room for their number


def heatmap(artifact: Matrix) -> str:
    """The matrix as HTML: a picture per slice, what is not shown said in words."""
    values = np.asarray(artifact.values)
    if values.size == 0:
        return "<p>The matrix is empty.</p>"
    if values.ndim == 0:
        return f"<p>{number(values.item())} {svg.safe(artifact.unit)}</p>"
    lead = max(values.ndim - 2, 0)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    per_plane = int(np.prod([min(n, LARGEST_SIDE) for n in values.shape[lead:]]))
    slices = max(1, min(SLICES, _CELLS // per_plane))
    indices = list(itertools.islice(np.ndindex(*values.shape[:lead]), slices))
    pictures = []
    for index in indices:
        caption = ", ".join(f"{axis.name} {label(axis, i)}" for axis, i in zip(artifact.axes, index))
        drawn = _plane(artifact, values[index], index, low, high, caption)
        pictures.append(
            f"<figure>{drawn}" + (f"<figcaption>{svg.safe(caption)}</figcaption>" if caption else "") + "</figure>"
        )
    shape = " x ".join(f"{axis.name} {n}" for axis, n in zip(artifact.axes, values.shape))
    scale = f"{number(low)} to {number(high)}" + (f" {artifact.unit}" if artifact.unit else "")
    words = [shape, scale]
    total = int(np.prod(values.shape[:lead]))
    if total > len(indices):
        words.append(f"the first {len(indices)} of {total:,} slices")
    if max(values.shape[-2:]) > LARGEST_SIDE:
        words.append("pooled: each cell is the entry of largest size in its block")
    missing = values.size - finite.size
    if missing:
        words.append(f"{missing:,} of {values.size:,} not computed (hatched)")
    return f'<div class="planes">{"".join(pictures)}</div><p class="legend">{svg.safe("; ".join(words))}</p>'


def _plane(artifact: Matrix, plane: Array, index: tuple[int, ...], low: float, high: float, caption: str) -> str:
    one_axis = plane.ndim == 1
    if one_axis:
        plane = plane[None, :]
    down, over = -(-plane.shape[0] // LARGEST_SIDE), -(-plane.shape[1] // LARGEST_SIDE)
    kept = _pooled(plane, down, over)
    rows, across = (None, artifact.axes[-1]) if one_axis else (artifact.axes[-2], artifact.axes[-1])
    roomy = kept.size <= _NUMBERS_UP_TO
    width, height = (46.0, 22.0) if roomy else (max(4.0, min(16.0, 900 / kept.shape[1])),) * 2
    row_names = [""] if rows is None else [_short(label(rows, i * down)) for i in range(kept.shape[0])]
    column_names = [_short(label(across, j * over)) for j in range(kept.shape[1])]
    left = 10 + 6.5 * max(map(len, row_names))
    upright = max(map(len, column_names)) * 6.5 > width
    top = 8 + (6.5 * max(map(len, column_names)) if upright else 14)
    texts = column([value.item() for value in kept.ravel()], 3)
    exact = [number(value.item(), 6) for value in kept.ravel()]
    marks = {(m[-2], m[-1]) for m in artifact.marks if not one_axis and m[:-2] == index}
    parts = []
    for i, j in np.ndindex(*kept.shape):
        x, y, k = left + j * width, top + i * height, i * kept.shape[1] + j
        value = float(kept[i, j])
        fill = colour(value, low, high, signed=artifact.scale == "diverging")
        where = f"{across.name} {label(across, j * over)}" if rows is None else place(rows, across, i * down, j * over)
        where += f" (block of {down} x {over})" if down * over > 1 else ""
        what = "not computed" if np.isnan(value) else f"{exact[k]} {artifact.unit}".strip()
        hover = svg.title(f"{where}: {what}")
        marked = (i, j) in marks and down == over == 1
        edge = "#000000" if marked else None
        parts.append(
            svg.element("rect", hover, x=x, y=y, width=width, height=height, fill=fill, stroke=edge, stroke_width=2)
        )
        if roomy:
            parts.append(
                svg.text(
                    x + width / 2,
                    y + height / 2 + 4,
                    texts[k],
                    text_anchor="middle",
                    fill=ink(fill),
                    pointer_events="none",
                )
            )
    every = 1 if height >= 10 else -(-10 // int(height))
    for i in range(0, kept.shape[0], every):
        parts.append(svg.text(left - 4, top + (i + 0.5) * height + 4, row_names[i], text_anchor="end"))
    for j in range(0, kept.shape[1], 1 if width >= 10 else -(-10 // int(width))):
        x = left + (j + 0.5) * width
        turn = {"transform": f"rotate(-90 {x:.4g} {top - 5:.4g})", "text_anchor": "start"} if upright else {}
        parts.append(
            svg.text(x + (4 if upright else 0), top - 5, column_names[j], **(turn or {"text_anchor": "middle"}))
        )
    size = left + width * kept.shape[1] + 4, top + height * kept.shape[0] + 4
    return svg.picture(*size, "".join(parts), f"{artifact.title} {caption}".strip())


def _short(name: str) -> str:
    name = svg.printed(name)
    return name if len(name) <= 14 else name[:13] + "…"


def _pooled(plane: Array, down: int, over: int) -> Array:
    if down == over == 1:
        return plane
    rows, across = -(-plane.shape[0] // down), -(-plane.shape[1] // over)
    kept = np.full((rows, across), np.nan)
    for i, j in np.ndindex(rows, across):
        block = plane[i * down : (i + 1) * down, j * over : (j + 1) * over].astype(np.float64).ravel()
        known = block[~np.isnan(block)]
        if known.size:
            kept[i, j] = known[np.abs(known).argmax()]
    return kept

"""A matrix as text: numbers where they fit, else a ramp of shades with its legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sessions.artifacts import Array, Axis, Matrix
from sessions.errors import CallError
from sessions.render.layout import Style, cells, clip, left, right, wrapped
from sessions.render.numbers import column, number

_LARGEST_SHOWN = 5


def matrix(artifact: Matrix, style: Style, at: Sequence[int] = ()) -> list[str]:
    """The last two axes, at `at` on the axes before them (the first entry of each when empty).

    CallError when `at` is not an index of those axes.
    """
    values = np.asarray(artifact.values)
    if values.size == 0:
        return [f"empty, of shape {_shape(artifact)}"]
    unit = f" {artifact.unit}" if artifact.unit else ""
    if values.ndim == 0:
        return [number(values.item()) + unit]
    lead = values.ndim - 2
    index = _index(artifact, at, max(lead, 0))
    lines = [_shape(artifact) + (f", in {artifact.unit}" if artifact.unit else "")]
    if index:
        shown = ", ".join(f"{axis.name} {label(axis, i)}" for axis, i in zip(artifact.axes, index))
        lines.append(f"shown: {shown}; the other {int(np.prod(values.shape[:lead])) - 1:,} slices are not")
    plane = values[index]
    if values.ndim == 1:
        lines += _bars(artifact, style)
    else:
        row_axis, column_axis = artifact.axes[-2:]
        marks = {(mark[-2], mark[-1]) for mark in artifact.marks if mark[:lead] == index}
        drawn = _numbers(plane, row_axis, column_axis, marks, style)
        lines += drawn if drawn is not None else _shades(artifact, plane, row_axis, column_axis, style)
        if drawn is None:
            lines += _largest(plane, row_axis, column_axis, style)
        if marks:
            places = style.dot.join(place(row_axis, column_axis, *mark) for mark in sorted(marks))
            lines += wrapped(f"{'* ' if drawn else ''}marked: {places}", style, "  ")
    unknown = int(np.isnan(plane).sum()) if plane.dtype.kind == "f" else 0
    if unknown:
        lines.append(f"{unknown:,} of {plane.size:,} not computed")
    return lines


def label(axis: Axis, i: int) -> str:
    return axis.labels[i] if i < len(axis.labels) else str(i)


def place(row_axis: Axis, column_axis: Axis, i: int, j: int) -> str:
    """A cell the way the field names it: L5H1 for a head, otherwise both labels."""
    if (row_axis.name, column_axis.name) == ("layer", "head"):
        return f"L{i}H{j}"
    return f"{row_axis.name} {label(row_axis, i)}, {column_axis.name} {label(column_axis, j)}"


def _shape(artifact: Matrix) -> str:
    return " x ".join(f"{axis.name} {n}" for axis, n in zip(artifact.axes, artifact.values.shape))


def _index(artifact: Matrix, at: Sequence[int], lead: int) -> tuple[int, ...]:
    if not at:
        return (0,) * lead
    wanted = ", ".join(f"{axis.name} 0 to {n - 1}" for axis, n in zip(artifact.axes[:lead], artifact.values.shape))
    if len(at) != lead or any(not 0 <= i < n for i, n in zip(at, artifact.values.shape)):
        given = ", ".join(map(str, at))
        raise CallError(
            f"there is no slice {given}", artifact.title, f"give {wanted}" if wanted else "it has no slices"
        )
    return tuple(at)


def _numbers(plane: Array, rows: Axis, across: Axis, marks: set[tuple[int, int]], style: Style) -> list[str] | None:
    """The plane as aligned numbers, or None when that does not fit."""
    if plane.shape[0] > style.max_rows or plane.shape[1] > style.width // 4:
        return None
    texts = column(plane.ravel().tolist(), 3)
    if marks:
        texts = [text + ("*" if divmod(k, plane.shape[1]) in marks else " ") for k, text in enumerate(texts)]
    names = [clip(label(rows, i), 16, style) for i in range(plane.shape[0])]
    width = max(cells(text) for text in texts)
    heads = [clip(label(across, j), max(width, 8), style) for j in range(plane.shape[1])]
    width = max(width, *(cells(head) for head in heads))
    corner = clip(f"{rows.name}\\{across.name}", 20, style)
    side = max(cells(corner), *(cells(name) for name in names))
    if side + (width + 1) * plane.shape[1] > style.width:
        return None
    lines = [left(corner, side) + "".join(" " + right(head, width) for head in heads)]
    for i, name in enumerate(names):
        row = texts[i * plane.shape[1] : (i + 1) * plane.shape[1]]
        lines.append((left(name, side) + "".join(" " + right(text, width) for text in row)).rstrip())
    return lines


def _shades(artifact: Matrix, plane: Array, rows: Axis, across: Axis, style: Style) -> list[str]:
    """One or two characters a cell. A signed matrix shows the sign and then the size."""
    signed = artifact.scale == "diverging"
    names = [clip(label(rows, i), 10, style) for i in range(plane.shape[0])]
    side = max(cells(rows.name), *(cells(name) for name in names))
    per_cell = 2 if signed or side + 1 + 2 * plane.shape[1] <= style.width else 1
    room = max(1, (style.width - side - 1) // per_cell)
    down, over = -(-plane.shape[0] // style.max_rows), -(-plane.shape[1] // room)
    drawn = _pooled(plane.astype(np.float64), down, over)
    low, high = _range(drawn, signed)
    lines = [left("", side) + " " + _ticks(drawn.shape[1], over, per_cell)]
    for i, row in enumerate(drawn):
        lines.append(
            left(names[i * down], side) + " " + "".join(_shade(v, low, high, signed, per_cell, style) for v in row)
        )
    size = "size " if signed else ""
    scale = f"{size}{number(low)} [{style.shades}] {number(high)}" + (", sign before it" if signed else "")
    lines.append(f"{rows.name} down, {across.name} across; {scale}; {style.unknown} not computed")
    if down > 1 or over > 1:
        lines.append(f"each character is the largest (by size) of {down} x {over} entries")
    if across.labels:
        names_across = " ".join(f"{j}={label(across, j)}" for j in range(plane.shape[1]))
        lines += wrapped(f"{across.name}: {names_across}", style, "  ")[:4]
    return lines


def _pooled(plane: Array, down: int, over: int) -> Array:
    """The entry of largest size in each block; NaN only where the whole block is."""
    if down == over == 1:
        return plane
    rows, across = -(-plane.shape[0] // down), -(-plane.shape[1] // over)
    padded = np.full((rows * down, across * over), np.nan)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    blocks = padded.reshape(rows, down, across, over).transpose(0, 2, 1, 3).reshape(rows, across, -1)
    sizes = np.where(np.isnan(blocks), -1.0, np.abs(blocks))
    largest: Array = np.take_along_axis(blocks, sizes.argmax(-1)[..., None], axis=-1)[..., 0]
    return largest


def _range(drawn: Array, signed: bool) -> tuple[float, float]:
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return 0.0, 0.0
    return (0.0, float(np.abs(finite).max())) if signed else (float(finite.min()), float(finite.max()))


def _shade(value: float, low: float, high: float, signed: bool, per_cell: int, style: Style) -> str:
    if np.isnan(value):
        return style.unknown * per_cell
    size = abs(value) if signed else value
    span = high - low
    part = min(1.0, max(0.0, (size - low) / span)) if span > 0 else 0.0
    shade = style.shades[min(int(part * len(style.shades)), len(style.shades) - 1)]
    if not signed:
        return shade * per_cell
    return (" " if shade == " " else "-" if value < 0 else "+") + shade


def _ticks(count: int, over: int, per_cell: int) -> str:
    """Column numbers, every tenth drawn column, where they begin."""
    return "".join(left(str(j * over), 10 * per_cell) for j in range(0, count, 10))[: count * per_cell + 4].rstrip()


def _largest(plane: Array, rows: Axis, across: Axis, style: Style) -> list[str]:
    sizes = np.where(np.isnan(plane), -1, np.abs(plane)) if plane.dtype.kind == "f" else np.abs(plane.astype(np.int64))
    order = np.argsort(-sizes, axis=None, kind="stable")[:_LARGEST_SHOWN]
    lines: list[str] = []
    top = [np.unravel_index(int(k), plane.shape) for k in order]
    found = [(int(i), int(j)) for i, j in top if sizes[i, j] >= 0]
    if found:
        texts = column([plane[i, j].item() for i, j in found])
        entries = style.dot.join(f"{place(rows, across, i, j)} {text}" for (i, j), text in zip(found, texts))
        lines += wrapped(f"largest: {entries}", style, "  ")
    return lines


def _bars(artifact: Matrix, style: Style) -> list[str]:
    """A 1-d matrix as one line per entry: label, number, bar."""
    axis, values = artifact.axes[0], artifact.values
    shown = values[: style.max_rows]
    texts = column(shown.tolist())
    names = [clip(label(axis, i), 24, style) for i in range(len(shown))]
    side, width = max(map(cells, names)), max(map(cells, texts))
    room = max(0, style.width - side - width - 4)
    finite = np.abs(shown[np.isfinite(shown)].astype(np.float64)) if shown.dtype.kind == "f" else np.abs(shown)
    largest = float(finite.max()) if finite.size else 0.0
    bar = "#" if style.ascii_only else "█"
    lines = []
    for i, (name, text) in enumerate(zip(names, texts)):
        value = float(shown[i])
        length = round(room * abs(value) / largest) if largest and np.isfinite(value) else 0
        mark = "*" if (i,) in artifact.marks else " "
        lines.append(f"{left(name, side)} {right(text, width)}{mark} {bar * length}".rstrip())
    if len(shown) < len(values):
        lines.append(f"{len(shown)} of {len(values):,} entries")
    return lines

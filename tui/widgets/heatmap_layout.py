"""Where a heatmap's cells go: cell width by free space, pooling when the matrix is larger than the pane, scaling."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from sessions.artifacts import Scale
from themes.colour import Depth

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Ints = np.ndarray[Any, np.dtype[np.int16]]
CellWidth = Literal["auto", "half", "1", "2", "4", "number"]
CELL_WIDTHS: tuple[CellWidth, ...] = ("auto", "half", "1", "2", "4", "number")
MISSING = -1  # the level of a NaN


class Limits(msgspec.Struct, frozen=True):
    """What the ends of the colour scale stand for. A diverging scale is symmetric around zero."""

    low: float
    high: float
    fixed: bool = False  # given from outside, not read off these values

    def __str__(self) -> str:
        return "fixed" if self.fixed else "own range"


def limits_of(values: Floats, scale: Scale, given: tuple[float, float] | None = None) -> Limits:
    """The limits of a matrix: its finite minimum and maximum, or plus and minus the largest magnitude if diverging."""
    if given is not None:
        low, high = float(given[0]), float(given[1])
        if scale == "diverging":
            reach = max(abs(low), abs(high))
            low, high = -reach, reach
        return Limits(low, high if high > low else low + 1.0, fixed=True)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Limits(-1.0, 1.0) if scale == "diverging" else Limits(0.0, 1.0)
    if scale == "diverging":
        reach = float(np.abs(finite).max()) or 1.0
        return Limits(-reach, reach)
    low, high = float(finite.min()), float(finite.max())
    return Limits(low, high if high > low else low + 1.0)


def quantised(values: Floats, limits: Limits, levels: int) -> Ints:
    """Each number's level, 0 to levels - 1 at equal steps, NaN as MISSING; infinities sit at the ends."""
    span = limits.high - limits.low
    with np.errstate(invalid="ignore"):
        part = (np.clip(values, limits.low, limits.high) - limits.low) / span
        scaled = np.rint(part * (levels - 1))
    missing = np.isnan(values)
    return np.where(missing, MISSING, np.where(missing, 0, scaled)).astype(np.int16)


def pooled(values: Floats, row_factor: int, column_factor: int) -> Floats:
    """Blocks of row_factor x column_factor reduced to the number of the largest magnitude, with its sign.

    A block is NaN only when nothing in it is known; blocks at the lower and right edge may be smaller.
    """
    if row_factor == 1 and column_factor == 1:
        return values
    rows, columns = values.shape
    out_rows, out_columns = -(-rows // row_factor), -(-columns // column_factor)
    padded = np.full((out_rows * row_factor, out_columns * column_factor), np.nan)
    padded[:rows, :columns] = values
    blocks = padded.reshape(out_rows, row_factor, out_columns, column_factor).transpose(0, 2, 1, 3)
    flat = blocks.reshape(out_rows, out_columns, row_factor * column_factor)
    magnitude = np.where(np.isnan(flat), -1.0, np.abs(flat))
    strongest = magnitude.argmax(axis=2)
    return np.asarray(np.take_along_axis(flat, strongest[:, :, None], axis=2)[:, :, 0])


def number_format(limits: Limits) -> tuple[int, int]:
    """Decimals and total width that show the limits with three significant digits or so."""
    reach = max(abs(limits.low), abs(limits.high))
    decimals = 0 if reach >= 100 else 1 if reach >= 10 else 2 if reach >= 0.1 else 3
    width = max(len(f"{limits.low:.{decimals}f}"), len(f"{limits.high:.{decimals}f}"))
    return decimals, width


class Layout(msgspec.Struct, frozen=True):
    """How a matrix lies in a pane. Columns and rows below are those after pooling."""

    half: bool  # two rows per line, by half blocks
    cell: int  # characters per column
    numbers: bool
    row_factor: int
    column_factor: int
    label_width: int
    left: int  # where the cells start
    top: int
    lines: int  # lines of cells
    columns: int  # columns that fit
    title: bool
    header: bool
    legend: bool  # the legend has a line of its own, below the readout

    @property
    def rows_visible(self) -> int:
        return self.lines * (2 if self.half else 1)

    @property
    def is_pooled(self) -> bool:
        return self.row_factor > 1 or self.column_factor > 1


def plan(
    shape: tuple[int, int],
    size: tuple[int, int],
    *,
    row_label: int,
    number_width: int,
    depth: Depth,
    scale: Scale,
    wanted: CellWidth = "auto",
    zoom: int = 0,
) -> Layout:
    """The layout of a (rows, columns) matrix in a pane of (width, height) characters.

    `auto` takes the widest cell that shows everything, then half blocks, then pools. A width a person asked for, or a
    zoom, is kept and the pane scrolls instead.
    """
    rows, columns = shape
    width, height = size
    coloured = depth in ("truecolor", "256")
    title, header, legend = height >= 7, height >= 5, height >= 8 or width < 64
    legend = legend and height >= 6
    top = int(title) + (2 if header else 0)
    lines = max(1, height - top - 1 - int(legend))
    spare = min(width // 3, width - 1 - columns * (number_width + 2))  # what a few columns leave to long names
    label_width = min(row_label, max(2, min(width // 5, 14), spare))
    left = label_width + 1
    room = max(1, width - left)
    narrow = 1 if coloured or scale == "sequential" else 2
    widths = {"number": number_width + 2, "4": 4, "2": 2, "1": narrow, "half": 1}

    def layout(name: str, row_factor: int = 1, column_factor: int = 1) -> Layout:
        cell = widths[name]
        drawn = -(-rows // row_factor)
        needed = -(-drawn // 2) if name == "half" else drawn
        return Layout(
            half=name == "half",
            cell=cell,
            numbers=name == "number",
            row_factor=row_factor,
            column_factor=column_factor,
            label_width=label_width,
            left=left,
            top=top,
            lines=min(lines, needed),
            columns=max(1, room // cell),
            title=title,
            header=header,
            legend=legend,
        )

    smallest = "half" if coloured else "1"
    if wanted == "half" and not coloured:
        wanted = "1"
    if wanted != "auto":
        return layout(wanted)
    for name in ("number", "4", "2"):
        if columns * widths[name] <= room and rows <= lines:
            return layout(name)
    tall = lines * (2 if coloured else 1)
    if columns * widths["1"] <= room and rows <= lines:
        return layout("1")
    row_factor = -(-rows // tall)
    column_factor = -(-columns // max(1, room // widths[smallest]))
    shrink = 2**zoom
    row_factor, column_factor = max(1, -(-row_factor // shrink)), max(1, -(-column_factor // shrink))
    if zoom and row_factor == column_factor == 1 and zoom > 1:
        return layout("2")
    return layout(smallest, row_factor, column_factor)

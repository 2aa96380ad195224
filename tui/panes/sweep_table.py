"""What a sweep's matrices say, as one heatmap with the MLPs beside the heads and as a ranking; plain Python."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sessions.artifacts import Axis, Column, Matrix
from sessions.components import Component, Head, Mlp
from tui.widgets.heatmap_layout import Floats

RANKING = (Column("component", "text"), Column("change", "float"))


class SweepGrid(NamedTuple):
    """The heads' matrix with a last column for the MLPs, if they are known."""

    values: Floats
    layers: Axis
    columns: Axis
    heads: int
    limits: tuple[float, float] | None  # from the heads alone: one large MLP would leave them all the same colour
    marks: frozenset[tuple[int, int]]

    def component(self, row: int, column: int) -> Component:
        return Head(row, column) if column < self.heads else Mlp(row)

    def place(self, layer: int, head: int | None) -> tuple[int, int] | None:
        """Where a component stands, if it is in the grid. `head` None is the MLP."""
        column = self.heads if head is None else head
        rows, columns = self.values.shape
        return (layer, column) if 0 <= layer < rows and 0 <= column < columns else None

    def value(self, layer: int, head: int | None) -> float:
        place = self.place(layer, head)
        return float("nan") if place is None else float(self.values[place])

    def rank(self, layer: int, head: int | None) -> tuple[int, int] | None:
        """The component's place by size of effect, from 1, among how many that are known."""
        value = self.value(layer, head)
        if np.isnan(value):
            return None
        known = np.abs(self.values[~np.isnan(self.values)])
        return int((known > abs(value)).sum()) + 1, len(known)


def about_components(matrix: Matrix) -> bool:
    """Whether a matrix is layer x head or layer x MLP, so that its entries are components."""
    return len(matrix.axes) == 2 and matrix.axes[0].name == "layer" and matrix.axes[1].name in ("head", "mlp")


def sweep_grid(heads: Matrix, mlps: Matrix | None = None) -> SweepGrid:
    """One grid of both. Their layers must agree, else the MLPs are left out."""
    values = np.asarray(heads.values, dtype=np.float64)
    rows, columns = values.shape
    labels = heads.axes[1].labels or tuple(f"H{i}" for i in range(columns))
    limits: tuple[float, float] | None = None
    if mlps is not None and np.shape(mlps.values) == (rows, 1):
        values = np.hstack([values, np.asarray(mlps.values, dtype=np.float64)])
        labels = (*labels, "mlp")
        known = np.abs(heads.values[np.isfinite(heads.values)])
        if known.size and heads.scale == "diverging":
            limits = (-float(known.max()), float(known.max()))
    marks = frozenset((int(m[-2]), int(m[-1])) for m in heads.marks if len(m) >= 2)
    return SweepGrid(values, heads.axes[0], Axis("head", labels), columns, limits, marks)


def ranking(grid: SweepGrid, unit: str = "") -> tuple[tuple[Column, ...], list[tuple[str, float]]]:
    """The known components by falling size of effect, for while the sweep's own table is not there yet."""
    rows = [
        (str(grid.component(r, c)), float(grid.values[r, c])) for r, c in np.argwhere(~np.isnan(grid.values)).tolist()
    ]
    rows.sort(key=lambda row: -abs(row[1]))
    return (RANKING[0], Column("change", "float", unit)), rows


def time_left(seconds: float | None) -> str:
    """`12 s left`, `3 min left`; empty while nothing can be said."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(0, round(seconds))} s left"
    minutes = seconds / 60
    return f"{minutes:.0f} min left" if minutes < 90 else f"{minutes / 60:.1f} h left"

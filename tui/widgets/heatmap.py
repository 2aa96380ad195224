"""A heatmap over a slice of a matrix: a cursor with the exact number, a legend, and repaints of only what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from textual import events
from textual.message import Message

from sessions.artifacts import Axis, Scale
from themes.colour import SEQUENTIAL_MAPS
from tui.widgets.heatmap_layout import CELL_WIDTHS, CellWidth, Floats
from tui.widgets.heatmap_picture import HeatmapPicture, Matrix2d, marks_of
from tui.widgets.inks import Piece
from tui.widgets.line_widget import LineWidget


class Heatmap(LineWidget):
    """Draws a matrix; `show` gives it numbers, arrows and `hjkl` move the cursor, `enter` selects."""

    class CursorMoved(Message):
        """The cursor stands on another entry."""

        def __init__(self, heatmap: Heatmap, row: int, col: int) -> None:
            super().__init__()
            self.heatmap, self.row, self.col = heatmap, row, col

        @property
        def control(self) -> Heatmap:
            return self.heatmap

    class Selected(CursorMoved):
        """`enter` on an entry."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.picture = HeatmapPicture()

    @property
    def cursor(self) -> tuple[int, int]:
        """The (row, column) index under the cursor."""
        return self.picture.cursor

    def show(
        self,
        values: Floats,
        row_axis: Axis,
        col_axis: Axis,
        *,
        scale: Scale = "sequential",
        limits: tuple[float, float] | None = None,
        limits_name: str = "",
        unit: str = "",
        marks: Iterable[tuple[Any, ...]] = (),
        title: str = "",
        edges: bool = False,
    ) -> None:
        """Draw a (rows, columns) array; NaN is `not computed yet`, with `edges` that there is no edge.

        The cursor stays where it is if it can.

        Showing an array of the same shape and limits repaints only the cells that changed, so it may be called for
        every partial result of a running sweep.
        """
        data = Matrix2d(
            values=np.atleast_2d(np.asarray(values, dtype=np.float64)),
            row_axis=row_axis,
            column_axis=col_axis,
            scale=scale,
            given_limits=limits,
            limits_name=limits_name,
            unit=unit,
            marks=marks_of(marks),
            title=title,
            **({"known": "are edges", "unknown": "no edge"} if edges else {}),
        )
        self.repaint(self.picture.show(data))

    def move_cursor(self, row: int, col: int, *, quiet: bool = False) -> None:
        """Put the cursor on an entry; `quiet` posts no message (the selection came from another view)."""
        before = self.picture.cursor
        self.repaint(self.picture.move(row, col))
        if self.picture.cursor != before and not quiet:
            self.post_message(self.CursorMoved(self, *self.picture.cursor))

    def set_cell_width(self, width: CellWidth) -> None:
        """Draw cells as `auto`, `half`, `1`, `2`, `4` characters or as the `number` itself."""
        self.picture.wanted = width
        self._restyle_and_refresh()

    def cycle_width(self) -> CellWidth:
        """The next cell width, for a key; returns its name."""
        at = CELL_WIDTHS.index(self.picture.wanted)
        self.set_cell_width(CELL_WIDTHS[(at + 1) % len(CELL_WIDTHS)])
        return self.picture.wanted

    def cycle_map(self) -> str:
        """The next sequential colour map; returns its name."""
        at = SEQUENTIAL_MAPS.index(self.picture.map)
        self.picture.map = SEQUENTIAL_MAPS[(at + 1) % len(SEQUENTIAL_MAPS)]
        self._restyle_and_refresh()
        return self.picture.map

    def zoom(self, steps: int) -> None:
        """Show a pooled matrix finer (positive) or coarser; it then scrolls with the cursor."""
        self.picture.zoom = max(0, min(10, self.picture.zoom + steps))
        self._restyle_and_refresh()

    # ---- painting and keys

    def restyle(self) -> None:
        self.picture.inks = self.inks()
        self.picture.resize(self.size.width, self.size.height)

    def pieces(self, y: int) -> list[Piece]:
        return self.picture.line(y)

    def moved(self, where: str) -> None:
        layout = self.picture.layout
        if layout is None:
            return
        page = layout.rows_visible
        steps = {
            "up": (-1, 0),
            "down": (1, 0),
            "left": (0, -1),
            "right": (0, 1),
            "half_up": (-(page // 2), 0),
            "half_down": (page // 2, 0),
            "page_up": (-page, 0),
            "page_down": (page, 0),
        }
        if where == "first":
            self.move_cursor(0, 0)
        elif where == "last":
            rows, columns = self.picture.data.values.shape
            self.move_cursor(rows - 1, columns - 1)
        else:
            self.move_cursor(*self.picture.step(*steps[where]))

    def chosen(self) -> None:
        if self.picture.data.values.size == 0:
            return
        layout = self.picture.layout
        if layout is not None and layout.is_pooled:
            self.zoom(1)  # a pooled cell is opened before it can be chosen
            return
        self.post_message(self.Selected(self, *self.picture.cursor))

    def on_click(self, event: events.Click) -> None:
        index = self.picture.index_at(event.x - self.gutter.left, event.y - self.gutter.top)
        if index is not None:
            self.move_cursor(*index)

"""Points in the plane, with groups told apart by digit and colour, and a cursor that reads the point."""

from __future__ import annotations

import numpy as np
from rich.style import Style
from textual.message import Message

from sessions.artifacts import Points
from themes.colour import sequential
from tui.widgets.inks import Inks, Piece, clipped, cut, style_of
from tui.widgets.line_widget import LineWidget
from tui.widgets.plot_frame import nice_ticks, tick_text

GROUPS = "0123456789abcdefghijklmnopqrstuvwxyz"


class PointsPicture:
    """The points' picture for a given size. Whole-number colours with few values are groups and drawn as digits."""

    def __init__(self) -> None:
        self.points = Points(title="", xy=np.zeros((0, 2)))
        self.inks = Inks()
        self.size = (0, 0)
        self.axes = (0, 1)
        self.cursor = 0
        self._cells: dict[tuple[int, int], int] = {}  # column, line -> point drawn there
        self._count: dict[tuple[int, int], int] = {}
        self._order: list[int] = []
        self._ticks: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 1.0), (0.0, 1.0))
        self._left = 0
        self._room = (0, 0)

    def prepare(self) -> None:
        """Place every point for the present size and pair of axes."""
        width, height = self.size
        self._cells, self._count, self._order = {}, {}, []
        xy = np.asarray(self.points.xy, dtype=np.float64)
        if xy.size == 0 or width < 16 or height < 6:
            return
        self.axes = tuple(min(a, xy.shape[1] - 1) for a in self.axes)
        x, y = xy[:, self.axes[0]], xy[:, self.axes[1]]
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if known.size == 0:
            return
        lines = height - 4
        y_ticks = nice_ticks(float(y[known].min()), float(y[known].max()), max(1, lines // 3))
        self._left = max(len(tick_text(t, y_ticks)) for t in y_ticks) + 1
        columns = width - self._left - 2
        x_ticks = nice_ticks(float(x[known].min()), float(x[known].max()), max(1, columns // 12))
        self._ticks, self._room = (x_ticks, y_ticks), (columns, lines)
        across = np.rint((x[known] - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (columns - 1)).astype(int)
        up = np.rint((y_ticks[-1] - y[known]) / (y_ticks[-1] - y_ticks[0]) * (lines - 1)).astype(int)
        for point, column, line in zip(known.tolist(), across.tolist(), up.tolist(), strict=True):
            self._cells[(column, line)] = point
            self._count[(column, line)] = self._count.get((column, line), 0) + 1
        self._order = [int(known[i]) for i in np.lexsort((y[known], x[known]))]
        if self.cursor not in set(self._order):
            self.cursor = self._order[0]

    @property
    def groups(self) -> tuple[int, ...] | None:
        """The groups, when the colour values are a few whole numbers."""
        colour = self.points.colour
        if colour is None or len(colour) == 0:
            return None
        values = np.asarray(colour, dtype=np.float64)
        if not np.isfinite(values).all() or not np.equal(values, np.rint(values)).all():
            return None
        found = np.unique(values)
        return tuple(int(v) for v in found) if 1 <= len(found) <= len(GROUPS) else None

    def step(self, by: int) -> None:
        """Put the cursor on the next point from left to right."""
        if self._order:
            at = self._order.index(self.cursor) + by
            self.cursor = self._order[max(0, min(at, len(self._order) - 1))]

    def _glyph(self, point: int) -> tuple[str, Style]:
        coloured = self.inks.depth in ("truecolor", "256")
        plain = self.inks.depth == "ascii"
        groups, colour = self.groups, self.points.colour
        if colour is None or len(colour) == 0:
            return ("o" if plain else "●"), self.inks.text
        value = float(colour[point])
        ramp = sequential(self.inks.depth, "viridis", True)[4:] if coloured else ()
        if groups is not None:
            index = groups.index(int(value))
            place = index / max(1, len(groups) - 1)
            style = style_of(ramp[round(place * (len(ramp) - 1))], None) if ramp and self.inks.dark else self.inks.title
            return GROUPS[index], style
        low, high = float(np.nanmin(colour)), float(np.nanmax(colour))
        part = 0.5 if high <= low or np.isnan(value) else (value - low) / (high - low)
        if ramp:
            return "●", style_of(ramp[round(part * (len(ramp) - 1))], None)
        return GROUPS[round(part * 9)], self.inks.text

    def readout(self) -> str:
        if not self._order:
            return ""
        xy = self.points.xy[self.cursor]
        label = self.points.labels[self.cursor] if self.cursor < len(self.points.labels) else f"point {self.cursor}"
        where = ", ".join(f"{float(v):.4g}" for v in xy)
        colour = "" if self.points.colour is None else f"  value {float(self.points.colour[self.cursor]):.5g}"
        return f"{label}  ({where}){colour}"

    def line(self, y: int) -> list[Piece]:
        """One line of the pane, at most as wide as the pane."""
        return cut(self._line(y), self.size[0])

    def _line(self, y: int) -> list[Piece]:
        width, height = self.size
        inks, plain = self.inks, self.inks.depth == "ascii"
        if not self._order:
            few = "no points" if len(self.points.xy) == 0 else f"a scatter plot needs 16x6, has {width}x{height}"
            return [(clipped(few, width, plain), inks.dim)] if y == 0 else []
        columns, lines = self._room
        if y == 0:
            return [(clipped(self._heading(), width, plain), inks.title)]
        row = y - 1
        if row < lines:
            return self._row(row)
        if row == lines:
            return [(" " * self._left + ("+" + "-" * columns if plain else "└" + "─" * columns), inks.dim)]
        if row == lines + 1:
            first, last = (tick_text(t, self._ticks[0]) for t in (self._ticks[0][0], self._ticks[0][-1]))
            text = first + self._name(0).center(max(0, columns - len(first) - len(last))) + last
            return [(" " * (self._left + 1) + text, inks.dim)]
        return [(clipped(self.readout(), width, plain), inks.text)] if y == height - 1 else []

    def _name(self, which: int) -> str:
        axis = self.axes[which]
        names = self.points.axis_names
        return names[axis] if axis < len(names) else f"dimension {axis}"

    def _heading(self) -> str:
        words = [self.points.title, f"{len(self.points.xy)} points"]
        hidden = len(self._order) - len(self._cells)
        if hidden:
            words.append(f"{hidden} under others")
        words.append(f"up: {self._name(1)}")
        if self.points.xy.shape[1] > 2:
            words.append("o turns the axes")
        return (" | " if self.inks.depth == "ascii" else " · ").join(w for w in words if w)

    def _row(self, row: int) -> list[Piece]:
        columns, lines = self._room
        y_ticks = self._ticks[1]
        label = ""
        for tick in y_ticks:
            if round((y_ticks[-1] - tick) / (y_ticks[-1] - y_ticks[0]) * (lines - 1)) == row:
                label = tick_text(tick, y_ticks)
        plain = self.inks.depth == "ascii"
        out: list[Piece] = [(label.rjust(self._left), self.inks.dim), ("|" if plain else "│", self.inks.dim)]
        here = next((cell for cell, point in self._cells.items() if point == self.cursor), None)
        if here is None:  # the point lies under another one: its place still shows the cursor
            here = self._place(self.cursor)
        for column in range(columns):
            point = self._cells.get((column, row))
            if (column, row) == here:
                out.append((self._glyph(self.cursor)[0], self.inks.accent))
            elif point is None:
                out.append((" ", self.inks.text))
            else:
                out.append(self._glyph(point))
        return out

    def _place(self, point: int) -> tuple[int, int]:
        columns, lines = self._room
        x, y = (float(self.points.xy[point, a]) for a in self.axes)
        x_ticks, y_ticks = self._ticks
        return (
            round((x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (columns - 1)),
            round((y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0]) * (lines - 1)),
        )


class Scatter(LineWidget):
    """Draws a points artifact; `h l` step from point to point."""

    class PointMoved(Message):
        """Another point is under the cursor."""

        def __init__(self, scatter: Scatter, point: int) -> None:
            super().__init__()
            self.scatter, self.point = scatter, point

        @property
        def control(self) -> Scatter:
            return self.scatter

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.picture = PointsPicture()

    def show(self, points: Points) -> None:
        """Draw these points."""
        self.picture.points = points
        self._restyle_and_refresh()

    def turn(self) -> None:
        """The next pair of axes, for points in space."""
        dimensions = int(self.picture.points.xy.shape[1])
        pairs = [(a, b) for a in range(dimensions) for b in range(a + 1, dimensions)] or [(0, 1)]
        at = pairs.index(self.picture.axes) if self.picture.axes in pairs else -1
        self.picture.axes = pairs[(at + 1) % len(pairs)]
        self._restyle_and_refresh()

    def restyle(self) -> None:
        self.picture.inks, self.picture.size = self.inks(), (self.size.width, self.size.height)
        self.picture.prepare()

    def pieces(self, y: int) -> list[Piece]:
        return self.picture.line(y)

    def moved(self, where: str) -> None:
        count = len(self.picture.points.xy)
        steps = {"left": -1, "right": 1, "up": -1, "down": 1, "first": -count, "last": count}
        if where in steps:
            before = self.picture.cursor
            self.picture.step(steps[where])
            if self.picture.cursor != before:
                self.repaint_changes()
                self.post_message(self.PointMoved(self, self.picture.cursor))

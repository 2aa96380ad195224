"""Points in the plane as text: groups by digit and colour, a lattice behind them, a cursor that reads the point."""

from __future__ import annotations

import numpy as np
from rich.style import Style

from sessions.artifacts import Points
from themes.colour import sequential
from tui.widgets.inks import Inks, Piece, clipped, cut, style_of
from tui.widgets.lattice import Box, Lattice
from tui.widgets.plot_frame import nice_ticks, tick_text

SPARSE = 60  # cells for each point of a lattice, from which on its lines are drawn too
GROUPS = "0123456789abcdefghijklmnopqrstuvwxyz"


class PointsPicture:
    """The points' picture for a given size. Whole-number colours with few values are groups and drawn as digits."""

    def __init__(self) -> None:
        self.points = Points(title="", xy=np.zeros((0, 2)))
        self.inks = Inks()
        self.size = (0, 0)
        self.axes = (0, 1)
        self.cursor = 0
        self.shows_cursor = True
        self.shows_lattice = True
        self.lattice: Lattice | None = None
        self.group: int | None = None  # the group that is bright; None: all are
        self.path: tuple[tuple[float, ...], ...] = ()  # further places that must lie in the view
        self.here: tuple[float, ...] | None = None  # a place of its own: where an input stepped through has come to
        self.here_words = ""
        self._net: dict[tuple[int, int], str] = {}  # cells in which a point of the lattice lies, or a line between two
        self._net_words = ""
        self._cells: dict[tuple[int, int], int] = {}  # column, line -> point drawn there
        self._count: dict[tuple[int, int], int] = {}
        self._order: list[int] = []
        self._ticks: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 1.0), (0.0, 1.0))
        self._left = 0
        self._room = (0, 0)

    def prepare(self) -> None:
        """Place every point for the present size and pair of axes."""
        width, height = self.size
        self._cells, self._count, self._order, self._net = {}, {}, [], {}
        xy = np.asarray(self.points.xy, dtype=np.float64)
        if xy.size == 0 or width < 16 or height < 6:
            return
        self.axes = tuple(min(a, xy.shape[1] - 1) for a in self.axes)
        x, y = xy[:, self.axes[0]], xy[:, self.axes[1]]
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if known.size == 0:
            return
        lines = height - 4
        reach = [y[known], *(np.array([p[self.axes[1]]]) for p in self._on_axes())]
        y_ticks = nice_ticks(float(min(v.min() for v in reach)), float(max(v.max() for v in reach)), max(1, lines // 3))
        self._left = max(len(tick_text(t, y_ticks)) for t in y_ticks) + 1
        columns = width - self._left - 2
        reach = [x[known], *(np.array([p[self.axes[0]]]) for p in self._on_axes())]
        low, high = float(min(v.min() for v in reach)), float(max(v.max() for v in reach))
        x_ticks = nice_ticks(low, high, max(1, columns // 12))
        self._ticks, self._room = (x_ticks, y_ticks), (columns, lines)
        across = np.rint((x[known] - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (columns - 1)).astype(int)
        up = np.rint((y_ticks[-1] - y[known]) / (y_ticks[-1] - y_ticks[0]) * (lines - 1)).astype(int)
        for point, column, line in zip(known.tolist(), across.tolist(), up.tolist(), strict=True):
            self._cells[(column, line)] = point
            self._count[(column, line)] = self._count.get((column, line), 0) + 1
        self._order = [int(known[i]) for i in np.lexsort((y[known], x[known]))]
        if self.cursor not in set(self._order):
            self.cursor = self._order[0]
        self._prepare_lattice()

    def _on_axes(self) -> list[tuple[float, ...]]:
        """The further places that have a number on both axes."""
        return [p for p in self.path if len(p) > max(self.axes) and all(np.isfinite(p[a]) for a in self.axes)]

    def _prepare_lattice(self) -> None:
        self._net_words = ""
        if self.lattice is None or not self.shows_lattice:
            return
        (x_ticks, y_ticks), (columns, lines) = self._ticks, self._room
        box = ((x_ticks[0], y_ticks[0]), (x_ticks[-1], y_ticks[-1]))
        inside = self.lattice.within(box, self.axes, most=columns * lines // 4)
        if inside is None:
            self._net_words = "the lattice is too fine to draw"
            return
        if len(inside) <= columns * lines // SPARSE:
            self._draw_lines(self.lattice, box)
        point = "+" if self._net else "·"
        self._net |= {self._cell_of(float(px), float(py)): point for px, py in inside}
        self._net_words = f"{'+' if point == '+' else 'dots'}: the lattice"

    def _draw_lines(self, lattice: Lattice, box: Box) -> None:
        """From each point of the lattice to its neighbours: few points alone would hide under the states."""
        (low_x, low_y), (high_x, high_y) = box
        vectors = lattice.vectors(self.axes)
        margin = np.abs(vectors).sum(axis=0) if len(vectors) else np.zeros(2)
        around = (low_x - margin[0], low_y - margin[1]), (high_x + margin[0], high_y + margin[1])
        corners = lattice.within(around, self.axes, most=self._room[0] * self._room[1])
        if corners is None:
            return
        columns, lines = self._room
        size = np.array([(high_x - low_x) / columns, (high_y - low_y) / lines])
        for vector in vectors:
            steps = int(np.ceil(np.abs(vector / size).max())) + 1
            along = corners[:, None] + np.linspace(0.0, 1.0, steps)[None, :, None] * vector
            for x, y in along.reshape(-1, 2).tolist():
                if low_x <= x <= high_x and low_y <= y <= high_y:
                    self._net[self._cell_of(x, y)] = "·"

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
        if self.group is not None and groups is not None and int(value) != self.group:
            return GROUPS[groups.index(int(value))], self.inks.dim
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
        come = ""
        if self.here is not None:
            come = f"{self.here_words}  ({', '.join(f'{v:.4g}' for v in self.here)})"
            if not self.shows_cursor:
                return come
        xy = self.points.xy[self.cursor]
        label = self.points.labels[self.cursor] if self.cursor < len(self.points.labels) else f"point {self.cursor}"
        where = ", ".join(f"{float(v):.4g}" for v in xy)
        colour = "" if self.points.colour is None else f"  value {float(self.points.colour[self.cursor]):.5g}"
        return f"{come}{', cursor on ' if come else ''}{label}  ({where}){colour}"

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
        words = [self.points.title, f"{len(self.points.xy)} points", self._net_words]
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
        here = None
        if self.shows_cursor:
            here = next((cell for cell, point in self._cells.items() if point == self.cursor), None)
            if here is None:  # the point lies under another one: its place still shows the cursor
                here = self._cell_of(*(float(self.points.xy[self.cursor, a]) for a in self.axes))
        come = None
        if self.here is not None and len(self.here) > max(self.axes):
            come = self._cell_of(*(self.here[a] for a in self.axes))
        for column in range(columns):
            point = self._cells.get((column, row))
            if (column, row) == come:
                out.append(("@" if plain else "◆", self.inks.accent))
            elif (column, row) == here:
                out.append((self._glyph(self.cursor)[0], self.inks.accent))
            elif point is not None:
                out.append(self._glyph(point))
            elif (column, row) in self._net:
                glyph = self._net[(column, row)]
                out.append(("." if plain and glyph == "·" else glyph, self.inks.dim))
            else:
                out.append((" ", self.inks.text))
        return out

    def _cell_of(self, x: float, y: float) -> tuple[int, int]:
        columns, lines = self._room
        x_ticks, y_ticks = self._ticks
        return (
            round((x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (columns - 1)),
            round((y_ticks[-1] - y) / (y_ticks[-1] - y_ticks[0]) * (lines - 1)),
        )

    def take(self, points: Points, lattice: Lattice | None) -> None:
        """These points, and the lattice behind them."""
        self.lattice = lattice
        if points is not self.points:
            self.points = points
            self.group, self.path, self.here = None, (), None

"""A heatmap as lines of styled text: the state behind the widget, without Textual."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from rich.style import Style

from sessions.artifacts import Axis, Scale
from themes.colour import Rgb, SequentialMap, diverging, ink, sequential, shades
from tui.widgets.heatmap_layout import (
    MISSING,
    CellWidth,
    Floats,
    Ints,
    Layout,
    Limits,
    limits_of,
    number_format,
    plan,
    pooled,
    quantised,
)
from tui.widgets.inks import Inks, Piece, clipped, style_of

SHORTEST_READOUT = 20  # beside the legend; with less room the readout has the line for itself

FEW = 8  # columns, whose names are written whole where there is room
LONGEST_NAME = 24
LONGEST_LABEL = 8  # characters of a column's label, where the cell is narrower

Rectangle = tuple[int, int, int, int]  # x, y, width, height, from the pane's upper left corner


class Matrix2d(msgspec.Struct, frozen=True):
    """What is drawn: a slice of a matrix, its two axes and what the numbers mean."""

    values: Floats
    row_axis: Axis
    column_axis: Axis
    scale: Scale = "sequential"
    given_limits: tuple[float, float] | None = None
    limits_name: str = ""  # what fixed the limits, for the legend: "shared by all heads"
    unit: str = ""
    marks: frozenset[tuple[int, int]] = frozenset()
    title: str = ""
    known: str = "computed"  # what an entry that is not NaN is, for the title
    unknown: str = "not computed"  # what an entry that is NaN is, for the readout


class HeatmapPicture:
    """Draws a matrix into a pane of a given size and knows which cells a cursor step touches.

    The matrix is pooled and quantised once per new array, size or colour map; drawing a line only looks levels up.
    """

    def __init__(self) -> None:
        self.data = Matrix2d(np.zeros((0, 0)), Axis("row"), Axis("column"))
        self.inks = Inks()
        self.map: SequentialMap = "viridis"
        self.wanted: CellWidth = "auto"
        self.zoom = 0
        self.size = (0, 0)
        self.cursor = (0, 0)  # an index into the matrix
        self.offset = (0, 0)  # first pooled row and column in view
        self.layout: Layout | None = None
        self.limits = Limits(0.0, 1.0)
        self.levels: Ints = np.zeros((0, 0), np.int16)
        self.pooled: Floats = np.zeros((0, 0))
        self._colours: tuple[Rgb, ...] = ()
        self._marked: frozenset[tuple[int, int]] = frozenset()

    # ---- what is shown

    def show(self, data: Matrix2d) -> list[Rectangle] | None:
        """Take a new matrix. Returns the rectangles that changed, or None when everything may have."""
        before, old_levels, old_limits, old_layout = self.data, self.levels, self.limits, self.layout
        self.data = data
        if before.values.shape != data.values.shape:
            rows, columns = data.values.shape
            self.cursor = (max(0, min(self.cursor[0], rows - 1)), max(0, min(self.cursor[1], columns - 1)))
            self.zoom = 0
            self.offset = (0, 0)
        self.prepare()
        same = (
            old_layout is not None
            and old_layout == self.layout
            and old_limits == self.limits
            and old_levels.shape == self.levels.shape
            and before.row_axis == data.row_axis
            and before.column_axis == data.column_axis
            and before.marks == data.marks
            and before.title == data.title
            and before.unit == data.unit
        )
        if not same or self.layout is None or self.layout.numbers:
            return None
        changed = np.argwhere(old_levels != self.levels)
        if len(changed) > 64:
            return None
        rectangles = [self._cell_rectangle(int(r), int(c)) for r, c in changed]
        return [r for r in rectangles if r is not None] + [self.readout_rectangle()]

    def resize(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.prepare()

    def prepare(self) -> None:
        """Lay out, pool and quantise for the present matrix, size and colours."""
        rows, columns = self.data.values.shape
        width, height = self.size
        if rows == 0 or columns == 0 or width < 6 or height < 2:
            self.layout = None
            return
        depth, dark = self.inks.depth, self.inks.dark
        values = np.asarray(self.data.values, dtype=np.float64)
        self.limits = limits_of(values, self.data.scale, self.data.given_limits)
        _, number_width = number_format(self.limits)
        labels = self.data.row_axis.labels
        row_label = max((len(x) for x in labels), default=len(str(rows - 1)))
        self.layout = plan(
            (rows, columns),
            self.size,
            row_label=row_label,
            number_width=self._named_width(number_width, row_label),
            depth=depth,
            scale=self.data.scale,
            wanted=self.wanted,
            zoom=self.zoom,
        )
        self.pooled = pooled(values, self.layout.row_factor, self.layout.column_factor)
        signed = self.data.scale == "diverging"
        self._colours = diverging(depth, dark) if signed else sequential(depth, self.map, dark)
        ramp = len(shades(depth, signed))
        count = len(self._colours) or (2 * ramp - 1 if signed else ramp)
        self.levels = quantised(self.pooled, self.limits, count)
        self._marked = frozenset(self._pooled_cell(r, c) for r, c in self.data.marks)
        self._scroll_to_cursor()

    def _named_width(self, number_width: int, row_label: int) -> int:
        """The width of a number's cell: of a few columns with long names, such as models, as wide as the names."""
        columns, width = self.data.values.shape[1], self.size[0]
        longest = min(LONGEST_NAME, max((len(x) for x in self.data.column_axis.labels), default=0))
        room = width - min(row_label, width // 3) - 1
        return (
            longest if columns <= FEW and longest > number_width and columns * (longest + 2) <= room else number_width
        )

    def _pooled_cell(self, row: int, column: int) -> tuple[int, int]:
        assert self.layout is not None
        return row // self.layout.row_factor, column // self.layout.column_factor

    # ---- the cursor

    def step(self, rows: int, columns: int) -> tuple[int, int]:
        """The index that many drawn cells away; in a pooled cell, its entry of largest magnitude."""
        if self.layout is None:
            return self.cursor
        row, column = self._pooled_cell(*self.cursor)
        row = max(0, min(row + rows, self.levels.shape[0] - 1))
        column = max(0, min(column + columns, self.levels.shape[1] - 1))
        return self.strongest_in(row, column)

    def strongest_in(self, row: int, column: int) -> tuple[int, int]:
        """The matrix index whose number a drawn cell shows."""
        assert self.layout is not None
        high, wide = self.layout.row_factor, self.layout.column_factor
        if high == wide == 1:
            return row, column
        block = np.abs(self.data.values[row * high : (row + 1) * high, column * wide : (column + 1) * wide])
        at = int(np.where(np.isnan(block), -1.0, block).argmax())
        return row * high + at // block.shape[1], column * wide + at % block.shape[1]

    def move(self, row: int, column: int) -> list[Rectangle] | None:
        """Put the cursor on a matrix entry. Returns what must be repainted, or None when the view scrolled."""
        rows, columns = self.data.values.shape
        if rows == 0 or columns == 0:
            return []
        before, old = self.cursor, len(self.readout())
        self.cursor = (max(0, min(row, rows - 1)), max(0, min(column, columns - 1)))
        if self.layout is None or before == self.cursor:
            return []
        if self._scroll_to_cursor():
            return None
        x, y, width, _ = self.readout_rectangle()
        words = (x, y, min(width, max(old, len(self.readout()))), 1)
        return [*self._cursor_rectangles(*before), *self._cursor_rectangles(*self.cursor), words]

    def _scroll_to_cursor(self) -> bool:
        assert self.layout is not None
        row, column = self._pooled_cell(*self.cursor)
        before = self.offset
        top, left = self.offset
        rows, columns = self.levels.shape
        top = max(0, min(top, rows - self.layout.rows_visible))
        left = max(0, min(left, columns - self.layout.columns))
        top = row if row < top else max(top, row - self.layout.rows_visible + 1)
        left = column if column < left else max(left, column - self.layout.columns + 1)
        if self.layout.half:
            top -= top % 2
        self.offset = (top, left)
        return self.offset != before

    def _cell_rectangle(self, row: int, column: int) -> Rectangle | None:
        assert self.layout is not None
        down, right = row - self.offset[0], column - self.offset[1]
        if not (0 <= down < self.layout.rows_visible and 0 <= right < self.layout.columns):
            return None
        line = down // 2 if self.layout.half else down
        return self.layout.left + right * self.layout.cell, self.layout.top + line, self.layout.cell, 1

    def _cursor_rectangles(self, row: int, column: int) -> list[Rectangle]:
        cell = self._cell_rectangle(*self._pooled_cell(row, column))
        if cell is None or self.layout is None:
            return []
        x, y, width, _ = cell
        out = [cell, (0, y, self.layout.left, 1)]
        if self.layout.header:
            out.append((x, self.layout.top - 1, width, 1))
            # The cursor's label, and its neighbours that it covers or that come back.
            reach = max(LONGEST_LABEL, self.layout.cell) + 1
            left, right = max(0, x - reach), min(x + 2 * reach, self.size[0])
            out.append((left, self.layout.top - 2, right - left, 1))
        return out

    def readout_rectangle(self) -> Rectangle:
        assert self.layout is not None
        width, y = self.size[0], self.layout.top + self.layout.lines
        if self.layout.legend:
            return 0, y, width, 1
        room = width - self._legend_width() - 1
        return 0, y, width if room < SHORTEST_READOUT else room, 1

    def index_at(self, x: int, y: int) -> tuple[int, int] | None:
        """The matrix index drawn at a place of the pane, if any (for the mouse)."""
        if self.layout is None or x < self.layout.left or not 0 <= y - self.layout.top < self.layout.lines:
            return None
        row = self.offset[0] + (y - self.layout.top) * (2 if self.layout.half else 1)
        column = self.offset[1] + (x - self.layout.left) // self.layout.cell
        if row >= self.levels.shape[0] or column >= self.levels.shape[1]:
            return None
        return self.strongest_in(row, column)

    # ---- words

    def label(self, axis: Axis, index: int) -> str:
        return axis.labels[index] if index < len(axis.labels) else str(index)

    def readout(self) -> str:
        """The number under the cursor, exactly, with the names of where it stands."""
        if self.data.values.size == 0:
            return ""
        row, column = self.cursor
        value = float(self.data.values[row, column])
        number = (
            self.data.unknown if np.isnan(value) else f"{value:.6g}" + (f" {self.data.unit}" if self.data.unit else "")
        )
        where = f"{_named(self.data.row_axis, row)} · {_named(self.data.column_axis, column)}"
        mark = "  marked" if (row, column) in self.data.marks else ""
        if self.inks.depth == "ascii":
            where = where.replace("·", "|")
        return f"{where} = {number}{mark}"

    def heading(self) -> str:
        """The title with what the picture leaves out: pooling and the part in view."""
        if self.layout is None:
            return self.data.title
        words = [self.data.title] if self.data.title else []
        if self.layout.is_pooled:
            words.append(f"pooled {self.layout.row_factor}x{self.layout.column_factor} by max |x|")
        rows, columns = self.levels.shape
        part: list[str] = []
        if rows > self.layout.rows_visible:
            high = self.layout.row_factor
            last = min(rows, self.offset[0] + self.layout.rows_visible) * high
            part.append(f"{self.data.row_axis.name} {self.offset[0] * high}-{min(last, self.data.values.shape[0]) - 1}")
        if columns > self.layout.columns:
            wide = self.layout.column_factor
            last = min(columns, self.offset[1] + self.layout.columns) * wide
            end = min(last, self.data.values.shape[1]) - 1
            part.append(f"{self.data.column_axis.name} {self.offset[1] * wide}-{end}")
        if part:
            words.append("shown: " + ", ".join(part))
        missing = int(np.isnan(self.data.values).sum())
        if missing:
            words.append(f"{self.data.values.size - missing} of {self.data.values.size} {self.data.known}")
        return " · ".join(words) if self.inks.depth != "ascii" else " | ".join(words)

    # ---- lines

    def line(self, y: int) -> list[Piece]:
        """One line of the pane, as pieces of text with their styles, as wide as the pane or less."""
        width, height = self.size
        inks = self.inks
        if self.layout is None:
            empty = "nothing to draw" if self.data.values.size == 0 else f"needs at least 6x2, has {width}x{height}"
            return [(clipped(empty, width), inks.dim)] if y == 0 else []
        plain = inks.depth == "ascii"
        if self.layout.title and y == 0:
            return [(clipped(self.heading(), width, plain), inks.title)]
        if self.layout.header and y == self.layout.top - 2:
            return self._label_line(width)
        if self.layout.header and y == self.layout.top - 1:
            return self._tick_line()
        if self.layout.top <= y < self.layout.top + self.layout.lines:
            return self._cells(y - self.layout.top)
        below = y - self.layout.top - self.layout.lines
        if self.layout.legend and below == 1:
            return self._legend()
        if below == 0:
            if self.layout.legend:
                return [(clipped(self.readout(), width, plain), inks.text)]
            room = width - self._legend_width() - 1
            if room < SHORTEST_READOUT:
                return [(clipped(self.readout(), width, plain), inks.text)]
            return [(clipped(self.readout(), room, plain).ljust(room + 1), inks.text), *self._legend()]
        return []

    def _label_line(self, width: int) -> list[Piece]:
        """The column labels that fit, and always the cursor's own."""
        assert self.layout is not None
        cell, first = self.layout.cell, self.offset[1]
        shown = range(first, min(first + self.layout.columns, self.levels.shape[1]))
        longest = max((len(self._column_name(c)) for c in shown), default=1)
        stride = 1 if longest <= cell else -(-(longest + 1) // cell)
        at = self._pooled_cell(*self.cursor)[1]
        x, name = self._label_place(at)
        taken = range(x - 1, x + len(name) + 1)
        text = [" "] * width
        for column in shown[::stride]:
            left, label = self._label_place(column)
            if column != at and not (set(range(left, left + len(label))) & set(taken)):
                text[left : left + len(label)] = label
        line = "".join(text)[:width]
        return [(line[:x], self.inks.dim), (name, self.inks.title), (line[x + len(name) :], self.inks.dim)]

    def _column_name(self, column: int) -> str:
        assert self.layout is not None
        name = self.label(self.data.column_axis, column * self.layout.column_factor)
        return clipped(name, max(self.layout.cell, LONGEST_LABEL), self.inks.depth == "ascii")

    def _label_place(self, column: int) -> tuple[int, str]:
        """Where a column's label starts: over the middle of a wide cell, at the left edge of a narrow one."""
        assert self.layout is not None
        name, cell = self._column_name(column), self.layout.cell
        x = self.layout.left + (column - self.offset[1]) * cell + (max(0, cell - len(name)) // 2 if cell > 3 else 0)
        return max(0, min(x, self.size[0] - len(name))), name

    def _tick_line(self) -> list[Piece]:
        assert self.layout is not None
        _, column = self._pooled_cell(*self.cursor)
        place = column - self.offset[1]
        tick = "v" if self.inks.depth == "ascii" else "▾"
        before = self.layout.left + place * self.layout.cell + (self.layout.cell - 1) // 2
        return [(" " * before, self.inks.text), (tick, self.inks.title)]

    def _cells(self, line: int) -> list[Piece]:
        assert self.layout is not None
        layout, inks = self.layout, self.inks
        row = self.offset[0] + line * (2 if layout.half else 1)
        if row >= self.levels.shape[0]:
            return []
        at_row, at_column = self._pooled_cell(*self.cursor)
        here = at_row in (row, row + 1) if layout.half else at_row == row
        plain = inks.depth == "ascii"
        name = clipped(self.label(self.data.row_axis, row * layout.row_factor), layout.label_width, plain)
        tick = (">" if plain else "▸") if here else " "
        out: list[Piece] = [(name.rjust(layout.label_width), inks.title if here else inks.dim), (tick, inks.title)]
        columns = range(self.offset[1], min(self.offset[1] + layout.columns, self.levels.shape[1]))
        if layout.half:
            out.extend(self._half_cell(row, c, (at_row, at_column)) for c in columns)
        elif self._colours:
            out.extend(self._colour_cell(row, c, here and c == at_column) for c in columns)
        else:
            out.extend(self._shade_cell(row, c, here and c == at_column) for c in columns)
        return out

    def _half_cell(self, row: int, column: int, cursor: tuple[int, int]) -> Piece:
        upper, lower = self._half_colour(row, column, cursor), self._half_colour(row + 1, column, cursor)
        if upper is None and lower is None:
            missing = row < self.levels.shape[0] and self.levels[row, column] == MISSING
            return ("·" if missing else " ", self.inks.dim)
        if upper is None:
            return "▄", style_of(lower, None)
        if lower is None:
            return "▀", style_of(upper, None)
        if upper == lower:
            return " ", style_of(None, upper)
        return "▀", style_of(upper, lower)

    def _half_colour(self, row: int, column: int, cursor: tuple[int, int]) -> Rgb | None:
        if row >= self.levels.shape[0]:
            return None
        if (row, column) == cursor:
            return (255, 60, 200) if self.inks.dark else (200, 0, 150)
        level = int(self.levels[row, column])
        return None if level == MISSING else self._colours[level]

    def _text(self, row: int, column: int, fill: str, cursor: bool) -> str:
        """A cell's characters: its number or filling, brackets under the cursor, a dot for a mark."""
        assert self.layout is not None
        cell, ascii_only = self.layout.cell, self.inks.depth == "ascii"
        missing = self.levels[row, column] == MISSING
        unknown = "?" if ascii_only else "·"
        if self.layout.numbers:
            decimals, _ = number_format(self.limits)
            value = float(self.pooled[row, column])
            inner = (unknown if missing else f"{value:.{decimals}f}").rjust(cell - 2)
            text = f" {inner} "
        else:
            text = unknown.center(cell) if missing else fill
        marked = (row, column) in self._marked
        if cell == 1:
            return ("#" if ascii_only else "□") if cursor else ("*" if ascii_only else "•") if marked else text
        if marked:
            dot = "*" if ascii_only else "•"
            text = text[:-1] + dot if self.layout.numbers else text[: cell // 2 - 1] + dot + text[cell // 2 :]
        if cursor and cell == 2:
            text = "[" + (text[0] if marked else "]")
        elif cursor:
            text = "[" + text[1:-1] + (text[-1] if marked and self.layout.numbers else "]")
        return text

    def _colour_cell(self, row: int, column: int, cursor: bool) -> Piece:
        assert self.layout is not None
        level = int(self.levels[row, column])
        text = self._text(row, column, " " * self.layout.cell, cursor)
        if level == MISSING:
            return text, (self.inks.title if cursor else self.inks.dim)
        back = self._colours[level]
        if text.isspace():
            return text, style_of(None, back)
        return text, style_of(ink(back), back, cursor)

    def _shade_cell(self, row: int, column: int, cursor: bool) -> Piece:
        assert self.layout is not None
        level = int(self.levels[row, column])
        ramp, cell = shades(self.inks.depth, self.data.scale == "diverging"), self.layout.cell
        fill, style = " " * cell, self.inks.text
        if level != MISSING:
            if self.data.scale == "diverging":
                signed = level - (len(ramp) - 1)
                sign = " " if signed == 0 else "+" if signed > 0 else "-"
                fill = ramp[abs(signed)] * (cell - 1) + sign
                if self.inks.depth == "16" and signed:
                    style = _POSITIVE if signed > 0 else _NEGATIVE
            else:
                fill = ramp[level] * cell
        return self._text(row, column, fill, cursor), (self.inks.title if cursor else style)

    # ---- the legend

    def _legend_ends(self) -> tuple[str, str, str]:
        mode = self.data.limits_name or str(self.limits)
        words = [self.data.unit, "0 in the middle" if self.data.scale == "diverging" else "", mode]
        return f"{self.limits.low:.3g} ", f" {self.limits.high:.3g} ", ", ".join(w for w in words if w)

    def _legend_width(self) -> int:
        low, high, words = self._legend_ends()
        return len(low) + 13 + len(high) + len(words)

    def _legend(self) -> list[Piece]:
        low, high, words = self._legend_ends()
        ends = self.inks.dim
        bar: list[Piece] = []
        if self._colours:
            picked = np.rint(np.linspace(0, len(self._colours) - 1, 13)).astype(int)
            bar = [(" ", style_of(None, self._colours[int(i)])) for i in picked]
        else:
            signed = self.data.scale == "diverging"
            ramp = shades(self.inks.depth, signed)
            steps = range(-5, 6) if signed else range(13)
            most = 5 if signed else 12
            text = "".join(ramp[round(abs(i) / most * (len(ramp) - 1))] for i in steps)
            bar = [(f"-{text}+" if signed else text, self.inks.text)]
        tail = clipped(high + words, max(1, self.size[0] - len(low) - 13), self.inks.depth == "ascii")
        return [(low, ends), *bar, (tail, ends)]


_POSITIVE = Style(color="yellow")
_NEGATIVE = Style(color="bright_blue")


def _named(axis: Axis, index: int) -> str:
    if index >= len(axis.labels):
        return f"{axis.name} {index}"
    label = axis.labels[index]
    if label.lstrip("LHlh") == str(index):  # `head 7` says as much as `head 7 'H7'`
        return f"{axis.name} {index}"
    return f"{axis.name} {index} {label!r}"


def marks_of(marks: Iterable[tuple[Any, ...]]) -> frozenset[tuple[int, int]]:
    """The marks of a matrix artifact as (row, column): the last two indices of each."""
    return frozenset((int(m[-2]), int(m[-1])) for m in marks if len(m) >= 2)

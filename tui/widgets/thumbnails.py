"""All heads of all layers as small heatmaps: a row per layer, a column per head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from textual.message import Message

from sessions.artifacts import Scale
from themes.colour import diverging, sequential, shades
from tui.widgets.heatmap_layout import MISSING, Floats, Ints, limits_of, pooled, quantised
from tui.widgets.inks import Piece, clipped, style_of
from tui.widgets.line_widget import LineWidget


class Thumbnails(LineWidget):
    """Draws values[row, column, y, x]; one head is selected, `enter` opens it."""

    class Moved(Message):
        """Another thumbnail is selected."""

        def __init__(self, grid: Thumbnails, row: int, col: int) -> None:
            super().__init__()
            self.grid, self.row, self.col = grid, row, col

        @property
        def control(self) -> Thumbnails:
            return self.grid

    class Selected(Moved):
        """`enter` on a thumbnail."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.values: Floats = np.zeros((0, 0, 0, 0))
        self.scale: Scale = "sequential"
        self.shared = False
        self.labels: tuple[tuple[str, ...], ...] = ()
        self.title = ""
        self.empty = "no patterns"
        self.cursor = (0, 0)
        self.offset = (0, 0)
        self._levels: dict[tuple[int, int], Ints] = {}
        self._cell = (6, 3)

    def show(
        self,
        values: Floats,
        labels: Sequence[Sequence[str]],
        *,
        scale: Scale = "sequential",
        shared: bool = False,
        title: str = "",
        empty: str = "no patterns",
    ) -> None:
        """Draw a (rows, columns, height, width) array. `labels[row][column]` names each; `shared`: one colour scale."""
        self.values, self.scale, self.shared = np.asarray(values, dtype=np.float64), scale, shared
        self.labels, self.title, self.empty = tuple(tuple(r) for r in labels), title, empty
        rows, columns = self.values.shape[:2]
        self.cursor = (max(0, min(self.cursor[0], rows - 1)), max(0, min(self.cursor[1], columns - 1)))
        self._restyle_and_refresh()

    def select(self, row: int, col: int) -> None:
        """Select a thumbnail without a message."""
        rows, columns = self.values.shape[:2]
        if 0 <= row < rows and 0 <= col < columns and (row, col) != self.cursor:
            self._go(row, col)

    # ---- layout: each thumbnail is a caption line and some lines of cells

    @property
    def _coloured(self) -> bool:
        return self.inks().depth in ("truecolor", "256")

    @property
    def _visible(self) -> tuple[int, int]:
        wide, high = self._cell
        return max(1, (self.size.height - 1) // (high + 1)), max(1, (self.size.width + 1) // (wide + 1))

    def restyle(self) -> None:
        self._levels = {}
        rows, columns, height, width = self.values.shape
        if not rows or not columns:
            return
        label = max((len(x) for r in self.labels for x in r), default=4) + 2
        fits = (self.size.width + 1) // columns - 1
        wide = max(label, min(fits, max(width, label), 24))
        natural = -(-height // 2) if self._coloured else height
        high = max(2, min(wide // 2, natural, (self.size.height - 1) // min(rows, 4) - 1))
        self._cell = (wide, high)
        self._keep_in_view()

    def _keep_in_view(self) -> bool:
        before = self.offset
        rows, columns = self._visible
        top, left = self.offset
        row, column = self.cursor
        top = max(0, min(top, self.values.shape[0] - rows))
        left = max(0, min(left, self.values.shape[1] - columns))
        top = min(max(top, row - rows + 1), row)
        left = min(max(left, column - columns + 1), column)
        self.offset = (top, left)
        return self.offset != before

    def _thumbnail(self, row: int, column: int) -> Ints:
        """The levels of one head's pixels, pooled by magnitude to what a thumbnail has room for."""
        if (row, column) not in self._levels:
            wide, high = self._cell
            values = self.values[row, column]
            lines = high * (2 if self._coloured else 1)
            values = pooled(values, -(-values.shape[0] // lines), -(-values.shape[1] // wide))
            inks = self.inks()
            if self._coloured:
                ramp = diverging(inks.depth, inks.dark) if self.scale == "diverging" else sequential(inks.depth)
                count = len(ramp)
            else:
                count = len(shades(inks.depth))
                values = np.abs(values)
            limits = limits_of(self.values if self.shared else self.values[row, column], self.scale)
            if not self._coloured:
                limits = limits_of(np.abs(self.values if self.shared else self.values[row, column]), "sequential")
            self._levels[(row, column)] = quantised(values, limits, count)
        return self._levels[(row, column)]

    def pieces(self, y: int) -> list[Piece]:
        inks = self.inks()
        plain = inks.depth == "ascii"
        rows, columns = self.values.shape[:2]
        if not rows or not columns:
            return [(clipped(self.empty, self.size.width, plain), inks.dim)] if y == 0 else []
        if y == 0:
            return [(clipped(self._heading(), self.size.width, plain), inks.title)]
        wide, high = self._cell
        row, line = divmod(y - 1, high + 1)
        row += self.offset[0]
        if row >= rows or row >= self.offset[0] + self._visible[0]:
            return []
        out: list[Piece] = []
        for column in range(self.offset[1], min(columns, self.offset[1] + self._visible[1])):
            if line == 0:
                text = self.labels[row][column]
                here = (row, column) == self.cursor
                shown = clipped(f"[{text}]" if here else f" {text} ", wide, plain)
                out += [(shown, inks.accent if here else inks.dim), (" " * (wide - len(shown) + 1), inks.text)]
            else:
                out += [*self._pixels(self._thumbnail(row, column), line - 1, wide), (" ", inks.text)]
        return out

    def _pixels(self, levels: Ints, line: int, wide: int) -> list[Piece]:
        inks = self.inks()
        out: list[Piece] = []
        if not self._coloured:
            ramp = shades(inks.depth)
            unknown = "?" if inks.depth == "ascii" else "·"
            row = levels[line] if line < len(levels) else []
            text = "".join(unknown if v == MISSING else ramp[int(v)] for v in row)
            return [(text.ljust(wide), inks.text)]
        ramp_rgb = diverging(inks.depth, inks.dark) if self.scale == "diverging" else sequential(inks.depth)
        upper = levels[2 * line] if 2 * line < len(levels) else []
        lower = levels[2 * line + 1] if 2 * line + 1 < len(levels) else np.full(len(upper), MISSING, np.int16)
        for one, other in zip(upper, lower, strict=False):
            top = None if one == MISSING else ramp_rgb[int(one)]
            bottom = None if other == MISSING else ramp_rgb[int(other)]
            if top is None and bottom is None:
                out.append((" ", inks.text))
            elif top == bottom:
                out.append((" ", style_of(None, top)))
            elif top is None:
                out.append(("▄", style_of(bottom, None)))
            else:
                out.append(("▀", style_of(top, bottom)))
        return [*out, (" " * (wide - len(upper)), inks.text)]

    def _heading(self) -> str:
        rows, columns, height, width = self.values.shape
        high, wide = self._visible
        words = [self.title] if self.title else []
        cell_w, cell_h = self._cell
        if width > cell_w or height > cell_h * (2 if self._coloured else 1):
            words.append("pooled by max |x|")
        if self.scale == "diverging" and not self._coloured:
            words.append("size without sign")
        words.append("one scale for all" if self.shared else "own scale each")
        if rows > high or columns > wide:
            top, left = self.offset
            words.append(f"rows {top}-{min(rows, top + high) - 1} of {rows}, ")
            words[-1] += f"columns {left}-{min(columns, left + wide) - 1} of {columns}"
        return (" | " if self.inks().depth == "ascii" else " · ").join(words)

    # ---- keys

    def _go(self, row: int, column: int) -> None:
        before = self.cursor
        self.cursor = (row, column)
        if self._keep_in_view():
            self.refresh()
            return
        wide, high = self._cell
        places = [
            ((c - self.offset[1]) * (wide + 1), 1 + (r - self.offset[0]) * (high + 1), wide, 1)
            for r, c in (before, self.cursor)
        ]
        self.repaint(places)

    def moved(self, where: str) -> None:
        rows, columns = self.values.shape[:2]
        if not rows or not columns:
            return
        page = self._visible[0]
        steps = {
            "up": (-1, 0),
            "down": (1, 0),
            "left": (0, -1),
            "right": (0, 1),
            "first": (-rows, -columns),
            "last": (rows, columns),
            "page_up": (-page, 0),
            "page_down": (page, 0),
            "half_up": (-max(1, page // 2), 0),
            "half_down": (max(1, page // 2), 0),
        }
        row, column = (at + by for at, by in zip(self.cursor, steps[where], strict=True))
        row, column = max(0, min(row, rows - 1)), max(0, min(column, columns - 1))
        if (row, column) != self.cursor:
            self._go(row, column)
            self.post_message(self.Moved(self, row, column))

    def chosen(self) -> None:
        if self.values.size:
            self.post_message(self.Selected(self, *self.cursor))

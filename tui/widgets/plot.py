"""Curves over one axis, in braille dots, with round numbers on the axes and a reading line for all of them."""

from __future__ import annotations

import numpy as np
from rich.style import Style
from textual.message import Message

from sessions.artifacts import Series
from tui.widgets.heatmap_layout import Floats
from tui.widgets.inks import Inks, Piece, clipped, cut, style_of
from tui.widgets.line_widget import LineWidget
from tui.widgets.plot_frame import DotCanvas, nice_ticks, tick_text

LETTERS = "abcdefghijklmnop"
GLYPHS = "*+ox#%@&"
_DARK_CURVES = ((86, 180, 233), (230, 159, 0), (0, 200, 150), (240, 228, 66), (213, 120, 60), (204, 150, 200))
_LIGHT_CURVES = ((0, 90, 160), (150, 80, 0), (0, 100, 75), (110, 95, 0), (170, 60, 0), (140, 60, 120))


class SeriesPicture:
    """The curves' picture for a given size. Colours follow Okabe and Ito; a letter at its end names each curve."""

    def __init__(self) -> None:
        self.series = Series(title="", x=np.zeros(0), x_name="x", curves=())
        self.inks = Inks()
        self.size = (0, 0)
        self.cursor = 0
        self._canvas: DotCanvas | None = None
        self._left = 0
        self._y_ticks: tuple[float, ...] = ()
        self._x_ticks: tuple[float, ...] = ()
        self._ends: dict[tuple[int, int], int] = {}

    def prepare(self) -> None:
        """Lay the curves out for the present size."""
        width, height = self.size
        series = self.series
        x = np.asarray(series.x, dtype=np.float64)
        self._canvas = None
        if not series.curves or x.size == 0 or width < 16 or height < 6:
            return
        self.cursor = max(0, min(self.cursor, x.size - 1))
        values = [np.asarray(v, float) for c in series.curves for v in (c.y, c.low, c.high) if v is not None]
        known = np.concatenate([v[np.isfinite(v)] for v in values])
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        lines = height - 4 - self._legend_lines()
        self._y_ticks = nice_ticks(low, high, max(1, lines // 3))
        self._left = max(len(tick_text(t, self._y_ticks)) for t in self._y_ticks) + 1
        columns = width - self._left - 3
        finite = x[np.isfinite(x)]
        self._x_ticks = nice_ticks(float(finite.min()), float(finite.max()), max(1, columns // 12))
        canvas = self._canvas = DotCanvas(columns, max(1, lines), self.inks.depth == "ascii")
        self._ends = {}
        for number, curve in enumerate(series.curves):
            for band in (curve.low, curve.high):
                if band is not None:
                    self._draw(canvas, x, np.asarray(band, float), number, sparse=True)
            end = self._draw(canvas, x, np.asarray(curve.y, float), number)
            if end is not None:
                per = 1 if canvas.ascii_only else 4
                line = end[1] // per
                while (columns + 1, line) in self._ends and line + 1 < canvas.height:
                    line += 1
                self._ends[(columns + 1, line)] = number

    def _fine(self, canvas: DotCanvas, x: float, y: float) -> tuple[int, int]:
        across = (x - self._x_ticks[0]) / (self._x_ticks[-1] - self._x_ticks[0])
        up = (y - self._y_ticks[0]) / (self._y_ticks[-1] - self._y_ticks[0])
        return round(across * (canvas.fine[0] - 1)), round((1 - up) * (canvas.fine[1] - 1))

    def _draw(
        self, canvas: DotCanvas, x: Floats, y: Floats, number: int, sparse: bool = False
    ) -> tuple[int, int] | None:
        before: tuple[int, int] | None = None
        last: tuple[int, int] | None = None
        for i, (one, other) in enumerate(zip(x.tolist(), y.tolist(), strict=False)):
            if not (np.isfinite(one) and np.isfinite(other)):
                before = None
                continue
            at = self._fine(canvas, one, other)
            if sparse:
                if i % 2 == 0:
                    canvas.dot(*at, number)
            elif before is not None:
                canvas.line(before, at, number)
            else:
                canvas.dot(*at, number)
            before = last = at
        return last

    def _legend_lines(self) -> int:
        return 1 if len(self.series.curves) > 1 else 0

    def _colour(self, number: int) -> Style:
        if self.inks.depth not in ("truecolor", "256"):
            return self.inks.text
        colours = _DARK_CURVES if self.inks.dark else _LIGHT_CURVES
        return style_of(colours[number % len(colours)], None)

    def readout(self) -> str:
        """Every curve's value at the cursor."""
        series = self.series
        if not series.curves or np.asarray(series.x).size == 0:
            return ""
        words = [f"{series.x_name} {float(series.x[self.cursor]):.6g}:"]
        for curve in series.curves:
            value = float(curve.y[self.cursor]) if self.cursor < len(curve.y) else float("nan")
            band = ""
            if curve.low is not None and curve.high is not None:
                band = f" ({float(curve.low[self.cursor]):.4g} to {float(curve.high[self.cursor]):.4g})"
            words.append(f"{curve.name} {value:.5g}{band}" if np.isfinite(value) else f"{curve.name} not measured")
        return "  ".join(words)

    def line(self, y: int) -> list[Piece]:
        """One line of the pane, at most as wide as the pane."""
        return cut(self._line(y), self.size[0])

    def _line(self, y: int) -> list[Piece]:
        width, height = self.size
        inks, series, canvas = self.inks, self.series, self._canvas
        plain = inks.depth == "ascii"
        if canvas is None:
            few = "no curves" if not series.curves else f"a plot needs 16x6, has {width}x{height}"
            return [(clipped(few, width, plain), inks.dim)] if y == 0 else []
        if y == 0:
            unit = f" ({series.y_name})" if series.y_name else ""
            return [(clipped(series.title + unit, width, plain), inks.title)]
        legend = self._legend_lines()
        if legend and y == 1:
            out: list[Piece] = []
            for i, curve in enumerate(series.curves):
                glyph = GLYPHS[i % len(GLYPHS)] + " " if plain else ""
                out += [(f"{LETTERS[i % 16]} {glyph}", self._colour(i)), (curve.name + "   ", inks.dim)]
            return out
        row = y - 1 - legend
        if 0 <= row < canvas.height:
            return self._row(row, canvas)
        if row == canvas.height:
            return self._axis(canvas)
        if row == canvas.height + 1:
            return self._axis_labels(canvas)
        if y == height - 1:
            return [(clipped(self.readout(), width, plain), inks.text)]
        return []

    def _row(self, row: int, canvas: DotCanvas) -> list[Piece]:
        plain = canvas.ascii_only
        span = self._y_ticks[-1] - self._y_ticks[0]
        label = ""
        for tick in self._y_ticks:
            at = round((1 - (tick - self._y_ticks[0]) / span) * (canvas.height - 1))
            if at == row:
                label = tick_text(tick, self._y_ticks)
        bar = "|" if plain else ("┤" if label else "│")
        out: list[Piece] = [(label.rjust(self._left), self.inks.dim), (bar, self.inks.dim)]
        at = self._cursor_column(canvas)
        for x in range(canvas.width):
            text, curve = canvas.character(x, row, GLYPHS)
            if curve >= 0:
                out.append((text, self._colour(curve)))
            else:
                out.append(((":" if plain else "┊") if x == at else " ", self.inks.dim))
        end = self._ends.get((canvas.width + 1, row))
        if end is not None:
            out += [(" ", self.inks.text), (LETTERS[end % 16], self._colour(end))]
        return out

    def _cursor_column(self, canvas: DotCanvas) -> int:
        x = self._fine(canvas, float(self.series.x[self.cursor]), self._y_ticks[0])[0]
        return x if canvas.ascii_only else x // 2

    def _axis(self, canvas: DotCanvas) -> list[Piece]:
        corner, bar = ("+", "-") if canvas.ascii_only else ("└", "─")
        return [(" " * self._left + corner + bar * canvas.width, self.inks.dim)]

    def _axis_labels(self, canvas: DotCanvas) -> list[Piece]:
        text = [" "] * (self._left + 1 + canvas.width + 2)
        span = self._x_ticks[-1] - self._x_ticks[0]
        free = 0
        for tick in self._x_ticks:
            label = tick_text(tick, self._x_ticks)
            at = self._left + 1 + round((tick - self._x_ticks[0]) / span * (canvas.width - 1)) - len(label) // 2
            at = max(free, min(at, len(text) - len(label)))
            if at >= free and at + len(label) <= len(text):
                text[at : at + len(label)] = label
                free = at + len(label) + 1
        name = f" {self.series.x_name}"
        if free + len(name) < len(text) and "".join(text[-len(name) :]).strip() == "":
            text[-len(name) :] = name
        return [("".join(text), self.inks.dim)]


class SeriesPlot(LineWidget):
    """Draws a series artifact; `h l` move the reading line."""

    class CursorMoved(Message):
        """The reading line stands at another index of the axis."""

        def __init__(self, plot: SeriesPlot, index: int) -> None:
            super().__init__()
            self.plot, self.index = plot, index

        @property
        def control(self) -> SeriesPlot:
            return self.plot

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.picture = SeriesPicture()

    def show(self, series: Series) -> None:
        """Draw these curves. The reading line stands at their end and follows it, until a person moves it."""
        before, self.picture.series = self.picture.series, series
        if self.picture.cursor >= len(before.x) - 1 or before.title != series.title:
            self.picture.cursor = len(series.x) - 1
        self._restyle_and_refresh()

    def restyle(self) -> None:
        self.picture.inks, self.picture.size = self.inks(), (self.size.width, self.size.height)
        self.picture.prepare()

    def pieces(self, y: int) -> list[Piece]:
        return self.picture.line(y)

    def moved(self, where: str) -> None:
        count = len(self.picture.series.x)
        steps = {"left": -1, "right": 1, "first": -count, "last": count, "page_up": -10, "page_down": 10}
        if where in steps and count:
            before = self.picture.cursor
            self.picture.cursor = max(0, min(count - 1, before + steps[where]))
            if self.picture.cursor != before:
                self.repaint_changes()
                self.post_message(self.CursorMoved(self, self.picture.cursor))

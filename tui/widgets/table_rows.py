"""Rows of a table in the order and selection a person asked for: sorting, filtering, column widths, cell text."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from sessions.artifacts import Column
from tui.widgets.inks import clipped

Cell = str | int | float | bool | None
Row = Sequence[Cell]
SAMPLED = 2000  # rows looked at for column widths; looking at all of 200 000 would cost a visible pause

NARROWEST = 12  # a text column keeps this much when space is short

_CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "!=": operator.ne,
}


class TableRows:
    """The rows, an order over them, and how each cell is written. `order[i]` is the row drawn i-th."""

    def __init__(self, columns: Sequence[Column] = (), rows: Sequence[Row] = (), frozen: int = 1) -> None:
        self.columns, self.rows = tuple(columns), rows
        self.frozen = frozen  # so many columns are always drawn; of several none gives way
        self.sort_column: int | None = None
        self.reverse = False
        self.filter_text = ""
        self.order: list[int] = list(range(len(rows)))
        sample = rows if len(rows) <= SAMPLED else [*rows[:SAMPLED], *rows[-100:]]
        self.decimals = tuple(_decimals(c, i, sample) for i, c in enumerate(self.columns))
        self.widths = tuple(
            max(
                len(self.columns[i].name) + 2,
                len(self.unit(i)),
                *(len(self.text(i, r[i])) for r in sample if i < len(r)),
            )
            for i in range(len(self.columns))
        )

    def unit(self, column: int) -> str:
        unit = self.columns[column].unit
        return f"({unit})" if unit else ""

    @property
    def header_lines(self) -> int:
        """Names, and a second line for units where some column has one: they would widen every column otherwise."""
        return 2 if any(c.unit for c in self.columns) else 1

    def numeric(self, column: int) -> bool:
        return self.columns[column].type in ("int", "float")

    def text(self, column: int, value: Cell) -> str:
        """A cell as it is written: fixed decimals per column, NaN and missing values visible and distinct from 0."""
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float):
            if math.isnan(value):
                return "NaN"
            if math.isinf(value):
                return "inf" if value > 0 else "-inf"
            if value != 0 and (abs(value) >= 1e7 or abs(value) < 10.0 ** -(self.decimals[column] + 1)):
                return f"{value:.2e}"
            return f"{value:.{self.decimals[column]}f}"
        if isinstance(value, int):
            return str(value)
        return value.replace("\n", " ")

    def sort(self, column: int | None, reverse: bool = False) -> None:
        """Order by a column (None: as given). Missing values and NaN come last either way; ties keep their order."""
        self.sort_column, self.reverse = column, reverse
        self._arrange()

    def filter(self, text: str) -> None:
        """Keep rows in which some cell contains the text, or that satisfy `column > 0.5` (also < <= >= = !=)."""
        self.filter_text = text.strip()
        self._arrange()

    def _arrange(self) -> None:
        kept = self._matching()
        if self.sort_column is not None:
            at = self.sort_column
            known = [i for i in kept if not _missing(self.rows[i][at])]
            absent = [i for i in kept if _missing(self.rows[i][at])]
            known.sort(key=lambda i: _sort_key(self.rows[i][at]), reverse=self.reverse)
            kept = known + absent
        self.order = kept

    def _matching(self) -> list[int]:
        everything = range(len(self.rows))
        if not self.filter_text:
            return list(everything)
        if condition := _CONDITION.fullmatch(self.filter_text):
            name, sign, wanted = condition.groups()
            for at, column in enumerate(self.columns):
                if column.name.lower() == name.lower():
                    return [i for i in everything if _satisfies(self.rows[i][at], sign, wanted)]
        words = self.filter_text.lower()
        return [i for i in everything if any(words in self.text(c, v).lower() for c, v in enumerate(self.rows[i]))]

    def layout(self, width: int) -> tuple[int, ...]:
        """Column widths for a pane: natural if they fit, else the widest text columns give way, down to 12."""
        widths = list(self.widths)
        while widths and sum(widths) + 2 * (len(widths) - 1) > width:
            first = self.frozen if self.frozen > 1 else 0
            texts = [i for i in range(first, len(widths)) if widths[i] > NARROWEST and not self.numeric(i)]
            if not texts:
                break
            widest = max(texts, key=lambda i: widths[i])
            excess = sum(widths) + 2 * (len(widths) - 1) - width
            others = sorted((widths[i] for i in texts if i != widest), reverse=True)
            floor = max(NARROWEST, others[0] - 1 if others else NARROWEST)
            widths[widest] = max(floor, widths[widest] - excess)
        if widths and sum(widths) + 2 * (len(widths) - 1) < width and not self.numeric(len(widths) - 1):
            widths[-1] = width - sum(widths[:-1]) - 2 * (len(widths) - 1)
        return tuple(widths)

    def columns_in(self, width: int, skipped: int = 0) -> tuple[int, ...]:
        """The columns drawn in a pane: the frozen ones always, then those after the `skipped` that begin in it."""
        widths = self.layout(width)
        drawn = [*range(min(self.frozen, len(widths))), *range(self.frozen + skipped, len(widths))]
        used, out = 0, []
        for column in drawn:
            if used >= width:
                break
            out.append(column)
            used += widths[column] + 2
        return tuple(out)

    def most_skipped(self, width: int) -> int:
        """How many columns must be skipped for the last one to be whole; 0 when all fit."""
        widths = self.layout(width)
        for skipped in range(len(widths)):
            kept = [*range(min(self.frozen, len(widths))), *range(self.frozen + skipped, len(widths))]
            if sum(widths[c] + 2 for c in kept) - 2 <= width:
                return skipped
        return max(0, len(widths) - self.frozen - 1)

    def line(self, index: int, width: int, skipped: int = 0, ascii_only: bool = False) -> str:
        """Row `index` of the given rows as one line of text."""
        row = self.rows[index]
        return self._joined([(c, self.text(c, row[c])) for c in self.columns_in(width, skipped)], width, ascii_only)

    def header(self, width: int, skipped: int = 0, ascii_only: bool = False) -> str:
        """The columns' names; the sorted one carries an arrow."""
        arrows = (" ^", " v") if ascii_only else (" ▲", " ▼")
        names = [
            (c, self.columns[c].name + (arrows[int(self.reverse)] if self.sort_column == c else ""))
            for c in self.columns_in(width, skipped)
        ]
        return self._joined(names, width, ascii_only)

    def units(self, width: int, skipped: int = 0, ascii_only: bool = False) -> str:
        return self._joined([(c, self.unit(c)) for c in self.columns_in(width, skipped)], width, ascii_only)

    def _joined(self, cells: Sequence[tuple[int, str]], width: int, ascii_only: bool) -> str:
        widths = self.layout(width)
        parts: list[str] = []
        for column, text in cells:
            cut = clipped(text, widths[column], ascii_only)
            parts.append(cut.rjust(widths[column]) if self.numeric(column) else cut.ljust(widths[column]))
        return clipped("  ".join(parts).rstrip(), width, ascii_only)


def _decimals(column: Column, at: int, rows: Sequence[Row]) -> int:
    if column.type != "float":
        return 3
    sizes = [
        abs(v) for r in rows if at < len(r) and isinstance(v := r[at], float | int) and math.isfinite(v) and v != 0
    ]
    if not sizes:
        return 2
    reach = max(sizes)
    return 1 if reach >= 1000 else 2 if reach >= 100 else 3 if reach >= 1 else 4


def _missing(value: Cell) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sort_key(value: Cell) -> tuple[int, float, str]:
    if isinstance(value, str):
        return 1, 0.0, value.lower()
    assert value is not None
    return 0, float(value), ""


def _satisfies(value: Cell, sign: str, wanted: str) -> bool:
    if _missing(value):
        return False
    if isinstance(value, str):
        return _COMPARE[sign](value.lower(), wanted.lower())
    assert value is not None
    try:
        return _COMPARE[sign](float(value), float(wanted))
    except ValueError:
        return _COMPARE[sign]("yes" if value else "no", wanted.lower()) if isinstance(value, bool) else False

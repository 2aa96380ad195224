"""A table that draws only the rows in view: sortable, filterable, quick with hundreds of thousands of rows."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from sessions.artifacts import Column, Table
from tui.widgets.inks import Piece, clipped
from tui.widgets.line_widget import LineWidget
from tui.widgets.table_rows import Row, TableRows


class RowTable(LineWidget):
    """Draws rows under a header, with a cursor on one of them."""

    class Highlighted(Message):
        """The cursor stands on another row; `row` is its index among the rows given to `show`."""

        def __init__(self, table: RowTable, row: int) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> RowTable:
            return self.table

    class Selected(Highlighted):
        """`enter` on a row."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.model = TableRows()
        self.place = 0  # position of the cursor in model.order
        self.skipped = 0  # columns scrolled out, after the first
        self.top = 0
        self.empty = "no rows"
        self.marked: frozenset[int] = frozenset()

    @property
    def row(self) -> int | None:
        """The index, among the rows given, of the row under the cursor."""
        return self.model.order[self.place] if self.place < len(self.model.order) else None

    def show(
        self,
        columns: Sequence[Column],
        rows: Sequence[Row],
        *,
        empty: str = "no rows",
        marked: Sequence[int] = (),
        frozen: int = 1,
    ) -> None:
        """Draw these rows. Sorting, filter and the cursor's place stay when the columns are the same.

        The first `frozen` columns stay when the others scroll.
        """
        old = self.model
        self.model = TableRows(columns, rows, frozen)
        self.empty, self.marked = empty, frozenset(marked)
        if old.columns == self.model.columns:
            self.model.sort_column, self.model.reverse = old.sort_column, old.reverse
            if old.sort_column is not None or old.filter_text:
                self.model.filter(old.filter_text)
        else:
            self.place = self.top = self.skipped = 0
        self.place = max(0, min(self.place, len(self.model.order) - 1))
        self._keep_in_view()
        self.refresh()

    def show_table(self, table: Table) -> None:
        """Draw a table artifact."""
        self.show(table.columns, table.rows, empty=f"{table.title}: no rows")

    def move_to(self, row: int, *, quiet: bool = False) -> None:
        """Put the cursor on a row, by its index among those given; nothing happens if the filter hides it."""
        if row in self.model.order:
            self._go(self.model.order.index(row), quiet)

    def sort_by(self, column: int | None, reverse: bool = False) -> None:
        """Order by a column, keeping the cursor on its row."""
        self._rearranged(lambda: self.model.sort(column, reverse))

    def filter(self, text: str) -> int:
        """Keep matching rows (see TableRows.filter); returns how many."""
        self._rearranged(lambda: self.model.filter(text))
        return len(self.model.order)

    def _rearranged(self, change: object) -> None:
        before = self.row
        assert callable(change)
        change()
        order = self.model.order
        self.place = order.index(before) if before is not None and before in set(order) else 0
        self._keep_in_view()
        self.refresh()
        if self.row is not None and self.row != before:
            self.post_message(self.Highlighted(self, self.row))

    def action_sort_next(self) -> None:
        columns = len(self.model.columns)
        if columns:
            at = self.model.sort_column
            following = 0 if at is None else at + 1
            self.sort_by(following if following < columns else None, self.model.reverse)

    def action_sort_reverse(self) -> None:
        if self.model.sort_column is not None:
            self.sort_by(self.model.sort_column, not self.model.reverse)

    # ---- painting and keys

    @property
    def _lines(self) -> int:
        return max(1, self.size.height - 1 - self.model.header_lines)

    def _keep_in_view(self) -> bool:
        before = self.top
        self.top = max(0, min(self.top, len(self.model.order) - self._lines))
        if self.place < self.top:
            self.top = self.place
        elif self.place >= self.top + self._lines:
            self.top = self.place - self._lines + 1
        return self.top != before

    def restyle(self) -> None:
        self._keep_in_view()

    def _go(self, place: int, quiet: bool = False) -> None:
        before = self.place
        self.place = max(0, min(place, len(self.model.order) - 1))
        if self.place == before:
            return
        width, height = self.size
        if self._keep_in_view():
            self.refresh()
        else:
            head = self.model.header_lines
            at, was = self.place - self.top + head, before - self.top + head
            self.repaint([(0, was, width, 1), (0, at, width, 1), (0, height - 1, width, 1)])
        if not quiet and self.row is not None:
            self.post_message(self.Highlighted(self, self.row))

    def moved(self, where: str) -> None:
        page = self._lines
        steps = {
            "up": -1,
            "down": 1,
            "half_up": -(page // 2),
            "half_down": page // 2,
            "page_up": -page,
            "page_down": page,
            "first": -len(self.model.order),
            "last": len(self.model.order),
        }
        if where in steps:
            self._go(self.place + steps[where])
        elif where in ("left", "right"):
            most = self.model.most_skipped(self.size.width - 2)
            self.skipped = max(0, min(most, self.skipped + (1 if where == "right" else -1)))
            self.refresh()

    def chosen(self) -> None:
        if self.row is not None:
            self.post_message(self.Selected(self, self.row))

    def on_click(self, event: events.Click) -> None:
        line = event.y - self.gutter.top - self.model.header_lines
        if 0 <= line < self._lines and self.top + line < len(self.model.order):
            self._go(self.top + line)

    def pieces(self, y: int) -> list[Piece]:
        inks = self.inks()
        width, height = self.size
        plain = inks.depth == "ascii"
        model = self.model
        head, room = model.header_lines, width - 2
        if y == 0:
            return [("  " + model.header(room, self.skipped, plain), inks.title)]
        if y == 1 and head == 2:
            return [("  " + model.units(room, self.skipped, plain), inks.dim)]
        if y == height - 1 and height > 2:
            return [(clipped(self._footing(), width, plain), inks.dim)]
        if not model.order:
            nothing = f"no row matches '{model.filter_text}'" if model.filter_text else self.empty
            return [(clipped(nothing, width, plain), inks.dim)] if y == head else []
        at = self.top + y - head
        if at >= len(model.order):
            return []
        index = model.order[at]
        here = at == self.place
        lead = (">" if plain else "▸") if here else " "
        lead += ("*" if plain else "•") if index in self.marked else " "
        text = lead + model.line(index, room, self.skipped, plain)
        return [(text.ljust(width), inks.accent)] if here and self.has_focus else [(text, inks.text)]

    def _footing(self) -> str:
        total, shown = len(self.model.rows), len(self.model.order)
        words = [f"row {self.place + 1:,} of {shown:,}" if shown else "0 rows"]
        if self.model.filter_text:
            words.append(f"filter '{self.model.filter_text}': {shown:,} of {total:,}")
        if self.model.sort_column is not None:
            way = "down" if self.model.reverse else "up"
            words.append(f"sorted by {self.model.columns[self.model.sort_column].name}, {way}")
        if self.model.most_skipped(self.size.width - 2) or self.skipped:
            words.append("more columns: h l")
        return ", ".join(words)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

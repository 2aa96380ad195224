"""An input stepped through, laid on its side: a column for each position, the present one marked."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from tui.widgets.inks import Piece, clipped, cut
from tui.widgets.line_widget import LineWidget

POSITION = "position"
Line = tuple[str, tuple[str, ...]]  # what it is, and a text for each position


class StepRibbon(LineWidget):
    """Draws lines of cells under the positions' numbers. Left and right move from position to position."""

    class Moved(Message):
        """Another position is the present one; counted from 0."""

        def __init__(self, ribbon: StepRibbon, position: int) -> None:
            super().__init__()
            self.ribbon, self.position = ribbon, position

        @property
        def control(self) -> StepRibbon:
            return self.ribbon

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.lines: tuple[Line, ...] = ()
        self.length = 0
        self.position = 0
        self.wrong: frozenset[int] = frozenset()
        self._first = 0  # the leftmost position drawn
        self._cell = 2  # columns of a position: as wide as its widest text, and a blank

    def show(self, lines: Sequence[Line], length: int, position: int, wrong: Sequence[int] = ()) -> None:
        """Draw these lines. `wrong` are positions where what should agree does not."""
        self.lines, self.length, self.wrong = tuple(lines), length, frozenset(wrong)
        self.position = max(0, min(position, length - 1))
        longest = max((len(text) for _, cells in self.lines for text in cells), default=1)
        self._cell = max(longest, len(str(length))) + 1
        self._keep_in_view()
        self.refresh()

    def go(self, position: int) -> None:
        """Make a position the present one, without a message."""
        position = max(0, min(position, self.length - 1))
        if position != self.position:
            self.position = position
            self._keep_in_view()
            self.repaint_changes()

    @property
    def _names(self) -> int:
        longest = max((len(name) for name, _ in self.lines), default=0)
        return min(max(longest, len(POSITION)), max(len(POSITION), self.size.width // 4)) + 1

    @property
    def _fit(self) -> int:
        return max(1, (self.size.width - self._names - 1) // self._cell)

    def _keep_in_view(self) -> None:
        self._first = max(0, min(self._first, self.length - self._fit))
        self._first = max(min(self._first, self.position), self.position - self._fit + 1)

    def restyle(self) -> None:
        self._keep_in_view()

    def pieces(self, y: int) -> list[Piece]:
        inks, width = self.inks(), self.size.width
        plain = inks.depth == "ascii"
        if y > len(self.lines) or not self.length:
            return []
        shown = range(self._first, min(self.length, self._first + self._fit))
        name, cells = (POSITION, ()) if y == 0 else self.lines[y - 1]
        before = ("<" if plain else "‹") if self._first else " "
        out: list[Piece] = [(clipped(name, self._names - 1, plain).rjust(self._names - 1) + before, inks.dim)]
        for i in shown:
            here = i == self.position
            text = str(i + 1) if y == 0 else cells[i] if i < len(cells) else ""
            if plain:
                text = text.replace("✓", "=").replace("✗", "x")
            space, text = " " * (self._cell - len(text)), text
            lead = space if not here or inks.depth not in ("none", "ascii", "16") else space[:-1] + ">"
            ink = inks.accent if here and self.has_focus else inks.title if here or i in self.wrong else inks.text
            out += [(lead, inks.text if not here else inks.title), (text, ink if y or here else inks.dim)]
        if shown.stop < self.length:
            out.append((">" if plain else "›", inks.dim))
        return cut(out, width)

    def moved(self, where: str) -> None:
        steps = {
            "left": -1,
            "right": 1,
            "first": -self.length,
            "last": self.length,
            "page_up": -self._fit,
            "page_down": self._fit,
        }
        if where in steps and self.length:
            before = self.position
            self.go(self.position + steps[where])
            if self.position != before:
                self.post_message(self.Moved(self, self.position))

    def on_click(self, event: events.Click) -> None:
        column = event.x - self._names
        position = self._first + column // self._cell
        if column >= 0 and position < self.length and position != self.position:
            self.go(position)
            self.post_message(self.Moved(self, self.position))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

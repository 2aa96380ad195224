"""A strip of tokens with a cursor: one prompt, clean over corrupt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.message import Message

from sessions.artifacts import PromptRow
from tui.widgets.inks import Piece, clipped
from tui.widgets.line_widget import LineWidget
from tui.widgets.token_picture import lines, row_of


class TokenStrip(LineWidget):
    """Draws one prompt's tokens; arrows and `h l` move from token to token."""

    class TokenMoved(Message):
        """The cursor stands on another token; `position` is its index."""

        def __init__(self, strip: TokenStrip, position: int) -> None:
            super().__init__()
            self.strip, self.position = strip, position

        @property
        def control(self) -> TokenStrip:
            return self.strip

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.row = row_of(())
        self.position = self.top = 0
        self.empty = "no tokens"
        self._lines: list[list[Piece]] = []
        self._places: list[tuple[int, int, int]] = []

    def show(
        self,
        clean: Sequence[str],
        corrupt: Sequence[str] = (),
        *,
        positions: Mapping[str, int] | None = None,
        problem: str = "",
        empty: str = "no tokens",
    ) -> None:
        """Draw these tokens."""
        self.row, self.empty = row_of(clean, corrupt, positions, problem), empty
        self.position = max(0, min(self.position, self.row.length - 1))
        self._restyle_and_refresh()

    def show_row(self, row: PromptRow) -> None:
        """Draw a prompt row; before a model has looked at it, its text stands there as one piece."""
        if row.clean_tokens:
            self.show(row.clean_tokens, row.corrupt_tokens, positions=row.positions, problem=row.problem)
        else:
            clean, corrupt = (row.clean,), (row.corrupt,) if row.corrupt else ()
            self.show(clean, corrupt, problem=row.problem or "not tokenised: no model has looked at this set yet")

    def move_to(self, position: int) -> None:
        """Put the cursor on a token without a message."""
        self.position = max(0, min(position, self.row.length - 1))
        self._restyle_and_refresh()

    def restyle(self) -> None:
        self._lines, self._places = lines(self.row, max(12, self.size.width), self.position, self.inks())
        if self._places:
            block = self._places[self.position][0]
            height = max(1, self.size.height)
            self.top = max(0, min(self.top, block), min(block, len(self._lines) - height))
            if block + 5 > self.top + height:
                self.top = max(0, min(block, len(self._lines) - height))

    def pieces(self, y: int) -> list[Piece]:
        if not self.row.length:
            return [(clipped(self.empty, self.size.width), self.inks().dim)] if y == 0 else []
        at = self.top + y
        return self._lines[at] if at < len(self._lines) else []

    def moved(self, where: str) -> None:
        before = self.position
        if where in ("left", "right"):
            self.position += -1 if where == "left" else 1
        elif where in ("up", "down"):
            self.position = self._above_or_below(-1 if where == "up" else 1)
        elif where == "first":
            self.position = 0
        elif where == "last":
            self.position = self.row.length - 1
        self.position = max(0, min(self.position, self.row.length - 1))
        if self.position != before:
            self.restyle()
            self.repaint_changes()
            self.post_message(self.TokenMoved(self, self.position))

    def _above_or_below(self, by: int) -> int:
        if not self._places:
            return 0
        line, column, _ = self._places[self.position]
        starts = sorted({p[0] for p in self._places})
        at = starts.index(line) + by
        if not 0 <= at < len(starts):
            return self.position
        block = [(abs(p[1] - column), i) for i, p in enumerate(self._places) if p[0] == starts[at]]
        return min(block)[1]

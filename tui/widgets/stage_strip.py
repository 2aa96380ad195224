"""The way from a network to its program as one line: its stages in a row, one of them opened, absent ones dim."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from tui.widgets.inks import Piece, cut
from tui.widgets.line_widget import LineWidget


class StageStrip(LineWidget):
    """`weights ▸ normal form ▸ [states] ▸ (machine) ▸ ...`: square brackets: opened; round ones: absent."""

    DEFAULT_CSS = "StageStrip { height: 1; }"

    class Opened(Message):
        """A stage is to be opened."""

        def __init__(self, strip: StageStrip, stage: str) -> None:
            super().__init__()
            self.strip, self.stage = strip, stage

        @property
        def control(self) -> StageStrip:
            return self.strip

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.stages: tuple[tuple[str, bool], ...] = ()
        self.opened = ""

    def show(self, stages: Sequence[tuple[str, bool]], opened: str) -> None:
        """Draw these stages; the second of each pair says whether it is there."""
        if (tuple(stages), opened) != (self.stages, self.opened):
            self.stages, self.opened = tuple(stages), opened
            self.repaint_changes()

    def _words(self) -> list[tuple[str, str]]:
        """Each stage and how it is written."""
        return [(s, f"[{s}]" if s == self.opened else s if there else f"({s})") for s, there in self.stages]

    def _between(self) -> str:
        """The arrow between two stages; without blanks where there is little room."""
        arrow = ">" if self.inks().depth == "ascii" else "▸"
        words = self._words()
        room = self.size.width - sum(len(text) for _, text in words)
        return f" {arrow} " if room >= 3 * (len(words) - 1) else arrow

    def pieces(self, y: int) -> list[Piece]:
        inks, between = self.inks(), self._between()
        there = dict(self.stages)
        out: list[Piece] = []
        for stage, text in self._words():
            if out:
                out.append((between, inks.dim))
            focused = stage == self.opened and self.has_focus
            ink = inks.accent if focused else inks.title if stage == self.opened else inks.text
            out.append((text, ink if there[stage] or stage == self.opened else inks.dim))
        return cut(out, self.size.width)

    def moved(self, where: str) -> None:
        names = [stage for stage, _ in self.stages]
        if not names:
            return
        at = names.index(self.opened) if self.opened in names else 0
        steps = {"left": -1, "right": 1, "first": -len(names), "last": len(names)}
        following = names[max(0, min(len(names) - 1, at + steps.get(where, 0)))]
        if following != self.opened:
            self.post_message(self.Opened(self, following))

    def on_click(self, event: events.Click) -> None:
        column = 0
        for stage, text in self._words():
            if column <= event.x < column + len(text):
                self.post_message(self.Opened(self, stage))
                return
            column += len(text) + len(self._between())

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

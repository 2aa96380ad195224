"""A question with yes and no, asked only where work could be lost or cost is high."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import Static

from tui.actions import Scope
from tui.screens.overlay import Overlay


class QuestionScreen(Overlay[bool]):
    """Dismissed with True for yes, None for no. The text says what yes does and what it costs."""

    SCOPE: ClassVar[Scope] = "question"
    HEADING = "Question"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose_box(self) -> ComposeResult:
        yield Static(self._text, markup=False)

    def do_yes(self) -> None:
        self.dismiss(True)

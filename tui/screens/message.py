"""A longer text over the views, such as the whole error of a failed step."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.actions import Scope
from tui.screens.overlay import Overlay


class MessageScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "message"
    DEFAULT_CSS = "MessageScreen VerticalScroll { height: auto; max-height: 30; }"

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self._heading, self._text = heading, text

    def compose_box(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        self.query_one("#box").border_title = self._heading
        self.query_one(VerticalScroll).focus()

    def do_copy(self) -> None:
        self.bench.copy_out(self._text, "error")

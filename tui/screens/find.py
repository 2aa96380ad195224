"""One field at the bottom that filters the focused table while it is typed in."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.widgets import Input

from tui.actions import Scope
from tui.screens.overlay import Overlay


class FindScreen(Overlay[None]):
    """`enter` keeps the filter, `esc` takes it away."""

    SCOPE: ClassVar[Scope] = "find"
    HEADING = "Filter"
    DEFAULT_CSS = "FindScreen { align: left bottom; background: transparent; }"

    def __init__(self, table: Any) -> None:
        super().__init__()
        self._table = table

    def compose_box(self) -> ComposeResult:
        yield Input(placeholder="a few letters of what to keep")

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = False
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._table.filter(event.value)

    def on_input_submitted(self) -> None:
        self.do_keep()

    def do_keep(self) -> None:
        self.dismiss(None)

    def do_close(self) -> None:
        self._table.filter("")
        self.dismiss(None)

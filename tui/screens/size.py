"""On a terminal that is too small: one line that says which size is needed."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Scope

LEAST = "60x16"


class SizeScreen(ModalScreen[None], inherit_bindings=False):
    """Covers everything. Nothing is lost under it; `q` still leaves."""

    SCOPE: ClassVar[Scope] = "size"

    DEFAULT_CSS = """
    SizeScreen { background: $background; }
    SizeScreen > Static { width: 100%; height: 100%; }
    """

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def on_mount(self) -> None:
        self._write()

    def on_resize(self) -> None:
        self._write()

    def _write(self) -> None:
        width, height = self.app.size
        text = f"iwb needs {LEAST}, this is {width}x{height}"
        self.query_one(Static).update(Content(text[: max(1, width)]))

    def do_quit(self) -> None:
        self.app.call_later(self.app.leave)  # type: ignore[attr-defined]

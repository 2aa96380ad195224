"""Jump mode: a letter on everything that can have the focus; type one to go there."""

from __future__ import annotations

from string import ascii_lowercase
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from tui.actions import Scope


class JumpScreen(ModalScreen[None], inherit_bindings=False):
    SCOPE: ClassVar[Scope] = "jump"
    DEFAULT_CSS = """
    JumpScreen { background: transparent; layers: labels; }
    JumpScreen > Static {
        layer: labels; position: absolute; width: 3; height: 1;
        background: $accent; color: $text; text-style: bold;
    }
    """

    def __init__(self, widgets: list[Widget]) -> None:
        super().__init__()
        self._targets = dict(zip(ascii_lowercase.replace("q", ""), widgets, strict=False))

    def compose(self) -> ComposeResult:
        for letter, widget in self._targets.items():
            label = Static(f" {letter} ", markup=False)
            label.styles.offset = (widget.region.x, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss(None)
        if (target := self._targets.get(event.key)) is not None:
            target.focus()

    def do_close(self) -> None:
        self.dismiss(None)

"""A program that is no artifact of its own, over the views: its code, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tui.actions import Scope
from tui.screens.overlay import Overlay
from tui.widgets.code_view import CodeView, Said


class ListingScreen(Overlay[None]):
    SCOPE: ClassVar[Scope] = "artifact"
    DEFAULT_CSS = """
    ListingScreen > #box { height: 90%; }
    ListingScreen CodeView { height: 1fr; }
    """

    def __init__(self, heading: str, source: str, said: Sequence[Said]) -> None:
        super().__init__()
        self._heading, self._source, self._said = heading, source, said

    def compose_box(self) -> ComposeResult:
        yield CodeView()

    def on_mount(self) -> None:
        self.query_one("#box").border_title = self._heading
        code = self.query_one(CodeView)
        code.show(self._source, said=self._said)
        code.focus()

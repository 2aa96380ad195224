"""Choose one of several results of this investigation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sessions.steps import Stored
from tui.actions import Scope
from tui.screens.overlay import Overlay


class ChooseScreen(Overlay[int | None]):
    """`enter` takes the result under the cursor; dismissed with its id."""

    SCOPE: ClassVar[Scope] = "choose"
    DEFAULT_CSS = """
    ChooseScreen OptionList { height: auto; max-height: 20; border: none; background: $panel; }
    ChooseScreen #about { height: 2; color: $text-muted; margin: 1 0 0 0; }
    """

    def __init__(self, heading: str, results: Sequence[Stored]) -> None:
        super().__init__()
        self._heading, self._results = heading, {str(stored.id): stored for stored in results}

    def compose_box(self) -> ComposeResult:
        yield OptionList(
            *(Option(f"@{stored.id} {stored.title}", id=name) for name, stored in self._results.items()),
            markup=False,
            compact=True,
        )
        yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one("#box").border_title = self._heading
        options = self.query_one(OptionList)
        options.highlighted = 0 if self._results else None
        options.focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        stored = self._results.get(event.option.id or "")
        if stored is not None:
            self.query_one("#about", Static).update(f"step {stored.step}: {stored.summary}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._take(event.option.id)

    def do_take(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self._take(options.get_option_at_index(options.highlighted).id)

    def _take(self, chosen: str | None) -> None:
        if chosen is not None:
            self.dismiss(int(chosen))

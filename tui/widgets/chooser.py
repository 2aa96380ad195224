"""A one-line field that is set to one of a few things: left and right (or space) walk through them."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widget import Widget


class Chooser(Widget, can_focus=True):
    """Shows `‹ zero ›  1/3`. Letters jump to the next choice that begins with them."""

    DEFAULT_CSS = """
    Chooser { height: 1; padding: 0 1; background: $foreground 10%; }
    Chooser:focus { background: $boost; text-style: bold; }
    """

    class Changed(Message):
        def __init__(self, chooser: Chooser, value: str) -> None:
            super().__init__()
            self.chooser, self.value = chooser, value

        @property
        def control(self) -> Chooser:
            return self.chooser

    def __init__(self, choices: tuple[tuple[str, str], ...], value: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._choices = choices
        self._at = next((i for i, (v, _) in enumerate(choices) if v == value), 0)

    @property
    def value(self) -> str:
        return self._choices[self._at][0] if self._choices else ""

    def set_value(self, value: str) -> None:
        """Show that choice; an unknown one is the first."""
        self._at = next((i for i, (v, _) in enumerate(self._choices) if v == value), 0)
        self.refresh()

    def render(self) -> Content:
        if not self._choices:
            return Content.styled("nothing to choose from yet", Style(dim=True))
        count = f"  {self._at + 1}/{len(self._choices)}"
        label = self._choices[self._at][1]
        room = self.size.width - len(count) - 4
        if len(label) > room > 1:
            label = label[: room - 1] + "…"
        return Content.assemble("‹ ", label, " ›", (count, Style(dim=True)))

    def moved(self, way: str) -> None:
        last = len(self._choices) - 1
        at = {"left": self._at - 1, "right": self._at + 1, "first": 0, "last": last}.get(way, self._at)
        self._go(at)

    def action_choose(self) -> None:
        self._go(self._at + 1)

    def on_key(self, event: events.Key) -> None:
        if not self._choices:
            return
        if event.key in ("left", "right"):
            self.moved(event.key)
        elif event.key == "space":
            self.action_choose()
        elif event.character and event.character.isalnum():
            order = [*range(self._at + 1, len(self._choices)), *range(self._at + 1)]
            found = next((i for i in order if self._choices[i][1].lower().startswith(event.character.lower())), None)
            if found is None:
                return
            self._go(found)
        else:
            return
        event.stop()

    def on_click(self) -> None:
        self.action_choose()

    def _go(self, at: int) -> None:
        if self._choices and at % len(self._choices) != self._at:
            self._at = at % len(self._choices)
            self.refresh()
            self.post_message(self.Changed(self, self.value))

"""The base of every drawing: a focusable widget that paints its own lines.

It binds no keys: the app's table of actions does, and calls `moved`, `action_choose` and the other actions from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from themes.colour import Depth, depth_of
from tui.widgets import partial_paint
from tui.widgets.inks import Inks, Piece, changed_spans, merged

partial_paint.install()


class LineWidget(Widget, can_focus=True):
    """Paints `pieces(y)` for each visible line; subclasses say what a movement and `enter` mean."""

    DEFAULT_CSS = """
    LineWidget { width: 1fr; height: 1fr; }
    LineWidget > .line--dim { color: $text-muted; }
    LineWidget > .line--title { color: $text; text-style: bold; }
    LineWidget > .line--accent { color: $accent; text-style: bold reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"line--dim", "line--title", "line--accent"}
    _inks: tuple[tuple[str, Depth], Inks] | None = None
    _painted: dict[int, list[Segment]]

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._painted = {}

    def inks(self) -> Inks:
        """The styles of the present theme and the colour depth of the app."""
        key = (self.app.theme, depth_of(self.app))
        if self._inks is None or self._inks[0] != key:
            made = Inks(
                dim=self._foreground("line--dim"),
                title=self._foreground("line--title"),
                accent=self._foreground("line--accent"),
                depth=key[1],
                dark=self.app.current_theme.dark,
            )
            self._inks = (key, made)
        return self._inks[1]

    def _foreground(self, component: str) -> Style:
        # Without the background, which is the pane's and may change with the focus.
        style = self.get_component_rich_style(component)
        return Style(color=style.color, bold=style.bold, reverse=style.reverse)

    def pieces(self, y: int) -> list[Piece]:
        raise NotImplementedError

    def restyle(self) -> None:
        """Called when the size, the theme or the colour depth may have changed."""

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        ground = self.rich_style
        segments: list[Segment] = []
        painted = merged(self.pieces(y))
        self._painted[y] = painted
        for segment in painted:
            style = ground + segment.style if segment.style is not None else ground
            segments.append(Segment(segment.text, style))
        return Strip(segments).adjust_cell_length(width, ground)

    def repaint_changes(self) -> None:
        """Repaint the cells that differ from what was last painted: for a step that touches few of many cells."""
        rectangles: list[tuple[int, int, int, int]] = []
        for y in range(self.size.height):
            old = self._painted.get(y)
            if old is None:
                self.refresh()
                return
            rectangles += [(x, y, width, 1) for x, width in changed_spans(old, merged(self.pieces(y)))]
        self.repaint(rectangles)

    def repaint(self, rectangles: Iterable[tuple[int, int, int, int]] | None) -> None:
        """Repaint some rectangles of the content, or all of it (None)."""
        if rectangles is None:
            self.refresh()
            return
        regions = [Region(*r) for r in rectangles]
        if regions:
            self.refresh(*regions)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)
        self.restyle()

    def _theme_changed(self, _theme: Any) -> None:
        # The component styles are those of the new theme only after its style sheet was applied.
        self.call_after_refresh(self._restyle_and_refresh)

    def _restyle_and_refresh(self) -> None:
        self._inks = None
        self.restyle()
        self.refresh()

    def on_resize(self, _event: events.Resize) -> None:
        self._restyle_and_refresh()

    def action_move(self, where: str) -> None:
        self.moved(where)

    def action_choose(self) -> None:
        self.chosen()

    def moved(self, where: str) -> None:
        """`up`, `down`, `left`, `right`, `first`, `last`, `half_up`, `half_down`, `page_up` or `page_down`."""

    def chosen(self) -> None:
        """`enter` was pressed."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.moved("down")

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.moved("up")

"""An editor for RASP: syntax colours, and a mistake shown under the line that has it, as the person types."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.events import MouseEvent
from textual.geometry import Offset, Size
from textual.strip import Strip
from textual.widgets import TextArea

from themes.colour import depth_of
from tui.widgets.code_lines import Mistake, tokenised

CACHED_LINES = 2000
MESSAGE_LINES = 4
MESSAGE_WIDTH = 28  # a sentence has at least this much room, however far to the right its place is


class RaspEditor(TextArea):
    """A text area whose lines do not wrap, so that a screen row is a line, but for one more row under a mistake."""

    DEFAULT_CSS = """
    RaspEditor, RaspEditor:focus { border: none; padding: 0; background: $background; scrollbar-size: 0 1; }
    RaspEditor:focus { background: $surface; }
    RaspEditor > .rasp--mistake { color: $text-error; text-style: bold; }
    """
    COMPONENT_CLASSES = {"rasp--mistake"}  # noqa: RUF012

    mistake: Mistake | None = None

    def __init__(self, **options: Any) -> None:
        # The cursor's line has no style of its own: it would hide the syntax colours.
        super().__init__(show_line_numbers=True, soft_wrap=False, highlight_cursor_line=False, **options)
        self.cursor_blink = False
        self._coloured: dict[tuple[str, bool, bool], Text] = {}

    def show_mistake(self, mistake: Mistake | None) -> None:
        """Draw this mistake under its line instead of the one there was."""
        if mistake == self.mistake:
            return
        self.mistake = mistake
        self._line_cache.clear()
        self._refresh_size()
        self._recompute_cursor_offset()
        self.refresh()

    @property
    def line(self) -> int:
        """The line of the cursor, from 1."""
        return self.cursor_location[0] + 1

    def go_to(self, line: int) -> None:
        """Put the cursor on a line, from 1, if there is such a line."""
        if 1 <= line <= self.document.line_count and line != self.line:
            self.move_cursor((line - 1, 0))

    # ---- colours

    def get_line(self, line_index: int) -> Text:
        """The line with its syntax colours, and what is wrong in it underlined."""
        app: Any = self.app
        key = (self.document.get_line(line_index), app.current_theme.dark, depth_of(app) not in ("none", "ascii"))
        if key not in self._coloured:
            if len(self._coloured) >= CACHED_LINES:
                self._coloured.clear()
            self._coloured[key] = _coloured(*key)
        text = self._coloured[key].copy()
        wrong = self.mistake
        if wrong is not None and wrong.line == line_index + 1:
            start = min(max(0, wrong.column - 1), max(0, len(text) - 1))
            text.stylize(Style(underline=True, bold=True), start, start + max(1, wrong.length))
        return text

    # ---- the rows under a mistake: everything below it stands lower

    @property
    def _mistake_row(self) -> int | None:
        """The first row that says what is wrong, in rows of the whole text."""
        if self.mistake is None or not self.text:
            return None
        return max(1, min(self.mistake.line, self.document.line_count))

    @property
    def _mistake_lines(self) -> list[str]:
        """What is wrong as it is drawn: under its column where it fits there, else before or under the mark."""
        wrong = self.mistake
        if wrong is None or self._mistake_row is None:
            return []
        width = max(12, self.size.width)
        at = max(0, self.gutter_width + wrong.column - 1 - self.scroll_offset.x)
        lead = max(0, min(at, width - 2 - min(len(wrong.message), max(MESSAGE_WIDTH, width - 2 - at))))
        lines = textwrap.wrap(wrong.message, max(10, width - 2 - lead))[:MESSAGE_LINES] or [""]
        if lead == at:
            return [" " * lead + ("^ " if i == 0 else "  ") + line for i, line in enumerate(lines)]
        if len(wrong.message) < at < width:
            return [f"{wrong.message} ^".rjust(at + 1)]
        return [" " * min(at, width - 1) + "^", *(" " * lead + line for line in lines)]

    def render_line(self, y: int) -> Strip:
        row, at = self._mistake_row, self.scroll_offset.y + y
        if row is None or at < row:
            return super().render_line(y)
        said = self._mistake_lines
        if at - row >= len(said):
            return super().render_line(y - len(said))
        ground, style = self.rich_style, self.get_component_rich_style("rasp--mistake")
        return Strip([Segment(said[at - row], style)]).adjust_cell_length(self.size.width, ground)

    def _refresh_size(self) -> None:
        super()._refresh_size()
        if self._mistake_row is not None:
            width, height = self.virtual_size
            self.virtual_size = Size(width, height + len(self._mistake_lines))
            self._refresh_scrollbars()

    def _recompute_cursor_offset(self) -> None:
        super()._recompute_cursor_offset()  # type: ignore[no-untyped-call]
        x, y = self._cursor_offset
        row = self._mistake_row
        if row is not None and y >= row:
            self._cursor_offset = Offset(x, y + len(self._mistake_lines))

    def get_target_document_location(self, event: MouseEvent) -> tuple[int, int]:
        scroll_x, scroll_y = self.scroll_offset
        x = event.x - self.gutter_width + scroll_x - self.gutter.left
        y = event.y + scroll_y - self.gutter.top
        row = self._mistake_row
        if row is not None and y >= row:
            y = max(row - 1, y - len(self._mistake_lines))
        return self.wrapped_document.offset_to_location(Offset(x, y))


def _coloured(line: str, dark: bool, coloured: bool) -> Text:
    """One line of RASP as Rich text."""
    text = Text(line, end="", no_wrap=True)
    if "\t" in line:  # the lexer expands tabs, and its places would not fit
        return text
    at = 0
    for piece, style in tokenised(line, "rasp", dark, coloured)[0].pieces if line else ():
        text.stylize(style, at, at + len(piece))
        at += len(piece)
    return text


def placeholder(keys: str) -> Content:
    """What stands in an empty editor."""
    return Content(f"Write or paste RASP here.\n\n{keys}\n\nFor example:\n\n  same = select(tokens, tokens, ==)\n"
                   "  hist = selector_width(same)")  # fmt: skip

"""For terminals that show only ASCII: our glyphs and frames become letters and dashes, in one place, after all drawing.

Text of the user's (tokens, titles) is left as it is.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_PAIRS = (
    "●* ◐~ ◑~ ◌o ✓+ ✗x –- ·| ▸> ▶> ▾v ▲^ ▼v …~ ≠# ‹< ›> ✎n •* ␣_ ⏎$ ⇥> ←< →> ↑^ ↓v "
    "█# ▓% ▒= ░. ▇# ▆# ▅# ▄= ▃= ▂_ ▁_ ▔- ▊| ▎| ▏| ▌| ▐| ▀# ─- ━= ╌- ╍- │| ┃| ┆: ┇: ╎: ╏: ═= ║|"
)
_GLYPHS = {pair[0]: pair[1] for pair in _PAIRS.split()}
_CORNERS = {chr(code): "+" for code in range(0x2500, 0x2580) if chr(code) not in _GLYPHS}
TABLE = str.maketrans({**_CORNERS, **_GLYPHS})


class AsciiOnly(LineFilter):
    """Replaces one character by one, so that nothing moves."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(TABLE), segment.style, segment.control)
            for segment in segments
        ]

"""Writes only the dirty cells of a line to the terminal.

Textual 8.2.8 paints a dirty region from the left edge of its widget (`ChopsUpdate.render_segments`, where its authors
left `TODO: crop to x extents` on the Rich path): one changed cell at the right of a colourful heatmap costs the whole
line, 6 KB instead of 40 bytes. Over a slow SSH line that is the difference between a cursor that follows the key and
one that lags. The version of Textual is pinned exactly, and a test compares the bytes.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate


def render_segments(self: ChopsUpdate, console: Console) -> str:
    """ChopsUpdate.render_segments, cropped on both sides."""
    out: list[str] = []
    last_y = self.spans[-1][0]
    for y, x1, x2 in self.spans:
        for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            if strip is None or x >= x2 or end <= x1:
                continue
            left, right = max(x, x1), min(end, x2)
            out.append(Control.move_to(left, y).segment.text)
            out.append(strip.crop(left - x, right - x).render(console))
        if y != last_y:
            out.append("\n")
    return "".join(out)


def install() -> None:
    """Use it in this process."""
    ChopsUpdate.render_segments = render_segments  # type: ignore[method-assign]

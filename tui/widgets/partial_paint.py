"""Writes to the terminal only the cells that differ from what it shows.

Textual 8.2.8 writes every dirty region whole, without comparing it to what is on the screen, and paints from the left
edge of a widget (`ChopsUpdate.render_segments`, where its authors left `TODO: crop to x extents` on the Rich path). A
pane whose title changes is dirty with all it holds, a text that may have grown lays the screen out anew: a cursor step
beside a colourful heatmap then costs 57 KB instead of 1 KB. Over a slow SSH line that is the difference between a
cursor that follows the key and one that lags. The version of Textual is pinned exactly, and tests compare the bytes.

A frame that Textual paints whole (the first one, after a change of size, on the redraw key) is written whole: it does
not trust what is on the screen, so it also heals what another program wrote there.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

Cell = tuple[str, Style | None]  # what stands there; the right half of a wide character is an empty text
NEAR = 6  # unchanged cells between two changed ones that cost less than moving over them

_shown: WeakKeyDictionary[Console, dict[int, list[Cell | None]]] = WeakKeyDictionary()  # by line; None: not known


def render_segments(self: ChopsUpdate, console: Console) -> str:
    """ChopsUpdate.render_segments, without what the terminal shows already."""
    out: list[str] = []
    lines = _shown.setdefault(console, {})
    for y, x1, x2 in self.spans:
        shown = lines.setdefault(y, [])
        for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            if strip is None or x >= x2 or end <= x1:
                continue
            left, right = max(x, x1), min(end, x2)
            piece = strip.crop(left - x, right - x)
            wanted = _cells(piece)
            shown += [None] * (left + len(wanted) - len(shown))
            for start, stop in _changed(shown[left : left + len(wanted)], wanted):
                out.append(Control.move_to(left + start, y).segment.text)
                out.append(piece.crop(start, stop).render(console))
            shown[left : left + len(wanted)] = wanted
    return "".join(out)


def render_whole(self: LayoutUpdate, console: Console) -> str:
    """LayoutUpdate.render_segments, keeping what was written."""
    out: list[str] = []
    lines = _shown[console] = {}
    for y, line in enumerate(self.strips, self.region.y):
        shown: list[Cell | None] = [None] * self.region.x
        out.append(Control.move_to(self.region.x, y).segment.text)
        for strip in line:
            shown += _cells(strip)
            out.append(strip.render(console))
        lines[y] = shown
    return "".join(out)


def _cells(strip: Strip) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, _ in strip:
        if text.isascii():
            cells += [(character, style) for character in text]
            continue
        for character in text:
            width = get_character_cell_size(character)
            if width == 0 and cells:  # an accent belongs to the letter before it
                cells[-1] = (cells[-1][0] + character, cells[-1][1])
            else:
                cells += [(character, style), ("", style)][:width]
    return cells


def _changed(shown: list[Cell | None], wanted: list[Cell]) -> Iterator[tuple[int, int]]:
    """Where the two differ, as (start, stop): wide characters whole, near places joined."""
    if shown == wanted:
        return
    start = stop = -1
    for x, (before, after) in enumerate(zip(shown, wanted, strict=True)):
        if before == after:
            continue
        if start >= 0 and x - stop > NEAR:
            yield start, stop
            start = -1
        if start < 0:
            start = x - 1 if after[0] == "" and x > 0 else x
        stop = x + 2 if x + 1 < len(wanted) and wanted[x + 1][0] == "" else x + 1
    if start >= 0:
        yield start, stop


def install() -> None:
    """Use it in this process."""
    ChopsUpdate.render_segments = render_segments  # type: ignore[method-assign]
    LayoutUpdate.render_segments = render_whole  # type: ignore[method-assign]

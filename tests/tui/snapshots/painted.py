"""What an app paints, cell by cell: as text that can be compared and read in a diff, and as an SVG to look at.

The text has the characters as they stand on the screen, then one letter for each cell's style, then what the letters
mean. Unlike Textual's SVG it does not depend on the version of Python or Rich, and its difference is readable.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"
FONT_SIZE, CELL_WIDTH, CELL_HEIGHT = 16, 9.632, 18.624  # DejaVu Sans Mono: 0.602 em wide, 1.164 em high
FOREGROUND, BACKGROUND = "#e0e0e0", "#121212"  # a terminal's own colours, where nothing is painted over them
LETTERS = string.ascii_letters + string.digits + "".join(map(chr, (*range(0x3B1, 0x3CA), *range(0x430, 0x450))))
LETTERS += "".join(map(chr, range(0x4E00, 0x4F00)))  # a picture with so many styles is rare
ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike")

# Parts of a cell (left, top, right, bottom, in eighths) that block characters fill: a font leaves gaps between them.
BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "█": (0, 0, 8, 8), "▀": (0, 0, 8, 4), "▔": (0, 0, 8, 1), "▐": (4, 0, 8, 8), "▕": (7, 0, 8, 8),
    **{c: (0, 8 - n, 8, 8) for n, c in enumerate("▁▂▃▄▅▆▇", 1)},
    **{c: (0, 0, n, 8) for n, c in enumerate("▏▎▍▌▋▊▉", 1)},
}  # fmt: skip
BRAILLE = range(0x2801, 0x2900)  # a curve's dots, drawn as dots: DejaVu Sans Mono has none
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # column and row of each bit
SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}


class Cell(NamedTuple):
    """One cell of the screen. The second cell of a wide character has no text."""

    text: str
    ink: str  # `#rrggbb`, a terminal's colour by name, or `default`
    paper: str
    attributes: tuple[str, ...]

    @property
    def style(self) -> str:
        return " ".join((*self.attributes, self.ink, "on", self.paper))


Screen = tuple[tuple[Cell, ...], ...]


def painted(app: Any) -> Screen:
    """Everything on the screen now, with what lies under a dialog."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    return tuple(tuple(cell for strip in row for cell in _cells(strip)) for row in update.strips)


def _cells(strip: Any) -> Iterator[Cell]:
    for segment in strip:
        style = segment.style or Style()
        look = _name(style.color), _name(style.bgcolor), tuple(a for a in ATTRIBUTES if getattr(style, a))
        for character in segment.text:
            width = cell_len(character)
            yield Cell(character, *look)
            yield from (Cell("", *look) for _ in range(width - 1))


def _name(colour: Color | None) -> str:
    if colour is None or colour.is_default:
        return "default"
    return colour.triplet.hex if colour.triplet is not None else colour.name


# ---- to compare


def as_text(screen: Screen) -> str:
    """Characters, then a letter per cell for its style, then the letters' meanings. Ends of lines keep no blanks."""
    letters: dict[str, str] = {}
    for row in screen:
        for cell in row:
            letters.setdefault(_visible_style(cell), LETTERS[len(letters)])
    lines = ["".join(cell.text for cell in row).rstrip() for row in screen]
    styles = ["".join(letters[_visible_style(cell)] for cell in row) for row in screen]
    meanings = [f"{letter} {style}" for style, letter in letters.items()]
    return "\n".join([*lines, "", "styles", "", *styles, "", *meanings, ""])


def _visible_style(cell: Cell) -> str:
    """Of a blank only the background is seen, unless a line is drawn through it."""
    if cell.text.strip() or set(cell.attributes) & {"underline", "reverse", "strike"}:
        return cell.style
    return f"on {cell.paper}"


# ---- to look at


def as_svg(screen: Screen) -> str:
    """A picture of the screen with no web font in it. Blocks and shades are drawn as areas, so that they join."""
    width, height = max(map(len, screen)) * CELL_WIDTH, len(screen) * CELL_HEIGHT
    papers, inks = [], []
    for y, row in enumerate(screen):
        papers += list(_papers(y, row))
        inks += list(_inks(y, row))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.2f} {height:.2f}" '
            f'width="{width:.2f}" height="{height:.2f}">',
            f'<rect width="100%" height="100%" fill="{BACKGROUND}"/>',
            '<g shape-rendering="crispEdges">',
            *papers,
            "</g>",
            f'<g font-family="{FONT}" font-size="{FONT_SIZE}" xml:space="preserve">',
            *inks,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _colours(cell: Cell) -> tuple[str, str]:
    """Ink and paper as they are seen."""
    ink = FOREGROUND if cell.ink == "default" else _hex(cell.ink)
    paper = BACKGROUND if cell.paper == "default" else _hex(cell.paper)
    if "reverse" in cell.attributes:
        ink, paper = paper, ink
    return (_mixed(ink, paper) if "dim" in cell.attributes else ink), paper


def _hex(colour: str) -> str:
    return colour if colour.startswith("#") else Color.parse(colour).get_truecolor().hex


def _mixed(one: str, other: str) -> str:
    parts = [(int(one[i : i + 2], 16) * 3 + int(other[i : i + 2], 16) * 2) // 5 for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _rectangle(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    seen = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}"{seen}/>'


def _papers(y: int, row: tuple[Cell, ...]) -> Iterator[str]:
    x = 0
    for paper, run in groupby(row, key=lambda cell: _colours(cell)[1]):
        count = len(list(run))
        if paper != BACKGROUND:
            yield _rectangle(x * CELL_WIDTH, y * CELL_HEIGHT, count * CELL_WIDTH, CELL_HEIGHT, paper)
        x += count
    for x, cell in enumerate(row):
        ink = _colours(cell)[0]
        if cell.text in BLOCKS:
            left, top, right, bottom = BLOCKS[cell.text]
            corner = (x + left / 8) * CELL_WIDTH, (y + top / 8) * CELL_HEIGHT
            yield _rectangle(*corner, (right - left) / 8 * CELL_WIDTH, (bottom - top) / 8 * CELL_HEIGHT, ink)
        elif cell.text in SHADES:
            yield _rectangle(x * CELL_WIDTH, y * CELL_HEIGHT, CELL_WIDTH, CELL_HEIGHT, ink, SHADES[cell.text])
        elif _is_braille(cell.text):
            for bit, (column, line) in enumerate(DOTS):
                if (ord(cell.text) - 0x2800) >> bit & 1:
                    corner = (x + column / 2 + 0.15) * CELL_WIDTH, (y + line / 4 + 0.07) * CELL_HEIGHT
                    yield _rectangle(*corner, CELL_WIDTH / 5, CELL_HEIGHT / 9, ink)


def _is_braille(text: str) -> bool:
    return len(text) == 1 and ord(text) in BRAILLE


def _inks(y: int, row: tuple[Cell, ...]) -> Iterator[str]:
    x = 0
    baseline = y * CELL_HEIGHT + 0.928 * FONT_SIZE  # the font's ascent
    for look, run in groupby(row, key=lambda cell: (_colours(cell)[0], cell.attributes)):
        cells = list(run)
        places = [
            (x + i, cell.text)
            for i, cell in enumerate(cells)
            if cell.text.strip() and cell.text not in {*BLOCKS, *SHADES} and not _is_braille(cell.text)
        ]
        if places:
            ink, attributes = look
            weight = ' font-weight="bold"' if "bold" in attributes else ""
            slant = ' font-style="italic"' if "italic" in attributes else ""
            at = " ".join(f"{place * CELL_WIDTH:.1f}" for place, _ in places)
            text = escape("".join(character for _, character in places))
            yield f'<text x="{at}" y="{baseline:.1f}" fill="{ink}"{weight}{slant}>{text}</text>'
        for name, part in (("underline", 0.93), ("strike", 0.55)):
            if name in look[1]:
                yield _rectangle(
                    x * CELL_WIDTH, (y + part) * CELL_HEIGHT, len(cells) * CELL_WIDTH, CELL_HEIGHT / 16, look[0]
                )
        x += len(cells)

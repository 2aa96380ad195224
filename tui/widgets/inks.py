"""The few styles a picture is drawn with besides its data colours, and how a widget gets them from the theme."""

from __future__ import annotations

from functools import lru_cache

import msgspec
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from themes.colour import Depth, Rgb


class Inks(msgspec.Struct, frozen=True):
    """`text` on the pane's background, `dim` for labels, `title`, `accent` for the cursor and selections."""

    text: Style = Style()
    dim: Style = Style(dim=True)
    title: Style = Style(bold=True)
    accent: Style = Style(bold=True, reverse=True)
    depth: Depth = "truecolor"
    dark: bool = True


Piece = tuple[str, Style]


@lru_cache(maxsize=8192)
def style_of(fore: Rgb | None, back: Rgb | None, bold: bool = False) -> Style:
    """One cached Rich style per pair of colours: a heatmap asks for the same few hundred again and again."""
    return Style(
        color=Color.from_rgb(*fore) if fore is not None else None,
        bgcolor=Color.from_rgb(*back) if back is not None else None,
        bold=bold or None,
    )


def merged(pieces: list[Piece]) -> list[Segment]:
    """Segments with neighbours of equal style joined, which is what keeps a line's bytes few."""
    out: list[Segment] = []
    text, style = "", Style()
    for piece, ink in pieces:
        if not piece:
            continue
        if text and ink is style:
            text += piece
            continue
        if text and ink == style:
            text += piece
            continue
        if text:
            out.append(Segment(text, style))
        text, style = piece, ink
    if text:
        out.append(Segment(text, style))
    return out


def changed_spans(old: list[Segment], new: list[Segment], gap: int = 4) -> list[tuple[int, int]]:
    """Where two lines differ, as (column, width); spans nearer than `gap` are one, for moving the cursor costs too."""
    if old == new:
        return []
    one, other = ([(c, s.style) for s in line for c in s.text] for line in (old, new))
    blank = (" ", None)
    length = max(len(one), len(other))
    one, other = one + [blank] * (length - len(one)), other + [blank] * (length - len(other))
    out: list[tuple[int, int]] = []
    for x in (i for i in range(length) if one[i] != other[i]):
        if out and x - (out[-1][0] + out[-1][1]) < gap:
            out[-1] = (out[-1][0], x - out[-1][0] + 1)
        else:
            out.append((x, 1))
    return out


def cut(pieces: list[Piece], width: int) -> list[Piece]:
    """The pieces up to a width."""
    out: list[Piece] = []
    for text, style in pieces:
        if width <= 0:
            break
        out.append((text[:width], style))
        width -= len(text)
    return out


def clipped(text: str, width: int, ascii_only: bool = False) -> str:
    """The text in at most `width` columns, ending in an ellipsis where something was cut."""
    if len(text) <= width:
        return text
    if width <= 0:
        return ""
    return text[: width - 1] + ("~" if ascii_only else "…")

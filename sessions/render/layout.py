"""Text in cells: how wide it is, cut and filled to a width, and made safe to print."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Style(NamedTuple):
    """How wide the text may be, and whether only ASCII may be used."""

    width: int = 100
    ascii_only: bool = False
    max_rows: int = 40

    @property
    def shades(self) -> str:
        return " .:-=+*#%@" if self.ascii_only else " ░▒▓█"

    @property
    def bars(self) -> str:
        return "_.:-=+*#" if self.ascii_only else "▁▂▃▄▅▆▇█"

    @property
    def unknown(self) -> str:
        return "?" if self.ascii_only else "·"

    @property
    def ellipsis(self) -> str:
        return "~" if self.ascii_only else "…"

    @property
    def arrow(self) -> str:
        return "->" if self.ascii_only else "→"

    @property
    def dot(self) -> str:
        return " | " if self.ascii_only else " · "


def cells(text: str) -> int:
    """How many terminal cells the text takes: wide characters two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def inline(text: str) -> str:
    """The text on one line, with control and direction characters written as escapes."""
    return "".join(c if c == " " or c.isprintable() else _escape(c) for c in text)


def printable(text: str, *, ascii_only: bool) -> str:
    """The same over several lines: line ends and tabs stay."""
    kept = "".join(c if c in "\n\t" or c.isprintable() else _escape(c) for c in text)
    return kept.encode("ascii", "backslashreplace").decode() if ascii_only else kept


def _escape(c: str) -> str:
    return c.encode("unicode_escape").decode()


def clip(text: str, width: int, style: Style) -> str:
    """At most `width` cells, with an ellipsis where something was cut."""
    text = inline(text)
    if style.ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    if cells(text) <= width:
        return text
    kept = ""
    for c in text:
        if cells(kept + c) > width - 1:
            break
        kept += c
    return kept + style.ellipsis if width > 0 else ""


def left(text: str, width: int) -> str:
    return text + " " * max(0, width - cells(text))


def right(text: str, width: int) -> str:
    return " " * max(0, width - cells(text)) + text


def wrapped(text: str, style: Style, indent: str = "") -> list[str]:
    lines = textwrap.wrap(inline(text), max(20, style.width), subsequent_indent=indent, break_long_words=True)
    return lines or [""]


def columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], style: Style, *, numeric: Sequence[bool], gap: str = "  "
) -> list[str]:
    """A table as lines: numbers to the right, text to the left. To fit, first headings are broken over lines, then the
    widest text is cut."""
    values = [max([1, *(cells(row[i]) for row in rows)]) for i in range(len(header))]
    widths = [max(width, cells(name)) for width, name in zip(values, header)]
    room = style.width - len(gap) * (len(widths) - 1)
    words = [max([1, *(cells(word) for word in name.split())]) for name in header]
    _shrink(widths, [max(pair) for pair in zip(values, words)], room)
    _shrink(widths, [max(width, 4) if number else min(width, 12) for width, number in zip(values, numeric)], room)
    _shrink(widths, [width if number else 4 for width, number in zip(values, numeric)], room)
    _shrink(widths, [4] * len(widths), room)

    def line(texts: Iterable[str]) -> str:
        parts = [
            (right if numeric[i] else left)(clip(text, widths[i], style), widths[i]) for i, text in enumerate(texts)
        ]
        return gap.join(parts).rstrip()

    broken = [textwrap.wrap(inline(name), widths[i], break_long_words=False) for i, name in enumerate(header)]
    height = max([1, *map(len, broken)])
    heads = [line(parts) for parts in zip(*([""] * (height - len(lines)) + lines for lines in broken))]
    rule = ("-" if style.ascii_only else "─") * min(style.width, sum(widths) + len(gap) * (len(widths) - 1))
    return [*heads, rule, *(line(row) for row in rows)]


def _shrink(widths: list[int], least: Sequence[int], room: int) -> None:
    """Take from the widest columns, never below `least`, until all fit the room or nothing is left to take."""
    while sum(widths) > room:
        candidates = [i for i, width in enumerate(widths) if width > least[i]]
        if not candidates:
            return
        widths[max(candidates, key=lambda i: widths[i])] -= 1

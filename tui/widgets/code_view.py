"""Source code, read-only: syntax colours, line numbers, what is said of it below it, and differences."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from rich.style import Style
from textual.message import Message

from tui.widgets.code_lines import CodeLine, compared, paired, tokenised
from tui.widgets.inks import Piece, clipped, cut
from tui.widgets.line_widget import LineWidget

LONG_LINE = 60  # a longer one does not push the notes of all others to the right
TWO_COLUMNS = 96  # from this width on two versions stand beside each other
_ADDED = Style(bgcolor="#12351f")
_REMOVED = Style(bgcolor="#43191e")
_ADDED_LIGHT = Style(bgcolor="#d5f2dc")
_REMOVED_LIGHT = Style(bgcolor="#fbdcdc")


Mark = Literal["yes", "no", "open", "note"]


class Said(NamedTuple):
    """A sentence under the code: something holds, does not hold, is open, or is only to be known."""

    mark: Mark
    text: str
    short: str | None = ""  # a few words for where there is little room; empty: the sentence, cut; None: nothing


_MARKS = {"yes": ("✓ ", "ok  "), "no": ("✗ ", "NO  "), "open": ("? ", "? "), "note": ("· ", "- ")}


class CodeView(LineWidget):
    """Draws a program. The cursor is a line; long lines scroll sideways."""

    class LineMoved(Message):
        """The cursor stands on another line of the source, counted from 1 (0 in a diff's removed lines)."""

        def __init__(self, view: CodeView, line: int) -> None:
            super().__init__()
            self.view, self.line = view, line

        @property
        def control(self) -> CodeView:
            return self.view

    class LineSelected(LineMoved):
        """`enter` on a line."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.source, self.old, self.language = "", "", "python"
        self.diff = False
        self.names = ("", "")  # of the two versions that are compared
        self.said: tuple[Said, ...] = ()
        self.notes: dict[int, str] = {}
        self.marks: frozenset[int] = frozenset()
        self.lines: tuple[CodeLine, ...] = ()
        self.beside: tuple[CodeLine | None, ...] = ()  # of two versions beside each other: the old one's lines
        self.place = self.top = self.left = 0
        self.empty = "no program"
        self._below: list[tuple[str, bool | None]] = []

    def show(
        self,
        source: str,
        language: str = "python",
        *,
        said: Sequence[Said] = (),
        notes: Mapping[int, str] | None = None,
        marks: Iterable[int] = (),
        empty: str = "no program",
    ) -> None:
        """Draw a source text; `said` stands below it.

        `notes` are short remarks beside lines, counted from 1; `marks` are lines to be seen at once.
        """
        if source != self.source or self.diff:
            self.place = self.top = self.left = 0
        self.source, self.language, self.diff = source, language, False
        self.said, self.notes, self.empty = tuple(said), dict(notes or {}), empty
        self.marks = frozenset(marks)
        self._restyle_and_refresh()

    def show_diff(
        self,
        old: str,
        new: str,
        language: str = "python",
        *,
        names: tuple[str, str] = ("old", "new"),
        said: Sequence[Said] = (),
    ) -> None:
        """Draw what changed from one text to another: beside each other where there is room, else as a unified diff."""
        if (old, new) != (self.old, self.source) or not self.diff:
            self.place = self.top = self.left = 0
        self.source, self.old, self.language, self.diff = new, old, language, True
        self.names, self.said, self.notes, self.marks = names, tuple(said), {}, frozenset()
        self.empty = "no differences"
        self._restyle_and_refresh()

    def annotate(self, notes: Mapping[int, str], marks: Iterable[int]) -> None:
        """Other remarks beside the lines, and other lines marked; only what changes is painted."""
        self.notes, self.marks = dict(notes), frozenset(marks)
        self.repaint_changes()

    @property
    def line(self) -> int:
        """The source line under the cursor, from 1."""
        return self.lines[self.place].number if self.place < len(self.lines) else 0

    def move_to(self, line: int, *, quiet: bool = False) -> None:
        """Put the cursor on a source line, counted from 1; `quiet` posts no message."""
        for place, of in enumerate(self.lines):
            if of.number == line:
                self._go(place, quiet=quiet)
                return

    def mark(self, lines: Iterable[int]) -> None:
        """Mark these lines and no others."""
        wanted = frozenset(lines)
        if wanted != self.marks:
            self.marks = wanted
            self.repaint_changes()

    # ---- painting and keys

    @property
    def two_columns(self) -> bool:
        """Whether two versions stand beside each other."""
        return self.diff and self.size.width >= TWO_COLUMNS

    def restyle(self) -> None:
        inks = self.inks()
        coloured = inks.depth not in ("none", "ascii")
        self.beside = ()
        if self.two_columns:
            pairs = paired(self.old, self.source, self.language, inks.dark, coloured)
            self.beside = tuple(old for old, _ in pairs)
            self.lines = tuple(new or CodeLine((), 0) for _, new in pairs)
        elif self.diff:
            self.lines = compared(self.old, self.source, self.language, inks.dark, coloured)
        else:
            self.lines = tokenised(self.source, self.language, inks.dark, coloured) if self.source else ()
        self._below = wrapped(self.said, max(20, self.size.width), inks.depth == "ascii", self.size.height)
        self._keep_in_view()

    @property
    def _head(self) -> int:
        """Lines above the code: the names of two versions."""
        return 1 if self.diff else 0

    @property
    def _room(self) -> int:
        return max(1, self.size.height - self._head - len(self._below) - 1)

    def _keep_in_view(self) -> bool:
        before = self.top
        self.place = max(0, min(self.place, len(self.lines) - 1))
        self.top = max(0, min(self.top, len(self.lines) - self._room))
        if self.place < self.top:
            self.top = self.place
        elif self.place >= self.top + self._room:
            self.top = self.place - self._room + 1
        return self.top != before

    def _go(self, place: int, *, quiet: bool = False) -> None:
        before = self.place
        self.place = max(0, min(place, len(self.lines) - 1))
        if self.place == before:
            return
        if self._keep_in_view():
            self.refresh()
        else:
            gutter = self.size.width if self.beside else self._gutter + 2
            rows = [(0, self._head + p - self.top, gutter, 1) for p in (before, self.place)]
            self.repaint([*rows, (0, self.size.height - 1, self.size.width, 1)])
        if not quiet:
            self.post_message(self.LineMoved(self, self.line))

    def moved(self, where: str) -> None:
        page = self._room
        steps = {
            "up": -1,
            "down": 1,
            "half_up": -(page // 2),
            "half_down": page // 2,
            "page_up": -page,
            "page_down": page,
            "first": -len(self.lines),
            "last": len(self.lines),
        }
        if where in steps:
            self._go(self.place + steps[where])
        elif where in ("left", "right"):
            lines = [*self.lines, *(x for x in self.beside if x is not None)]
            longest = max((sum(len(t) for t, _ in x.pieces) for x in lines), default=0)
            width = self.size.width // 2 if self.beside else self.size.width
            furthest = max(0, longest - (width - self._gutter - 2))
            self.left = max(0, min(furthest, self.left + (8 if where == "right" else -8)))
            self.refresh()

    def chosen(self) -> None:
        if self.lines:
            self.post_message(self.LineSelected(self, self.line))

    @property
    def _note_column(self) -> int:
        """Where notes begin: behind the longest line that has one, unless it is very long."""
        lengths = [sum(len(t) for t, _ in line.pieces) for line in self.lines if line.number in self.notes]
        return self._gutter + 3 + max((n for n in lengths if n <= LONG_LINE), default=0) - self.left

    @property
    def _gutter(self) -> int:
        lines = [*self.lines, *(x for x in self.beside if x is not None)]
        return len(str(max((x.number for x in lines), default=1))) + (2 if self.diff else 0)

    def pieces(self, y: int) -> list[Piece]:
        inks = self.inks()
        width, height = self.size
        plain = inks.depth == "ascii"
        if y == height - 1 and height > 2:
            return [(clipped(self._footing(), width, plain), inks.dim)] if self.lines else []
        below = y - (height - 1 - len(self._below))
        if 0 <= below < len(self._below):
            text, holds = self._below[below]
            return [(text, inks.dim if holds is None else inks.title if holds else inks.text)]
        if y == 0 and self.diff:
            return self._names()
        if not self.lines:
            return [(clipped(self.empty, width, plain), inks.dim)] if y == self._head else []
        at = self.top + y - self._head
        if at >= len(self.lines):
            return []
        here = at == self.place
        if self.beside:
            half = (width - 3) // 2
            old = filled(self._line(self.beside[at], here, half, "-"), half)
            new = self._line(self.lines[at] if self.lines[at].number else None, here, width - half - 3, "+")
            return [*old, (" | " if plain else " │ ", inks.dim), *new]
        return self._line(self.lines[at], here, width, "")

    def _footing(self) -> str:
        if self.diff and not any(line.change for line in (*self.lines, *(x for x in self.beside if x is not None))):
            return "no differences"
        shown = f"line {self.line} of {len(self.lines)}" if not self.diff else f"{self.place + 1}/{len(self.lines)}"
        return shown + (f", column {self.left + 1}" if self.left else "")

    def _names(self) -> list[Piece]:
        """The two versions' names over them."""
        inks, width = self.inks(), self.size.width
        plain = inks.depth == "ascii"
        old, new = self.names
        if self.beside:
            half = (width - 3) // 2
            return [(clipped(old, half, plain).ljust(half) + "   " + clipped(new, width - half - 3, plain), inks.title)]
        room = (width - 7) // 2
        return [(f"- {clipped(old, room, plain)}  + {clipped(new, room, plain)}", inks.title)]

    def _line(self, line: CodeLine | None, here: bool, width: int, side: str) -> list[Piece]:
        """A line of code in its place. `side`: of two columns, which change belongs to it."""
        inks = self.inks()
        plain = inks.depth == "ascii"
        if line is None:
            return []
        digits = self._gutter - (2 if self.diff else 0)
        number = str(line.number) if line.number else ""
        changed = line.change or " "
        change = f"{changed} " if self.diff else ""
        lead: Piece = ((">" if plain else "▸") if here else " ", inks.title)
        marked = line.number in self.marks and line.number > 0
        # Where no line says more than itself, no room is taken for marks.
        mark = (("*" if plain else "•") if marked else " ") + " " if self.notes or self.marks else " "
        out: list[Piece] = [lead, (change + number.rjust(digits) + mark, inks.title if here or marked else inks.dim)]
        ground = Style()
        if line.change in ("+", "-") and inks.depth not in ("none", "ascii", "16"):
            pair = (_ADDED, _REMOVED) if inks.dark else (_ADDED_LIGHT, _REMOVED_LIGHT)
            ground = pair[0] if line.change == "+" else pair[1]
        skipped = 0
        for text, style in line.pieces:
            left = text[max(0, self.left - skipped) :] if skipped + len(text) > self.left else ""
            skipped += len(text)
            out.append((left, ground + style))
        if side:
            return cut(out, width)
        note = self.notes.get(line.number, "") if line.change != "-" else ""
        if note:
            used = sum(len(t) for t, _ in out)
            wanted = min(self._note_column, width - len(note) - 2)  # in a column, where the notes fit behind it
            out.append((" " * max(0, wanted - used), inks.text))
            room = width - max(used, wanted) - 2
            if room > 4:
                out.append(("  " + clipped(note, room, plain), inks.title if marked else inks.dim))
        return out


def filled(pieces: list[Piece], width: int) -> list[Piece]:
    """The pieces with blanks up to a width."""
    return [*pieces, (" " * max(0, width - sum(len(text) for text, _ in pieces)), Style())]


def wrapped(said: Sequence[Said], width: int, plain: bool, height: int) -> list[tuple[str, bool | None]]:
    """A rule, then each sentence behind its mark, wrapped; in a low view the short words behind each other.

    The second of each pair: whether the line is one to be seen; None for a rule.
    """
    signs = [_MARKS[mark][1 if plain else 0] for mark, *_ in said]
    out: list[tuple[str, bool | None]] = []
    for sign, (mark, text, _) in zip(signs, said):
        lines = textwrap.wrap(sign + text, width, subsequent_indent=" " * len(sign)) or [sign]
        out.extend((line, mark in ("yes", "no")) for line in lines)
    if len(out) > max(2, height // 5):
        short: list[str] = []
        rest: list[tuple[str, bool | None]] = []
        for sign, (mark, text, words) in zip(signs, said):
            if words:
                short.append(sign + words)
            elif words is not None:
                rest.append((clipped(sign + text, width, plain), mark in ("yes", "no")))
        lines = _filled_lines(short, width)
        out = [*((line, True) for line in lines), *rest][: max(1, height // 2)]
    return [(("-" if plain else "─") * width, None), *out] if out else []


def _filled_lines(words: Sequence[str], width: int) -> list[str]:
    """The words in as few lines as they need; none is cut in two unless it is longer than a line."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 3 + len(word) <= width:
            lines[-1] += f"   {word}"
        else:
            lines.append(clipped(word, width))
    return lines

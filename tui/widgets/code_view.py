"""Source code, read-only: syntax colours, line numbers, what it was checked against above it, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.style import Style
from textual.message import Message

from sessions.artifacts import Program, Verdict
from tui.widgets.code_lines import CodeLine, compared, tokenised
from tui.widgets.inks import Piece, clipped
from tui.widgets.line_widget import LineWidget

LONG_LINE = 60  # a longer one does not push the notes of all others to the right
_ADDED = Style(bgcolor="#12351f")
_REMOVED = Style(bgcolor="#43191e")
_ADDED_LIGHT = Style(bgcolor="#d5f2dc")
_REMOVED_LIGHT = Style(bgcolor="#fbdcdc")


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
        self.verdicts: tuple[Verdict, ...] = ()
        self.notes: dict[int, str] = {}
        self.marks: frozenset[int] = frozenset()
        self.remarks: tuple[str, ...] = ()
        self.doubts: tuple[str, ...] = ()
        self.lines: tuple[CodeLine, ...] = ()
        self.place = self.top = self.left = 0
        self.empty = "no program"
        self._heading: list[tuple[str, bool | None]] = []

    def show(
        self,
        source: str,
        language: str = "python",
        *,
        verdicts: Sequence[Verdict] = (),
        notes: Mapping[int, str] | None = None,
        marks: Iterable[int] = (),
        remarks: Sequence[str] = (),
        doubts: Sequence[str] = (),
        empty: str = "no program",
    ) -> None:
        """Draw a source text. `verdicts` stand above it, then `remarks`, and `doubts`: sentences on what it leaves out.

        `notes` are short remarks beside lines, counted from 1; `marks` are lines to be seen at once.
        """
        if source != self.source or self.diff:
            self.place = self.top = self.left = 0
        self.source, self.language, self.diff = source, language, False
        self.verdicts, self.notes, self.empty = tuple(verdicts), dict(notes or {}), empty
        self.marks, self.remarks, self.doubts = frozenset(marks), tuple(remarks), tuple(doubts)
        self._restyle_and_refresh()

    def show_program(self, program: Program) -> None:
        """Draw a program artifact with its verdicts."""
        self.show(program.source, program.language, verdicts=program.verdicts)

    def show_diff(self, old: str, new: str, language: str = "python") -> None:
        """Draw what changed from one text to another, as a unified diff."""
        self.source, self.old, self.language, self.diff = new, old, language, True
        self.verdicts, self.notes, self.marks, self.remarks, self.doubts = (), {}, frozenset(), (), ()
        self.place = self.top = self.left = 0
        self.empty = "no differences"
        self._restyle_and_refresh()

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

    def restyle(self) -> None:
        inks = self.inks()
        coloured = inks.depth not in ("none", "ascii")
        if self.diff:
            self.lines = compared(self.old, self.source, self.language, inks.dark, coloured)
        else:
            self.lines = tokenised(self.source, self.language, inks.dark, coloured) if self.source else ()
        notes = [
            *(("-" if inks.depth == "ascii" else "·", text) for text in self.remarks),
            *(("?", text) for text in self.doubts),
        ]
        self._heading = _wrapped_verdicts(self.verdicts, notes, max(20, self.size.width), inks.depth == "ascii")
        self._heading = self._heading[: max(0, self.size.height // 2)]
        self._keep_in_view()

    @property
    def _room(self) -> int:
        return max(1, self.size.height - len(self._heading) - 1)

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
            head = len(self._heading)
            gutter = self._gutter + 2
            rows = [(0, head + p - self.top, gutter, 1) for p in (before, self.place)]
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
            longest = max((sum(len(t) for t, _ in x.pieces) for x in self.lines), default=0)
            furthest = max(0, longest - (self.size.width - self._gutter - 2))
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
        return len(str(max((x.number for x in self.lines), default=1))) + (2 if self.diff else 0)

    def pieces(self, y: int) -> list[Piece]:
        inks = self.inks()
        width, height = self.size
        plain = inks.depth == "ascii"
        if y < len(self._heading):
            text, holds = self._heading[y]
            return [(text, inks.dim if holds is None else inks.title)]
        if y == height - 1 and height > 2:
            shown = f"line {self.line} of {len(self.lines)}" if not self.diff else f"{self.place + 1}/{len(self.lines)}"
            side = f", column {self.left + 1}" if self.left else ""
            return [(clipped(shown + side, width, plain), inks.dim)] if self.lines else []
        if not self.lines:
            return [(clipped(self.empty, width, plain), inks.dim)] if y == len(self._heading) else []
        at = self.top + y - len(self._heading)
        if at >= len(self.lines):
            return []
        line = self.lines[at]
        here = at == self.place
        digits = self._gutter - (2 if self.diff else 0)
        number = str(line.number) if line.number else ""
        change = f"{line.change or ' '} " if self.diff else ""
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
            cut = text[max(0, self.left - skipped) :] if skipped + len(text) > self.left else ""
            skipped += len(text)
            out.append((cut, ground + style))
        note = self.notes.get(line.number, "") if line.change != "-" else ""
        if note:
            used = sum(len(t) for t, _ in out)
            wanted = min(self._note_column, width - len(note) - 2)  # in a column, where the notes fit behind it
            out.append((" " * max(0, wanted - used), inks.text))
            room = width - max(used, wanted) - 2
            if room > 4:
                out.append(("  " + clipped(note, room, plain), inks.title if marked else inks.dim))
        return out


def _wrapped_verdicts(
    verdicts: Sequence[Verdict], notes: Sequence[tuple[str, str]], width: int, plain: bool
) -> list[tuple[str, bool | None]]:
    """Each verdict with a mark and a word for how it came out, then what else is said, wrapped; then a rule."""
    import textwrap

    out: list[tuple[str, bool | None]] = []
    for verdict in verdicts:
        mark = ("ok  " if verdict.holds else "NO  ") if plain else ("✓ " if verdict.holds else "✗ ")
        lines = textwrap.wrap(mark + str(verdict), width, subsequent_indent=" " * len(mark)) or [mark]
        out.extend((text, verdict.holds) for text in lines)
    for sign, sentence in notes:
        lines = textwrap.wrap(f"{sign} {sentence}", width, subsequent_indent="  ")
        out.extend((text, sign != "?") for text in lines)
    if out:
        out.append((("-" if plain else "─") * width, None))
    return out

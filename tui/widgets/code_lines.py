"""Source text as coloured lines: tokenised once, and compared with another version as a unified diff."""

from __future__ import annotations

import difflib

import msgspec
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token
from pygments.util import ClassNotFound
from rich.style import Style

from tui.widgets.inks import Piece

# Token families and their colours on a dark and on a light ground, at a contrast of 4.5:1 or more on each.
_DARK = {
    Keyword: Style(color="#c792ea"),
    Name.Function: Style(color="#82aaff"),
    Name.Class: Style(color="#ffcb6b"),
    Name.Builtin: Style(color="#7fdbca"),
    String: Style(color="#c3e88d"),
    Number: Style(color="#f78c6c"),
    Comment: Style(color="#9aa5b8", italic=True),
    Operator: Style(color="#89ddff"),
}
_LIGHT = {
    Keyword: Style(color="#7a1fa2"),
    Name.Function: Style(color="#0b4fa8"),
    Name.Class: Style(color="#7a4b00"),
    Name.Builtin: Style(color="#00626b"),
    String: Style(color="#2b6a1a"),
    Number: Style(color="#a33b00"),
    Comment: Style(color="#56606e", italic=True),
    Operator: Style(color="#00596b"),
}
_UNCOLOURED = {Keyword: Style(bold=True), Comment: Style(italic=True)}
_PLAIN = Style()

# RASP text is written in Python's expressions, so Python's lexer cuts it; these words have a meaning of their own.
_RASP = """
tokens indices length select selector_width aggregate numerical categorical map sequence_map linear_sequence_map full
constant selector_and selector_or selector_not Select SelectorWidth Aggregate Map SequenceMap LinearSequenceMap Full
ConstantSOp Comparison rasp EQ NEQ LT LEQ GT GEQ TRUE FALSE
"""
RASP_WORDS = frozenset(_RASP.split())


class CodeLine(msgspec.Struct, frozen=True):
    """One line: its pieces, its number in the new text (0 for a removed one) and its part in a diff (`+`, `-`, ``)."""

    pieces: tuple[Piece, ...]
    number: int
    change: str = ""


class Mistake(msgspec.Struct, frozen=True):
    """Where a text is wrong, counted from 1, and what is wrong in one sentence."""

    line: int
    column: int
    length: int
    message: str


def colours(dark: bool, coloured: bool) -> dict[object, Style]:
    if not coloured:
        return dict(_UNCOLOURED)
    return dict(_DARK if dark else _LIGHT)


def tokenised(source: str, language: str = "python", dark: bool = True, coloured: bool = True) -> tuple[CodeLine, ...]:
    """The lines of a source text with their syntax colours. An unknown language is left plain."""
    text = source.expandtabs(4)
    palette = colours(dark, coloured)
    try:
        # Nothing is executed: a lexer only cuts text into tokens.
        lexer = get_lexer_by_name("python" if language == "rasp" else language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return tuple(CodeLine(((line, _PLAIN),), i + 1) for i, line in enumerate(text.split("\n")))
    lines: list[list[Piece]] = [[]]
    for kind, value in lexer.get_tokens(text):
        style = _PLAIN
        of = Name.Builtin if language == "rasp" and value in RASP_WORDS else kind
        while of is not Token and of is not None:
            if of in palette:
                style = palette[of]
                break
            of = of.parent
        for i, part in enumerate(value.split("\n")):
            if i:
                lines.append([])
            if part:
                lines[-1].append((part, style))
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return tuple(CodeLine(tuple(pieces), i + 1) for i, pieces in enumerate(lines))


def compared(
    old: str, new: str, language: str = "python", dark: bool = True, coloured: bool = True, context: int = 3
) -> tuple[CodeLine, ...]:
    """A unified diff of two versions, with `context` lines around each change and `@@` lines between the parts."""
    before, after = (tokenised(text, language, dark, coloured) for text in (old, new))
    matcher = difflib.SequenceMatcher(None, [_text(x) for x in before], [_text(x) for x in after], autojunk=False)
    out: list[CodeLine] = []
    for group in matcher.get_grouped_opcodes(context):
        first, last = group[0], group[-1]
        place = f"@@ old {first[1] + 1}-{last[2]}, new {first[3] + 1}-{last[4]} @@"
        out.append(CodeLine(((place, Style(bold=True)),), 0, "@"))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                out.extend(after[j1:j2])
                continue
            out.extend(CodeLine(x.pieces, 0, "-") for x in before[i1:i2])
            out.extend(CodeLine(x.pieces, x.number, "+") for x in after[j1:j2])
    return tuple(out)


def paired(
    old: str, new: str, language: str = "python", dark: bool = True, coloured: bool = True
) -> tuple[tuple[CodeLine | None, CodeLine | None], ...]:
    """Both versions whole, line beside line: what changed stands opposite, None where the other has more lines."""
    before, after = (tokenised(text, language, dark, coloured) for text in (old, new))
    matcher = difflib.SequenceMatcher(None, [_text(x) for x in before], [_text(x) for x in after], autojunk=False)
    out: list[tuple[CodeLine | None, CodeLine | None]] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        change = tag != "equal"
        for k in range(max(i2 - i1, j2 - j1)):
            left = before[i1 + k] if i1 + k < i2 else None
            right = after[j1 + k] if j1 + k < j2 else None
            if change:
                left = None if left is None else CodeLine(left.pieces, left.number, "-")
                right = None if right is None else CodeLine(right.pieces, right.number, "+")
            out.append((left, right))
    return tuple(out)


def _text(line: CodeLine) -> str:
    return "".join(text for text, _ in line.pieces)

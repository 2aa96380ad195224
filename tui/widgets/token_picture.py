"""Tokens as the model sees them, clean above corrupt, with differences marked and positions named; without Textual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui.widgets.inks import Inks, Piece, clipped

LONGEST = 16


class TokenRow(msgspec.Struct, frozen=True):
    """One prompt's tokens. `corrupt` may be empty; `positions` maps names to indices."""

    clean: tuple[str, ...]
    corrupt: tuple[str, ...] = ()
    positions: dict[str, int] = {}
    problem: str = ""

    @property
    def length(self) -> int:
        return max(len(self.clean), len(self.corrupt))

    def differs(self, at: int) -> bool:
        if not self.corrupt:
            return False
        one = self.clean[at] if at < len(self.clean) else None
        other = self.corrupt[at] if at < len(self.corrupt) else None
        return one != other

    @property
    def misaligned(self) -> str:
        """One sentence when clean and corrupt do not have the same number of tokens."""
        if not self.corrupt or len(self.clean) == len(self.corrupt):
            return self.problem
        return self.problem or f"misaligned: clean has {len(self.clean)} tokens, corrupt {len(self.corrupt)}"


def visible(token: str, ascii_only: bool = False) -> str:
    """A token with its spaces and line ends made visible."""
    space, line = ("_", "\\n") if ascii_only else ("·", "⏎")
    return token.replace(" ", space).replace("\n", line).replace("\t", "\\t") or ("''" if ascii_only else "∅")


def blocks(row: TokenRow, width: int, ascii_only: bool = False) -> list[list[tuple[int, int, int]]]:
    """The tokens in blocks that fit the width: (index, column, cell width) each."""
    names = _names(row)
    out: list[list[tuple[int, int, int]]] = [[]]
    at = LEAD
    for index in range(row.length):
        texts = [
            clipped(visible(t[index], ascii_only), LONGEST) if index < len(t) else "-"
            for t in (row.clean, row.corrupt)
            if t
        ]
        cell = max([len(str(index)), len(names.get(index, "")), *(len(t) for t in texts)]) + 1
        if at + cell > width and out[-1]:
            out.append([])
            at = LEAD
        out[-1].append((index, at, cell))
        at += cell
    return out


LEAD = 8  # columns for the names of the lines


def _names(row: TokenRow) -> Mapping[int, str]:
    out: dict[int, str] = {}
    for name, at in row.positions.items():
        out[at] = f"{out[at]},{name}" if at in out else name
    return out


def lines(row: TokenRow, width: int, cursor: int, inks: Inks) -> tuple[list[list[Piece]], list[tuple[int, int, int]]]:
    """All lines of the strip, and where each token's cell is: (first line of its block, column, width)."""
    plain = inks.depth == "ascii"
    names = _names(row)
    out: list[list[Piece]] = []
    places: list[tuple[int, int, int]] = []
    if row.misaligned:
        out.append([(clipped(("! " if plain else "⚠ ") + row.misaligned, width, plain), inks.title)])
    for block in blocks(row, width, plain):
        places.extend((len(out), column, cell) for _, column, cell in block)
        out.append([("".ljust(LEAD), inks.dim), *((str(i).ljust(c), inks.dim) for i, _, c in block)])
        for title, tokens in (("clean", row.clean), ("corrupt", row.corrupt)):
            if not tokens:
                continue
            line: list[Piece] = [(title.ljust(LEAD), inks.dim)]
            for index, _, cell in block:
                text = clipped(visible(tokens[index], plain), LONGEST, plain) if index < len(tokens) else "-"
                style = inks.accent if index == cursor else inks.title if row.differs(index) else inks.text
                line += [(text, style), (" " * (cell - len(text)), inks.text)]
            out.append(line)
        if row.corrupt:
            sign = "^" if plain else "≠"
            marks = [
                ((sign * min(1, cell - 1) if row.differs(i) else "").ljust(cell), inks.title) for i, _, cell in block
            ]
            if any(text.strip() for text, _ in marks):
                out.append([("differ".ljust(LEAD), inks.dim), *marks])
        if any(i in names for i, _, _ in block):
            out.append([("place".ljust(LEAD), inks.dim), *((names.get(i, "").ljust(c), inks.dim) for i, _, c in block)])
        out.append([])
    if out and not out[-1]:
        out.pop()
    return out, places


def row_of(
    clean: Sequence[str], corrupt: Sequence[str] = (), positions: Mapping[str, int] | None = None, problem: str = ""
) -> TokenRow:
    return TokenRow(tuple(clean), tuple(corrupt), dict(positions or {}), problem)

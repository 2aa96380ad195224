"""Tables and prompts as aligned rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessions.artifacts import PromptRow, Prompts, Table
from sessions.render.layout import Style, columns, wrapped
from sessions.render.layout import cells as wide
from sessions.render.numbers import column

READABLE = 24  # cells that a text is given before further columns are
LEAST_COLUMNS = 4


def table(artifact: Table, style: Style) -> list[str]:
    if not artifact.rows:
        return ["no rows; columns: " + ", ".join(c.name for c in artifact.columns)]
    shown = artifact.rows[: style.max_rows]
    header = [c.name + (f" [{c.unit}]" if c.unit else "") for c in artifact.columns]
    numeric = [c.type in ("int", "float") for c in artifact.columns]
    by_column = [cells(artifact, i, shown) for i in range(len(artifact.columns))]
    fit = _fitting(header, by_column, numeric, style)
    lines = columns(header[:fit], list(zip(*by_column[:fit])), style, numeric=numeric[:fit])
    lines += _more(len(shown), len(artifact.rows), "rows")
    if fit < len(header):
        lines += wrapped(f"columns left out: {', '.join(header[fit:])} (--json has them)", style, "  ")
    return lines


def _fitting(header: Sequence[str], by_column: Sequence[Sequence[str]], numeric: Sequence[bool], style: Style) -> int:
    """How many columns, from the left, have room for a number's width or some words each. What is cut to a few letters
    says nothing; the first columns are there in any case."""
    used = fit = 0
    for name, values, number in zip(header, by_column, numeric):
        needed = max([1, *map(wide, values)])
        words = max([1, *map(wide, name.split())])
        used += max(needed, words) if number else max(min(needed, READABLE), min(words, READABLE))
        if used > style.width and fit >= LEAST_COLUMNS:
            break
        used += 2
        fit += 1
    return fit


def cells(artifact: Table, index: int, rows: Sequence[Sequence[Any]]) -> list[str]:
    """One column as text: numbers with common decimals, the rest cell by cell."""
    values = [row[index] for row in rows]
    is_number = artifact.columns[index].type in ("int", "float")
    return column(values) if is_number else [cell(value) for value in values]


def cell(value: str | int | float | bool | None) -> str:
    """A cell of a column that is not a number."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def prompts(artifact: Prompts, style: Style) -> list[str]:
    """Each row with its clean and corrupt text, answers and foils; then what could not be used, and why."""
    shown = artifact.rows[: style.max_rows]
    names = [
        name
        for name, present in (
            ("clean", True),
            ("corrupt", any(row.corrupt for row in shown)),
            ("answers", any(row.answers for row in shown)),
            ("foils", any(row.foils for row in shown)),
            ("group", any(row.group for row in shown)),
        )
        if present
    ]
    lines = [f"task {artifact.task}, {len(artifact.rows):,} rows" + _tokens(artifact)]
    if shown:
        rows = [[str(i), *(prompt_cell(row, name) for name in names)] for i, row in enumerate(shown)]
        lines += _side_by_side_or_stacked(["", *names], rows, style)
        lines += _more(len(shown), len(artifact.rows), "rows")
    problems = [f"row {i}: {row.problem}" for i, row in enumerate(artifact.rows) if row.problem]
    for title, entries in (("cannot be used", problems), ("rejected", list(artifact.rejected))):
        if entries:
            lines.append(f"{title} ({len(entries)}):")
            for entry in entries[: style.max_rows]:
                lines += wrapped("  " + entry, style, "    ")
            lines += _more(min(len(entries), style.max_rows), len(entries), "of these")
    return lines


def _side_by_side_or_stacked(header: list[str], rows: list[list[str]], style: Style) -> list[str]:
    """One line a row where the longest fits; else its parts under each other, as a cut prompt shows nothing."""
    widths = [max(wide(row[i]) for row in [header, *rows]) for i in range(len(header))]
    if sum(widths) + 2 * (len(widths) - 1) <= style.width:
        return columns(header, rows, style, numeric=[True] + [False] * (len(header) - 1))
    side, label = widths[0], len("corrupt")
    lines: list[str] = []
    for row in rows:
        named = dict(zip(header[1:], row[1:]))
        texts = [(name, named.pop(name)) for name in ("clean", "corrupt") if named.get(name)]
        rest = style.dot.join(f"{name} {text}" for name, text in named.items() if text)
        for k, (name, text) in enumerate([*texts, ("", rest)]):
            index = row[0] if k == 0 else ""
            lines += wrapped(f"{index:>{side}}  {name:<{label}}  {text}", style, " " * (side + label + 4))
    return lines


def prompt_cell(row: PromptRow, name: str) -> str:
    value = getattr(row, name)
    return ",".join(repr(token) for token in value) if isinstance(value, tuple) else str(value)


def _tokens(artifact: Prompts) -> str:
    return f", tokens of {artifact.tokenizer}" if artifact.tokenizer else ""


def _more(shown: int, total: int, what: str) -> list[str]:
    return [f"{shown:,} of {total:,} {what}"] if shown < total else []

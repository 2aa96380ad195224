"""Any artifact as text: its heading, then its body by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sessions.artifacts import AnyArtifact, Graph, Matrix, Model, Points, Program, Prompts, Series, Table, Text
from sessions.render.curves import points, series
from sessions.render.graphs import graph
from sessions.render.layout import Style, cells, left, printable, wrapped
from sessions.render.matrices import matrix
from sessions.render.numbers import size
from sessions.render.tables import prompts, table


def render(
    artifact: AnyArtifact,
    *,
    width: int = 100,
    ascii_only: bool = False,
    max_rows: int = 40,
    at: Sequence[int] = (),
) -> str:
    """The artifact as text of at most `width` cells a line (program source and Markdown keep their own lines).

    `at` picks the slice of a matrix with more than two axes. CallError when there is no such slice.
    """
    head = heading(artifact, width=width, ascii_only=ascii_only)
    return head + "\n" + body(artifact, width=width, ascii_only=ascii_only, max_rows=max_rows, at=at)


def heading(artifact: AnyArtifact, *, width: int = 100, ascii_only: bool = False) -> str:
    """Title and kind, summary, and the facts the numbers depend on."""
    style = Style(width, ascii_only)
    lines = wrapped(f"{artifact.title} ({artifact.kind})", style)
    if artifact.summary:
        lines += wrapped(artifact.summary, style)
    facts = [f"{name} {fact(value)}" for name, value in artifact.facts.items() if value not in (None, "", [], (), {})]
    if facts:
        lines += wrapped(style.dot.join(facts), style, "  ")
    return printable("\n".join(lines), ascii_only=ascii_only)


def fact(value: Any) -> str:
    """A fact's value as text: floats short, switches by those that are on, records by their number, else JSON."""
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case dict() if value and all(isinstance(item, bool) for item in value.values()):
            return " + ".join(name for name, item in value.items() if item) or "none"
        case dict() if value and all(isinstance(item, str | int | float) for item in value.values()):
            return ", ".join(f"{name} {fact(item)}" for name, item in value.items())
        case dict() if value and all(isinstance(item, list | tuple) for item in value.values()):
            return f"({len(value)})"  # lists by name for the screen
        case list() | tuple() if value and all(isinstance(item, dict) for item in value):
            return f"({len(value)})"  # records for the screen; `iwb show --json` has them
        case _:
            return msgspec.json.encode(value, enc_hook=str).decode()


def body(
    artifact: AnyArtifact,
    *,
    width: int = 100,
    ascii_only: bool = False,
    max_rows: int = 40,
    at: Sequence[int] = (),
) -> str:
    """The artifact without its heading."""
    style = Style(max(20, width), ascii_only, max(1, max_rows))
    match artifact:
        case Matrix():
            lines = matrix(artifact, style, at)
        case Table():
            lines = table(artifact, style)
        case Series():
            lines = series(artifact, style)
        case Points():
            lines = points(artifact, style)
        case Graph():
            lines = graph(artifact, style)
        case Program():
            return printable("\n".join(_program(artifact, style)), ascii_only=ascii_only)
        case Prompts():
            lines = prompts(artifact, style)
        case Model():
            lines = card(artifact, style)
        case Text():
            return printable(artifact.markdown.rstrip("\n"), ascii_only=ascii_only)
    fitted = [part for line in lines for part in ([line] if cells(line) <= style.width else wrapped(line, style, "  "))]
    return printable("\n".join(fitted), ascii_only=ascii_only)


def _program(artifact: Program, style: Style) -> list[str]:
    """The source as it is, then one line per check."""
    lines = [artifact.source.rstrip("\n"), ""]
    for verdict in artifact.verdicts:
        lines += wrapped(("holds: " if verdict.holds else "FAILS: ") + str(verdict), style, "  ")
    for proof in artifact.proofs:
        lines += wrapped(str(proof), style, "  ")
    return lines if artifact.verdicts or artifact.proofs else [*lines, "checked against nothing"]


def card_rows(artifact: Model) -> list[tuple[str, str]]:
    """What a model's card says, name by name."""
    rows = [
        ("source", artifact.source + (f" at {artifact.revision}" if artifact.revision else "")),
        ("architecture", f"{artifact.architecture} ({artifact.family})"),
        ("parameters", f"{artifact.parameters:,}"),
        ("runs on", f"{artifact.device}, {artifact.dtype}"),
        ("weights", str(artifact.processing)),
        ("sha256", artifact.sha256 or "unknown"),
        *((name, fact(value)) for name, value in artifact.config.items() if value is not None),
    ]
    if artifact.bytes_needed:
        free = f" of {size(artifact.bytes_free)} free" if artifact.bytes_free else ""
        rows.append(("memory", size(artifact.bytes_needed) + free))
    return rows


def card(artifact: Model, style: Style) -> list[str]:
    rows = card_rows(artifact)
    side = max(len(name) for name, _ in rows)
    lines: list[str] = []
    for name, value in rows:
        lines += wrapped(f"{left(name, side)}  {value}", style, " " * (side + 2))
    return lines

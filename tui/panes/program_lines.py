"""Which part of a model each line of a RASP program is, both ways; plain Python.

The operation that compiled or decompiled the program says it in the program's facts: for each line its s-op, the
components that write it, their hidden units and its residual directions, and whether it was read from the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sessions.artifacts import Program
from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError

MOST_DIRECTIONS = 8  # told one by one in the inspector


class Origin(msgspec.Struct, frozen=True):
    """One s-op of a line: where it is in the weights."""

    line: int
    name: str = ""
    components: tuple[str, ...] = ()
    units: tuple[int, ...] = ()  # layer, first hidden unit, the one after the last
    dims: tuple[int, ...] = ()  # residual directions
    read: bool = True  # False: written to make the program whole, not found in the weights

    @property
    def parts(self) -> tuple[Component, ...]:
        """The components as typed values."""
        found = []
        for word in self.components:
            try:
                found.append(parse_component(word))
            except CallError:
                continue
        return tuple(found)

    def __str__(self) -> str:
        words = [word for word in self.components if not (self.units and word == f"mlp{self.units[0]}")]
        if self.units:
            words.append(f"mlp{self.units[0]} {_span(self.units[1], self.units[2], 'unit')}")
        if self.dims:
            words.append(f"{len(self.dims)} direction{'s' if len(self.dims) > 1 else ''}")
        return " · ".join(words if self.read else ["not read", *words])


def origins_of(program: Program) -> tuple[Origin, ...]:
    """What the program's facts say of its lines; nothing where they say nothing that can be read."""
    found = []
    for entry in program.facts.get("lines", ()):
        try:
            plain = {name: value for name, value in entry.items() if value is not None}
            origin = msgspec.convert(plain, Origin)
        except (AttributeError, msgspec.ValidationError):
            continue
        if len(origin.units) in (0, 3):
            found.append(origin)
    return tuple(found)


def unread_of(program: Program) -> tuple[str, ...]:
    """What of the weights no line accounts for, in sentences."""
    told = program.facts.get("unread", ())
    return tuple(str(sentence) for sentence in told) if isinstance(told, list | tuple) else ()


def remarks_of(program: Program) -> tuple[str, ...]:
    """How the program was held against the weights themselves, beside what its verdicts say of runs."""
    said = program.facts.get("verification")
    return (said,) if isinstance(said, str) and said else ()


def notes_of(origins: Sequence[Origin]) -> dict[int, str]:
    """The remark beside each line."""
    notes: dict[int, str] = {}
    for origin in origins:
        said = str(origin)
        notes[origin.line] = f"{notes[origin.line]}, {said}" if origin.line in notes else said
    return notes


def lines_with(origins: Sequence[Origin], component: Component) -> frozenset[int]:
    """The lines that this head or MLP computes."""
    return frozenset(origin.line for origin in origins if component in origin.parts)


def selected_by(origins: Sequence[Origin], line: int) -> dict[str, Any] | None:
    """The layer and head that a line chooses: its first head, else its MLP; None for a line that is no part of either.

    `head` is None for an MLP, as in the selection.
    """
    parts = [part for origin in origins if origin.line == line for part in origin.parts]
    head = next((part for part in parts if isinstance(part, Head)), None)
    if head is not None:
        return {"layer": head.layer, "head": head.head}
    mlp = next((part for part in parts if isinstance(part, Mlp)), None)
    return {"layer": mlp.layer, "head": None} if mlp is not None else None


def told_of(origins: Sequence[Origin], line: int) -> list[str]:
    """A line's weights in full, for the inspector."""
    lines: list[str] = []
    for origin in origins:
        if origin.line != line:
            continue
        lines.append(f"line {line}: {origin.name}")
        if not origin.read:
            lines.append("not read from the weights")
        if origin.components:
            lines.append("in " + ", ".join(origin.components))
        if origin.units:
            lines.append(f"hidden {_span(origin.units[1], origin.units[2], 'unit')} of mlp{origin.units[0]}")
        if origin.dims:
            shown = ", ".join(map(str, origin.dims[:MOST_DIRECTIONS]))
            more = f" and {len(origin.dims) - MOST_DIRECTIONS} more" if len(origin.dims) > MOST_DIRECTIONS else ""
            lines.append(f"residual directions {shown}{more}")
    return lines


def _span(first: int, end: int, word: str) -> str:
    """`unit 3`, `units 3-7`: both ends are in it."""
    return f"{word} {first}" if end - first <= 1 else f"{word}s {first}-{end - 1}"

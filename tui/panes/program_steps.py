"""One input through a network and its program, position by position; plain Python.

The operation leaves one table, a row for each position: what is read, the hidden numbers, the network's output, the
machine's state, the program's variables and its output. Columns are told by the table's facts (`roles`: role to names)
or by their names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from sessions.artifacts import Column, Graph, Points, Table
from sessions.errors import CallError

Role = Literal["position", "input", "hidden", "network", "state", "variable", "program", "agree"]
ORDER: tuple[Role, ...] = ("input", "hidden", "network", "state", "variable", "program", "agree")
# What goes first where there is no room: the scatter shows the hidden numbers, the code its variables.
DISPENSABLE: tuple[Role, ...] = ("hidden", "variable", "agree", "state", "network")

_HIDDEN = re.compile(r"h\d+", re.IGNORECASE)
_INPUT = re.compile(r"(input|reads|in|x)\b.*|.*\[(step|position|t)\]", re.IGNORECASE)


class Row(NamedTuple):
    """One line of the ribbon: a column of the table laid on its side."""

    name: str
    role: Role
    cells: tuple[str, ...]


class Walk(NamedTuple):
    """An input stepped through. Positions count from 0: what is so after reading that many inputs and one."""

    table: Table
    roles: Mapping[Role, tuple[int, ...]]

    @property
    def length(self) -> int:
        return len(self.table.rows)

    def columns(self, role: Role) -> tuple[int, ...]:
        return self.roles.get(role, ())

    def values(self, position: int, role: Role) -> dict[str, Any]:
        """The cells of a role by the name of their column."""
        row = self.table.rows[position]
        return {self.table.columns[c].name: row[c] for c in self.columns(role)}

    def rows(self, most: int | None = None) -> tuple[Row, ...]:
        """The lines of the ribbon; of more than `most` the dispensable ones go."""
        kept = list(ORDER)
        for role in DISPENSABLE:
            if most is None or sum(len(self.columns(r)) for r in kept) <= most:
                break
            kept.remove(role)
        return tuple(
            Row(self._name(role, at), role, tuple(_text(role, row[at]) for row in self.table.rows))
            for role in kept
            for at in self.columns(role)
        )

    def _name(self, role: Role, at: int) -> str:
        name = self.table.columns[at].name
        if role in ("network", "program") and len(self.columns(role)) == 1:
            return role
        return "agree" if role == "agree" else name

    def told(self, position: int) -> list[str]:
        """Everything of a position, for the inspector."""
        row = self.table.rows[position]
        lines = [f"position {position + 1} of {self.length}"]
        return lines + [f"{column.name}: {_exact(value)}" for column, value in zip(self.table.columns, row)]

    def state(self, position: int) -> str:
        """The machine's state after the position, as the table writes it; empty when it says none."""
        found = list(self.values(position, "state").values())
        return "" if not found or found[0] is None else str(found[0])

    def agrees(self, position: int) -> bool | None:
        found = list(self.values(position, "agree").values())
        return found[0] if found and isinstance(found[0], bool) else None

    def first_difference(self) -> int | None:
        return next((i for i in range(self.length) if self.agrees(i) is False), None)


def walk_of(table: Table) -> Walk:
    """Which column of a side-by-side table is what."""
    names = [column.name for column in table.columns]
    told = table.facts.get("roles")
    if isinstance(told, Mapping):
        roles = {
            role: tuple(names.index(str(n)) for n in listed if str(n) in names)
            for role, listed in told.items()
            if role in ("position", *ORDER) and isinstance(listed, list | tuple)
        }
        return Walk(table, roles)
    found: dict[Role, list[int]] = {}
    before: Role = "position"
    for at, name in enumerate(names):
        before = _role(name.lower(), before)
        found.setdefault(before, []).append(at)
    return Walk(table, {role: tuple(places) for role, places in found.items()})


def _role(name: str, before: Role) -> Role:
    """What a column is by its name and by what stands before it."""
    if name in ("step", "position", "t", "#"):
        return "position"
    if name.startswith("agree"):
        return "agree"
    if name.startswith("network"):
        return "network"
    if name in ("state", "symbol", "symbols") or name.startswith(("state ", "symbol ")):
        return "state"
    if name.startswith(("program", "output")):
        return "program"
    if _HIDDEN.fullmatch(name):
        return "hidden"
    if before in ("position", "input") or _INPUT.fullmatch(name):
        return "input"
    return "variable"


def _text(role: Role, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return ("✓" if value else "✗") if role == "agree" else ("yes" if value else "no")
    if isinstance(value, float):
        return f"{value:.2f}" if role == "hidden" else f"{value:.4g}"
    return str(value)


def _exact(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)


# ---- what a person writes


def sequences(text: str) -> list[int] | list[list[int]]:
    """`0 1 1 0 | 1 1 0 1`: one sequence, or one for each input of the network. CallError says what is wrong.

    Commas and brackets do no harm. Words are digits written together, `0110`, where one begins with a 0, or where each
    sequence is a single word.
    """
    streams = re.split(r"[|;]", text.strip().removeprefix("[[").removesuffix("]]"))
    if len(streams) == 1 and "]" in text.strip().removesuffix("]"):
        streams = re.split(r"\]\s*,?\s*\[", streams[0])
    found: list[list[int]] = []
    words = [[word for word in re.split(r"[\s,\[\]]+", stream) if word] for stream in streams]
    alone = all(len(stream) == 1 for stream in words)
    together = alone or any(re.fullmatch(r"0\d+", word) for stream in words for word in stream)
    for stream in words:
        numbers: list[int] = []
        for word in stream:
            if together and re.fullmatch(r"\d+", word):
                numbers += [int(digit) for digit in word]
            elif re.fullmatch(r"[-+]?\d+", word):
                numbers.append(int(word))
            else:
                raise CallError(f"'{word}' is no whole number", "the input", "write it like 0 1 1 0, or 0 1 | 1 1")
        found.append(numbers)
    if not found[0]:
        raise CallError("there is nothing to step through", "the input", "write it like 0 1 1 0, or 0 1 | 1 1")
    if len({len(numbers) for numbers in found}) > 1:
        lengths = " and ".join(str(len(numbers)) for numbers in found)
        raise CallError(f"the sequences have {lengths} numbers", "the input", "give both the same length")
    return found[0] if len(found) == 1 else found


def as_written(values: object) -> str:
    """A step's sequences as a person writes them."""
    if not isinstance(values, list | tuple):
        return str(values or "")
    if values and all(isinstance(part, list | tuple) for part in values):
        return " | ".join(as_written(part) for part in values)
    return " ".join(str(value) for value in values)


# ---- where a position is in the other drawings


def point_at(walk: Walk, position: int, points: Points) -> tuple[float, ...] | None:
    """Where the network's hidden state lies in the drawing of the visited ones; None where that cannot be told."""
    given = walk.table.facts.get("xy")
    if isinstance(given, list | tuple) and position < len(given):
        return tuple(float(v) for v in given[position])
    hidden = [float(v) for v in walk.values(position, "hidden").values() if isinstance(v, int | float)]
    if not hidden:
        return None
    projection = points.facts.get("projection")
    if isinstance(projection, Mapping):
        try:
            centred = np.asarray(hidden) - np.asarray(projection["mean"], dtype=np.float64)
            return tuple(float(v) for v in centred @ np.asarray(projection["axes"], dtype=np.float64))
        except (KeyError, ValueError, TypeError):
            return None
    names = points.axis_names
    if len(hidden) == points.xy.shape[1] and (not names or all(_HIDDEN.fullmatch(name) for name in names)):
        return tuple(hidden)
    if len(hidden) == 1 and names and names[0] == "time":
        return float(position + 1), hidden[0]
    return None


def node_of(graph: Graph, state: str) -> str:
    """The automaton's node for a state as a table or a point's label writes it; empty when there is none."""
    for node in graph.nodes:
        if state in (node.id, node.label):
            return node.id
    number = re.match(r"(?:state |S)(\d+)\b", state)
    return number.group(1) if number and any(node.id == number.group(1) for node in graph.nodes) else ""


class Loop(NamedTuple):
    """The program's loop: its lines, and for each what it gives a value to."""

    first: int
    last: int
    header: tuple[str, ...]  # the loop's own variables
    gives: dict[int, tuple[str, ...]]
    writes: dict[int, tuple[str, ...]]  # lines that put out the position's output, and the variables that hold it
    start: dict[str, str]  # values before the loop


def loop_of(source: str) -> Loop | None:
    """The first loop of a Python program; None where there is none that can be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    loop = next((node for node in ast.walk(tree) if isinstance(node, ast.For)), None)
    if loop is None:
        return None
    start: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.lineno < loop.lineno:
            for target in node.targets:
                start |= dict(_starts(target, node.value))
    gives: dict[int, tuple[str, ...]] = {}
    writes: dict[int, tuple[str, ...]] = {}
    for node in ast.walk(loop):
        match node:
            case ast.Assign(targets=targets):
                gives[node.lineno] = tuple(name for target in targets for name in _names(target))
            case ast.AugAssign(target=target):
                gives[node.lineno] = _names(target)
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append"), args=[given])):
                writes[node.lineno] = _names(given)
            case ast.Expr(value=ast.Yield(value=ast.expr() as given)):
                writes[node.lineno] = _names(given)
    last = loop.end_lineno or loop.lineno
    return Loop(loop.lineno, last, _names(loop.target), gives, writes, start)


def _starts(target: ast.expr, value: ast.expr) -> list[tuple[str, str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [pair for one, other in zip(target.elts, value.elts) for pair in _starts(one, other)]
    return [(target.id, ast.unparse(value))] if isinstance(target, ast.Name) else []


def _names(target: ast.expr) -> tuple[str, ...]:
    if isinstance(target, ast.Name):
        return (target.id,)
    if isinstance(target, ast.Tuple | ast.List):
        return tuple(name for part in target.elts for name in _names(part))
    return ()


def notes_at(walk: Walk, position: int, loop: Loop) -> dict[int, str]:
    """Beside each line of the loop: what it reads, what a variable was and is, what is put out."""
    now = walk.values(position, "variable")
    before = walk.values(position - 1, "variable") if position else {}
    read = list(walk.values(position, "input").values())
    out = list(walk.values(position, "program").values())
    held = {name: value for names in loop.writes.values() for name, value in zip(names, out)}
    notes = {loop.first: ", ".join(f"{name} = {value}" for name, value in zip(loop.header, read))}
    for line, names in loop.gives.items():
        said = []
        for name in names:
            if name in now:
                was = _exact(before[name]) if name in before else loop.start.get(name)
                is_now = _exact(now[name])
                said.append(f"{name} = {is_now}" if was in (None, is_now) else f"{name}: {was} → {is_now}")
            elif name in held:
                said.append(f"{name} = {_exact(held[name])}")
        if said:
            notes[line] = ", ".join(said)
    for line in loop.writes:
        if out:
            notes[line] = f"puts out {', '.join(_exact(value) for value in out)}"
    return {line: text for line, text in notes.items() if text}


def row_at(
    columns: Sequence[Column], rows: Sequence[Sequence[Any]], walk: Walk, position: int, loop: Loop | None
) -> int | None:
    """The row of a truth table (old state and input) that a position is; None where its columns are not known."""
    start = {name: int(text) for name, text in loop.start.items() if _whole(text)} if loop is not None else {}
    old = walk.values(position - 1, "variable") if position else start
    state = walk.state(position - 1) if position else ""
    known = {**old, **walk.values(position, "input"), **({"state": state, "old state": state} if state else {})}
    places = [(at, known[c.name]) for at, c in enumerate(columns) if c.name in known and c.help != "written"]
    names = {columns[at].name for at, _ in places}
    if not names & set(walk.values(position, "input")):
        return None
    return next((i for i, row in enumerate(rows) if all(row[at] == value for at, value in places)), None)


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None

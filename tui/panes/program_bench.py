"""The benchmark's table as the Program view draws it: what matters first, and which program belongs to a row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sessions.artifacts import Table, Text
from sessions.steps import Stored
from tui.widgets.code_view import Mark, Said

FIRST = ("#", "task", "solved", "length", "every length", "route", "network", "target", "its length", "MIPS", "GPT-4")
PEERS = ("MIPS", "GPT-4")
FROZEN = 2  # the number and the task stay when the other columns scroll


def arranged(table: Table) -> tuple[Sequence[Any], Sequence[Any]]:
    """Columns and rows in the order in which a narrow screen should have them; unknown columns come last."""
    names = [column.name for column in table.columns]
    order = [names.index(name) for name in FIRST if name in names]
    order += [at for at in range(len(names)) if at not in order]
    # A unit takes a line of its own, and the one there is stands in its column's name.
    columns = tuple(msgspec.structs.replace(table.columns[at], unit="") for at in order)
    return columns, tuple(tuple(row[at] for at in order) for row in table.rows)


def counted(table: Table) -> str:
    """`40 of 62 done, 31 solved; of all paper 32, GPT-4 30`, from what the rows say."""
    names = [column.name for column in table.columns]
    if "solved" not in names:
        return f"{len(table.rows)} rows"
    at = names.index("solved")
    cells = [row[at] for row in table.rows]
    done = [cell for cell in cells if cell not in (None, "")]
    solved = sum(cell in (True, "yes", "✓") for cell in done)
    no = (None, "", "no", False)
    others = [
        f"{name} {sum(row[names.index(name)] not in no for row in table.rows)}" for name in PEERS if name in names
    ]
    words = f"{len(done)} of {len(cells)} done, {solved} solved"
    return words + (f"; of all {', '.join(others)}" if others else "")


def program_of_row(table: Table, row: int, left: Sequence[Stored]) -> int | None:
    """The artifact with the program of a row, among those that the benchmark's step left; None where it left none.

    The table's facts may say it: `programs`, by task or number, each an id or a place among the step's programs. Else
    it is the program whose title ends with the task's name.
    """
    names = [column.name for column in table.columns]
    cells = table.rows[row]
    number = str(cells[names.index("#")]) if "#" in names else str(row + 1)
    task = str(cells[names.index("task")]) if "task" in names else ""
    programs = [stored.id for stored in left if stored.kind == "program"]
    told = table.facts.get("programs")
    if isinstance(told, Mapping):
        found = told.get(task, told.get(number))
        if isinstance(found, int):
            if found in programs:
                return found
            return programs[found] if 0 <= found < len(programs) else None
    return next((s.id for s in left if s.kind == "program" and task and s.title.split()[-1:] == [task]), None)


class Listing(NamedTuple):
    """A program as the benchmark's text holds it."""

    source: str
    said: tuple[Said, ...]


def listing_of(text: Text, task: str) -> Listing | None:
    """The section of a task in the text of all programs: its code, and the lines on what was tested and proved."""
    section = re.search(rf"^## {re.escape(task)}$\n(.*?)(?=^## |\Z)", text.markdown, re.MULTILINE | re.DOTALL)
    code = re.search(r"```python\n(.*?)```", section.group(1), re.DOTALL) if section is not None else None
    if section is None or code is None:
        return None
    lines = [line.removeprefix("- ") for line in section.group(1)[code.end() :].splitlines() if line.startswith("- ")]
    return Listing(code.group(1), tuple(Said(_mark(line), line) for line in lines))


def _mark(line: str) -> Mark:
    """Whether a line of the text says that something holds."""
    if line.startswith("not proved"):
        return "open"
    return "no" if line.startswith("refuted") or "first difference" in line else "yes"

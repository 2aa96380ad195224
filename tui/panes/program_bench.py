"""The benchmark's table as the Program view draws it: what matters first, and which program belongs to a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sessions.artifacts import Table
from sessions.steps import Stored

FIRST = ("#", "task", "solved", "route", "length", "every length", "network", "target", "paper", "GPT-4", "seconds")
PEERS = ("paper", "GPT-4")
FROZEN = 2  # the number and the task stay when the other columns scroll


def arranged(table: Table) -> tuple[Sequence[Any], Sequence[Any]]:
    """Columns and rows in the order in which a narrow screen should have them; unknown columns come last."""
    names = [column.name for column in table.columns]
    order = [names.index(name) for name in FIRST if name in names]
    order += [at for at in range(len(names)) if at not in order]
    return tuple(table.columns[at] for at in order), tuple(tuple(row[at] for at in order) for row in table.rows)


def counted(table: Table) -> str:
    """`40 of 62 done, 31 solved; of all paper 32, GPT-4 30`, from what the rows say."""
    names = [column.name for column in table.columns]
    if "solved" not in names:
        return f"{len(table.rows)} rows"
    at = names.index("solved")
    cells = [row[at] for row in table.rows]
    done = [cell for cell in cells if cell is not None]
    solved = sum(cell in (True, "yes", "✓") for cell in done)
    others = [f"{name} {sum(row[names.index(name)] is True for row in table.rows)}" for name in PEERS if name in names]
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

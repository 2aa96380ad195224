"""A machine's program: a loop where everything has a formula, else with a table for what has none.

What is looked up in a table is said in the program's facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.synthesis.automata.labelling import Labelling
from engine.synthesis.automata.machine import UNKNOWN, Mealy
from engine.synthesis.formulas.expressions import Expression
from engine.synthesis.programs.emission import assignment, emit_loop, function_text, starts
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names, output_names, sequence_names
from engine.synthesis.programs.schedule import Assignment


class Names(NamedTuple):
    """The names of a program's variables."""

    sequences: tuple[str, ...]
    inputs: tuple[str, ...]
    state: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, inputs: int, labelling: Labelling, outputs: int) -> Names:
        many = "bit" if labelling.codes.size and np.isin(labelling.codes, (0, 1)).all() else "integer"
        if labelling.variables <= 1:
            state: tuple[str, ...] = (("c",) if many == "bit" else ("k",))[: labelling.variables]
        else:
            state = tuple("abcdefgh"[: labelling.variables])
        return cls(sequence_names(inputs), input_names(inputs), state, output_names(outputs))


class Parts(NamedTuple):
    """What a machine's program is made of. `update` or `outputs` is None where only a table knows."""

    names: Names
    labelling: Labelling
    update: tuple[Expression, ...] | None  # of old state and input
    outputs: tuple[Expression, ...] | None
    outputs_from_new_state: bool = False

    @property
    def looked_up(self) -> tuple[str, ...]:
        """The variables that come from the table."""
        return (self.names.state if self.update is None else ()) + (self.names.outputs if self.outputs is None else ())

    def loop(self) -> Loop | None:
        """The same as a loop, where nothing is looked up."""
        if self.update is None or self.outputs is None:
            return None
        start = tuple(int(v) for v in self.labelling.codes[0])
        return Loop(self.names.inputs, self.names.state, start, self.update, self.outputs, self.outputs_from_new_state)


def emit(parts: Parts, machine: Mealy, about: str) -> str:
    """The source of a machine's program, with a table for what has no formula. `about` is its docstring."""
    loop = parts.loop()
    if loop is not None:
        return emit_loop(loop, about)
    names = parts.names
    start = tuple(int(v) for v in parts.labelling.codes[0])
    before = [*_table(parts, machine), *starts(names.state, start)]
    return function_text(len(names.inputs), about, before, _looked_up(parts), names.outputs)


def _looked_up(parts: Parts) -> list[str]:
    names = parts.names
    fetched = f"{', '.join(parts.looked_up)} = table[{', '.join((*names.state, *names.inputs))}]"
    if parts.update is None and parts.outputs is None:
        return [fetched]
    update = [fetched] if parts.update is None else assignment(Assignment(names.state, parts.update))
    output = [fetched] if parts.outputs is None else assignment(Assignment(names.outputs, parts.outputs))
    return update + output if parts.outputs_from_new_state else output + update


def _table(parts: Parts, machine: Mealy) -> list[str]:
    """A dictionary from state and input to what has no formula; unknown transitions are left out."""
    codes = parts.labelling.codes
    lines = ["table = {"]
    for number in range(machine.states):
        for k, symbol in enumerate(machine.symbols):
            after = int(machine.next[number, k])
            if after == UNKNOWN:
                continue
            key = (*(int(v) for v in codes[number]), *symbol)
            values = [int(v) for v in codes[after]] if parts.update is None else []
            values += [int(v) for v in machine.output[number, k]] if parts.outputs is None else []
            lines.append(f"    {_tuple(key)}: {_tuple(values)},")
    return [*lines, "}"]


def _tuple(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"({', '.join(str(v) for v in values)})"

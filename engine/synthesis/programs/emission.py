"""The emitted program: a readable Python function with a loop, state variables, and y from wherever it is shorter.

What cannot be written as a formula is looked up in a table, and the program says so. Its description length is stated:
the number of Python tokens, brackets, commas and line ends not counted.
"""

from __future__ import annotations

import io
import tokenize
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.synthesis.automata.labelling import Labelling
from engine.synthesis.automata.machine import UNKNOWN, Mealy
from engine.synthesis.formulas.expressions import Expression, condition, written


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
        return cls(
            ("s", "t")[:inputs] if inputs <= 2 else tuple(f"s{k + 1}" for k in range(inputs)),
            {1: ("x",), 2: ("p", "q")}.get(inputs, tuple(f"x{k + 1}" for k in range(inputs))),
            state,
            ("y",) if outputs == 1 else tuple(f"y{k + 1}" for k in range(outputs)),
        )


class Parts(NamedTuple):
    """What a program is made of. `update` or `outputs` is None where only a table knows."""

    names: Names
    labelling: Labelling
    update: tuple[Expression, ...] | None  # of old state and input
    outputs: tuple[Expression, ...] | None
    outputs_from_new_state: bool = False

    @property
    def looked_up(self) -> tuple[str, ...]:
        """The variables that come from the table."""
        return (self.names.state if self.update is None else ()) + (self.names.outputs if self.outputs is None else ())


def emit(parts: Parts, machine: Mealy, about: str) -> str:
    """The program's source. `about` is its docstring."""
    names = parts.names
    lines = [f"def f({', '.join(names.sequences)}):", f'    """{about}"""']
    if parts.looked_up:
        lines += _table(parts, machine)
    if names.state:
        lines.append(f"    {' = '.join(names.state)} = 0")
    loop = ", ".join(names.inputs)
    over = names.sequences[0] if len(names.inputs) == 1 else f"zip({', '.join(names.sequences)})"
    lines += ["    ys = []", f"    for {loop} in {over}:"]
    lines += [f"        {line}" for line in _body(parts)]
    given = names.outputs[0] if len(names.outputs) == 1 else f"({', '.join(names.outputs)})"
    lines += [f"        ys.append({given})", "    return ys"]
    return "\n".join(lines) + "\n"


def _body(parts: Parts) -> list[str]:
    names = parts.names
    fetched = f"{', '.join(parts.looked_up)} = table[{', '.join((*names.state, *names.inputs))}]"
    if parts.update is None and parts.outputs is None:
        return [fetched]
    update = [fetched] if parts.update is None else _assignment(names.state, parts.update)
    output = [fetched] if parts.outputs is None else _assignment(names.outputs, parts.outputs)
    return update + output if parts.outputs_from_new_state else output + update


def _assignment(names: Sequence[str], expressions: Sequence[Expression]) -> list[str]:
    """Simultaneous assignment of what changes."""
    pairs = [(name, _source(e)) for name, e in zip(names, expressions) if e != ("var", name)]
    if not pairs:
        return []
    return [f"{', '.join(name for name, _ in pairs)} = {', '.join(value for _, value in pairs)}"]


def _source(expression: Expression) -> str:
    if expression[0] == "if":
        _, guard, then, otherwise = expression
        return f"{written(then)} if {condition(guard)} else {written(otherwise)}"
    return written(expression)


def _table(parts: Parts, machine: Mealy) -> list[str]:
    """A dictionary from state and input to what has no formula; unknown transitions are left out."""
    codes = parts.labelling.codes
    lines = ["    table = {"]
    for number in range(machine.states):
        for k, symbol in enumerate(machine.symbols):
            after = int(machine.next[number, k])
            if after == UNKNOWN:
                continue
            key = (*(int(v) for v in codes[number]), *symbol)
            values = [int(v) for v in codes[after]] if parts.update is None else []
            values += [int(v) for v in machine.output[number, k]] if parts.outputs is None else []
            lines.append(f"        {_tuple(key)}: {_tuple(values)},")
    return [*lines, "    }"]


def _tuple(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"({', '.join(str(v) for v in values)})"


def description_length(source: str) -> int:
    """Tokens of the source that carry meaning: names, numbers, operators and keywords; not brackets, commas, colons,
    line ends, comments or the docstring."""
    skipped = set("()[]{},:")
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.OP)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(1 for token in tokens if token.type in kinds and token.string not in skipped)

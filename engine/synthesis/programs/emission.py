"""The emitted program: a readable Python function with a loop, state variables, and y from wherever it is shorter.

What is computed twice is computed once and given a name. What cannot be written as a formula is looked up in a table,
and the program says so. Its description length is stated: the number of Python tokens, brackets, commas and line ends
not counted.
"""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.synthesis.automata.labelling import Labelling
from engine.synthesis.automata.machine import UNKNOWN, Mealy
from engine.synthesis.formulas.expressions import Expression, condition, size, written
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.schedule import Assignment, scheduled

SHARED = ("v", "w")  # names for what is computed once and used twice


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


def sequence_names(inputs: int) -> tuple[str, ...]:
    return ("s", "t")[:inputs] if inputs <= 2 else tuple(f"s{k + 1}" for k in range(inputs))


def input_names(inputs: int) -> tuple[str, ...]:
    return {1: ("x",), 2: ("p", "q")}.get(inputs, tuple(f"x{k + 1}" for k in range(inputs)))


def output_names(outputs: int) -> tuple[str, ...]:
    return ("y",) if outputs == 1 else tuple(f"y{k + 1}" for k in range(outputs))


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


def emit_loop(loop: Loop, about: str) -> str:
    """The source of a loop. `about` is its docstring."""
    body, given = _statements(loop)
    return _function(len(loop.inputs), about, _starts(loop.state, loop.start), body, given)


def emit(parts: Parts, machine: Mealy, about: str) -> str:
    """The source of a machine's program, with a table for what has no formula. `about` is its docstring."""
    loop = parts.loop()
    if loop is not None:
        return emit_loop(loop, about)
    names = parts.names
    start = tuple(int(v) for v in parts.labelling.codes[0])
    before = [*_table(parts, machine), *_starts(names.state, start)]
    return _function(len(names.inputs), about, before, _looked_up(parts), names.outputs)


def _function(inputs: int, about: str, before: Sequence[str], body: Sequence[str], given: Sequence[str]) -> str:
    sequences, loop = sequence_names(inputs), ", ".join(input_names(inputs))
    over = sequences[0] if inputs == 1 else f"zip({', '.join(sequences)})"
    lines = [f"def f({', '.join(sequences)}):", f'    """{about}"""']
    lines += [f"    {line}" for line in (*before, "ys = []", f"for {loop} in {over}:")]
    lines += [f"        {line}" for line in body]
    lines += [f"        ys.append({_joined(given)})", "    return ys"]
    return "\n".join(lines) + "\n"


def _joined(given: Sequence[str]) -> str:
    return given[0] if len(given) == 1 else f"({', '.join(given)})"


def _starts(names: Sequence[str], values: Sequence[int]) -> list[str]:
    """Starting values; variables that start alike share a line."""
    by_value: dict[int, list[str]] = {}
    for name, value in zip(names, values):
        by_value.setdefault(value, []).append(name)
    return [f"{' = '.join(group)} = {value}" for value, group in by_value.items()]


def _statements(loop: Loop) -> tuple[list[str], tuple[str, ...]]:
    """The loop's body, and what is appended: variables, where the outputs are such."""
    names = output_names(len(loop.outputs))
    if loop.from_new:
        lines, loop = _sharing(loop, loop.update, (*loop.inputs, *loop.state))
        lines += [line for group in scheduled(loop) for line in _assignment(group)]
        if all(e[0] == "var" for e in loop.outputs):
            return lines, tuple(e[1] for e in loop.outputs)
        return lines + _assignment(Assignment(names, loop.outputs)), names
    lines, loop = _sharing(loop, (*loop.update, *loop.outputs), (*loop.inputs, *loop.state))
    lines += _assignment(Assignment(names, loop.outputs))
    return lines + [line for group in scheduled(loop) for line in _assignment(group)], names


def _sharing(loop: Loop, among: Sequence[Expression], taken: Sequence[str]) -> tuple[list[str], Loop]:
    """Lines that compute what occurs more than once, and the loop that uses them."""
    lines: list[str] = []
    for name in SHARED:
        counted = Counter(part for e in among for part in _parts(e) if size(part) >= 3)
        saving = {part: (count - 1) * (size(part) - 1) - 2 for part, count in counted.items()}
        best = max(saving, key=lambda part: (saving[part], size(part)), default=None)
        if best is None or saving[best] <= 0 or name in taken:
            break
        lines.append(f"{name} = {_source(best)}")
        among = [_replaced(e, best, ("var", name)) for e in among]
        update = tuple(_replaced(e, best, ("var", name)) for e in loop.update)
        outputs = loop.outputs if loop.from_new else tuple(_replaced(e, best, ("var", name)) for e in loop.outputs)
        loop = loop._replace(update=update, outputs=outputs)
    return lines, loop


def _parts(expression: Expression) -> Iterator[Expression]:
    yield expression
    for part in expression[1:]:
        if isinstance(part, tuple):
            yield from _parts(part)


def _replaced(expression: Expression, old: Expression, new: Expression) -> Expression:
    if expression == old:
        return new
    return tuple(_replaced(part, old, new) if isinstance(part, tuple) else part for part in expression)


def _assignment(group: Assignment) -> list[str]:
    """Simultaneous assignment; `v += x` for one variable that grows."""
    if len(group.names) == 1:
        name, value = group.names[0], group.values[0]
        if value == ("var", name):
            return []
        if value[0] in ("+", "-", "*") and value[1] == ("var", name):
            return [f"{name} {value[0]}= {_source(value[2])}"]
        if value[0] == "+" and value[2] == ("var", name):
            return [f"{name} += {_source(value[1])}"]
        return [f"{name} = {_source(value)}"]
    return [f"{', '.join(group.names)} = {', '.join(_source(value) for value in group.values)}"]


def _source(expression: Expression) -> str:
    if expression[0] == "if":
        _, guard, then, otherwise = expression
        return f"{written(then)} if {condition(guard)} else {written(otherwise)}"
    return written(expression)


def _looked_up(parts: Parts) -> list[str]:
    names = parts.names
    fetched = f"{', '.join(parts.looked_up)} = table[{', '.join((*names.state, *names.inputs))}]"
    if parts.update is None and parts.outputs is None:
        return [fetched]
    update = [fetched] if parts.update is None else _assignment(Assignment(names.state, parts.update))
    output = [fetched] if parts.outputs is None else _assignment(Assignment(names.outputs, parts.outputs))
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


def description_length(source: str) -> int:
    """Tokens of the source that carry meaning: names, numbers, operators and keywords; not brackets, commas, colons,
    line ends, comments or the docstring."""
    skipped = set("()[]{},:")
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.OP)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(1 for token in tokens if token.type in kinds and token.string not in skipped)

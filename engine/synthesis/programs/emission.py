"""The emitted program: a readable Python function with a loop, state variables, and y from wherever it is shorter.

What is computed twice is computed once and given a name. The description length of a text is stated: the number of
Python tokens, brackets, commas and line ends not counted.
"""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence

from engine.synthesis.formulas.expressions import Expression, condition, size, written
from engine.synthesis.programs.loop import Loop
from engine.synthesis.programs.names import input_names, output_names, sequence_names
from engine.synthesis.programs.schedule import Assignment, scheduled

SHARED = ("v", "w")  # names for what is computed once and used twice


def emit_loop(loop: Loop, about: str) -> str:
    """The source of a loop. `about` is its docstring."""
    body, given = _statements(loop)
    return function_text(len(loop.inputs), about, starts(loop.state, loop.start), body, given)


def function_text(inputs: int, about: str, before: Sequence[str], body: Sequence[str], given: Sequence[str]) -> str:
    sequences, loop = sequence_names(inputs), ", ".join(input_names(inputs))
    over = sequences[0] if inputs == 1 else f"zip({', '.join(sequences)})"
    lines = [f"def f({', '.join(sequences)}):", f'    """{about}"""']
    lines += [f"    {line}" for line in (*before, "ys = []", f"for {loop} in {over}:")]
    lines += [f"        {line}" for line in body]
    lines += [f"        ys.append({_joined(given)})", "    return ys"]
    return "\n".join(lines) + "\n"


def _joined(given: Sequence[str]) -> str:
    return given[0] if len(given) == 1 else f"({', '.join(given)})"


def starts(names: Sequence[str], values: Sequence[int]) -> list[str]:
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
        lines += [line for group in scheduled(loop) for line in assignment(group)]
        if all(e[0] == "var" for e in loop.outputs):
            return lines, tuple(e[1] for e in loop.outputs)
        return lines + assignment(Assignment(names, loop.outputs)), names
    lines, loop = _sharing(loop, (*loop.update, *loop.outputs), (*loop.inputs, *loop.state))
    lines += assignment(Assignment(names, loop.outputs))
    return lines + [line for group in scheduled(loop) for line in assignment(group)], names


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


def assignment(group: Assignment) -> list[str]:
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
    """The expression on the right of an assignment: a conditional's branches become numbers each for itself."""
    if expression[0] == "if":
        _, guard, then, otherwise = expression
        first = _source(then)
        return f"{f'({first})' if then[0] == 'if' else first} if {condition(guard)} else {_source(otherwise)}"
    return written(expression)


def description_length(source: str) -> int:
    """Tokens of the source that carry meaning: names, numbers, operators and keywords; not brackets, commas, colons,
    line ends, comments or the docstring."""
    skipped = set("()[]{},:")
    kinds = (tokenize.NAME, tokenize.NUMBER, tokenize.OP)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(1 for token in tokens if token.type in kinds and token.string not in skipped)

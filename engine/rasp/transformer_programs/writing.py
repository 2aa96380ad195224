"""A program in parts, written as readable Python: a function per head and MLP, then `run`, which puts them together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from engine.rasp.transformer_programs.library import library
from engine.rasp.transformer_programs.structure import ONES, POSITIONS, TOKENS, Head, Mlp, Structure, Value, singular

WIDTH = 100


def write(structure: Structure, about: str = "") -> str:
    """The program's source: `run(tokens)` takes the payload and gives a class for each of its tokens."""
    body = _run(structure)
    used = [name for name in library(structure.causal) if any(f"{name}(" in line for line in body)]
    known = library(structure.causal)
    blocks = [_docstring(structure, about)]
    blocks += [known[name].rstrip("\n") for name in used]
    blocks += ["\n".join(_function(part)) for part in structure.parts]
    blocks += _tables(structure)
    blocks.append("\n".join(body))
    return "\n\n\n".join(blocks) + "\n"


def literal(value: Value | tuple[Value, ...]) -> str:
    """As a program says it; texts in double quotes."""
    if isinstance(value, tuple):
        return f"({', '.join(literal(part) for part in value)}{',' if len(value) == 1 else ''})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _docstring(structure: Structure, about: str) -> str:
    start, end = " ".join(structure.start), " ".join(structure.end)
    lines = [f'"""{structure.task}: {structure.summary}.', ""]
    lines += [f"{about}" if about else "A Transformer Program.", ""]
    lines.append(f"run(tokens) puts {start} before the tokens{f' and {end} after them' if end else ''}.")
    if structure.causal:
        lines.append("A position sees itself and what is before it.")
    lines.append(
        "Tables hold what occurs on the task's inputs, which were all tried."
        if structure.enumerated
        else "Tables hold all values there can be, or those that were seen; not every input was tried."
    )
    return "\n".join([*lines, '"""'])


def _function(part: Head | Mlp) -> list[str]:
    return _head(part) if isinstance(part, Head) else _mlp(part)


def _head(head: Head) -> list[str]:
    """The predicate: for a query value, is this the key value it looks for?"""
    query, key = singular(head.query), singular(head.key)
    if query == key:
        query, key = f"q_{query}", f"k_{key}"
    way = "closest match, copies" if head.kind == "categorical" else "all matches, sums"
    lines = [f"def {head.function}({query}, {key}):", f'    """{head.label}: {way} {head.value}."""']
    found = {q: k for q, k in head.predicate.items() if k is not None}
    if not found:
        return [*lines, "    return False"]
    nowhere = [literal(q) for q, k in head.predicate.items() if k is None]
    if len(found) > 1 and (rule := _rule(query, found)):
        if nowhere:
            lines += [*_condition(query, nowhere, 4), "        return False"]
        return [*lines, f"    return {key} == {rule}"]
    groups: dict[Value, list[Value]] = {}
    for q, k in found.items():
        groups.setdefault(k, []).append(q)
    if len(groups) == 1 and not nowhere:
        return [*lines, f"    return {key} == {literal(next(iter(groups)))}"]
    for k, queries in groups.items():
        lines += _condition(query, [literal(q) for q in queries], 4)
        lines.append(f"        return {key} == {literal(k)}")
    return [*lines, "    return False"]


def _rule(query: str, found: dict[Value, Value]) -> str:
    """The key as an expression of the query, where there is a short one."""
    if all(q == k for q, k in found.items()):
        return query
    pairs = [(q, k) for q, k in found.items() if isinstance(q, int) and isinstance(k, int)]
    if len(pairs) < max(len(found), 3):
        return ""
    shift, total = pairs[0][1] - pairs[0][0], pairs[0][0] + pairs[0][1]
    if all(k - q == shift for q, k in pairs):
        return f"{query} {'+' if shift > 0 else '-'} {abs(shift)}"
    return f"{total} - {query}" if all(k + q == total for q, k in pairs) else ""


def _condition(subject: str, members: Sequence[str], indent: int) -> list[str]:
    """`if subject in {members}:`, or `==` for one, over several lines when it is long."""
    pad = " " * indent
    if len(members) == 1:
        return [f"{pad}if {subject} == {members[0]}:"]
    return _wrapped(f"{pad}if {subject} in {{", members, "}:", indent)


def _wrapped(head: str, members: Sequence[str], tail: str, indent: int) -> list[str]:
    line = f"{head}{', '.join(members)}{tail}"
    if len(line) <= WIDTH:
        return [line]
    pad, lines, current = " " * (indent + 4), [head], ""
    for member in members:
        if current and len(pad) + len(current) + len(member) + 2 > WIDTH:
            lines.append(f"{pad}{current.rstrip()}")
            current = ""
        current += f"{member}, "
    return [*lines, f"{pad}{current.rstrip()}", f"{' ' * indent}{tail}"]


def _mlp(mlp: Mlp) -> list[str]:
    """The table as conditions; the most frequent answer needs none."""
    names = [singular(name) for name in mlp.reads]
    lines = [f"def {mlp.function}({', '.join(names)}):", f'    """{mlp.label}."""']
    counts = Counter(mlp.table.values()).most_common()
    if len(counts) == 1:
        return [*lines, f"    return {counts[0][0]}"]
    if len(names) == 1 and all(isinstance(key[0], int) for key in mlp.table) and mlp.kind == "numerical":
        return [*lines, *_steps(names[0], mlp)]
    if len(names) == 2:
        lines.append(f"    key = ({names[0]}, {names[1]})")
    subject = "key" if len(names) == 2 else names[0]
    for out, _ in counts[1:]:
        keys = [key for key, given in mlp.table.items() if given == out]
        members = [literal(key if len(names) == 2 else key[0]) for key in keys]
        lines += [*_condition(subject, members, 4), f"        return {out}"]
    return [*lines, f"    return {counts[0][0]}"]


def _steps(name: str, mlp: Mlp) -> list[str]:
    """A function of one number, as thresholds from below."""
    points = sorted((int(key[0]), out) for key, out in mlp.table.items())
    lines = []
    for (_, out), (above, after) in pairwise(points):
        if after != out:
            lines += [f"    if {name} < {above}:", f"        return {out}"]
    return [*lines, f"    return {points[-1][1]}"]


def _tables(structure: Structure) -> list[str]:
    classifier, blocks = structure.classifier, []
    if classifier.answers is not None:
        members = [f"{literal(value)}: {literal(answer)}" for value, answer in classifier.answers[1].items()]
        return ["\n".join(["# The class for every value.", *_wrapped("CLASS_OF = {", members, "}", 0)])]
    blocks.append("\n".join(_wrapped("CLASSES = (", [literal(c) for c in classifier.classes], ")", 0)))
    for name, table in classifier.tables.items():
        lines = [f"# Scores of the classes for every value of {name}.", f"{_scores(name)} = {{"]
        lines += [f"    {literal(value)}: {_numbers(row)}," for value, row in table.items()]
        blocks.append("\n".join([*lines, "}"]))
    for name, row in classifier.factors.items():
        blocks.append(f"# Scores of the classes, times {name}.\n{_scores(name)} = {_numbers(row)}")
    return ["\n".join(blocks)]


def _scores(name: str) -> str:
    return f"{singular(name).upper()}_SCORES"


def _numbers(row: Sequence[float]) -> str:
    texts = [f"{value:g}" if abs(value) >= 1e-4 else f"{value:.6f}".rstrip("0").rstrip(".") for value in row]
    texts = [repr(float(value)) if float(text) != value else text for text, value in zip(texts, row)]
    return f"({', '.join('0' if text == '-0' else text for text in texts)}{',' if len(texts) == 1 else ''})"


def _run(structure: Structure) -> list[str]:
    classifier = structure.classifier
    read = {name for part in structure.parts for name in part.reads} | set(classifier.reads)
    start, end = (f"[{', '.join(map(literal, side))}]" for side in (structure.start, structure.end))
    lines = ["def run(tokens):", f"    tokens = {start} + tokens{f' + {end}' if structure.end else ''}"]
    if POSITIONS in read:
        lines.append(f"    {POSITIONS} = list(range(len({TOKENS})))")
    if ONES in read:
        lines.append(f"    {ONES} = [1 for token in {TOKENS}]")
    for part in structure.parts:
        if isinstance(part, Head):
            closest = part.kind == "categorical"
            choose, gather = ("select_closest", "aggregate") if closest else ("select", "aggregate_sum")
            pattern = f"{choose}({part.key}, {part.query}, {part.function})"
            lines += _call(f"{part.output} = {gather}(", [pattern, part.value], ")")
        else:
            names = [singular(name) for name in part.reads]
            over = f"zip({', '.join(part.reads)})" if len(part.reads) > 1 else part.reads[0]
            arguments = ", ".join(names)
            lines += _call(f"{part.output} = [", [f"{part.function}({arguments}) for {arguments} in {over}"], "]")
    cut = f"[{len(structure.start)}:{-len(structure.end) if structure.end else ''}]"
    if classifier.answers is not None:
        return [*lines, f"    return look_up(CLASS_OF, {classifier.answers[0]}{cut})"]
    lines.append("    scores = [")
    lines += [f"        look_up({_scores(name)}, {name}{cut})," for name in classifier.tables]
    lines += [f"        scale({_scores(name)}, {name}{cut})," for name in classifier.factors]
    return [*lines, "    ]", "    return classify(CLASSES, scores)"]


def _call(head: str, arguments: Sequence[str], tail: str) -> list[str]:
    line = f"    {head}{', '.join(arguments)}{tail}"
    return [line] if len(line) <= WIDTH else [f"    {head}", f"        {', '.join(arguments)}", f"    {tail}"]

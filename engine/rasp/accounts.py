"""A compiled or decompiled program as the screen reads it: a table of its variables, and where each line lives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.rasp.compiled import Compiled, Variable
from engine.rasp.functions import Value
from engine.rasp.language import Aggregate, Indices, Node, SelectorWidth, Tokens, labels
from sessions.artifacts import Column, Table
from sessions.components import Head, Mlp

MOST_SHOWN = 12  # values of a set

COLUMNS = (
    Column("line", "int", help="line of the program"),
    Column("name", "text", help="the s-op, as the text has it"),
    Column("operation", "text"),
    Column("encoding", "text", help="one-hot (categorical) or a number in one direction (numerical)"),
    Column("values", "text", help="all values it can have"),
    Column("count", "int", help="how many values"),
    Column("layer", "int"),
    Column("component", "text", help="which head or MLP writes it"),
    Column("units", "text", help="hidden units of the MLP, the last not included"),
    Column("directions", "int", help="residual directions it takes"),
    Column("reads", "text", help="keys, queries and values; or the arguments of a map"),
)


def variables_table(compiled: Compiled, title: str, facts: dict[str, Any]) -> Table:
    """One row per s-op, in the order in which the model computes them."""
    by_label = labels(compiled.program)
    names = {by_label[node]: name for node, name in plain_names(by_label).items()}
    rows = tuple(_row(variable, names) for variable in compiled.variables)
    return Table(
        title=f"{title}: variables",
        summary=f"{len(rows)} s-ops in {compiled.d_model} residual directions",
        columns=COLUMNS,
        rows=rows,
        facts=facts,
    )


def plain_names(found: Mapping[Node, str]) -> dict[Node, str]:
    """The name a person gave a node, where no other node has it; else its label, which the residual directions have."""
    count = Counter(node.name for node in found)
    given = {node for node in found if node.name != node.default_name and count[node.name] == 1}
    return {node: node.name if node in given else label for node, label in found.items()}


def _row(v: Variable, names: Mapping[str, str]) -> tuple[Any, ...]:
    layer = v.head.layer if v.head else v.units.layer if v.units else None
    return (
        v.node.line or None if v.node is not None and not isinstance(v.node, Tokens | Indices) else None,
        names.get(v.label, v.label),
        v.op,
        v.encoding,
        "not needed" if v.values is None else shown(v.values),
        None if v.values is None else len(v.values),
        layer,
        ", ".join(components(v)),
        f"{v.units.start}:{v.units.stop}" if v.units else "",
        len(v.dims) + (v.attention_dim is not None) if v.dims else None,
        ", ".join(names.get(label, label) for label in v.reads),
    )


def components(v: Variable) -> list[str]:
    """The parts of the model that write a variable, as the field writes them."""
    found = [] if v.head is None else [str(Head(v.head.layer, v.head.head))]
    if v.units is not None:
        found.append(str(Mlp(v.units.layer)))
    return found or ["embed"]


def lines(variables: Iterable[Variable]) -> list[dict[str, Any]]:
    """For every operation with a line in the text: which weights it is. `read` is always true for what was compiled.

    A selector is the head that computes it; it has no residual directions of its own.
    """
    written = [v for v in variables if v.node is not None]
    found: list[dict[str, Any]] = [
        {
            "line": v.node.line,
            "name": v.label if v.node.name == v.node.default_name else v.node.name,
            "components": components(v),
            "units": None if v.units is None else list(v.units),
            "dims": list(v.dims),
            "read": True,
        }
        for v in written
        if v.node is not None and v.node.line and not isinstance(v.node, Tokens | Indices)
    ]
    for v in written:
        if v.head is not None and isinstance(v.node, Aggregate | SelectorWidth):
            selector = v.node.selector
            found += selector_line(selector.line, selector.name, str(Head(v.head.layer, v.head.head)))
    return found


def selector_line(line: int, name: str, head: str) -> list[dict[str, Any]]:
    """A selector's line and the head that computes it; nothing where the selector has no line of its own."""
    record = {"line": line, "name": name, "components": [head], "units": None, "dims": [], "read": True}
    return [record] if line else []


def shown(values: Sequence[Value]) -> str:
    """A value set, cut where it is long."""
    words = [f"{v:.3g}" if isinstance(v, float) else str(v) for v in values[:MOST_SHOWN]]
    return ", ".join(words) + (f", ... {len(values)} in all" if len(values) > MOST_SHOWN else "")


def sizes(compiled: Compiled) -> dict[str, int]:
    """The shape of the model, for a status line."""
    return {
        "layers": compiled.n_layers,
        "heads": compiled.n_heads,
        "width": compiled.d_model,
        "head width": compiled.d_head,
        "hidden": compiled.d_mlp,
        "parameters": sum(array.size for array in compiled.state.values()),
    }

"""What can be asked about one head or MLP with one key, where the answer comes from, and what of it is shown.

Plain Python: no Textual, no engine. An answer that the file already holds is shown from there; else it is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sessions.artifacts import AnyArtifact, Column, Table
from sessions.components import Component, Head, Mlp
from sessions.steps import Step
from tui.actions.questions import Question
from tui.store import Store


class Inputs(NamedTuple):
    """What a question is asked on: artifacts' ids, and the row under the cursor from 0."""

    model: int | None
    prompts: int | None
    row: int = 0


def exact(question: Question, component: Component, inputs: Inputs, like: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that make an answer this one. `like`: those of the step shown, whose conditions are taken over."""
    match question.id:
        case "classes":
            return {"circuit": None}
        case "direct":
            return {"row": None, "layer": None, "head": None}
        case "what_if":
            same = {name: like[name] for name in ("ablation", "metric") if isinstance(like.get(name), str)}
            return {"components": str(component), "row": inputs.row + 1, **same}
        case _ if isinstance(component, Head):
            return {"layer": component.layer, "head": component.head, "row": inputs.row + 1}
    return {}


def asking(question: Question, component: Component, inputs: Inputs, like: Mapping[str, Any]) -> dict[str, Any]:
    """The values to run the question's operation with."""
    chosen = {name: value for name, value in exact(question, component, inputs, like).items() if value is not None}
    return {"model": f"@{inputs.model}", "prompts": f"@{inputs.prompts}", **chosen}


def answered(
    store: Store, question: Question, component: Component, inputs: Inputs, like: Mapping[str, Any]
) -> Step | None:
    """The newest finished step that answers the question already: same model, same prompts, same exact parameters."""
    wanted = exact(question, component, inputs, like)
    for step in reversed(store.steps):
        if (
            step.operation == question.operation
            and step.status == "done"
            and all(step.parameters.get(name) == value for name, value in wanted.items())
            and _same(store, step.inputs.get("model"), inputs.model)
            and _same(store, step.inputs.get("prompts"), inputs.prompts)
        ):
            return step
    return None


def _same(store: Store, one: int | None, other: int | None) -> bool:
    if one == other:
        return one is not None
    a, b = store.stored(one), store.stored(other)
    return a is not None and b is not None and a.sha256 == b.sha256


def cannot_ask(question: Question, component: Component | None, inputs: Inputs) -> str | None:
    """Why there is nothing to ask, or None."""
    if not isinstance(component, Head | Mlp):
        return "no head or MLP is selected here"
    if question.heads_only and not isinstance(component, Head):
        return f"{component} is no head"
    if inputs.model is None:
        return "no model is chosen"
    return "no prompts are chosen" if inputs.prompts is None else None


def pick(question: Question, component: Component, artifacts: Iterable[AnyArtifact]) -> tuple[Table, ...]:
    """What of the operation's results is shown: its tables, or the component's own row of them, turned upright."""
    tables = [artifact for artifact in artifacts if isinstance(artifact, Table)]
    if question.whole:
        return tuple(tables)
    name = str(component)
    return tuple(
        upright(table, row)
        for table in tables
        if table.columns and table.columns[0].name in ("head", "component")
        for row in table.rows
        if row[0] == name
    )


def upright(table: Table, row: Sequence[Any]) -> Table:
    """One row of a table as a table of its own: a line for each column, with its unit and meaning."""
    lines: list[tuple[str, str, str]] = []
    for at, (column, value) in enumerate(zip(table.columns, row)):
        if at == 0:
            continue
        meaning = " ".join(part for part in (f"({column.unit})" if column.unit else "", column.help) if part)
        lines.append((column.name, _written(value), meaning))
    effects = _place(table, row)
    if effects:
        lines.insert(1, ("place", effects, "by size, among the parts listed"))
    columns = (Column("what", "text"), Column("value", "text"), Column("meaning", "text"))
    return Table(title=table.title, summary=table.summary, facts=table.facts, columns=columns, rows=tuple(lines))


def _place(table: Table, row: Sequence[Any]) -> str:
    """`2 of 19`: the row's place by the size of its effect, where the table has one."""
    at = next((i for i, column in enumerate(table.columns) if column.name == "effect"), None)
    if at is None or not isinstance(row[at], float):
        return ""
    sizes = [abs(size) for name, *cells in table.rows if name != "sum" and isinstance(size := cells[at - 1], float)]
    return f"{sum(size > abs(row[at]) for size in sizes) + 1} of {len(sizes)}"


def _written(value: object) -> str:
    match value:
        case None | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
    return str(value)


def conditions(tables: Sequence[Table]) -> str:
    """What the numbers depend on, in a line."""
    if not tables:
        return ""
    facts = tables[0].facts
    words = [tables[0].title]
    words += [f"{name} {facts[name]}" for name in ("ablation", "metric", "n", "weights") if name in facts]
    return " · ".join(dict.fromkeys(words))

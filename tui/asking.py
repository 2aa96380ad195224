"""Asking about what is under the cursor: a head by one key, a cell of a matrix by enter. Answers lie over the view."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sessions.artifacts import Matrix, Table
from sessions.components import Head
from tui.actions.questions import Question
from tui.questions import Inputs, answered, asking, cannot_ask, pick

if TYPE_CHECKING:
    from sessions.components import Component
    from tui.app import IwbApp


def _component(app: IwbApp) -> Component | None:
    return app.pane.component() if app.pane is not None else None


def _inputs(app: IwbApp) -> Inputs:
    """What the shown result is about, else what is chosen: heads of another model would be other heads."""
    now = app.investigation.selection.now
    step = app.pane.made_by() if app.pane is not None else None
    of = step.inputs if step is not None else {}
    return Inputs(of.get("model", now.model), of.get("prompts", now.prompts), now.row)


def _conditions(app: IwbApp) -> dict[str, Any]:
    step = app.pane.made_by() if app.pane is not None else None
    return step.parameters if step is not None else {}


def cannot_ask_about_head(app: IwbApp, question: Question) -> str | None:
    """Why the question cannot be asked here and now."""
    from tui.actions.action import HEAD_VIEWS

    if app.view_id not in HEAD_VIEWS:
        return "only in the Sweep, Attention and Circuit views"
    component, inputs = _component(app), _inputs(app)
    reason = cannot_ask(question, component, inputs)
    if reason is not None or component is None:
        return reason
    store = app.investigation.store
    if question.operation in store.catalogue or answered(store, question, component, inputs, _conditions(app)):
        return None
    return "the engine is not there yet" if app.investigation.client is None else "this engine lacks its operation"


def ask_about_head(app: IwbApp, question: Question) -> None:
    """Show the answer from the file if it is there, else have it computed. Over another answer: instead of it."""
    from tui.screens.answer import AnswerScreen

    component = _component(app)
    if component is None:
        return
    inputs, like = _inputs(app), _conditions(app)
    keep_what_is_shown(app)
    asked = AnswerScreen(
        f"{component}: {question.title[0].lower()}{question.title[1:]}",
        question.operation,
        asking(question, component, inputs, like),
        answered(app.investigation.store, question, component, inputs, like),
        partial(pick, question, component),
    )
    if isinstance(app.screen, AnswerScreen):
        app.switch_screen(asked)
    else:
        app.push_screen(asked)


def cannot_open_attention(app: IwbApp) -> str | None:
    from tui.actions.action import HEAD_VIEWS

    if app.view_id not in HEAD_VIEWS:
        return "only in the Sweep, Attention and Circuit views"
    if app.view_id == "attention" and app.screen is app.main_screen:
        return "the Attention view is shown already"
    component = _component(app)
    return None if isinstance(component, Head) else f"{component or 'what is selected'} has no attention pattern"


def open_attention(app: IwbApp) -> None:
    """Go to the Attention view with the head selected, out of an answer that lies over the view."""
    from tui.screens.answer import AnswerScreen

    component = _component(app)
    if isinstance(app.screen, AnswerScreen):
        app.screen.dismiss(None)
    if isinstance(component, Head):
        app.investigation.selection.change(layer=component.layer, head=component.head)
        app.call_later(app.show_view, "attention")


def keep_what_is_shown(app: IwbApp) -> None:
    """Name what the views show now, so that the answer's own matrices do not take its place as the newest."""
    shown = dict(app.investigation.selection.now.shown)
    for pane in app.panes.values():
        if pane.shown is not None and pane.shown.stored is not None:
            shown.setdefault(pane.VIEW, pane.shown.stored.id)
    app.investigation.selection.change(walk=True, shown=shown)


def cell_values(matrix: Matrix, row: int, column: int) -> tuple[str, dict[str, Any]] | None:
    """The operation and its values behind an entry, where the matrix tells them (`circuits.transfer` does).

    None where it tells none, and for rows or columns that stand for no single step (the whole model).
    """
    operation, told = matrix.facts.get("cell_operation"), matrix.facts.get("cell_parameters")
    if not isinstance(operation, str) or not isinstance(told, Mapping):
        return None
    parts: list[Any] = [told.get("shared") or {}]
    for name, at in (("rows", row), ("columns", column)):
        listed = told.get(name) or ()
        part = listed[at] if at < len(listed) else None
        if not isinstance(part, Mapping):
            return None
        parts.append(part)
    return operation, {str(name): value for part in parts for name, value in part.items()}


def open_cell(app: IwbApp, matrix: Matrix, row: int, column: int, heading: str) -> None:
    """Show the evaluation behind an entry of a matrix: from the file when it was done, else done now."""
    from tui.screens.answer import AnswerScreen

    found = cell_values(matrix, row, column)
    if found is None:
        app.say(f"{heading}: no single step stands behind this entry")
        return
    operation, values = found
    store = app.investigation.store
    done = next(
        (
            step
            for step in reversed(store.steps)
            if step.operation == operation
            and step.status == "done"
            and all(step.parameters.get(name) == value for name, value in values.items())
        ),
        None,
    )
    keep_what_is_shown(app)
    app.push_screen(
        AnswerScreen(heading, operation, values, done, lambda made: tuple(m for m in made if isinstance(m, Table)))
    )


def compare_circuits(app: IwbApp, one: int) -> None:
    """Choose another circuit, and have both put side by side in one graph."""
    from tui.screens.choose import ChooseScreen

    store = app.investigation.store
    others = [
        stored
        for stored in store.of_kind("graph")
        if stored.id != one and (step := store.step(stored.step)) is not None and _is_circuit(step.operation)
    ]

    def chosen(other: int | None) -> None:
        if other is not None:
            app.start("circuits.compare", {"circuits": [f"@{one}", f"@{other}"]})

    app.push_screen(ChooseScreen("Compare with", list(reversed(others))), chosen)


def _is_circuit(operation: str) -> bool:
    """Whether an operation's graph is a circuit: a comparison is none itself."""
    return operation.startswith("circuits.") and operation != "circuits.compare"


def circuits_beside(app: IwbApp, one: int) -> int:
    """How many circuits there are to compare one with."""
    store = app.investigation.store
    steps = [store.step(stored.step) for stored in store.of_kind("graph") if stored.id != one]
    return sum(step is not None and _is_circuit(step.operation) for step in steps)

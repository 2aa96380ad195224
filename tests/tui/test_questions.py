"""What one key asks about a head: the values, whether the file knows the answer, and what of a result is shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sessions.artifacts import Column, Matrix, Table
from sessions.components import Component, Embed, Head, Mlp
from sessions.steps import Step
from tests.tui.fake import FakeFile, a_model, a_sweep, some_prompts
from tui.actions.questions import QUESTION_OF, QUESTIONS
from tui.asking import cell_values
from tui.link import Snapshot
from tui.questions import Inputs, answered, asking, cannot_ask, pick
from tui.store import Store

ON = {"model": "@1", "prompts": "@2"}
INPUTS = Inputs(1, 2, row=3)
A_HEAD = Head(1, 2)


def store_of(*steps: tuple[str, str, dict[str, Any], dict[str, int]]) -> Store:
    file = FakeFile()
    file.add(file.add_step("models.load"), a_model())
    file.add(file.add_step("prompts.make"), some_prompts())
    for operation, status, parameters, inputs in steps:
        file.add_step(operation, status, parameters=parameters, inputs=inputs)
    store = Store()
    store.take(Snapshot(tuple(file.steps.values()), tuple(file.stored.values()), (), {}))
    return store


def found(store: Store, question: str, component: Component = A_HEAD, **like: Any) -> Step | None:
    return answered(store, QUESTION_OF[question], component, INPUTS, like)


def test_a_what_if_takes_over_the_conditions_of_what_is_shown_and_the_prompt_under_the_cursor() -> None:
    like = {"ablation": "mean", "metric": "accuracy", "batch": 3}
    assert asking(QUESTION_OF["what_if"], Head(1, 2), INPUTS, like) == {
        **ON, "components": "L1H2", "row": 4, "ablation": "mean", "metric": "accuracy",
    }  # fmt: skip
    assert asking(QUESTION_OF["what_if"], Mlp(0), INPUTS, {})["components"] == "mlp0"
    assert asking(QUESTION_OF["classes"], Head(1, 2), INPUTS, like) == ON
    assert asking(QUESTION_OF["weights"], Head(1, 2), INPUTS, {}) == {**ON, "layer": 1, "head": 2, "row": 4}


def test_a_class_is_taken_from_any_finished_step_on_the_same_model_and_prompts() -> None:
    inputs = {"model": 1, "prompts": 2}
    done = ("circuits.head_classes", "done", {**ON, "most": 7, "circuit": None}, inputs)
    assert found(store_of(done), "classes") is not None
    for other in (
        ("circuits.head_classes", "running", {**ON, "circuit": None}, inputs),
        ("circuits.head_classes", "done", {**ON, "circuit": "@9"}, inputs),
        ("circuits.head_classes", "done", {**ON, "circuit": None}, {"model": 1, "prompts": 1}),
        ("circuits.head_scores", "done", ON, inputs),
    ):
        assert found(store_of(other), "classes") is None


def test_a_what_if_is_the_same_only_for_the_same_head_prompt_and_conditions() -> None:
    inputs = {"model": 1, "prompts": 2}
    parameters = {**ON, "components": "L1H2", "row": 4, "ablation": "zero", "metric": "logit_diff"}
    store = store_of(("circuits.what_if", "done", parameters, inputs))
    assert found(store, "what_if", ablation="zero") is not None
    assert found(store, "what_if", ablation="mean") is None
    assert found(store, "what_if", Head(1, 3)) is None


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.id)
def test_what_cannot_be_asked_says_why(question: Any) -> None:
    assert cannot_ask(question, Head(0, 0), INPUTS) is None
    assert cannot_ask(question, Embed(), INPUTS) == "no head or MLP is selected here"
    assert cannot_ask(question, Head(0, 0), Inputs(None, 2)) == "no model is chosen"
    assert cannot_ask(question, Head(0, 0), Inputs(1, None)) == "no prompts are chosen"
    assert cannot_ask(question, Mlp(0), INPUTS) == ("mlp0 is no head" if question.heads_only else None)


def effects() -> Table:
    columns = (Column("component", "text"), Column("effect", "float", "logits", "direct"), Column("share", "float"))
    rows = (("L0H0", -3.0, -0.5), ("L1H2", 2.0, 0.25), ("mlp0", 0.5, 0.1), ("sum", 14.0, 1.0))
    return Table(title="Direct effects", columns=columns, rows=rows)


def test_of_a_table_over_components_the_own_row_is_shown_upright_with_its_place() -> None:
    (shown,) = pick(QUESTION_OF["direct"], Head(1, 2), [a_sweep(), effects()])
    assert shown.rows == (
        ("effect", "2", "(logits) direct"),
        ("place", "2 of 3", "by size, among the parts listed"),
        ("share", "0.25", ""),
    )  # fmt: skip
    assert pick(QUESTION_OF["direct"], Head(2, 2), [effects()]) == ()
    assert pick(QUESTION_OF["what_if"], Head(2, 2), [effects()]) == (effects(),)


def test_a_cell_opens_with_its_rows_columns_and_shared_values() -> None:
    told = {
        "rows": [None, {"circuit": "@5"}],
        "columns": [{"model": "@1"}, {"model": "@3"}],
        "shared": {"prompts": "@2", "metric": "accuracy"},
    }
    facts = {"cell_operation": "circuits.evaluate", "cell_parameters": told}
    matrix: Matrix = msgspec.structs.replace(a_sweep(), facts=facts)
    assert cell_values(matrix, 1, 1) == (
        "circuits.evaluate", {"prompts": "@2", "metric": "accuracy", "circuit": "@5", "model": "@3"},
    )  # fmt: skip
    assert cell_values(matrix, 0, 1) is None  # the whole model: no circuit to evaluate
    assert cell_values(a_sweep(), 1, 1) is None

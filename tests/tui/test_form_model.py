"""An operation's form: where start values come from, what is listed, and mistakes found before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from sessions.parameters import FieldInfo, OperationInfo
from tests.tui.fake import CATALOGUE, a_graph, investigation
from tui.form import Choice, field_named, fields_of, read
from tui.link import Snapshot
from tui.selection import Selection
from tui.store import Store

SWEEP = next(info for info in CATALOGUE if info.name == "circuits.head_sweep")
MAKE = next(info for info in CATALOGUE if info.name == "prompts.make")


def filled() -> Store:
    file, store = investigation(), Store()
    store.take(Snapshot(tuple(file.steps.values()), tuple(file.stored.values()), (), {}))
    return store


def test_artifact_fields_start_at_what_is_selected_and_list_what_fits() -> None:
    fields = fields_of(SWEEP, {}, filled(), Selection(model=1, prompts=2), (Choice("zoo:tpp", "zoo:tpp"),))
    assert [field.start for field in fields] == ["@1", "@2", "zero", "1.0"]
    assert [choice.value for choice in fields[0].choices] == ["@1", "zoo:tpp"]
    assert [choice.value for choice in fields[1].choices] == ["@2"]


def test_given_values_come_before_the_selection_and_stay_listed() -> None:
    fields = fields_of(SWEEP, {"model": "@99", "ablation": "mean"}, filled(), Selection(model=1))
    assert fields[0].start == "@99"
    assert fields[0].choices[0].value == "@99"
    assert fields[2].start == "mean"


def test_values_are_typed_and_defaults_are_not_sent() -> None:
    got = read(MAKE, {"task": "ioi", "n": "100"})
    assert got.values == {"task": "ioi"}
    assert got.errors == {}
    assert read(MAKE, {"task": "tpp", "n": "12"}).values == {"n": 12}


@pytest.mark.parametrize(
    ("texts", "field", "said"),
    [
        ({"model": "", "prompts": "@2"}, "model", "there is no model yet: load one in Model (1)"),
        ({"model": "@1", "prompts": "@2", "strength": "2"}, "strength", "out of range; give a number from 0 to 1"),
        ({"model": "@1", "prompts": "@2", "strength": "much"}, "strength", "does not fit"),
        ({"model": "@1", "prompts": "@2", "ablation": "zreo"}, "ablation", "did you mean 'zero'?"),
    ],
)
def test_a_mistake_is_said_at_its_field(texts: dict[str, str], field: str, said: str) -> None:
    errors = read(SWEEP, texts).errors
    assert list(errors) == [field]
    assert said in errors[field]


def test_an_optional_field_left_empty_is_not_sent_and_an_emptied_default_is_none() -> None:
    fields = (
        FieldInfo(name="layer", type="int", optional=True),
        FieldInfo(name="limit", type="int", optional=True, default=4),
    )
    info = OperationInfo(name="x.y", title="", summary="", fields=fields, gives=(), version=1, interactive=False)
    assert read(info, {"layer": "", "limit": ""}).values == {"limit": None}
    assert read(info, {"layer": "3", "limit": "4"}).values == {"layer": 3}


@pytest.mark.parametrize(
    ("sentence", "name"),
    [("'x' does not fit parameter 'model'", "model"), ("strength=7 is out of range", "strength"), ("no disk", None)],
)
def test_the_engines_refusal_finds_its_field(sentence: str, name: Any) -> None:
    assert field_named(SWEEP, sentence) == name


SEVERAL = OperationInfo(
    name="circuits.transfer",
    title="",
    summary="",
    fields=(
        FieldInfo(name="models", type="artifacts", kind="model", required=True),
        FieldInfo(name="sets", type="artifacts", kind="prompts", default=[]),
    ),
    gives=(),
    version=1,
    interactive=False,
)


def test_a_list_of_references_is_free_text_that_lists_what_fits() -> None:
    models, sets = fields_of(SEVERAL, {}, filled(), Selection(model=1, prompts=2))
    assert (models.start, sets.start) == ("@1", "")
    assert [choice.value for choice in models.choices] == ["@1"]
    (again, _) = fields_of(SEVERAL, {"models": ["@1", "@9"]}, filled(), Selection(model=1))
    assert again.start == "@1,@9"
    assert [choice.value for choice in again.choices] == ["@1"]


def test_a_list_of_references_is_read_and_its_mistakes_are_said_at_its_field() -> None:
    assert read(SEVERAL, {"models": "@1, @9", "sets": ""}).values == {"models": ["@1", "@9"]}
    assert read(SEVERAL, {"models": "zoo:tpp", "sets": "@2"}).values == {"models": ["zoo:tpp"], "sets": ["@2"]}
    assert read(SEVERAL, {"models": "", "sets": ""}).errors == {"models": "name one or more models: @ID,@ID"}
    assert "written @1,@2" in read(SEVERAL, {"models": "@1,,", "sets": ""}).errors["models"]


def test_an_optional_reference_is_left_empty_unless_it_is_the_chosen_things_own_field() -> None:
    fields = (
        FieldInfo(name="prompts", type="artifact", kind="prompts", required=True),
        FieldInfo(name="evaluate", type="artifact", kind="prompts", optional=True),
        FieldInfo(name="model", type="artifact", kind="model", optional=True),
    )
    info = OperationInfo(name="x.y", title="", summary="", fields=fields, gives=(), version=1, interactive=False)
    starts = [field.start for field in fields_of(info, {}, filled(), Selection(model=1, prompts=2))]
    assert starts == ["@2", "", "@1"]  # measuring on the prompts trained on is nothing to begin with


def test_the_circuit_of_a_form_is_the_one_shown_else_the_newest() -> None:
    file, store = investigation(), Store()
    newer = file.add(file.add_step("circuits.acdc"), a_graph())
    store.take(Snapshot(tuple(file.steps.values()), tuple(file.stored.values()), (), {}))
    older = next(stored.id for stored in store.of_kind("graph") if stored.id != newer.id)
    field = FieldInfo(name="circuit", type="artifact", kind="graph", required=True)
    info = OperationInfo(name="x.y", title="", summary="", fields=(field,), gives=(), version=1, interactive=False)
    assert fields_of(info, {}, store, Selection())[0].start == f"@{newer.id}"
    assert fields_of(info, {}, store, Selection(shown={"circuit": older}))[0].start == f"@{older}"


def test_a_circuit_is_judged_with_the_ablation_it_was_found_with_unless_another_is_given() -> None:
    file, store = investigation(), Store()
    found = file.add(file.add_step("circuits.acdc", parameters={"ablation": "mean"}), a_graph())
    store.take(Snapshot(tuple(file.steps.values()), tuple(file.stored.values()), (), {}))
    fields = (
        FieldInfo(name="circuit", type="artifact", kind="graph", required=True),
        FieldInfo(name="ablation", type="choice", choices=("zero", "mean"), default="zero"),
    )
    info = OperationInfo(name="x.y", title="", summary="", fields=fields, gives=(), version=1, interactive=False)
    assert [f.start for f in fields_of(info, {}, store, Selection())] == [f"@{found.id}", "mean"]
    assert fields_of(info, {"ablation": "zero"}, store, Selection())[1].start == "zero"

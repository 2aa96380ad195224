# ruff: noqa: E501, RUF012 - sentences are compared whole; msgspec copies the defaults
"""Operations: described as data from their parameter struct; every wrong value gets one sentence with its remedy."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from engine.operations import (
    FieldInfo,
    GraphRefs,
    MatrixRef,
    ModelRef,
    ModelRefs,
    Operation,
    OperationInfo,
    Params,
    PromptsRef,
    check_value,
    describe,
    parse,
)
from sessions.errors import CallError


class Sweep(Params, frozen=True, kw_only=True):
    model: ModelRef
    prompts: PromptsRef
    matrix: MatrixRef | None = None
    ablation: Annotated[Literal["zero", "mean", "resample"], Meta(description="what replaces a head")] = "mean"
    n: Annotated[int, Meta(description="how many", ge=1, le=1000)] = 100
    batch: Annotated[int, Meta(ge=1)] = 8
    threshold: Annotated[float, Meta(le=1)] = 0.5
    rate: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    above: Annotated[float, Meta(gt=0)] | None = None
    label: str = ""
    note: str | None = None
    limit: Annotated[int, Meta(ge=0)] | None = None
    fast: bool = False
    layers: list[int] = []
    others: ModelRefs = ()


class Several(Params, frozen=True, kw_only=True):
    circuits: GraphRefs
    models: ModelRefs


OPERATION = Operation(
    name="circuits.sweep",
    title="Sweep",
    summary="All heads.",
    params=Sweep,
    gives=("matrix",),
    function=lambda params, context: (),
    source="section 3",
)
SEVERAL = msgspec.structs.replace(OPERATION, name="circuits.several", params=Several)
NEEDED = {"model": "@1", "prompts": "@2"}


def field(name: str) -> FieldInfo:
    return next(f for f in describe(OPERATION).fields if f.name == name)


def given_value(name: str, value: Any) -> Any:
    return getattr(parse(OPERATION, {**NEEDED, name: value}), name)


def test_an_operation_is_described_as_data() -> None:
    info = describe(OPERATION)
    assert (info.name, info.title, info.gives, info.version, info.source) == (
        "circuits.sweep", "Sweep", ("matrix",), 1, "section 3",
    )  # fmt: skip
    assert [f.name for f in info.fields] == list(Sweep.__struct_fields__)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(info), type=OperationInfo) == info


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model", {"type": "artifact", "kind": "model", "required": True, "help": "model to use: @ID or a source"}),
        ("matrix", {"type": "artifact", "kind": "matrix", "optional": True, "required": False, "default": None}),
        ("ablation", {"type": "choice", "choices": ("zero", "mean", "resample"), "default": "mean", "help": "what replaces a head"}),
        ("n", {"type": "int", "minimum": 1, "maximum": 1000, "default": 100, "help": "how many"}),
        ("batch", {"type": "int", "minimum": 1, "maximum": None}),
        ("threshold", {"type": "float", "minimum": None, "maximum": 1}),
        ("label", {"type": "str", "default": "", "optional": False}),
        ("note", {"type": "str", "default": None, "optional": True}),
        ("limit", {"type": "int", "minimum": 0, "optional": True}),
        ("fast", {"type": "bool", "default": False}),
        ("layers", {"type": "list", "default": []}),
        ("others", {"type": "artifacts", "kind": "model", "required": False, "default": [], "help": "models to use: @ID,@ID or sources"}),
    ],
)  # fmt: skip
def test_a_parameter_is_described_by_its_type_and_bounds(name: str, expected: dict[str, Any]) -> None:
    described = msgspec.structs.asdict(field(name))
    assert {key: described[key] for key in expected} == expected


def test_a_type_no_form_can_show_is_a_bug_of_ours() -> None:
    class Odd(Params, frozen=True, kw_only=True):
        pair: dict[str, int] = {}

    with pytest.raises(TypeError, match="parameter pair: a form has no field"):
        describe(msgspec.structs.replace(OPERATION, params=Odd))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n", "7", 7),
        ("n", 7, 7),
        ("n", 7.0, 7),
        ("n", "1_000", 1000),
        ("threshold", "0.25", 0.25),
        ("threshold", "-1e-3", -0.001),
        ("threshold", 1, 1.0),
        ("ablation", "zero", "zero"),
        ("label", "5", "5"),
        ("label", 5, "5"),
        ("note", "none", None),
        ("note", "", None),
        ("limit", "null", None),
        ("limit", None, None),
        ("limit", "3", 3),
        ("matrix", "@4", "@4"),
        ("matrix", "None", None),
        ("fast", "yes", True),
        ("fast", "OFF", False),
        ("fast", 1, True),
        ("fast", True, True),
        ("layers", "[1, 2]", [1, 2]),
        ("layers", (3, 4), [3, 4]),
    ],
)
def test_text_is_read_the_way_a_person_writes_it(name: str, text: Any, value: Any) -> None:
    read = given_value(name, text)
    assert read == value
    assert type(read) is type(value)


def test_what_is_not_given_has_its_default() -> None:
    assert parse(OPERATION, dict(NEEDED)) == Sweep(model="@1", prompts="@2")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"modle": "@1"}, "circuits.sweep: unknown parameter 'modle'; did you mean 'model'?"),
        (
            {"qqqqq": 1},
            "circuits.sweep: unknown parameter 'qqqqq'; known: model, prompts, matrix, ablation, n, batch, threshold,"
            " rate, above, label, note, limit, fast, layers, others",
        ),
        (
            {"prompts": "@1"},
            "circuits.sweep: parameter 'model' is missing; give model=... (a model, written @ID or @last, or a source such"
            " as zoo:tpp)",
        ),
        (
            {"model": "@1"},
            "circuits.sweep: parameter 'prompts' is missing; give prompts=... (a prompts, written @ID or @last)",
        ),
    ],
)
def test_unknown_and_missing_parameters_are_named(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CallError) as raised:
        parse(OPERATION, values)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("n", "many", "'many' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", "2.5", "'2.5' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", 2.5, "'2.5' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", True, "'True' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", None, "'None' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", [1], "'[1]' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", float("inf"), "'inf' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", float("nan"), "'nan' does not fit parameter 'n'; give a whole number from 1 to 1000"),
        ("n", 0, "n=0 is out of range; give a whole number from 1 to 1000"),
        ("n", "1001", "n=1001 is out of range; give a whole number from 1 to 1000"),
        ("batch", -1, "batch=-1 is out of range; give a whole number of at least 1"),
        ("threshold", "2", "threshold=2 is out of range; give a number of at most 1"),
        ("threshold", "nan", "threshold=nan is out of range; give a number of at most 1"),
        ("threshold", "half", "'half' does not fit parameter 'threshold'; give a number of at most 1"),
        ("rate", 0, "rate=0 is out of range; give a number above 0 and below 1"),
        ("above", 0, "above=0 is out of range; give a number above 0"),
        ("rate", "1", "rate=1 is out of range; give a number above 0 and below 1"),
        ("limit", -1, "limit=-1 is out of range; give a whole number of at least 0"),
        ("fast", "maybe", "'maybe' does not fit parameter 'fast'; give true or false"),
        ("ablation", "zer", "'zer' does not fit parameter 'ablation'; did you mean 'zero'? (one of zero, mean, resample)"),
        ("layers", "1,2", "'1,2' does not fit parameter 'layers'; give a JSON list"),
        ("layers", "3", "'3' does not fit parameter 'layers'; give a JSON list"),
        ("layers", 3, "'3' does not fit parameter 'layers'; give a JSON list"),
        ("model", None, "'None' does not fit parameter 'model'; give a model, written @ID or @last, or a source such as zoo:tpp"),
    ],
)  # fmt: skip
def test_a_wrong_value_gets_one_sentence_with_what_would_be_right(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(CallError) as raised:
        parse(OPERATION, {**NEEDED, name: value})
    assert str(raised.value) == "circuits.sweep: " + sentence
    with pytest.raises(CallError) as raised:
        check_value("circuits.sweep", field(name), value)
    assert str(raised.value) == "circuits.sweep: " + sentence


def test_a_rule_inside_a_list_is_told_with_its_place() -> None:
    with pytest.raises(CallError) as raised:
        parse(OPERATION, {**NEEDED, "layers": '["x"]'})
    assert str(raised.value).startswith("circuits.sweep: Expected `int`")
    assert "layers[0]" in str(raised.value)


anything: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


@given(st.sampled_from(Sweep.__struct_fields__), anything)
def test_any_value_is_taken_or_refused_with_a_sentence(name: str, value: Any) -> None:
    try:
        assert isinstance(parse(OPERATION, {**NEEDED, name: value}), Sweep)
    except CallError as error:
        assert str(error).startswith("circuits.sweep: ")  # noqa: PT017 - either outcome is right


def test_what_parse_gives_is_parsed_again_to_the_same() -> None:
    """A step stores the parsed parameters; running it again reads them back."""
    once = parse(OPERATION, {**NEEDED, "n": "7", "limit": "none", "layers": "[1]", "rate": "0.5"})
    assert parse(OPERATION, msgspec.to_builtins(once)) == once


def test_describing_operations_loads_no_torch() -> None:
    code = "import engine.operations, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given_as", "value"),
    [
        ("@1,@2", ("@1", "@2")),
        (" @1 , zoo:tpp", ("@1", "zoo:tpp")),
        ("@last", ("@last",)),
        ('["@1", "a,b"]', ("@1", "a,b")),
        (["@1", 2], ("@1", "2")),
        ((), ()),
        ("", ()),
        ("[]", ()),
    ],
)
def test_a_list_of_references_is_read_with_commas_or_as_json(given_as: Any, value: tuple[str, ...]) -> None:
    assert given_value("others", given_as) == value


@pytest.mark.parametrize("value", ["", "@1,,@2", ",", [], [None], [True], [["@1"]], '["@1"', "[1.5]", None, 3])
def test_a_wrong_list_of_references_is_told_how_lists_are_written(value: Any) -> None:
    with pytest.raises(CallError) as raised:
        parse(SEVERAL, {"circuits": value, "models": "@1"})
    assert str(raised.value) == (
        f"circuits.several: '{value}' does not fit parameter 'circuits'; give a list of @ID of graphs, written @1,@2"
    )
    with pytest.raises(CallError, match="written @1,@2, or sources such as zoo:tpp"):
        parse(SEVERAL, {"circuits": "@1", "models": value})

"""Recipes: read with the place of every mistake, written for people, made from a session, round trip."""

# ruff: noqa: E501 - sentences are compared whole
from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions.artifacts import Text
from sessions.errors import CallError, IwbError
from sessions.recipes import Recipe, RecipeStep, Reference, parse, parse_reference, read, recipe_of, resolve, write

SMALL = """
name = "tour"
iwb = "0.1.0"

[[step]]
id = "model"
operation = "models.load"

[step.parameters]
source = "zoo:tpp"

[[step]]
id = "prompts"
operation = "prompts.make"
seed = 1
parameters = { task = "tpp", n = 100 }

[[step]]
id = "sweep"
operation = "circuits.head_sweep"

[step.parameters]
model = "@model"
prompts = "@prompts.2"
"""


def test_a_recipe_is_read_step_by_step() -> None:
    recipe = parse(SMALL)
    assert (recipe.name, recipe.iwb) == ("tour", "0.1.0")
    assert [step.id for step in recipe.steps] == ["model", "prompts", "sweep"]
    assert recipe.steps[1] == RecipeStep(
        id="prompts", operation="prompts.make", parameters={"task": "tpp", "n": 100}, seed=1
    )
    assert recipe.steps[2].references() == (Reference("model"), Reference("prompts", 2))


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = ", "r.toml: not TOML: Invalid value (at end of document)"),
        ("a b", "r.toml: not TOML: Expected '=' after a key in a key/value pair (at line 1, column 3)"),
        ("nmae = 'x'", "r.toml, line 1: unknown key 'nmae'; did you mean 'name'?"),
        ("name = 3", "r.toml, line 1: 'name' must be text"),
        ("step = 3", "r.toml, line 1: 'step' must be a list of tables; begin each step with [[step]]"),
        (changed("seed = 1", "sede = 1"), "r.toml, line 15: unknown key 'sede'; did you mean 'seed'?"),
        (changed('id = "model"\n', ""), "r.toml, line 5: step 1 has no 'id'; add id = \"...\""),
        (changed('operation = "models.load"\n', ""), "r.toml, line 5: step 1 has no 'operation'; add operation = \"...\""),
        (changed('operation = "models.load"', "operation = 1"), "r.toml, line 7: 'operation' must be text; write operation = \"...\""),
        (changed('"prompts"', '"a b"'), "r.toml, line 13: 'a b' cannot be a step's id; use a word of letters, digits, - and _"),
        (changed('"prompts"', '"last"'), "r.toml, line 13: 'last' cannot be a step's id; use a word of letters, digits, - and _"),
        (changed('"prompts"', '"model"'), "r.toml, line 13: two steps have the id 'model'; give each step its own"),
        (changed("seed = 1", "seed = -1"), "r.toml, line 15: seed=-1 is not a seed; give a whole number from 0"),
        (changed("seed = 1", "seed = true"), "r.toml, line 15: seed=True is not a seed; give a whole number from 0"),
        (changed("seed = 1", 'seed = "x"'), "r.toml, line 15: seed=x is not a seed; give a whole number from 0"),
        (changed('{ task = "tpp", n = 100 }', "[]"), "r.toml, line 16: 'parameters' must be a table; write [step.parameters]"),
        (changed('"zoo:tpp"', "2024-01-01"), "r.toml, line 10: 'source' is a date or a time, and no parameter is one; quote it"),
        (changed('"zoo:tpp"', "{ a = 1 }"), "r.toml, line 10: 'source' is a table, and no parameter is one; give a value or a list"),
        (changed('"zoo:tpp"', "99999999999999999999"), "r.toml, line 10: the number in 'source' is too large"),
        (changed('"@model"', '"@modle"'), "r.toml, line 23: '@modle' refers to no step; did you mean 'model'?"),
        (changed('"zoo:tpp"', '"@nothing"'), "r.toml, line 10: '@nothing' refers to no step; no step comes before this one"),
        (changed('"zoo:tpp"', '"@sweep"'), "r.toml, line 10: '@sweep' refers to a later step; put that step before this one"),
        (changed('"@model"', '"@sweep"'), "r.toml, line 23: '@sweep' refers to a later step; put that step before this one"),
        (changed('"@model"', '"@3"'), "r.toml, line 23: '@3' is an artifact's number in some session; refer to a step by its id"),
        (changed('"@model"', '"@last"'), "r.toml, line 23: '@last' means another thing in every session; refer to a step by its id"),
        (changed('"@model"', '"@model.0"'), "r.toml, line 23: '@model.0' is not a reference; write @STEP, @STEP.2 or, for plain text, @@"),
        (changed('"@model"', '["@modle"]'), "r.toml, line 23: '@modle' refers to no step; did you mean 'model'?"),
        ("step = [{id = 'a', operation = 'x', seed = -2}]", "r.toml, step 1: seed=-2 is not a seed; give a whole number from 0"),
    ],
    ids=lambda text: text.rpartition(", line")[2] if text.startswith("r.toml") else "",
)  # fmt: skip
def test_every_mistake_gets_its_place_and_a_remedy(text: str, sentence: str) -> None:
    with pytest.raises(CallError) as raised:
        parse(text, "r.toml")
    assert str(raised.value) == sentence


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CallError, match="not a text file in UTF-8"):
        read(tmp_path / "binary.toml")
    with pytest.raises(CallError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "good.toml").write_text(SMALL)
    assert read(tmp_path / "good.toml") == parse(SMALL)


def test_references_become_artifact_numbers() -> None:
    step = RecipeStep(id="s", operation="x.y", parameters={"a": "@m", "b": ["@m.2", "plain"], "c": "@@at", "d": 3})
    assert resolve(step, {"m": (7, 9)}) == {"a": "@7", "b": ["@9", "plain"], "c": "@at", "d": 3}


def test_a_reference_to_what_was_not_left_is_refused() -> None:
    step = RecipeStep(id="s", operation="x.y", parameters={"a": "@m.2"})
    with pytest.raises(CallError, match=r"step 's': '@m\.2': step 'm' left 1 artifact$"):
        resolve(step, {"m": [7]})
    with pytest.raises(CallError, match="no step 'm' was run"):
        resolve(step, {})


def test_a_session_becomes_the_recipe_of_its_finished_steps(investigation: Any) -> None:
    recipe = recipe_of(investigation, name="tour")
    assert [(s.id, s.operation, s.seed) for s in recipe.steps] == [
        ("model", "models.load", 0),
        ("prompts", "prompts.make", 1),
        ("sweep", "circuits.head_sweep", 0),
        ("curve", "circuits.curve", 0),
        ("program", "synthesis.program", 0),
    ]
    assert recipe.steps[2].parameters == {
        "model": "@model", "prompts": "@prompts", "ablation": "zero", "threshold": 0.5,
    }  # fmt: skip
    assert recipe.steps[3].parameters == {"graph": "@sweep.3"}  # artifact 5 is the sweep's third
    assert parse(write(recipe)).steps == tuple(without_comment(s) for s in recipe.steps)


def test_the_recipe_run_again_gives_the_session_its_own_references(investigation: Any) -> None:
    produced: dict[str, list[int]] = {}
    number = 0
    for step, done in zip(recipe_of(investigation).steps, investigation.steps()):
        references = {n: v for n, v in done.parameters.items() if n in done.inputs}
        assert {n: v for n, v in resolve(step, produced).items() if n in done.inputs} == references
        left = len(investigation.artifacts(done.id))
        produced[step.id] = list(range(number + 1, number + left + 1))
        number += left


def test_work_done_twice_is_in_the_recipe_once(investigation: Any, kinds: Any) -> None:
    again = investigation.add("models.load", {"source": "zoo:tpp"}, kinds["model"], key="key1")
    artifact = investigation.artifacts(again)[0].id
    investigation.add("models.card", {"model": f"@{artifact}"}, kinds["text"])
    recipe = recipe_of(investigation)
    assert [s.operation for s in recipe.steps].count("models.load") == 1
    assert recipe.steps[-1].parameters == {"model": "@model"}


def test_a_list_of_references_goes_through_a_recipe_and_back(investigation: Any, kinds: Any) -> None:
    again = investigation.artifacts(investigation.add("models.load", {"source": "other"}, kinds["model"]))[0].id
    investigation.add("circuits.transfer", {"circuits": ["@5", "@4"], "models": ["@1", f"@{again}"]}, kinds["matrix"])
    recipe = recipe_of(investigation)
    assert recipe.steps[-1].parameters == {"circuits": ["@sweep.3", "@sweep.2"], "models": ["@model", "@model2"]}
    assert parse(write(recipe)).steps[-1] == without_comment(recipe.steps[-1])
    produced = {"sweep": [3, 4, 5], "model": [1], "model2": [9]}
    assert resolve(recipe.steps[-1], produced) == {"circuits": ["@5", "@4"], "models": ["@1", "@9"]}


def test_the_maker_of_one_in_a_list_is_kept(investigation: Any, kinds: Any) -> None:
    stopped = investigation.add("circuits.other_sweep", {}, kinds["graph"], status="cancelled")
    investigation.add("circuits.read", {"circuits": ["@5", f"@{investigation.artifacts(stopped)[0].id}"]})
    assert [s.operation for s in recipe_of(investigation).steps][-2:] == ["circuits.other_sweep", "circuits.read"]


def test_a_cancelled_step_that_a_finished_one_stands_on_is_kept(investigation: Any, kinds: Any) -> None:
    partial = investigation.add("circuits.other_sweep", {}, kinds["matrix"], status="cancelled")
    investigation.add("circuits.read", {"matrix": f"@{investigation.artifacts(partial)[0].id}"}, kinds["text"])
    assert [s.id for s in recipe_of(investigation).steps][-2:] == ["sweep2", "read"]


def test_a_reference_without_a_maker_is_named(investigation: Any) -> None:
    investigation.add("circuits.read", {"matrix": "@99"})
    with pytest.raises(IwbError, match="uses @99, which no step of this session left"):
        recipe_of(investigation)


def test_what_toml_cannot_say_becomes_json_text(investigation: Any) -> None:
    investigation.add("circuits.read", {"layers": [1, None], "text": "@home"}, Text(title="t\n\x00u", markdown=""))
    recipe = recipe_of(investigation)
    assert recipe.steps[-1].parameters == {"layers": "[1,null]", "text": "@@home"}
    assert resolve(recipe.steps[-1], {}) == {"layers": "[1,null]", "text": "@home"}
    assert parse(write(recipe)).steps[-1] == without_comment(recipe.steps[-1])


def test_what_nobody_chose_is_written_and_marked_so(investigation: Any) -> None:
    given = investigation.steps()[2].given
    assert "limit" not in given
    assert "ablation" not in given
    recipe = recipe_of(investigation)
    lines = write(recipe).splitlines()
    assert lines[lines.index("# left at their defaults:") + 1 :][:2] == ['ablation = "zero"', "threshold = 0.5"]
    assert "limit" not in recipe.steps[2].parameters  # null, and nobody said so


def test_an_emptied_parameter_is_said(investigation: Any) -> None:
    investigation.add("circuits.read", {"limit": None})
    assert recipe_of(investigation).steps[-1].parameters == {"limit": "none"}


def test_titles_stand_above_their_steps(investigation: Any) -> None:
    lines = write(recipe_of(investigation, name="tour")).splitlines()
    assert lines[0] == "# tour"
    assert lines[lines.index('id = "sweep"') - 4 :][:4] == [
        "# Zero ablation of every head",
        "# Heads",
        "# The circuit",
        "[[step]]",
    ]


def without_comment(step: RecipeStep) -> RecipeStep:
    return RecipeStep(id=step.id, operation=step.operation, parameters=step.parameters, seed=step.seed, note=step.note)


words = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(lambda w: w != "last")
# TOML holds every character but lone surrogates and line ends other than \n and \r\n inside its own text.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain_texts = texts.map(lambda t: "@@" + t.lstrip("@") if t.startswith("@") else t)
scalars = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.booleans(), plain_texts)
values = st.one_of(scalars, st.lists(scalars, max_size=3))


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    ids = draw(st.lists(words, unique=True, max_size=4))
    steps = []
    for index, name in enumerate(ids):
        parameters = draw(st.dictionaries(texts, values, max_size=4))
        if index:
            earlier = Reference(draw(st.sampled_from(ids[:index])), draw(st.integers(1, 9)))
            parameters["input"] = str(earlier)
        operation = draw(texts)
        comment = draw(texts)
        seed = draw(st.integers(0, 2**62))
        defaults = tuple(draw(st.sets(st.sampled_from(sorted(parameters))))) if parameters else ()
        fields: dict[str, Any] = {"parameters": parameters, "seed": seed, "comment": comment, "defaults": defaults}
        steps.append(RecipeStep(id=name, operation=operation, **fields))
    return Recipe(name=draw(texts), iwb=draw(texts), steps=tuple(steps))


@given(recipes())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(recipe: Recipe) -> None:
    text = write(recipe)
    tomllib.loads(text)
    bare = Recipe(name=recipe.name, iwb=recipe.iwb, steps=tuple(without_comment(s) for s in recipe.steps))
    assert parse(text) == bare


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        parse(text)
    except CallError as error:
        assert str(error)  # noqa: PT017 - either outcome is right, anything else is not


@given(words, st.integers(1, 999))
def test_a_reference_reads_as_it_is_written(step: str, output: int) -> None:
    assert parse_reference(str(Reference(step, output))) == Reference(step, output)

"""Recipes on the command line: values changed, what is marked printed, the bundled ones found by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.recipes import bundled, recipe_path
from engine.catalogue import operation
from engine.operations import describe
from sessions.recipes import read

from .conftest import Call

STUDY = """
name = "small"

[values]
model = "zoo:induction"
n = 4                     # prompts
device = "auto"

[[step]]
id = "model"
operation = "models.load"
parameters = { source = "$model", device = "$device" }

[[step]]
id = "prompts"
operation = "prompts.make"
seed = 1
parameters = { task = "induction", n = "$n", model = "@model" }

[[step]]
id = "table"
operation = "circuits.baselines"
note = "Before anything is cut"
print = true
parameters = { models = "@model", prompts = ["@prompts"] }
"""


@pytest.fixture
def study(iwb: Call, tmp_path: Path) -> Call:
    (tmp_path / "r.toml").write_text(STUDY)
    return iwb


def test_what_is_marked_is_printed_under_its_note(study: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    said = study("run", "a.iwb", "r.toml", "n=6")
    assert said.status == 0, said.err
    assert said.out.startswith("## Before anything is cut\n\n@3  ")
    shown = study("show", "a.iwb", "@3").out.strip()
    assert "ablation none" in shown  # the facts are left to `iwb show`; the table is the same
    assert "ablation none" not in said.out
    table = shown[shown.index("model      set") :]
    assert re.search(r"induction.* 6 prompts ", table)
    assert table in said.out
    assert "models.load" not in said.out  # not marked
    assert "iwb show a.iwb @ID" in said.out.splitlines()[-1]
    assert study("run", "a.iwb", "r.toml", "n=6").out == said.out  # done before: printed as well


def test_without_marks_the_whole_investigation_is_printed(study: Call, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(STUDY.replace("print = true\n", ""))
    said = study("run", "a.iwb", "r.toml")
    assert "models.load" in said.out


def test_an_output_that_was_not_left_is_told_and_stops_nothing(study: Call, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(STUDY.replace("print = true", "print = [1, 7]"))
    said = study("run", "a.iwb", "r.toml")
    assert said.status == 0
    assert "(output 7 is to be printed, and the step left 1)" in said.out


def test_values_are_in_the_steps_and_the_json_is_as_before(study: Call) -> None:
    done = study("run", "a.iwb", "r.toml", "n=6", "--device", "cpu", "--json").json()
    assert set(done) == {"recipe", "steps"}
    steps = study("show", "a.iwb", "--json").json()["steps"]
    assert steps[0]["parameters"]["device"] == "cpu"
    assert steps[1]["parameters"]["n"] == 6


def test_the_session_comes_back_out_as_a_recipe_that_does_the_same(study: Call) -> None:
    study("run", "a.iwb", "r.toml", "n=6")
    assert study("export", "a.iwb", "--to", "recipe", "-o", "back.toml").status == 0
    assert study("run", "a.iwb", "back.toml", "--json").json()["steps"][-1]["cached"]
    assert "has no value 'n'; it has no [values]" in study("run", "a.iwb", "back.toml", "n=6").sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("r.toml modle=x", "the recipe has no value 'modle'; did you mean 'model'?"),
        ("r.toml n=x", "'x' does not fit the value 'n'; give a whole number, such as 4"),
        ("r.toml n", "'n' gives no value; write name=value"),
        ("r.toml n=1 n=2", "the value 'n' is given twice"),
        ("r.toml device=cpu --device cpu", "the value 'device' is given twice"),
        ("r.toml --dtype float32", "--dtype means nothing to a recipe without a value 'dtype'"),
        ("r.toml --seed 3", "--seed means nothing to a recipe without a value 'seed'"),
        ("finetuning_tpp.toml", "the bundled recipe of that name is 'finetuning_tpp'"),
        ("finetuning_tp", "unknown operation 'finetuning_tp'"),
    ],
)
def test_a_mistake_is_one_sentence_and_makes_no_step(study: Call, words: str, sentence: str) -> None:
    said = study("run", "a.iwb", *words.split())
    assert said.status == 2
    assert said.out == ""
    assert sentence in said.sentence


def test_bundled_recipes_are_listed_with_their_values(iwb: Call) -> None:
    listed = iwb("recipes").out
    for name in bundled():
        assert name in listed
    assert {r["recipe"] for r in iwb("recipes", "--json").json()["recipes"]} == set(bundled())
    assert "there is no bundled recipe 'finetuning'" in iwb("recipes", "finetuning").sentence


def test_a_recipe_is_told_in_full(study: Call) -> None:
    said = study("recipes", "r.toml").out
    assert "n       = 4              prompts" in said
    assert "table    circuits.baselines  Before anything is cut" in said
    assert study("recipes", "r.toml", "--json").json()["values"][1] == {"name": "n", "default": 4, "comment": "prompts"}


@pytest.mark.parametrize("name", bundled())
def test_every_parameter_in_a_bundled_recipe_is_one_of_its_operation(name: str) -> None:
    recipe = read(recipe_path(name))
    assert recipe.name
    for step in recipe.steps:
        fields = {field.name: field for field in describe(operation(step.operation)).fields}
        assert set(step.parameters) <= set(fields), step.id
        assert {n for n, field in fields.items() if field.required} <= set(step.parameters), step.id
    assert all(recipe.comments[value] for value in recipe.values), "every value says what it is"


SMALL = (
    "n_main=14 n_single=7 n_feather=16 n_light=32 n_welter=48 epochs_welter=1 n_acdc=8 n_sweep=12 nouns=common --seed 5"
)


def test_the_fine_tuning_study_runs_to_its_last_table(iwb: Call) -> None:
    said = iwb("run", "a.iwb", "finetuning_tpp", *SMALL.split())
    assert said.status == 0, said.err
    steps = iwb("show", "a.iwb", "--json").json()["steps"]
    assert {step["status"] for step in steps} == {"done"}
    assert [step["seed"] for step in steps if step["operation"] == "models.finetune"] == [5, 5, 5]
    tables = said.out.split("## ")[1:]
    recipe = read(recipe_path("finetuning_tpp"))
    assert len(tables) == sum(step.shown != () for step in recipe.steps)
    (first,) = (table for table in tables if table.startswith("Baselines"))
    for model in ("base", "Featherweight", "Lightweight", "Welterweight"):
        assert len(re.findall(rf"^{model} +tpp, (?:14|7) prompts ", first, re.MULTILINE)) == 2
    (third,) = (table for table in tables if table.startswith("Every circuit on every model"))
    assert len(re.findall(r"^\w+ \(\d+ heads? removed\)  +[\d.]+ +[\d.]+ +[\d.]+$", third, re.MULTILINE)) == 3
    trained = [rows_of(iwb, artifact) for artifact in (6, 9, 12)]
    tested = rows_of(iwb, 2) | rows_of(iwb, 3)
    assert all(not rows & tested for rows in trained)


def rows_of(iwb: Call, artifact: int) -> set[str]:
    """The nouns a, b, c of every prompt of a set."""
    shown = iwb("show", "a.iwb", f"@{artifact}", "--json").json()
    assert shown["kind"] == "prompts"
    return {" ".join(row["clean"][slice(*row["spans"][name])] for name in ("a1", "b1", "c")) for row in shown["rows"]}

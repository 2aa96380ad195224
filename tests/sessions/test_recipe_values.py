"""Values that whoever runs a recipe may change: typed, checked by name, and put where they are meant."""

# ruff: noqa: E501 - sentences are compared whole
from __future__ import annotations

from typing import Any

import pytest

from sessions.errors import CallError
from sessions.recipes import parse, resolve, write
from sessions.recipes.values import comment_of

STUDY = """
name = "study"

[values]
model = "zoo:base"        # any transformer, even one#1
n = 3000
rate = 5e-5               # learning rate
shares = [10, 30]
half = false
seed = 4

[[step]]
id = "model"
operation = "models.load"
parameters = { source = "$model", half = "$half" }

[[step]]
id = "prompts"
operation = "prompts.make"
seed = "$seed"
note = "${n} prompts for $$ 5, made with ${model}"
print = true

[step.parameters]
model = "@model"
n = "$n"
rate = "${rate}"
shares = "$shares"
words = ["$n", "a$b", "${n}+${half}", "$$n"]
"""


def parameters(**words: str) -> dict[str, Any]:
    return parse(STUDY, "r.toml", words).steps[1].parameters


def test_a_value_stands_where_its_name_stood_and_keeps_its_type() -> None:
    recipe = parse(STUDY)
    assert recipe.steps[0].parameters == {"source": "zoo:base", "half": False}
    assert recipe.steps[1].seed == 4
    assert recipe.steps[1].note == "3000 prompts for $ 5, made with zoo:base"
    assert parameters() == {
        "model": "@model", "n": 3000, "rate": 5e-5, "shares": [10, 30], "words": [3000, "a$b", "3000+false", "$n"],
    }  # fmt: skip
    assert type(parameters()["n"]) is int
    assert recipe.comments == {"model": "any transformer, even one#1", "rate": "learning rate"} | dict.fromkeys(
        ("n", "shares", "half", "seed"), ""
    )


def test_words_of_a_command_line_take_the_place_of_the_defaults_in_the_same_types() -> None:
    found = parse(STUDY, "r.toml", {"n": "158_000", "rate": "1", "shares": "1,2,3", "half": "yes", "seed": "9"})
    assert found.steps[0].parameters["half"] is True
    assert found.steps[1].seed == 9
    assert found.steps[1].parameters["n"] == 158_000
    assert isinstance(found.steps[1].parameters["rate"], float)
    assert found.steps[1].parameters["shares"] == [1, 2, 3]
    assert found.steps[1].note.startswith("158000 prompts")


def test_an_artifact_of_the_session_may_be_given_as_a_value() -> None:
    step = parse(STUDY, "r.toml", {"model": "@3"}).steps[0]
    assert step.references() == ()
    assert resolve(step, {})["source"] == "@3"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"modle": "gpt2"}, "r.toml: the recipe has no value 'modle'; did you mean 'model'?"),
        ({"n": "many"}, "r.toml: 'many' does not fit the value 'n'; give a whole number, such as 3000"),
        ({"n": "1.5"}, "r.toml: '1.5' does not fit the value 'n'; give a whole number, such as 3000"),
        ({"rate": "fast"}, "r.toml: 'fast' does not fit the value 'rate'; give a number, such as 5e-05"),
        ({"half": "1.0"}, "r.toml: '1.0' does not fit the value 'half'; give true or false, such as false"),
        ({"shares": "1,x"}, "r.toml: 'x' does not fit the value 'shares'; give a whole number, such as 10"),
        ({"seed": "-1"}, "r.toml, line 20: seed=-1 is not a seed; give a whole number from 0"),
    ],
)
def test_a_wrong_word_is_one_sentence(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(CallError) as raised:
        parse(STUDY, "r.toml", words)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"$n"\n', '"$m"\n', "r.toml, line 26: '$m' is no value of this recipe; known: model, n, rate, shares, half, seed"),
        ('"$model"', '"$modle"', "r.toml, line 12: '$modle' is no value of this recipe; did you mean 'model'?"),
        ("${n} prompts", "${nn} prompts", "r.toml, line 21: '${nn}' is no value of this recipe; did you mean 'n'?"),
        ("seed = 4", "sed = 4", "r.toml, line 20: '$seed' is no value of this recipe; did you mean 'sed'?"),
        ("half = false", "half = false\nx = 1", "r.toml, line 10: no step uses the value 'x'; write \"$x\" in a parameter"),
        ("half = false", "half = { a = 1 }", "r.toml, line 9: the value 'half' is neither text, a number, true or false, nor a list of such"),
        ("half = false", 'half = "@model"', "r.toml, line 9: the value 'half' begins with @; refer to a step in the step's own parameters"),
        ("half = false", "half = false\na-b = 1", "r.toml, line 10: 'a-b' cannot be a value's name; use a word of letters, digits and _"),
        ("print = true", "print = 'all'", "r.toml, line 22: 'print' says neither true nor which outputs; write print = true, or print = [1, 2]"),
        ("print = true", "print = [0]", "r.toml, line 22: 'print' says neither true nor which outputs; write print = true, or print = [1, 2]"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_has_its_line(old: str, new: str, sentence: str) -> None:
    assert old in STUDY
    with pytest.raises(CallError) as raised:
        parse(STUDY.replace(old, new), "r.toml")
    assert str(raised.value) == sentence


def test_without_values_a_dollar_sign_is_a_dollar_sign() -> None:
    text = '[[step]]\nid = "a"\noperation = "x.y"\nparameters = { p = "$n", q = "${n}", r = "$$" }\n'
    recipe = parse(text)
    assert recipe.steps[0].parameters == {"p": "$n", "q": "${n}", "r": "$$"}
    assert parse(write(recipe)).steps == recipe.steps


@pytest.mark.parametrize(("line", "shown"), [("true", None), ("false", ()), ("2", (2,)), ("[1, 3]", (1, 3))])
def test_what_is_printed_is_read_and_written(line: str, shown: tuple[int, ...] | None) -> None:
    recipe = parse(STUDY.replace("print = true", f"print = {line}"))
    assert recipe.steps[1].shown == shown
    assert parse(write(recipe)).steps == recipe.steps  # the values put in: written, it stands on its own


@pytest.mark.parametrize(
    ("line", "comment"),
    [("a = 1 # x", "x"), ("a = '#' # b # c", "b # c"), ('a = "x # y"', ""), ("a = [1] #", ""), ("a = 1", "")],
)
def test_the_comment_behind_a_value(line: str, comment: str) -> None:
    assert comment_of(line) == comment

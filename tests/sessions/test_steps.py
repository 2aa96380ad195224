"""Steps: written as a command a shell understands, and identified by what they compute."""

from __future__ import annotations

import shlex
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.steps import FINISHED, RESUMABLE, Status, Step, identity_key, written


def step(**fields: Any) -> Step:
    defaults: dict[str, Any] = {"parameters": {}, "seed": 0, "status": "done"}
    return Step(id=1, operation="a.b", version=1, key="k", created=0.0, **{**defaults, **fields})


def test_a_command_is_what_somebody_chose() -> None:
    parameters = {"model": "@1", "n": 100, "ablation": "zero"}
    done = step(parameters=parameters, given=("model", "n"), seed=7)
    assert done.command == "a.b model=@1 n=100 --seed 7"
    assert step(parameters=parameters).command == "a.b"


def test_a_list_of_references_is_written_with_commas_and_rewritten_place_by_place() -> None:
    parameters = {"model": "@1", "circuits": ["@4", "@7"], "n": 3, "layers": [1, 2]}
    inputs = {"model": 1, "circuits[0]": 4, "circuits[1]": 7}
    done = step(parameters=parameters, given=("circuits", "layers"), inputs=inputs)
    assert done.command == "a.b circuits=@4,@7 layers='[1,2]'"
    assert done.references == {"model", "circuits"}
    assert done.referring(lambda artifact: f"@{artifact * 10}") == {
        "model": "@10", "circuits": ["@40", "@70"], "n": 3, "layers": [1, 2],
    }  # fmt: skip
    assert done.parameters == parameters


def test_a_list_of_inputs_counts_by_what_it_points_to_in_its_order() -> None:
    def key(parameters: list[str], hashes: list[str]) -> str:
        return identity_key("a.b", 1, {"models": parameters}, 0, {"models": hashes})

    assert key(["@1", "@2"], ["x", "y"]) == key(["@5", "@9"], ["x", "y"])
    assert key(["@1", "@2"], ["x", "y"]) != key(["@1", "@2"], ["y", "x"])


values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(),
    st.booleans(),
    st.none(),
    st.lists(st.one_of(st.integers(), st.text(st.characters(exclude_categories=["Cs"])))),
)


@given(values)
def test_a_shell_gives_back_the_value(value: Any) -> None:
    _, word = shlex.split(step(parameters={"name": value}, given=("name",)).command)
    text = word.removeprefix("name=")
    assert (text if isinstance(value, str) else msgspec.json.decode(text)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("zoo:tpp", "zoo:tpp"),
        ("@3", "@3"),
        ("a b", "'a b'"),
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        ([1, 2], "[1,2]"),
    ],
)
def test_plain_values_are_written_without_quotes(value: Any, text: str) -> None:
    assert written(value) == text


@pytest.mark.parametrize("status", get_args(Status))
def test_only_finished_steps_without_a_result_are_resumable(status: Status) -> None:
    assert step(status=status).resumable is (status in FINISHED and status != "done")
    assert RESUMABLE < FINISHED


BASE: dict[str, Any] = {
    "operation": "a.b",
    "version": 1,
    "parameters": {"model": "@1", "n": 5},
    "seed": 0,
    "input_hashes": {"model": "abc"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "a.c"},
        {"version": 2},
        {"parameters": {"model": "@1", "n": 6}},
        {"parameters": {"model": "@1", "m": 5}},
        {"parameters": {"model": "@1", "n": "5"}},
        {"seed": 1},
        {"input_hashes": {"model": "abd"}},
    ],
)
def test_other_work_has_another_key(change: dict[str, Any]) -> None:
    assert identity_key(**{**BASE, **change}) != identity_key(**BASE)


def test_the_same_work_has_the_same_key_whatever_the_inputs_are_numbered() -> None:
    same = identity_key(**{**BASE, "parameters": {"n": 5, "model": "@41"}})
    assert same == identity_key(**BASE)
    assert len(same) == 64

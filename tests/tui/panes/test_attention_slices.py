"""Which stored patterns answer a wish, and what of them is drawn."""

import numpy as np
import pytest

from sessions.artifacts import Axis, Matrix, PromptRow, Prompts
from sessions.steps import Step, Stored
from tui.panes.attention_slices import BLOCK, OPERATION, SIDES, Wanted, find, patterns_of, shown_by


def step(number, status="done", model=1, prompts=2, **parameters):
    return Step(
        id=number, operation=OPERATION, version=1, parameters=parameters, seed=0, key=str(number), status=status,
        created=0.0, inputs={"model": model, "prompts": prompts},
    )  # fmt: skip


def stored(number):
    return Stored(id=number, step=number, kind="matrix", title="", summary="", sha256=f"m{number}", bytes=0)


HASHES = {1: "model", 2: "prompts", 3: "another model", 4: "prompts"}


def found(wanted, *steps, rows=20):
    hit = find(wanted, [(stored(s.id), s) for s in steps], "model", "prompts", rows, HASHES)
    return hit.id if hit else None


@pytest.mark.parametrize("row", [0, 7, 8, 19])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("average", [False, True])
def test_what_is_asked_for_answers_the_wish(row, side, average):
    wanted = Wanted(row, side, average)
    values = wanted.request(1, 2)
    assert (values.pop("model"), values.pop("prompts")) == ("@1", "@2")
    assert wanted.answered_by(step(9, **values), rows=20)


def test_neighbouring_prompts_are_answered_by_one_question():
    assert Wanted(0).request(1, 2) == Wanted(BLOCK - 1).request(1, 2)
    assert Wanted(0).request(1, 2) != Wanted(BLOCK).request(1, 2)


def test_left_out_parameters_mean_their_defaults():
    assert found(Wanted(3), step(5)) == 5
    assert found(Wanted(8), step(5)) is None


def test_side_average_row_status_and_inputs_must_fit():
    assert found(Wanted(3, "corrupt"), step(5)) is None
    assert found(Wanted(3, average=True), step(5)) is None
    assert found(Wanted(3, average=True), step(5, average=True)) == 5
    assert found(Wanted(3, average=True), step(5, average=True, count=10)) is None
    assert found(Wanted(3), step(5, "running")) is None
    assert found(Wanted(3), step(5, model=3)) is None
    assert found(Wanted(3), step(5, prompts=4)) == 5  # another artifact, the very same prompts


def test_the_newest_of_several_is_taken():
    assert found(Wanted(3), step(5), step(6), step(7, side="corrupt")) == 6


def pattern_artifact(n=3, side="clean", average=False, first=1):
    values = np.random.default_rng(0).random((1 if average else n, 2, 2, 5, 5))
    return Matrix(
        title="", values=values, facts={
            "side": side, "first": first, "n": n, "average": average,
            "tokens": [["<bos>", "a", "b", "c", "d"][: 5 - i] for i in range(n)],
        },
        axes=(Axis("prompt"), Axis("layer"), Axis("head"), Axis("query", tuple("vwxyz")), Axis("key", tuple("vwxyz"))),
    )  # fmt: skip


def test_a_prompts_patterns_are_cut_to_its_tokens():
    matrix = pattern_artifact()
    made = patterns_of(matrix, 2)
    assert made.tokens == ("<bos>", "a", "b")
    assert made.values.shape == (2, 2, 3, 3)
    assert np.array_equal(made.values, matrix.values[2][:, :, :3, :3])


def test_prompts_that_are_not_there_are_not_made_up():
    assert patterns_of(pattern_artifact(first=9), 3) is None
    assert np.array_equal(patterns_of(pattern_artifact(first=9), 9).values, pattern_artifact().values[1][:, :, :4, :4])


def test_the_corrupt_side_has_the_corrupt_tokens():
    row = PromptRow(clean="", clean_tokens=("<bos>", "a", "b", "c", "d"), corrupt_tokens=("<bos>", "a", "X", "c", "d"))
    prompts = Prompts(title="", task="", rows=(row,))
    assert patterns_of(pattern_artifact(side="corrupt"), 0, prompts).tokens == row.corrupt_tokens
    assert patterns_of(pattern_artifact(side="clean"), 0, prompts).tokens == row.clean_tokens


def test_an_average_is_shown_whatever_prompt_is_chosen():
    matrix = pattern_artifact(average=True)
    for row in (0, 17):
        assert np.array_equal(patterns_of(matrix, row).values, matrix.values[0])
    assert patterns_of(matrix, 0).tokens == tuple("vwxyz")
    assert shown_by(matrix, 4) == Wanted(4, "clean", True)


def test_scales_are_per_head_shared_or_fixed():
    made = patterns_of(pattern_artifact(), 0)
    assert made.limits("per head") is None
    assert made.limits("fixed") == (0.0, 1.0)
    assert made.limits("shared") == (0.0, pytest.approx(made.values.max()))
    difference = patterns_of(pattern_artifact(side="difference"), 0)
    assert difference.limits("fixed") == (-1.0, 1.0)
    low, high = difference.limits("shared")
    assert low == -high

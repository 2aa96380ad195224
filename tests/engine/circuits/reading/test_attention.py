"""Patterns against TransformerLens' cache, scores against patterns that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.reading.attention import answer_pairs, induction_pairs, patterns, previous_token_pairs, score
from engine.circuits.reading.attention_operations import AttentionPatterns, attention_patterns
from engine.circuits.reading.score_operations import HeadScores, head_scores
from sessions.artifacts import Prompts
from sessions.codec import decode, encode
from sessions.errors import CallError


def test_patterns_are_transformer_lens_patterns(pair: Any, batch: Any) -> None:
    _, cache = pair.hooked.run_with_cache(batch.tokens)
    found = patterns(pair.ours, batch.tokens)
    for layer in range(3):
        assert torch.allclose(found[:, layer], cache[f"blocks.{layer}.attn.hook_pattern"].detach(), atol=1e-5)


def test_scores_of_a_perfect_head_are_one_and_of_a_uniform_head_chance() -> None:
    tokens = torch.tensor([[5, 6, 7, 5, 6, 7]])
    lengths = torch.tensor([6])
    pattern = torch.zeros(1, 1, 3, 6, 6)
    for i in range(6):
        pattern[0, 0, 0, i, max(0, i - 1)] = 1.0  # previous token
        pattern[0, 0, 1, i, i - 2 if i >= 3 else 0] = 1.0  # induction: what followed the first 5, 6, 7
        pattern[0, 0, 2, i, : i + 1] = 1 / (i + 1)
    previous = score(pattern, previous_token_pairs(lengths))
    induction = score(pattern, induction_pairs(tokens, lengths))
    assert previous.mean[0].tolist() == pytest.approx([1.0, 0.2, previous.mean_chance])
    assert induction.pairs == 3
    assert induction.mean[0].tolist() == pytest.approx([0.0, 1.0, (1 / 4 + 1 / 5 + 1 / 6) / 3])
    assert induction.mean_chance == pytest.approx((1 / 4 + 1 / 5 + 1 / 6) / 3)


def test_induction_follows_the_last_occurrence_and_skips_doubles() -> None:
    pairs = induction_pairs(torch.tensor([[1, 1, 2, 1, 0, 0]]), torch.tensor([4]))
    assert list(zip(pairs.query.tolist(), pairs.key.tolist())) == [(3, 2)]


def test_answer_pairs_look_back_only() -> None:
    tokens = torch.tensor([[4, 9, 4, 8, 4]])
    pairs = answer_pairs(tokens, torch.tensor([[3]]), torch.tensor([[4]]))
    assert list(zip(pairs.query.tolist(), pairs.key.tolist())) == [(3, 0), (3, 2)]


def test_a_score_without_pairs_is_unknown() -> None:
    found = score(torch.ones(1, 2, 2, 3, 3), induction_pairs(torch.tensor([[1, 2, 3]]), torch.tensor([3])))
    assert torch.isnan(found.mean).all()
    assert math.isnan(found.mean_chance)


def asked(**more: Any) -> AttentionPatterns:
    return AttentionPatterns(model="@1", prompts="@2", **more)


def test_one_prompt_is_labelled_by_its_tokens(desk: Any) -> None:
    (found,) = attention_patterns(asked(first=2, count=1), desk)
    assert found.values.shape == (1, 3, 4, 6, 6)
    assert found.values.dtype == np.float32
    assert found.axes[3].labels == tuple(desk.inputs["@2"].rows[1].clean.split())
    assert found.axes[0].labels == ("2",)
    assert np.allclose(found.values.sum(-1), 1.0, atol=1e-6)
    assert encode(decode(encode(found))) == encode(found)


def test_several_prompts_are_labelled_by_named_positions(desk: Any) -> None:
    (found,) = attention_patterns(asked(), desk)
    assert found.values.shape[0] == 8
    assert found.axes[4].labels == ("0", "a1", "2", "3", "4", "end")


def test_the_difference_of_averages_is_the_average_of_differences(desk: Any) -> None:
    (clean,) = attention_patterns(asked(average=True), desk)
    (corrupt,) = attention_patterns(asked(average=True, side="corrupt"), desk)
    (difference,) = attention_patterns(asked(average=True, side="difference"), desk)
    assert clean.values.shape[0] == 1
    assert np.allclose(difference.values, clean.values - corrupt.values, atol=1e-6)
    assert difference.scale == "diverging"
    assert clean.scale == "sequential"


def two_lengths(desk: Any) -> None:
    rows = desk.inputs["@2"].rows
    short = type(rows[0])(clean="t1 t2 t3", corrupt="t3 t2 t1", answers=("t4",), foils=("t5",))
    desk.inputs["@2"] = Prompts(title="two lengths", task="x", rows=(rows[0], short, rows[1], rows[2]))


def test_beyond_a_short_prompts_end_there_is_nothing(desk: Any) -> None:
    two_lengths(desk)
    (found,) = attention_patterns(asked(), desk)
    assert np.isfinite(found.values[[0, 2, 3]]).all()
    assert np.isnan(found.values[1, :, :, 3:]).all()
    assert np.isnan(found.values[1, :, :, :, 3:]).all()
    assert np.isfinite(found.values[1, :, :, :3, :3]).all()


def test_an_average_is_over_prompts_built_alike(desk: Any) -> None:
    two_lengths(desk)
    (each,) = attention_patterns(asked(), desk)
    (long,) = attention_patterns(asked(first=3, average=True), desk)
    assert np.allclose(long.values[0], each.values[[0, 2, 3]].mean(0), atol=1e-6)
    assert long.facts["averaged_over"].startswith("the 3 of 4 prompts built like prompt 3")
    (short,) = attention_patterns(asked(first=2, average=True), desk)
    assert short.values.shape == (1, 3, 4, 3, 3)
    assert short.facts["n"] == 1


def test_a_prompt_that_is_not_there_and_a_result_too_large(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CallError, match="no prompt 13"):
        attention_patterns(asked(first=13), desk)
    monkeypatch.setattr("engine.circuits.reading.attention_operations.MOST_BYTES", 4 * 3 * 4 * 36 * 2)
    with pytest.raises(CallError, match="at most 2 prompts"):
        attention_patterns(asked(), desk)


def test_prompts_without_answers_have_patterns_too(desk: Any) -> None:
    rows = desk.inputs["@2"].rows
    desk.inputs["@2"] = Prompts(title="plain", task="x", rows=(type(rows[0])(clean=rows[0].clean),))
    (found,) = attention_patterns(asked(), desk)
    assert found.values.shape == (1, 3, 4, 6, 6)


def test_head_scores_as_matrices_and_table(desk: Any, pair: Any) -> None:
    *matrices, named_positions, table = head_scores(HeadScores(model="@1", prompts="@2"), desk)
    named = {matrix.title.split(": ")[1]: matrix for matrix in matrices}
    tokens = torch.tensor([pair.ours.tokenizer.encode(row.clean) for row in desk.inputs["@2"].rows])
    _, cache = pair.hooked.run_with_cache(tokens)
    pattern = cache["blocks.1.attn.hook_pattern"][:, 2]
    expected = float(pattern.diagonal(-1, 1, 2).mean())
    assert named["previous token"].values[1, 2] == pytest.approx(expected, abs=1e-5)
    assert len(table.rows) == 12
    assert {column.name for column in table.columns} >= {"head", "previous token", "induction", "answer"}
    assert named_positions.axes[1].labels == ("a1", "end")
    assert named_positions.axes[0].labels[6] == "L1H2"
    assert named_positions.values.shape == (12, 2)
    assert named_positions.values[6, 0] == pytest.approx(float(pattern[:, 5, 1].mean()), abs=1e-5)

"""Attention to the answer before and after: against TransformerLens' patterns read by hand, and against Python sets."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.circuits.across.answer_attention_operations import AttentionToAnswer, attention_to_answer
from engine.circuits.across.subsets import subset
from sessions.artifacts import Prompts
from sessions.codec import decode, encode
from sessions.components import Head
from sessions.errors import CallError, CancelledError

from ..conftest import Pair, make_pair
from .conftest import Shelf


@pytest.fixture
def bench(shelf: Shelf) -> Shelf:
    """Prompts whose answer stands once, twice or (two of them) nowhere."""
    rows = []
    for i, row in enumerate(shelf.inputs["@2"].rows):
        words = ["t1" if word == row.answers[0] else word for word in row.clean.split()]
        for place in ((2,), (1, 3), ())[i % 3] if i < 10 else ():
            words[place] = row.answers[0]
        rows.append(msgspec.structs.replace(row, clean=" ".join(words)))
    shelf.inputs["@2"] = Prompts(title="repeats", task="x", rows=tuple(rows))
    return shelf


def by_hand(pair: Pair, prompts: Prompts) -> tuple[np.ndarray, np.ndarray, int]:
    """[layer head] mean over prompts of the last row's weight on the answer's places, its standard error, and n."""
    found = []
    for row in prompts.rows:
        words = row.clean.split()
        places = [i for i, word in enumerate(words) if word == row.answers[0]]
        if places:
            _, cache = pair.hooked.run_with_cache(torch.tensor([[int(word[1:]) for word in words]]))
            pattern = torch.stack([cache[f"blocks.{layer}.attn.hook_pattern"][0] for layer in range(3)])
            found.append(pattern[:, :, -1, places].sum(-1).double().detach().numpy())
    values = np.stack(found)
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)), len(values)


def test_each_models_heads_and_the_change(bench: Shelf, pairs: tuple[Pair, Pair]) -> None:
    params = AttentionToAnswer(models=("@1", "@3"), prompts="@2", threshold=0.3)
    matrix, change, relations, heads = attention_to_answer(params, bench)
    before, after = (by_hand(pair, bench.inputs["@2"]) for pair in pairs)
    assert matrix.values.shape == (2, 3, 4)
    np.testing.assert_allclose(matrix.values, [before[0], after[0]], atol=1e-6)  # float32 patterns
    np.testing.assert_allclose(change.values, [after[0] - before[0]], atol=1e-6)
    assert matrix.facts["prompts_with_answer"] == {"base": before[2], "tuned": after[2]}
    assert 0 < before[2] < 12
    sets = [{(int(i), int(j)) for i, j in np.argwhere(mean > 0.3)} for mean, _, _ in (before, after)]
    assert any(sets)
    assert set(matrix.marks) == {(m, *at) for m, found in enumerate(sets) for at in found}
    assert set(change.marks) == {(0, *at) for at in sets[1] - sets[0]}
    (row,) = relations.rows
    assert row[:2] == ("base", "tuned")
    assert row[3:6] == (len(sets[0]), len(sets[1]), len(sets[0] & sets[1]))
    assert (row[2] == "holds") == (sets[0] <= sets[1])
    assert {word for word in str(row[6]).replace(",", "").split() if word[0] == "L"} == {
        str(Head(*at)) for at in sets[0] - sets[1]
    }
    for line in heads.rows:
        i, j = int(line[0][1]), int(line[0][3])
        wanted = [before[0][i, j], before[1][i, j], after[0][i, j], after[1][i, j]]
        assert line[1:5] == pytest.approx(wanted, abs=1e-6)
    for artifact in (matrix, change, relations, heads):
        assert encode(decode(encode(artifact))) == encode(artifact)


def test_of_three_models_neighbours_first_then_the_ends(bench: Shelf) -> None:
    bench.inputs["@4"] = make_pair(seed=9).ours
    params = AttentionToAnswer(models=("@1", "@3", "@4"), prompts="@2", threshold=0.2)
    relations = attention_to_answer(params, bench)[2]
    assert [row[:2] for row in relations.rows] == [("base", "tuned"), ("tuned", "random"), ("base", "random")]
    chain = [row[2] for row in relations.rows[:2]]
    word = "holds" if chain == ["holds", "holds"] else "does not hold" if "does not hold" in chain else "undecided"
    assert relations.summary.startswith(f"base within tuned within random: {word}")


def grid(**heads: float) -> np.ndarray:
    values = np.zeros((2, 2))
    for name, value in heads.items():
        values[int(name[1]), int(name[3])] = value
    return values


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (grid(L0H0=0.6), grid(L0H0=0.7, L1H0=0.9), "holds"),
        (grid(), grid(L0H0=0.7), "holds"),
        (grid(L0H0=0.6), grid(), "does not hold"),
        (grid(L0H0=0.6, L1H1=0.9), grid(L1H1=0.9, L0H0=0.39), "undecided"),  # just missed there
        (grid(L0H0=0.41), grid(), "undecided"),  # only just there here
        (grid(L0H0=0.41, L1H1=0.9), grid(L0H0=0.39), "does not hold"),  # one exception is clear
    ],
)
def test_a_subset_holds_fails_or_is_too_close_to_tell(first: np.ndarray, second: np.ndarray, verdict: str) -> None:
    errors = np.full((2, 2), 0.02)
    found = subset(first, second, errors, errors, 0.4)
    assert found.verdict == verdict
    exceptions = {tuple(at) for at in np.argwhere(first > 0.4)} - {tuple(at) for at in np.argwhere(second > 0.4)}
    assert {tuple(at) for at in np.argwhere(found.missing)} == exceptions


def test_an_interrupted_reading_ends_with_the_same_bytes(bench: Shelf) -> None:
    params = AttentionToAnswer(models=("@1", "@3"), prompts="@2")
    whole = attention_to_answer(params, bench.fresh())
    bench.stop_after = 1
    with pytest.raises(CancelledError):
        attention_to_answer(params, bench)
    assert np.isnan(bench.partials[0].values[1]).all()
    bench.stop_after = None
    assert [encode(a) for a in attention_to_answer(params, bench)] == [encode(a) for a in whole]


def test_wrong_inputs_are_named(bench: Shelf) -> None:
    bench.inputs["@4"] = make_pair(n_layers=2).ours
    rows = bench.inputs["@2"].rows
    bench.inputs["@5"] = Prompts(title="nowhere", task="x", rows=rows[2:3])

    def ask(**more: Any) -> Any:
        values = {"models": ("@1", "@3"), "prompts": "@2", **more}
        return attention_to_answer(AttentionToAnswer(**values), bench.fresh())

    with pytest.raises(CallError, match="models: one model is named; name at least 2"):
        ask(models=("@1",))
    with pytest.raises(CallError, match="random has 2 layers of 4 heads, base has 3 of 4"):
        ask(models=("@1", "@4"))
    with pytest.raises(CallError, match="prompts: the answer stands in none of the prompts"):
        ask(prompts="@5")
    with pytest.raises(CallError, match="@1 is a model, not prompts"):
        ask(prompts="@1")

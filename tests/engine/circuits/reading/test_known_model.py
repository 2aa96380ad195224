"""The reading methods on a program compiled by hand, of which it is known what every part does.

Its head L1H0 fetches the answer, which after the last token of a reversed text is the first. Its logits are of another
vocabulary than its tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.reading.class_operations import HeadClasses, head_classes
from engine.circuits.reading.direct_operations import DirectEffects, direct_effects
from engine.circuits.reading.lens_operations import LogitLens, logit_lens
from engine.circuits.reading.weight_operations import WeightCircuits, weight_circuits
from engine.models.transformer import Transformer
from engine.models.weights import state_dict
from sessions.artifacts import Prompts

from ..conftest import Desk
from ..test_compiled_models import TEXTS, reversing, rows


@pytest.fixture(scope="module")
def known() -> Any:
    return reversing()


@pytest.fixture
def bench(known: Any) -> Desk:
    return Desk(**{"@1": known, "@2": Prompts(title="reverse", task="rasp", rows=rows(*TEXTS))})


def test_the_whole_logit_difference_is_what_the_head_fetches(bench: Desk) -> None:
    heads, mlps, _, one = direct_effects(DirectEffects(model="@1", prompts="@2", layer=1, head=0), bench)
    assert heads.facts["clean"] == pytest.approx(10, abs=1e-3)
    assert heads.values.ravel() == pytest.approx([0, 0, 10, 0], abs=1e-3)
    assert mlps.values.ravel() == pytest.approx([0, 0], abs=1e-3)
    for row, text in zip(one.values, TEXTS):
        assert row[1] == pytest.approx(10, abs=1e-3)  # the first token, after the beginning
        assert np.isnan(row[1 + len(text.split()) :]).all()


def test_the_lens_sees_the_answer_only_after_the_last_layer(bench: Desk) -> None:
    found = logit_lens(LogitLens(model="@1", prompts="@2"), bench)
    probability = found[0]
    assert np.isnan(probability.values[:, :-1]).all()  # logits do not stand for the next token
    assert probability.values[:, -1] == pytest.approx([1 / 3, 1 / 3, 1.0], abs=1e-3)
    table = next(each for each in found if each.title.endswith("likeliest tokens"))
    assert table.rows[-1][3] == "a"
    assert table.rows[-1][8 + 1].split()[0] == "a"


def test_the_head_attends_to_the_answer_and_both_idle_heads_to_everything(bench: Desk) -> None:
    *_, answer, chance = head_classes(HeadClasses(model="@1", prompts="@2"), bench)
    # to every place where the letter of the answer stands; the head looks at one of them
    assert answer.values[1, 0] == pytest.approx(1, abs=1e-3)
    assert answer.marks == ((1, 0),)
    uniform = np.mean([(t := text.split()).count(t[0]) / (len(t) + 1) for text in TEXTS])
    assert chance.rows[0][-1] == pytest.approx(uniform, abs=1e-6)


def test_the_heads_weights_copy_each_letter(bench: Desk) -> None:
    qk, ov, raised, spectrum, composed = weight_circuits(WeightCircuits(model="@1", layer=1, head=0), bench)
    assert ov.axes[1].labels == ("c", "b", "a")
    assert ov.values.tolist() == [[0, 0, 10], [0, 10, 0], [10, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert [row[3].split()[0] for row in raised.rows[:3]] == ["a", "b", "c"]
    assert qk.axes[0].labels[:3] == ("a", "b", "c")
    assert list(spectrum.facts["copying_score"]) == ["W_V W_O"]
    assert np.isfinite(composed.values).all()


def test_half_precision_gives_the_same_to_its_precision(desk: Any, pair: Any) -> None:
    """Random weights in bfloat16, which keeps 8 bits: results are those in single precision to a few per cent."""
    exact = [
        direct_effects(DirectEffects(model="@1", prompts="@2"), desk)[0].values,
        weight_circuits(WeightCircuits(model="@1", layer=1, head=1), desk)[1].values,
        head_classes(HeadClasses(model="@1", prompts="@2"), desk)[-2].values,
        logit_lens(LogitLens(model="@1", prompts="@2"), desk)[0].values,
    ]
    ours = pair.ours
    state = state_dict(ours.config, ours.weights)
    desk.inputs["@1"] = Transformer(ours.config, state, ours.tokenizer, ours.handle, dtype=torch.bfloat16)
    rough = [
        direct_effects(DirectEffects(model="@1", prompts="@2"), desk)[0].values,
        weight_circuits(WeightCircuits(model="@1", layer=1, head=1), desk)[1].values,
        head_classes(HeadClasses(model="@1", prompts="@2"), desk)[-2].values,
        logit_lens(LogitLens(model="@1", prompts="@2"), desk)[0].values,
    ]
    for one, other in zip(exact, rough):
        assert np.allclose(one, other, atol=0.05 * float(np.nanmax(np.abs(one))), equal_nan=True)

"""A head's pattern at 0 and its scores at 0: hooked passes of both, and how value biases tell them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.interventions.attention_ablation import UniformAttention, uniform_z
from engine.circuits.interventions.attention_ablation_operations import AttentionAblation, attention_ablation
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.head_sweep import components_of, head_sweep
from engine.circuits.sweeps.sweep_operations import HeadSweep
from engine.circuits.sweeps.sweep_operations import head_sweep as sweep_operation
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from sessions.artifacts import Model
from sessions.codec import decode, encode
from sessions.components import Head
from sessions.errors import CancelledError

# double-precision passes; logits, and means of values, are rounded to single
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def swept(runs: PromptRuns) -> dict[Any, torch.Tensor]:
    c = runs.model.config
    order = components_of(c.n_layers, c.n_heads, mlps=False)
    found = {part: torch.full((runs.size,), float("nan")) for part in order}
    for batch in head_sweep(runs, [order] * len(runs.chunks)):
        for part, values in zip(batch.components, batch.values, strict=True):
            found[part][batch.rows] = values
    return found


@pytest.mark.parametrize("what", ["pattern", "scores"])
@pytest.mark.parametrize("kind", ["gpt2", "parallel", "attention only", "bidirectional", "grouped"])
def test_every_head_equals_a_hooked_pass(twins: Any, slowly: Any, batches: Any, kind: str, what: str) -> None:
    twin, batch = twins(kind), batches(rows=4, scored=2, ragged=kind != "bidirectional")
    runs = PromptRuns(twin.ours, batch, METRICS["loss"], "zero", rows=3)
    if what == "scores":
        runs = UniformAttention(twin.ours, batch, METRICS["loss"], like=runs)
    for head, values in swept(runs).items():
        logits = slowly["attention"](twin, batch.tokens, head, what)
        torch.testing.assert_close(values, slowly["metric"]("loss", logits, batch).float(), **CLOSE)


def test_padding_is_not_attended_to_where_attention_looks_ahead(twins: Any, batches: Any) -> None:
    ours, batch = twins("bidirectional").ours, batches(rows=4, ragged=True)
    residual = ours.forward(batch.tokens).resid_pre[1]
    together = uniform_z(ours, 1, residual, batch.lengths)
    for row, length in enumerate(batch.lengths.tolist()):
        values = ours.projections(1, residual[row : row + 1, :length])[2]
        torch.testing.assert_close(together[row, :length], values.mean(1).expand(length, -1, -1), **CLOSE)


@pytest.mark.parametrize("what", ["pattern", "scores"])
def test_value_biases_survive_uniform_attention_only(batches: Any, what: str) -> None:
    """Folding b_V into b_O leaves the model as it is. Uniform attention does not notice; an empty pattern does."""
    config = TransformerConfig(
        architecture="random", n_layers=2, n_heads=2, d_model=8, d_head=4, d_mlp=12, d_vocab=23, n_ctx=16
    )
    state = random_state(config, 3, scale=0.4)
    folded = dict(state)
    for layer in range(2):
        name = f"blocks.{layer}.attn."
        moved = torch.einsum("hd,hdm->m", state[name + "b_V"], state[name + "W_O"])
        folded |= {name + "b_V": torch.zeros_like(state[name + "b_V"]), name + "b_O": state[name + "b_O"] + moved}
    found = []
    for weights in (state, folded):
        handle = Model(title="random", source="random", family="transformer", architecture="random")
        model = Transformer(config, weights, None, handle, dtype=torch.float64)  # type: ignore[arg-type]
        runs = PromptRuns(model, batches(), METRICS["loss"], "zero")
        if what == "scores":
            runs = UniformAttention(model, batches(), METRICS["loss"], like=runs)
        found.append((runs.clean, swept(runs)[Head(0, 1)]))
    (clean, unfolded), (same, other) = found
    torch.testing.assert_close(clean, same, **CLOSE)
    assert torch.allclose(unfolded, other, atol=1e-5) == (what == "scores")


def test_the_pattern_at_zero_is_zero_ablation_by_another_name(desk: Any) -> None:
    heads, table = attention_ablation(AttentionAblation(model="@1", prompts="@2", metric="loss"), desk)
    zeroed = sweep_operation(HeadSweep(model="@1", prompts="@2", metric="loss", mlps=False), type(desk)(**desk.inputs))
    assert np.array_equal(heads.values, zeroed[0].values)
    assert "attention pattern := 0" in heads.title
    assert heads.facts["ablation"] == "attention pattern := 0"
    assert heads.facts["value_biases"].startswith("not folded")
    assert len(table.rows) == 12


def test_scores_at_zero_as_an_operation(desk: Any) -> None:
    params = AttentionAblation(model="@1", prompts="@2", metric="loss", what="scores")
    whole = attention_ablation(params, type(desk)(**desk.inputs))
    heads, table = whole
    assert np.isfinite(heads.values).all()
    assert heads.facts["ablation"] == "attention scores := 0"
    assert "uniform attention" in heads.facts["sites"]
    assert "stays, folded into b_O or not" in heads.facts["value_biases"]
    assert [axis.name for axis in heads.axes] == ["layer", "head"]
    for artifact in (heads, table):
        assert encode(decode(encode(artifact))) == encode(artifact)
    desk.stop_after = 1
    with pytest.raises(CancelledError):
        attention_ablation(params, desk)
    assert desk.partials
    desk.stop_after = None
    assert [encode(a) for a in attention_ablation(params, desk)] == [encode(a) for a in whole]
    few = attention_ablation(
        AttentionAblation(model="@1", prompts="@2", metric="loss", what="scores", batch=5), type(desk)(**desk.inputs)
    )
    assert np.allclose(few[0].values, heads.values, atol=1e-5)  # batches of other shapes round differently

"""Circuits, nothing, and everything but the circuit, against whole hooked passes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.circuits.judging.faithfulness import Circuit, ablated_values, faithfulness
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from sessions.components import Head, Mlp

ALL_HEADS = [Head(layer, head) for layer in range(3) for head in range(4)]
ALL_MLPS = [Mlp(layer) for layer in range(3)]


def circuit_of(heads: list[Head], mlps: list[Mlp]) -> Circuit:
    kept = torch.zeros(3, 4, dtype=torch.bool)
    for head in heads:
        kept[head.layer, head.head] = True
    return Circuit(kept, torch.tensor([Mlp(layer) in mlps for layer in range(3)]))


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("shape", ["pair", "parallel_pair"])
def test_values_are_those_of_hooked_passes(
    request: pytest.FixtureRequest, batches: Any, naive: Any, shape: str, ablation: Any
) -> None:
    pair, batch = request.getfixturevalue(shape), batches(ragged=ablation == "mean")
    heads, mlps = [Head(0, 1), Head(1, 3), Head(2, 0)], [Mlp(0), Mlp(2)]
    several = tuple(
        PromptRuns(pair.ours, batch, METRICS[m], ablation, rows=3) for m in ("logit_diff", "kl", "accuracy")
    )
    for runs, found in zip(several, faithfulness(several, circuit_of(heads, mlps))):
        name = runs.metric.name

        def mean(gone: Any, name: str = name) -> float:
            return float(naive(name, pair.hooked, batch, gone, ablation).mean())

        full, nothing = mean([]), mean([*ALL_HEADS, *ALL_MLPS])
        alone = mean([part for part in [*ALL_HEADS, *ALL_MLPS] if part not in [*heads, *mlps]])
        expected = (full, alone, nothing, mean([*heads, *mlps]))
        assert (found.full, found.circuit, found.empty, found.without) == pytest.approx(expected, abs=1e-4)
        assert found.difference == pytest.approx(abs(full - alone), abs=1e-4)
        if abs(full - nothing) > 0.1:
            assert found.fraction == pytest.approx((alone - nothing) / (full - nothing), abs=1e-3)


def test_circuits_of_heads_keep_their_mlps_even_when_empty(pair: Any, batch: Any, naive: Any) -> None:
    runs = PromptRuns(pair.ours, batch, METRICS["loss"])
    (found,) = faithfulness((runs,), circuit_of([Head(0, 0)], ALL_MLPS))
    assert found.empty == pytest.approx(float(naive("loss", pair.hooked, batch, ALL_HEADS, "zero").mean()), abs=1e-4)
    assert found.without == pytest.approx(
        float(naive("loss", pair.hooked, batch, [Head(0, 0)], "zero").mean()), abs=1e-4
    )


def test_the_whole_model_is_perfectly_faithful_and_nothing_is_not_at_all(pair: Any, batch: Any) -> None:
    runs = PromptRuns(pair.ours, batch, METRICS["logit_diff"], "mean")
    (everything,) = faithfulness((runs,), circuit_of(ALL_HEADS, ALL_MLPS))
    assert everything.fraction == pytest.approx(1.0)
    assert everything.difference == pytest.approx(0.0, abs=1e-5)  # another batch shape rounds differently
    (nothing,) = faithfulness((runs,), circuit_of([], []))
    assert nothing.fraction == 0.0


def test_faithfulness_is_undefined_where_nothing_is_lost(pair: Any, batch: Any) -> None:
    runs = PromptRuns(pair.ours, batch._replace(corrupt=batch.tokens), METRICS["accuracy"], "resample")
    (found,) = faithfulness((runs,), circuit_of([], []))
    assert math.isnan(found.fraction)


def test_resampling_everything_is_the_corrupt_run_of_a_model_without_its_own_embeddings(
    attn_only_pair: Any, batch: Any
) -> None:
    # Embeddings stay clean, so swap only what heads can see: where clean and corrupt end alike, the last token's
    # residual stream is its embedding plus the corrupt heads' outputs, which is the corrupt run itself.
    corrupt = batch.corrupt.clone()
    corrupt[:, -1] = batch.tokens[:, -1]
    runs = PromptRuns(attn_only_pair.ours, batch._replace(corrupt=corrupt), METRICS["loss"], "resample")
    swapped = PromptRuns(attn_only_pair.ours, batch._replace(tokens=corrupt), METRICS["loss"])
    ones = torch.ones(1, 3, 4, dtype=torch.bool)
    (values,) = ablated_values((runs,), ones, torch.zeros(1, 3, dtype=torch.bool))
    assert torch.allclose(values[0], swapped.clean, atol=1e-5)

"""Replacement values, and edits that ablate other components in every row."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.circuits.ablation import Ablate, mean_replacement, zero_replacement
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from sessions.components import Head, Mlp


def test_padding_does_not_count_in_a_mean(pair: Any, batches: Any) -> None:
    batch = batches(ragged=True)
    cache = pair.ours.forward(batch.tokens)
    found = mean_replacement([(cache, batch.lengths)], per_position=False)
    rows = [cache.z[1, row, :length] for row, length in enumerate(batch.lengths.tolist())]
    assert torch.allclose(found.z_of(1)[0, 0], torch.cat(rows).mean(0), atol=1e-6)
    first = cache.resid_pre[0]
    embeds = torch.cat([first[row, :length] for row, length in enumerate(batch.lengths.tolist())])
    assert torch.allclose(found.embed[0, 0], embeds.mean(0), atol=1e-6)


def test_means_per_position_add_up_over_chunks(pair: Any, batch: Any) -> None:
    cache = pair.ours.forward(batch.tokens)
    parts = [(pair.ours.forward(batch.tokens[rows]), batch.lengths[rows]) for rows in (slice(0, 3), slice(3, 7))]
    whole = mean_replacement(parts, per_position=True)
    assert whole.z.shape == (3, 1, 9, 4, 4)
    assert torch.allclose(whole.z[:, 0], cache.z.mean(1), atol=1e-6)
    assert torch.allclose(whole.mlp_out[:, 0], cache.mlp_out.mean(1), atol=1e-6)


def test_which_mean_is_said(pair: Any, batches: Any) -> None:
    aligned = PromptRuns(pair.ours, batches(), METRICS["loss"], "mean")
    ragged = PromptRuns(pair.ours, batches(ragged=True), METRICS["loss"], "mean")
    assert "per position" in aligned.replacement_words
    assert "over all positions" in ragged.replacement_words


def test_each_variant_lacks_its_own_components(pair: Any, batch: Any, naive: Any) -> None:
    heads = torch.zeros(3, 3, 4, dtype=torch.bool)
    mlps = torch.zeros(3, 3, dtype=torch.bool)
    heads[1, 0, 2] = heads[1, 2, 3] = heads[2, 1, 1] = True
    mlps[2, 0] = True
    gone = [[], [Head(0, 2), Head(2, 3)], [Head(1, 1), Mlp(0)]]
    edit = Ablate(zero_replacement(pair.ours.config, torch.device("cpu"), torch.float32), heads, mlps)
    assert edit.layers == {0, 1, 2}
    runs = PromptRuns(pair.ours, batch, METRICS["loss"])
    start = runs.cache(0).resid_pre[0].repeat(3, 1, 1)
    final = pair.ours.run_from(0, start, edit=edit, at=batch.at.repeat(3, 1))
    for values, parts in zip(runs.values(0, final), gone):
        assert torch.allclose(values, naive("loss", pair.hooked, batch, parts, "zero").float(), atol=1e-4)


def test_ablating_nothing_touches_no_layer(pair: Any) -> None:
    nothing = zero_replacement(pair.ours.config, torch.device("cpu"), torch.float32)
    edit = Ablate(nothing, torch.zeros(2, 3, 4, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool))
    assert edit.layers == frozenset()


def test_a_mean_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one prompt"):
        mean_replacement([], per_position=True)

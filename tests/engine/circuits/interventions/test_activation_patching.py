"""Every site and direction against whole passes with TransformerLens' hooks, in double precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.circuits.interventions.activation_patching import (
    STREAM,
    Patch,
    Site,
    activation_patching,
    corrupt_values,
)
from engine.circuits.interventions.effects import Direction
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns

SITES: tuple[Site, ...] = ("resid_pre", "attn_out", "mlp_out", "z", "q", "k", "v", "pattern")
KINDS = ("gpt2", "parallel", "attention only", "bidirectional", "grouped")
# Passes are in double precision; logits of order 10 are rounded to single before they are compared with answers.
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def every_patch(model: Any, site: Site, places: int) -> list[Patch]:
    heads = 1 if site in STREAM else model.config.n_heads
    layers = range(model.config.n_layers)
    return [Patch(layer, head, place) for layer in layers for head in range(heads) for place in range(places)]


def patched(
    runs: PromptRuns,
    site: Site,
    direction: Direction,
    places: Tensor | None = None,
    *,
    variants: int = 16,
    only: list[Patch] | None = None,
) -> dict[Patch, Tensor]:
    patches = every_patch(runs.model, site, 1 if places is None else len(places)) if only is None else only
    found = {patch: torch.full((runs.size,), float("nan")) for patch in patches}
    wanted = [patches] * len(runs.chunks)
    for batch in activation_patching(runs, site, direction, wanted, places=places, variants=variants):
        for patch, values in zip(batch.patches, batch.values, strict=True):
            found[patch][batch.rows] = values
    return found


def each(batch: Any) -> Tensor:
    n, pos = batch.tokens.shape
    return torch.arange(pos)[:, None].expand(-1, n)


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize(
    ("kind", "site"),
    [(kind, site) for kind in KINDS for site in SITES if (kind, site) != ("attention only", "mlp_out")],
)
def test_a_patch_equals_a_hooked_pass(
    twins: Any, slowly: Any, batches: Any, kind: str, site: Site, direction: Direction
) -> None:
    twin, batch = twins(kind, 2), batches(rows=2)
    runs = PromptRuns(twin.ours, batch, METRICS["logit_diff"], "resample")
    at_once, alone = patched(runs, site, direction), patched(runs, site, direction, each(batch))
    pos = batch.tokens.shape[1]
    for patch, values in at_once.items():
        logits = slowly["patch"](twin, batch, direction, site, patch.layer, patch.head, torch.ones(2, pos))
        torch.testing.assert_close(values, slowly["metric"]("logit_diff", logits, batch).float(), **CLOSE)
    for patch, values in alone.items():
        if (patch.layer + patch.head + patch.place) % 5:  # a fifth of them: hooked passes are slow
            continue
        where = (torch.arange(pos) == patch.place).expand(2, -1)
        logits = slowly["patch"](twin, batch, direction, site, patch.layer, patch.head, where)
        torch.testing.assert_close(values, slowly["metric"]("logit_diff", logits, batch).float(), **CLOSE)


@pytest.mark.parametrize("direction", ["denoising", "noising"])
@pytest.mark.parametrize("kind", ["gpt2", "bidirectional"])
def test_everything_patched_is_the_other_run_and_nothing_patched_the_same(
    twins: Any, batches: Any, kind: str, direction: Direction
) -> None:
    runs = PromptRuns(twins(kind).ours, batches(), METRICS["loss"], "resample")
    clean, corrupt = runs.clean, corrupt_values(runs)
    base, donor = (corrupt, clean) if direction == "denoising" else (clean, corrupt)
    everything = patched(runs, "resid_pre", direction)[Patch(0, 0, 0)]
    torch.testing.assert_close(everything, donor, **CLOSE)
    nowhere = torch.full((1, runs.size), -1)  # no token stands there
    for site in SITES:
        for patch, values in patched(runs, site, direction, nowhere).items():
            torch.testing.assert_close(values, base, **CLOSE, msg=lambda text, p=patch, s=site: f"{s} {p}: {text}")


@pytest.mark.parametrize("site", ["resid_pre", "attn_out", "mlp_out", "z", "k", "pattern"])
def test_prompts_of_unequal_length_and_several_scored_positions(
    twins: Any, slowly: Any, batches: Any, site: Site
) -> None:
    twin, batch = twins("gpt2"), batches(rows=4, ragged=True, scored=2)
    runs = PromptRuns(twin.ours, batch, METRICS["loss"], "resample", rows=2)
    places = torch.stack(
        [torch.tensor([1, 2, 0, 3]), batch.lengths - 2]
    )  # positions by name: elsewhere in every prompt
    for patch, values in patched(runs, site, "noising", places, variants=3).items():
        where = torch.arange(batch.tokens.shape[1]) == places[patch.place][:, None]
        logits = slowly["patch"](twin, batch, "noising", site, patch.layer, patch.head, where)
        torch.testing.assert_close(values, slowly["metric"]("loss", logits, batch).float(), **CLOSE)


@pytest.mark.parametrize("site", SITES)
def test_batches_change_nothing_but_rounding(twins: Any, batches: Any, site: Site) -> None:
    batch = batches(rows=5)

    def values(rows: int, variants: int, keep_bytes: int) -> dict[Patch, Tensor]:
        ours = twins("gpt2").ours
        runs = PromptRuns(ours, batch, METRICS["loss"], "resample", rows=rows, keep_bytes=keep_bytes)
        return patched(runs, site, "denoising", each(batch), variants=variants)

    whole, pieces = values(5, 64, 2**30), values(2, 3, 0)
    assert all(torch.allclose(whole[patch], pieces[patch], atol=1e-6) for patch in whole)


def test_only_what_is_wanted_is_run(twins: Any, batches: Any) -> None:
    runs = PromptRuns(twins("gpt2").ours, batches(), METRICS["loss"], "resample")
    every = patched(runs, "k", "noising", each(batches()))
    some = [Patch(2, 3, 4), Patch(0, 1, 8), Patch(0, 0, 8)]
    few = patched(runs, "k", "noising", each(batches()), only=some)
    assert all(torch.allclose(few[patch], every[patch], atol=1e-6) for patch in some)


def test_sites_that_a_model_lacks(twins: Any, batches: Any) -> None:
    runs = PromptRuns(twins("attention only").ours, batches(), METRICS["loss"], "resample")
    with pytest.raises(ValueError, match="no MLPs"):
        patched(runs, "mlp_out", "noising")
    unpaired = PromptRuns(twins("gpt2").ours, batches()._replace(corrupt=None), METRICS["loss"], "zero")
    with pytest.raises(ValueError, match="corrupt partners"):
        patched(unpaired, "z", "noising")


def test_the_benchmark_compares_equal_results() -> None:
    from tests.benchmarks import bench_patching as bench

    small = bench.SMALL
    rows = bench.measure(cases=(("small", small, 2, 9, "z"), ("small", small, 2, 9, "attn_out")))
    assert [row["name"] for row in rows] == ["32 patches of z, small", "36 patches of attn_out, small"]
    assert all(row["ours"] > 0 and row["max_difference"] < 1e-5 for row in rows)

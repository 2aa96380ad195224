"""Every component ablated alone equals one whole hooked TransformerLens pass per component."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.head_sweep import components_of, head_sweep
from sessions.components import Head, Mlp

# Single precision, logits of order 10: rounding stays well below this, and a wrong position or head is far above.
CLOSE = 1e-4


def swept(runs: PromptRuns, variants: int = 16, *, mlps: bool = True) -> dict[Head | Mlp, torch.Tensor]:
    order = components_of(runs.model.config.n_layers, runs.model.config.n_heads, mlps=mlps)
    found: dict[Head | Mlp, torch.Tensor] = {c: torch.full((runs.size,), torch.nan) for c in order}
    for part in head_sweep(runs, [order] * len(runs.chunks), variants=variants):
        for component, values in zip(part.components, part.values):
            found[component][part.rows] = values
    return found


@pytest.mark.parametrize("metric", sorted(METRICS))
@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_every_component_equals_a_hooked_pass(pair: Any, batch: Any, naive: Any, metric: str, ablation: Any) -> None:
    found = swept(PromptRuns(pair.ours, batch, METRICS[metric], ablation))
    assert len(found) == 3 * (4 + 1)
    for component, values in found.items():
        expected = naive(metric, pair.hooked, batch, [component], ablation)
        assert torch.allclose(values, expected.float(), atol=CLOSE), component


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_prompts_of_different_lengths(pair: Any, batches: Any, naive: Any, ablation: Any) -> None:
    batch = batches(ragged=True)
    assert len(set(batch.lengths.tolist())) > 1
    found = swept(PromptRuns(pair.ours, batch, METRICS["logit_diff"], ablation, rows=3))
    for component, values in found.items():
        expected = naive("logit_diff", pair.hooked, batch, [component], ablation)
        assert torch.allclose(values, expected.float(), atol=CLOSE), component


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("shape", ["parallel_pair", "attn_only_pair", "bidirectional_pair"])
def test_parallel_blocks_and_attention_only_models(
    request: pytest.FixtureRequest, batch: Any, naive: Any, shape: str, ablation: Any
) -> None:
    pair = request.getfixturevalue(shape)
    found = swept(PromptRuns(pair.ours, batch, METRICS["loss"], ablation), mlps=shape != "attn_only_pair")
    for component, values in found.items():
        expected = naive("loss", pair.hooked, batch, [component], ablation)
        assert torch.allclose(values, expected.float(), atol=CLOSE), component


def test_several_scored_positions(pair: Any, batches: Any, naive: Any) -> None:
    batch = batches(scored=3)
    found = swept(PromptRuns(pair.ours, batch, METRICS["logit_diff"], "mean"))
    for component, values in found.items():
        expected = naive("logit_diff", pair.hooked, batch, [component], "mean")
        assert torch.allclose(values, expected.float(), atol=CLOSE), component


def test_chunks_and_batches_change_nothing(pair: Any, batch: Any) -> None:
    whole = swept(PromptRuns(pair.ours, batch, METRICS["loss"], "resample"))
    pieces = swept(PromptRuns(pair.ours, batch, METRICS["loss"], "resample", rows=2, keep_bytes=0), variants=1)
    for component, values in whole.items():
        # the same sums in batches of another shape
        assert torch.allclose(values, pieces[component], atol=1e-5), component


def test_only_what_is_wanted_is_done(pair: Any, batch: Any) -> None:
    runs = PromptRuns(pair.ours, batch, METRICS["loss"], rows=4)
    parts = list(head_sweep(runs, [[Head(1, 2), Mlp(2)], [Head(0, 3)]]))
    assert [(p.components, p.rows) for p in parts] == [
        ((Head(1, 2),), slice(0, 4)),
        ((Head(0, 3),), slice(4, 7)),
        ((Mlp(2),), slice(0, 4)),
    ]


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("shape", ["pair", "parallel_pair", "attn_only_pair", "bidirectional_pair"])
def test_a_few_heads_of_several_layers_in_one_batch(
    request: pytest.FixtureRequest, batches: Any, naive: Any, shape: str, ablation: Any
) -> None:
    pair, few = request.getfixturevalue(shape), [Head(1, 3), Head(0, 1)]
    batch = batches(ragged=shape != "bidirectional_pair")
    runs = PromptRuns(pair.ours, batch, METRICS["loss"], ablation)
    (part,) = head_sweep(runs, [few])
    assert part.components == (Head(0, 1), Head(1, 3))
    for component, values in zip(part.components, part.values):
        expected = naive("loss", pair.hooked, batch, [component], ablation)
        assert torch.allclose(values, expected.float(), atol=CLOSE), component


def test_resampling_from_the_clean_prompts_changes_nothing(pair: Any, batch: Any) -> None:
    same = batch._replace(corrupt=batch.tokens)
    runs = PromptRuns(pair.ours, same, METRICS["loss"], "resample")
    for component, values in swept(runs).items():
        assert torch.allclose(values, runs.clean, atol=1e-5), component


def test_out_of_memory_halves_the_batch(pair: Any, batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = PromptRuns(pair.ours, batch, METRICS["loss"])
    expected = swept(runs)
    real, refused = type(pair.ours).run_from, []

    def scarce(model: Any, layer: int, residual: torch.Tensor, **rest: Any) -> torch.Tensor:
        if len(residual) > 2 * len(batch.tokens):
            refused.append(len(residual))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        result: torch.Tensor = real(model, layer, residual, **rest)
        return result

    monkeypatch.setattr(type(pair.ours), "run_from", scarce)
    found = swept(runs)
    assert refused
    for component, values in expected.items():
        assert torch.allclose(values, found[component], atol=1e-5), component


def test_what_is_missing_is_named(pair: Any, batch: Any) -> None:
    with pytest.raises(ValueError, match="corrupt"):
        PromptRuns(pair.ours, batch._replace(corrupt=None), METRICS["loss"], "resample")
    with pytest.raises(ValueError, match="foils"):
        PromptRuns(pair.ours, batch._replace(foils=None), METRICS["logit_diff"])


def test_the_benchmark_compares_equal_results() -> None:
    # the benchmark itself, on a shape that takes a moment: a result that differs by more than 1e-5 raises in it
    import importlib.util
    from pathlib import Path

    from engine.models.protocols import TransformerConfig

    path = Path(__file__).parents[3] / "benchmarks" / "bench_head_sweep.py"
    spec = importlib.util.spec_from_file_location("bench_head_sweep_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    small = TransformerConfig(
        architecture="gpt2", n_layers=2, n_heads=2, d_model=8, d_head=4, d_mlp=16, d_vocab=50, n_ctx=32
    )
    rows = bench.measure(rounds=1, config=small)
    plain = [row for row in rows if "screened" not in row["name"]]
    assert [row["peer_name"] for row in plain] == ["one hooked forward per head", "transformer_lens.patching"]
    assert all(row["ours"] > 0 and row["max_difference"] < 1e-5 for row in plain)
    # with bfloat16 units: the sweep beside both peers, and the greedy one; other decisions would have raised
    assert len(rows) - len(plain) == (3 if bench.has_bf16_units("cpu") else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_grouped_queries_rotary_positions_and_half_precision(batches: Any, dtype: torch.dtype) -> None:
    from engine.circuits.judging.faithfulness import ablated_values
    from engine.models.protocols import TransformerConfig
    from engine.models.transformer import Transformer
    from engine.models.weights import random_state
    from sessions.artifacts import Model

    config = TransformerConfig(
        architecture="llama",
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        d_model=16,
        d_head=4,
        d_mlp=24,
        d_vocab=23,
        n_ctx=16,
        act_fn="silu",
        gated_mlp=True,
        normalization="RMS",
        positions="rotary",
        rotary_dim=4,
    )
    handle = Model(title="random", source="random", family="transformer", architecture="llama")
    model = Transformer(config, random_state(config, 5, scale=0.3), None, handle, dtype=dtype)  # type: ignore[arg-type]
    runs = PromptRuns(model, batches(ragged=True), METRICS["loss"], "mean", rows=3)
    for component, values in swept(runs).items():
        heads, mlps = torch.zeros(1, 2, 4, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)
        if isinstance(component, Head):
            heads[0, component.layer, component.head] = True
        else:
            mlps[0, component.layer] = True
        (whole,) = ablated_values((runs,), heads, mlps)  # one pass with the component's output replaced on the way
        # bfloat16 keeps 8 bits: logits of order 5 are known to about 0.04, and the two ways round differently
        assert torch.allclose(values, whole[0], atol=1e-4 if dtype == torch.float32 else 0.2), component

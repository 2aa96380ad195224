"""Passes with edges cut, against TransformerLens with split inputs and one hook per target; and at both ends: with
every edge the clean run, with none (resample) the corrupt one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import HookedTransformer

from engine.circuits.discovery.computational_graph import ComputationalGraph, computational_graph
from engine.circuits.discovery.edge_passes import EdgePasses, edge_values
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.prompts.tokenized import TokenBatch
from sessions.components import Embed, Head, Logits, Mlp

from ..conftest import Pair, make_batch, make_pair

KINDS = ("zero", "mean", "resample")


def masks(graph: ComputationalGraph, count: int, keep: float, seed: int = 0) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return (torch.rand(count, *graph.edges.shape, generator=numbers) < keep) & graph.edges


@torch.no_grad()
def hooked_logits(model: HookedTransformer, batch: TokenBatch, mask: Tensor, kind: str) -> Tensor:
    """[example k vocab] with the edges of the mask only. Every target's input is the stream that TransformerLens hands
    it, less what the cut sources wrote in this very pass, plus what stands in for that."""
    graph = _graph(model)
    model.set_use_split_qkv_input(True)
    model.set_use_attn_result(True)
    if model.cfg.d_mlp and not model.cfg.attn_only:
        model.set_use_hook_mlp_in(True)
    stand_in: dict[Any, Tensor] = {}
    if kind != "zero":
        tokens = batch.tokens if kind == "mean" else batch.corrupt
        _, cache = model.run_with_cache(tokens)
        for source in graph.sources:
            value = _output(cache, source)
            stand_in[source] = value.mean(0, keepdim=True).expand_as(value) if kind == "mean" else value
    written: dict[Any, Tensor] = {}

    def keep(source: Any) -> Any:
        def hook(value: Tensor, hook: Any) -> None:
            written[source] = value

        return hook

    def less(x: Tensor, target: int) -> Tensor:
        for place, source in enumerate(graph.sources):
            if graph.edges[target, place] and not mask[target, place]:
                x = x - written[source] + (stand_in[source] if kind != "zero" else 0)
        return x

    def embed_hook(value: Tensor, hook: Any) -> None:
        written[Embed()] = value if Embed() not in written else written[Embed()] + value

    def heads_hook(layer: int) -> Any:
        def hook(value: Tensor, hook: Any) -> None:
            for head in range(model.cfg.n_heads):
                written[Head(layer, head)] = value[:, :, head]

        return hook

    def input_hook(layer: int, name: Any) -> Any:
        def hook(value: Tensor, hook: Any) -> Tensor:
            heads = [less(value[:, :, h], graph.target(Head(layer, h, name))) for h in range(model.cfg.n_heads)]
            return torch.stack(heads, dim=2)

        return hook

    hooks: list[tuple[str, Any]] = [("hook_embed", embed_hook), ("hook_pos_embed", embed_hook)]
    for layer in range(model.cfg.n_layers):
        hooks += [(f"blocks.{layer}.hook_{x}_input", input_hook(layer, x)) for x in "qkv"]
        hooks.append((f"blocks.{layer}.attn.hook_result", heads_hook(layer)))
        if graph.has_mlps:
            target = graph.target(Mlp(layer))
            hooks.append((f"blocks.{layer}.hook_mlp_in", lambda x, hook, target=target: less(x, target)))
            hooks.append((f"blocks.{layer}.hook_mlp_out", keep(Mlp(layer))))
    last = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    hooks.append((last, lambda x, hook: less(x, graph.target(Logits()))))
    logits = model.run_with_hooks(batch.tokens, fwd_hooks=hooks)
    model.set_use_split_qkv_input(False)
    model.set_use_attn_result(False)
    model.cfg.use_hook_mlp_in = False
    return torch.stack([row[at] for row, at in zip(logits, batch.at)])


def _graph(model: HookedTransformer) -> ComputationalGraph:
    from engine.models.protocols import TransformerConfig

    c = model.cfg
    return computational_graph(
        TransformerConfig(
            architecture="x",
            n_layers=c.n_layers,
            n_heads=c.n_heads,
            d_model=c.d_model,
            d_head=c.d_head,
            d_mlp=0 if c.attn_only else c.d_mlp,
            d_vocab=c.d_vocab,
            n_ctx=c.n_ctx,
            parallel_attn_mlp=c.parallel_attn_mlp,
        )
    )


def _output(cache: Any, source: Any) -> Tensor:
    found: Tensor
    match source:
        case Embed():
            found = cache["hook_embed"] + cache["hook_pos_embed"]
        case Mlp(layer=layer):
            found = cache[f"blocks.{layer}.hook_mlp_out"]
        case _:
            found = cache[f"blocks.{source.layer}.attn.hook_result"][:, :, source.head]
    return found


@pytest.fixture(params=["pair", "parallel_pair", "attn_only_pair", "bidirectional_pair"])
def any_pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def difference(logits: Tensor, batch: TokenBatch) -> Tensor:
    assert batch.foils is not None
    return (logits.gather(2, batch.answers[..., None]) - logits.gather(2, batch.foils[..., None]))[..., 0].mean(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.9, 0.3])
def test_a_circuit_of_edges_equals_a_hooked_pass(any_pair: Pair, kind: Any, keep: float) -> None:
    batch = make_batch(rows=5, scored=2)
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], kind, rows=3)
    graph = computational_graph(any_pair.ours.config)
    some = masks(graph, 3, keep)
    (values,) = edge_values((runs,), some)
    for mask, found in zip(some, values):
        expected = difference(hooked_logits(any_pair.hooked, batch, mask, kind), batch)
        # float32 sums in another order, through layers whose weights are of the order of 1
        torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_edge_is_the_clean_run(any_pair: Pair, kind: Any) -> None:
    batch = make_batch(rows=4)
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], kind)
    (values,) = edge_values((runs,), computational_graph(any_pair.ours.config).edges[None])
    torch.testing.assert_close(values[0], runs.clean, rtol=1e-4, atol=1e-5)


def test_no_edge_is_the_corrupt_run(any_pair: Pair) -> None:
    batch = make_batch(rows=4)
    assert batch.corrupt is not None
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], "resample")
    other = PromptRuns(any_pair.ours, batch._replace(tokens=batch.corrupt), METRICS["logit_diff"])
    graph = computational_graph(any_pair.ours.config)
    (values,) = edge_values((runs,), torch.zeros_like(graph.edges)[None])
    torch.testing.assert_close(values[0], other.clean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_cutting_more_edges_equals_the_whole_pass_without_them(any_pair: Pair, kind: Any, keep: float) -> None:
    batch = make_batch(rows=5, ragged=kind != "mean", scored=1)
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], kind)
    graph = computational_graph(any_pair.ours.config)
    passes = EdgePasses(runs, graph)
    (mask,) = masks(graph, 1, keep, seed=3)
    own = passes.run(0, mask)
    numbers = torch.Generator().manual_seed(5)
    for target in range(len(graph.targets)):
        removed = torch.rand(3, len(graph.sources), generator=numbers) < 0.5
        found = runs.values(0, passes.without(0, own, {target: removed}))
        for variant, lost in enumerate(removed):
            fewer = mask.clone()
            fewer[target] &= ~lost
            expected = runs.values(0, passes.run(0, fewer).final)[0]
            torch.testing.assert_close(found[variant], expected, rtol=1e-4, atol=2e-5)
            again = passes.run(0, fewer, like=own, layer=min(graph.layer_of(target), graph.n_layers))
            torch.testing.assert_close(runs.values(0, again.final)[0], expected, rtol=0, atol=0)


def test_the_three_inputs_of_a_head_can_lose_an_edge_together(pair: Pair) -> None:
    runs = PromptRuns(pair.ours, make_batch(rows=5), METRICS["loss"], "resample")
    graph = computational_graph(pair.ours.config)
    passes = EdgePasses(runs, graph)
    own = passes.run(0, graph.edges)
    one = torch.zeros(1, len(graph.sources), dtype=torch.bool)
    one[0, graph.source(Mlp(0))] = True
    targets = [graph.target(Head(1, 2, name)) for name in ("q", "k", "v")]
    found = runs.values(0, passes.without(0, own, dict.fromkeys(targets, one)))[0]
    mask = graph.edges.clone()
    mask[targets, graph.source(Mlp(0))] = False
    torch.testing.assert_close(found, runs.values(0, passes.run(0, mask).final)[0], rtol=1e-4, atol=1e-5)


def test_chunks_change_nothing_but_last_bits() -> None:
    pair = make_pair(seed=7)
    batch = make_batch(rows=6)
    graph = computational_graph(pair.ours.config)
    some = masks(graph, 2, 0.6)
    whole = edge_values((PromptRuns(pair.ours, batch, METRICS["kl"], "resample", rows=6),), some)[0]
    parts = edge_values((PromptRuns(pair.ours, batch, METRICS["kl"], "resample", rows=1),), some)[0]
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_chunks_are_halved_where_memory_runs_out(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, batch = computational_graph(pair.ours.config), make_batch(rows=8)
    several = tuple(PromptRuns(pair.ours, batch, METRICS[m], "resample", rows=8) for m in ("kl", "loss"))
    expected = edge_values(several, masks(graph, 2, 0.5))
    whole, seen = EdgePasses.run, []

    def scarce(self: EdgePasses, index: int, mask: Tensor, **options: Any) -> Any:
        seen.append(len(self.runs.chunks[index].tokens))
        if seen[-1] > 2:
            raise MemoryError("DefaultCPUAllocator: not enough memory")
        return whole(self, index, mask, **options)

    monkeypatch.setattr(EdgePasses, "run", scarce)
    for found, right in zip(edge_values(several, masks(graph, 2, 0.5)), expected):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)
    assert sorted(set(seen)) == [2, 4, 8]

"""Attribution scores against their definition with TransformerLens' hooks, and against exact patching where the model
is linear."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.circuits.discovery.attribution import Method, edge_scores, head_attribution
from engine.circuits.discovery.computational_graph import ComputationalGraph, computational_graph
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerConfig
from engine.models.transformer import Transformer
from engine.models.weights import random_state
from engine.prompts.tokenized import TokenBatch
from sessions.artifacts import Model
from sessions.components import Embed, Head, Logits, Mlp

from ..conftest import IdsOnly, Pair, make_batch


def scored(runs: PromptRuns, graph: ComputationalGraph, method: Method, **options: Any) -> Tensor:
    total = torch.zeros(graph.edges.shape, dtype=torch.float64)
    for part in edge_scores(runs, graph, method, **options):
        total += part.scores
    return total / runs.size


def hooked_scores(pair: Pair, batch: TokenBatch, kind: str, points: list[float]) -> Tensor:
    """EAP as defined: split inputs and per-head results materialised by hooks, one backward per point between the
    corrupt (0) and the clean (1) embeddings, the gradient at every hook times the difference of every output."""
    model, graph = pair.hooked, computational_graph(pair.ours.config)
    model.set_use_split_qkv_input(True)
    model.set_use_attn_result(True)
    model.cfg.use_hook_mlp_in = graph.has_mlps
    c = model.cfg
    _, clean = model.run_with_cache(batch.tokens)
    _, corrupt = model.run_with_cache(batch.corrupt)

    def outputs(cache: Any) -> list[Tensor]:
        found = []
        for source in graph.sources:
            match source:
                case Embed():
                    found.append(cache["hook_embed"] + cache["hook_pos_embed"])
                case Mlp(layer=layer):
                    found.append(cache[f"blocks.{layer}.hook_mlp_out"])
                case Head(layer=layer, head=head):
                    found.append(cache[f"blocks.{layer}.attn.hook_result"][:, :, head])
        return found

    with torch.no_grad():
        ablated = outputs(corrupt)
        if kind == "zero":
            ablated = [torch.zeros_like(part) for part in ablated]
        if kind == "mean":
            ablated = [part.mean(0, keepdim=True) for part in outputs(clean)]
        differences = [a - o for a, o in zip(ablated, outputs(clean))]
    total = torch.zeros(graph.edges.shape, dtype=torch.float64)
    for alpha in points:
        seen: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any, seen: dict[str, Tensor] = seen) -> Tensor:
            value = value.clone() if value.requires_grad else value.clone().requires_grad_()
            value.retain_grad()
            seen[hook.name] = value
            return value

        def mixed(value: Tensor, hook: Any, alpha: float = alpha) -> Tensor:
            other: Tensor = corrupt[hook.name]
            return other + alpha * (value - other)

        names = [f"blocks.{layer}.hook_{x}_input" for layer in range(c.n_layers) for x in "qkv"]
        names += [f"blocks.{layer}.hook_mlp_in" for layer in range(c.n_layers)] if graph.has_mlps else []
        names.append(f"blocks.{c.n_layers - 1}.hook_resid_post")
        hooks = [("hook_embed", mixed), ("hook_pos_embed", mixed), *((name, keep) for name in names)]
        logits = model.run_with_hooks(batch.tokens, fwd_hooks=hooks)
        last = torch.stack([row[at] for row, at in zip(logits, batch.at)])
        assert batch.foils is not None
        value = (last.gather(2, batch.answers[..., None]) - last.gather(2, batch.foils[..., None])).mean((1, 2)).sum()
        torch.autograd.backward(value)
        for place, target in enumerate(graph.targets):
            match target:
                case Head(layer=layer, head=head, input=name):
                    g = seen[f"blocks.{layer}.hook_{name}_input"].grad
                    assert g is not None
                    g = g[:, :, head]
                case Mlp(layer=layer):
                    g = seen[f"blocks.{layer}.hook_mlp_in"].grad
                case _:
                    g = seen[names[-1]].grad
            assert g is not None
            for source in range(len(graph.sources)):
                if graph.edges[place, source]:
                    total[place, source] += float((differences[source] * g).sum())
    model.set_use_split_qkv_input(False)
    model.set_use_attn_result(False)
    model.cfg.use_hook_mlp_in = False
    return total / len(points) / len(batch.tokens)


@pytest.fixture(params=["pair", "parallel_pair", "attn_only_pair", "bidirectional_pair"])
def any_pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
def test_eap_is_what_hooks_say(any_pair: Pair, kind: Any) -> None:
    batch, graph = make_batch(rows=4, scored=2), computational_graph(any_pair.ours.config)
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], kind, rows=3)
    expected = hooked_scores(any_pair, batch, kind, [1.0])
    # float32 sums over positions and directions in another order
    torch.testing.assert_close(scored(runs, graph, "eap"), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "points"),
    [("clean_corrupt", [0.0, 1.0]), ("eap_ig_inputs", [0.0, 0.25, 0.5, 0.75])],
)
def test_gradients_of_several_runs_are_averaged(pair: Pair, method: Method, points: list[float]) -> None:
    batch, graph = make_batch(rows=3), computational_graph(pair.ours.config)
    runs = PromptRuns(pair.ours, batch, METRICS["logit_diff"], "resample")
    found = scored(runs, graph, method, steps=len(points))
    torch.testing.assert_close(found, hooked_scores(pair, batch, "resample", points), rtol=1e-3, atol=1e-4)


def linear_model(seed: int = 0) -> Transformer:
    """No norms, no MLPs, and attention that looks everywhere alike, for queries are zero: linear in the embeddings."""
    config = TransformerConfig(
        architecture="linear",
        n_layers=3,
        n_heads=2,
        d_model=8,
        d_head=4,
        d_vocab=11,
        n_ctx=16,
        normalization="none",
    )
    state = random_state(config, seed)
    for name in state:
        if name.endswith(("W_Q", "b_Q")):
            state[name] = torch.zeros_like(state[name])
    return Transformer(config, state, IdsOnly(), Model(title="l", source="l", family="transformer", architecture="l"))


@pytest.mark.parametrize("kind", ["zero", "mean", "resample"])
@pytest.mark.parametrize("method", ["eap", "eap_ig_activations"])
def test_on_a_linear_model_attribution_is_exact(kind: Any, method: Method) -> None:
    model = linear_model()
    graph = computational_graph(model.config)
    runs = PromptRuns(model, make_batch(rows=5, vocab=11, scored=2), METRICS["logit_diff"], kind)
    exact = scored(runs, graph, "exact")
    torch.testing.assert_close(scored(runs, graph, method, steps=3), exact, rtol=1e-4, atol=1e-5)
    assert float(exact.abs().max()) > 0.05


@pytest.mark.parametrize("kind", ["zero", "resample"])
def test_exact_scores_are_one_whole_pass_per_edge(any_pair: Pair, kind: Any) -> None:
    graph = computational_graph(any_pair.ours.config)
    runs = PromptRuns(any_pair.ours, make_batch(rows=4), METRICS["loss"], kind, rows=3)
    found = scored(runs, graph, "exact", variants=5)
    links = graph.links()
    masks = torch.stack([graph.edges & ~graph.mask([link]) for link in links])
    values = edge_values((runs,), masks)[0].double().mean(1) - float(runs.clean.double().mean())
    for link, value in zip(links, values):
        place = graph.target(link.target), graph.source(link.source)
        assert float(found[place]) == pytest.approx(float(value), abs=5e-5)
    assert not found[~graph.edges].any()


def test_integrated_activations_of_the_last_sources_add_up_to_their_exact_effect(pair: Pair) -> None:
    """Along the line from ablated to clean, the mean slope times the way is the difference of the ends: for sources
    that only the logits read, with many steps, the sum over such a layer is the effect of ablating all of it."""
    graph = computational_graph(pair.ours.config)
    runs = PromptRuns(pair.ours, make_batch(rows=4), METRICS["logit_diff"], "resample")
    mlp = graph.source(Mlp(2))
    found = scored(runs, graph, "eap_ig_activations", steps=200)[graph.target(Logits()), mlp]
    exact = scored(runs, graph, "exact")[graph.target(Logits()), mlp]
    assert float(found) == pytest.approx(float(exact), rel=0.02)  # a left sum of 200 steps


def test_head_attribution_is_what_hooks_say(any_pair: Pair) -> None:
    batch, model = make_batch(rows=4), any_pair.hooked
    runs = PromptRuns(any_pair.ours, batch, METRICS["logit_diff"], "resample")
    found = head_attribution(runs, computational_graph(any_pair.ours.config), 0)
    _, corrupt = model.run_with_cache(batch.corrupt)
    seen: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> Tensor:
        value.retain_grad()
        seen[hook.name] = value
        return value

    logits = model.run_with_hooks(batch.tokens, fwd_hooks=[(lambda name: name.endswith("hook_z"), keep)])
    last = torch.stack([row[at] for row, at in zip(logits, batch.at)])
    assert batch.foils is not None
    torch.autograd.backward((last.gather(2, batch.answers[..., None]) - last.gather(2, batch.foils[..., None])).sum())
    for layer in range(model.cfg.n_layers):
        z = seen[f"blocks.{layer}.attn.hook_z"]
        assert z.grad is not None
        expected = ((corrupt[f"blocks.{layer}.attn.hook_z"] - z) * z.grad).sum((0, 1, 3)).double()
        torch.testing.assert_close(found[layer], expected.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalization", ["LN", "RMS", "none"])
@pytest.mark.parametrize("kv", [0, 2])
def test_gradients_are_pulled_back_as_autograd_does(normalization: Any, kv: int) -> None:
    config = TransformerConfig(
        architecture="x",
        n_layers=1,
        n_heads=4,
        d_model=12,
        d_head=3,
        d_vocab=5,
        n_ctx=8,
        n_kv_heads=kv,
        normalization=normalization,
    )
    handle = Model(title="x", source="x", family="transformer", architecture="x")
    model = Transformer(config, random_state(config, 3), IdsOnly(), handle, dtype=torch.float64)
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 12, generator=numbers, dtype=torch.float64, requires_grad=True)
    wanted: list[tuple[Any, int]] = [("q", 1), ("v", 3), ("k", 0)]
    g = torch.randn(2, 3, 3, 3, generator=numbers, dtype=torch.float64)
    found = model.pull_back(0, wanted, x.detach(), g)
    for i, which in enumerate(wanted):
        made = model.head_inputs(0, [which], x)[:, :, 0]
        (expected,) = torch.autograd.grad(made, x, g[:, :, i])
        torch.testing.assert_close(found[i], expected)
    by_name = dict(zip("qkv", model.projections(0, x)))
    for name, head in wanted:
        torch.testing.assert_close(model.head_inputs(0, [(name, head)], x)[:, :, 0], by_name[name][:, :, head])


def test_what_cannot_be_scored_is_refused(pair: Pair) -> None:
    graph = computational_graph(pair.ours.config)
    with pytest.raises(ValueError, match="no gradient"):
        scored(PromptRuns(pair.ours, make_batch(), METRICS["accuracy"]), graph, "eap")
    with pytest.raises(ValueError, match="corrupt prompts"):
        scored(PromptRuns(pair.ours, make_batch(), METRICS["loss"], "zero"), graph, "eap_ig_inputs")

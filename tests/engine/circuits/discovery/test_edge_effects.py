"""Edges ablated one by one, against TransformerLens hooks on what a head or an MLP reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.circuits.discovery.edge_effects import circuit_values, edge_effects, edges_of, kept_nodes
from engine.circuits.judging.faithfulness import Circuit
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from sessions.components import Embed, Head, Logits, Mlp

WHOLE = Circuit(torch.ones(3, 4, dtype=torch.bool), torch.ones(3, dtype=torch.bool))


def output_of(cache: Any, model: Any, node: Any) -> torch.Tensor:
    if isinstance(node, Embed):
        result: torch.Tensor = cache["blocks.0.hook_resid_pre"]
    elif isinstance(node, Mlp):
        result = cache[f"blocks.{node.layer}.hook_mlp_out"]
    else:
        z = cache[f"blocks.{node.layer}.attn.hook_z"][:, :, node.head]
        result = z @ model.W_O[node.layer, node.head]
    return result


@torch.no_grad()
def hooked_without_edge(pair: Any, batch: Any, source: Any, target: Any, ablation: str) -> torch.Tensor:
    """The loss per example of the whole model when `target` alone reads `source`'s ablated output."""
    model = pair.hooked
    _, clean = model.run_with_cache(batch.tokens)
    change = -output_of(clean, model, source)
    if ablation == "resample":
        _, corrupt = model.run_with_cache(batch.corrupt)
        change = change + output_of(corrupt, model, source)

    def on_input(x: torch.Tensor, hook: Any) -> torch.Tensor:
        if isinstance(target, Head):
            x[:, :, target.head] += change
            return x
        return x + change

    names = {
        Head: lambda: f"blocks.{target.layer}.hook_attn_in",
        Mlp: lambda: f"blocks.{target.layer}.hook_mlp_in",
        Logits: lambda: "blocks.2.hook_resid_post",
    }
    model.set_use_attn_in(True)
    model.set_use_hook_mlp_in(True)
    try:
        logits = model.run_with_hooks(batch.tokens, fwd_hooks=[(names[type(target)](), on_input)])
    finally:
        model.set_use_attn_in(False)
        model.set_use_hook_mlp_in(False)
    last = torch.stack([row[at[0]] for row, at in zip(logits, batch.at)]).log_softmax(-1)
    return -last.gather(1, batch.answers)[:, 0]


@pytest.mark.parametrize("ablation", ["zero", "resample"])
@pytest.mark.parametrize("ragged", [False, True])
def test_every_edge_equals_a_hooked_pass(pair: Any, batches: Any, ablation: Any, ragged: bool) -> None:
    batch = batches(rows=4, seed=9, ragged=ragged)
    runs = PromptRuns(pair.ours, batch, METRICS["loss"], ablation, rows=3)
    found: dict[Any, dict[int, torch.Tensor]] = {}
    for made in edge_effects(runs, WHOLE, variants=5):
        for edge in made:
            found.setdefault((edge.source, edge.target), {})[edge.rows.start] = edge.values
    edges = edges_of(pair.ours, WHOLE)
    assert set(found) == set(edges)
    # 1 + 3 (4 + 1) sources: 16 into the logits; into head and MLP of layer l: 4 (1 + 5 l) and 1 + 5 l + 4
    assert len(edges) == 16 + 4 * (1 + 6 + 11) + (5 + 10 + 15)
    for edge in edges[::7]:  # every seventh: a hooked pass each
        values = torch.cat([found[edge][start] for start in sorted(found[edge])])
        expected = hooked_without_edge(pair, batch, *edge, ablation)
        assert torch.allclose(values, expected, atol=1e-4), edge


def test_parallel_heads_do_not_feed_their_own_mlp(parallel_pair: Any, batch: Any) -> None:
    edges = set(edges_of(parallel_pair.ours, WHOLE))
    assert (Head(1, 0), Mlp(1)) not in edges
    assert (Head(0, 0), Mlp(1)) in edges
    runs = PromptRuns(parallel_pair.ours, batch, METRICS["loss"])
    assert {(e.source, e.target) for made in edge_effects(runs, WHOLE) for e in made} == edges


def test_a_circuit_has_its_own_pass(pair: Any, batch: Any, naive: Any) -> None:
    circuit = Circuit(WHOLE.heads.clone(), WHOLE.mlps.clone())
    circuit.heads[0, 1] = circuit.heads[2, 2] = circuit.mlps[1] = False
    runs = PromptRuns(pair.ours, batch, METRICS["logit_diff"], "mean")
    gone = [Head(0, 1), Head(2, 2), Mlp(1)]
    expected = naive("logit_diff", pair.hooked, batch, gone, "mean").float()
    assert torch.allclose(circuit_values(runs, circuit), expected, atol=1e-4)
    assert not set(gone) & set(kept_nodes(pair.ours, circuit))


def test_an_edge_that_replaces_a_value_by_itself_changes_nothing(pair: Any, batch: Any) -> None:
    # The head L1H0 is ablated, with its clean value; its edges are not there, and all others change nothing.
    circuit = Circuit(WHOLE.heads.clone(), WHOLE.mlps)
    circuit.heads[1, 0] = False
    runs = PromptRuns(pair.ours, batch._replace(corrupt=batch.tokens), METRICS["loss"], "resample")
    for made in edge_effects(runs, circuit):
        for edge in made:
            assert torch.allclose(edge.values, runs.clean, atol=1e-5)


def test_all_edges_out_of_a_node_in_its_last_chance_equal_its_ablation(pair: Any, batch: Any, naive: Any) -> None:
    # The last MLP feeds the logits alone: removing that edge is ablating the MLP.
    runs = PromptRuns(pair.ours, batch, METRICS["loss"])
    made = next(made for made in edge_effects(runs, WHOLE, only_logits=True))
    values = next(edge.values for edge in made if edge.source == Mlp(2))
    assert torch.allclose(values, naive("loss", pair.hooked, batch, [Mlp(2)], "zero").float(), atol=1e-4)

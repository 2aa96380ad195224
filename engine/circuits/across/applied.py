"""A circuit found anywhere, applied to a model: what it keeps there, and how the model does with all else ablated."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.circuit_graph import kept_components, row_of
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import mask_of
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.judging.faithfulness import ablated_values
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerConfig
from sessions.artifacts import Graph
from sessions.components import Head, Logits, Mlp
from sessions.errors import CallError


class Applied(NamedTuple):
    """What is ablated: components (true where removed), or with `edges` every edge that is not true there."""

    heads: Bool[Tensor, "layer head"]
    mlps: Bool[Tensor, " layer"]
    edges: Bool[Tensor, "target source"] | None
    words: str  # `71 heads removed`


def applied(graph: Graph, config: TransformerConfig) -> Applied:
    """What a circuit removes from a model of that shape. CallError when it is no circuit, or one of another shape."""
    _same_depth(graph, config)
    heads = torch.zeros(config.n_layers, config.n_heads, dtype=torch.bool)
    mlps = torch.zeros(config.n_layers, dtype=torch.bool)
    if graph.level == "edges":
        whole = computational_graph(config)
        mask = mask_of(graph, whole)
        return Applied(heads, mlps, mask, _count(whole.size - int(mask.sum()), "edge") + " removed")
    kept = kept_components(graph, n_layers=config.n_layers, n_heads=config.n_heads, has_mlps=config.d_mlp > 0)
    for layer in range(config.n_layers):
        mlps[layer] = config.d_mlp > 0 and Mlp(layer) not in kept
        for head in range(config.n_heads):
            heads[layer, head] = Head(layer, head) not in kept
    words = _count(int(heads.sum()), "head") + (f", {_count(int(mlps.sum()), 'MLP')}" if mlps.any() else "")
    return Applied(heads, mlps, None, f"{words} removed")


def applied_values(several: tuple[PromptRuns, ...], circuit: Applied) -> tuple[Float[Tensor, " example"], ...]:
    """Per metric, its value on every prompt with the circuit alone left. `several` are the same prompts in the same
    chunks with the same ablation, each with a metric of its own."""
    if circuit.edges is not None:
        return tuple(values[0] for values in edge_values(several, circuit.edges[None]))
    return tuple(values[0] for values in ablated_values(several, circuit.heads[None], circuit.mlps[None]))


def _same_depth(graph: Graph, config: TransformerConfig) -> None:
    """A circuit of a shallower model names only layers that a deeper one has too: the row of its logits tells."""
    wanted = row_of(Logits(), config.n_layers)
    for node in graph.nodes:
        if isinstance(node.component, Logits) and node.layer != wanted:
            raise CallError(
                f"'{graph.title}' is a circuit of {(node.layer - 1) // 2} layers, and the model has {config.n_layers}",
                "circuits",
                "use a circuit found on a model of the same shape",
            )


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


__all__ = ["Applied", "applied", "applied_values"]

"""From scores of edges to a circuit (circuits.md, section b, "Circuit from scores").

The best n by |score|, greedily from the logits upward, or all above a threshold; then nodes that nothing reaches or
that reach nothing are pruned until none is left.
"""

from __future__ import annotations

import heapq
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.discovery.computational_graph import INPUTS, ComputationalGraph
from sessions.components import Embed, Head, Logits, Mlp

Selection = Literal["top_n", "greedy", "threshold"]


def top_n(
    scores: Float[Tensor, "target source"], graph: ComputationalGraph, n: int, *, absolute: bool = True
) -> Bool[Tensor, "target source"]:
    """The n edges of highest |score| (or score). Ties go to the edge that comes first."""
    ranks = _ranked(scores, graph, absolute=absolute)
    order = torch.argsort(ranks.flatten(), descending=True, stable=True)[: min(n, graph.size)]
    mask = torch.zeros(graph.edges.numel(), dtype=torch.bool)
    mask[order] = True
    return mask.view(graph.edges.shape) & graph.edges


def above(
    scores: Float[Tensor, "target source"], graph: ComputationalGraph, threshold: float, *, absolute: bool = True
) -> Bool[Tensor, "target source"]:
    """The edges of |score| (or score) above the threshold."""
    return (_ranked(scores, graph, absolute=absolute) > threshold) & graph.edges


def greedy(
    scores: Float[Tensor, "target source"], graph: ComputationalGraph, n: int, *, absolute: bool = True
) -> Bool[Tensor, "target source"]:
    """n edges from the logits upward: again and again the best edge whose target is already in. A head is in with all
    three inputs once an edge that leaves it was taken."""
    ranks = _ranked(scores, graph, absolute=absolute).tolist()
    mask = torch.zeros_like(graph.edges)
    heap: list[tuple[float, int, int]] = []
    inside: set[Head | Mlp] = set()

    def enter(targets: list[int]) -> None:
        for target in targets:
            for source in graph.edges[target].nonzero()[:, 0].tolist():
                heapq.heappush(heap, (-ranks[target][source], target, source))

    enter([graph.target(Logits())])
    taken = 0
    while heap and taken < n:
        _, target, source = heapq.heappop(heap)
        mask[target, source] = True
        taken += 1
        node = graph.sources[source]
        if not isinstance(node, Embed) and node not in inside:
            inside.add(node)
            enter(_inputs(graph, node))
    return mask


def pruned(mask: Bool[Tensor, "target source"], graph: ComputationalGraph) -> Bool[Tensor, "target source"]:
    """Without the edges of nodes that lack a path from the embeddings or to the logits.

    Under zero and mean ablation a node without inputs still writes what its biases make of nothing: pruning it changes
    the circuit's values, so whoever judges a circuit should judge the pruned one.
    """
    mask = mask & graph.edges
    nodes = [s for s in graph.sources if not isinstance(s, Embed)]
    places = {node: (graph.source(node), _inputs(graph, node)) for node in nodes}
    while True:
        before = int(mask.sum())
        for source, targets in places.values():
            if not mask[:, source].any():
                mask[targets] = False
            elif not mask[targets].any():
                mask[:, source] = False
        if int(mask.sum()) == before:
            return mask


def _inputs(graph: ComputationalGraph, node: Head | Mlp) -> list[int]:
    """The targets of a node."""
    if isinstance(node, Mlp):
        return [graph.target(node)]
    return [graph.target(Head(node.layer, node.head, name)) for name in INPUTS]


def _ranked(scores: Tensor, graph: ComputationalGraph, *, absolute: bool) -> Float[Tensor, "target source"]:
    values = scores.detach().cpu().double()
    values = values.abs() if absolute else values
    return torch.where(graph.edges, values.nan_to_num(-torch.inf), -torch.inf)


__all__ = ["Selection", "above", "greedy", "pruned", "top_n"]

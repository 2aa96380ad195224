"""Parts of a circuit taken out of it, and out of the whole model: what completeness and minimality are made of.

    completeness:  max over K in C of |m(C \\ K) - m(M \\ K)|                    (circuits.md, section b, Evaluation)
    minimality:    every v in C has a K in C with |m(C \\ (K + v)) - m(C \\ K)| large

A part is a set of nodes. From a circuit of edges it takes all edges that touch its nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.circuits.discovery.computational_graph import ComputationalGraph, whole
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.judging.faithfulness import Circuit, ablated_values
from engine.circuits.runs import PromptRuns
from sessions.components import Component, Head, Mlp

Part = Head | Mlp
Subset = frozenset[Part]
Values = Float[np.ndarray, " example"]


class Reduced(Protocol):
    """The metric per example of something with some of its nodes taken out."""

    def without(self, subsets: Sequence[Subset]) -> Float[np.ndarray, "subset example"]: ...


class ReducedModel(NamedTuple):
    """m(M \\ K): the whole model with K ablated."""

    runs: PromptRuns

    def without(self, subsets: Sequence[Subset]) -> Float[np.ndarray, "subset example"]:
        c = self.runs.model.config
        full = Circuit(torch.ones(c.n_layers, c.n_heads, dtype=torch.bool), torch.ones(c.n_layers, dtype=torch.bool))
        return _without(self.runs, full, subsets)


class ReducedNodes(NamedTuple):
    """m(C \\ K) of a circuit of nodes: all that is not in C, and K, ablated."""

    runs: PromptRuns
    circuit: Circuit

    def without(self, subsets: Sequence[Subset]) -> Float[np.ndarray, "subset example"]:
        return _without(self.runs, self.circuit, subsets)


class ReducedEdges(NamedTuple):
    """m(C \\ K) of a circuit of edges: all edges cut that are not in C, or touch K."""

    runs: PromptRuns
    graph: ComputationalGraph
    mask: Bool[Tensor, "target source"]

    def without(self, subsets: Sequence[Subset]) -> Float[np.ndarray, "subset example"]:
        masks = torch.stack([without_nodes(self.graph, self.mask, subset) for subset in subsets])
        return edge_values((self.runs,), masks, self.graph)[0].double().numpy()


def without_nodes(
    graph: ComputationalGraph, mask: Bool[Tensor, "target source"], nodes: Collection[Part]
) -> Bool[Tensor, "target source"]:
    """The mask without the edges that enter or leave these nodes."""
    left = mask.clone()
    for node in nodes:
        left[:, graph.source(node)] = False
        for target in whole(node):
            left[graph.target(target)] = False
    return left


def _without(runs: PromptRuns, circuit: Circuit, subsets: Sequence[Subset]) -> Float[np.ndarray, "subset example"]:
    heads, mlps = (~part.cpu().expand(len(subsets), *part.shape).clone() for part in circuit)
    if not runs.model.config.d_mlp:
        mlps[:] = False
    for variant, subset in enumerate(subsets):
        for part in subset:
            if isinstance(part, Head):
                heads[variant, part.layer, part.head] = True
            else:
                mlps[variant, part.layer] = True
    return ablated_values((runs,), heads, mlps)[0].double().numpy()


class Sampled(NamedTuple):
    """A subset, and how it was come by."""

    subset: Subset
    way: str  # "nothing", "random", "layer 3", the name of a class, "greedy 1"


def sampled_subsets(
    nodes: Sequence[Part], classes: Mapping[str, Collection[Component]], random: int, rng: np.random.Generator
) -> list[Sampled]:
    """The empty set; each layer's nodes; each class's; and `random` sets that hold each node with probability 1/2."""
    found = [Sampled(frozenset(), "nothing")]
    for layer in sorted({node.layer for node in nodes}):
        found.append(Sampled(frozenset(node for node in nodes if node.layer == layer), f"layer {layer}"))
    for name, members in classes.items():
        some = frozenset(node for node in nodes if node in members)
        if some:
            found.append(Sampled(some, name))
    for _ in range(random):
        chosen = rng.random(len(nodes)) < 0.5
        found.append(Sampled(frozenset(node for node, taken in zip(nodes, chosen) if taken), "random"))
    return found


def greedy_subsets(nodes: Sequence[Part], current: Subset, candidates: int, rng: np.random.Generator) -> list[Subset]:
    """What a greedy search looks at next: the current set with one node more, of `candidates` drawn (0: all)."""
    left = [node for node in nodes if node not in current]
    if candidates and len(left) > candidates:
        left = [left[i] for i in sorted(rng.choice(len(left), candidates, replace=False))]
    return [current | {node} for node in left]


def searched_for(node: Part, nodes: Sequence[Part], pool: Iterable[Sampled]) -> Iterator[Sampled]:
    """Sets K in which a node may show what it is good for: those of the pool, without the node itself."""
    seen: set[Subset] = set()
    for subset, way in pool:
        smaller = subset - {node}
        if smaller not in seen:
            seen.add(smaller)
            yield Sampled(smaller, way)
    others = frozenset(nodes) - {node}
    if others not in seen:
        yield Sampled(others, "all others")


__all__ = [
    "Part",
    "Reduced",
    "ReducedEdges",
    "ReducedModel",
    "ReducedNodes",
    "Sampled",
    "Subset",
    "greedy_subsets",
    "sampled_subsets",
    "searched_for",
    "without_nodes",
]

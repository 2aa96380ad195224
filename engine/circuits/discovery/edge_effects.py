"""What single edges of a circuit of nodes are worth: exact edge patching (circuits.md, section a).

A circuit of nodes is every edge among them. Removing one changes only what its target reads; all three inputs of a head
lose it together. What the target then writes is carried through the rest of the circuit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from engine.circuits.discovery.computational_graph import ComputationalGraph, Source, computational_graph, whole
from engine.circuits.discovery.edge_passes import EdgePasses
from engine.circuits.judging.faithfulness import Circuit
from engine.circuits.runs import PromptRuns
from engine.models.protocols import TransformerModel
from sessions.components import Component, Embed, Head, Logits, Mlp


class EdgeValues(NamedTuple):
    """The metric per example with one edge removed from the circuit."""

    source: Source
    target: Component
    rows: slice
    values: Float[Tensor, " example"]


def kept_nodes(model: TransformerModel, circuit: Circuit) -> tuple[Source, ...]:
    """The embeddings and the kept components, in the order in which they compute."""
    nodes: list[Source] = [Embed()]
    for layer in range(model.config.n_layers):
        nodes.extend(Head(layer, head) for head in range(model.config.n_heads) if circuit.heads[layer, head])
        if model.config.d_mlp and circuit.mlps[layer]:
            nodes.append(Mlp(layer))
    return tuple(nodes)


def edges_of(model: TransformerModel, circuit: Circuit) -> tuple[tuple[Source, Component], ...]:
    """All edges between kept nodes, and from them to the logits; by target, in computing order."""
    graph, nodes = computational_graph(model.config), kept_nodes(model, circuit)
    return tuple((source, target) for target in _targets(nodes) for source in _sources(graph, nodes, target))


def edge_effects(
    runs: PromptRuns, circuit: Circuit, *, variants: int = 16, only_logits: bool = False
) -> Iterator[tuple[EdgeValues, ...]]:
    """The metric with each edge of the circuit removed alone, batch by batch.

    `only_logits` does the edges into the logits alone: they cost no pass through the model.
    """
    graph, nodes = computational_graph(runs.model.config), kept_nodes(runs.model, circuit)
    passes, mask = EdgePasses(runs, graph), graph.between(nodes)
    for index in range(len(runs.chunks)):
        own = passes.run(index, mask)
        for target in (Logits(),) if only_logits else _targets(nodes):
            sources = _sources(graph, nodes, target)
            for start in range(0, len(sources), variants):
                some = sources[start : start + variants]
                lost = torch.zeros(len(some), len(graph.sources), dtype=torch.bool)
                lost[range(len(some)), [graph.source(source) for source in some]] = True
                final = passes.without(index, own, {graph.target(part): lost for part in whole(target)})
                rows, values = runs.chunks[index].rows, runs.values(index, final)
                yield tuple(EdgeValues(s, target, rows, v) for s, v in zip(some, values))


def circuit_values(runs: PromptRuns, circuit: Circuit) -> Float[Tensor, " example"]:
    """The metric of the circuit with all its edges: what `edge_effects` is to be compared with."""
    graph = computational_graph(runs.model.config)
    passes, mask = EdgePasses(runs, graph), graph.between(kept_nodes(runs.model, circuit))
    parts = [runs.values(index, passes.run(index, mask).final)[0] for index in range(len(runs.chunks))]
    return torch.cat(parts)


def _targets(nodes: tuple[Source, ...]) -> tuple[Component, ...]:
    return (*(node for node in nodes if not isinstance(node, Embed)), Logits())


def _sources(graph: ComputationalGraph, nodes: tuple[Source, ...], target: Component) -> list[Source]:
    row = graph.edges[graph.target(whole(target)[0])]
    return [node for node in nodes if row[graph.source(node)]]


__all__ = ["EdgeValues", "circuit_values", "edge_effects", "edges_of", "kept_nodes"]

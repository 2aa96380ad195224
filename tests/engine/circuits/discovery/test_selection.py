"""Circuits from scores, against brute force: sorting, growing step by step, and searching for paths."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.circuits.discovery.computational_graph import ComputationalGraph, computational_graph
from engine.circuits.discovery.edge_circuit import node_of
from engine.circuits.discovery.selection import above, greedy, pruned, top_n
from sessions.components import Component, Embed, Logits

from ..conftest import Pair


@pytest.fixture
def graph(pair: Pair) -> ComputationalGraph:
    return computational_graph(pair.ours.config)


def random_scores(graph: ComputationalGraph, seed: int = 0) -> Tensor:
    return torch.randn(graph.edges.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_n_best_edges(graph: ComputationalGraph) -> None:
    scores = random_scores(graph)
    for absolute in (True, False):
        values = sorted(((s.abs() if absolute else s) for s in scores[graph.edges]), reverse=True)
        mask = top_n(scores, graph, 17, absolute=absolute)
        assert int(mask.sum()) == 17
        assert float((scores.abs() if absolute else scores)[mask].min()) == float(values[16])
        assert mask.equal(above(scores, graph, float(values[17]), absolute=absolute))
    assert top_n(scores, graph, 10_000).equal(graph.edges)
    assert not top_n(scores, graph, 0).any()
    ties = torch.ones_like(scores)
    assert top_n(ties, graph, 3).nonzero().tolist() == graph.edges.nonzero().tolist()[:3]


@pytest.mark.parametrize("n", [1, 7, 40, 262])
def test_growing_from_the_logits(graph: ComputationalGraph, n: int) -> None:
    scores = random_scores(graph, 1)
    inside: set[Component] = {Logits()}
    slow = torch.zeros_like(graph.edges)
    for _ in range(n):
        open_edges = [
            (t, s) for t, s in graph.edges.nonzero().tolist() if node_of(graph.targets[t]) in inside and not slow[t, s]
        ]
        if not open_edges:
            break
        best = max(open_edges, key=lambda place: float(scores[place].abs()))
        slow[best] = True
        if graph.sources[best[1]] != Embed():
            inside.add(graph.sources[best[1]])
    assert greedy(scores, graph, n).equal(slow)


def paths(graph: ComputationalGraph, mask: Tensor) -> Tensor:
    """The edges on some path from the embeddings to the logits, by walking both ways."""
    links = graph.links(mask)
    forward: set[Component] = {Embed()}
    backward: set[Component] = {Logits()}
    for _ in graph.sources:
        forward |= {node_of(link.target) for link in links if link.source in forward}
        backward |= {link.source for link in links if node_of(link.target) in backward}
    return graph.mask([link for link in links if link.source in forward and node_of(link.target) in backward])


@pytest.mark.parametrize("keep", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_pruning_leaves_the_edges_on_paths(graph: ComputationalGraph, keep: float, seed: int) -> None:
    numbers = torch.Generator().manual_seed(seed)
    mask = graph.edges & (torch.rand(graph.edges.shape, generator=numbers) < keep)
    assert pruned(mask, graph).equal(paths(graph, mask))

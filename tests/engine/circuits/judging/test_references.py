"""Circuits from papers expand to the published counts, and to edges that the papers name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.circuits.discovery.computational_graph import ComputationalGraph, Link, computational_graph
from engine.circuits.discovery.edge_circuit import mask_of
from engine.circuits.judging.known_circuits import KnownTask, expand, internal_edges, known_circuit
from engine.circuits.judging.reference_operations import Reference, reference
from engine.models.protocols import TransformerConfig
from sessions.artifacts import Model
from sessions.codec import decode, encode
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import CallError


def shape(layers: int, heads: int, mlps: bool, **more: Any) -> TransformerConfig:
    return TransformerConfig(
        architecture="x",
        n_layers=layers,
        n_heads=heads,
        d_model=8,
        d_head=4,
        d_mlp=8 * mlps,
        d_vocab=9,
        n_ctx=9,
        **more,
    )


GPT2, ATTN_ONLY = shape(12, 12, True), shape(4, 8, False)


@pytest.mark.parametrize(
    ("task", "config", "edges", "with_internal", "heads"),
    [
        ("ioi", GPT2, 963, 1041, 26),
        ("greater_than", GPT2, 235, 262, 9),
        ("docstring", ATTN_ONLY, 24, 37, 6),
    ],
)
def test_counts_are_the_published_ones(
    task: KnownTask, config: TransformerConfig, edges: int, with_internal: int, heads: int
) -> None:
    known, graph = known_circuit(task), computational_graph(config)
    mask = expand(known, graph)
    assert int(mask.sum()) == edges == known.counts.edges
    assert internal_edges(graph, mask) == with_internal - edges == known.counts.internal
    assert sum(isinstance(part, Head) for part in known.class_of()) == heads
    assert known.counts.possible in (None, graph.size)
    # every component of a class is used: some edge enters it and some edge leaves it
    used = set(graph.nodes(mask))
    assert used == {Embed(), *known.class_of()}


def links(graph: ComputationalGraph, task: KnownTask) -> set[Link]:
    return set(graph.links(expand(known_circuit(task), graph)))


def test_edges_that_the_papers_name_are_there_and_others_are_not() -> None:
    gpt2 = computational_graph(GPT2)
    ioi = links(gpt2, "ioi")
    assert Link(Head(8, 6), Head(9, 9, "q")) in ioi  # S-inhibition steers the movers' queries
    assert Link(Head(8, 6), Head(9, 9, "k")) not in ioi
    assert Link(Head(4, 11), Head(5, 5, "k")) in ioi
    assert Link(Head(4, 11), Head(5, 5, "q")) not in ioi
    assert Link(Head(8, 6), Logits()) not in ioi
    assert Link(Head(11, 10), Mlp(11)) in ioi
    greater = links(gpt2, "greater_than")
    assert Link(Head(9, 1), Logits()) in greater
    assert Link(Mlp(7), Mlp(8)) in greater
    assert Link(Mlp(7), Mlp(9)) not in greater
    assert Link(Embed(), Mlp(4)) not in greater
    docstring = links(computational_graph(ATTN_ONLY), "docstring")
    assert Link(Head(1, 4), Head(3, 6, "q")) in docstring
    assert Link(Head(2, 0), Head(3, 0, "k")) in docstring
    assert Link(Head(2, 0), Head(3, 0, "v")) not in docstring


def a_model(config: TransformerConfig) -> Any:
    handle = Model(title="m", source="m", family="transformer", architecture="x")
    return SimpleNamespace(config=config, handle=handle)


def test_the_operation_leaves_a_graph_of_edges_that_reads_back(desk: Any) -> None:
    desk.inputs["@1"] = a_model(GPT2)
    (graph,) = reference(Reference(model="@1", task="ioi"), desk)
    whole = computational_graph(GPT2)
    assert graph.level == "edges"
    assert graph.facts["edges_kept"] == 963
    assert graph.facts["edges_with_internal"] == 1041
    assert graph.facts["classes"]["S-inhibition"] == ["L7H3", "L7H9", "L8H6", "L8H10"]
    assert (mask_of(decode(encode(graph)), whole) == expand(known_circuit("ioi"), whole)).all()
    kept = {node.component: node.label for node in graph.nodes if node.kept}
    assert kept[Head(9, 9)] == "L9H9 name mover"
    assert len(kept) == 26 + 12 + 2


@pytest.mark.parametrize("config", [shape(3, 4, True), ATTN_ONLY, shape(12, 12, True, parallel_attn_mlp=True)])
def test_a_model_of_another_shape_is_refused_in_a_sentence(desk: Any, config: TransformerConfig) -> None:
    desk.inputs["@1"] = a_model(config)
    with pytest.raises(CallError, match="the greater_than circuit is one of GPT-2 small"):
        reference(Reference(model="@1", task="greater_than"), desk)
    with pytest.raises(ValueError, match="12 layers of 12 heads"):
        expand(known_circuit("ioi"), computational_graph(shape(3, 4, True)))

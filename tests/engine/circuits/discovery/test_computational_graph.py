"""The graph's size against the published counts, and its order against what can be computed before what."""

from __future__ import annotations

import pytest

from engine.circuits.discovery.computational_graph import ComputationalGraph, Link, computational_graph
from engine.models.protocols import TransformerConfig
from sessions.components import Embed, Head, Logits, Mlp


def of(n_layers: int = 12, n_heads: int = 12, d_mlp: int = 3072, parallel: bool = False) -> ComputationalGraph:
    return computational_graph(
        TransformerConfig(
            architecture="x",
            n_layers=n_layers,
            n_heads=n_heads,
            d_model=8,
            d_head=4,
            d_mlp=d_mlp,
            d_vocab=5,
            n_ctx=4,
            parallel_attn_mlp=parallel,
        )
    )


def test_gpt2_small_has_the_published_numbers() -> None:
    graph = of()
    assert (len(graph.sources), len(graph.targets), graph.size) == (157, 445, 32_491)
    into = {"heads": 0, "mlps": 0, "logits": 0}
    for link in graph.links():
        match link.target:
            case Head():
                into["heads"] += 1
            case Mlp():
                into["mlps"] += 1
            case _:
                into["logits"] += 1
    assert into == {"heads": 31_320, "mlps": 1_014, "logits": 157}


@pytest.mark.parametrize("d_mlp", [0, 16])
def test_places_are_where_the_names_say(d_mlp: int) -> None:
    graph = of(3, 2, d_mlp)
    assert [graph.source(s) for s in graph.sources] == list(range(len(graph.sources)))
    assert [graph.target(t) for t in graph.targets] == list(range(len(graph.targets)))
    assert [graph.layer_of(i) for i, t in enumerate(graph.targets)] == [
        3 if isinstance(t, Logits) else t.layer for t in graph.targets if not isinstance(t, Embed)
    ]
    assert graph.targets[graph.heads_of(1, "v")] == (Head(1, 0, "v"), Head(1, 1, "v"))
    assert graph.sources[: graph.sources_before(2)][-1] == (Mlp(1) if d_mlp else Head(1, 1))
    with pytest.raises(ValueError, match="which input"):
        graph.target(Head(0, 0))


def test_heads_feed_their_layers_mlp_except_in_parallel_blocks() -> None:
    edge = Link(Head(1, 0), Mlp(1))
    assert edge in of(2, 2).links()
    assert edge not in of(2, 2, parallel=True).links()
    assert Link(Head(0, 0), Mlp(1)) in of(2, 2, parallel=True).links()
    with pytest.raises(ValueError, match="no edge"):
        of(2, 2, parallel=True).mask([edge])


def test_a_head_without_an_input_is_all_three() -> None:
    graph = of(2, 2)
    mask = graph.mask([Link(Embed(), Head(1, 1)), Link(Mlp(0), Logits())])
    assert {str(link) for link in graph.links(mask)} == {
        "embed->L1H1.q",
        "embed->L1H1.k",
        "embed->L1H1.v",
        "mlp0->logits",
    }
    assert set(graph.nodes(mask)) == {Embed(), Mlp(0)}


def test_a_circuit_of_nodes_keeps_the_edges_among_them() -> None:
    graph = of(2, 2)
    kept = graph.links(graph.between([Head(0, 1), Mlp(1)]))
    assert {str(link) for link in kept} == {
        *(f"embed->L0H1.{x}" for x in "qkv"),
        "embed->mlp1",
        "L0H1->mlp1",
        "embed->logits",
        "L0H1->logits",
        "mlp1->logits",
    }
    assert bool((graph.between([s for s in graph.sources if not isinstance(s, Embed)]) == graph.edges).all())

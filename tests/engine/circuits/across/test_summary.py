"""Circuits in one table: every cell against the graph it came from."""

from __future__ import annotations

from typing import Any

import pytest

from engine.circuits.across.summary_operations import Summary, summary
from engine.circuits.discovery.acdc_operations import Acdc, acdc
from engine.circuits.sweeps.greedy_operations import GreedySweep, greedy_sweep
from sessions.artifacts import Edge, Graph
from sessions.components import Head
from sessions.errors import CallError

from .conftest import Shelf, of_edges, of_heads


def tables(shelf: Shelf, *graphs: Graph) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    refs = []
    for number, graph in enumerate(graphs, 5):
        shelf.inputs[f"@{number}"] = graph
        refs.append(f"@{number}")
    made = summary(Summary(circuits=tuple(refs)), shelf)
    sizes, scores = ([dict(zip((c.name for c in table.columns), row)) for row in table.rows] for table in made)  # type: ignore[union-attr]
    return sizes, scores


def test_a_circuit_that_was_found_is_told_as_its_graph_tells_it(shelf: Shelf) -> None:
    graph = next(a for a in acdc(Acdc(model="@1", prompts="@2", ablation="zero", tau=0.05), shelf) if a.kind == "graph")
    assert isinstance(graph, Graph)
    (size,), (score,) = tables(shelf, graph)
    kept = [edge for edge in graph.edges if edge.kept]
    assert size["edges"] == len(kept) > 0
    assert size["inputs"] == len({(edge.target, edge.input) for edge in kept})
    assert size["heads"] == sum(isinstance(n.component, Head) and n.kept for n in graph.nodes)
    assert (size["found on"], size["metric"], size["threshold"]) == ("base", "kl, zero", 0.05)
    assert score["NLL whole"] == graph.facts["loss_full"]
    assert score["NLL"] == graph.facts["loss_circuit"]
    assert score["Frac correct"] == graph.facts["accuracy_circuit"]
    assert score["Logit diff whole"] == graph.facts["logit_diff_full"]
    assert score["KL"] == graph.facts["kl_circuit"] > 0
    assert score["faithfulness"] == graph.facts["faithfulness"]
    assert (score["n"], score["measured on"]) == (graph.facts["n_held_out"], "held-out prompts")


def test_a_head_sweep_stands_beside_it_with_what_was_not_measured_left_empty(shelf: Shelf) -> None:
    made = greedy_sweep(GreedySweep(model="@1", prompts="@2", metric="accuracy", theta=0.1), shelf)
    graph = next(a for a in made if isinstance(a, Graph))
    sizes, scores = tables(shelf, of_edges(Edge("embed", "L1H2", input="v"), title="by hand"), graph)
    assert (sizes[0]["edges"], sizes[0]["heads"], sizes[0]["threshold"]) == (1, 1, None)
    assert all(scores[0][name] is None for name in ("Frac correct", "n"))
    assert sizes[1]["heads"] == graph.facts["heads_kept"]
    assert sizes[1]["edges"] is None
    assert sizes[1]["threshold"] == 0.1
    assert scores[1]["Frac correct"] == graph.facts["accuracy_circuit"]
    assert "NLL" not in scores[1]  # nothing was measured of either


def test_nothing_and_the_same_twice_are_refused(shelf: Shelf) -> None:
    with pytest.raises(CallError, match="no circuit is named"):
        summary(Summary(circuits=()), shelf)
    shelf.inputs["@5"] = of_heads(Head(0, 1))
    with pytest.raises(CallError, match="@5 is named twice"):
        summary(Summary(circuits=("@5", "@5")), shelf)

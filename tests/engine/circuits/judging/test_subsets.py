"""Completeness and minimality against trying every subset with hooked passes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.circuit_graph import circuit_graph
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import edge_graph
from engine.circuits.judging.subset_operations import Completeness, Minimality, completeness, minimality
from engine.circuits.judging.subsets import sampled_subsets, without_nodes
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Graph, Table
from sessions.codec import encode
from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError, CancelledError

BASE: dict[str, Any] = {"model": "@1", "prompts": "@2", "circuit": "@3"}
EVERY: list[Head | Mlp] = [*(Head(i, j) for i in range(3) for j in range(4)), *map(Mlp, range(3))]
KEPT: list[Head | Mlp] = [Head(0, 1), Mlp(0), Head(1, 2), Head(2, 3)]


def circuit(**facts: Any) -> Graph:
    words = {"title": "c", "summary": "", "score_name": "", "weight_name": ""}
    removed = [part for part in EVERY if part not in KEPT]
    return circuit_graph(EVERY, n_layers=3, removed=removed, scores={}, edges={}, facts=facts, **words)


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [dict(zip([column.name for column in table.columns], row)) for row in table.rows]


def nodes_of(text: str) -> frozenset[Component]:
    return frozenset() if text == "nothing" else frozenset(map(parse_component, text.split(",")))


@pytest.fixture
def slow(desk: Any, pair: Any, naive: Any) -> Any:
    """(m(C without K), m(M without K)) for every subset K of the circuit, with hooks."""
    desk.inputs["@3"] = circuit()
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)

    def mean(gone: Any) -> float:
        return float(naive("logit_diff", pair.hooked, batch, gone, "resample").mean())

    outside = [part for part in EVERY if part not in KEPT]
    every = [frozenset(some) for size in range(5) for some in combinations(KEPT, size)]
    return {k: (mean([*outside, *k]), mean([*k])) for k in every}


def test_the_worst_subset_of_all_is_found_and_measured(desk: Any, slow: Any) -> None:
    params = Completeness(**BASE, ablation="resample", random=80, greedy=1)  # 80 draws of 16: all of them
    points, table = completeness(params, desk)
    worst = max(abs(c - m) for c, m in slow.values())
    assert table.facts["incompleteness"] == pytest.approx(worst, abs=1e-4)
    for row, (x, y) in zip(rows_of(table), sorted(points.xy.tolist(), key=lambda p: -abs(p[1] - p[0]))):
        c, m = slow[nodes_of(row["K"])]
        assert (row["circuit without K"], row["model without K"]) == pytest.approx((c, m), abs=1e-4)
        assert abs(y - x) == pytest.approx(row["apart"])
        assert row["low"] <= row["apart"] <= row["high"] + 1e-9
    assert {nodes_of(row["K"]) for row in rows_of(table)} == set(slow)


def test_a_greedy_search_takes_the_best_node_at_every_step(desk: Any, slow: Any) -> None:
    params = Completeness(**BASE, ablation="resample", random=0, greedy=1, steps=4, candidates=0)
    _, table = completeness(params, desk)
    found = sorted((row for row in rows_of(table) if row["found by"] == "greedy 1"), key=lambda row: row["nodes"])
    current: frozenset[Component] = frozenset()
    for row in found:
        options = [current | {node} for node in KEPT if node not in current]
        current = max(options, key=lambda k: abs(slow[k][0] - slow[k][1]))
        assert nodes_of(row["K"]) == current
    assert len(found) == 4


def test_every_node_is_shown_in_the_set_where_it_matters_most(desk: Any, slow: Any) -> None:
    (table,) = minimality(Minimality(**BASE, ablation="resample", random=120), desk)
    rows = rows_of(table)
    assert [row["node"] for row in rows] == ["L0H1", "mlp0", "L1H2", "L2H3"]
    for row in rows:
        node = parse_component(row["node"])
        changes = {k: abs(slow[k | {node}][0] - slow[k][0]) for k in slow if node not in k}
        assert row["change"] == pytest.approx(max(changes.values()), abs=1e-4)
        assert row["change"] == pytest.approx(changes[nodes_of(row["K"])], abs=1e-4)
        assert row["alone"] == pytest.approx(changes[frozenset()], abs=1e-4)
        assert row["needed"] == (row["share"] >= 0.01)
    middle = sorted(row["share"] for row in rows)[1:3]
    (strict,) = minimality(Minimality(**BASE, ablation="resample", random=120, share=sum(middle) / 2), desk_again(desk))
    assert len(strict.facts["not_needed"]) == 2


def test_a_greedy_step_helps_a_node_that_no_listed_set_shows(desk: Any, slow: Any) -> None:
    (few,) = minimality(Minimality(**BASE, ablation="resample", random=0, steps=0, share=10), desk)
    (more,) = minimality(Minimality(**BASE, ablation="resample", random=0, steps=4, share=10), desk_again(desk))
    for one, other in zip(rows_of(few), rows_of(more)):
        assert other["change"] >= one["change"]
        node = parse_component(other["node"])
        k = nodes_of(other["K"])
        assert other["change"] == pytest.approx(abs(slow[k | {node}][0] - slow[k][0]), abs=1e-4)


@pytest.mark.parametrize("ablation", ["zero", "resample"])
def test_edges_among_nodes_give_what_the_nodes_give(desk: Any, pair: Any, ablation: Any) -> None:
    graph = computational_graph(pair.ours.config)
    params = Completeness(**BASE, ablation=ablation, random=5, greedy=0)
    desk.inputs["@3"] = circuit()
    _, nodes = completeness(params, desk)
    desk.inputs["@3"] = edge_graph(
        graph, graph.between(KEPT), torch.ones(graph.edges.shape), title="c", summary="", facts={}, weight_name=""
    )
    _, edges = completeness(params, desk_again(desk))
    assert edges.facts["level"].startswith("edges")
    by_k = {row["K"]: row for row in rows_of(edges)}
    for row in rows_of(nodes):
        for name in ("circuit without K", "model without K"):
            assert by_k[row["K"]][name] == pytest.approx(row[name], abs=1e-4)


def test_edges_that_touch_a_node_go_with_it(pair: Any) -> None:
    graph = computational_graph(pair.ours.config)
    left = without_nodes(graph, graph.edges, [Head(1, 2), Mlp(0)])
    gone = {str(link) for link in graph.links(graph.edges & ~left)}
    touching = {str(x) for x in graph.links() if "L1H2" in str(x) or "mlp0" in str(x)}
    assert gone == touching


def test_classes_of_a_reference_are_taken_out_together(desk: Any) -> None:
    desk.inputs["@3"] = circuit(classes={"movers": ["L1H2", "L2H3"], "elsewhere": ["L0H0"]})
    _, table = completeness(Completeness(**BASE, random=0, greedy=0), desk)
    assert {row["found by"]: row["K"] for row in rows_of(table)} == {
        "nothing": "nothing",
        "layer 0": "L0H1,mlp0",
        "layer 1": "L1H2",
        "layer 2": "L2H3",
        "movers": "L1H2,L2H3",
    }
    (needed,) = minimality(Minimality(**BASE, random=0), desk_again(desk))
    assert [row["class"] for row in rows_of(needed)] == ["", "", "movers", "movers"]


def test_random_subsets_hold_half_of_the_nodes_on_average() -> None:
    drawn = sampled_subsets(KEPT, {}, 2000, np.random.default_rng(0))[4:]
    assert np.mean([len(one.subset) for one in drawn]) == pytest.approx(2, abs=0.1)  # 4.5 standard errors
    assert {one.way for one in drawn} == {"random"}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        (completeness, Completeness(**BASE, random=20, greedy=2, steps=3)),
        (minimality, Minimality(**BASE, random=4, share=0.5)),
    ],
)
def test_an_interrupted_run_ends_with_the_same_bytes(desk: Any, operation: Any, params: Any) -> None:
    desk.inputs["@3"] = circuit()
    whole = operation(params, desk_again(desk))
    desk.stop_after = 5
    with pytest.raises(CancelledError):
        operation(params, desk)
    desk.stop_after = None
    assert [encode(a) for a in operation(params, desk)] == [encode(a) for a in whole]


def test_what_cannot_be_judged_gets_a_sentence(desk: Any) -> None:
    desk.inputs["@3"] = circuit()
    with pytest.raises(CallError, match="the whole model's kl is 0"):
        minimality(Minimality(**BASE, metric="kl"), desk)
    removed = circuit_graph(
        EVERY,
        n_layers=3,
        removed=EVERY,
        scores={},
        edges={},
        facts={},
        title="none",
        summary="",
        score_name="",
        weight_name="",
    )
    desk.inputs["@3"] = removed
    with pytest.raises(CallError, match="'none' keeps no node"):
        completeness(Completeness(**BASE), desk)


def desk_again(desk: Any) -> Any:
    fresh = type(desk)(**desk.inputs)
    fresh.seed = desk.seed
    return fresh

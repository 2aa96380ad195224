"""ROC curves against counting pairs, and the operation on circuits that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.discovery.asking import score_matrix
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import edge_graph
from engine.circuits.judging.roc import roc as curve_of
from engine.circuits.judging.roc_operations import RocParams, roc
from sessions.artifacts import Axis, Edge, Graph, Matrix, Node
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import CallError

BASE: dict[str, Any] = {"model": "@1", "reference": "@3"}


def areas_by_pairs(scores: Any, truth: Any) -> tuple[float, float]:
    members, others = scores[truth], scores[~truth]
    won = sum(a > b for a in members for b in others)
    tied = sum(a == b for a in members for b in others)
    return (won + tied / 2) / (len(members) * len(others)), won / (len(members) * len(others))


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_areas_are_the_share_of_pairs_in_the_right_order(levels: int) -> None:
    numbers = np.random.default_rng(levels)
    for _ in range(20):
        scores = numbers.integers(0, levels, 60).astype(float)
        truth = numbers.random(60) < 0.3
        if truth.all() or not truth.any():
            continue
        found = curve_of(scores, truth)
        assert (found.area, found.pessimistic_area) == pytest.approx(areas_by_pairs(scores, truth), abs=1e-12)
        for threshold, taken, tpr, fpr in zip(found.thresholds, found.taken, found.tpr, found.fpr):
            chosen = scores >= threshold
            assert taken == chosen.sum()
            assert tpr == pytest.approx((chosen & truth).sum() / truth.sum())
            assert fpr == pytest.approx((chosen & ~truth).sum() / (~truth).sum())


def test_precision_of_the_n_best_is_the_mean_over_every_order_of_ties() -> None:
    numbers = np.random.default_rng(1)
    scores, truth = numbers.integers(0, 4, 30).astype(float), numbers.random(30) < 0.4
    found = curve_of(scores, truth)
    for n in (1, 7, int(truth.sum()), 30):
        drawn = []
        for _ in range(4000):
            shuffled = numbers.permutation(30)
            best = shuffled[np.argsort(-scores[shuffled], kind="stable")][:n]
            drawn.append(truth[best].mean())
        # 4000 draws of a share: the standard error is below 0.008
        assert found.precision_at(n) == pytest.approx(np.mean(drawn), abs=0.03)


def test_perfect_reversed_and_unusable_scores() -> None:
    truth = np.array([True, True, False, False, False])
    assert curve_of(np.array([5.0, 4, 3, 2, 1]), truth).area == 1
    assert curve_of(np.array([1.0, 2, 3, 4, 5]), truth).area == 0
    flat = curve_of(np.zeros(5), truth)
    assert (flat.area, flat.pessimistic_area, flat.precision_at(2)) == (0.5, 0.0, 0.4)
    with pytest.raises(ValueError, match="finite"):
        curve_of(np.array([np.nan, 1, 2, 3, 4]), truth)
    with pytest.raises(ValueError, match="members"):
        curve_of(np.zeros(5), np.ones(5, bool))


@pytest.fixture
def known(desk: Any, pair: Any) -> Any:
    """The random model's graph, a reference of 40 edges as @3, and scores of all edges as @4."""
    graph = computational_graph(pair.ours.config)
    numbers = torch.Generator().manual_seed(0)
    scores = torch.randn(graph.edges.shape, generator=numbers, dtype=torch.float64)
    places = graph.edges.nonzero()[torch.randperm(graph.size, generator=numbers)[:40]]
    mask = torch.zeros_like(graph.edges)
    mask[places[:, 0], places[:, 1]] = True
    args: dict[str, Any] = {"title": "known", "summary": "", "facts": {}, "weight_name": "w"}
    desk.inputs["@3"] = edge_graph(graph, mask, torch.ones_like(scores), **args)
    desk.inputs["@4"] = score_matrix(graph, scores.numpy(), title="scores", summary="", facts={}, unit="logits")
    return graph, mask, scores.float().double()


@pytest.mark.parametrize("rank", ["absolute", "positive", "negative"])
def test_edge_scores_against_a_reference(desk: Any, known: Any, rank: Any) -> None:
    graph, mask, scores = known
    series, table = roc(RocParams(**BASE, scores="@4", rank=rank), desk)
    flat, truth = scores[graph.edges].numpy(), mask[graph.edges].numpy()
    flat = {"absolute": np.abs(flat), "positive": flat, "negative": -flat}[rank]
    expected, lost = areas_by_pairs(flat, truth)
    assert series.facts["auroc"] == pytest.approx(expected, abs=1e-9)
    assert series.facts["auroc_pessimistic"] == pytest.approx(lost, abs=1e-9)
    best = np.argsort(-flat)[:40]
    assert table.facts["precision_at_reference_size"] == pytest.approx(truth[best].mean())
    assert (series.x[0], series.x[-1], series.curves[0].y[-1]) == (0, 1, 1)
    assert np.trapezoid(series.curves[0].y, series.x) == pytest.approx(expected, abs=1e-9)
    steps, _ = roc(RocParams(**BASE, scores="@4", rank=rank, ties="pessimistic"), desk)
    assert np.trapezoid(steps.curves[0].y, steps.x) == pytest.approx(lost, abs=1e-9)


def test_nodes_are_scored_by_their_best_edge(desk: Any, known: Any) -> None:
    graph, mask, scores = known
    series, _ = roc(RocParams(**BASE, scores="@4", level="nodes"), desk)
    best = [float(scores[:, i][graph.edges[:, i]].abs().max()) for i in range(len(graph.sources))]
    truth = mask.any(0).numpy()
    assert series.facts["auroc"] == pytest.approx(areas_by_pairs(np.array(best), truth)[0], abs=1e-9)
    assert series.facts["in_reference"] == truth.sum()


def test_a_circuit_is_one_point(desk: Any, known: Any) -> None:
    graph, mask, scores = known
    found = (scores.abs() > 1) & graph.edges
    desk.inputs["@5"] = edge_graph(
        graph, found, scores, title="found", summary="", facts={"method": "eap"}, weight_name="w"
    )
    series, table = roc(RocParams(**BASE, circuit="@5"), desk)
    both, taken = int((found & mask).sum()), int(found.sum())
    (row,) = table.rows
    assert row[1:] == pytest.approx(
        (taken, both, both / 40, (taken - both) / (graph.size - 40), both / taken, 2 * both / (taken + 40))
    )
    assert len(series.x) == 3
    itself, _ = roc(RocParams(**BASE, circuit="@3"), desk)
    assert itself.facts["auroc"] == 1


def test_head_scores_against_the_heads_of_a_reference(desk: Any, known: Any) -> None:
    graph, mask, _ = known
    values = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
    desk.inputs["@4"] = Matrix(title="heads", values=values, axes=(Axis("layer"), Axis("head")))
    series, _ = roc(RocParams(**BASE, scores="@4"), desk)
    truth = np.array([[bool(mask[:, graph.source(Head(i, j))].any()) for j in range(4)] for i in range(3)])
    if truth.all():
        pytest.fail("the fixture should leave a head out")
    expected = areas_by_pairs(np.abs(values).astype(float).ravel(), truth.ravel())[0]
    assert series.facts["auroc"] == pytest.approx(expected)
    assert series.facts["level"] == "heads"


def test_mistakes_get_a_sentence(desk: Any, known: Any) -> None:
    graph, _, scores = known
    with pytest.raises(CallError, match="give scores or a circuit, one of them"):
        roc(RocParams(**BASE), desk)
    with pytest.raises(CallError, match="give scores or a circuit, one of them"):
        roc(RocParams(**BASE, scores="@4", circuit="@3"), desk)
    desk.inputs["@6"] = Matrix(title="small", values=np.zeros((2, 2), np.float32), axes=(Axis("layer"), Axis("head")))
    with pytest.raises(CallError, match="'small' has 2 x 2 heads, the model 3 x 4"):
        roc(RocParams(**BASE, scores="@6"), desk)
    holes = np.where(graph.edges.numpy(), scores.numpy(), np.nan)
    holes[-1, 0] = np.nan
    desk.inputs["@6"] = score_matrix(graph, holes, title="part", summary="", facts={}, unit="")
    with pytest.raises(CallError, match="'part' lacks scores of some edges"):
        roc(RocParams(**BASE, scores="@6"), desk)
    everything = {"title": "all", "summary": "", "facts": {}, "weight_name": "w"}
    desk.inputs["@3"] = edge_graph(graph, graph.edges, scores, **everything)
    with pytest.raises(CallError, match="all of the 262 edges are in 'all'"):
        roc(RocParams(**BASE, scores="@4"), desk)


def test_edges_that_carry_a_constant_are_out_of_the_count_or_in_the_reference(desk: Any, known: Any) -> None:
    graph, _, scores = known
    nodes = tuple(Node(str(part), str(part), 0, component=part) for part in (*graph.sources, Logits()))
    desk.inputs["@3"] = Graph(
        title="compiled",
        nodes=nodes,
        edges=(Edge("embed", "L0H0", 1.0, input="v"), Edge("L0H0", "logits", 1.0), Edge("embed", "mlp1", 0.0)),
        weight_name="reads (1: a variable, 0: only a constant)",
        level="edges",
    )
    out, _ = roc(RocParams(**BASE, scores="@4"), desk)
    inside, _ = roc(RocParams(**BASE, scores="@4", constants="in"), desk)
    assert (out.facts["in_reference"], out.facts["not_in_reference"], out.facts["left_out"]) == (2, 259, 1)
    assert (inside.facts["in_reference"], inside.facts["not_in_reference"]) == (3, 259)
    mlp1 = graph.target(Mlp(1)), graph.source(Embed())
    counted = graph.edges.clone()
    counted[mlp1] = False
    truth = torch.zeros_like(counted)
    truth[graph.target(Head(0, 0, "v")), 0] = truth[graph.target(Logits()), graph.source(Head(0, 0))] = True
    expected = areas_by_pairs(scores[counted].abs().numpy(), truth[counted].numpy())[0]
    assert out.facts["auroc"] == pytest.approx(expected, abs=1e-9)

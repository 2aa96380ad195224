"""CPR and CMD: closed forms, and the curve from passes of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.discovery.asking import score_matrix
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.discovery.selection import greedy, pruned
from engine.circuits.judging.curve_operations import FaithfulnessCurve, faithfulness_curve
from engine.circuits.judging.faithfulness_curve import FRACTIONS, areas, edges_at
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.prompts.tokenized import tokenize
from sessions.codec import encode
from sessions.errors import CallError, CancelledError

BASE: dict[str, Any] = {"model": "@1", "prompts": "@2", "scores": "@3"}


def test_areas_of_straight_lines_are_those_of_geometry() -> None:
    assert areas(FRACTIONS, [1.0] * 10) == pytest.approx((0.999, 0, 0.999))
    assert areas(FRACTIONS, [0.0] * 10) == pytest.approx((0, 0.999, 0.999))
    assert areas(FRACTIONS, FRACTIONS).cpr == pytest.approx((1 - 0.001**2) / 2)  # f(k) = k
    assert areas(FRACTIONS, FRACTIONS).cmd == pytest.approx(0.999 - (1 - 0.001**2) / 2)
    assert areas([0.5, 1], [2.0, 0.0]).cmd == pytest.approx(0.5)  # too much is as far from 1 as too little
    logs = areas(FRACTIONS, np.log(FRACTIONS).tolist(), "log")  # f(k) = ln k
    assert logs.cpr == pytest.approx(-(np.log(1000) ** 2) / 2)
    assert logs.width == pytest.approx(np.log(1000))
    assert [edges_at(k, 32491) for k in FRACTIONS] == [32, 65, 162, 325, 650, 1625, 3249, 6498, 16246, 32491]
    assert edges_at(0.001, 40) == 1


@pytest.fixture
def scored(desk: Any, pair: Any) -> Any:
    graph = computational_graph(pair.ours.config)
    scores = torch.randn(graph.edges.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    desk.inputs["@3"] = score_matrix(graph, scores.numpy(), title="s", summary="", facts={}, unit="logits")
    return graph, scores


def test_each_point_is_the_circuit_of_the_best_edges(desk: Any, pair: Any, scored: Any) -> None:
    graph, scores = scored
    fractions = (0.1, 0.4, 1.0)
    params = FaithfulnessCurve(**BASE, select="greedy", rank="positive", fractions=fractions)
    series, table = faithfulness_curve(params, desk)
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    runs = PromptRuns(pair.ours, batch, METRICS["logit_diff"], "resample")
    full = float(runs.clean.double().mean())
    masks = [pruned(greedy(scores, graph, round(k * graph.size), absolute=False), graph) for k in fractions]
    found = edge_values((runs,), torch.stack([torch.zeros_like(graph.edges), *masks]))[0].double().mean(1).tolist()
    expected = [(value - found[0]) / (full - found[0]) for value in found[1:]]
    assert series.curves[0].y == pytest.approx(expected, abs=1e-4)
    assert series.curves[0].y[-1] == pytest.approx(1, abs=1e-4)
    assert [row[2] for row in table.rows] == [int(mask.sum()) for mask in masks]
    cpr = 0.3 * (expected[0] + expected[1]) / 2 + 0.6 * (expected[1] + expected[2]) / 2
    assert table.facts["cpr"] == pytest.approx(cpr, abs=1e-4)
    off = [abs(1 - f) for f in expected]
    assert table.facts["cmd"] == pytest.approx(0.3 * (off[0] + off[1]) / 2 + 0.6 * (off[1] + off[2]) / 2, abs=1e-4)
    assert all(row[5] <= row[4] + 1e-6 and row[4] <= row[6] + 1e-6 for row in table.rows)
    assert len(desk.partials) == 3
    logs, _ = faithfulness_curve(FaithfulnessCurve(**BASE, fractions=fractions, axis="log"), desk_again(desk))
    assert logs.x == pytest.approx(np.log10(fractions))
    assert logs.facts["cpr"] == logs.facts["cpr_log"]


def test_an_interrupted_curve_ends_with_the_same_bytes(desk: Any, scored: Any) -> None:
    params = FaithfulnessCurve(**BASE)
    whole = faithfulness_curve(params, desk_again(desk))
    desk.stop_after = 4
    with pytest.raises(CancelledError):
        faithfulness_curve(params, desk)
    desk.stop_after = None
    assert [encode(a) for a in faithfulness_curve(params, desk)] == [encode(a) for a in whole]


@pytest.mark.parametrize("fractions", [(0.5,), (0.0, 1.0), (0.5, 0.1), (0.5, 2.0), (0.5, 0.5)])
def test_fractions_that_make_no_curve_are_refused(desk: Any, scored: Any, fractions: Any) -> None:
    with pytest.raises(CallError, match="fractions are at least two numbers above 0"):
        faithfulness_curve(FaithfulnessCurve(**BASE, fractions=fractions), desk)


def desk_again(desk: Any) -> Any:
    fresh = type(desk)(**desk.inputs)
    fresh.seed = desk.seed
    return fresh

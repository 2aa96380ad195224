"""Judging circuits of nodes and of edges: values from whole hooked passes, intervals from resampling by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.bootstrap import PairedBootstrap
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import edge_graph
from engine.circuits.discovery.edge_passes import edge_values
from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.prompts.tokenized import tokenize
from sessions.artifacts import Table
from sessions.components import Head, Mlp

BASE: dict[str, Any] = {"model": "@1", "prompts": "@2", "circuit": "@3"}
ARGS: dict[str, Any] = {"title": "found", "summary": "", "facts": {}, "weight_name": "w"}


def rows_of(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row)) for row in table.rows]


@pytest.fixture
def graph_and_mask(desk: Any, pair: Any) -> Any:
    """A circuit of about half of the edges, as @3."""
    graph = computational_graph(pair.ours.config)
    mask = graph.edges & (torch.rand(graph.edges.shape, generator=torch.Generator().manual_seed(1)) < 0.5)
    desk.inputs["@3"] = edge_graph(graph, mask, torch.ones(mask.shape), **ARGS)
    return graph, mask


@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
def test_a_circuit_of_edges_is_judged_by_its_edges(desk: Any, pair: Any, graph_and_mask: Any, ablation: Any) -> None:
    graph, mask = graph_and_mask
    (table,) = evaluate(Evaluate(**BASE, ablation=ablation), desk)
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    for row, name in zip(rows_of(table), ("logit_diff", "loss", "accuracy", "kl")):
        runs = PromptRuns(pair.ours, batch, METRICS[name], ablation)
        masks = torch.stack([mask, torch.zeros_like(mask), graph.edges & ~mask])
        kept, nothing, without = edge_values((runs,), masks)[0].double().mean(1).tolist()
        full = float(runs.clean.double().mean())
        found = (row["whole model"], row["circuit"], row["nothing"], row["all but the circuit"])
        assert found == pytest.approx((full, kept, nothing, without), abs=1e-4)
        assert row["difference"] == pytest.approx(abs(full - kept), abs=1e-4)
        if abs(full - nothing) > 0.05:
            assert row["faithfulness"] == pytest.approx((kept - nothing) / (full - nothing), abs=1e-3)
            assert row["left without it"] == pytest.approx((without - nothing) / (full - nothing), abs=1e-3)
        for value in ("whole model", "circuit", "nothing", "all but the circuit"):
            assert row[f"{value} low"] <= row[value] <= row[f"{value} high"]
    assert table.facts["edges_kept"] == int(mask.sum())
    assert table.facts["level"].startswith("edges")


def test_its_nodes_may_be_judged_instead(desk: Any, pair: Any, naive: Any) -> None:
    graph = computational_graph(pair.ours.config)
    nodes = [Head(0, 1), Head(1, 2), Mlp(1), Head(2, 0)]
    desk.inputs["@3"] = edge_graph(graph, graph.between(nodes), torch.ones(graph.edges.shape), **ARGS)
    (table,) = evaluate(Evaluate(**BASE, level="nodes", metric="loss"), desk)
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)
    every = [Head(i, j) for i in range(3) for j in range(4)] + [Mlp(i) for i in range(3)]
    gone = [part for part in every if part not in nodes]
    row = rows_of(table)[0]
    assert row["circuit"] == pytest.approx(float(naive("loss", pair.hooked, batch, gone, "zero").mean()), abs=1e-4)
    assert row["nothing"] == pytest.approx(float(naive("loss", pair.hooked, batch, every, "zero").mean()), abs=1e-4)
    assert row["all but the circuit"] == pytest.approx(
        float(naive("loss", pair.hooked, batch, nodes, "zero").mean()), abs=1e-4
    )
    # between nodes, cutting all other edges is ablating all other nodes; only `nothing` differs (the embeddings)
    (by_edges,) = evaluate(Evaluate(**BASE, metric="loss"), desk)
    assert rows_of(by_edges)[0]["circuit"] == pytest.approx(row["circuit"], abs=1e-4)


def test_the_whole_graph_is_perfectly_faithful_whatever_the_prompts(desk: Any, pair: Any) -> None:
    graph = computational_graph(pair.ours.config)
    desk.inputs["@3"] = edge_graph(graph, graph.edges, torch.ones(graph.edges.shape), **ARGS)
    (table,) = evaluate(Evaluate(**BASE, ablation="resample"), desk)
    row = rows_of(table)[0]
    assert (row["faithfulness"], row["faithfulness low"], row["faithfulness high"]) == pytest.approx(
        (1, 1, 1), abs=1e-4
    )
    assert row["left without it"] == pytest.approx(0, abs=1e-4)


def test_intervals_of_ratios_are_the_quantiles_over_resamples() -> None:
    numbers = np.random.default_rng(0)
    part, full = numbers.normal(2, 1, 50), numbers.normal(4, 1, 50)
    found = PairedBootstrap(50, 7).interval_of(lambda p, f: p / f, part, full)
    weights = np.random.default_rng([7, 50]).multinomial(50, np.full(50, 1 / 50), size=2000)
    by_hand = [(w @ part) / (w @ full) for w in weights]
    assert found == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=1e-6)
    nothing = PairedBootstrap(50, 7).interval_of(lambda p, f: p / f, part, np.zeros(50))
    assert np.isnan(nothing.low)

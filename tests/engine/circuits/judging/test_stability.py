"""How alike resampled circuits are: sets counted by hand, and methods run again on the same rows."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from engine.circuits.discovery.acdc import acdc
from engine.circuits.discovery.attribution import edge_scores
from engine.circuits.discovery.computational_graph import computational_graph
from engine.circuits.discovery.edge_circuit import mask_of
from engine.circuits.discovery.selection import greedy, pruned, top_n
from engine.circuits.discovery.thresholds import Rule
from engine.circuits.judging.stability import agreement, one_run
from engine.circuits.judging.stability_operations import Stability, stability
from engine.circuits.metrics import METRICS
from engine.circuits.runs import PromptRuns
from engine.circuits.sweeps.greedy_sweep import greedy_sweep
from engine.prompts.tokenized import tokenize
from sessions.codec import encode
from sessions.errors import CallError, CancelledError

BASE: dict[str, Any] = {"model": "@1", "prompts": "@2"}


def test_likeness_is_that_of_sets() -> None:
    found = np.random.default_rng(0).random((6, 30)) < 0.4
    sets = [set(np.flatnonzero(row)) for row in found]
    alike = agreement(found)
    pairs = [len(a & b) / len(a | b) for a, b in combinations(sets, 2)]
    assert alike.jaccard == pytest.approx(np.mean(pairs))
    assert alike.least == pytest.approx(min(pairs))
    assert alike.frequency == pytest.approx([sum(i in s for s in sets) / 6 for i in range(30)])
    assert alike.sizes.tolist() == [len(s) for s in sets]
    assert agreement(np.zeros((2, 5), bool)).jaccard == 1
    assert np.isnan(agreement(found[:1]).jaccard)


def test_chance_is_what_random_circuits_share() -> None:
    numbers = np.random.default_rng(1)
    found = np.array([np.isin(np.arange(400), numbers.choice(400, 80, replace=False)) for _ in range(60)])
    alike = agreement(found)
    # a ratio of means, not a mean of ratios: off by about 1e-3 here
    assert alike.jaccard == pytest.approx(alike.by_chance, abs=0.005)


def test_runs_draw_rows_with_replacement_or_the_order_alone() -> None:
    seen: list[Any] = []

    def method(rows: Any, rng: np.random.Generator) -> Any:
        seen.append((rows.tolist(), rng.random()))
        return np.ones(3, bool)

    for vary in ("prompts", "order", "both"):
        for number in (0, 1, 1):
            one_run(method, 50, vary, 7, number)  # type: ignore[arg-type]
    prompts, order, both = seen[:3], seen[3:6], seen[6:]
    assert prompts[0][0] != prompts[1][0]
    assert prompts[1] == prompts[2]
    assert prompts[0][1] == prompts[1][1]
    assert len(prompts[0][0]) == 50
    assert 20 < len(set(prompts[0][0])) < 43  # 63 % of 50 are expected, 32 +- 2.4
    assert order[0][0] == order[1][0] == list(range(50))
    assert order[0][1] != order[1][1]
    assert (both[0][0] != both[1][0], both[0][1] != both[1][1]) == (True, True)


@pytest.fixture
def again(desk: Any, pair: Any) -> Any:
    """The prompts that run `number` sees, ready to be ablated."""
    batch = tokenize(desk.inputs["@2"].rows, pair.ours.tokenizer, n_ctx=16, need_corrupt=True, need_foils=True)

    def runs(number: int | None, metric: str, ablation: Any) -> PromptRuns:
        rows = np.arange(12)
        if number is not None:
            rows = np.sort(np.random.default_rng([0, number, 0]).integers(0, 12, 12))
        picked = type(batch)(*(None if part is None else part[rows] for part in batch))
        return PromptRuns(pair.ours, picked, METRICS[metric], ablation)

    return runs


@pytest.mark.parametrize("select", [top_n, greedy])
def test_frequencies_of_scored_edges_are_those_of_separate_runs(desk: Any, pair: Any, again: Any, select: Any) -> None:
    params = Stability(**BASE, resamples=4, edges=40, select=select.__name__)
    graph_found, matrix, table = stability(params, desk)
    graph = computational_graph(pair.ours.config)
    masks = []
    for number in range(4):
        scores = sum(part.scores for part in edge_scores(again(number, "logit_diff", "resample"), graph, "eap"))
        masks.append(pruned(select(scores, graph, 40), graph))
    frequency = torch.stack(masks).double().mean(0)
    assert np.array_equal(np.isnan(matrix.values), ~graph.edges.numpy())
    assert matrix.values[graph.edges.numpy()] == pytest.approx(frequency[graph.edges].numpy())
    assert torch.equal(mask_of(graph_found, graph), (frequency >= 0.5) & graph.edges)
    assert len(table.rows) == int((frequency > 0).sum())
    assert sum(row[3] for row in table.rows) == sum(int(mask.sum()) for mask in masks)
    assert table.facts["sizes"] == [int(mask.sum()) for mask in masks]


def test_acdc_in_random_orders(desk: Any, pair: Any, again: Any) -> None:
    params = Stability(**BASE, method="acdc", vary="order", metric="kl", tau=0.05, resamples=2)
    _, matrix, _ = stability(params, desk)
    graph = computational_graph(pair.ours.config)
    found = np.zeros(graph.edges.shape)
    for number in range(2):
        rng = np.random.default_rng([0, number, 1])
        rule = Rule(METRICS["kl"], 0.05)
        for tried in acdc(again(None, "kl", "resample"), graph, rule, order="random", rng=rng):
            for line in tried.decisions:
                found[line.target, line.source] += 0.5 * (not line.removed)
    counted = graph.edges.numpy()
    assert matrix.values[counted] == pytest.approx(found[counted])


def test_heads_of_the_greedy_sweep(desk: Any, again: Any) -> None:
    params = Stability(**BASE, method="greedy_sweep", metric="loss", ablation="zero", theta=0.1, resamples=3)
    graph, matrix, table = stability(params, desk)
    found = np.zeros((3, 4))
    for number in range(3):
        for chain in greedy_sweep(again(number, "loss", "zero"), None, theta=0.1):
            for line in chain:
                found[line.layer, line.head] += (not line.removed) / 3
    assert matrix.values == pytest.approx(found)
    kept = {node.id for node in graph.nodes if node.kept and node.id.startswith("L")}
    assert kept == {f"L{i}H{j}" for i in range(3) for j in range(4) if found[i, j] >= 0.5}
    assert {row[0]: row[1] for row in table.rows} == pytest.approx(
        {f"L{i}H{j}": found[i, j] for i in range(3) for j in range(4) if found[i, j] > 0}
    )


def test_an_interrupted_run_ends_with_the_same_bytes(desk: Any) -> None:
    params = Stability(**BASE, resamples=4)
    whole = stability(params, desk_again(desk))
    desk.stop_after = 2
    with pytest.raises(CancelledError):
        stability(params, desk)
    desk.stop_after = None
    assert [encode(a) for a in stability(params, desk)] == [encode(a) for a in whole]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"vary": "order"}, "eap has no order to vary"),
        ({"metric": "accuracy"}, "accuracy has no gradient"),
        ({"metric": "kl"}, "kl is least at the clean run"),
        ({"method": "eap_ig_inputs", "ablation": "zero"}, "goes to the corrupt prompts"),
    ],
)
def test_what_cannot_be_resampled_is_refused(desk: Any, more: Any, words: str) -> None:
    with pytest.raises(CallError, match=words):
        stability(Stability(**BASE, **more), desk)


def desk_again(desk: Any) -> Any:
    fresh = type(desk)(**desk.inputs)
    fresh.seed = desk.seed
    return fresh
